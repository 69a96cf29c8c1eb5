"""Workers that get no more tasks: one whose slot is stuck, one that kills what it is given."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from distributed.core import Status

if TYPE_CHECKING:
    from collections.abc import Collection

    from distributed.scheduler import Scheduler

__all__ = ["Cordon"]


class Cordon:
    """The workers of one scheduler that are set aside, by address, and the reasons for it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._aside: dict[str, set[str]] = {}
        self._follow = scheduler.stream_handlers["worker-status-change"]
        scheduler.stream_handlers["worker-status-change"] = self._status_changed

    def __contains__(self, address: str) -> bool:
        return bool(self._aside.get(address))

    def put(self, address: str, reason: str, staying: Collection[Any]) -> bool:
        """Give a worker nothing more; what waits there goes elsewhere, but for the tasks ``staying``.

        False where it is set aside for that reason already, or gone.
        """
        worker = self._scheduler.workers.get(address)
        reasons = self._aside.setdefault(address, set())
        if worker is None or reason in reasons:
            return False
        reasons.add(reason)
        stimulus = f"scalable-cordon-{time.time()}"
        # Paused is what Dask calls a worker that finishes what it runs and gets nothing else.
        self._scheduler.handle_worker_status_change(Status.paused, worker, stimulus)
        moving: Any = {state.key: "released" for state in worker.processing if state.key not in staying}
        self._scheduler.transitions(moving, stimulus)
        self._scheduler.stimulus_queue_slots_maybe_opened(stimulus_id=stimulus)
        return True

    def lift(self, address: str, reason: str) -> None:
        """Give it tasks again, unless there is another reason not to."""
        reasons = self._aside.get(address, set())
        if reason not in reasons:
            return
        reasons.discard(reason)
        worker = self._scheduler.workers.get(address)
        if not reasons and worker is not None:
            self._scheduler.handle_worker_status_change(
                Status.running, worker, f"scalable-lift-{time.time()}"
            )

    def _status_changed(self, status: str, worker: str, stimulus_id: str) -> None:
        """Follow Dask, but for a worker that says it is running, as each does soon after it joined."""
        if status != Status.running.name or worker not in self:
            self._follow(status=status, worker=worker, stimulus_id=stimulus_id)

    def others(self, address: str) -> bool:
        """Whether there would be any worker left to work."""
        running = {worker.address for worker in self._scheduler.running}
        return any(each not in self for each in running - {address})

    def gone(self, address: str) -> None:
        """Forget a worker that left."""
        self._aside.pop(address, None)
