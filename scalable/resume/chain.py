"""Which runs a run goes on from, and the directory that it leaves its own results in.

A run that went on from another one, and did not come to take all that it found, leaves the rest where it is:
so whoever goes on from it looks there as well.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scalable.errors import SessionError
from scalable.journal import rundir
from scalable.resume import claims, index
from scalable.resume.index import Run
from scalable.resume.packs import SUFFIX
from scalable.resume.shelf import CLAIMS, INDEX, TOKEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalable.journal.rundir import RunInfo
    from scalable.resume.packs import Kind

__all__ = ["RESULTS", "chain", "forget_old", "prepare"]

RESULTS = "results"
EARLIER = "earlier.run"
"""Has the path of the run that was resumed, which may be in another directory of runs."""
MOST_RUNS = 100
OTHERS_WRITE = 0o022
FAILURES: frozenset[Kind] = frozenset({"failure", "begun", "undone"})


def chain(run_dir: Path) -> list[Run]:
    """Return a run and those that it went on from.

    Raises ``OSError`` or ``msgspec.DecodeError`` where the run's own ``run.json`` cannot be read.
    """
    found: list[Run] = []
    info = rundir.read_info(run_dir)
    while len(found) < MOST_RUNS:
        found.append(Run(info.run_id, run_dir / RESULTS, _ended(run_dir)))
        if info.resumes is None:
            break
        run_dir = _before(run_dir, info.resumes)
        try:
            info = rundir.read_info(run_dir)
        except (OSError, msgspec.DecodeError):  # removed meanwhile: what it had is gone
            break
    return found


def _before(run_dir: Path, resumes: str) -> Path:
    """Find the run that a run went on from: beside it, or where it was then."""
    beside = run_dir.with_name(resumes)
    if not beside.exists():
        with suppress(OSError):
            return Path(os.fsdecode((run_dir / RESULTS / EARLIER).read_bytes()))
    return beside


def _ended(run_dir: Path) -> float:
    """When the last file of a run was written; a run that was killed does not say."""
    files = [*run_dir.glob("*.json*"), *(run_dir / RESULTS).glob(f"*{SUFFIX}")]
    return max((each.stat().st_mtime for each in files), default=0.0)


def prepare(
    run_dir: Path, earlier: Sequence[Run], *, retry_permanent: bool = False
) -> tuple[str, dict[str, int]]:
    """Make a run's directory of results (0700), with what earlier runs left.

    Returns its token, and how many results and failures they left. Raises ``OSError``, and ``SessionError``
    where others could have written what they left.
    """
    for each in earlier:
        _refuse_unsafe(each.directory)
    directory = run_dir / RESULTS
    directory.mkdir(mode=0o700, exist_ok=True)
    token = secrets.token_hex(16)
    rundir.replace_file(directory / TOKEN, token.encode())
    left: dict[str, int] = {}
    if earlier:
        rundir.replace_file(directory / EARLIER, os.fsencode(earlier[0].directory.parent.absolute()))
        left = index.build(directory / INDEX, earlier, FAILURES if retry_permanent else frozenset())
        claims.create(directory / CLAIMS, sum(left.values()))
    return token, left


def _refuse_unsafe(directory: Path) -> None:
    """Results are pickles, which can run code: whoever could write them could run code in the workers."""
    try:
        status = directory.stat()
    except FileNotFoundError:  # there is nothing, which harms nobody
        return
    if status.st_uid != os.geteuid() or status.st_mode & OTHERS_WRITE:
        msg = (
            f"{directory} belongs to somebody else, or others may write it, who could run code in the "
            f"workers: where it is yours and nobody has, `chmod go-w {directory}`, else run without resuming"
        )
        raise SessionError(msg)


def forget_old(runs_dir: Path, project: str, keep_runs: int, needed: Sequence[Run]) -> None:
    """Remove the results of all but the newest runs of a project; their journals stay.

    What is ``needed`` stays as well, what runs, and what that goes on from.
    """
    names, runs = {each.name for each in needed}, list(rundir.runs(runs_dir))
    for path, info in runs:
        if _runs(info) and info.resumes is not None:
            with suppress(OSError, msgspec.DecodeError):  # it is written or removed just now
                names.update(each.name for each in chain(path))
    own = [(path, info) for path, info in runs if info.project == project]
    for path, info in own[keep_runs:]:
        if info.run_id not in names and not _runs(info):
            shutil.rmtree(path / RESULTS, ignore_errors=True)


def _runs(info: RunInfo) -> bool:
    return rundir.effective_status(info) == "running"
