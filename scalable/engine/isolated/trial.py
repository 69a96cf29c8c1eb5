"""A trial of modules, in a process that is thrown away: see :mod:`scalable.engine.isolated.warm`."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from scalable.engine.isolated import child, warm

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Trial"]

LIMIT_S = 10.0
READ_BYTES = 65536


class Trial:
    """Runs until all modules are imported, one left a trace, or time is up."""

    def __init__(self, names: tuple[str, ...], foreign: Iterable[int]) -> None:
        self.names = names
        self.over = False
        self.reaped = False
        self.took_s = 0.0
        self._began = time.monotonic()
        self._heard = b""
        self.told, tell = os.pipe()
        try:
            self.pid = child.fork_for(lambda: warm.try_imports(names, tell), [*foreign, self.told])
        except OSError:
            os.close(self.told)
            raise
        finally:
            os.close(tell)

    @property
    def good(self) -> list[str]:
        """Modules that passed."""
        return self._heard.decode().split("\n")[:-1]

    def hear(self) -> None:
        """Read what it says; its end ends the trial."""
        data = os.read(self.told, READ_BYTES)
        self._heard += data
        if not data:
            self._finish()

    def watch(self, now: float) -> None:
        """End it when time is up."""
        if not self.over and now - self._began > LIMIT_S:
            self._finish()

    def _finish(self) -> None:
        self.over = True
        self.took_s = time.monotonic() - self._began
        self.end()

    def end(self) -> None:
        """Kill it; the keeper reaps it."""
        if not self.reaped:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of its pipe."""
        os.close(self.told)
