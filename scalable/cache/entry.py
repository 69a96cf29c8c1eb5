"""A stored result as bytes: a pickle behind a header that shows any damage.

The header holds a mark, a CRC-32 of the pickle and its length. The checksum finds accidents (flipped
bits, torn writes, foreign data). It is no defence against malice: whoever can write the directory owns
the process that reads it, which is why :mod:`~scalable.cache.directory` lets nobody else write it.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from typing import Any

__all__ = ["HEADER_SIZE", "Damaged", "decode", "encode"]

_MARK = b"scl1"
_HEADER = struct.Struct("<4sIQ")
HEADER_SIZE = _HEADER.size


class Damaged(Exception):  # noqa: N818 - it says what the entry is
    """A stored entry that cannot be what was stored. The message says what is wrong with it."""


def encode(value: Any) -> bytes:
    """Pickle a result. Raises whatever pickling it raises."""
    payload = pickle.dumps(value, protocol=5)
    return _HEADER.pack(_MARK, zlib.crc32(payload), len(payload)) + payload


def decode(blob: bytes) -> Any:
    """Return the stored result, or raise :class:`Damaged`."""
    payload = memoryview(blob)[HEADER_SIZE:]
    if blob[:HEADER_SIZE] != _HEADER.pack(_MARK, zlib.crc32(payload), len(payload)):
        raise Damaged(_damage(blob))
    try:
        return pickle.loads(payload)  # noqa: S301 - the directory is ours alone
    except Exception as error:
        message = f"it cannot be unpickled: {type(error).__name__}: {error}"
        raise Damaged(message) from error


def _damage(blob: bytes) -> str:
    if not blob.startswith(_MARK):
        return "it was not stored by this cache"
    if len(blob) < HEADER_SIZE:
        return "it is cut short"
    _, _, length = _HEADER.unpack_from(blob)
    found = len(blob) - HEADER_SIZE
    return "its checksum is wrong" if found == length else f"it holds {found} bytes instead of {length}"
