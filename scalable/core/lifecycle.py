"""The life of a task: states, events, legal moves, and ``step``, which folds one event.

::

                   Started              Succeeded
         pending ────────────▶ running ────────────▶ succeeded ─── Recomputed ──▶ pending
          ▲  ▲                   │  │
          │  └──── Requeued ─────┘  │ Failed, Lost
          │ HoldEnded               ▼
          └───────────────────── waiting | failed

    pending, running, waiting ─── InputFailed ──▶ failed
    pending, running, waiting ─── Cancelled ──▶ cancelled
    succeeded, failed, cancelled ─── RetriedByHand ──▶ pending

The word of a start may come late or never, so what ends a running attempt may also meet a pending task.
``step(task, event) -> (task, actions)`` is a pure function: time and luck are fields of the events. The
scheduler plugin performs the actions in the order given. An event that makes no sense in a state (a late
answer of a worker that was given up, say) changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
from msgspec.structs import replace

from scalable.core.decide import Decision, History, after_failure, after_loss
from scalable.core.failure import Failure
from scalable.core.policy import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ENDED",
    "MOVES",
    "STATES",
    "Action",
    "Cancelled",
    "End",
    "Ending",
    "Event",
    "Failed",
    "Hold",
    "HoldEnded",
    "InputFailed",
    "Lost",
    "Note",
    "Recomputed",
    "Requeued",
    "RetriedByHand",
    "Settle",
    "Started",
    "State",
    "Succeeded",
    "Task",
    "step",
]

State = Literal["pending", "running", "waiting", "succeeded", "failed", "cancelled"]
Ending = Literal["succeeded", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
ENDED: frozenset[State] = frozenset(get_args(Ending))


class Task(msgspec.Struct, frozen=True):
    """All that a decision about a task depends on.

    ``attempts`` counts attempts that failed, by whatever cause, over the whole life; ``failures`` and
    ``losses`` are the two budgets used since the task was submitted or last retried by hand. ``failing``
    is true from a recorded failure to the next success. ``told`` is the end that was recorded last, and
    ``open`` is false while that end stands.
    """

    policy: Retry
    idempotent: bool = True
    state: State = "pending"
    attempts: int = 0
    failures: int = 0
    losses: int = 0
    first_started: float | None = None
    delay_s: float | None = None
    failing: bool = False
    told: Ending | None = None
    open: bool = True

    @property
    def attempt(self) -> int:
        """Number of the attempt that is running or comes next, from 1."""
        return self.attempts + 1

    @property
    def max_attempts(self) -> int:
        """Attempts this task may have, those the platform spoilt included."""
        return self.attempts - self.failures + self.policy.max_attempts


class Started(msgspec.Struct, frozen=True, tag=True):
    """A worker began an attempt."""

    at: float


class Succeeded(msgspec.Struct, frozen=True, tag=True):
    """An attempt returned."""

    at: float


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An attempt failed by its own doing. ``luck`` in [0, 1) jitters the wait."""

    at: float
    luck: float
    failure: Failure


class Lost(msgspec.Struct, frozen=True, tag=True):
    """The worker that ran an attempt is gone."""

    at: float
    luck: float
    failure: Failure


class Requeued(msgspec.Struct, frozen=True, tag=True):
    """The attempt was taken back through no fault of anyone (a worker retired, the task rescheduled)."""

    at: float


class HoldEnded(msgspec.Struct, frozen=True, tag=True):
    """The wait is over."""

    at: float


class InputFailed(msgspec.Struct, frozen=True, tag=True):
    """An input of the task failed for good, so it can't run."""

    at: float
    failure: Failure


class Cancelled(msgspec.Struct, frozen=True, tag=True):
    """Nobody wants the result any more."""

    at: float


class Recomputed(msgspec.Struct, frozen=True, tag=True):
    """The result was lost with its worker and is computed again."""

    at: float


class RetriedByHand(msgspec.Struct, frozen=True, tag=True):
    """The user asked for another round; ``policy`` replaces the old one where given."""

    at: float
    policy: Retry | None = None


Event = (
    Started
    | Succeeded
    | Failed
    | Lost
    | Requeued
    | HoldEnded
    | InputFailed
    | Cancelled
    | Recomputed
    | RetriedByHand
)


class Note(msgspec.Struct, frozen=True, tag=True):
    """Write a line to ``failures.jsonl``."""

    event: Literal["attempt_failed", "recovered"]
    attempt: int | None
    max_attempts: int
    failure: Failure | None = None
    decision: Decision | None = None


class Hold(msgspec.Struct, frozen=True, tag=True):
    """Keep the task away from every worker for ``delay_s`` seconds."""

    delay_s: float


class Settle(msgspec.Struct, frozen=True, tag=True):
    """Let the task end with the exception of its last failure, for the given reason."""

    reason: str


