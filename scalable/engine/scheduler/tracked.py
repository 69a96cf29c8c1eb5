"""A task as the supervisor follows it, and the records that tell of it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Literal

from scalable.core.failure import Failure
from scalable.core.lifecycle import Hold, Note, Task
from scalable.core.text import key_text
from scalable.engine.describe import call_text, function_name
from scalable.engine.messages import SPENT
from scalable.engine.portions import Batch, Constant, Done, Element, Merge
from scalable.journal.records import CacheRecord, FailureRecord, TaskRecord, begun, rounded, utc

if TYPE_CHECKING:
    from distributed.scheduler import TaskState

    from scalable.core.decide import Decision
    from scalable.core.escalate import Limits
    from scalable.core.lifecycle import End, Park
    from scalable.engine.messages import Spec
    from scalable.engine.scheduler.in_force import InForce
    from scalable.engine.scheduler.sessions import Session
    from scalable.engine.travel import Parcel
    from scalable.faults.decide import Fault

__all__ = ["Tracked", "cache_record", "failure_record", "task_record"]

REMEMBERED = 10
ROUNDED = {"cpu_s", "duration_s", "wait_s"}
AS_REPORTED = frozenset(Failure.__struct_fields__) - {"attempt", "call", "started_at"} - ROUNDED
"""What a line says of a failure in the very words of its report; the rest is filled in or worded here."""


class Tracked:
    """Mutable company of a pure :class:`~scalable.core.lifecycle.Task`, for as long as Dask keeps the key."""

    __slots__ = (
        "began", "by_hand", "cache", "cause", "code_changed", "cpu_s", "duration_s", "fault", "finished",
        "function", "hold_s", "keeps", "last_words", "limit_s", "moved_from", "noted", "parcel",
        "peak_rss_bytes", "previous", "result_bytes", "resumed", "role", "run", "running_on", "sent_to",
        "session", "skipped", "spec", "spec_bytes", "struck_by", "submitted", "task", "timer", "weight",
        "whole", "worker", "works",
    )  # fmt: skip

    def __init__(self, session: Session, spec_bytes: bytes, spec: Spec, state: TaskState, at: float) -> None:
        self.session = session
        self.spec_bytes = spec_bytes
        self.spec = spec
        self.task = Task(spec.retry, spec.idempotent, limits=spec.limits, escalation=spec.escalation)
        self.function = function_name(state.run_spec, state.key)
        self.role, self.weight = _role(state)  # and for how many tasks it counts
        self.works = self.role != "inner"  # whether its success says that its function works
        self.skipped: list[int] = []  # places of calls of a batch that were not made, as inputs do not exist
        self.keeps: list[Any] = []  # keys that are kept because of it
        self.whole: Any = None  # the call of a task in whose place a hole stands
        self.submitted = at
        self.by_hand = False  # a user asked for the round that begins
        self.began: float | None = None
        self.finished: float | None = None
        self.duration_s: float | None = None
        self.worker: str | None = None
        self.run = 0  # Dask's number of the run that said it started
        self.sent_to: tuple[str, int] | None = None  # address of the worker that was given a run, and the run
        self.running_on: str | None = None  # address of the worker that said it started
        self.result_bytes: int | None = None
        self.cache: str | None = None
        self.resumed: str | None = None  # the run that its result is of
        self.code_changed = False
        self.cpu_s: float | None = None  # of the last attempt, as far as it is known
        self.peak_rss_bytes: int | None = None  # likewise
        self.hold_s: float | None = None  # a hold to put on when Dask takes the task back
        self.moved_from: str | None = None  # the token to give back when Dask takes the task back
        self.last_words: str | None = None  # why the task is to end with an exception, until it has
        self.noted: Note | None = None  # the last line that was written about a failure
        self.parcel: Parcel | None = None  # the exception of the last failure
        self.cause: Parcel | None = None  # the root failure, where an input failed
        self.previous: tuple[dict[str, Any], ...] = ()
        self.limit_s: float | None = None  # what the running attempt may take
        self.fault: Fault | None = None  # what is injected into the attempt that was sent last
        self.struck_by: InForce | None = None  # the plan whose faults it counts among
        self.timer: Any = None  # the timeout of the running attempt

    @property
    def is_call(self) -> bool:
        """Whether it is one call of a user's: faults strike it, and it has a line of its own at its end."""
        return self.role in ("task", "element")

    @property
    def last_failure(self) -> Failure | None:
        """What the last line about the task tells of; ``None`` where it recovered, or never failed."""
        return self.noted.failure if self.noted is not None else None

    def wait(self, action: Hold | Park) -> None:
        """Let the next hold last as long as the core says; a parked task has at most its deadline."""
        if isinstance(action, Hold):
            self.hold_s = action.delay_s if self.session.waits else 0.0
        else:
            self.hold_s = math.inf if action.most_s is None else max(0.0, action.most_s)

    def move(self, limits: Limits) -> None:
        """Give the next attempt other limits; its token changes when Dask has taken the task back."""
        if limits.token != self.spec.token:
            self.moved_from = self.spec.token or ""
        self.spec = self.spec.within(limits)
        self.spec_bytes = self.spec.dumps()

    def measure(self, failure: Failure | None) -> None:
        """Take the times of the attempt that is over: of a failed one by its report, else until now."""
        if failure is None:
            self.finished = time.time()
            self.duration_s = None if self.began is None else max(0.0, self.finished - self.began)
        elif failure.started_at is not None and failure.duration_s is not None:
            self.began, self.duration_s = failure.started_at, failure.duration_s
            self.cpu_s, self.peak_rss_bytes = failure.cpu_s, failure.peak_rss_bytes
            self.finished = failure.started_at + failure.duration_s

    def spent(self, state: TaskState) -> None:
        """Take what Dask's worker has told with the result: what the attempt used, unless a note said it."""
        told = (state.metadata or {}).pop(SPENT, None)
        if told is not None and not self.spec.isolate:
            self.cpu_s, self.peak_rss_bytes = told

    def order(self) -> dict[str, Any]:
        """What the next attempt's worker is told."""
        return {
            "spec": self.spec_bytes,
            "attempt": self.task.attempt,
            "max_attempts": self.task.max_attempts,
            "previous": self.previous,
        }


