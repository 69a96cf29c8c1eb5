"""What became of tasks, by their keys: the newest from memory, older ones from the journal."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.failure import Failure
from scalable.journal.reader import Stream
from scalable.journal.records import FailureRecord, TaskRecord, failure_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["AttemptInfo", "History", "TaskInfo", "Times"]

MOST_KEPT = 10_000
"""Lines, of one or two kB each; what is older is read from the journal when it is asked for."""
FILES = ("failures", "tasks")
Line = tuple[str, dict[str, Any]]


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it is now.

    ``status`` is ``pending``, ``deferred`` (inputs are missing), ``running``, ``waiting`` (for its next
    attempt, or parked), ``succeeded``, ``error``, ``cancelled``, ``died``, ``timeout``, ``upstream`` or
    ``lost``. ``attempts`` have begun so far. ``worker`` is where the newest one ran or runs, ``pid`` the
    process of that worker while it does. ``depends_on`` and ``dependents`` are keys; they and
    ``max_attempts`` are known while the scheduler has the task. ``cpu_s`` and ``peak_rss_bytes`` are what the
    newest attempt that is over used, as far as can be told.
    """

    key: str
    status: str
    task: str | None = None
    function: str | None = None
    component: str | None = None
    attempts: int = 0
    max_attempts: int | None = None
    isolate: bool = False
    timeout_s: float | None = None
    worker: str | None = None
    pid: int | None = None
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None
    depends_on: tuple[str, ...] = ()
    dependents: tuple[str, ...] = ()


class AttemptInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a task that is over. ``outcome`` is ``succeeded``, ``cancelled`` or that of its failure.

    ``duration_s`` was measured on the worker; ``result_bytes`` is the size of what a success returned.
    ``cpu_s`` are seconds of CPU, ``peak_rss_bytes`` the most memory that its process had meanwhile; ``None``
    where nobody can tell.
    """

    number: int
    outcome: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_s: float | None = None
    worker: str | None = None
    failure: Failure | None = None
    result_bytes: int | None = None
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """When a task was submitted, and its newest attempt began and ended; ``None``: it has not yet."""

    submitted_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class History:
    """The lines of ``failures.jsonl`` and ``tasks.jsonl`` about each task of a run."""

    def __init__(self, run_dir: Path, most: int = MOST_KEPT, *, shown: Callable[[str], str] = str) -> None:
        self._run_dir = run_dir
        self.shown = shown  # how the lines write a key
        self._most = most
        self._kept: OrderedDict[str, list[Line]] = OrderedDict()
        self._lines = 0
        self._wrapped = False

    def hear(self, file: str, records: list[dict[str, Any]]) -> None:
        """Keep the lines that were just written to a file."""
        for record in records if file in FILES else ():
            if (key := record.get("key")) is not None:
                self._kept.setdefault(key, []).append((file, record))
                self._lines += 1
        while self._lines > self._most:
            self._lines -= len(self._kept.popitem(last=False)[1])
            self._wrapped = True

    def drop(self, key: str) -> None:
        """Let go of a task; the journal has it all the same."""
        self._lines -= len(self._kept.pop(self.shown(key), ()))

    def attempts(self, key: str) -> list[AttemptInfo]:
        """List the attempts that are over, the oldest first."""
        found: dict[int, AttemptInfo] = {}
        for file, record in self._of(key):
            number = record.get("attempt") if file == "failures" else record["attempts"]
            if file == "failures" and record["event"] == "attempt_failed" and number is not None:
                found[number] = _failed(record)
            elif file == "tasks" and record["state"] != "failed" and number not in found and number:
                found[number] = _ended(record)
        return [found[number] for number in sorted(found)]

    def failure(self, key: str) -> Failure | None:
        """Say why a task failed for good; ``None`` where it did not, or not as the last that is known."""
        failures = [record for file, record in self._of(key) if file == "failures"]
        last = failures[-1] if failures else None
        return failure_in(last) if last is not None and last.get("action") == "give_up" else None

    def end(self, key: str) -> dict[str, Any] | None:
        """The last line of ``tasks.jsonl`` about a task."""
        ends = [record for file, record in self._of(key) if file == "tasks"]
        return ends[-1] if ends else None

    def all(self) -> list[Line]:
        """Every line, each with its file, in order of time."""
        if self._wrapped:
            found = [(file, _plain(each)) for file in FILES for each in self._read(file)]
        else:
            found = [line for lines in self._kept.values() for line in lines]
        return sorted(found, key=_at)

    def _of(self, key: str) -> list[Line]:
        key = self.shown(key)
        kept = self._kept.get(key)
        if not self._wrapped:
            return kept or []
        of_journal = [(file, _plain(each)) for file in FILES for each in self._read(file, key)]
        return sorted(of_journal, key=_at)

    def _read(self, file: str, key: str | None = None) -> list[FailureRecord | TaskRecord]:
        stream = Stream(self._run_dir, file, about=key or "")
        return [
            each
            for each in stream
            if isinstance(each, FailureRecord | TaskRecord) and (each.key == key or key is None)
        ]


def _at(line: Line) -> str:
    return line[1]["at"] or ""


def _plain(record: FailureRecord | TaskRecord) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields


def _failed(record: dict[str, Any]) -> AttemptInfo:
    started, duration_s = when(record["started_at"]), record["duration_s"]
    ended = None
    if started is not None and duration_s is not None:
        ended = started + timedelta(seconds=duration_s)
    return AttemptInfo(
        number=record["attempt"],
        outcome=record["outcome"],
        started_at=started,
        finished_at=ended,
        duration_s=duration_s,
        worker=record["worker"],
        failure=failure_in(record),
        cpu_s=record["cpu_s"],
        peak_rss_bytes=record["peak_rss_bytes"],
    )


def _ended(record: dict[str, Any]) -> AttemptInfo:
    return AttemptInfo(
        number=record["attempts"],
        outcome=record["state"],
        started_at=when(record["started_at"]),
        finished_at=when(record["finished_at"]),
        duration_s=record["duration_s"],
        worker=record["worker"],
        result_bytes=record["result_bytes"],
        cpu_s=record["cpu_s"],
        peak_rss_bytes=record["peak_rss_bytes"],
    )


def when(text: str | None) -> datetime | None:
    """Read a time of the journal."""
    return None if text is None else datetime.fromisoformat(text)
