"""Which fault strikes an attempt: a pure function of the plan, the call's number and the attempt.

Calls are numbered in the order of their submission, so nothing depends on where and in which order the
attempts run. Chance is a hash of the seed and these numbers.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

import msgspec

from scalable.faults.kinds import FAULT, PASS, Kind
from scalable.faults.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalable.faults.plan import FaultPlan

__all__ = ["Call", "Fault", "decide", "is_meant"]

_T = TypeVar("_T")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was submitted; ``number`` counts from 1 those that the plan is meant for.

    Those that had begun before the plan was in force have numbers from 0 down: no pattern strikes them.
    """

    number: int
    key: str
    function: str
    task: str | None = None
    component: str | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one attempt: all that the worker has to know of the plan."""

    kind: Kind
    attempt: int = 1
    error: str | None = None
    when: str = "before"
    delay: float = 0.0
    max_hang: float = 0.0
    allocate: bool = False
    pids: tuple[int, ...] = ()  # processes to kill with that of the worker


def is_meant(plan: FaultPlan, call: Call) -> bool:
    """Whether a plan is meant for a call at all, by its task, function and component."""
    target = plan.target
    return (
        target.task in (None, call.task)
        and target.component in (None, call.component)
        and (target.function is None or target.function in (call.function, call.function.rpartition(".")[2]))
    )


def decide(plan: FaultPlan, call: Call, attempt: int, worker: str | None = None) -> Fault | None:
    """Say what happens to an attempt of a call that the plan is meant for."""
    target = plan.target
    if target.attempt not in (None, attempt) or target.worker not in (None, worker):
        return None
    struck = _struck(plan, call, 1 if plan.permanent else attempt)
    if struck is None or (struck[0] == "dependency" and attempt > 1):
        return None
    return Fault(
        kind=struck[0],
        attempt=attempt,
        error=struck[1],
        when=plan.when,
        delay=plan.delay,
        max_hang=plan.max_hang,
        allocate=plan.memory == "allocate",
    )


def _struck(plan: FaultPlan, call: Call, attempt: int) -> tuple[Kind, str | None] | None:
    """What strikes, and by which error; ``None`` is nothing."""
    if isinstance(plan.replay, Replay):
        return plan.replay.at(call.number, attempt)
    if not _strikes(plan, call, attempt):
        return None
    kind: Kind = plan.kind
    if kind == "random":
        kind = _drawn(sorted(plan.kinds), plan, call, attempt, "kind")
    return kind, _error(plan, call, attempt) if kind == "raise" else None


def _strikes(plan: FaultPlan, call: Call, attempt: int) -> bool:
    if plan.probability is not None:
        return _luck(plan, call, attempt, "strike") < plan.probability
    if plan.first is not None:
        return attempt <= plan.first
    if plan.at:
        return (call.key, attempt) in plan.at or (call.task, attempt) in plan.at
    return attempt == 1 and call.number > 0 and _is_struck(plan, call.number)


def _is_struck(plan: FaultPlan, number: int) -> bool:
    """Whether a plan that counts calls strikes this one."""
    if plan.every is not None:
        return number % plan.every == 0
    pattern = plan.pattern or PASS
    return pattern[(number - 1) % len(pattern)] == FAULT


def _error(plan: FaultPlan, call: Call, attempt: int) -> str | None:
    if plan.pattern is None:
        return _drawn(plan.errors, plan, call, attempt, "error")
    cycles, position = divmod(call.number - 1, len(plan.pattern))
    before = cycles * plan.pattern.count(FAULT) + plan.pattern[:position].count(FAULT)
    return plan.errors[before % len(plan.errors)]


def _drawn(choices: Sequence[_T], plan: FaultPlan, call: Call, attempt: int, what: str) -> _T:
    return choices[int(_luck(plan, call, attempt, what) * len(choices))]


def _luck(plan: FaultPlan, call: Call, attempt: int, what: str) -> float:
    """A number from 0 to below 1 that only depends on these."""
    digest = blake2b(f"{plan.seed} {call.number} {attempt} {what}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
