"""Single flight: of all who want the same key at once, in any thread or process, one computes it.

Each key has a lock file of its own, so different keys never wait for each other, and the kernel lets
go of it when its holder dies. The holder removes the file before it lets go; whoever gets the lock of
a file that is no longer there tries again with the new one.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

__all__ = ["KeyLock", "flight", "flight_async", "in_flight"]

_computing: ContextVar[frozenset[Path]] = ContextVar("scalable.cache.computing", default=frozenset())


class KeyLock:
    """An exclusive lock, by a file that exists only while somebody holds or awaits it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without ``wait``, ``False`` says that somebody else has it.

        Raises ``OSError`` where the file system allows no lock files.
        """
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(fd)
                return False
            except BaseException:
                os.close(fd)
                raise
            if self._is_current(fd):
                self._fd = fd
                return True
            os.close(fd)

    def release(self) -> None:
        """Let go; unlocks explicitly, because a child forked meanwhile shares the open file."""
        self.path.unlink(missing_ok=True)
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)
        self._fd = -1

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self.path.stat())
        except FileNotFoundError:
            return False


def in_flight(path: Path) -> bool:
    """Whether the calling code is itself part of computing this key: waiting would last for ever."""
    return path in _computing.get()


@contextmanager
def flight(path: Path) -> Iterator[None]:
    """Hold the key's lock. Where there can be no lock, everybody computes."""
    lock = KeyLock(path)
    try:
        locked = lock.acquire()
    except OSError:
        locked = False
    with _held(lock, locked=locked):
        yield


@asynccontextmanager
async def flight_async(path: Path) -> AsyncIterator[None]:
    """:func:`flight` for coroutines: waits without blocking the event loop."""
    import asyncio

    lock, pause_s = KeyLock(path), 0.001
    try:
        # A thread that waits in the kernel could not be cancelled, so the lock is asked for again and again.
        while not (locked := lock.acquire(wait=False)):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.05)
    except OSError:
        locked = False
    with _held(lock, locked=locked):
        yield


@contextmanager
def _held(lock: KeyLock, *, locked: bool) -> Iterator[None]:
    token = _computing.set(_computing.get() | {lock.path})
    try:
        yield
    finally:
        _computing.reset(token)
        if locked:
            try:
                lock.release()
            except OSError:  # the directory became read-only; the next in line must not wait for that
                os.close(lock._fd)  # noqa: SLF001 - ours
