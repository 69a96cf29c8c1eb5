"""The life of a task: states, events, legal moves, and ``step``, which folds one event.

::

                   Started              Succeeded
         pending ────────────▶ running ────────────▶ succeeded ─── Recomputed ──▶ pending
          ▲  ▲                   │  │
          │  └──── Requeued ─────┘  │ Failed, Lost
          │ HoldEnded               ▼
          ├───────────────────── waiting | failed
          └──────── HeldBack ──────▶ │ Overdue (parked) ──▶ failed

    succeeded ─── Lost (and not idempotent) ──▶ failed
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

from scalable.core.decide import Decision, History, after_failure, after_loss, overdue, parked, time_left
from scalable.core.escalate import ESCALATES, Escalation, Limits, Step, climb
from scalable.core.failure import Failure
from scalable.core.policy import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ENDED", "MOVES", "STATES", "Action", "Cancelled", "End", "Ending", "Event", "Failed", "HeldBack",
    "Hold", "HoldEnded", "InputFailed", "Lost", "Move", "Note", "Overdue", "Park", "Recomputed",
    "Requeued", "RetriedByHand", "Settle", "Started", "State", "Succeeded", "Task", "step",
]  # fmt: skip

State = Literal["pending", "running", "waiting", "succeeded", "failed", "cancelled"]
Ending = Literal["succeeded", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
ENDED: tuple[Ending, ...] = get_args(Ending)


class Task(msgspec.Struct, frozen=True):
    """All that a decision about a task depends on.

    ``attempts`` counts attempts that failed, by whatever cause, over the whole life; ``failures`` and
    ``losses`` are the two budgets used since the task was submitted or last retried by hand. ``failing``
    is true from a recorded failure to the next success. ``told`` is the end that was recorded last, and
    ``open`` is false while that end stands. A waiting task is ``parked`` where it waits for its function to
    work again, not for a time. ``limits`` are those of the next attempt.
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
    parked: bool = False
    limits: Limits = Limits()
    escalation: Escalation = Escalation()

    @property
    def attempt(self) -> int:
        """Number of the attempt that is running or comes next, from 1."""
        return self.attempts + 1

    @property
    def max_attempts(self) -> int:
        """Attempts this task may have, those the platform spoilt included."""
        # Earlier rounds are added, so that "attempt 5 of 4" is never read.
        return self.attempts - self.failures + self.policy.max_attempts


class Started(msgspec.Struct, frozen=True, tag=True):
    """A worker began an attempt."""

    at: float


class Succeeded(msgspec.Struct, frozen=True, tag=True):
    """An attempt returned."""

    at: float


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An attempt failed by its own doing. ``luck`` in [0, 1) jitters the wait.

    ``park`` is why the breaker wants the task to wait for a probe, its attempt uncounted.
    """

    at: float
    luck: float
    failure: Failure
    park: str | None = None


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


class HeldBack(msgspec.Struct, frozen=True, tag=True):
    """The task came to its turn while its function is known not to work."""

    at: float


class Overdue(msgspec.Struct, frozen=True, tag=True):
    """The deadline of a parked task has come. ``failure`` is the last one."""

    at: float
    failure: Failure


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
    """The user asked for another round; ``policy`` and ``limits`` replace the old ones where given."""

    at: float
    policy: Retry | None = None
    limits: Limits | None = None


Event = (
    Started
    | Succeeded
    | Failed
    | Lost
    | Requeued
    | HoldEnded
    | HeldBack
    | Overdue
    | InputFailed
    | Cancelled
    | Recomputed
    | RetriedByHand
)


class Note(msgspec.Struct, frozen=True, tag=True):
    """Write a line to ``failures.jsonl``; ``step`` is how the limits grow."""

    event: Literal["attempt_failed", "recovered"]
    attempt: int | None
    max_attempts: int
    failure: Failure | None = None
    decision: Decision | None = None
    step: Step | None = None


class Hold(msgspec.Struct, frozen=True, tag=True):
    """Keep the task away from every worker for ``delay_s`` seconds."""

    delay_s: float


class Park(msgspec.Struct, frozen=True, tag=True):
    """Keep the task away from every worker until its function works again, or for so many seconds."""

    most_s: float | None


class Move(msgspec.Struct, frozen=True, tag=True):
    """Give the next attempt other limits."""

    limits: Limits


class Settle(msgspec.Struct, frozen=True, tag=True):
    """Let the task end with the exception of its last failure, for the given reason."""

    reason: str


class End(msgspec.Struct, frozen=True, tag=True):
    """Write the task's line to ``tasks.jsonl``; ``replaces`` is an earlier end, undone by hand."""

    state: Ending
    attempts: int
    replaces: Ending | None = None


