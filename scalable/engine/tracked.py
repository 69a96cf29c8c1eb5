"""A task as the supervisor follows it, and the records that tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalable.core.lifecycle import Note, Task
from scalable.engine.describe import call_text, function_name
from scalable.journal.records import CacheRecord, FailureRecord, TaskRecord, utc

if TYPE_CHECKING:
    from distributed.scheduler import TaskState

    from scalable.core.lifecycle import End
    from scalable.engine.messages import Spec
    from scalable.engine.sessions import Session
    from scalable.engine.travel import Parcel

__all__ = ["Tracked", "cache_record", "failure_record", "task_record"]

REMEMBERED = 10


class Tracked:
    """Mutable company of a pure :class:`~scalable.core.lifecycle.Task`, for as long as Dask keeps the key."""

    __slots__ = (
        "began", "cache", "cause", "duration_s", "finished", "function", "hold_s", "last_words", "noted",
        "parcel", "previous", "result_bytes", "running_on", "session", "spec", "spec_bytes", "submitted",
        "task", "timer", "worker",
    )  # fmt: skip

    def __init__(self, session: Session, spec_bytes: bytes, spec: Spec, state: TaskState, at: float) -> None:
        self.session = session
        self.spec_bytes = spec_bytes
        self.spec = spec
        self.task = Task(policy=spec.retry, idempotent=spec.idempotent)
        self.function = function_name(state.run_spec, state.key)
        self.submitted = at
        self.began: float | None = None
        self.finished: float | None = None
        self.duration_s: float | None = None
        self.worker: str | None = None
        self.running_on: str | None = None  # address of the worker that said it started
        self.result_bytes: int | None = None
        self.cache: str | None = None
        self.hold_s: float | None = None  # a hold to put on when Dask takes the task back
        self.last_words: str | None = None  # why the task is to end with an exception, until it has
        self.noted: Note | None = None  # the last line that was written about a failure
        self.parcel: Parcel | None = None  # the exception of the last failure
        self.cause: Parcel | None = None  # the root failure, where an input failed
        self.previous: tuple[dict[str, Any], ...] = ()
        self.timer: Any = None  # the timeout of the running attempt

    def order(self) -> dict[str, Any]:
        """What the next attempt's worker is told."""
        return {
            "spec": self.spec_bytes,
            "attempt": self.task.attempt,
            "max_attempts": self.task.max_attempts,
            "previous": self.previous,
        }


def failure_record(tracked: Tracked, state: TaskState, note: Note, at: float) -> FailureRecord:
    """The line of ``failures.jsonl`` for a note of the core."""
    failure, decision = note.failure, note.decision
    common: dict[str, Any] = {
        "at": utc(at),
        "event": note.event,
        "key": str(state.key),
        "task": tracked.spec.task,
        "function": tracked.function,
        "component": tracked.spec.component,
        "attempt": note.attempt,
        "max_attempts": note.max_attempts,
    }
    if failure is None or decision is None:
        call = call_text(state.run_spec, None, state.key, tracked.spec.settings.redact)
        return FailureRecord(
            **common,
            call=call,
            reason=f"succeeded at attempt {note.attempt}",
            worker=tracked.worker,
            started_at=utc(tracked.began),
            duration_s=tracked.duration_s,
        )
    return FailureRecord(
        **common,
        call=failure.call or call_text(state.run_spec, None, state.key, tracked.spec.settings.redact),
        outcome=failure.outcome,
        kind=failure.kind,
        rule=failure.rule,
        action=decision.action,
        delay_s=None if decision.delay_s is None else round(decision.delay_s, 3),
        reason=decision.reason,
        exception=failure.exception,
        traceback=failure.traceback,
        fingerprint=failure.fingerprint,
        worker=failure.worker,
        address=failure.address,
        host=failure.host,
        pid=failure.pid,
        exit_code=failure.exit_code,
        signal=failure.signal,
        started_at=utc(failure.started_at),
        duration_s=None if failure.duration_s is None else round(failure.duration_s, 6),
        peak_rss_bytes=failure.peak_rss_bytes,
        warnings=failure.warnings,
        injected=failure.injected,
    )


def task_record(tracked: Tracked, state: TaskState, end: End, at: float) -> TaskRecord:
    """The line of ``tasks.jsonl`` for a task that ended."""
    return TaskRecord(
        at=utc(at),
        key=str(state.key),
        task=tracked.spec.task,
        function=tracked.function,
        call=call_text(state.run_spec, None, state.key, tracked.spec.settings.redact),
        component=tracked.spec.component,
        state=end.state,
        replaces=end.replaces,
        attempts=end.attempts,
        submitted_at=utc(tracked.submitted),
        started_at=utc(tracked.began),
        finished_at=utc(tracked.finished),
        duration_s=None if tracked.duration_s is None else round(tracked.duration_s, 6),
        worker=tracked.worker,
        result_bytes=tracked.result_bytes if end.state == "succeeded" else None,
        cache=tracked.cache,  # type: ignore[arg-type]
    )


def cache_record(tracked: Tracked, key: Any, note: dict[str, Any], at: float) -> CacheRecord:
    """The line of ``cache.jsonl`` for a look-up that the task left a note of."""
    return CacheRecord(
        at=utc(at),
        event=note["event"],
        function=note.get("function"),
        cache_key=note.get("key"),
        key=str(key),
        task=tracked.spec.task,
        worker=tracked.worker,
        duration_s=note.get("duration_s"),
        bytes=note.get("bytes"),
    )
