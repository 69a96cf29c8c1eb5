"""Holds a run's journal against what every run promises, whatever happened in it.

``check`` reads the files once, line by line, and keeps a few numbers for each task.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from scalable.faults.kinds import HARMLESS
from scalable.journal.reader import Stream
from scalable.journal.records import FailureRecord, FaultRecord, TaskRecord
from scalable.journal.rundir import FILES, read_info

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scalable.journal.records import Record
    from scalable.journal.rundir import RunInfo

__all__ = ["Checked", "check"]

CLOCK_S = 0.05
"""By so much a wait may seem too short: timers are a little early."""


class Checked(msgspec.Struct, frozen=True):
    """What was looked at, and what should not be: each violation in words, with its task's key."""

    tasks: int
    failures: int
    injected: int
    violations: tuple[str, ...]


class _Task(msgspec.Struct):
    """What is known of one task: there may be millions, so what is empty is shared."""

    failed: int = 0  # lines of failed attempts
    struck: tuple[FaultRecord, ...] = ()
    told: frozenset[int] = frozenset()  # attempts that failed
    injected: frozenset[int] = frozenset()  # attempts that failed by a fault, as is said
    ends: tuple[TaskRecord, ...] = ()
    last: FailureRecord | None = None  # its last line in failures.jsonl


def check(run_dir: Path) -> Checked:
    """Read a run, and list what breaks a promise.

    Raises ``OSError`` or ``msgspec.DecodeError`` where there is none.
    """
    look = _Look(read_info(run_dir))
    violations = [words for file in FILES for words in look.file(run_dir, file)]
    violations += look.whole()
    return Checked(len(look.tasks), look.failures, look.injected, tuple(violations))


class _Look:
    """One reading of a run."""

    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self.tasks: dict[str, _Task] = {}
        self.failures = self.injected = 0
        self.has_faults = False

    def file(self, run_dir: Path, file: str) -> Iterator[str]:
        """Read a file in its order."""
        stream, seq = Stream(run_dir, file), 0
        for record in stream:
            if record.seq != seq + 1:
                yield f"{FILES[file]}: line {record.seq} follows line {seq}"
            if record.run_id != self.info.run_id:
                yield f"{FILES[file]}: line {record.seq} is of another run, {record.run_id}"
            seq = record.seq
            yield from self._line(record)
        if stream.newer:
            yield f"{FILES[file]}: {stream.newer} lines are of a newer scalable, not known to this one"
        if stream.torn > (self.info.status != "completed"):
            yield f"{FILES[file]}: {stream.torn} lines cannot be read"

    def _line(self, record: Record) -> Iterator[str]:
        if isinstance(record, TaskRecord):
            yield from self._end(self.tasks.setdefault(record.key, _Task()), record)
        elif isinstance(record, FailureRecord) and record.key is not None:
            known = self.tasks.setdefault(record.key, _Task())
            story = self._recovered if record.event == "recovered" else self._failure
            yield from (f"{record.key}: {words}" for words in story(known, record))
            known.last = record
        elif isinstance(record, FaultRecord):
            known = self.tasks.setdefault(record.key, _Task())
            known.struck = (*known.struck, record)
            self.has_faults = True

    # --- a line ------------------------------------------------------------------------------------------

    def _failure(self, known: _Task, record: FailureRecord) -> Iterator[str]:
        self.failures += 1
        self.injected += record.injected
        if record.attempt is not None:
            known.told |= {record.attempt}
            if record.injected and record.outcome != "worker_lost":  # one at another task may have killed it
                known.injected |= {record.attempt}
        before = known.last
        if record.action is None or not record.reason or record.exception is None:
            yield f"line {record.seq} says not what failed, or not what follows"
        if record.action == "retry" and record.delay_s is None:
            yield f"line {record.seq} says not how long the wait is"
        yield from _numbered(before, record)
        if before is not None and self.info.waits and not _is_same(before, record):
            yield from _waited(before, record)
        known.failed += 1

    def _recovered(self, known: _Task, record: FailureRecord) -> Iterator[str]:
        if known.last is None or known.last.event == "recovered":
            yield f"line {record.seq} says that it recovered, but it had not failed"

    def _end(self, known: _Task, record: TaskRecord) -> Iterator[str]:
        before = known.ends[-1].state if known.ends else None
        is_new = before is not None and (record.submitted_at or "") >= (known.ends[-1].at or "")
        if record.replaces != before and not (is_new and record.replaces is None):
            said = f"it had ended before, {before}" if before else "it had not ended before"
            yield f"{record.key}: its end, {record.state}, replaces {record.replaces}, but {said}"
        known.ends = (*known.ends, record)

    # --- a task, and all -----------------------------------------------------------------------------------

    def whole(self) -> Iterator[str]:
        """Say what only the end of the files shows."""
        for key, known in self.tasks.items():
            yield from (f"{key}: {words}" for words in self._story(known))
        if self.info.status == "completed":
            counts = Counter(known.ends[-1].state for known in self.tasks.values() if known.ends)
            told = {state: count for state, count in self.info.counts.items() if count}
            if told and told != dict(counts):  # none: the scheduler was gone before it could tell
                yield f"run.json counts {told}, but tasks.jsonl has {dict(counts)}"

    def _story(self, known: _Task) -> Iterator[str]:
        if self.has_faults:
            yield from _accounted(known)
        if not known.ends:
            if self.info.status == "completed" and known.last is not None:
                yield "it failed, but never ended"
            return
        end, last = known.ends[-1], known.last
        gave_up = last is not None and last.action == "give_up"
        later = last is not None and (last.at or "") > (end.at or "")  # its result was needed once more
        if end.state == "failed" and not gave_up:
            yield "it failed for good, but no line of failures.jsonl says so"
        if end.state == "succeeded" and last is not None and last.event != "recovered" and not later:
            yield "it succeeded after failures, but no line says that it recovered"
        if gave_up and not any(each.state == "failed" for each in known.ends):
            yield f"it was given up, but ended as {end.state}"
        once = len(known.ends) == 1 and end.state == "succeeded" and not later
        if once and end.attempts != known.failed + 1:
            yield f"it succeeded with attempts={end.attempts}, after {known.failed} that failed"


