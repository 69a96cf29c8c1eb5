"""``scalable run``: a session around the ``main`` of a workflow file, and what became of it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from scalable.cli.options import Overlay, Target  # noqa: TC001 - Typer reads it
from scalable.cli.tell import (
    DONE,
    FAILED,
    PERMANENT_FAILURES,
    USAGE,
    CommandError,
    say,
)
from scalable.errors import PlanError, ScalableError
from scalable.places import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalable.cli.workflow import Workflow
    from scalable.faults import FaultPlan
    from scalable.journal.rundir import Launch
    from scalable.plan import Plan
    from scalable.session.session import ScalableSession

__all__ = ["carried_out", "run", "session_for"]

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
MaxFailures = Annotated[
    str | None,
    Option(
        "--max-failures",
        metavar="N",
        help="Stop when more than N tasks failed for good; default: what the manifest says.",
    ),
]

Inject = Annotated[
    str | None,
    Option(
        "--inject",
        metavar="PLAN",
        help="Faults to inject into its tasks, such as `kind=raise,probability=0.2,seed=7`.",
    ),
]
Resume = Annotated[
    str | None,
    Option(
        "--resume",
        metavar="RUN",
        help="Go on from a run, by its id or `last`: what succeeded there is not run again.",
    ),
]
RetryPermanent = Annotated[
    bool, Option("--retry-permanent", help="With --resume: run again what failed for good there, too.")
]
RerunChanged = Annotated[
    bool, Option("--rerun-changed", help="With --resume: run again what succeeded with other code, too.")
]


def run(  # noqa: PLR0913 - each is an option
    workflow: File,
    arguments: Arguments = None,
    manifest: Manifest = None,
    target: Target = None,
    overlay: Overlay = None,
    max_failures: MaxFailures = None,
    inject: Inject = None,
    resume: Resume = None,
    *,
    retry_permanent: RetryPermanent = False,
    rerun_changed: RerunChanged = False,
) -> int:
    """Run a workflow and print the verdict.

    It opens a session, calls the file's main(client, *ARGS), and closes the session. Without a manifest
    the work runs on this machine.
    """
    from scalable.cli.workflow import find

    path = find(workflow)
    session = session_for(path, manifest, target, tuple(overlay or ()))
    if max_failures is not None:
        session.limit_failures(_whole(max_failures))
    if resume is not None:
        session.resume(resume, retry_permanent=retry_permanent, rerun_changed=rerun_changed)
    elif retry_permanent or rerun_changed:
        msg = (
            f"--{'retry-permanent' if retry_permanent else 'rerun-changed'} is about a run: give --resume RUN"
        )
        raise CommandError(msg, USAGE)
    return carried_out(session, path, list(arguments or ()), target, _fault_plan(inject))


def carried_out(
    session: ScalableSession,
    path: Path,
    given: list[str],
    target: str | None = None,
    faults: FaultPlan | None = None,
) -> int:
    """Run the workflow of a file in a session that has not begun; returns the exit code."""
    from scalable.cli.workflow import Workflow

    _warn(session.plan())  # what is wrong with the manifest is told before anything runs
    location = _location(path)  # the workflow may change the directory
    session.launched_by(_launch(session, location, given, target))
    with _arguments_as_of(path, given):
        try:
            loaded = Workflow.load(location, given)
        except SystemExit as end:
            return _exit_code(end)
        _check_names(faults)
        error = _worked(session, loaded, faults)
    return _outcome(session, error, location)


def _location(path: Path) -> Path:
    """The file, named from the root, and without a way up and down again: that would be another module."""
    short = Path(os.path.abspath(path))  # noqa: PTH100 - as `absolute` leaves what goes up
    return short if short.exists() and short.samefile(path) else path.absolute()


def _launch(session: ScalableSession, location: Path, given: list[str], target: str | None) -> Launch | None:
    from scalable.journal.rundir import Launch

    source = session.manifest_file
    try:
        directory = Path.cwd()
    except OSError:  # it is gone: there is no way back
        return None
    return Launch(
        command="run",
        file=str(location),
        arguments=tuple(given),
        manifest=None if source is None else str(source.absolute()),
        target=target,
        overlays=session.plan().overlays,
        directory=str(directory),
    )


def session_for(
    path: Path, manifest: str | None, target: str | None, overlays: tuple[str, ...] = ()
) -> ScalableSession:
    """Return a session for a workflow: of a manifest that is named, beside it or here, else of none."""
    from scalable.session.session import ScalableSession

    candidates = [Path(manifest)] if manifest is not None else [path.with_name(MANIFEST), Path(MANIFEST)]
    for candidate in candidates:
        if manifest is not None or candidate.exists():
            return ScalableSession.from_yaml(candidate, target, overlays)
    if target not in {None, "auto", "local"}:
        msg = f"there is no {MANIFEST} beside {path.name} or here: without one there is no target `{target}`"
        raise CommandError(msg, USAGE)
    if overlays:
        msg = f"there is no {MANIFEST} beside {path.name} or here: without one there are no overlays"
        raise CommandError(msg, USAGE)
    return ScalableSession.local()


def _whole(text: str) -> int:
    if not text.isdecimal():
        msg = f"--max-failures takes a whole number from 0, not {text!r}"
        raise CommandError(msg, USAGE)
    return int(text)


def _warn(plan: Plan) -> None:
    """Say where tasks will run elsewhere than they ask for, and that faults are injected."""
    from scalable.plan.model import INJECTED

    begins = [f"Component `{name}` (" for name, component in plan.components.items() if component.runs_as]
    for warning in plan.warnings:
        if warning.startswith((INJECTED, *begins)):
            sys.stderr.write(f"warning: {warning}\n")


@contextmanager
def _arguments_as_of(path: Path, arguments: list[str]) -> Iterator[None]:
    """Let ``sys.argv`` be what it is when Python runs the file."""
    before = sys.argv
    sys.argv = [str(path), *arguments]
    try:
        yield
    finally:
        sys.argv = before


def _fault_plan(text: str | None) -> FaultPlan | None:
    from scalable.faults.plan import parse

    if text is None:
        return None
    try:
        return parse(text)
    except PlanError as error:
        raise CommandError(str(error), USAGE) from error


def _check_names(faults: FaultPlan | None) -> None:
    """See whether there are such exceptions; they may be the workflow's own, so it is loaded by now."""
    from scalable.engine.strike import check_errors

    try:
        check_errors(faults.raised if faults is not None else ())
    except PlanError as error:
        raise CommandError(str(error), USAGE) from error


