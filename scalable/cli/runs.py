"""``scalable runs``: which runs there are."""

from __future__ import annotations

from scalable.cli.options import Json, RunsDir  # noqa: TC001 - Typer reads it
from scalable.cli.tell import say

__all__ = ["runs"]


def runs(*, runs_dir: RunsDir = None, json: Json = False) -> None:
    """List the runs, newest first, and then those that are damaged."""
    from scalable.cli.places import runs_directory
    from scalable.journal.rundir import damaged
    from scalable.journal.rundir import runs as runs_in

    directory = runs_directory(runs_dir)
    found, broken = runs_in(directory), damaged(directory)
    if json:
        from scalable.report.data import damaged_data, run_data, to_json

        say(to_json([run_data(*each) for each in found] + [damaged_data(*each) for each in broken]))
    else:
        from scalable.report.text import runs_lines

        say(*runs_lines(found, broken))