def _role(state: TaskState) -> tuple[Literal["task", "element", "batch", "inner"], int]:
    match getattr(state.run_spec, "func", None):
        case Element():
            return "element", 1
        case Batch() as batch:
            return "batch", len(batch)
        case Merge() | Constant() | Done():
            return "inner", 0
        case _:
            return "task", 1


def failure_record(tracked: Tracked, state: TaskState, note: Note, at: float) -> FailureRecord:
    """The line of ``failures.jsonl`` for a note of the core."""
    common: dict[str, Any] = {
        "at": utc(at),
        "event": note.event,
        "key": key_text(state.key),
        "task": tracked.spec.task,
        "function": tracked.function,
        "component": tracked.spec.component,
        "attempt": note.attempt,
        "max_attempts": note.max_attempts,
    }
    call = None if note.failure is None else note.failure.call
    common["call"] = call or call_text(state.run_spec, None, state.key, tracked.spec.secrets)
    if note.failure is None or note.decision is None:
        return _recovered(tracked, note, common, at)
    common |= {"escalated_from": note.step.before, "escalated_to": note.step.after} if note.step else {}
    return _failed(note.failure, note.decision, common, at)


def _recovered(tracked: Tracked, note: Note, common: dict[str, Any], at: float) -> FailureRecord:
    return FailureRecord(
        **common,
        reason=f"succeeded at attempt {note.attempt}",
        worker=tracked.worker,
        started_at=utc(begun(tracked.began, tracked.duration_s, at)),
        duration_s=rounded(tracked.duration_s),
        cpu_s=rounded(tracked.cpu_s),
        peak_rss_bytes=tracked.peak_rss_bytes,
    )


def _failed(failure: Failure, decision: Decision, common: dict[str, Any], at: float) -> FailureRecord:
    return FailureRecord(
        **common,
        **{name: getattr(failure, name) for name in AS_REPORTED},
        action=decision.action,
        delay_s=rounded(decision.delay_s),
        reason=decision.reason,
        wait_s=rounded(failure.wait_s),
        started_at=utc(begun(failure.started_at, failure.duration_s, at)),
        duration_s=rounded(failure.duration_s),
        cpu_s=rounded(failure.cpu_s),
    )


def task_record(tracked: Tracked, state: TaskState, end: End, at: float) -> TaskRecord:
    """The line of ``tasks.jsonl`` for a task that ended."""
    return TaskRecord(
        at=utc(at),
        key=key_text(state.key),
        task=tracked.spec.task,
        function=tracked.function,
        call=call_text(state.run_spec, None, state.key, tracked.spec.secrets),
        component=tracked.spec.component,
        state=end.state,
        replaces=end.replaces,
        attempts=end.attempts,
        submitted_at=utc(tracked.submitted),
        started_at=utc(begun(tracked.began, tracked.duration_s, at)),
        finished_at=utc(tracked.finished if tracked.finished is None else min(tracked.finished, at)),
        duration_s=rounded(tracked.duration_s),
        worker=tracked.worker,
        result_bytes=tracked.result_bytes if end.state == "succeeded" else None,
        cache=tracked.cache,  # type: ignore[arg-type]
        peak_rss_bytes=tracked.peak_rss_bytes,
        resumed=tracked.resumed if end.state == "succeeded" else None,
        code_changed=tracked.code_changed,
        cpu_s=rounded(tracked.cpu_s),
    )


def cache_record(tracked: Tracked, key: Any, note: dict[str, Any], at: float) -> CacheRecord:
    """The line of ``cache.jsonl`` for a look-up that the task left a note of."""
    return CacheRecord(
        at=utc(at),
        event=note["event"],
        function=note.get("function"),
        cache_key=note.get("key"),
        key=key_text(key),
        task=tracked.spec.task,
        worker=tracked.worker,
        duration_s=rounded(note.get("duration_s")),
        bytes=note.get("bytes"),
    )
