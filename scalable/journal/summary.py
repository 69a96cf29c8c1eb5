"""A run in numbers and its final failures: one pass over its files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

import msgspec

from scalable.core.lifecycle import ENDED
from scalable.journal.reader import Stream
from scalable.journal.records import CacheRecord, FailureRecord, TaskRecord
from scalable.journal.rundir import RunInfo, Status, effective_status, read_info

__all__ = ["Summary", "summarise"]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to.

    ``tasks`` counts ended tasks by state; ``retries`` attempts that were tried again; ``recovered`` tasks
    that succeeded after failing; ``lost_s`` seconds of compute spent on failed attempts; ``failures`` the
    last record of each task that failed for good, in the order of their ends; ``torn`` unreadable lines;
    ``parked`` attempts that were parked, by what failed; ``uncounted`` the same by key; ``injected`` failed
    attempts that came of a fault on purpose.
    """

    run_dir: Path
    info: RunInfo
    status: Status
    tasks: dict[str, int]
    retries: int
    recovered: int
    lost_s: float
    cache: dict[str, int]
    failures: tuple[FailureRecord, ...]
    session_failures: tuple[FailureRecord, ...]
    torn: int
    parked: dict[str, int] = {}
    uncounted: dict[str | None, int] = {}
    injected: int = 0

    @property
    def total(self) -> int:
        """Tasks that ended."""
        return sum(self.tasks.values())


def summarise(run_dir: Path) -> Summary:
    """Fold a run's files. Raises ``OSError`` or ``msgspec.DecodeError`` where ``run.json`` is unreadable."""
    info = read_info(run_dir)
    tasks, failures, cache = (Stream(run_dir, file) for file in ("tasks", "failures", "cache"))
    ends = _Ends()
    for ended in tasks:
        ends.add(cast("TaskRecord", ended))
    fold = _Failures()
    for record in failures:
        fold.add(cast("FailureRecord", record))
    lookups: Counter[str] = Counter(cast("CacheRecord", record).event for record in cache)
    return Summary(
        run_dir=run_dir,
        info=info,
        status=effective_status(info),
        tasks={state: ends.states[state] for state in ENDED},
        retries=fold.retries,
        recovered=fold.recovered,
        lost_s=fold.lost_s,
        cache=dict(lookups),
        failures=tuple(record for record in fold.final.values() if record.key not in ends.undone),
        session_failures=tuple(fold.of_session),
        parked=dict(fold.parked.most_common()),
        uncounted=dict(fold.uncounted),
        injected=fold.injected,
        torn=tasks.torn + failures.torn + cache.torn,
    )


class _Ends:
    """The fold over ``tasks.jsonl``. ``undone`` are tasks that failed, and ended otherwise when retried."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.undone: set[str | None] = set()

    def add(self, record: TaskRecord) -> None:
        self.states[record.state] += 1
        if record.replaces is not None:
            self.states[record.replaces] = max(0, self.states[record.replaces] - 1)  # its line may be lost
        if record.state == "failed":
            self.undone.discard(record.key)
        elif record.replaces == "failed":
            self.undone.add(record.key)


class _Failures:
    """The fold over ``failures.jsonl``."""

    def __init__(self) -> None:
        self.retries = 0
        self.recovered = 0
        self.injected = 0
        self.lost_s = 0.0
        self.final: dict[str | None, FailureRecord] = {}
        self.of_session: list[FailureRecord] = []
        self.parked: Counter[str] = Counter()
        self.uncounted: Counter[str | None] = Counter()
        self._parked_last: dict[str | None, int | None] = {}

    def add(self, record: FailureRecord) -> None:
        if record.event == "session_failed":
            self.of_session.append(record)
        elif record.event == "recovered":
            self.recovered += 1
            self.final.pop(record.key, None)
        else:
            self._add_attempt(record)

    def _add_attempt(self, record: FailureRecord) -> None:
        if self._parked_last.pop(record.key, None) != record.attempt or record.attempt is None:
            self.lost_s += record.duration_s or 0.0  # else its deadline came: the attempt is told twice
        self.injected += record.injected
        self.final.pop(record.key, None)  # an older one, of a task that was retried by hand
        if record.action == "retry":
            self.retries += 1
        elif record.action == "park":
            self._add_parked(record)
        else:
            self.final[record.key] = record

    def _add_parked(self, record: FailureRecord) -> None:
        error = record.exception
        name = error.type.rpartition(".")[2] if error else "unknown"
        message = error.message.partition("\n")[0][:100] if error else ""
        self.parked[f"{name} — {message}" if message else name] += 1
        self.uncounted[record.key] += 1
        self._parked_last[record.key] = record.attempt
