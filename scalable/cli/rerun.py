"""``scalable rerun``: begins a run again as it was begun, all of it or what is left of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from scalable.cli.options import Last, Run, RunsDir, refuse_both
from scalable.cli.tell import CommandError
from scalable.core.redact import HIDDEN

if TYPE_CHECKING:
    from scalable.journal.rundir import Launch, RunInfo

__all__ = ["rerun"]

Failures = Annotated[
    bool, Option("--failures", help="Run only what failed, or did not end: all else is as it was.")
]


def rerun(
    *, last: Last = False, run: Run = None, failures: Failures = False, runs_dir: RunsDir = None
) -> int:
    """Run a workflow again, all of it or what failed.

    It begins as the earlier run did: the same file, arguments, manifest, target and directory. With
    --failures, what succeeded in that run is not run again; what failed is, also for good.
    """
    from scalable.cli.places import runs_directory
    from scalable.cli.run import carried_out, session_for
    from scalable.report.locate import find_run, info_of

    refuse_both({"--last": last, "--run": run is not None}, "name different runs")
    path = find_run(runs_directory(runs_dir), run)
    launch = _launch(info_of(path))
    os.chdir(launch.directory)
    session = session_for(Path(launch.file), launch.manifest, launch.target, launch.overlays)
    if failures:
        session.resume(str(path.absolute()), retry_permanent=True)
    return carried_out(session, Path(launch.file), list(launch.arguments), launch.target)


def _launch(info: RunInfo) -> Launch:
    launch = info.launch
    if launch is None:
        msg = (
            f"how {info.run_id} was begun is not written down: begin it again with "
            f"`scalable run WORKFLOW.py --resume {info.run_id}`"
        )
        raise CommandError(msg)
    if launch.command != "run":
        msg = (
            f"{info.run_id} was not begun by `scalable run`: "
            f"begin it again with SCALABLE_RESUME={info.run_id} in the environment"
        )
        raise CommandError(msg)
    if any(HIDDEN in each for each in launch.arguments):
        msg = (
            f"{info.run_id} was given a secret, which is not written down: begin it again with `scalable run`"
        )
        raise CommandError(msg)
    for what, name in (
        ("workflow", launch.file),
        ("manifest", launch.manifest),
        ("directory", launch.directory),
    ):
        if name is not None and not Path(name).exists():
            msg = f"the {what} of {info.run_id} is not there any more: {name}"
            raise CommandError(msg)
    return launch
