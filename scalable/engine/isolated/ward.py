"""A child that runs a task, as the keeper sees it: its limits, its end."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from scalable.engine.isolated import memory
from scalable.engine.isolated.wire import Status

if TYPE_CHECKING:
    import resource

    from scalable.engine.isolated.wire import Run, Why

__all__ = ["Ward"]

GRACE_S = 1.0
LOOKS_PER_SEARCH = 10
"""Descendants are searched for less often than the memory of the known ones is looked at."""


class Ward:
    """Watched until it is over; then the worker is told how it ended."""

    def __init__(self, request: Run, status: int) -> None:
        self.id = request.id
        self.status = status
        self.pid = 0
        self.due: float | None = None  # when the next thing is to be done to it
        self._timeout_s = request.timeout_s
        self._memory_bytes = request.memory_bytes
        self._why: Why | None = None
        self._peak = 0
        self._looks = 0
        self._members: list[int] = []
        self._oom_kills = 0

    def begin(self) -> None:
        """Count from now."""
        self._oom_kills = memory.oom_kills()
        if self._timeout_s is not None:
            self.due = time.monotonic() + self._timeout_s

    @property
    def busy(self) -> bool:
        """Whether it must be looked at all the time."""
        return self._memory_bytes is not None

    def can_wait(self, seconds: float) -> bool:
        """Whether nothing is to be done to it for so long."""
        return not self.busy and (self.due is None or time.monotonic() + 2 * seconds < self.due)

    def watch(self, now: float) -> None:
        """Enforce the limits."""
        if self.due is not None and now >= self.due:
            if self._why is None:
                self.stop("timeout", GRACE_S)
            else:
                self.signal(signal.SIGKILL)
                self.due = now + GRACE_S
        if self._memory_bytes is not None and self._used() > self._memory_bytes and self._why is None:
            self.stop("oom", 0.0)

    def stop(self, why: Why, grace_s: float) -> None:
        """Ask it to end, and see to it after ``grace_s``; without a grace at once."""
        self._why = why
        self.signal(signal.SIGTERM if grace_s else signal.SIGKILL)
        self.due = time.monotonic() + (grace_s or GRACE_S)

    def signal(self, number: int) -> None:
        """Signal its whole process group."""
        with suppress(ProcessLookupError):
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):  # it has no group of its own yet
                os.kill(self.pid, number)

    def over(self, status: int, usage: resource.struct_rusage) -> None:
        """Tell how it ended; both are of ``wait4``."""
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        if number == signal.SIGKILL and self._why is None and memory.oom_kills() > self._oom_kills:
            self._why = "oom"
        self.tell(
            Status(
                pid=self.pid,
                exit_code=None if number is not None else os.waitstatus_to_exitcode(status),
                signal=None if number is None else _name_of(number),
                peak_rss_bytes=max(memory.peak_of(usage), self._peak),
                cpu_s=memory.cpu_of(usage),
                why=self._why,
            )
        )

    def tell(self, status: Status) -> None:
        """Send the worker a last word of it."""
        with suppress(OSError):  # the worker may have stopped to listen
            os.write(self.status, msgspec.json.encode(status))
        os.close(self.status)

    def _used(self) -> int:
        if self._looks % LOOKS_PER_SEARCH == 0:
            self._members = [self.pid, *(pid for pid in memory.session_of(self.pid) if pid != self.pid)]
        self._looks += 1
        used = sum(memory.resident(pid) for pid in self._members)
        self._peak = max(self._peak, used)
        return used


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
