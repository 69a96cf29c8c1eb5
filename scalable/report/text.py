"""A run in lines of plain text: its summary, the table of runs, and how far a running one has come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scalable.core.lifecycle import ENDED
from scalable.core.text import short_name
from scalable.journal import rundir
from scalable.report import locate
from scalable.report.commands import failures_command, resume_lines
from scalable.report.harmless import one_line
from scalable.report.quantities import between, clock, count, duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scalable.journal.rundir import RunInfo
    from scalable.journal.summary import Summary

__all__ = [
    "failed_count",
    "headline",
    "progress_line",
    "run_duration",
    "run_seconds",
    "runs_lines",
    "summary_lines",
    "table",
    "task_count",
    "verdict",
]

COLUMNS = ("RUN", "STATUS", "TARGET", "TASKS", "STARTED", "DURATION")
GAP = "  "
MOST_CAUSES = 3


def summary_lines(summary: Summary, *, lasting: bool = False) -> list[str]:
    """Sum up a run: its verdict, and a line for each thing to know of it.

    ``lasting`` commands name the run even if it is the newest: it will not always be.
    """
    info, cache = summary.info, summary.cache
    looked_up = [count(cache.get("hit", 0), "hit"), count(cache.get("miss", 0), "miss", "misses")]
    looked_up += [f"{cache['damaged']} damaged"] if cache.get("damaged") else []
    lines = [headline(summary)]
    lines += [f"  Reason: {one_line(info.reason)}"] if info.reason else []
    lines += [
        f"  Target: {one_line(info.target)} ({one_line(info.provider)})",
        f"  Started: {clock(info.started_at)}",
        f"  Duration: {run_duration(info)}",
        f"  Cache: {', '.join(looked_up)}",
        f"  Lost compute time: {duration(summary.lost_s)}",
        *_parked_line(summary),
        *_resumed_lines(summary),
        f"  Records lost: {info.records_lost}",
        f"  Torn lines: {summary.torn}",
        *_newer_line(summary),
        f"  Files: {locate.shown_path(summary.run_dir)}",
    ]
    if failed_count(summary) or summary.session_failures:
        lines.append(f"  Failures: {failures_command(summary.run_dir, lasting=lasting)}")
    commands = resume_lines(summary, failed_count(summary), lasting=lasting)
    return lines + [f"  {line}" for line in commands]


def _resumed_lines(summary: Summary) -> list[str]:
    """Say what was not run again, as an earlier run had done it, and of which other code that is."""
    if not summary.resumed:
        return []
    runs = [f"{count(number, 'result')} of {one_line(run)}" for run, number in summary.resumed.items()]
    lines = [f"  Not run again: {', '.join(runs)}"]
    for function, number in sorted(summary.other_code.items(), key=str)[:MOST_CAUSES]:
        name = one_line(str(function).rpartition(".")[2], 100)
        lines.append(
            f"  Of other code: {count(number, 'result')} of {name} (--rerun-changed runs them again)"
        )
    return lines


def _newer_line(summary: Summary) -> list[str]:
    """Say that some of it may be missing."""
    if not summary.newer:
        return []
    lines = count(summary.newer, "line")
    return [f"  Written by a newer scalable: {lines}, of which this version may not read all: upgrade it"]


def _parked_line(summary: Summary) -> list[str]:
    """Say how many attempts were parked, and why: ``Parked attempts: 14 (ConnectionError — refused: 14)``."""
    if not summary.parked:
        return []
    causes = [f"{one_line(cause, 100)}: {number}" for cause, number in summary.parked.items()]
    shown = "; ".join(causes[:MOST_CAUSES]) + ("; …" if len(causes) > MOST_CAUSES else "")
    return [f"  Parked attempts: {sum(summary.parked.values())} ({shown})"]


def verdict(summary: Summary) -> str:
    """Say in one line how the run went: ``completed: 5 of 6 tasks succeeded, 1 failed``.

    The first word is the status; the run's id is left out. A run that goes on is counted so far.
    """
    return _verdict(summary, "")


def _verdict(summary: Summary, of_failed: str) -> str:
    total, failed = task_count(summary), failed_count(summary)
    so_far = " so far" if summary.status == "running" else ""
    # A run fails by an error of its own, which says nothing about its tasks.
    lead = "failed: an error ended the run;" if summary.status == "failed" else f"{summary.status}:"
    if total == 0:
        return f"{lead} {_nothing_ended(summary)}"
    words = [f"{summary.tasks.get('succeeded', 0)} of {count(total, 'task')} succeeded{so_far}"]
    words += [f"{failed} failed{of_failed}"] if failed else []
    words += [f"{number} not run again"] if (number := sum(summary.resumed.values())) else []
    words += [f"{number} cancelled"] if (number := summary.tasks.get("cancelled", 0)) else []
    words += [count(summary.retries, "retry", "retries")] if summary.retries else []
    words += [f"{summary.recovered} recovered"] if summary.recovered else []
    words += [f"{count(summary.injected, 'failure')} injected"] if summary.injected else []
    return f"{lead} {', '.join(words)}"


def headline(summary: Summary) -> str:
    """Say in one line which run it was, how it went, and what the failed attempts cost."""
    skipped = f" ({summary.skipped} of them skipped: an input failed)" if summary.skipped else ""
    lost = f"; {duration(summary.lost_s)} of compute lost" if summary.lost_s else ""
    return f"{one_line(summary.info.run_id)}: {_verdict(summary, skipped)}{lost}"


def _nothing_ended(summary: Summary) -> str:
    """Not to be mistaken for nothing having begun, of which the journal knows only what failed."""
    retries = f", {count(summary.retries, 'retry', 'retries')}" if summary.retries else ""
    if summary.status == "running":
        return f"no task has ended so far{retries}"
    return f"no task ended{retries}" if retries or summary.status == "interrupted" else "no tasks"


def failed_count(summary: Summary) -> int:
    """Count the tasks that failed for good; a failure is on disk a moment before its task's end is."""
    told = max(summary.given_up + summary.skipped, len(summary.failures))
    return max(summary.tasks.get("failed", 0), told)


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


