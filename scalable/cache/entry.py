"""A stored result as bytes: a pickle behind a header that shows any damage.

The header holds a mark, a CRC-32 of the pickle and its length. The checksum finds accidents (flipped
bits, torn writes, foreign data). It is no defence against malice: whoever can write the directory owns
the process that reads it, which is why :mod:`~scalable.cache.directory` lets nobody else write it.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

from scalable.context import MAIN, main_module
from scalable.core.text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEADER_SIZE", "NUMBERS", "Damaged", "decode", "encode", "encode_small", "from_file", "loaded"]

_MARK = b"scl1"
_HEADER = struct.Struct("<4sIQ")
HEADER_SIZE = _HEADER.size
NUMBERS = frozenset({int, float, complex, bool, type(None)})
"""Types whose values show no secret."""
PLAIN = NUMBERS | {str, bytes}
"""Types whose values are at most twice as large as a pickle."""
STACK_GLOBAL = b"\x93"  # in every pickle that names a class or a function, from protocol 4 on


class Damaged(Exception):  # noqa: N818 - it says what the entry is
    """A stored entry that cannot be what was stored. The message says what is wrong with it."""


def encode(value: Any) -> bytes:
    """Pickle a result. Raises whatever pickling it raises."""
    return _behind_header(pickle.dumps(value, protocol=5))


def encode_small(value: Any, most: int) -> bytes:
    """Pickle a result of so many bytes at most, in not much more memory; raises ``ValueError`` for others."""
    if type(value) in PLAIN and 2 * sys.getsizeof(value) < most - HEADER_SIZE:
        return encode(value)
    file = _Bounded(most - HEADER_SIZE)
    pickle.Pickler(file, protocol=5).dump(value)
    return _behind_header(file.getvalue())


def _behind_header(payload: bytes) -> bytes:
    return _HEADER.pack(_MARK, zlib.crc32(payload), len(payload)) + payload


class _Bounded(io.BytesIO):
    """Takes so many bytes and no more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, data: Any) -> int:
        if self.tell() + memoryview(data).nbytes > self._most:
            msg = f"it has more than {self._most} bytes"
            raise ValueError(msg)
        return super().write(data)


def decode(blob: bytes) -> Any:
    """Return the stored result, or raise :class:`Damaged`."""
    payload = memoryview(blob)[HEADER_SIZE:]
    if blob[:HEADER_SIZE] != _HEADER.pack(_MARK, zlib.crc32(payload), len(payload)):
        raise Damaged(_damage(blob))
    return loaded(_load, payload)


def _load(payload: memoryview) -> Any:
    if isinstance(payload.obj, bytes) and STACK_GLOBAL not in payload.obj:
        return pickle.loads(payload)  # noqa: S301 - the directory is ours alone
    return from_file(io.BytesIO(payload))


def from_file(file: BinaryIO) -> Any:
    """Unpickle a result from what is open at it."""
    main = main_module()
    return pickle.load(file) if main in MAIN else _Unpickler(file, main).load()  # noqa: S301 - as above


def loaded(load: Callable[[Any], Any], payload: Any) -> Any:
    """Unpickle what was verified by ``load``; raises :class:`Damaged` whatever that raises."""
    # The directory is ours alone. Loading runs code of the result's classes, which may have changed since.
    try:
        return load(payload)
    except Exception as error:
        message = f"it cannot be unpickled: {type(error).__name__}: {text_of(error)}"
        raise Damaged(message) from error


class _Unpickler(pickle.Unpickler):
    """Finds classes of the main module in it, also where they were stored when others imported it."""

    def __init__(self, file: BinaryIO, main: str) -> None:
        super().__init__(file)
        self._main = main

    def find_class(self, module: str, name: str) -> Any:
        if module == self._main and hasattr(sys.modules[MAIN[0]], name.partition(".")[0]):
            module = MAIN[0]
        return super().find_class(module, name)


def _damage(blob: bytes) -> str:
    if not blob.startswith(_MARK):
        return "it was not stored by this cache"
    if len(blob) < HEADER_SIZE:
        return "it is cut short"
    _, _, length = _HEADER.unpack_from(blob)
    found = len(blob) - HEADER_SIZE
    return "its checksum is wrong" if found == length else f"it holds {found} bytes instead of {length}"
