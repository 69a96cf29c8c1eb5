"""A run in lines of plain text: its summary, the table of runs, and how far a running one has come."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scalable.errors import ScalableError
from scalable.journal import rundir
from scalable.report import locate
from scalable.report.harmless import one_line
from scalable.report.quantities import between, clock, count, duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scalable.journal.rundir import RunInfo
    from scalable.journal.summary import Summary

__all__ = [
    "failed_count",
    "progress_line",
    "run_duration",
    "run_seconds",
    "runs_lines",
    "summary_lines",
    "task_count",
    "verdict",
]

COLUMNS = ("RUN", "STATUS", "TARGET", "TASKS", "STARTED", "DURATION")
GAP = "  "
ENDED = ("succeeded", "failed", "cancelled")


def summary_lines(summary: Summary) -> list[str]:
    """Sum up a run: its verdict, and a line for each thing to know of it."""
    info, cache = summary.info, summary.cache
    looked_up = [count(cache.get("hit", 0), "hit"), count(cache.get("miss", 0), "miss", "misses")]
    looked_up += [f"{cache['damaged']} damaged"] if cache.get("damaged") else []
    lines = [f"{one_line(info.run_id)}: {verdict(summary)}"]
    lines += [f"  Reason: {one_line(info.reason)}"] if info.reason else []
    lines += [
        f"  Target: {one_line(info.target)} ({one_line(info.provider)})",
        f"  Started: {clock(info.started_at)}",
        f"  Duration: {run_duration(info)}",
        f"  Cache: {', '.join(looked_up)}",
        f"  Lost compute time: {duration(summary.lost_s)}",
        f"  Records lost: {info.records_lost}",
        f"  Torn lines: {summary.torn}",
        f"  Files: {locate.shown_path(summary.run_dir)}",
    ]
    if failed_count(summary) or summary.session_failures:
        lines.append(f"  Failures: {_failures_command(summary.run_dir)}")
    return lines


def verdict(summary: Summary) -> str:
    """Say in one line how the run went: ``completed: 5 of 6 tasks succeeded, 1 failed``.

    The first word is the status; the run's id is left out. A run that goes on is counted so far.
    """
    total, failed = task_count(summary), failed_count(summary)
    so_far = " so far" if summary.status == "running" else ""
    if total == 0:
        return f"{summary.status}: no tasks{so_far}"
    words = [f"{summary.tasks.get('succeeded', 0)} of {count(total, 'task')} succeeded{so_far}"]
    words += [f"{failed} failed"] if failed else []
    words += [f"{number} cancelled"] if (number := summary.tasks.get("cancelled", 0)) else []
    words += [count(summary.retries, "retry", "retries")] if summary.retries else []
    words += [f"{summary.recovered} recovered"] if summary.recovered else []
    return f"{summary.status}: {', '.join(words)}"


def failed_count(summary: Summary) -> int:
    """Count the tasks that failed for good; a failure is on disk a moment before its task's end is."""
    return max(summary.tasks.get("failed", 0), len(summary.failures))


def task_count(summary: Summary) -> int:
    """Count the tasks that came to an end, :func:`failed_count` of them failed."""
    return summary.total - summary.tasks.get("failed", 0) + failed_count(summary)


def run_seconds(info: RunInfo, now: datetime | None = None) -> float | None:
    """Return how long a run took, or has been running, in seconds; ``None`` where its end is not known."""
    end = info.finished_at
    if end is None and rundir.effective_status(info) == "running":
        end = (now or datetime.now(UTC)).isoformat()
    return between(info.started_at, end)


def run_duration(info: RunInfo, now: datetime | None = None) -> str:
    """Word how long a run took: ``2.3s``, ``12.3s so far``, or ``unknown`` where its end is."""
    words = duration(run_seconds(info, now))
    running = info.finished_at is None and rundir.effective_status(info) == "running"
    return f"{words} so far" if running else words


def runs_lines(entries: Sequence[tuple[Path, RunInfo]]) -> list[str]:
    """Lay out runs as a table, in the order given."""
    if not entries:
        return ["No runs yet."]
    rows = [COLUMNS, *(_row(info) for _, info in entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [GAP.join(map(str.ljust, row, widths)).rstrip() for row in rows]


def progress_line(overview: dict[str, int]) -> str:
    """Say how far a running session has come: ``7 of 10 tasks ended, 1 failed, 2 running, 1 waiting``."""
    total = sum(overview.values())
    if not total:
        return "no tasks yet"
    words = [f"{sum(overview.get(state, 0) for state in ENDED)} of {count(total, 'task')} ended"]
    order = dict.fromkeys(("failed", "cancelled", "running", "waiting", "pending", *overview))
    words += [f"{overview[s]} {one_line(s)}" for s in order if s != "succeeded" and overview.get(s)]
    return ", ".join(words)


def _row(info: RunInfo) -> tuple[str, ...]:
    tasks = f"{info.counts.get('succeeded', 0)}/{sum(info.counts.values())}" if info.counts else "-"
    cells = (info.run_id, rundir.effective_status(info), info.target, tasks)
    return (*(one_line(cell, 100) or "-" for cell in cells), clock(info.started_at), run_duration(info))


def _failures_command(run_dir: Path) -> str:
    """Word the command that lists the failures of this run, so that it finds this run and no other."""
    run_dir = run_dir.resolve()
    home = run_dir.parent
    newest = next((path.name for path, _ in rundir.runs(home)), run_dir.name)
    which = "--last" if newest == run_dir.name else f"--run {shlex.quote(one_line(run_dir.name))}"
    command = f"scalable report {which} --failures"
    try:
        usual = locate.default_runs_dir().resolve() == home
    except (ScalableError, OSError):  # the manifest here does not say, or there is no "here" any more
        usual = False
    return command if usual else f"{command} --runs-dir {shlex.quote(locate.shown_path(home))}"
