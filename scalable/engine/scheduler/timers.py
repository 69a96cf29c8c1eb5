"""The limits of attempts: how long each may take, and who looks after it where its worker cannot."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from scalable.engine.scheduler.outcomes import by_timeout
from scalable.engine.scheduler.slots import GRACE_AFTER_CANCEL_S, GRACE_AFTER_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from distributed.scheduler import TaskState, WorkerState

    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["Timers", "disarm"]

ISOLATED_GRACE_S = 5.0
SILENCE_S = 2.0
"""How long a worker may say nothing beyond a task's limit; it speaks twice a second if its code lets it."""


class Timers:
    """One timer for each attempt that has a limit, on the scheduler's loop."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._asking: set[asyncio.Task[None]] = set()

    def sent(self, state: TaskState, tracked: Tracked) -> None:
        """Look after a task that is sent to a worker: its code may let nobody speak there."""
        if state.processing_on is not None and state.run_id is not None:
            tracked.sent_to = state.processing_on.address, state.run_id
        limit = tracked.spec.timeout_s
        if limit is not None:
            _arm(tracked, limit + SILENCE_S, self._unheard, state.key, state.run_id, time.time())

    def started(self, key: Any, run: int, tracked: Tracked) -> None:
        """Set the timer of an attempt: its own limit, or what is left of the task's deadline."""
        limits = [tracked.spec.timeout_s]
        deadline, first = tracked.spec.retry.deadline, tracked.task.first_started
        if deadline is not None and first is not None:
            limits.append(max(0.0, first + deadline - time.time()))
        known = [each for each in limits if each is not None]
        disarm(tracked)
        if known:
            tracked.limit_s = min(known)
            _arm(tracked, tracked.limit_s + _grace_s(tracked), self._overran, key, run)

    def left(self, key: Any, sent_to: tuple[str, int]) -> None:
        """Look after an attempt that nobody waits for any more, and that may have begun without a word."""
        loop = asyncio.get_running_loop()
        loop.call_later(GRACE_AFTER_CANCEL_S, self._keep_asking, self._runs_on, key, *sent_to, time.time())

    async def _runs_on(self, key: Any, address: str, run: int, since: float) -> None:
        """Win its slot back where its worker has been silent since, and it runs."""
        worker = self._supervisor.scheduler.workers.get(address)
        if worker is None or worker.last_seen > since + SILENCE_S:
            return  # it is gone, or could have told
        if run in await self._running_on(worker):
            self._supervisor.repairs.slots.given_up(address, key, run, 0.0)

    def _keep_asking(self, ask: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        task = asyncio.ensure_future(ask(*arguments))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def _unheard(self, key: Any, run: int, sent: float) -> None:
        """Find out whether a task runs of which nothing was heard, where its worker has been silent since."""
        state, tracked = self._supervisor.attempts.current(key, run)
        if state is None or tracked is None or tracked.running_on is not None:
            return
        worker = state.processing_on
        if worker is not None and worker.last_seen < sent + SILENCE_S / 2:
            self._keep_asking(self._ask, state, tracked, worker, sent)
        else:
            self.sent(state, tracked)

    async def _ask(self, state: TaskState, tracked: Tracked, worker: WorkerState, sent: float) -> None:
        """Take the word of a start for given, if the worker's nanny says that it runs."""
        run = state.run_id
        assert run is not None, "Dask numbers a run when it is sent"  # noqa: S101 - an invariant
        runs = await self._running_on(worker)
        current, _ = self._supervisor.attempts.current(state.key, run)
        if current is not state or tracked.running_on is not None:
            return
        if run in runs:
            self._supervisor.attempts.started(state.key, run, worker.address)
            tracked.began, tracked.limit_s = sent, tracked.spec.timeout_s
            self._overran(state.key, run)
        else:
            self.sent(state, tracked)

    async def _running_on(self, worker: WorkerState) -> list[int]:
        """What a silent worker runs, by its black box; none is known where it has no nanny to read it."""
        nanny: Any = self._supervisor.scheduler.rpc(worker.nanny) if worker.nanny else None
        if nanny is None:
            return []
        try:
            async with asyncio.timeout(SILENCE_S):
                return await nanny.scalable_running() or []
        except (OSError, TimeoutError):
            return []

    def _overran(self, key: Any, run: int) -> None:
        supervisor = self._supervisor
        state, tracked = supervisor.attempts.current(key, run)
        if state is None or tracked is None:
            return
        failure, tracked.parcel = by_timeout(tracked, state, supervisor.fleet.get(tracked.running_on))
        if tracked.running_on is not None:
            supervisor.repairs.slots.given_up(tracked.running_on, key, run, GRACE_AFTER_TIMEOUT_S)
        supervisor.attempts.over(state, tracked, failure)
        if tracked.hold_s is not None:  # the thread still runs: take the task from it
            stimulus = f"scalable-timeout-{time.time()}"
            supervisor.scheduler.transitions({key: "released"}, stimulus_id=stimulus)


def _grace_s(tracked: Tracked) -> float:
    """Seconds beyond its limit until an attempt is given up; of a deadline no keeper knows.

    The keeper of an isolated one ends it at its ``timeout`` by itself.
    """
    kept = tracked.spec.isolate and tracked.limit_s == tracked.spec.timeout_s
    return ISOLATED_GRACE_S if kept else 0.0


def _arm(tracked: Tracked, delay_s: float, call: Any, *arguments: Any) -> None:
    disarm(tracked)
    tracked.timer = asyncio.get_running_loop().call_later(delay_s, call, *arguments)


def disarm(tracked: Tracked) -> None:
    """Stop the timer of a task's attempt."""
    if tracked.timer is not None:
        tracked.timer.cancel()
        tracked.timer = None