Action = Note | Hold | Park | Move | Settle | End
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
    begun = replace(task, first_started=_first_started(task, event.at))
    if event.park is not None and event.failure.kind != "permanent":
        decision = parked(task.policy, _past(begun), at=event.at, reason=event.park)
        return _follow(task, begun, event, decision)
    higher = climb(task.limits, task.escalation) if event.failure.outcome in ESCALATES else None
    after = replace(begun, failures=task.failures + 1)
    if higher is not None and higher.granted and after.failures >= task.policy.max_attempts:
        after = begun  # beyond the retries: an attempt of its own
    decision = after_failure(task.policy, event.failure, _past(after), at=event.at, luck=event.luck)
    return _follow(task, after, event, decision, higher)


def _lose(task: Task, event: Lost) -> Moved:
    after = replace(task, losses=task.losses + 1, first_started=_first_started(task, event.at))
    decision = after_loss(task.policy, _past(after), at=event.at, luck=event.luck, idempotent=task.idempotent)
    higher = climb(task.limits, task.escalation) if event.failure.outcome in ESCALATES else None
    return _follow(task, after, event, decision, higher)


def _lose_result(task: Task, event: Lost) -> Moved:
    return (task, ()) if task.idempotent else _lose(task, event)


def _past(task: Task) -> History:
    return History(task.failures, task.losses, task.first_started, task.delay_s)


def _follow(
    before: Task, after: Task, event: Failed | Lost, decision: Decision, higher: Step | None = None
) -> Moved:
    """Record the failed attempt, then wait or end, as decided."""
    after = replace(after, attempts=before.attempt, failing=True)
    if higher is not None and decision.action == "retry":
        words = f"{decision.reason}; from {higher.before} to {higher.after}"
        decision = replace(decision, reason=words)
        after = replace(after, limits=higher.limits)
    else:
        higher = None
    note = Note("attempt_failed", before.attempt, before.max_attempts, event.failure, decision, higher)
    if decision.action == "park":
        most_s = time_left(after.policy, _past(after), event.at)
        return replace(after, state="waiting", delay_s=None, parked=True), (note, Park(most_s))
    if decision.action == "retry" and decision.delay_s is not None:
        moves = (Move(higher.limits),) if higher is not None else ()
        hold = Hold(decision.delay_s)
        return replace(after, state="waiting", delay_s=decision.delay_s), (note, *moves, hold)
    end = End("failed", before.attempt, before.told)
    return _ended(after, "failed"), (note, end, Settle(decision.reason))


def _hold_back(task: Task, event: HeldBack) -> Moved:
    most_s = time_left(task.policy, _past(task), event.at) if task.failing else None
    return replace(task, state="waiting", parked=True), (Park(most_s),)


def _overdue(task: Task, event: Overdue) -> Moved:
    if not (task.parked and task.failing):
        return task, ()
    decision = overdue(task.policy, _past(task), event.at)
    note = Note("attempt_failed", task.attempts, task.max_attempts, event.failure, decision)
    end = End("failed", task.attempts, task.told)
    return _ended(task, "failed"), (note, end, Settle(decision.reason))


def _fail_unstarted(task: Task, event: InputFailed) -> Moved:
    decision = Decision("give_up", None, "an input of the task failed")
    note = Note("attempt_failed", None, task.max_attempts, event.failure, decision)
    end = End("failed", task.attempts, task.told)
    return replace(_ended(task, "failed"), failing=True), (note, end, Settle(decision.reason))


def _cancel(task: Task, _event: Cancelled) -> Moved:
    if not task.open and task.told is not None:  # only a recomputation is cancelled: the recorded end stands
        return replace(task, state=task.told, parked=False), ()
    begun = task.attempt if task.state == "running" else task.attempts
    return _ended(task, "cancelled"), (End("cancelled", begun, task.told),)


def _ended(task: Task, state: Ending) -> Task:
    return replace(task, state=state, told=state, open=False, parked=False)


def _back_to_pending(task: Task, _event: Requeued | HoldEnded) -> Moved:
    return replace(task, state="pending", parked=False), ()


def _again(task: Task, _event: Recomputed) -> Moved:
    # `attempts` counts failures only; the success that is repeated was one too, and its number is taken.
    spent = task.attempt if task.state == "succeeded" else task.attempts
    return replace(
        task, state="pending", attempts=spent, failures=0, losses=0, first_started=None, delay_s=None
    ), ()


def _by_hand(task: Task, event: RetriedByHand) -> Moved:
    again, _ = _again(task, Recomputed(event.at))
    limits = event.limits or task.limits
    return replace(again, policy=event.policy or task.policy, limits=limits, open=True), ()


MOVES: dict[tuple[State, type[Any]], Callable[[Task, Any], Moved]] = {
    ("pending", Started): _start,
    ("pending", Succeeded): _succeed,
    ("pending", Failed): _fail,
    ("pending", Lost): _lose,
    ("pending", HeldBack): _hold_back,
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
    ("waiting", Overdue): _overdue,
    ("waiting", InputFailed): _fail_unstarted,
    ("waiting", Cancelled): _cancel,
    ("succeeded", Lost): _lose_result,
    ("succeeded", Recomputed): _again,
    ("succeeded", RetriedByHand): _by_hand,
    ("failed", RetriedByHand): _by_hand,
    ("cancelled", RetriedByHand): _by_hand,
}
