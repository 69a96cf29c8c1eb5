"""What a grid's calls are given: values, elements and slices of arrays, and results that do not exist yet."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import msgspec
from dask.base import is_dask_collection

from scalable.engine.sources import Block, Gap, Given, OnHoles, Pick
from scalable.errors import GridError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scalable.engine.sources import Source

__all__ = ["Input", "Output", "Results", "check_whole", "input_of", "is_future"]

Place = tuple[int | None, ...]


class Output(msgspec.Struct, frozen=True):
    """One of the values that a task returns as a tuple, as an argument of another task."""

    future: Any
    item: int


class Results:
    """An array of results to come, in row-major order: ``size`` of them in each of the tasks ``keys``.

    ``size`` is ``None`` where each is the result of a task; ``items`` leads to one of several outputs.
    """

    def __init__(
        self, keys: Sequence[Any], shape: tuple[int, ...], size: int | None, items: tuple[int, ...] = ()
    ) -> None:
        self.keys = keys
        self.shape = shape
        self.size = size
        self.items = items

    def __len__(self) -> int:
        return math.prod(self.shape)

    def pick(self, number: int) -> Pick:
        """One element, by its number."""
        if self.size is None:
            return Pick(self.keys[number], self.items)
        return Pick(self.keys[number // self.size], (number % self.size, *self.items))

    def block(self, on_holes: OnHoles) -> Block:
        """All of them."""
        return Block(self.shape, tuple(self.pick(number) for number in range(len(self))), on_holes)


class Input(ABC):
    """An array whose elements and slices are handed to calls; a place says ``None`` for a whole axis."""

    shape: tuple[int, ...]
    is_known: bool

    @abstractmethod
    def value(self, place: Place) -> Any:
        """The element or slice at a place, where all values are known."""

    @abstractmethod
    def source(self, place: Place) -> Source:
        """Where it comes from."""


class _Sequence(Input):
    is_known = True

    def __init__(self, content: Sequence[Any]) -> None:
        self._content = list(content)
        self.shape = (len(self._content),)

    def value(self, place: Place) -> Any:
        (index,) = place
        return self._content if index is None else self._content[index]

    def source(self, place: Place) -> Source:
        return Given(self.value(place))


class _Dense(Input):
    is_known = True

    def __init__(self, content: Any) -> None:
        self._content = content
        self.shape: tuple[int, ...] = content.shape

    def value(self, place: Place) -> Any:
        return self._content[_slices(place)]

    def source(self, place: Place) -> Source:
        return Given(self.value(place))


def _slices(place: Place) -> tuple[Any, ...]:
    return tuple(slice(None) if each is None else each for each in place)


class _Masked(_Dense):
    is_known = False

    def __init__(self, name: str, content: Any) -> None:
        import numpy as np

        super().__init__(content)
        self._name = name
        self._mask = np.ma.getmaskarray(content)

    def source(self, place: Place) -> Source:
        return Gap(self._name) if self._mask[_slices(place)].all() else Given(self.value(place))


class _ToCome(Input):
    is_known = False

    def __init__(self, results: Results, on_holes: OnHoles) -> None:
        self._results = results
        self._on_holes = on_holes
        self.shape = results.shape

    def value(self, place: Place) -> Any:
        raise NotImplementedError

    def source(self, place: Place) -> Source:
        if None not in place:
            return self._results.pick(self._number(place))
        sized = list(zip(place, self.shape, strict=True))
        ranges = [range(size) if each is None else (each,) for each, size in sized]
        picks = tuple(self._results.pick(self._number(each)) for each in product(*ranges))
        return Block(tuple(size for each, size in sized if each is None), picks, self._on_holes)

    def _number(self, place: Place) -> int:
        number = 0
        for each, size in zip(place, self.shape, strict=True):
            number = number * size + (each or 0)
        return number


def input_of(name: str, given: Any, rank: int, on_holes: OnHoles) -> Input:
    """See what was given for an input with so many axes; raises ``GridError`` for what is no array."""
    if isinstance(given, Results):
        return _ToCome(given, on_holes)
    if is_dask_collection(given):
        given = given.compute()
    content = getattr(given, "values", given) if hasattr(given, "dims") else given  # xarray
    if hasattr(content, "shape") and hasattr(content, "__getitem__") and hasattr(content, "ndim"):
        if hasattr(content, "filled"):
            return _Masked(name, content)
        if content.ndim == 1 and not hasattr(content, "strides"):  # pandas
            return _sequence(name, list(content))
        return _Dense(_numpy(name, content))
    if not _has_length(content):
        msg = f"{name} is to have {rank} axes, and {type(given).__name__} has none: give an array or a list"
        raise GridError(msg)
    return _sequence(name, content) if rank == 1 else _nested(name, content, rank)


def _sequence(name: str, content: Any) -> Input:
    found = _Sequence(content)
    _refuse_futures(name, found.value((None,)))
    return found


def _numpy(name: str, content: Any) -> Any:
    import numpy as np

    found = np.asarray(content)
    if found.dtype == object:
        _refuse_futures(name, found.flat)
    return found


def _refuse_futures(name: str, content: Iterable[Any]) -> None:
    for each in content:
        if is_future(each):
            msg = f"{name} holds futures, and calls would get these, not their results: gather them first"
            raise GridError(msg)
        if is_dask_collection(each):
            msg = (
                f"{name} holds grids or collections of Dask's, and calls would get these: give their results"
            )
            raise GridError(msg)


def check_whole(name: Any, value: Any) -> None:
    """Refuse what is yet to be computed, and futures within a value that is handed over whole."""
    if is_dask_collection(value):
        msg = f"{name} is a collection of Dask's, which calls would get as it is: give {name}.compute()"
        raise GridError(msg)
    if isinstance(value, list | tuple | set | frozenset | Mapping):
        _refuse_futures(str(name), value.values() if isinstance(value, Mapping) else value)


def is_future(value: Any) -> bool:
    """Whether a value is a Dask future."""
    return hasattr(value, "key") and hasattr(value, "client")


def _has_length(content: Any) -> bool:
    """Whether it has elements in an order."""
    return hasattr(content, "__len__") and not isinstance(content, str | bytes | Mapping | set | frozenset)


def _nested(name: str, content: Any, rank: int) -> Input:
    """An array of objects from lists in lists, as deep as there are axes."""
    import numpy as np

    level: list[Any] = [content]
    shape: list[int] = []
    for _ in range(rank):
        if not all(map(_has_length, level)):
            msg = f"{name} is to have {rank} axes, and its lists are {len(shape)} deep"
            raise GridError(msg)
        sizes = sorted({len(each) for each in level}) or [0]
        if len(sizes) > 1:
            msg = f"the lists of {name} differ in length: {sizes[0]} and {sizes[-1]}"
            raise GridError(msg)
        shape.append(sizes[0])
        level = [item for each in level for item in each]
    found = np.empty(len(level), dtype=object)
    for number, item in enumerate(level):
        found[number] = item
    return _Dense(_numpy(name, found.reshape(shape)))
