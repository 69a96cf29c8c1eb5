"""The alphabet of cache keys: values that hold no other values, as bytes, and how bytes are framed.

The encoding is injective and prefix-free: each piece starts with a tag and either ends in a
terminator that cannot occur in it or is preceded by its length. So two different values never share
an encoding, and pieces can be joined without separators. Nothing here depends on hash seeds, memory
addresses, set order or the machine. Called by :mod:`scalable.cache.key` and its neighbours.
"""

from __future__ import annotations

import struct
import uuid
from datetime import date, timedelta, timezone
from decimal import Decimal
from hashlib import sha256
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from scalable.context import MAIN, main_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "ATOMS",
    "NONE",
    "Unkeyable",
    "class_name",
    "framed",
    "integer",
    "qualified",
    "raw",
    "sequence",
    "text",
]

NONE = b"N"
_INLINE = 65536  # longer contents count by their digest, so that keys of large values stay small
_NAN = b"\x7f\xf8\x00\x00\x00\x00\x00\x00"  # there are many bit patterns of NaN, but it is one value


class Unkeyable(TypeError):  # noqa: N818 - it says what the value is
    """A value that has no deterministic key. The message says which value, and why."""


def framed(tag: bytes, *parts: bytes) -> bytes:
    """One piece out of ``parts`` that are pieces already; ``tag`` is a word of small letters."""
    return b"<%s %d:" % (tag, len(parts)) + b"".join(parts)


def sequence(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """:func:`framed` for any number of parts."""
    items = list(parts)
    return b"<%s %d:" % (tag, len(items)) + b"".join(items)


def integer(value: int) -> bytes:
    """Encode an integer of any size; hexadecimal, because decimal digits are limited by Python."""
    return b"i%x;" % value


def raw(data: bytes | bytearray | memoryview) -> bytes:
    """Encode contents byte by byte, or by their digest if they are long; never copies the long ones."""
    size = memoryview(data).nbytes
    if size > _INLINE:
        return b"B%d:" % size + sha256(data).digest()
    return b"b%d:" % size + bytes(data)


def text(value: str) -> bytes:
    """Encode a string; lone surrogates, as in undecodable file names, are fine."""
    data = value.encode("utf-8", "surrogatepass")
    if len(data) > _INLINE:
        return b"S%d:" % len(data) + sha256(data).digest()
    return b"s%d:" % len(data) + data


def class_name(cls: Any) -> bytes:
    """Encode a class or function by module and qualified name."""
    return text(qualified(cls.__module__, cls.__qualname__))


def qualified(module: str | None, name: str) -> str:
    """Join a module and a qualified name; the main module is called as others would import it."""
    return f"{main_module(module) if module in MAIN else module}.{name}"


def _real(value: float) -> bytes:
    # -0.0 and 0.0 differ: a function may tell them apart.
    return b"f" + (_NAN if value != value else struct.pack(">d", value))  # noqa: PLR0124 - only NaN differs from itself


def _timedelta(value: timedelta) -> bytes:
    return framed(b"timedelta", integer(value.days), integer(value.seconds), integer(value.microseconds))


def _zone(value: ZoneInfo) -> bytes:
    if not value.key:
        message = "a ZoneInfo without a name"
        raise Unkeyable(message)
    return framed(b"zoneinfo", text(value.key))


def _path(value: Any) -> bytes:
    return framed(b"path", text(type(value).__name__), text(str(value)))


ATOMS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: NONE,
    bool: lambda value: b"T" if value else b"F",
    int: integer,
    float: _real,
    complex: lambda value: framed(b"complex", _real(value.real), _real(value.imag)),
    str: text,
    bytes: raw,
    bytearray: lambda value: framed(b"bytearray", raw(value)),
    type(...): lambda _: framed(b"ellipsis"),
    type(NotImplemented): lambda _: framed(b"notimplemented"),
    range: lambda value: framed(b"range", integer(value.start), integer(value.stop), integer(value.step)),
    date: lambda value: framed(b"date", text(value.isoformat())),
    timedelta: _timedelta,
    timezone: lambda value: framed(b"timezone", _timedelta(value.utcoffset(None)), text(value.tzname(None))),
    ZoneInfo: _zone,
    Decimal: lambda value: framed(b"decimal", text(str(value))),
    uuid.UUID: lambda value: framed(b"uuid", raw(value.bytes)),
    PosixPath: _path,
    PurePosixPath: _path,
    WindowsPath: _path,
    PureWindowsPath: _path,
}
