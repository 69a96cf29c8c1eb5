"""What earlier runs left, as one sorted table in a file: made when a run is resumed, read by its workers.

::

    length of the head │ head: runs, files, known codes (JSON) │ rows, by identity, the newest run first

A row has identity, run, file, offset, length, kind, code and origin; sorted as they are, rows of one identity
come in the order of age. Workers map the file into memory and search it; nothing is loaded, however many rows
there are.
"""

from __future__ import annotations

import logging
import mmap
import struct
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scalable.resume.packs import KINDS, SUFFIX, Kind, read, scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scalable.resume.packs import Entry

__all__ = ["Index", "Row", "Run", "build"]

_log = logging.getLogger("scalable")

ROW = struct.Struct(">16sHIQQB16s16s")
LENGTH = struct.Struct(">Q")


class Run(msgspec.Struct, frozen=True):
    """A run, its directory of results, and when it ended (seconds since the epoch)."""

    name: str
    directory: Path
    ended: float


class Head(msgspec.Struct, frozen=True):
    """What the table is of: ``codes`` has for each run what functions did there, in hexadecimal."""

    runs: tuple[str, ...]
    ended: tuple[float, ...]
    files: tuple[str, ...]
    codes: tuple[tuple[str, ...], ...]


class Row(msgspec.Struct, frozen=True):
    """What became of a call in an earlier run: ``run`` counts from the newest, ``number`` names the row."""

    number: int
    run: int
    file: int
    offset: int
    length: int
    kind: Kind
    code: bytes
    origin: bytes


def build(path: Path, runs: Sequence[Run], leave_out: frozenset[Kind] = frozenset()) -> dict[str, int]:
    """Write the table of what some runs left, the newest first.

    Of copies of one entry the first counts, and of failures of one call. Returns how many rows of each kind
    there are; raises ``OSError``.
    """
    table = _Table(leave_out)
    for run, each in enumerate(runs):
        table.codes.append(set())
        for pack in sorted(each.directory.glob(f"*{SUFFIX}")):
            table.files.append(str(pack.absolute()))
            try:
                for entry in scan(pack):
                    table.add(run, entry)
            except OSError as error:  # what one process left; the others' is there
                _log.warning("%s cannot be read, and what it has runs again: %s", pack, error.strerror)
    table.rows.sort()
    codes = tuple(tuple(sorted(code.hex() for code in known)) for known in table.codes)
    names, ended = tuple(each.name for each in runs), tuple(each.ended for each in runs)
    head = msgspec.json.encode(Head(names, ended, tuple(table.files), codes))
    path.touch(mode=0o600)
    with path.open("wb") as file:
        file.write(LENGTH.pack(len(head)) + head)
        file.writelines(table.rows)
    return dict(table.left)


class _Table:
    """Rows as they come, run by run."""

    def __init__(self, leave_out: frozenset[Kind]) -> None:
        self._leave_out = leave_out
        self._seen: set[bytes] = set()  # origins, and the calls of failures
        self.files: list[str] = []
        self.rows: list[bytes] = []
        self.codes: list[set[bytes]] = []
        self.left: Counter[str] = Counter()

    def add(self, run: int, entry: Entry) -> None:
        """Add an entry of the file that came last."""
        self.codes[run].add(entry.code)
        known_by = b"failed" + entry.identity if entry.kind == "failure" else entry.origin
        if entry.kind in self._leave_out or known_by in self._seen:
            return
        self._seen.add(known_by)
        self.left[entry.kind] += 1
        kind, file = KINDS.index(entry.kind), len(self.files) - 1
        place = (run, file, entry.offset, entry.length)
        self.rows.append(ROW.pack(entry.identity, *place, kind, entry.code, entry.origin))


class Index:
    """The table, mapped into memory."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        (length,) = LENGTH.unpack_from(self._map)
        self._first = LENGTH.size + length
        head = msgspec.json.decode(self._map[LENGTH.size : self._first], type=Head)
        self.runs = head.runs
        self.ended = head.ended
        self._files = [Path(name) for name in head.files]
        self._codes = [frozenset(map(bytes.fromhex, codes)) for codes in head.codes]
        self._many = (len(self._map) - self._first) // ROW.size

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()

    def rows(self, identity: bytes, first: int | None = None) -> Iterator[Row]:
        """Yield what became of a call, the newest run first; from row ``first`` on, where that is known."""
        number = self._place(identity) if first is None else first
        while number < self._many:
            found, run, file, offset, length, kind, code, origin = ROW.unpack_from(
                self._map, self._first + number * ROW.size
            )
            if found != identity:
                return
            yield Row(number, run, file, offset, length, KINDS[kind], code, origin)
            number += 1

    def knows(self, run: int, code: bytes) -> bool:
        """Whether a function did the same in that run."""
        return code in self._codes[run]

    def payload(self, row: Row) -> bytes:
        """Read what an entry holds; raises ``OSError``."""
        return read(self._files[row.file], row.offset, row.length)

    def _place(self, identity: bytes) -> int:
        """Return the number of the first row that is not before an identity."""
        low, high = 0, self._many
        while low < high:
            middle = (low + high) // 2
            start = self._first + middle * ROW.size
            if self._map[start : start + len(identity)] < identity:
                low = middle + 1
            else:
                high = middle
        return low
