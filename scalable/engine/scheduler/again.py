"""Tasks that had ended, or begun, and would begin again: their result is gone, or they are retried by hand.

Dask lets go of a result that nobody asks for any more, and computes it again, without a word to anybody,
where a worker is lost that kept what was made of it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from scalable.core import lifecycle
from scalable.engine.scheduler import upstream
from scalable.engine.scheduler.inquest import RETIRED
from scalable.engine.scheduler.outcomes import by_loss, by_lost_result
from scalable.engine.scheduler.reopening import let_go_of_part

if TYPE_CHECKING:
    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["Again"]


class Again:
    """Sees to it that the tasks of one supervisor begin again as if they were new, where they may at all."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def waits(self, state: TaskState, tracked: Tracked) -> None:
        """Follow Dask, which wants a task; it may be one that had ended."""
        if tracked.task.state not in lifecycle.ENDED or tracked.last_words is not None:
            return  # it goes on, or is to end in a moment
        supervisor, at = self._supervisor, time.time()
        tracked.cause = None
        if tracked.task.state != "succeeded" or tracked.by_hand:
            by_hand = lifecycle.RetriedByHand(at, tracked.spec.retry, tracked.spec.limits)
            supervisor.fold(state, tracked, by_hand)
        elif not self.forbidden(state, tracked, None):
            supervisor.fold(state, tracked, lifecycle.Recomputed(at))
            asyncio.get_running_loop().call_soon(let_go_of_part, supervisor, state)
        tracked.by_hand = False
        supervisor.renew(state, tracked)
        supervisor.end_soon(state, tracked)
        self.look(state, tracked)

    def forbidden(self, state: TaskState, tracked: Tracked, ran_on: str | None) -> bool:
        """Whether a task must not begin again; it is to end then, with the loss of its worker.

        ``ran_on`` is the address of the worker that had begun it, if one had, and may have been retired.
        """
        supervisor = self._supervisor
        if tracked.spec.idempotent or ran_on in supervisor.scheduler.workers:
            return False
        at, member = time.time(), supervisor.fleet.get(ran_on)
        if tracked.task.state == "succeeded":
            failure, tracked.parcel = by_lost_result(tracked, state, at)
        elif tracked.task.state == "running" and member is not None:
            failure, tracked.parcel = by_loss(tracked, state, member, RETIRED, at)
        else:
            return False
        supervisor.fold(state, tracked, lifecycle.Lost(at, 0.0, failure))
        return True

    def look(self, state: TaskState, tracked: Tracked) -> None:
        """Look a turn later for inputs that failed for good: Dask may be just about to retry them too."""
        if upstream.failed_input(state) is not None:
            asyncio.get_running_loop().call_soon(self._end_without_input, state, tracked)

    def _end_without_input(self, state: TaskState, tracked: Tracked) -> None:
        """End a task that Dask would let wait for an input that failed."""
        supervisor, root = self._supervisor, upstream.failed_input(state)
        known = supervisor.tracked.get(state.key) is tracked and tracked.last_words is None
        if root is not None and known and state.state in ("released", "waiting"):
            supervisor.fold(state, tracked, lifecycle.Recomputed(time.time()))
            supervisor.settle.input_failed(state, tracked, root)
            supervisor.settle.end(state, tracked)
