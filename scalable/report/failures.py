"""The failures of a run in lines of plain text: what failed, where, how often it was tried, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable.report.frames import last_user_frame
from scalable.report.harmless import one_line
from scalable.report.quantities import count, duration, size
from scalable.report.text import failed_count, task_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalable.journal.records import FailureRecord
    from scalable.journal.summary import Summary

__all__ = ["error_words", "failure_lines"]

FAST_S = 10.0  # a permanent failure within this time is called a fast one
MOST_UPSTREAM = 20
LAST_LINES = 5  # of what an isolated task printed
ENDED_FROM_OUTSIDE = ("died", "timeout", "oom")
OUTCOMES = {
    "timeout": "the task ran into its time limit",
    "oom": "the task ran out of memory",
    "died": "the process of the task died",
    "worker_lost": "the worker was lost",
    "upstream": "an input of the task failed",
    "cancelled": "the task was cancelled",
}


def failure_lines(summary: Summary) -> list[str]:
    """List the failures of a run: what ended the run itself first, then each task that failed for good."""
    lines = [f"The run ended with an error: {error_words(record)}" for record in summary.session_failures]
    lines += [""] if lines else []
    total, failed = count(task_count(summary), "task"), failed_count(summary)
    if not failed:
        return [*lines, f"No task failed ({total})." if lines else f"No failures ({total})."]
    lines += [f"Failures ({failed} of {total}):", ""]
    own = [record for record in summary.failures if record.outcome != "upstream"]
    for number, record in enumerate(own, 1):
        lines += [f"  {number}. {_name(record)}", *(f"     {line}" for line in _details(record, summary))]
    upstream = [record for record in summary.failures if record.outcome == "upstream"]
    lines += _upstream_lines(upstream, own)
    if missing := failed - len(summary.failures):
        verb = "has" if missing == 1 else "have"
        lines.append(f"  {count(missing, 'failed task')} {verb} no record that can be read")
    return lines


def error_words(record: FailureRecord) -> str:
    """Word what was raised: ``ValueError — no such site: 4``; without an exception, what happened."""
    if record.exception is None:
        return _ending(record)
    kind = one_line(record.exception.type.rpartition(".")[2], 100) or "Exception"
    message = one_line(record.exception.message)
    return f"{kind} — {message}" if message else kind


def _ending(record: FailureRecord) -> str:
    words = OUTCOMES.get(record.outcome or "") or one_line(record.reason or "") or "the error is not known"
    if record.signal:
        return f"{words} ({one_line(record.signal, 40)})"
    return words if record.exit_code is None else f"{words} (exit code {record.exit_code})"


def _name(record: FailureRecord) -> str:
    named = (one_line(text or "", 200) for text in (record.call, record.function, record.task, record.key))
    return next(filter(None, named), "a task")


def _details(record: FailureRecord, summary: Summary) -> Iterator[str]:
    yield f"Error: {error_words(record)}"
    if record.worker:
        yield f"Worker: {one_line(record.worker, 100)}"
    if record.duration_s is not None:
        yield f"Duration before failure: {duration(record.duration_s)}{_permanent(record)}"
    retries = (record.attempt or 1) - 1 - summary.uncounted.get(record.key, 0)
    if retries > 0:
        yield f"Retries attempted: {retries} (all failed)"
    if record.outcome == "oom" and record.peak_rss_bytes:
        yield f"Peak memory: {size(record.peak_rss_bytes)}"
    if record.reason and _stopped_early(record):
        yield f"Why: {one_line(record.reason)}"
    if place := last_user_frame(record.traceback):
        yield f"At: {place}"
    if record.injected:
        yield "Injected: yes, by fault injection"
    yield from _last_output(record)


def _last_output(record: FailureRecord) -> Iterator[str]:
    if record.outcome in ENDED_FROM_OUTSIDE and record.output:
        yield "Last output:"
        yield from (f"  {one_line(line, 200)}" for line in record.output.splitlines()[-LAST_LINES:])


def _permanent(record: FailureRecord) -> str:
    if record.kind != "permanent" or record.duration_s is None:
        return ""
    return " (fast fail — permanent error)" if record.duration_s <= FAST_S else " (permanent error)"


def _stopped_early(record: FailureRecord) -> bool:
    """Whether it is not plain why there was no further attempt: retries were left, or a worker was lost."""
    attempt, most = record.attempt, record.max_attempts
    return record.outcome == "worker_lost" or (attempt is not None and most is not None and attempt < most)


def _upstream_lines(upstream: list[FailureRecord], own: list[FailureRecord]) -> Iterator[str]:
    if not upstream:
        return
    if own:
        yield ""
    yield f"  {count(len(upstream), 'task')} did not run because an input failed:"
    listed = {record.key: f"{number}. {_name(record)}" for number, record in enumerate(own, 1)}
    for record in upstream[:MOST_UPSTREAM]:
        yield f"     {_name(record)}{_because(record, listed)}"
    if (more := len(upstream) - MOST_UPSTREAM) > 0:
        yield f"     … and {more} more; --json lists them all"


def _because(record: FailureRecord, listed: dict[str | None, str]) -> str:
    """Name the root failure: with its number where it is in the list, else by its key."""
    if record.root is None:
        return ""
    return f", because of {listed.get(record.root) or one_line(record.root, 200)}"
