"""Any value as bytes, the same in every process, on every machine, in every run.

:class:`Walk` goes through a value: atoms are encoded by :mod:`~scalable.cache.atoms`, containers here,
and everything else by the first rule that knows it (arrays, data frames, records, functions). What no
rule knows is refused with :class:`~scalable.cache.atoms.Unkeyable`: an error, never a wrong hit.
Called by the decorator for each argument; pure, and free of I/O.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, time
from fractions import Fraction
from functools import partial
from typing import Any

from scalable.cache.arrays import encode_numpy, is_numpy
from scalable.cache.atoms import ATOMS, Unkeyable, framed, integer, sequence, text
from scalable.cache.code import CALLABLES, encode_class, is_class
from scalable.cache.frames import encode_pandas, is_pandas
from scalable.cache.objects import REDUCIBLE, encode_reduced, is_reducible, record_encoder

__all__ = ["Unkeyable", "Walk", "encode"]


def encode(value: Any, *, objects: bool = False) -> bytes:
    """Encode ``value``, injectively; with ``objects``, unknown objects by their class and state."""
    return Walk(objects=objects).encode(value)


_DEEP = 50  # a recursion error above this depth is not the fault of the value


class Walk:
    """One walk through the values of a call: knows what it is inside of, so that it ends.

    ``objects`` allows objects of unknown classes, which are then encoded by what pickling would
    keep of them. ``functions`` are the functions being encoded, outermost first: a function may refer
    to itself, a container may not.
    """

    __slots__ = ("_inside", "functions", "objects")

    def __init__(self, *, objects: bool = False) -> None:
        self.objects = objects
        self.functions: list[Any] = []
        self._inside: set[int] = set()

    def encode(self, value: Any) -> bytes:
        """Encode ``value`` or raise :class:`Unkeyable`."""
        atom = ATOMS.get(type(value))
        if atom is not None:
            return atom(value)
        try:
            return (_NODES.get(type(value)) or _rule(value, self))(value, self)
        except RecursionError:
            if len(self._inside) < _DEEP:
                raise
            message = f"a {type(value).__qualname__} that is nested too deeply"
            raise Unkeyable(message) from None

    @contextmanager
    def inside(self, value: Any) -> Iterator[None]:
        """Mark ``value`` as being encoded; meeting it again within means that it contains itself."""
        if id(value) in self._inside:
            message = f"a {type(value).__qualname__} that contains itself"
            raise Unkeyable(message)
        self._inside.add(id(value))
        try:
            yield
        finally:
            self._inside.discard(id(value))


def _items(tag: bytes, value: Any, walk: Walk) -> bytes:
    with walk.inside(value):
        return sequence(tag, map(walk.encode, value))


def _unordered(tag: bytes, value: Any, walk: Walk) -> bytes:
    return sequence(tag, sorted(map(walk.encode, value)))


def _pairs(value: Any, walk: Walk) -> list[bytes]:
    with walk.inside(value):
        return [walk.encode(name) + walk.encode(item) for name, item in value.items()]


def _dict(value: Any, walk: Walk) -> bytes:
    return sequence(b"dict", sorted(_pairs(value, walk)))


def _defaultdict(value: Any, walk: Walk) -> bytes:
    return framed(b"defaultdict", walk.encode(value.default_factory), _dict(value, walk))


def _slice(value: Any, walk: Walk) -> bytes:
    return framed(b"slice", *map(walk.encode, (value.start, value.stop, value.step)))


def _time(value: time, walk: Walk) -> bytes:
    clock = text(value.replace(tzinfo=None).isoformat())
    return framed(b"time", clock, integer(value.fold), walk.encode(value.tzinfo))


def _datetime(value: datetime, walk: Walk) -> bytes:
    clock = text(value.replace(tzinfo=None).isoformat())
    return framed(b"datetime", clock, integer(value.fold), walk.encode(value.tzinfo))


def _pattern(value: Any, walk: Walk) -> bytes:
    return framed(b"pattern", walk.encode(value.pattern), integer(value.flags))


def _fraction(value: Fraction, _: Walk) -> bytes:
    return framed(b"fraction", integer(value.numerator), integer(value.denominator))


def _deque(value: Any, walk: Walk) -> bytes:
    return framed(b"deque", walk.encode(value.maxlen), _items(b"items", value, walk))


_Node = Callable[[Any, Walk], bytes]

_NODES: dict[type, _Node] = {
    list: partial(_items, b"list"),
    tuple: partial(_items, b"tuple"),
    set: partial(_unordered, b"set"),
    frozenset: partial(_unordered, b"frozenset"),
    dict: _dict,
    OrderedDict: lambda value, walk: sequence(b"ordereddict", _pairs(value, walk)),
    Counter: lambda value, walk: framed(b"counter", _dict(value, walk)),
    defaultdict: _defaultdict,
    deque: _deque,
    slice: _slice,
    time: _time,
    datetime: _datetime,
    re.Pattern: _pattern,
    Fraction: _fraction,
    **CALLABLES,
    **dict.fromkeys(REDUCIBLE, encode_reduced),
}

_RULES: tuple[tuple[Callable[[Any], bool], _Node], ...] = (
    (is_numpy, encode_numpy),
    (is_pandas, encode_pandas),
    (is_class, encode_class),
)


def _rule(value: Any, walk: Walk) -> _Node:
    for knows, node in _RULES:
        if knows(value):
            return node
    record = record_encoder(value)
    if record is not None:
        return record
    if walk.objects or is_reducible(value):
        return encode_reduced
    kind = type(value)
    message = f"a {kind.__module__}.{kind.__qualname__}, which has no value that is the same in every process"
    raise Unkeyable(message)
