"""``scalable runs``: which runs there are."""

from __future__ import annotations

from scalable.cli.options import Json, RunsDir  # noqa: TC001 - Typer reads it
from scalable.cli.tell import say

__all__ = ["runs"]


def runs(*, runs_dir: RunsDir = None, json: Json = False) -> None:
    """List the runs, newest first."""
    from scalable.cli.places import runs_directory
    from scalable.journal.rundir import runs as runs_in

    found = runs_in(runs_directory(runs_dir))
    if json:
        from scalable.report.data import run_data, to_json

        say(to_json([run_data(path, info) for path, info in found]))
    else:
        from scalable.report.text import runs_lines

        say(*runs_lines(found))
