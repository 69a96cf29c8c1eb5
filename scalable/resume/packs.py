"""What became of calls, on disk: files that are only appended to, one for each process that writes.

An entry has a header and a payload behind it. Whoever reads believes a header that begins as one should and
whose payload lies in the file; what the payload is worth, its own checksum says. A process that is killed
leaves half an entry at the end of its file at most. Where the disk is full, what was written of an entry is
taken back.
"""

from __future__ import annotations

import itertools
import os
import secrets
import socket
import struct
import threading
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scalable.resume.identity import Called

__all__ = ["SUFFIX", "Entry", "Kind", "Pack", "read", "scan"]

SUFFIX = ".pack"
MARK = b"scr1"
HEADER = struct.Struct("<4sB16s16s16sQ")
TOGETHER_BYTES = 1 << 16
"""Entries that may wait to be written are written when they come to so much."""

Kind = Literal["result", "failure", "begun", "undone", "taken"]
KINDS: tuple[Kind, ...] = ("result", "failure", "begun", "undone", "taken")
"""``taken`` is a result that a run took though other code had made it: the payload begins with that code."""


class Entry(msgspec.Struct, frozen=True):
    """What became of a call: where its payload is, and ``origin``, which all copies of an entry share."""

    kind: Kind
    identity: bytes
    code: bytes
    origin: bytes
    offset: int
    length: int


class Pack:
    """The file of one process, made when there is something to write."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._waiting: list[bytes] = []
        self._own = secrets.token_bytes(8)
        self._entries = itertools.count()
        self._size = 0  # of the file
        self._waits = 0  # bytes
        self.written = 0

    def add(
        self, kind: Kind, called: Called, payload: bytes, *, origin: bytes | None = None, wait: bool = False
    ) -> None:
        """Append an entry; one that may ``wait`` is written with others, or by :meth:`flush`.

        Raises ``OSError`` where that cannot be done; of what had waited nothing is kept then.
        """
        if origin is None:
            origin = self._own + next(self._entries).to_bytes(8, "big")
        header = HEADER.pack(MARK, KINDS.index(kind), called.identity, called.code, origin, len(payload))
        with self._lock:
            self._waiting += [header, payload]
            self._waits += len(header) + len(payload)
            if not wait or self._waits > TOGETHER_BYTES:
                self._write()

    def flush(self) -> None:
        """Write what waits; raises ``OSError``."""
        with self._lock:
            self._write()

    def close(self) -> None:
        """Write what waits, and close the file."""
        with self._lock:
            try:
                self._write()
            finally:
                if self._descriptor is not None:
                    os.close(self._descriptor)
                    self._descriptor = None

    def _write(self) -> None:
        content, self._waiting, self._waits = b"".join(self._waiting), [], 0
        if not content:
            return
        if self._descriptor is None:
            self._descriptor, self._size = self._made(), 0
        done = 0
        try:
            while done < len(content):
                done += os.write(self._descriptor, content[done:])
        except OSError:
            os.ftruncate(self._descriptor, self._size)  # whoever reads on would take the rest for a header
            raise
        self._size += len(content)
        self.written += len(content)

    def _made(self) -> int:
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(self._directory / name, flags, 0o600)


def scan(path: Path) -> Iterator[Entry]:
    """Yield the entries of a file, up to where it stops making sense; raises ``OSError``."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        place = 0
        while len(header := file.read(HEADER.size)) == HEADER.size:
            mark, kind, identity, code, origin, length = HEADER.unpack(header)
            place += HEADER.size
            if mark != MARK or kind >= len(KINDS) or length > size - place:
                return
            yield Entry(KINDS[kind], identity, code, origin, place, length)
            place += length
            file.seek(place)


def read(path: Path, offset: int, length: int) -> bytes:
    """Return the payload of an entry; raises ``OSError``."""
    with path.open("rb") as file:
        return os.pread(file.fileno(), length, offset)
