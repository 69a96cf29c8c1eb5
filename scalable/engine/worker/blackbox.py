"""A flight recorder: what a worker's threads are doing, in a small file that outlives its process.

What a worker says of its tasks may be on its way when it dies; so the task that kills it at once looks as
if it had never begun, and the one before as if it had never ended. Each attempt notes its run here, in
shared memory, before the user's code begins; the worker's nanny, whose address names it, reads it afterwards
(:mod:`scalable.engine.worker.warden`). An attempt that must be the only one leaves its run behind, as
its outcome may be on its way too.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Self

__all__ = ["BlackBox", "begun", "read", "remove"]

SLOTS = 512
_ENTRY = struct.Struct("=q")
NOTHING = 0


class BlackBox:
    """The runs (Dask's numbers) that are under way in this process; none where there is no file."""

    def __init__(self, memory: mmap.mmap | None, nanny: str = "") -> None:
        self._memory = memory
        self._nanny = nanny
        self._free = deque(range(SLOTS))  # the one left longest ago is the first to be used again

    @classmethod
    def create(cls, nanny: str) -> Self:
        """Make the file of the worker of a nanny, by its address; readable by its user alone."""
        path = _path(nanny)
        try:
            remove(nanny)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                os.ftruncate(descriptor, SLOTS * _ENTRY.size)
                return cls(mmap.mmap(descriptor, SLOTS * _ENTRY.size), nanny)
            finally:
                os.close(descriptor)
        except OSError:  # no room, or somebody else's file: then blame goes by what was heard
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
        """Remove the file: the worker ends in good order."""
        if self._memory is not None:
            self._memory = None
            remove(self._nanny)


def read(nanny: str) -> list[int] | None:
    """The runs that were under way when the worker of a nanny ended; ``None`` where it kept no box."""
    entries = _entries(nanny)
    return None if entries is None else [entry - 1 for entry in entries if entry > NOTHING]


def begun(nanny: str) -> list[int]:
    """The last runs that must not begin again, although they could not, or no more, take the process down."""
    return [-entry - 1 for entry in _entries(nanny) or () if entry < NOTHING]


def _entries(nanny: str) -> list[int] | None:
    try:
        descriptor = os.open(_path(nanny), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123 - by its descriptor
        if os.fstat(descriptor).st_uid != os.getuid():
            return None
        content = file.read(SLOTS * _ENTRY.size)
    return [entry for (entry,) in _ENTRY.iter_unpack(content)]


def remove(nanny: str) -> None:
    """Delete the file of a worker that has ended."""
    with suppress(OSError):
        _path(nanny).unlink()


def _path(nanny: str) -> Path:
    name = re.sub(r"\W+", "-", nanny)
    return Path(tempfile.gettempdir(), f"scalable-{os.getuid()}-{name}.running")
