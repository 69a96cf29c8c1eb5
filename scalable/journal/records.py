"""The lines of a run's files, as structs. Field order is the order on disk.

Times are UTC with milliseconds, durations seconds. ``schema`` and ``seq`` are put in front by the
writer, which alone knows them.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec

from scalable.core.failure import ExceptionInfo, Failure, Kind, Outcome
from scalable.core.lifecycle import Ending
from scalable.core.text import clean

__all__ = [
    "CacheRecord",
    "FailureRecord",
    "FaultRecord",
    "Record",
    "TaskRecord",
    "WorkerRecord",
    "failure_in",
    "fields_of",
    "rounded",
    "utc",
]

SCHEMA = 1
MOST_BITS = 63
_wire = msgspec.msgpack.Encoder()


def utc(at: float | None) -> str | None:
    """Seconds since the epoch as ``2026-11-21T09:30:00.123Z``."""
    if at is None:
        return None
    fraction, whole = math.modf(at)
    seconds, micro = divmod(round(fraction * 1_000_000), 1_000_000)
    return f"{_second(int(whole) + seconds)}.{micro // 1000:03d}Z"


def rounded(seconds: float | None) -> float | None:
    """Durations of records, to the microsecond: what is finer is noise, and long to read."""
    return None if seconds is None else round(seconds, 6)


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    """Each record has several times, most of the same few seconds: the calendar is asked once for each."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class FailureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``failures.jsonl``: one failed attempt, a recovery, or the failure of the session itself."""

    schema: int = SCHEMA
    seq: int = 0
    at: str | None = None
    run_id: str | None = None
    event: Literal["attempt_failed", "recovered", "session_failed"]
    key: str | None = None
    task: str | None = None
    function: str | None = None
    call: str | None = None
    component: str | None = None
    attempt: int | None = None
    max_attempts: int | None = None
    outcome: Outcome | None = None
    kind: Kind | None = None
    rule: str | None = None
    action: Literal["retry", "give_up", "park"] | None = None
    delay_s: float | None = None
    wait_s: float | None = None
    reason: str | None = None
    root: str | None = None
    escalated_from: str | None = None
    escalated_to: str | None = None
    exception: ExceptionInfo | None = None
    traceback: str | None = None
    fingerprint: str | None = None
    worker: str | None = None
    address: str | None = None
    host: str | None = None
    pid: int | None = None
    exit_code: int | None = None
    signal: str | None = None
    started_at: str | None = None
    duration_s: float | None = None
    peak_rss_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    output: str | None = None
    injected: bool = False


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``tasks.jsonl``: a task that reached its end.

    ``replaces`` is the state of an earlier line of the same key, where the task was retried by hand.
    """

    schema: int = SCHEMA
    seq: int = 0
    at: str | None = None
    run_id: str | None = None
    key: str
    task: str | None = None
    function: str | None = None
    call: str | None = None
    component: str | None = None
    state: Ending
    replaces: Ending | None = None
    attempts: int
    submitted_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    duration_s: float | None = None
    worker: str | None = None
    result_bytes: int | None = None
    cache: Literal["hit", "miss"] | None = None
    peak_rss_bytes: int | None = None


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``workers.jsonl``: something that happened to a worker.

    It ``started``, was ``lost`` (how, says ``exit_code`` or ``signal``), ``retired`` in good order, is
    ``stuck`` and to be replaced, or was ``quarantined``. ``running`` are keys of tasks that it ran.
    """

    schema: int = SCHEMA
    seq: int = 0
    at: str | None = None
    run_id: str | None = None
    event: Literal["started", "lost", "retired", "stuck", "quarantined"]
    worker: str
    address: str | None = None
    host: str | None = None
    pid: int | None = None
    threads: int | None = None
    memory_bytes: int | None = None
    exit_code: int | None = None
    signal: str | None = None
    reason: str | None = None
    running: tuple[str, ...] = ()


class CacheRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``cache.jsonl``: a look-up by a cached function inside a task."""

    schema: int = SCHEMA
    seq: int = 0
    at: str | None = None
    run_id: str | None = None
    event: Literal["hit", "miss", "damaged"]
    function: str | None = None
    cache_key: str | None = None
    key: str | None = None
    task: str | None = None
    worker: str | None = None
    duration_s: float | None = None
    bytes: int | None = None


class FaultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``faults.jsonl``: a fault that an attempt is sent with, or that is taken back in time.

    There is such a file where faults were injected; ``fault`` is the kind of it.
    """

    schema: int = SCHEMA
    seq: int = 0
    at: str | None = None
    run_id: str | None = None
    event: Literal["injected", "withdrawn"]
    key: str
    task: str | None = None
    function: str | None = None
    attempt: int
    fault: str
    error: str | None = None
    worker: str | None = None


Record = FailureRecord | TaskRecord | WorkerRecord | CacheRecord | FaultRecord

_WRITERS = ("schema", "seq", "run_id")


def fields_of(record: Record) -> dict[str, Any]:
    """Give a record as the writer takes it: plain data, without what the writer alone knows."""
    fields: dict[str, Any] = msgspec.to_builtins(record)
    for name in _WRITERS:
        del fields[name]
    try:
        _wire.encode(fields)
    except (ValueError, OverflowError):  # a lone surrogate in a name, a number without end: it must not stop
        fields = {name: _sendable(value) for name, value in fields.items()}  # all that is sent after it
    return fields


def _sendable(value: Any) -> Any:
    """Write out what no message can carry."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > MOST_BITS:
        return None
    if isinstance(value, dict):
        return {clean(str(key)): _sendable(each) for key, each in value.items()}
    return [_sendable(each) for each in value] if isinstance(value, list | tuple) else value


def failure_in(fields: dict[str, Any]) -> Failure:
    """Read the failure of a line of ``failures.jsonl`` back: its time in seconds since the epoch again."""
    known = {name: fields[name] for name in Failure.__struct_fields__ if fields.get(name) is not None}
    if "started_at" in known:
        known["started_at"] = datetime.fromisoformat(known["started_at"]).timestamp()
    return msgspec.convert(known, Failure)
