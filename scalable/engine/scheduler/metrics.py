"""What became of all attempts and tasks of a scheduler, as numbers that only grow: counted record by record.

All sessions of a scheduler count here what they tell their journals, from the first of them to the
scheduler's end. How the numbers are told is a matter of :mod:`scalable.engine.scheduler.prometheus`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final

from scalable.journal.records import CacheRecord, FailureRecord, TaskRecord

if TYPE_CHECKING:
    from scalable.journal.elements import ElementsTold
    from scalable.journal.records import Record

__all__ = ["Histogram", "Metrics"]

BOUNDS_S: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
SUCCEEDED: Final = "succeeded"


class Histogram:
    """Seconds, counted by the bound below which they are."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count a value in."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def buckets(self) -> list[tuple[str, int]]:
        """Give each bound, as text, with how many values are not above it."""
        total, found = 0, []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found


class Metrics:
    """The numbers of one scheduler; its event loop counts."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()  # by outcome and kind
        self.ends: Counter[str] = Counter()  # of tasks, by state
        self.durations: dict[str, Histogram] = {}  # of attempts, by outcome
        self.waits = Histogram()
        self.lookups: Counter[str] = Counter()
        self.workers_lost = 0

    def count(self, record: Record) -> None:
        """Count what a session tells."""
        if isinstance(record, TaskRecord):
            self.ends[record.state] += 1
            if record.state == SUCCEEDED and record.resumed is None:
                self._attempt(SUCCEEDED, "", record.duration_s)
        elif isinstance(record, FailureRecord):
            self._failure(record)
        elif isinstance(record, CacheRecord):
            self.lookups[record.event] += 1

    def count_elements(self, told: ElementsTold) -> None:
        """Count calls of a grid that travelled in a batch."""
        self.ends[SUCCEEDED] += len(told.well)
        self.ends["failed"] += len(told.skipped)
        self.ends["cancelled"] += len(told.cancelled)
        for _, _, duration_s, *_, (resumed, _), _ in told.well:
            if resumed is None:
                self._attempt(SUCCEEDED, "", duration_s)

    def _failure(self, record: FailureRecord) -> None:
        if record.event != "attempt_failed" or record.attempt is None:  # it recovered, or never ran
            return
        self._attempt(record.outcome or "error", record.kind or "", record.duration_s)
        if record.action == "retry" and record.delay_s is not None:
            self.waits.add(record.delay_s)

    def _attempt(self, outcome: str, kind: str, duration_s: float | None) -> None:
        self.attempts[outcome, kind] += 1
        if duration_s is not None:
            self.durations.setdefault(outcome, Histogram()).add(duration_s)