def _accounted(known: _Task) -> Iterator[str]:
    """See whether each fault made its attempt fail, and each injected failure has its fault."""
    struck = {each.attempt: each for each in known.struck}  # the last line of each
    for attempt in sorted(known.injected - struck.keys()):
        yield f"attempt {attempt} failed by a fault, but none was injected"
    ended = bool(known.ends) and known.ends[-1].state != "cancelled"
    upstream = known.last is not None and known.last.outcome == "upstream"
    # Where a result is computed once more and nobody wants it any more, the end that was told stands.
    told = max((each.attempts for each in known.ends if each.state == "succeeded"), default=math.inf)
    for attempt, fault in sorted(struck.items()):
        harmless = fault.event == "withdrawn" or fault.fault in HARMLESS or attempt > told
        if ended and not harmless and not upstream and attempt not in known.told:
            yield f"{fault.fault} was injected into attempt {attempt}, but that did not fail"


def _numbered(before: FailureRecord | None, record: FailureRecord) -> Iterator[str]:
    """See whether attempts count up, but for those that were parked, and stay within their number."""
    attempt = record.attempt
    if attempt is None:  # it never ran: an input failed
        return
    if before is None or before.attempt is None:
        if attempt < 1:
            yield f"its first failure is of attempt {attempt}"
    elif attempt < before.attempt + (before.action != "park" and not _is_same(before, record)):
        yield f"attempt {attempt} fails after attempt {before.attempt}"
    granted = record.escalated_to is not None or (before is not None and before.escalated_to is not None)
    if record.max_attempts is not None and attempt > record.max_attempts and not granted:
        yield f"attempt {attempt} of at most {record.max_attempts}"


def _is_same(before: FailureRecord, record: FailureRecord) -> bool:
    """Whether a line tells of an attempt again: its wait was broken off, as there was no more time."""
    return record.action == "give_up" and record.attempt == before.attempt


def _waited(before: FailureRecord, record: FailureRecord) -> Iterator[str]:
    """See whether an attempt began after the wait that was decided before it.

    Its end is of the clock by which the wait was decided, and its duration of none.
    """
    if before.action != "retry" or before.at is None or record.at is None or record.duration_s is None:
        return
    began = datetime.fromisoformat(record.at) - timedelta(seconds=record.duration_s)
    waited = began - datetime.fromisoformat(before.at)
    if waited.total_seconds() < (before.delay_s or 0.0) - CLOCK_S:
        late = f"{waited.total_seconds():.2f} s after a failure, not {before.delay_s} s"
        yield f"attempt {record.attempt} began {late}"
