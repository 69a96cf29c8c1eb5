"""How an argument is keyed, as declared: ``@cacheable(path=FileType, model=ObjectType, n=int)``."""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from scalable.cache.atoms import ATOMS
from scalable.cache.files import file_content, tree_content

if TYPE_CHECKING:
    from scalable.cache.key import Walk

__all__ = [
    "DirType",
    "FileType",
    "Kind",
    "ObjectType",
    "ValueType",
    "WrongType",
    "encoder",
    "is_kind",
    "matches",
]

Kind = Any  # a class, a union of classes, or one of the four below
Encoder = Callable[[Any, "Walk"], bytes]


class ValueType:
    """Key the argument by its value, whatever its type; what undeclared arguments do as well."""


class ObjectType:
    """Key the argument by its class and its state, taken as pickling would take it.

    For objects that have no value of their own: models, configurations, estimators. Two objects of the
    same class and with the same state are then the same argument.
    """


class FileType:
    """Key the argument, a path, by what is in the file; as ``return_type``, keep the file with the result."""


class DirType:
    """Key the argument, a path, by what is in the directory tree."""


class WrongType(TypeError):  # noqa: N818 - it says what the value is
    """A value that is not of the declared type."""


def _by_value(value: Any, walk: Walk) -> bytes:
    atom = ATOMS.get(type(value))
    return walk.encode(value) if atom is None else atom(value)


def _by_state(value: Any, _: Walk) -> bytes:
    from scalable.cache.key import encode

    return encode(value, objects=True)


_MARKERS: dict[Any, Encoder] = {
    ValueType: _by_value,
    ObjectType: _by_state,
    FileType: lambda path, _: file_content(path),
    DirType: lambda path, _: tree_content(path),
}


def is_kind(kind: Any) -> bool:
    """Whether ``kind`` can declare how an argument is keyed."""
    if get_origin(kind) in (Union, UnionType):
        return all(isinstance(member, type) and member not in _MARKERS for member in get_args(kind))
    return isinstance(kind, type)


def encoder(kind: Kind) -> Encoder:
    """How a value of this kind becomes part of a key."""
    return _MARKERS.get(kind) or _checked(kind)


def matches(value: Any, kind: Kind) -> bool:
    """Whether the value is of the declared type; ``True`` and ``False`` are no integers here."""
    members = get_args(kind) or (kind,)
    if isinstance(value, bool):
        return bool in members or object in members
    return isinstance(value, members)


def describe(kind: Kind) -> str:
    """Word a declared type for a message."""
    return kind.__qualname__ if isinstance(kind, type) else str(kind)


def _checked(kind: Kind) -> Encoder:
    exactly = None if kind is object else kind  # nothing but a bare object() is exactly an object

    def encode(value: Any, walk: Walk) -> bytes:
        if type(value) is not exactly and not matches(value, kind):
            message = f"expected {describe(kind)}, got {_shortened(value)} ({type(value).__qualname__})"
            raise WrongType(message)
        return _by_value(value, walk)

    return encode


def _shortened(value: Any, limit: int = 80) -> str:
    shown = repr(value)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
