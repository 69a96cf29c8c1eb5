"""A flight recorder: what a worker's threads are doing, in a small file that outlives its process.

What a worker says of its tasks may be on its way when it dies; so the task that kills it at once looks as
if it had never begun, and the one before as if it had never ended. Each attempt notes its run here, in
shared memory, before the user's code begins; the worker's nanny reads it afterwards
(:mod:`scalable.engine.worker.warden`). An attempt that must be the only one leaves its run behind, as
its outcome may be on its way too.

The file is the nanny's, whose address names it: it makes one for each worker process, and holds a lock on it
until it has read and removed it. So a file that nobody holds is one that nobody will read: its nanny was
killed, and the kernel let go of the lock. The next nanny of the same user removes it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import platform
import re
import struct
import tempfile
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Self

__all__ = ["BlackBox", "Reader", "path_of", "sweep"]

SLOTS = 512
_ENTRY = struct.Struct("=q")
NOTHING = 0
SIZE = SLOTS * _ENTRY.size

ENDING, BEFORE_LOCKS = ".box", ".running"  # the latter were made by earlier versions, which held no lock
FORGOTTEN_AFTER_S = 24 * 60 * 60.0
TRIES, SWEEP_S = 3, 0.001


class BlackBox:
    """The runs (Dask's numbers) that are under way in this process; none where there is no file."""

    def __init__(self, memory: mmap.mmap | None, path: Path | None = None) -> None:
        self._memory = memory
        self._path = path
        self._free = deque(range(SLOTS))  # the one left longest ago is the first to be used again

    @classmethod
    def open(cls, nanny: str) -> Self:
        """Begin to write the file that a nanny, by its address, made for this worker."""
        try:
            path = path_of(nanny)
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_size:  # another worker's: that nanny could make none
                    return cls(None)
                os.ftruncate(descriptor, SIZE)
                return cls(mmap.mmap(descriptor, SIZE), path)
            finally:
                os.close(descriptor)
        except OSError:  # no file, no room: then blame goes by what was heard
            return cls(None)

    def enter(self, run: int) -> int | None:
        """Note that a run begins; returns the place to leave."""
        if self._memory is None or not self._free:
            return None
        place = self._free.popleft()
        _ENTRY.pack_into(self._memory, place * _ENTRY.size, run + 1)  # the first run is 0
        return place

    def leave(self, place: int | None, run: int | None = None) -> None:
        """Note that it has ended; ``run`` names one that must not begin anywhere else."""
        if self._memory is not None and place is not None:
            _ENTRY.pack_into(self._memory, place * _ENTRY.size, NOTHING if run is None else -(run + 1))
            self._free.append(place)

    def close(self) -> None:
        """Remove the file: the worker ends in good order, and there is nothing to be read."""
        if self._memory is not None and self._path is not None:
            self._memory = None
            with suppress(OSError):
                self._path.unlink()


class Reader:
    """A nanny's side of the box of its next worker, or of none where no file could be made."""

    def __init__(self, nanny: str) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            self._path = path_of(nanny)
            self._descriptor = _made_and_held(self._path)

    def running(self) -> list[int] | None:
        """The runs that are, or were, under way; ``None`` where no worker keeps a box, or no more."""
        entries = self._entries()
        return None if entries is None else [entry - 1 for entry in entries if entry > NOTHING]

    def begun(self) -> list[int]:
        """The last runs that must not begin again, though they could not take the process down."""
        return [-entry - 1 for entry in self._entries() or () if entry < NOTHING]

    def close(self) -> None:
        """Remove the file, then let go of it."""
        if self._descriptor is not None:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = None

    def _entries(self) -> list[int] | None:
        if self._descriptor is None or not os.fstat(self._descriptor).st_nlink:
            return None
        content = os.pread(self._descriptor, SIZE, 0)
        return [entry for (entry,) in _ENTRY.iter_unpack(content)] or None


def sweep() -> None:
    """Remove the files of this user that nobody will read any more, as their nannies were killed."""
    ours, of_old = _prefix(), f"scalable-{os.getuid()}-"
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as found:
        for each in found:
            if each.name.startswith(ours) and each.name.endswith(ENDING):
                _remove_unheld(each.path)
            elif each.name.startswith(of_old) and each.name.endswith(BEFORE_LOCKS):
                _remove_forgotten(each)


def path_of(nanny: str) -> Path:
    """Where the box of a nanny's worker is, by the nanny's address."""
    return Path(tempfile.gettempdir(), f"{_prefix()}{_word(nanny)}{ENDING}")


def _prefix() -> str:
    """Name the host as well: what another one holds need not be seen here, where they share a directory."""
    return f"scalable-{os.getuid()}.{_word(platform.node())}."


def _word(text: str) -> str:
    return re.sub(r"\W+", "-", text)


def _made_and_held(path: Path) -> int:
    """Make a file and hold it; one that a sweep saw before it was held is gone, and another is made."""
    for _ in range(TRIES):
        with suppress(FileExistsError, BlockingIOError):
            descriptor = _made(path)
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)
        time.sleep(SWEEP_S)
    raise FileExistsError(path)


def _made(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):  # this file system has no locks
            path.unlink()
        raise
    return descriptor


def _remove_unheld(path: str) -> None:
    with suppress(OSError):  # it is held (``BlockingIOError``), or gone by now, or no file of ours
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):  # not a new one of that name
                Path(path).unlink()
        finally:
            os.close(descriptor)


def _remove_forgotten(entry: os.DirEntry[str]) -> None:
    with suppress(OSError):
        if entry.stat(follow_symlinks=False).st_mtime < time.time() - FORGOTTEN_AFTER_S:
            Path(entry).unlink()
