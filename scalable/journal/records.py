"""The lines of a run's files, as structs. Field order is the order on disk.

Times are UTC with milliseconds, durations seconds. ``schema`` and ``seq`` are put in front by the
writer, which alone knows them.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

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
    "begun",
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


def begun(began: float | None, duration_s: float | None, at: float) -> float | None:
    """A start that leaves room for the duration before the record: worker and scheduler have two clocks."""
    if began is None or duration_s is None:
        return began
    return min(began, math.floor(at * 1000) / 1000 - round(duration_s, 6))


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    """Each record has several times, most of the same few seconds: the calendar is asked once for each."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


FORM_OF_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time", "pattern": FORM_OF_TIME})]
"""A time in UTC with milliseconds: ``2026-11-21T09:30:00.123Z``."""

SchemaNumber = Annotated[int, Meta(description="Version of the form of this line.")]
Number = Annotated[int, Meta(description="Number of the line in its file, from 1; a gap shows a loss.")]
At = Annotated[Time | None, Meta(description="When it was told.")]
RunId = Annotated[str | None, Meta(description="The run, as its directory is called.")]
Key = Annotated[str | None, Meta(description="Dask's key of the task, 1 kB of it at most.")]
TheKey = Annotated[str, Meta(description="Dask's key of the task, 1 kB of it at most.")]
TaskName = Annotated[str | None, Meta(description="Name of the task, as `task=` gave it.")]
FunctionName = Annotated[str | None, Meta(description="Qualified name of the function.")]
ComponentName = Annotated[str | None, Meta(description="The component whose workers run it.")]
WorkerName = Annotated[str | None, Meta(description="Name of the worker that it ran on.")]

Cpu = Annotated[
    float | None, Meta(description="Seconds of CPU of the attempt, the last one; null where nobody can tell.")
]
Peak = Annotated[
    int | None,
    Meta(
        description="Most bytes of memory of its process meanwhile; null where nobody can tell, and "
        "for one that succeeded within 1 ms of CPU time."
    ),
]
CallText = Annotated[
    str | None,
    Meta(description="The call with its arguments shortened; what is to be redacted is shown as `***`."),
]


class FailureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``failures.jsonl``: one failed attempt, a recovery, or the failure of the session itself."""

    schema: SchemaNumber = SCHEMA
    seq: Number = 0
    at: At = None
    run_id: RunId = None
    event: Annotated[
        Literal["attempt_failed", "recovered", "session_failed"],
        Meta(description="A failed attempt, a success after failures, or the failure of the session."),
    ]
    key: Key = None
    task: TaskName = None
    function: FunctionName = None
    call: CallText = None
    component: ComponentName = None
    attempt: Annotated[
        int | None, Meta(description="Which attempt it was, from 1; null where it never ran.")
    ] = None
    max_attempts: Annotated[
        int | None,
        Meta(
            description="Attempts that it may have; those spoilt by lost workers, and parked ones, are added."
        ),
    ] = None
    outcome: Annotated[
        Outcome | None, Meta(description="How the attempt ended; `died`: its isolated process did.")
    ] = None
    kind: Annotated[
        Kind | None,
        Meta(description="What sort of failure it is, which decides whether it is worth another attempt."),
    ] = None
    rule: Annotated[
        str | None, Meta(description="The rule of classification that said so; `scalable rules` lists them.")
    ] = None
    action: Annotated[
        Literal["retry", "give_up", "park"] | None,
        Meta(description="What follows: another attempt, none, or to wait until its function works again."),
    ] = None
    delay_s: Annotated[float | None, Meta(description="Seconds until the next attempt.")] = None
    wait_s: Annotated[
        float | None,
        Meta(description="Seconds of wait that the failure itself asked for: `retry_after`, `Retry-After`."),
    ] = None
    reason: Annotated[str | None, Meta(description="Why that follows, in words.")] = None
    root: Annotated[
        str | None,
        Meta(description="Where the outcome is `upstream`: the key of the task whose failure is to blame."),
    ] = None
    escalated_from: Annotated[
        str | None,
        Meta(
            description="What the attempt had, where the next one gets more: component, or memory, timeout."
        ),
    ] = None
    escalated_to: Annotated[str | None, Meta(description="What the next attempt gets.")] = None
    exception: Annotated[ExceptionInfo | None, Meta(description="What was raised.")] = None
    traceback: Annotated[str | None, Meta(description="The frames of your code, as Python prints them.")] = (
        None
    )
    fingerprint: Annotated[str | None, Meta(description="Identifies the same failure across runs.")] = None
    worker: WorkerName = None
    address: Annotated[str | None, Meta(description="Address of the worker.")] = None
    host: Annotated[str | None, Meta(description="Machine that it ran on.")] = None
    pid: Annotated[
        int | None,
        Meta(description="Process that it ran in: that of the isolated attempt, else of the worker."),
    ] = None
    exit_code: Annotated[
        int | None,
        Meta(description="How the process of an isolated attempt ended, or the worker that was lost."),
    ] = None
    signal: Annotated[str | None, Meta(description="The signal that ended it, such as `SIGKILL`.")] = None
    started_at: Annotated[Time | None, Meta(description="When the attempt began.")] = None
    duration_s: Annotated[
        float | None,
        Meta(description="Seconds of wall time that it ran; waiting in a queue does not count."),
    ] = None
    cpu_s: Cpu = None
    peak_rss_bytes: Peak = None
    warnings: Annotated[
        tuple[str, ...],
        Meta(
            description="Warnings that were issued before the failure, as `UserWarning: text (file.py:12)`."
        ),
    ] = ()
    output: Annotated[str | None, Meta(description="The end of what an isolated attempt printed.")] = None
    injected: Annotated[bool, Meta(description="True where fault injection caused it.")] = False
    remembered: Annotated[
        str | None,
        Meta(description="The earlier run that it failed in, where it was not made again: see `--resume`."),
    ] = None


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``tasks.jsonl``: a task that reached its end.

    ``replaces`` is the state of an earlier line of the same key, where the task was retried by hand.
    """

    schema: SchemaNumber = SCHEMA
    seq: Number = 0
    at: At = None
    run_id: RunId = None
    key: TheKey
    task: TaskName = None
    function: FunctionName = None
    call: CallText = None
    component: ComponentName = None
    state: Annotated[Ending, Meta(description="How the task ended.")]
    replaces: Annotated[
        Ending | None,
        Meta(description="The state of an earlier line of the same key, where the task was retried by hand."),
    ] = None
    attempts: Annotated[int, Meta(description="How many attempts have begun.")]
    submitted_at: Annotated[Time | None, Meta(description="When the scheduler got the task.")] = None
    started_at: Annotated[Time | None, Meta(description="When its last attempt began.")] = None
    finished_at: Annotated[Time | None, Meta(description="When that ended.")] = None
    duration_s: Annotated[
        float | None,
        Meta(
            description="Seconds of wall time that the last attempt ran; waiting in a queue does not count."
        ),
    ] = None
    worker: WorkerName = None
    result_bytes: Annotated[int | None, Meta(description="Bytes of the result, as Dask estimates it.")] = None
    cache: Annotated[
        Literal["hit", "miss"] | None,
        Meta(description="Whether every look-up of a cached function was a hit; null where there was none."),
    ] = None
    peak_rss_bytes: Peak = None
    cpu_s: Cpu = None
    resumed: Annotated[
        str | None, Meta(description="The earlier run that its result is of, where it was not made again.")
    ] = None
    code_changed: Annotated[
        bool, Meta(description="True where its function did something else in that run.")
    ] = False


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``workers.jsonl``: something that happened to a worker.

    It ``started``, was ``lost`` (how, says ``exit_code`` or ``signal``), ``retired`` in good order, is
    ``stuck`` and to be replaced, or was ``quarantined``. ``running`` are keys of tasks that it ran.
    """

    schema: SchemaNumber = SCHEMA
    seq: Number = 0
    at: At = None
    run_id: RunId = None
    event: Annotated[
        Literal["started", "lost", "retired", "stuck", "quarantined"],
        Meta(
            description="What happened; `stuck`: it is to be replaced; `quarantined`: it gets no more tasks."
        ),
    ]
    worker: Annotated[str, Meta(description="Name of the worker.")]
    address: Annotated[str | None, Meta(description="Address of the worker.")] = None
    host: Annotated[str | None, Meta(description="Its machine.")] = None
    pid: Annotated[int | None, Meta(description="Its process.")] = None
    threads: Annotated[int | None, Meta(description="How many tasks it runs at once.")] = None
    memory_bytes: Annotated[int | None, Meta(description="Its limit of memory in bytes.")] = None
    exit_code: Annotated[int | None, Meta(description="How it was lost.")] = None
    signal: Annotated[str | None, Meta(description="The signal that ended it, such as `SIGKILL`.")] = None
    reason: Annotated[str | None, Meta(description="Why it is stuck or quarantined, in words.")] = None
    running: Annotated[
        tuple[str, ...],
        Meta(description="Keys of the tasks that it ran when it was lost, isolated ones too."),
    ] = ()


class CacheRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``cache.jsonl``: a look-up by a cached function inside a task."""

    schema: SchemaNumber = SCHEMA
    seq: Number = 0
    at: At = None
    run_id: RunId = None
    event: Annotated[
        Literal["hit", "miss", "damaged"],
        Meta(description="`damaged`: an entry that could not be read, and is computed again."),
    ]
    function: FunctionName = None
    cache_key: Annotated[str | None, Meta(description="Key of the entry.")] = None
    key: Key = None
    task: TaskName = None
    worker: WorkerName = None
    duration_s: Annotated[
        float | None, Meta(description="Seconds of the look-up, or of the call where it missed.")
    ] = None
    bytes: Annotated[int | None, Meta(description="Size of the entry.")] = None


class FaultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ``faults.jsonl``: a fault that an attempt is sent with, or that is taken back in time.

    There is such a file where faults were injected; ``fault`` is the kind of it.
    """

    schema: SchemaNumber = SCHEMA
    seq: Number = 0
    at: At = None
    run_id: RunId = None
    event: Annotated[
        Literal["injected", "withdrawn"],
        Meta(
            description="`injected`: an attempt was sent with it; `withdrawn`: it is not to have it any more."
        ),
    ]
    key: TheKey
    task: TaskName = None
    function: FunctionName = None
    attempt: Annotated[int, Meta(description="Which attempt, from 1.")]
    fault: Annotated[str, Meta(description="The kind of the fault.")]
    error: Annotated[str | None, Meta(description="What is raised.")] = None
    worker: WorkerName = None


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
