"""Appends records to a run's files. The client's event thread calls it, before anyone sees a result.

A full or broken disk must not stop the run: the loss is counted, said once, and writing goes on when it
can. A directory that was removed meanwhile is made again.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.journal.records import SCHEMA
from scalable.journal.rundir import FILES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JournalWarning", "Writer"]

logger = logging.getLogger("scalable")


class JournalWarning(UserWarning):
    """Records could not be written to the run's directory."""


class Writer:
    """The open files of one run. Safe to call from several threads; ``close`` is final."""

    def __init__(self, path: Path, run_id: str) -> None:
        self.path = path
        self.run_id = run_id
        self.lost = 0
        self._seq = dict.fromkeys(FILES, 0)
        self._open: dict[str, int] = {}
        self._torn: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._complained = False

    def append(self, file: str, records: list[dict[str, Any]]) -> None:
        """Append records (fields without ``schema``, ``seq`` and ``run_id``) to one of ``FILES``."""
        with self._lock:
            if self._closed:
                return
            for record in records:
                line = self._line(file, record)
                try:
                    self._write(file, line)
                except OSError as error:
                    self._count_loss(error)

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

    def _write(self, file: str, line: bytes) -> None:
        descriptor = self._descriptor(file)
        if file in self._torn:  # an earlier write stopped in mid-line: never glue the next record to it
            line = b"\n" + line
        done = 0
        while done < len(line):
            try:
                done += os.write(descriptor, line[done:])
            except OSError:
                if done:
                    self._torn.add(file)
                raise
        self._torn.discard(file)

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
