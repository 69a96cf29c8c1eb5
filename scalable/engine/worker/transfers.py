"""Results that do not reach a worker which needs them: Dask would let their dependents wait for ever.

A worker that fetches several results from another at once fails with all of them if one does not pickle or
cannot be loaded. So each is asked for once more by itself, and the scheduler is told what became of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from distributed.comm.core import connect
from distributed.core import send_recv

from scalable.engine.messages import TRANSFER
from scalable.engine.travel import why_not

if TYPE_CHECKING:
    from distributed.worker import Worker

__all__ = ["Transfers"]

BUSY_S = 0.1


class Transfers:
    """Looks into failed transfers on behalf of one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._looks: set[asyncio.Task[None]] = set()

    def failed(self, key: Any) -> None:
        """Note that a result could not be fetched."""
        holders = sorted(self._worker.state.tasks[key].who_has)
        look = asyncio.ensure_future(self._look(key, holders))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    def close(self) -> None:
        """Ask no more."""
        for look in self._looks:
            look.cancel()

    async def _look(self, key: Any, holders: list[str]) -> None:
        why: str | None = None
        try:
            await self._fetch(key, holders)
        except OSError:
            pass  # its worker is gone: Dask sees to that
        except Exception as error:  # noqa: BLE001 - whatever pickling or loading raises
            why = why_not(error)
        self._worker.batched_send({"op": TRANSFER, "key": key, "why": why})

    async def _fetch(self, key: Any, holders: list[str]) -> None:
        for holder in holders[:1]:
            while await self._ask(key, holder) == "busy":  # noqa: ASYNC110 - another worker says so
                await asyncio.sleep(BUSY_S)

    async def _ask(self, key: Any, holder: str) -> str:
        """Fetch a result on a connection of our own.

        Dask keeps one on which a transfer failed, and the next question on it is taken for an answer.
        """
        pool: Any = self._worker.rpc
        comm = await connect(holder, **pool.connection_args)
        try:
            answer = await send_recv(
                comm,
                op="get_data",
                keys=[key],
                who=self._worker.address,
                serializers=pool.serializers,
                deserializers=pool.deserializers,
            )
            if answer["status"] == "OK":
                await comm.write("OK")
            return str(answer["status"])
        finally:
            comm.abort()
