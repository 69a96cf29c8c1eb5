"""``scalable diff``: what is different between two runs."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from scalable.cli.options import Json, RunsDir  # noqa: TC001 - Typer reads it
from scalable.cli.tell import say

__all__ = ["diff"]

Before = Annotated[
    str, Argument(metavar="BEFORE", help="A run: its id, the beginning or end of it, or its directory.")
]
After = Annotated[
    str, Argument(metavar="AFTER", help="Another one. `last` is the newest run, `last~1` the one before.")
]


def diff(before: Before, after: After, *, json: Json = False, runs_dir: RunsDir = None) -> None:
    """Show what is different between two runs.

    Failures that are new, gone or changed, what became of tasks, durations, totals and settings.
    """
    import msgspec

    from scalable.cli.places import runs_directory
    from scalable.report.data import to_json
    from scalable.report.diff import diff as compare
    from scalable.report.diff_text import diff_lines
    from scalable.report.locate import find_run

    directory = runs_directory(runs_dir)
    found = compare(find_run(directory, before), find_run(directory, after))
    if json:
        say(to_json(msgspec.to_builtins(found)))
        return
    for line in diff_lines(found):
        say(line)
