"""Failures that no attempt could report itself: it overran its limit, or Dask ended the task."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.text import MESSAGE_BYTES, TRACEBACK_BYTES, clip, fingerprint
from scalable.engine.describe import call_text
from scalable.engine.ends import OVERRUN, TOO_LARGE, overrun
from scalable.engine.travel import Parcel, pack
from scalable.errors import OutOfMemory, WorkerLost
from scalable.faults.kinds import HARMLESS
from scalable.manifest.units import format_size

if TYPE_CHECKING:
    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.fleet import Member
    from scalable.engine.scheduler.inquest import Death
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["by_dask", "by_loss", "by_lost_result", "by_timeout", "words_for"]

LEFT = "what its deadline left it,"
LOST: dict[str, Any] = {"outcome": "worker_lost", "kind": "infrastructure", "rule": "worker-lost"}


def by_timeout(tracked: Tracked, state: TaskState, member: Member | None) -> tuple[Failure, Parcel]:
    """Describe an attempt that ran longer than the task's ``timeout``."""
    limit = tracked.limit_s
    assert limit is not None, "only a task with a limit can overrun it"  # noqa: S101 - an invariant
    call = call_text(state.run_spec, None, state.key, tracked.spec.secrets)
    own = limit == tracked.spec.timeout_s
    over = overrun(call, limit, "its limit") if own else overrun(call, round(limit, 1), LEFT)
    parcel = pack(over, tracked.spec.secrets)
    seen = _seen_from_outside(tracked, parcel, call, member, time.time())
    return Failure(**OVERRUN, **seen), parcel


def by_loss(
    tracked: Tracked, state: TaskState, member: Member, death: Death, at: float, *, over: bool = False
) -> tuple[Failure, Parcel]:
    """Describe an attempt whose worker was lost at ``at``, and how that died; ``over``: its outcome too."""
    call = call_text(state.run_spec, None, state.key, tracked.spec.secrets)
    words = f"{member.name} {death} {'before it was heard what became of' if over else 'while it ran'} {call}"
    known = {"worker": member.name, "address": member.address}
    how: dict[str, Any] = {"exit_code": death.exit_code, "signal": death.signal}
    if death.why == "memory":
        words += f" (limit {format_size(member.memory_bytes or 0)})"
        parcel = pack(OutOfMemory(words, **known, **how), tracked.spec.secrets)
        kind = TOO_LARGE
    else:
        parcel = pack(WorkerLost(words, **known, **how), tracked.spec.secrets)
        kind = LOST
    return Failure(**kind, **how, **(_seen_from_outside(tracked, parcel, call, member, at) | known)), parcel


def by_lost_result(tracked: Tracked, state: TaskState, at: float) -> tuple[Failure, Parcel]:
    """Describe a task that had succeeded, and whose result is needed, but is not there any more."""
    call = call_text(state.run_spec, None, state.key, tracked.spec.secrets)
    words = f"a worker was lost, and with it, or before, the result of {call}"
    parcel = pack(WorkerLost(words, worker=tracked.worker), tracked.spec.secrets)
    seen = _seen_from_outside(tracked, parcel, call, None, at)
    return Failure(**LOST, **(seen | {"duration_s": tracked.duration_s})), parcel


def _seen_from_outside(
    tracked: Tracked, parcel: Parcel, call: str, member: Member | None, at: float
) -> dict[str, Any]:
    """What the scheduler knows of an attempt that could not report its failure itself."""
    return {
        "exception": ExceptionInfo(parcel.type, parcel.words),
        "call": call,
        "fingerprint": fingerprint(parcel.type, tracked.function, ()),
        "attempt": tracked.task.attempt,
        "worker": member.name if member else tracked.worker,
        "address": member.address if member else tracked.running_on,
        "host": member.host if member else None,
        "pid": member.pid if member else None,
        "started_at": tracked.began,
        "duration_s": None if tracked.began is None else max(0.0, at - tracked.began),
        "injected": tracked.fault is not None and tracked.fault.kind not in HARMLESS,
    }


def by_dask(message: dict[str, Any], tracked: Tracked) -> Failure:
    """Describe a task that Dask ended outside any attempt, from the words that Dask has for it."""
    secrets = tracked.spec.secrets
    text = secrets.bounded(str(message.get("exception_text") or "the task could not be started"))
    trace = secrets.bounded(str(message.get("traceback_text") or ""))
    name, bracket, _ = text.partition("(")
    kind = name if bracket and name.isidentifier() else "Exception"
    return Failure(
        outcome="error",
        kind="permanent",
        rule="dask",
        exception=ExceptionInfo(kind, clip(text, MESSAGE_BYTES)),
        traceback=clip(trace, TRACEBACK_BYTES) or None,
        fingerprint=fingerprint(kind, text, ()),
        attempt=tracked.task.attempt,
        worker=tracked.worker,
    )


def words_for(tracked: Tracked) -> tuple[str, ...]:
    """Word the note on a task's exception: which task and attempt, where, and why it was the last."""
    note = tracked.noted
    assert note is not None, "a task ends with the exception of its last failure"  # noqa: S101 - an invariant
    label = tracked.spec.task or tracked.function
    where = f" on {tracked.worker}" if tracked.worker else ""
    counted = f"attempt {note.attempt} of {max(note.max_attempts, note.attempt or 0)}"
    return (f"scalable: {label} failed{where}, {counted}: {tracked.last_words}",)
