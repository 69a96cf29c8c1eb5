"""What a worker sees of the results of runs: it keeps those of this run, and finds those of earlier ones.

Where the run's directory is not the session's (another host without the same files), nothing is kept and
nothing found. That a result cannot be kept never harms the task.
"""

from __future__ import annotations

import logging
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.cache.entry import NUMBERS, Damaged, decode, encode_small
from scalable.core.text import text_of
from scalable.journal import rundir
from scalable.resume.claims import Claims
from scalable.resume.evidence import Evidence, changed, gather
from scalable.resume.index import Index
from scalable.resume.packs import SUFFIX, Pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scalable.context import Results
    from scalable.core.redact import Redactor
    from scalable.resume.identity import Called
    from scalable.resume.index import Row
    from scalable.resume.packs import Kind

__all__ = ["CLAIMS", "INDEX", "TOKEN", "Found", "Remembered", "Shelf"]

TOKEN, INDEX, CLAIMS = "token", "earlier.index", "earlier.claims"
ENDS: frozenset[Kind] = frozenset({"result", "taken", "undone"})
"""What is written where a call ends that must not be made twice; a failure for good comes besides."""
WITH_RESULT: frozenset[Kind] = frozenset({"result", "taken"})
OF_A_CLUSTER = re.compile(rb"\x8c.distributed\.", re.DOTALL)
"""How a pickle names a class of Dask's, as that of futures: they mean nothing to another cluster."""
LOOK_EVERY_BYTES = 1 << 26
"""So much is written before the directory is measured again."""

_log = logging.getLogger("scalable")


class Found(msgspec.Struct, frozen=True):
    """A result of an earlier run; ``other_code`` says that the function did something else then."""

    value: Any
    run: str
    other_code: bool


class Failed(msgspec.Struct, frozen=True):
    """How a call failed for good: a report, and what it was seen with."""

    failure: dict[str, Any]
    parcel: dict[str, Any]
    evidence: Evidence


class Remembered(Exception):  # noqa: N818 - it is what an earlier run has said
    """The call is not to be made: it failed for good in an earlier run, and nothing has changed since.

    Without a ``failure`` it had only begun when that run ended, and must not be made twice.
    """

    def __init__(self, run: str, failure: dict[str, Any] | None, parcel: dict[str, Any] | None) -> None:
        super().__init__(run)
        self.run, self.failure, self.parcel = run, failure, parcel


