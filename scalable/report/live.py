"""A run that goes on in lines of plain text, as it stands now: for a terminal or a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalable.journal import rundir
from scalable.report.commands import failures_command
from scalable.report.harmless import one_line
from scalable.report.quantities import count, duration
from scalable.report.text import progress_line, run_duration, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scalable.journal.live import Cause, Function, View
    from scalable.journal.rundir import RunInfo

__all__ = ["live_lines"]

FUNCTIONS = ("TASK", "ENDED", "OK", "FAILED", "RETRIES", "MEAN", "LONGEST")
CAUSES = ("ATTEMPTS", "FINAL", "ERROR", "LAST", "WORKER")
MOST_WORKERS = 8
MOST_ROWS = 10
ERROR_CHARS, CALL_CHARS = 60, 40


def live_lines(
    run_dir: Path,
    info: RunInfo,
    view: View,
    overview: dict[str, int],
    parked: Sequence[dict[str, Any]] = (),
) -> list[str]:
    """Say how a run stands. ``overview`` and ``parked`` are the scheduler's word, empty where it has none."""
    status = rundir.effective_status(info)
    lines = [f"{one_line(info.run_id)}: {status} on {one_line(info.target)}, {run_duration(info)}"]
    lines.append(f"  {progress_line(overview, parked) if overview else _ended(view)}")
    lines += [f"  {_others(view)}"] if _others(view) else []
    if view.functions:
        lines += ["", *table([FUNCTIONS, *map(_function, view.functions[:MOST_ROWS])])]
    if view.causes:
        lines += ["", *table([CAUSES, *map(_cause, view.causes[:MOST_ROWS])])]
    if view.failed:
        lines += ["", f"see the failures: {failures_command(run_dir)}"]
    return lines


def _ended(view: View) -> str:
    """Where nobody says how many tasks there are: those that have ended."""
    failed = f", {view.failed} failed" if view.failed else ""
    return f"{count(view.ended, 'task')} ended{failed}" if view.ended else "no task has ended so far"


def _others(view: View) -> str:
    resumed = sum(each.resumed for each in view.functions)
    words = [f"{resumed} not run again"] if resumed else []
    words += [count(view.retries, "retry", "retries")] if view.retries else []
    words += [f"{view.recovered} recovered"] if view.recovered else []
    if view.workers:
        named = ", ".join(one_line(name, 40) for name in view.workers[:MOST_WORKERS])
        more = f" and {len(view.workers) - MOST_WORKERS} more" if len(view.workers) > MOST_WORKERS else ""
        words.append(f"workers {named}{more}")
    words += [f"{count(view.lost, 'worker')} lost"] if view.lost else []
    return "; ".join(words)


def _function(each: Function) -> tuple[str, ...]:
    numbers = (each.ended, each.succeeded, each.failed, each.retries)
    mean = duration(each.total_s / each.timed) if each.timed else "-"
    return (one_line(each.name, CALL_CHARS), *map(str, numbers), mean, duration(each.longest_s))


def _cause(each: Cause) -> tuple[str, ...]:
    message = one_line(each.message)
    error = one_line(f"{each.error}: {message}" if message else each.error, ERROR_CHARS)
    call = one_line(each.call or each.name, CALL_CHARS)
    return (str(each.attempts), str(each.final), error, call, one_line(each.worker or "-", 40))