def runs_lines(
    entries: Sequence[tuple[Path, RunInfo]], damaged: Sequence[tuple[Path, str]] = ()
) -> list[str]:
    """Lay out runs as a table, in the order given; below it those that cannot be read, and why."""
    broken = [f"{one_line(path.name, 100)}{GAP}damaged{GAP}{one_line(reason)}" for path, reason in damaged]
    if not entries:
        return broken or ["No runs yet."]
    return table([COLUMNS, *(_row(info) for _, info in entries)]) + broken


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lay out rows in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [GAP.join(map(str.ljust, row, widths)).rstrip() for row in rows]


def progress_line(overview: dict[str, int], parked: Sequence[dict[str, Any]] = ()) -> str:
    """Say how far a running session has come: ``7 of 10 tasks ended, 1 failed, 2 running, 1 waiting``.

    Parked tasks are among the waiting; ``parked`` says what they wait for.
    """
    counts = {state: number for state, number in overview.items() if state != "parked"}
    total = sum(counts.values())
    if not total:
        return "no tasks yet"
    words = [f"{sum(counts.get(state, 0) for state in ENDED)} of {count(total, 'task')} ended"]
    order = dict.fromkeys(("failed", "cancelled", "running", "waiting", "pending", *counts))
    words += [f"{counts[s]} {one_line(s)}" for s in order if s != "succeeded" and counts.get(s)]
    if number := overview.get("parked"):
        why = "; ".join(_parked_words(each) for each in parked)
        words.append(f"parked: {number} ({why})" if why else f"parked: {number}")
    return ", ".join(words)


def _parked_words(told: dict[str, Any]) -> str:
    """Word what a function's tasks wait for: ``fetch, ConnectionError: refused, 12 tasks since 14:03:07``."""
    name = one_line(short_name(told["task"], told["function"]), 60)
    since = datetime.fromtimestamp(told["since"]).astimezone().strftime("%H:%M:%S")
    return f"{name}, {one_line(told['error'], 100)}, {count(told['tasks'], 'task')} since {since}"


def _row(info: RunInfo) -> tuple[str, ...]:
    tasks = f"{info.counts.get('succeeded', 0)}/{sum(info.counts.values())}" if info.counts else "-"
    cells = (info.run_id, rundir.effective_status(info), info.target, tasks)
    return (*(one_line(cell, 100) or "-" for cell in cells), clock(info.started_at), run_duration(info))
