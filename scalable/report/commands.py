"""Commands that lead on from a run, as they are typed here: to read of its failures, to go on from it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scalable import places
from scalable.core.redact import HIDDEN
from scalable.errors import ScalableError
from scalable.journal import rundir
from scalable.report import locate
from scalable.report.harmless import one_line
from scalable.report.quantities import count

if TYPE_CHECKING:
    from scalable.journal.rundir import Launch
    from scalable.journal.summary import Summary

__all__ = ["failures_command", "left_words", "resume_lines"]


class Left(Protocol):
    """What a run finds of those it goes on from."""

    @property
    def run(self) -> str:
        """The run's id."""

    @property
    def results(self) -> int:
        """How many results."""

    @property
    def failures(self) -> int:
        """How many failures for good."""


def failures_command(run_dir: Path, *, lasting: bool = False) -> str:
    """Word the command that lists the failures of this run, so that it finds this run and no other.

    A ``lasting`` one names the run even if it is the newest: it will not always be.
    """
    which, where = _options(run_dir, lasting=lasting)
    return f"scalable report {which} --failures{where}"


def left_words(left: Left) -> str:
    """Say what there is to go on from: ``goes on from run-…: 95 results, 3 failures for good``."""
    words = [count(left.results, "result") if left.results else "no results"]
    if left.failures:
        words.append(f"{count(left.failures, 'failure')} for good (--retry-permanent runs them again)")
    return f"goes on from {one_line(left.run)}: {', '.join(words)}"


def resume_lines(summary: Summary, failed: int, *, lasting: bool = False) -> list[str]:
    """Lines with the commands that go on from a run, where there is something left to do."""
    launch = summary.info.launch
    if launch is None or summary.status == "running" or (summary.status == "completed" and not failed):
        return []
    which, where = _options(summary.run_dir, lasting=lasting)
    if launch.command == "python":
        run = one_line(summary.info.run_id)
        return [f"Go on from this run: {places.RESUME_VARIABLE}={run} python {_called(launch)}"]
    last = "last" if which == "--last" else shlex.quote(one_line(summary.info.run_id))
    lines = [f"Go on from this run: scalable run {_called(launch, f'--resume {last}')}"]
    if failed and not any(HIDDEN in each for each in launch.arguments):  # a rerun would refuse
        newest = "" if which == "--last" else f" {which}"
        lines.append(f"Run again what failed: scalable rerun --failures{newest}{where}")
    return lines


def _options(run_dir: Path, *, lasting: bool = False) -> tuple[str, str]:
    """Say which run is meant, ``--last`` or ``--run ID``, and where it is, empty where that is usual."""
    run_dir = run_dir.resolve()
    home = run_dir.parent
    newest = next((path.name for path, _ in rundir.runs(home)), run_dir.name)
    is_last = newest == run_dir.name and not lasting
    which = "--last" if is_last else f"--run {shlex.quote(one_line(run_dir.name))}"
    try:
        usual = locate.default_runs_dir().resolve() == home
    except (ScalableError, OSError):  # the manifest here does not say, or there is no "here" any more
        usual = False
    return which, "" if usual else f" --runs-dir {shlex.quote(locate.shown_path(home))}"


def _called(launch: Launch, *options: str) -> str:
    """Word what comes after the program: the file, its options, what it is given."""
    file = Path(launch.file)
    words = [shlex.quote(locate.shown_path(file)), *options]
    if launch.manifest is not None and not _is_found(Path(launch.manifest), file):
        words.append(f"--manifest {shlex.quote(locate.shown_path(Path(launch.manifest)))}")
    if launch.target is not None:
        words.append(f"--target {shlex.quote(one_line(launch.target))}")
    words += [f"--overlay {shlex.quote(one_line(each))}" for each in launch.overlays]
    given = [shlex.quote(one_line(each)) for each in launch.arguments]
    if options and any(each.startswith("-") for each in launch.arguments):
        words.append("--")
    return " ".join(words + given)


def _is_found(manifest: Path, file: Path) -> bool:
    """Whether the manifest is one that ``scalable run`` takes unasked."""
    return manifest in (file.with_name(places.MANIFEST), Path(places.MANIFEST).absolute())
