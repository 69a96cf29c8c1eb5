"""The event loop on which scheduler and client run, in a thread that ends with the session."""

from __future__ import annotations

import asyncio
import signal
import threading
from multiprocessing import resource_tracker
from typing import Any

from distributed.config import get_loop_factory
from distributed.utils import sync
from tornado.ioloop import IOLoop

__all__ = ["LoopThread"]

STOP_TIMEOUT_S = 10


class LoopThread:
    """A running event loop; ``loop`` is for Dask.

    Dask would start one by itself, and leave it running where a client cannot connect.
    """

    def __init__(self) -> None:
        self.loop: Any = None
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scalable-loop", daemon=True)
        self._thread.start()
        self._started.wait()

    def hold_back_interrupts(self) -> None:
        """Let what is started from this loop begin with Ctrl-C blocked: no process is hit while it imports.

        Workers unblock it, see :mod:`scalable.targets.terminal`.
        """
        resource_tracker.ensure_running()  # when it starts, it unblocks Ctrl-C in the thread that needed it
        sync(self.loop, _block)

    def stop(self) -> None:
        """End the thread, and what still waits on the loop."""
        self.loop.add_callback(self._stop.set)
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=get_loop_factory()) as runner:
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        self.loop = IOLoop.current()
        self._started.set()
        await self._stop.wait()
        asyncio.get_running_loop().set_exception_handler(_after_the_end)


def _after_the_end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave out the timers that Dask's senders were waiting for: nobody is left to hear them."""
    if not isinstance(context.get("exception"), TimeoutError):
        loop.default_exception_handler(context)


async def _block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
