"""A cluster on this machine that heals: workers that are gone for good are started again.

Dask starts a dead worker again as long as its nanny lives, gives the worker up after a while, and may so end
with none at all. Here every worker of the specification comes back, sooner or later.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed import Nanny, SpecCluster, Worker
from distributed.core import Status
from distributed.deploy.cluster import Cluster

from scalable.engine.scheduler.pins import take_place
from scalable.engine.scheduler.repairs import retire_within

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["HealingCluster", "ThreadWorker"]

logger = logging.getLogger("scalable")

LOOK_EVERY_S = 1.0
GONE_AFTER_S = 15.0
"""How long a nanny may be without its process before it is replaced; it starts one itself in seconds."""
CLOSE_TIMEOUT_S = 5
ENDED = (Status.closed, Status.failed)


class ThreadWorker(Worker):
    """A worker among the threads of this process; it does not wait long for a thread that is stuck."""

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """Close; a thread that still runs then ends with its task.

        So does the client that its tasks made by ``get_client``: Dask closes it with the last worker only,
        and until then it would ask by way of this one's connections, again and again.
        """
        made = self._client if self._client in Worker._initialized_clients else None  # noqa: SLF001 - as Dask does
        if made is not None and made.status == "running":
            made._asynchronous = True  # noqa: SLF001 - likewise
            await made.close()
        return await super().close(*args, **{"timeout": CLOSE_TIMEOUT_S, **kwargs})


class HealingCluster(SpecCluster):
    """Dask's cluster of workers by name, with the will to keep them."""

    def __init__(self, **kwargs: Any) -> None:
        self._absent: dict[Any, float] = {}  # since when a nanny has been seen without its process
        self._works: set[asyncio.Task[None]] = set()  # the watch, and replacements under way
        self._end = asyncio.Event()
        self._last = -1  # number of the last worker that was named
        super().__init__(**kwargs)

    def populate(self, workers: dict[str, Any]) -> None:
        """Say which workers there should be; ``all_up`` brings them about."""
        self.worker_spec = workers
        self._last = max(int(name.rpartition("-")[2]) for name in workers)

    async def all_up(self) -> None:
        """Start all workers; from here on they are watched."""
        await self._correct_state()
        self._begin(self._watch())

    def replace(self, name: str) -> None:
        """Begin to start another worker in the place of one, to move its data there, and to end it."""
        if not self._end.is_set():
            self._begin(self._replace(name))

    def kill(self, name: str) -> None:
        """Begin to kill a worker; its nanny ends with it, and tells nobody. Another pair follows."""
        if not self._end.is_set():
            self._begin(self._kill(name))

    async def _kill(self, name: str) -> None:
        await self._known(name)
        nanny = self.workers.get(name)
        if isinstance(nanny, Nanny) and nanny.pid is not None:
            nanny.status = Status.closing_gracefully  # it neither tells, nor starts another
            os.kill(nanny.pid, signal.SIGKILL)

    async def _known(self, name: str) -> None:
        """Wait for one that works already, while others that were begun with it are not up yet."""
        if name in self.worker_spec and name not in self.workers:
            await self._correct_state()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._works.add(task)
        task.add_done_callback(self._done)

    def _done(self, work: asyncio.Task[None]) -> None:
        self._works.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            logger.warning("a worker could not be replaced (%s: %s)", type(error).__name__, error)

    async def _replace(self, name: str) -> None:
        await self._known(name)
        old = self.workers.pop(name, None)
        if old is None:
            return
        fresh, before = self._next_name(), _address_of(old)
        self.worker_spec[fresh] = self.worker_spec.pop(name)
        try:
            await self._correct_state()
        finally:
            await self._part_with(old)
        scheduler: Any = self.scheduler
        take_place(scheduler, name, before, _address_of(self.workers[fresh]))

    def _update_worker_status(self, op: str, msg: Any) -> None:
        """Keep count of the workers; Dask's own cluster would drop lost ones from its specification here."""
        Cluster._update_worker_status(self, op, msg)  # noqa: SLF001 - the base of the base

    async def _close(self) -> None:
        # None of these is cancelled: a worker that is half up, or half gone, could not be closed by anybody.
        self._end.set()
        await asyncio.gather(*self._works, return_exceptions=True)  # what failed was told
        await super()._close()

    def _next_name(self) -> str:
        self._last += 1
        return f"worker-{self._last}"

    async def _part_with(self, old: Any) -> None:
        address = _address_of(old)
        scheduler: Any = self.scheduler
        stimulus = f"scalable-replace-{time.time()}"
        with suppress(TimeoutError, OSError):  # it may not answer: that is why it is replaced
            async with asyncio.timeout(0 if self._end.is_set() else retire_within(scheduler, address)):
                await scheduler.retire_workers([address], remove=False, stimulus_id=stimulus)
        await scheduler.remove_worker(address, expected=True, close=False, stimulus_id=stimulus)
        if isinstance(old, Nanny):
            await old.close(timeout=CLOSE_TIMEOUT_S)
        else:
            await old.close(timeout=CLOSE_TIMEOUT_S, executor_wait=False)

    # --- healing -----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        pause = LOOK_EVERY_S
        while not await self._ends_within(pause):
            gone = [name for name, worker in self.workers.items() if self._is_gone(worker)]
            missing = self.worker_spec.keys() - self.workers.keys()  # one that did not come up, say
            if not gone and not missing:
                pause = LOOK_EVERY_S
                continue
            for name in gone:
                await self._bury(self.workers.pop(name))
            try:
                await self._correct_state()
                pause = LOOK_EVERY_S
            except Exception as error:  # noqa: BLE001 - a worker that can't start may say so in any way; try again
                pause = min(30.0, 2 * pause)
                logger.warning("%s could not be started again (%s)", ", ".join({*gone, *missing}), error)

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._end.wait(), seconds)
        return self._end.is_set()

    def _is_gone(self, worker: Any) -> bool:
        if worker.status in ENDED:
            return True
        if not isinstance(worker, Nanny) or worker.is_alive():
            self._absent.pop(worker, None)
            return False
        return time.monotonic() - self._absent.setdefault(worker, time.monotonic()) > GONE_AFTER_S

    async def _bury(self, worker: Any) -> None:
        self._absent.pop(worker, None)
        if worker.status not in ENDED:
            with suppress(TimeoutError, OSError):
                await worker.close(timeout=CLOSE_TIMEOUT_S)


def _address_of(worker: Any) -> str:
    """Where the scheduler knows it: a nanny's own address is another."""
    return str(getattr(worker, "worker_address", None) or worker.address)