class End(msgspec.Struct, frozen=True, tag=True):
    """Write the task's line to ``tasks.jsonl``; ``replaces`` is an earlier end, undone by hand."""

    state: Ending
    attempts: int
    replaces: Ending | None = None


Action = Note | Hold | Settle | End
Moved = tuple[Task, tuple[Action, ...]]


def step(task: Task, event: Event) -> Moved:
    """Fold one event into a task: its next value, and what is to be done, in order."""
    move = MOVES.get((task.state, type(event)))
    return (task, ()) if move is None else move(task, event)


def _start(task: Task, event: Started) -> Moved:
    return replace(task, state="running", first_started=_first_started(task, event.at)), ()


def _first_started(task: Task, at: float) -> float:
    return at if task.first_started is None else task.first_started


def _succeed(task: Task, _event: Succeeded) -> Moved:
    actions: list[Action] = []
    if task.failing:
        actions.append(Note("recovered", task.attempt, task.max_attempts))
    if task.open:
        actions.append(End("succeeded", task.attempt, task.told))
    return replace(_ended(task, "succeeded"), failing=False), tuple(actions)


def _fail(task: Task, event: Failed) -> Moved:
    after = replace(task, failures=task.failures + 1, first_started=_first_started(task, event.at))
    decision = after_failure(task.policy, event.failure, _past(after), at=event.at, luck=event.luck)
    return _follow(task, after, event.failure, decision)


def _lose(task: Task, event: Lost) -> Moved:
    after = replace(task, losses=task.losses + 1, first_started=_first_started(task, event.at))
    decision = after_loss(task.policy, _past(after), at=event.at, luck=event.luck, idempotent=task.idempotent)
    return _follow(task, after, event.failure, decision)


def _past(task: Task) -> History:
    return History(task.failures, task.losses, task.first_started, task.delay_s)


def _follow(before: Task, after: Task, failure: Failure, decision: Decision) -> Moved:
    """Record the failed attempt, then wait or end, as decided."""
    after = replace(after, attempts=before.attempt, failing=True)
    note = Note("attempt_failed", before.attempt, before.max_attempts, failure, decision)
    if decision.action == "retry" and decision.delay_s is not None:
        return replace(after, state="waiting", delay_s=decision.delay_s), (note, Hold(decision.delay_s))
    end = End("failed", before.attempt, before.told)
    return _ended(after, "failed"), (note, end, Settle(decision.reason))


def _fail_unstarted(task: Task, event: InputFailed) -> Moved:
    decision = Decision("give_up", None, "an input of the task failed")
    note = Note("attempt_failed", None, task.max_attempts, event.failure, decision)
    end = End("failed", task.attempts, task.told)
    return replace(_ended(task, "failed"), failing=True), (note, end, Settle(decision.reason))


def _cancel(task: Task, _event: Cancelled) -> Moved:
    if not task.open:  # only a recomputation is cancelled: the recorded end stands
        return replace(task, state="cancelled"), ()
    return _ended(task, "cancelled"), (End("cancelled", task.attempts, task.told),)


def _ended(task: Task, state: Ending) -> Task:
    return replace(task, state=state, told=state, open=False)


def _back_to_pending(task: Task, _event: Requeued | HoldEnded) -> Moved:
    return replace(task, state="pending"), ()


def _again(task: Task, _event: Recomputed) -> Moved:
    return replace(task, state="pending", failures=0, losses=0, first_started=None, delay_s=None), ()


def _by_hand(task: Task, event: RetriedByHand) -> Moved:
    fresh, _ = _again(task, Recomputed(event.at))
    spent = task.attempt if task.state == "succeeded" else task.attempts
    return replace(fresh, policy=event.policy or task.policy, attempts=spent, open=True), ()


MOVES: dict[tuple[State, type[Any]], Callable[[Task, Any], Moved]] = {
    ("pending", Started): _start,
    ("pending", Succeeded): _succeed,
    ("pending", Failed): _fail,
    ("pending", Lost): _lose,
    ("pending", InputFailed): _fail_unstarted,
    ("pending", Cancelled): _cancel,
    ("running", Started): _start,
    ("running", Succeeded): _succeed,
    ("running", Failed): _fail,
    ("running", Lost): _lose,
    ("running", Requeued): _back_to_pending,
    ("running", InputFailed): _fail_unstarted,
    ("running", Cancelled): _cancel,
    ("waiting", HoldEnded): _back_to_pending,
    ("waiting", InputFailed): _fail_unstarted,
    ("waiting", Cancelled): _cancel,
    ("succeeded", Recomputed): _again,
    ("succeeded", RetriedByHand): _by_hand,
    ("failed", RetriedByHand): _by_hand,
    ("cancelled", RetriedByHand): _by_hand,
}
