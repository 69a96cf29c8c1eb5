"""``scalable check-run``: whether the journal of a run keeps what every run promises."""

from __future__ import annotations

from scalable.cli.options import RunArgument, RunsDir  # noqa: TC001 - Typer reads it
from scalable.cli.tell import DONE, FAILED, say

__all__ = ["check_run"]


def check_run(run: RunArgument = None, *, runs_dir: RunsDir = None) -> int:
    """Check the journal of a run.

    Each task ends once, each attempt is accounted for, and each fault that was injected.
    """
    from scalable.cli.places import runs_directory
    from scalable.journal.check import check
    from scalable.report.harmless import one_line
    from scalable.report.locate import find_run, load, shown_path

    path = find_run(runs_directory(runs_dir), run)
    load(path)  # says so where its run.json is damaged
    checked = check(path)
    injected = f", {checked.injected} of them injected" if checked.injected else ""
    what = f"{checked.tasks} tasks, {checked.failures} failed attempts{injected}"
    if not checked.violations:
        say(f"ok: {what} ({shown_path(path)})")
        return DONE
    say(f"wrong: {what}; {len(checked.violations)} violations ({shown_path(path)})")
    say(*(f"  {one_line(words, 300)}" for words in checked.violations))
    return FAILED
