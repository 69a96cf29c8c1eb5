"""What attempts use of their worker's process: CPU time, and the peak of its memory where that is theirs.

The CPU time is that of the thread on which an attempt runs. Of memory the system knows that of the whole
process only, by a high-water mark that can be lowered to what is occupied now. So there is a figure where the
worker has a process of its own, and the attempt was alone in it from its beginning to its end.

To read the mark costs more than to run a task that does nothing: what succeeds within a millisecond of CPU
time has no peak. It cannot be far above what the worker had before: to touch a megabyte takes about 0.1 ms.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Reading", "Usage"]

Place = Literal["thread", "loop", "apart"]
RESET: Final = b"5"  # of proc(5), /proc/pid/clear_refs: the mark becomes what is resident now
MARK: Final = b"VmHWM:"
STATUS_BYTES: Final = 4096
KIB: Final = 1024
SHORT_S: Final = 0.001


class Usage:
    """The attempts of one worker, from several threads; ``own_process``: nothing but the worker is in it."""

    def __init__(self, *, own_process: bool) -> None:
        self._lock = threading.Lock()
        self._inside = self._entered = 0
        self._open: list[int] = []
        self._known = False
        if own_process:
            with suppress(OSError):  # no Linux, or not permitted
                self._open += [os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)]
                self._open += [os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)]
                self._known = self._reset() and self._peak() is not None

    def close(self) -> None:
        """Know nothing of memory any more."""
        with self._lock:
            self._known = False
            while self._open:
                os.close(self._open.pop())

    def reading(self, place: Place) -> Reading:
        """Make a reading for an attempt that runs on a thread, on the event loop, or in a process apart."""
        return Reading(self, place)

    def enter(self) -> int:
        """Note that an attempt begins; returns its number, 0 where it is not alone."""
        with self._lock:
            self._entered += 1
            self._inside += 1
            alone = self._inside == 1 and self._known
            return self._entered if alone and self._reset() else 0

    def leave(self, number: int, *, short: bool) -> int | None:
        """Note that it ends; returns the peak of the process in bytes where it was alone all the time."""
        with self._lock:
            self._inside -= 1
            alone = number and number == self._entered and self._known
            return self._peak() if alone and not short else None

    def _reset(self) -> bool:
        """Lower the mark; whatever the system says to that must not harm the attempt."""
        try:
            return os.pwrite(self._open[0], RESET, 0) == len(RESET)
        except OSError:
            return False

    def _peak(self) -> int | None:
        try:
            status = os.pread(self._open[1], STATUS_BYTES, 0)
            at = status.index(MARK) + len(MARK)
            return int(status[at : status.index(b"kB", at)]) * KIB
        except (OSError, ValueError):
            return None


class Reading:
    """Around the code of one attempt: afterwards ``cpu_s`` and ``peak_rss_bytes``, or ``None``."""

    __slots__ = ("_clock", "_number", "_place", "_usage", "cpu_s", "peak_rss_bytes")

    def __init__(self, usage: Usage, place: Place) -> None:
        self._usage, self._place = usage, place
        self.cpu_s: float | None = None
        self.peak_rss_bytes: int | None = None

    def __enter__(self) -> Self:
        if self._place != "apart":
            self._number = self._usage.enter()
        self._clock = time.thread_time()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        cpu_s = time.thread_time() - self._clock
        if self._place == "apart":
            return
        peak = self._usage.leave(self._number, short=error is None and cpu_s < SHORT_S)
        if self._place == "thread":  # the loop runs other things in between
            self.cpu_s, self.peak_rss_bytes = round(cpu_s, 6), peak

    def told(self) -> tuple[float | None, int | None]:
        """Both, as they travel with a result."""
        return self.cpu_s, self.peak_rss_bytes

    def into(self, report: Any) -> Any:
        """Add them to the report of a failure."""
        failure = {**report["failure"], "cpu_s": self.cpu_s, "peak_rss_bytes": self.peak_rss_bytes}
        return {**report, "failure": failure}
