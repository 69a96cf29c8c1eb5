"""Makes spans of records: of each task one, with an event for each attempt, failure and wait. Pure.

Names of attributes are those of OpenTelemetry's semantic conventions where there is one, else ``scalable.*``.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from scalable.core.text import short_name

__all__ = ["SpanEvent", "Stories", "TaskSpan", "nanoseconds"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICRO: Final = timedelta(microseconds=1)
MOST_TASKS: Final = 20_000
"""Tasks that failed and have not ended, of which events are kept."""
MOST_EVENTS: Final = 100
"""Events of one task; those of its last attempts are kept."""
ATTEMPT: Final = {
    "scalable.attempt.number": "attempt",
    "scalable.attempt.outcome": "outcome",
    "scalable.attempt.duration": "duration_s",
    "scalable.attempt.cpu_time": "cpu_s",
    "scalable.attempt.peak_rss": "peak_rss_bytes",
    "scalable.failure.kind": "kind",
    "scalable.failure.rule": "rule",
    "scalable.worker": "worker",
    "scalable.injected": "injected",
}
TASK: Final = {
    "code.function.name": "function",
    "scalable.task.name": "task",
    "scalable.task.key": "key",
    "scalable.task.call": "call",
    "scalable.task.state": "state",
    "scalable.task.attempts": "attempts",
    "scalable.task.result_size": "result_bytes",
    "scalable.component": "component",
    "scalable.worker": "worker",
    "scalable.cache": "cache",
}
WAITS: Final = {"retry": "scalable.retry", "park": "scalable.park"}

Attributes = dict[str, Any]
Line = dict[str, Any]


class SpanEvent(msgspec.Struct, frozen=True):
    """Something that happened at a time, in nanoseconds since the epoch."""

    name: str
    at_ns: int
    attributes: Attributes


class TaskSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A task from its submission to its end; ``error`` says why it failed."""

    name: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: tuple[SpanEvent, ...]
    error: str | None = None


class Stories:
    """Hears lines in their order; a task's last one gives its span."""

    def __init__(self) -> None:
        self._events: OrderedDict[str, list[SpanEvent]] = OrderedDict()
        self._last: dict[str, Line] = {}

    def hear(self, file: str, line: Line) -> TaskSpan | None:
        """Take a line in; returns a span where it ends a task."""
        key = line.get("key")
        if key is None:
            return None
        if file == "failures":
            self._keep(key, line)
        elif file == "tasks":
            return self._told(key, line)
        return None

    def _keep(self, key: str, line: Line) -> None:
        kept = self._events.setdefault(key, [])
        kept += _events_of(line)
        del kept[:-MOST_EVENTS]
        self._last[key] = line
        while len(self._events) > MOST_TASKS:
            self._last.pop(self._events.popitem(last=False)[0])

    def _told(self, key: str, line: Line) -> TaskSpan:
        events, last = self._events.pop(key, []), self._last.pop(key, None)
        if line["state"] == "succeeded":
            succeeded = {**line, "attempt": line["attempts"], "outcome": "succeeded"}
            events.append(_attempt(succeeded))
        begin = line["submitted_at"] if line["replaces"] is None else line["started_at"]
        start_ns = nanoseconds(begin or line["at"])
        error = _error(last) if line["state"] == "failed" else None
        attributes = _chosen(TASK, line)
        if error is not None:
            attributes["error.type"] = error[0]
        return TaskSpan(
            name=short_name(line["task"], line["function"]),
            start_ns=start_ns,
            end_ns=max(start_ns, nanoseconds(line["finished_at"] or line["at"])),
            attributes=attributes,
            events=tuple(events),
            error=None if error is None else error[1],
        )


def nanoseconds(text: str) -> int:
    """Read a time of the journal, exactly."""
    return (datetime.fromisoformat(text) - EPOCH) // MICRO * 1000


def _events_of(line: Line) -> list[SpanEvent]:
    """List what a line of ``failures.jsonl`` tells: the attempt, its exception, and the wait that follows."""
    at_ns = nanoseconds(line["at"])
    if line["event"] != "attempt_failed":
        return []
    found = [] if line["attempt"] is None else [_attempt(line)]
    if line["exception"] is not None:
        found.append(_exception(line, at_ns))
    if (name := WAITS.get(line["action"])) is not None:
        wait = {
            "scalable.delay": "delay_s",
            "scalable.reason": "reason",
            "scalable.attempt.number": "attempt",
        }
        found.append(SpanEvent(name, at_ns, _chosen(wait, line)))
    return found


def _attempt(line: Line) -> SpanEvent:
    began = line["started_at"] or line["at"]
    return SpanEvent("scalable.attempt", nanoseconds(began), _chosen(ATTEMPT, line))


def _exception(line: Line, at_ns: int) -> SpanEvent:
    """Make the event that the conventions have for an exception."""
    if line["started_at"] is not None and line["duration_s"] is not None:
        at_ns = nanoseconds(line["started_at"]) + round(line["duration_s"] * 1_000_000) * 1000
    told = {"exception.type": line["exception"]["type"], "exception.message": line["exception"]["message"]}
    more = {"exception.stacktrace": "traceback", "scalable.attempt.number": "attempt"}
    return SpanEvent("exception", at_ns, told | _chosen(more, line))


def _error(last: Line | None) -> tuple[str, str]:
    """The type of what made a task fail, and its words."""
    error = (last or {}).get("exception")
    if error is None:
        return "_OTHER", "failed"
    return error["type"], f"{error['type'].rpartition('.')[2]}: {error['message']}"


def _chosen(names: dict[str, str], line: Line) -> Attributes:
    """Attributes of a line under other names; what does not apply is left out."""
    return {name: line[field] for name, field in names.items() if line.get(field) is not None}
