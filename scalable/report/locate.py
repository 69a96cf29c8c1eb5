"""Finds the run that a report is about, and reads it. The command line calls it with what was typed."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scalable import places
from scalable.errors import SessionError
from scalable.journal import rundir
from scalable.journal.select import ALL, Select
from scalable.report.harmless import one_line
from scalable.report.settings import configured

if TYPE_CHECKING:
    from scalable.journal.summary import Summary

__all__ = ["default_runs_dir", "find_run", "info_of", "load", "shown_path"]

MOST_NAMED = 3
_LAST = re.compile(r"last(?:~(\d{1,6}))?", re.ASCII)


def default_runs_dir() -> Path:
    """Return where runs are: ``$SCALABLE_RUNS_DIR``, else what ``./scalable.yaml`` says, else the default."""
    return places.runs_dir(configured(), os.environ)


def find_run(runs_dir: Path, run: str | None) -> Path:
    """Return the directory of a run: the newest one (``None``), or the one of an id or a path.

    ``last`` is the newest one as well, ``last~1`` the one before it. The beginning or the end of an id is
    enough where only one run has it. Raises ``SessionError`` where there is no such run, or more than one.
    """
    if run is not None and _is_run(Path(run)):
        return Path(run)
    paths = [path for path, _ in _entries(runs_dir)]
    if run is not None and (last := _LAST.fullmatch(run)) and (paths or int(last[1] or 0)):
        return _back(paths, int(last[1] or 0), runs_dir)
    run = None if run == "last" else run
    broken = rundir.damaged(runs_dir)
    if run is None and paths:
        return paths[0]
    if not paths and not broken:
        msg = f"there are no runs in {shown_path(runs_dir)}; `scalable run WORKFLOW.py` makes one"
        raise SessionError(msg)
    if run is None:
        return broken[0][0]  # reading it says what is wrong
    return _named([*paths, *(path for path, _ in broken)], run, runs_dir)


def load(run_dir: Path, by: str = "fingerprint", select: Select = ALL) -> Summary:
    """Read and sum up a run, its selected failures in groups.

    Raises ``SessionError`` where its ``run.json`` is missing or broken.
    """
    from scalable.journal.summary import summarise

    info_of(run_dir)
    return summarise(run_dir, by, select)


def info_of(run_dir: Path) -> rundir.RunInfo:
    """Read what a run is; raises ``SessionError`` where its ``run.json`` is missing or broken."""
    try:
        return rundir.read_info(run_dir)
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"the run in {shown_path(run_dir)} is damaged, run.json: {one_line(str(reason))}"
        raise SessionError(msg) from error


def shown_path(path: Path) -> str:
    """Write a path for people: relative to the current directory where that is shorter."""
    try:
        relative, absolute = os.path.relpath(path), str(path.absolute())
    except (OSError, ValueError):  # the current directory is gone, or on another drive
        return one_line(str(path), 4096)
    return one_line(relative if len(relative) < len(absolute) else absolute, 4096)


def _back(paths: list[Path], number: int, runs_dir: Path) -> Path:
    if number < len(paths):
        return paths[number]
    runs = f"there {'is' if len(paths) == 1 else 'are'} {len(paths) or 'none'} in {shown_path(runs_dir)}"
    msg = f"there is no run `last~{number}`: {runs}, and `last` is the newest"
    raise SessionError(msg)


def _is_run(path: Path) -> bool:
    try:
        return (path / "run.json").is_file() or (path.is_dir() and path.name.startswith("run-"))
    except (OSError, ValueError):  # too long for a path, not permitted, or with a NUL
        return False


def _entries(runs_dir: Path) -> list[tuple[Path, rundir.RunInfo]]:
    try:
        return rundir.runs(runs_dir)
    except (OSError, ValueError) as error:
        msg = f"the runs in {shown_path(runs_dir)} cannot be read: {one_line(str(error))}"
        raise SessionError(msg) from error


def _named(paths: list[Path], run: str, runs_dir: Path) -> Path:
    """Find the one run that ``run`` names: by its whole id, else by the beginning or the end of it."""
    by_id = {path.name: path for path in paths}
    if run in by_id:
        return by_id[run]
    fitting = [name for name in by_id if run and (name.startswith((run, f"run-{run}")) or name.endswith(run))]
    if len(fitting) == 1:
        return by_id[fitting[0]]
    asked = one_line(run, 100)
    if fitting:
        msg = f"`{asked}` fits {len(fitting)} runs, {_some(fitting)}; give more of the id"
    else:
        near = difflib.get_close_matches(run[:200], by_id, n=1, cutoff=0.0)
        msg = f"there is no run `{asked}` in {shown_path(runs_dir)}; the nearest is {one_line(near[0])}"
    raise SessionError(msg)


def _some(names: list[str]) -> str:
    named = ", ".join(one_line(name) for name in names[:MOST_NAMED])
    return named + (", …" if len(names) > MOST_NAMED else "")
