"""The failures of a run in lines of plain text: what failed, where, how often it was tried, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable.report.frames import last_user_frame
from scalable.report.harmless import one_line
from scalable.report.quantities import count, duration, size
from scalable.report.text import failed_count, task_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scalable.journal.records import FailureRecord
    from scalable.journal.summary import Summary

__all__ = ["FAST_S", "details", "entries", "error_words", "heading", "name_of"]

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


def entries(
    summary: Summary,
    own: Iterable[FailureRecord] | None = None,
    parked: Mapping[str | None, int] | None = None,
) -> Iterator[str]:
    """List the failures of a run: what ended the run itself first, then each task that failed for good.

    ``own`` are the records of those that failed by themselves, where there are more than a summary keeps;
    ``parked`` how many attempts of them were parked.
    """
    yield from heading(summary)
    upstream = [record for record in summary.failures if record.outcome == "upstream"]
    roots, listed = {record.root for record in upstream}, {}
    records = summary.failures if own is None else own
    uncounted = summary.uncounted if parked is None else parked
    number = 0
    for record in records:
        if record.outcome == "upstream":
            continue
        number += 1
        yield f"  {number}. {name_of(record)}"
        yield from (f"     {line}" for line in details(record, uncounted.get(record.key, 0)))
        if record.key in roots:
            listed[record.key] = f"{number}. {name_of(record)}"
    yield from _upstream_lines(upstream, listed, max(summary.upstream, len(upstream)), after=number > 0)
    yield from _missing(summary)


def heading(summary: Summary, groups: int = 0) -> Iterator[str]:
    """Say how many tasks failed, in how many groups; before it what ended the run itself."""
    ended = [f"The run ended with an error: {error_words(record)}" for record in summary.session_failures]
    yield from [*ended, ""] if ended else []
    total, failed = count(task_count(summary), "task"), failed_count(summary)
    if not failed:
        yield f"No task failed ({total})." if ended else f"No failures ({total})."
        return
    chosen = f"{summary.own + summary.upstream} selected, " if summary.selected else ""
    together = f" in {count(groups, 'group')}" if groups else ""
    yield f"Failures ({chosen}{failed} of {total}){together}:"
    yield ""


def _missing(summary: Summary) -> Iterator[str]:
    told = max(summary.given_up + summary.skipped, len(summary.failures))
    if missing := failed_count(summary) - told:
        verb = "has" if missing == 1 else "have"
        yield f"  {count(missing, 'failed task')} {verb} no record that can be read"


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


def name_of(record: FailureRecord) -> str:
    """Name a task by its call, or by what else is known of it."""
    named = (one_line(text or "", 200) for text in (record.call, record.function, record.task, record.key))
    return next(filter(None, named), "a task")


def details(record: FailureRecord, parked: int = 0) -> Iterator[str]:
    """Say what is known of a failure, a line for each thing; ``parked`` attempts are no retries."""
    yield f"Error: {error_words(record)}"
    if record.worker:
        yield f"Worker: {one_line(record.worker, 100)}"
    if record.duration_s is not None:
        yield f"Duration before failure: {duration(record.duration_s)}{_permanent(record)}"
    retries = (record.attempt or 1) - 1 - parked
    if retries > 0:
        yield f"Retries attempted: {retries} (all failed)"
    if record.outcome == "oom" and record.peak_rss_bytes:
        yield f"Peak memory: {size(record.peak_rss_bytes)}"
    yield from _why(record)
    if place := last_user_frame(record.traceback):
        yield f"At: {place}"
    if record.injected:
        yield "Injected: yes, by fault injection"
    yield from _last_output(record)


def _why(record: FailureRecord) -> Iterator[str]:
    if record.remembered:
        yield f"Not run again: {_before(record, one_line(record.remembered))} (--retry-permanent runs it)"
    elif record.reason and _stopped_early(record):
        yield f"Why: {one_line(record.reason)}"


def _before(record: FailureRecord, run: str) -> str:
    if record.outcome == "worker_lost":
        return f"it had begun when {run} ended, and idempotent=False forbids a second run"
    return f"it failed so in {run}, and what it saw is the same"


def _last_output(record: FailureRecord) -> Iterator[str]:
    if record.outcome in ENDED_FROM_OUTSIDE and record.output:
        yield "Last output:"
        yield from (f"  {one_line(line, 200)}" for line in record.output.splitlines()[-LAST_LINES:])


def _permanent(record: FailureRecord) -> str:
    if record.kind != "permanent" or record.duration_s is None:
        return ""
    fast = record.duration_s <= FAST_S and not record.remembered  # how long it took then is not known
    return " (fast fail — permanent error)" if fast else " (permanent error)"


def _stopped_early(record: FailureRecord) -> bool:
    """Whether it is not plain why there was no further attempt: retries were left, or a worker was lost."""
    attempt, most = record.attempt, record.max_attempts
    return record.outcome == "worker_lost" or (attempt is not None and most is not None and attempt < most)


def _upstream_lines(
    upstream: list[FailureRecord], listed: dict[str | None, str], number: int, *, after: bool
) -> Iterator[str]:
    if not upstream:
        return
    if after:
        yield ""
    yield f"  {count(number, 'task')} did not run because an input failed:"
    for record in upstream[:MOST_UPSTREAM]:
        yield f"     {name_of(record)}{_because(record, listed)}"
    if (more := number - MOST_UPSTREAM) > 0:
        yield f"     … and {more} more; --json lists them all"


def _because(record: FailureRecord, listed: dict[str | None, str]) -> str:
    """Name the root failure: with its number where it is in the list, else by its key."""
    if record.root is None:
        return ""
    return f", because of {listed.get(record.root) or one_line(record.root, 200)}"
