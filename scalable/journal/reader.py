"""Streams a run's files. A torn last line (a killed writer, a full disk) is passed over and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from scalable.journal.records import (
    CacheRecord,
    FailureRecord,
    FaultRecord,
    Record,
    TaskRecord,
    WorkerRecord,
)
from scalable.journal.rundir import FILES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Stream"]

TYPES: dict[str, type[Record]] = {
    "failures": FailureRecord,
    "tasks": TaskRecord,
    "workers": WorkerRecord,
    "cache": CacheRecord,
    "faults": FaultRecord,
}


class Stream:
    """One file of a run, record by record; ``torn`` counts the lines that this reading had to pass over.

    ``about`` leaves out the lines that do not have this text in them.
    """

    def __init__(self, run_dir: Path, file: str, about: str = "") -> None:
        self.path = run_dir / FILES[file]
        self.torn = 0
        self._about = msgspec.json.encode(about)[1:-1]
        self._decode = msgspec.json.Decoder(TYPES[file]).decode

    def __iter__(self) -> Iterator[Record]:
        self.torn = 0
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for line in lines:
                if self._about not in line or not line.strip():
                    continue
                try:
                    yield self._decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    self.torn += 1