def _worked(session: ScalableSession, workflow: Workflow, faults: FaultPlan | None) -> BaseException | None:
    """Run the workflow in the session and close it; returns what ended its work early.

    Raises what kept the session from starting.
    """
    from scalable.cli.progress import shown

    client = session.start()
    _tell_resumed(session)
    ended: BaseException | None = None
    try:
        if faults is not None:
            client.faults.begin(faults)
    except PlanError as error:
        session.close(error)
        raise
    try:
        with shown(session.overview, session.parked):
            workflow.run(client)
    except BaseException as error:  # noqa: BLE001 - also Ctrl-C: the run's end is written down first
        ended = error
    try:
        session.close(ended)
    except KeyboardInterrupt as interrupt:  # pressed meanwhile; everything is closed by now
        return interrupt
    return ended


def _tell_resumed(session: ScalableSession) -> None:
    """Say which run this one goes on from, and what that left."""
    from scalable.report.commands import left_words

    if session.resumes is not None:
        sys.stderr.write(f"{left_words(session.resumes)}\n")


def _outcome(session: ScalableSession, ended: BaseException | None, location: Path) -> int:
    """Print what became of the run, and return the exit code."""
    failed = 0
    try:
        failed = _told(session.run_dir)
    except ScalableError:  # the run cannot be read: worth telling where nothing worse happened
        if ended is None:
            raise
    if ended is None and session.stopped is not None:
        raise CommandError(session.stopped)
    if ended is None:
        return PERMANENT_FAILURES if failed else DONE
    if isinstance(ended, SystemExit):
        return _exit_code(ended) or (PERMANENT_FAILURES if failed else DONE)
    if isinstance(ended, Exception):
        from scalable.cli.workflow import raised

        raise CommandError(raised(ended, location)) from ended
    raise ended


def _told(run_dir: Path) -> int:
    """Print the verdict and where the run is, and how to read of its failures; returns how many there are."""
    from scalable.report.commands import failures_command
    from scalable.report.locate import load, shown_path
    from scalable.report.text import failed_count, verdict

    summary = load(run_dir)
    say(f"{verdict(summary)} ({shown_path(run_dir)})")
    failed = failed_count(summary)
    if failed:
        say(f"see the failures: {failures_command(run_dir)}")
    return failed


def _exit_code(end: SystemExit) -> int:
    """Return the code of ``sys.exit(code)`` as Python itself would: a text is an error to be shown."""
    if end.code is None:
        return DONE
    if isinstance(end.code, int):
        return end.code
    sys.stderr.write(f"{end.code}\n")
    return FAILED
