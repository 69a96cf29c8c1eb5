"""Who has taken what an earlier run left: of equal calls each gets a result of its own.

A table of numbers in a file, one for each entry: 0 while it is free, else the task that took it. A task that
asks again, because its worker was lost say, gets what it had. A lock of the file lets one process at a time
decide, on all hosts that share it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Claims", "create"]

SLOT = 8


def create(path: Path, many: int) -> None:
    """Make the file for so many entries, all of them free."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, many * SLOT)
    finally:
        os.close(descriptor)


class Claims:
    """The file, open. Threads of a process may share it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def take(self, number: int, task: str) -> bool:
        """Take an entry for a task, by its key; ``False`` says that another has it."""
        owner = sha256(task.encode("utf-8", "surrogatepass")).digest()[:SLOT]
        with self._lock:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                found = os.pread(self._descriptor, SLOT, number * SLOT)
                if not any(found):
                    os.pwrite(self._descriptor, owner, number * SLOT)
                    return True
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return found == owner

    def close(self) -> None:
        """Close the file; what asks later, as a thread that goes on may, gets ``ValueError``."""
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1  # the number may be another file's soon
