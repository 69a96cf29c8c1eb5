"""The nanny plugin: tells the scheduler how a worker died, and slows down restarts that come too fast.

Dask's nannies know the exit code of their worker and tell nobody; and they start a dead worker again at once,
however often it dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed.core import Status
from distributed.diagnostics.plugin import NannyPlugin
from tornado.ioloop import PeriodicCallback

from scalable.core.workers import STORM_WINDOW_S, restart_pause
from scalable.engine.isolated import memory
from scalable.engine.worker import blackbox
from scalable.engine.worker.blackbox import Reader

if TYPE_CHECKING:
    from distributed import Nanny

__all__ = ["Warden"]

LOOK_EVERY_S = 2.0
FROZEN_AFTER_S = 20.0
TELL_S = 10.0


class Warden(NannyPlugin):
    """Watches one nanny's worker process end and begin."""

    name = "scalable-warden"
    idempotent = True  # Dask would leave one at work for each session that there ever was
    restart = False

    def setup(self, nanny: Nanny) -> None:
        """Dask calls it once, on the nanny."""
        self._nanny = nanny
        blackbox.sweep()
        self.reader = Reader(nanny.address)
        self._deaths: deque[float] = deque(maxlen=100)
        self._terminated = nanny.memory_manager._last_terminated_pid  # noqa: SLF001 - see _out_of_memory
        self._oom_kills = memory.oom_kills(or_machine=True)
        self._frozen = False
        self._stopped_since: float | None = None
        self._look = PeriodicCallback(self._watch, LOOK_EVERY_S * 1000)
        self._look.start()
        nanny.handlers["scalable_running"] = self.running
        self._go_on = nanny._on_worker_exit  # noqa: SLF001 - Dask offers no other way to hear of it
        nanny._on_worker_exit = self._on_worker_exit  # type: ignore[method-assign] # noqa: SLF001

    def teardown(self, nanny: Nanny) -> None:
        """Dask calls it when the plugin is taken away."""
        self._look.stop()
        nanny.handlers.pop("scalable_running", None)
        nanny._on_worker_exit = self._go_on  # type: ignore[method-assign] # noqa: SLF001
        if nanny.status == Status.closing and nanny.process is not None:  # its worker is still to end
            self._kill = nanny.kill
            nanny.kill = self._kill_and_tidy  # type: ignore[method-assign]
        else:
            self.reader.close()

    async def _kill_and_tidy(self, *args: Any, **kwargs: Any) -> None:
        """End the worker of a nanny that closes; one that was stuck could not tidy up itself."""
        try:
            await self._kill(*args, **kwargs)
        finally:
            self.reader.close()

    async def running(self) -> list[int] | None:
        """The runs that the worker has under way, also where its code lets it say nothing."""
        return self.reader.running()

    async def _on_worker_exit(self, exitcode: int) -> None:
        """Tell how it ended, wait a little if that happens often, then let the nanny do what it does."""
        died = self._seen(exitcode)  # before another process is there, and begins a box of its own
        try:
            if self._nanny.status == Status.running:
                await self._tell(died)
                await self._rest()
        finally:
            await self._go_on(exitcode)

    def _seen(self, exitcode: int) -> dict[str, Any]:
        of_memory, frozen = self._out_of_memory(exitcode), self._frozen
        self._frozen = False
        running, begun = self.reader.running(), self.reader.begun()
        self.reader.close()
        self.reader = Reader(self._nanny.address)
        why = "memory" if of_memory else "frozen" if frozen else None
        return {"exitcode": exitcode, "why": why, "running": running, "begun": begun}

    async def _tell(self, died: dict[str, Any]) -> None:
        scheduler: Any = self._nanny.scheduler
        name = str(self._nanny.name or self._nanny.worker_address)
        with suppress(OSError, TimeoutError):  # the scheduler is gone, or too busy to wait for
            async with asyncio.timeout(TELL_S):
                await scheduler.scalable_worker_died(worker=name, **died)

    async def _rest(self) -> None:
        now = time.monotonic()
        self._deaths.append(now)
        recent = sum(now - death < STORM_WINDOW_S for death in self._deaths)
        await asyncio.sleep(restart_pause(recent))

    def _watch(self) -> None:
        """End a worker that was stopped and is not let go on: Dask would wait for it for minutes.

        One that is merely silent may be at work, with code that lets no other thread run.
        """
        pid = self._nanny.pid
        if pid is None or not _is_stopped(pid):
            self._stopped_since = None
            return
        now = time.monotonic()
        self._stopped_since = self._stopped_since or now
        if now - self._stopped_since > FROZEN_AFTER_S:
            self._frozen, self._stopped_since = True, None
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _out_of_memory(self, exitcode: int) -> bool:
        """Whether the nanny ended it for its memory, or the kernel did, as far as can be seen."""
        terminated, before = self._nanny.memory_manager._last_terminated_pid, self._terminated  # noqa: SLF001
        kills, known = memory.oom_kills(or_machine=True), self._oom_kills
        self._terminated, self._oom_kills = terminated, kills
        return terminated != before or (exitcode == -9 and kills > known)  # noqa: PLR2004 - SIGKILL


def _is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal, as ``kill -STOP`` does; a debugger's stop is another."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"
