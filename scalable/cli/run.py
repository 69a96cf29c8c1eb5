"""``scalable run``: a session around the ``main`` of a workflow file, and what became of it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from scalable.cli.options import Target  # noqa: TC001 - Typer reads it
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
    from scalable.plan import Plan
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


def run(
    workflow: File,
    arguments: Arguments = None,
    manifest: Manifest = None,
    target: Target = None,
    max_failures: MaxFailures = None,
    inject: Inject = None,
) -> int:
    """Run a workflow and print the verdict.

    It opens a session, calls the file's main(client, *ARGS), and closes the session. Without a manifest
    the work runs on this machine.
    """
    from scalable.cli.workflow import Workflow, find

    path = find(workflow)
    given = list(arguments or ())
    session = _session(path, manifest, target)
    if max_failures is not None:
        session.limit_failures(_whole(max_failures))
    faults = _fault_plan(inject)
    _warn(session.plan())  # what is wrong with the manifest is told before anything runs
    location = path.absolute()  # the workflow may change the directory
    with _arguments_as_of(path, given):
        try:
            loaded = Workflow.load(location, given)
        except SystemExit as end:
            return _exit_code(end)
        _check_names(faults)
        error = _worked(session, loaded, faults)
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
    from scalable.report.locate import load, shown_path
    from scalable.report.text import failed_count, failures_command, verdict

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