class Shelf:
    """One worker's view; ``here`` says whether there is anything to see. Threads may share it."""

    def __init__(self, settings: Results) -> None:
        self._settings = settings
        self._directory = Path(settings.directory)
        self._index: Index | None = None
        self._claims: Claims | None = None
        self._pack: Pack | None = None
        self._measured = 0  # bytes that were written when the directory was measured last
        self._next: dict[bytes, int] = {}  # for calls that were found: the first row that may be free
        self.here = self._is_ours()
        if not self.here:
            return
        if settings.keep:
            self._pack = Pack(self._directory)
        if settings.resumed:
            self._open()

    def _open(self) -> None:
        """Open what earlier runs left; where it cannot be read, there is nothing."""
        try:
            self._index = Index(self._directory / INDEX)
            self._claims = Claims(self._directory / CLAIMS)
        except (OSError, ValueError, struct.error, msgspec.DecodeError) as error:
            _log.warning("what earlier runs left cannot be read in %s: %s", self._directory, text_of(error))

    def close(self) -> None:
        """Write what waits, and close all files."""
        self._write(Pack.close)
        self._pack = None  # a thread that goes on would make another file
        for each in (self._index, self._claims):
            if each is not None:
                each.close()

    def has_ended(self) -> bool:
        """Whether the run has ended, or is not there any more: nobody asks then."""
        try:
            return rundir.effective_status(rundir.read_info(self._directory.parent)) != "running"
        except (OSError, msgspec.DecodeError):
            return True

    def flush(self) -> None:
        """Write what waits."""
        self._write(Pack.flush)

    # --- what earlier runs left ----------------------------------------------------------------------------

    def recall(self, called: Called, key: str, *, failures: bool, once: bool = False) -> Found | None:
        """Return the result of a call in an earlier run, which no other task has taken.

        With ``failures``, raises :class:`Remembered` where it failed for good instead, or, being one that
        must not be made twice (``once``), had begun.
        """
        if self._index is None or self._claims is None:
            return None
        found = self._result(self._index, self._claims, called, key, once=once and failures)
        if found is None and failures:
            self._remember(self._index, called, once=once)
        return found

    def _result(self, index: Index, claims: Claims, called: Called, key: str, *, once: bool) -> Found | None:
        for row in index.rows(called.identity, self._next.get(called.identity)):
            if row.kind not in WITH_RESULT or not self._counts(index, row, called):
                continue
            if claims.take(row.number, key):
                self._next[called.identity] = row.number + 1
                try:
                    made_by, blob = _parted(row, index.payload(row))
                    value = decode(blob)
                except (OSError, Damaged) as error:
                    _log.warning("a result of %s cannot be used: %s", index.runs[row.run], text_of(error))
                    if once:  # it was made, whatever came of it
                        raise Remembered(index.runs[row.run], None, None) from None
                    continue
                self._take(called, made_by, blob, row.origin)
                return Found(value, index.runs[row.run], made_by != called.code)
        return None

    def _counts(self, index: Index, row: Row, called: Called) -> bool:
        """Whether it is a result of the function that is called, and not of another one of the same name."""
        if row.kind == "taken" and self._settings.rerun_changed:
            return False
        if row.code == called.code:
            return True
        return not self._settings.rerun_changed and not index.knows(row.run, called.code)

    def _take(self, called: Called, made_by: bytes, blob: bytes, origin: bytes) -> None:
        """Keep a result that an earlier run left, so that this one can do without it."""
        if made_by == called.code:
            self._add("result", called, blob, origin=origin)
        else:
            self._add("taken", called, made_by + blob, origin=origin)

    def _remember(self, index: Index, called: Called, *, once: bool) -> None:
        rows = list(index.rows(called.identity))
        if (failed := next((row for row in rows if row.kind == "failure"), None)) is not None:
            blob = index.payload(failed)
            told = msgspec.msgpack.decode(blob, type=Failed)
            between = index.ended[failed.run], self._settings.started
            if failed.code == called.code and not changed(told.evidence, self._settings.environment, between):
                self._add("failure", called, blob, origin=failed.origin)
                raise Remembered(index.runs[failed.run], told.failure, told.parcel)
        begun = [row for row in rows if row.kind == "begun"]
        ended = [row for row in rows if row.kind in ENDS]
        if once and len(begun) > len(ended):
            raise Remembered(index.runs[begun[0].run], None, None)

    # --- what this run leaves ------------------------------------------------------------------------------

    def keep(
        self, called: Called, value: Any, secrets: Redactor, *, wait: bool = False, once: bool = False
    ) -> None:
        """Keep a result that shows no secret; with ``wait`` it may be written later, with others.

        One that the cache has as well is kept of a call only that must not be made twice (``once``).
        """
        if self._pack is None or (called.cached and not once):
            return
        try:
            blob = encode_small(value, self._settings.most_result_bytes)
        except Exception:  # noqa: BLE001 - pickling runs code of any class; what cannot be kept is made again
            return
        if type(value) in NUMBERS or (not OF_A_CLUSTER.search(blob) and secrets.harmless_bytes(blob)):
            self._add("result", called, blob, wait=wait)

    def fail(
        self,
        called: Called,
        failure: dict[str, Any],
        parcel: dict[str, Any],
        values: Iterable[Any],
        secrets: Redactor,
    ) -> None:
        """Keep that a call failed for good, by its report and what it was given; unless a secret shows."""
        if self._pack is not None:
            words = failure["exception"]["message"]
            known = self._settings
            seen = gather(known.environment, failure.get("traceback"), words, values, started=known.started)
            blob = msgspec.msgpack.encode(Failed(failure, parcel, seen))
            if secrets.harmless_bytes(blob):
                self._add("failure", called, blob)

    def begin(self, called: Called) -> None:
        """Keep that a call begins which must not be made twice."""
        self._add("begun", called, b"")

    def undo(self, called: Called) -> None:
        """Keep that such a call has ended without a result, and may be made again."""
        self._add("undone", called, b"")

    def _add(
        self, kind: Kind, called: Called, blob: bytes, *, origin: bytes | None = None, wait: bool = False
    ) -> None:
        self._write(lambda pack: pack.add(kind, called, blob, origin=origin, wait=wait))
        if self._pack is not None and self._pack.written - self._measured > LOOK_EVERY_BYTES:
            self._measured = self._pack.written
            self._measure()

    def _write(self, write: Callable[[Pack], None]) -> None:
        """Write, if there is a file for that; where it fails, there is none from then on."""
        if self._pack is not None:
            try:
                write(self._pack)
            except OSError as error:
                self._stop(f"they cannot be written: {error.strerror}")

    def _measure(self) -> None:
        total = sum(each.stat().st_size for each in self._directory.glob(f"*{SUFFIX}"))
        if total > self._settings.most_bytes:
            self._stop(f"they have come to {total} bytes, and `resume: {{max_total: …}}` says no more")

    def _stop(self, why: str) -> None:
        self._pack = None
        words = "results in %s are not kept any more, so that a resumed run would make them again: %s"
        _log.warning(words, self._directory, why)

    def _is_ours(self) -> bool:
        """Whether it is the directory that the session made, and not one of that name on another host."""
        try:
            return (self._directory / TOKEN).read_text(encoding="ascii") == self._settings.token
        except (OSError, ValueError):
            return False


def _parted(row: Row, payload: bytes) -> tuple[bytes, bytes]:
    """Part a payload into the code that made the result, and the result."""
    code = len(row.code)
    return (payload[:code], payload[code:]) if row.kind == "taken" else (row.code, payload)
