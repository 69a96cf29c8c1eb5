"""``scalable report``: how a run went, and what failed in it."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from scalable.cli.options import Json, RunsDir  # noqa: TC001 - Typer reads it
from scalable.cli.tell import USAGE, CommandError, say

__all__ = ["report"]

Last = Annotated[bool, Option("--last", "--latest", help="The newest run (this is the default).")]
Run = Annotated[str | None, Option("--run", metavar="ID", help="The run of this name, or of a part of it.")]
Failures = Annotated[bool, Option("--failures", help="List what failed, and why.")]


def report(
    *,
    last: Last = False,
    run: Run = None,
    failures: Failures = False,
    json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Show the summary of a run, or its failures."""
    if last and run is not None:
        msg = "--last and --run name different runs: give one of them"
        raise CommandError(msg, USAGE)
    from scalable.cli.places import runs_directory
    from scalable.report.locate import find_run, load

    summary = load(find_run(runs_directory(runs_dir), run))
    if json:
        from scalable.report.data import summary_data, to_json

        say(to_json(summary_data(summary, failures=failures)))
    elif failures:
        from scalable.report.failures import failure_lines

        say(*failure_lines(summary))
    else:
        from scalable.report.text import summary_lines

        say(*summary_lines(summary))
