"""Appends records to a run's files. The client's event thread calls it, before anyone sees a result.

A full or broken disk must not stop the run: the loss is counted, said once, and writing goes on when it
can. A directory that was removed meanwhile is made again.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from scalable.journal.gate import Gate
from scalable.journal.records import SCHEMA
from scalable.journal.rundir import FILES

if TYPE_CHECKING:
    from pathlib import Path

    from scalable.journal.rundir import Status

__all__ = ["JournalWarning", "Sink", "Writer"]

logger = logging.getLogger("scalable")

AT_ONCE = 200
"""Lines that are written together, of some hundred bytes each."""


class JournalWarning(UserWarning):
    """Records could not be written to the run's directory."""


class Sink(Protocol):
    """Is told what was written, in the order of each file; neither method may wait long, or raise."""

    def append(self, file: str, records: list[dict[str, Any]]) -> None:
        """Take in records that were just written to a file."""

    def close(self, status: Status, reason: str | None) -> None:
        """Take in how the run ended."""


class Writer:
    """The open files of one run. Safe to call from several threads; ``close`` is final.

    ``sinks`` are told what was written, also where that was lost.
    """

    def __init__(self, path: Path, run_id: str, gate: Gate | None = None) -> None:
        self.path = path
        self.run_id = run_id
        self.gate = gate or Gate()
        self.lost = 0
        self.sinks: list[Sink] = []
        self._seq = dict.fromkeys(FILES, 0)
        self._open: dict[str, int] = {}
        self._torn: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._complained = False

    def append(self, file: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Append records (fields without ``schema``, ``seq`` and ``run_id``) to one of ``FILES``.

        Returns them as they were written: without secrets.
        """
        records = [
            each
            for first in range(0, len(records), AT_ONCE)
            for each in self.gate.records(records[first : first + AT_ONCE])
        ]
        with self._lock:
            if self._closed:
                return records
            lines = [self._line(file, record) for record in records]
            for first in range(0, len(lines), AT_ONCE):
                self._write(file, lines[first : first + AT_ONCE])
        for sink in self.sinks:
            sink.append(file, records)
        return records

    def close(self) -> None:
        """Close the files; later appends are ignored."""
        with self._lock:
            self._closed = True
            while self._open:
                try:
                    os.close(self._open.popitem()[1])
                except OSError as error:  # a network file system may report a failed write only now
                    self._count_loss(error)

    def complain(self, error: OSError) -> None:
        """Say, once, that the run's directory cannot be written."""
        if not self._complained:
            self._complained = True
            words = "cannot write to %s (%s): the run goes on, its records are being lost"
            logger.warning(words, self.path, error.strerror)

    def _line(self, file: str, record: dict[str, Any]) -> bytes:
        """Give a record its number, which it keeps if it is lost: the gap shows the loss."""
        seq = self._seq[file] + 1
        head = {"schema": SCHEMA, "seq": seq, "at": record.get("at"), "run_id": self.run_id}
        line = msgspec.json.encode({**head, **record}) + b"\n"
        self._seq[file] = seq
        return line

    def _write(self, file: str, lines: list[bytes]) -> None:
        """Write lines together; after one that is lost, try with the next."""
        while lines:
            written = 0
            try:
                descriptor = self._descriptor(file)
                if file in self._torn:  # a write stopped in mid-line: never glue the next record to it
                    lines = [b"\n" + lines[0], *lines[1:]]
                content = b"".join(lines)
                while written < len(content):
                    written += os.write(descriptor, content[written:])
            except OSError as error:
                lines = self._after_loss(file, lines, written)
                self._count_loss(error)
            else:
                self._torn.discard(file)
                return

    def _after_loss(self, file: str, lines: list[bytes], written: int) -> list[bytes]:
        """List the lines that come after the one that a write stopped in."""
        whole = 0
        while written >= len(lines[whole]):
            written -= len(lines[whole])
            whole += 1
        if written:
            self._torn.add(file)
        elif whole:
            self._torn.discard(file)
        return lines[whole + 1 :]

    def _descriptor(self, file: str) -> int:
        descriptor = self._open.get(file)
        if descriptor is not None and os.fstat(descriptor).st_nlink == 0:  # removed under our feet
            os.close(self._open.pop(file))
            descriptor = None
        if descriptor is None:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = self._open[file] = os.open(self.path / FILES[file], flags, 0o600)
        return descriptor

    def _count_loss(self, error: OSError) -> None:
        self.lost += 1
        self.complain(error)
