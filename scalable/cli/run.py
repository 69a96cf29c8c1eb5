"""``scalable run``: a session around the ``main`` of a workflow file, and what became of it."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from scalable.cli.options import Target  # noqa: TC001 - Typer reads it
from scalable.cli.places import MANIFEST
from scalable.cli.tell import (
    DONE,
    FAILED,
    PERMANENT_FAILURES,
    USAGE,
    CommandError,
    say,
)
from scalable.errors import ScalableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalable.cli.workflow import Workflow
    from scalable.session.session import ScalableSession

__all__ = ["run"]

File = Annotated[
    str, Argument(metavar="WORKFLOW.py", help="The file with a function `main(client)`.", show_default=False)
]
Arguments = Annotated[
    list[str] | None,
    Argument(metavar="ARGS", help="Texts for main(client, *ARGS); options of its own come after `--`."),
]
Manifest = Annotated[
    str | None,
    Option(
        "--manifest",
        "-m",
        metavar="FILE",
        help="The manifest; default: scalable.yaml beside the workflow or here, else none.",
    ),
]


def run(workflow: File, arguments: Arguments = None, manifest: Manifest = None, target: Target = None) -> int:
    """Run a workflow and print the verdict.

    It opens a session, calls the file's main(client, *ARGS), and closes the session. Without a manifest
    the work runs on this machine.
    """
    from scalable.cli.workflow import Workflow, find

    path = find(workflow)
    given = list(arguments or ())
    session = _session(path, manifest, target)
    session.plan()  # what is wrong with the manifest is told before anything runs
    location = path.absolute()  # the workflow may change the directory
    with _arguments_as_of(path, given):
        try:
            loaded = Workflow.load(location, given)
        except SystemExit as end:
            return _exit_code(end)
        error = _worked(session, loaded)
    return _outcome(session, error, location)


def _session(path: Path, manifest: str | None, target: str | None) -> ScalableSession:
    from scalable.session.session import ScalableSession

    candidates = [Path(manifest)] if manifest is not None else [path.with_name(MANIFEST), Path(MANIFEST)]
    for candidate in candidates:
        if manifest is not None or candidate.exists():
            return ScalableSession.from_yaml(candidate, target)
    if target not in {None, "auto", "local"}:
        msg = f"there is no {MANIFEST} beside {path.name} or here: without one there is no target `{target}`"
        raise CommandError(msg, USAGE)
    return ScalableSession.local()


@contextmanager
def _arguments_as_of(path: Path, arguments: list[str]) -> Iterator[None]:
    """Let ``sys.argv`` be what it is when Python runs the file."""
    before = sys.argv
    sys.argv = [str(path), *arguments]
    try:
        yield
    finally:
        sys.argv = before


def _worked(session: ScalableSession, workflow: Workflow) -> BaseException | None:
    """Run the workflow in the session and close it; returns what ended its work early.

    Raises what kept the session from starting.
    """
    from scalable.cli.progress import shown

    client = session.start()
    ended: BaseException | None = None
    try:
        with shown(session.overview):
            workflow.run(client)
    except BaseException as error:  # noqa: BLE001 - also Ctrl-C: the run's end is written down first
        ended = error
    try:
        session.close(ended)
    except KeyboardInterrupt as interrupt:  # pressed meanwhile; everything is closed by now
        return interrupt
    return ended


def _outcome(session: ScalableSession, ended: BaseException | None, location: Path) -> int:
    """Print what became of the run, and return the exit code."""
    try:
        failed = _told(session.run_dir)
    except ScalableError:  # the run cannot be read: worth telling where nothing worse happened
        if ended is None:
            raise
    if ended is None:
        return PERMANENT_FAILURES if failed else DONE
    if isinstance(ended, SystemExit):
        return _exit_code(ended)
    if isinstance(ended, Exception):
        from scalable.cli.workflow import raised

        raise CommandError(raised(ended, location)) from ended
    raise ended


def _told(run_dir: Path) -> int:
    """Print the verdict, and where to read about failures, if there are any; returns how many there are."""
    from scalable.report.locate import load
    from scalable.report.text import failed_count, verdict

    summary = load(run_dir)
    say(verdict(summary))
    failed = failed_count(summary)
    if failed:
        say(f"see the failures: scalable report --last --failures{_elsewhere(run_dir.parent)}")
    return failed


def _elsewhere(runs_dir: Path) -> str:
    """Name the directory of runs where ``scalable report`` would not look by itself."""
    from scalable.report.locate import default_runs_dir, shown_path

    try:
        usual = default_runs_dir().resolve() == runs_dir.resolve()
    except (ScalableError, OSError):  # the manifest here cannot say, or there is no "here" any more
        usual = False
    return "" if usual else f" --runs-dir {shlex.quote(shown_path(runs_dir))}"


def _exit_code(end: SystemExit) -> int:
    """Return the code of ``sys.exit(code)`` as Python itself would: a text is an error to be shown."""
    if end.code is None:
        return DONE
    if isinstance(end.code, int):
        return end.code
    sys.stderr.write(f"{end.code}\n")
    return FAILED
