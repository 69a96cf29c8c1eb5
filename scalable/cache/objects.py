"""Objects in cache keys: records by their fields, and any object by its class and state.

A record is a dataclass, a msgspec struct, an attrs class, a named tuple or an enum member; its fields
are its value. Any other object is encoded only where ``ObjectType`` asks for it, by what pickling
would keep of it, followed recursively.
"""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import operator
import sys
from collections import OrderedDict
from datetime import tzinfo
from functools import cached_property
from inspect import getattr_static
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.cache.atoms import NONE, Unkeyable, class_name, framed, qualified, sequence, text
from scalable.cache.code import cells
from scalable.core.text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scalable.cache.key import Walk

__all__ = ["REDUCIBLE", "encode_reduced", "is_reducible", "record_encoder"]

REDUCIBLE = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
_BUILTIN = (int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset)
MACHINERY = (MemberDescriptorType, GetSetDescriptorType)
_ABSENT = b"<absent 0:"


def is_reducible(value: Any) -> bool:
    """Whether the value is of a standard kind whose state is all there is to it."""
    return isinstance(value, tzinfo)


def record_encoder(value: Any) -> Callable[[Any, Walk], bytes] | None:
    """Choose how a record is encoded; ``None`` for what is none."""
    if isinstance(value, enum.Enum):
        return _enum
    if isinstance(value, tuple) and hasattr(value, "_fields") and not getattr(value, "__dict__", None):
        return _namedtuple
    if isinstance(value, _BUILTIN):  # a subclass holds more than its fields
        return None
    if (
        dataclasses.is_dataclass(value)
        or isinstance(value, msgspec.Struct)
        or hasattr(value, "__attrs_attrs__")
    ):
        return _fields
    return None


def _enum(value: Any, walk: Walk) -> bytes:
    return framed(b"enum", class_name(type(value)), walk.encode(value.name), walk.encode(value.value))


def _namedtuple(value: Any, walk: Walk) -> bytes:
    return framed(b"namedtuple", class_name(type(value)), *map(text, value._fields), *map(walk.encode, value))


def _fields(value: Any, walk: Walk) -> bytes:
    cls = type(value)
    names = set(_field_names(value)) | _slots(cls)
    names |= {name for name in getattr(value, "__dict__", ()) if not _is_cached_property(cls, name)}
    with walk.inside(value):
        fields = (text(name) + _field(value, name, walk) for name in sorted(names))
        return framed(b"record", _named_class(cls, walk), sequence(b"fields", fields))


def _field(value: Any, name: str, walk: Walk) -> bytes:
    return walk.encode(getattr(value, name)) if hasattr(value, name) else _ABSENT


def _field_names(value: Any) -> list[str]:
    if isinstance(value, msgspec.Struct):
        return list(value.__struct_fields__)
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return [attribute.name for attribute in value.__attrs_attrs__]


def _slots(cls: type) -> set[str]:
    found = set()
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            private = name.startswith("__") and not name.endswith("__")
            found.add(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return found - {"__dict__", "__weakref__"}


def _is_cached_property(cls: type, name: str) -> bool:
    return isinstance(getattr_static(cls, name, None), cached_property)


def encode_reduced(value: Any, walk: Walk) -> bytes:
    """Encode an object by its class and state, as ``__reduce_ex__`` tells them."""
    with walk.inside(value):
        if isinstance(value, set | frozenset):
            items = sequence(b"items", sorted(map(walk.encode, value)))
            return framed(
                b"object",
                _named_class(type(value), walk),
                items,
                walk.encode(getattr(value, "__dict__", None)),
            )
        reduced = _reduce(value)
        if isinstance(reduced, str):
            return _global(value, reduced)
        return _rebuilt(value, reduced, walk)


def _reduce(value: Any) -> Any:
    reducer = copyreg.dispatch_table.get(type(value))
    try:  # the class's own code, or what a library registered for it: it may raise anything
        return reducer(value) if reducer else value.__reduce_ex__(4)
    except Exception as error:
        kind = type(value)
        message = f"a {kind.__module__}.{kind.__qualname__}, whose state cannot be taken ({text_of(error)})"
        raise Unkeyable(message) from error


def _global(value: Any, name: str) -> bytes:
    module = getattr(value, "__module__", None) or type(value).__module__
    try:
        found = operator.attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError):
        found = None
    if found is not value:
        message = f"a {type(value).__qualname__} that is called {module}.{name} but is not found there"
        raise Unkeyable(message)
    return framed(b"global", text(qualified(module, name)))


def _rebuilt(value: Any, reduced: tuple[Any, ...], walk: Walk) -> bytes:
    maker, args, state, items, pairs, setter = (*reduced, None, None, None, None)[:6]
    entries = [walk.encode(key) + walk.encode(item) for key, item in pairs or ()]
    return framed(
        b"object",
        _named_class(type(value), walk),
        _named(maker, walk),
        sequence(b"args", (_class_or_value(arg, walk) for arg in args)),
        walk.encode(state),
        sequence(b"items", map(walk.encode, items or ())),
        sequence(b"pairs", entries if isinstance(value, OrderedDict) else sorted(entries)),
        NONE if setter is None else _named(setter, walk),
    )


def _named(value: Any, walk: Walk) -> bytes:
    """Encode what rebuilds an object by its name: it is machinery, not value."""
    if hasattr(value, "__qualname__") and isinstance(
        getattr(value, "__self__", None), type(None) | ModuleType
    ):
        return framed(b"named", class_name(value))
    return walk.encode(value)


def _named_class(cls: type, walk: Walk) -> bytes:
    """Name the class of an object; of one that is made inside a function also tell what that gave it."""
    name = class_name(cls)
    if not walk.objects or "<locals>" not in cls.__qualname__:
        return name
    return framed(b"local", name, sequence(b"given", _given(cls, walk)))


def _given(cls: type, walk: Walk) -> Iterator[bytes]:
    for name, value in sorted(vars(cls).items()):
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(function, FunctionType):
            yield text(name) + walk.encode((function.__defaults__, function.__kwdefaults__))
            yield from (text(variable) + held() for variable, held in cells(function, walk))
        elif not name.startswith(("__", "_abc_")) and not isinstance(value, MACHINERY):
            yield text(name) + walk.encode(value)
    for base in cls.__bases__:
        yield _named_class(base, walk)


def _class_or_value(value: Any, walk: Walk) -> bytes:
    return framed(b"named", class_name(value)) if isinstance(value, type) else walk.encode(value)
