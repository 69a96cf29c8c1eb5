"""Streams a run's files. A torn last line (a killed writer, a full disk) is passed over and counted.

Lines of earlier releases lack fields, which then have their defaults, and those of later ones may have more,
which are passed over. Lines whose ``schema`` is a higher number are read as far as they can be, and counted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.journal.records import (
    SCHEMA,
    CacheRecord,
    FailureRecord,
    FaultRecord,
    Record,
    TaskRecord,
    WorkerRecord,
)
from scalable.journal.rundir import FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Growing", "Slim", "Stream"]

TYPES: dict[str, type[Record]] = {
    "failures": FailureRecord,
    "tasks": TaskRecord,
    "workers": WorkerRecord,
    "cache": CacheRecord,
    "faults": FaultRecord,
}
BUFFER_BYTES = 1 << 20
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Head(msgspec.Struct):
    """What every line has, whatever release wrote it."""

    schema: int = SCHEMA


_head = msgspec.json.Decoder(_Head).decode


class _Lines:
    """What readings have in common: ``torn`` and ``newer`` count lines of the last one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0
        self.newer = 0

    def passed_over(self, line: bytes) -> None:
        """Count a line that could not be decoded."""
        try:
            is_newer = _head(line).schema > SCHEMA
        except UNREADABLE:
            is_newer = False
        if is_newer:
            self.newer += 1
        else:
            self.torn += 1


class Stream(_Lines):
    """One file of a run, record by record; ``torn`` counts the lines that this reading had to pass over.

    ``newer`` counts those of a form that only a later release knows: some of it may be missing.

    ``about`` leaves out the lines that do not have this text in them.
    """

    def __init__(self, run_dir: Path, file: str, about: str = "") -> None:
        super().__init__(run_dir / FILES[file])
        self._about = msgspec.json.encode(about)[1:-1]
        self._decode = msgspec.json.Decoder(TYPES[file]).decode

    def __iter__(self) -> Iterator[Record]:
        self.torn = self.newer = 0
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for line in lines:
                if self._about not in line or not line.strip():
                    continue
                try:
                    record = self._decode(line)
                except UNREADABLE:
                    self.passed_over(line)
                    continue
                self.newer += record.schema > SCHEMA
                yield record


class Slim(_Lines):
    """One file of a run, of whose lines only the fields ``names`` are decoded: for files of any length.

    A reading gives pairs: what is asked for of a line, and the line, of which :meth:`whole` makes its
    record where more is to be known of it.
    """

    def __init__(self, run_dir: Path, file: str, names: Iterable[str]) -> None:
        super().__init__(run_dir / FILES[file])
        wanted = {"schema", *names}
        known = msgspec.structs.fields(TYPES[file])
        fields = [(each.name, each.type, each.default) for each in known if each.name in wanted]
        shape: Any = msgspec.defstruct("Line", fields, kw_only=True, gc=False)
        self._decode = msgspec.json.Decoder(shape).decode
        self._whole = msgspec.json.Decoder(TYPES[file]).decode

    def __iter__(self) -> Iterator[tuple[Any, bytes]]:
        self.torn = self.newer = 0
        if not self.path.exists():
            return
        decode = self._decode
        with self.path.open("rb", buffering=BUFFER_BYTES) as lines:
            for line in lines:
                try:
                    record = decode(line)
                except UNREADABLE:
                    if line.strip():
                        self.passed_over(line)
                    continue
                if record.schema > SCHEMA:
                    self.newer += 1
                yield record, line

    def whole(self, line: bytes) -> Any:
        """Decode all of a line; ``None``, and counted as torn, where what was passed over is unreadable."""
        try:
            return self._whole(line)
        except UNREADABLE:
            self.passed_over(line)
            return None


class Growing(Slim):
    """One file of a run that goes on: each reading begins where the last one ended."""

    def __init__(self, run_dir: Path, file: str, names: Iterable[str]) -> None:
        super().__init__(run_dir, file, names)
        self._place = 0

    def news(self) -> Iterator[Any]:
        """Yield what was written since; half a line at the end is left for the next time."""
        try:
            with self.path.open("rb", buffering=BUFFER_BYTES) as lines:
                if lines.seek(0, os.SEEK_END) < self._place:  # another file by now
                    self._place = 0
                lines.seek(self._place)
                for line in lines:
                    if not line.endswith(b"\n"):
                        return
                    self._place += len(line)
                    try:
                        yield self._decode(line)
                    except UNREADABLE:
                        self.passed_over(line)
        except FileNotFoundError:
            return
