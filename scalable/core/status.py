"""What is the matter with a task, in one word: its state, and of a failed one how it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from scalable.core.failure import Outcome
    from scalable.core.lifecycle import State

__all__ = ["STATUSES", "Status", "status"]

Status = Literal[
    "pending",
    "deferred",
    "running",
    "waiting",
    "succeeded",
    "error",
    "cancelled",
    "died",
    "timeout",
    "upstream",
    "lost",
]
"""``deferred`` waits for inputs, ``waiting`` for its next attempt or until its function works again, ``died``
is also what ran out of memory, ``lost`` is what was lost with its workers."""
STATUSES: tuple[Status, ...] = get_args(Status)
FAILED: dict[Outcome, Status] = {
    "error": "error",
    "timeout": "timeout",
    "oom": "died",
    "died": "died",
    "worker_lost": "lost",
    "upstream": "upstream",
    "cancelled": "cancelled",
}


def status(state: State, outcome: Outcome | None = None, *, deferred: bool = False) -> Status:
    """Word a state; ``outcome`` is that of the last failure, ``deferred`` that inputs are missing."""
    if state == "failed":
        return FAILED[outcome or "error"]
    return "deferred" if state == "pending" and deferred else state
