"""From a function, an expression and inputs to the tasks of a grid."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import msgspec
from dask.sizeof import sizeof
from dask.utils import funcname

from scalable.engine.portions import MERGED, Batch, Call, Constant, Done, Merge
from scalable.engine.sources import OnHoles, Pick
from scalable.errors import GridError
from scalable.grid.arguments import Output, Results, check_whole, input_of, is_future
from scalable.grid.index import Expression, parse

if TYPE_CHECKING:
    from dask._task_spec import Task

    from scalable.engine.sources import Source
    from scalable.grid.arguments import Input

__all__ = ["Built", "Terms", "build", "calls"]

LARGE_BYTES = 100_000
"""A value that all calls take and that is larger is sent once, as a task of its own."""


class Terms(msgspec.Struct, frozen=True):
    """How a grid is to be made.

    ``size`` says of so many calls how many travel together, ``None``: each by itself. ``fixed``: they stay
    together, however long they take. ``after`` are keys of tasks that come before.
    """

    size: Callable[[int], int | None]
    fixed: bool = False
    on_holes: OnHoles = "pass"
    after: tuple[Any, ...] = ()


class Built(msgspec.Struct, frozen=True):
    """Where the results of a grid will be; ``coordinates`` are the inputs along one axis.

    Keys of calls begin with ``name``.
    """

    name: str
    results: Results
    expression: Expression
    coordinates: dict[str, tuple[str, Any]]


def build(
    fn: Callable[..., Any], text: str, given: Mapping[str, Any], terms: Terms
) -> tuple[Built, dict[Any, Task]]:
    """Make the tasks of a grid; raises ``GridError`` for what does not fit.

    ``given`` has for each parameter a value, a Dask future, :class:`Results` or an :class:`Output`.
    """
    expression = parse(text)
    _check(fn, expression, given)
    tasks: dict[Any, Task] = {}
    label, token = funcname(fn), uuid.uuid4().hex
    mapped = {
        each.name: input_of(each.name, given[each.name], len(each.axes), terms.on_holes)
        for each in expression.inputs
    }
    sizes = expression.sizes({name: each.shape for name, each in mapped.items()})
    shape = tuple(sizes[axis] for axis in expression.dims)
    whole = {name: value for name, value in given.items() if name not in mapped}
    values, sources = _whole(tasks, f"{label}-input-{token}", whole, terms.on_holes)
    indices = list(product(*map(range, shape)))
    columns, fed = _mapped(expression, mapped, indices)
    every = Batch(
        fn,
        f"{label}-{token}",
        indices,
        fixed=terms.fixed,
        after=_done(tasks, f"{label}-after-{token}", terms.after),
        outputs=len(expression.outputs),
        columns=columns,
        fed=fed,
        whole=values,
        whole_fed=sources,
    )
    many = len(indices)
    size = terms.size(many)
    if size is None:
        for number in range(many):
            tasks[every.key_of(number)] = every.element(number).task(every.key_of(number))
        keys = list(map(every.key_of, range(many)))
    else:
        keys = [_together(tasks, every, label, token, first, size) for first in range(0, many, size)]
    return Built(every.name, Results(keys, shape, size), expression, _coordinates(expression, mapped)), tasks


def calls(
    fn: Callable[..., Any],
    given: Mapping[Any, Mapping[Any, Any]],
    on_holes: OnHoles,
    after: Sequence[Any] = (),
) -> dict[Any, Task]:
    """Make the tasks of single calls that take whole grids or outputs of tasks, or come after others.

    ``given`` has for the key of each its arguments; what is given by place is under its number.
    """
    tasks: dict[Any, Task] = {}
    done = _done(tasks, f"{funcname(fn)}-after-{uuid.uuid4().hex}", after)
    for key, arguments in given.items():
        values, sources = _whole(tasks, f"{key}-input", arguments, on_holes)
        tasks[key] = Call(fn, str(key), after=done, whole=values, whole_fed=sources).task(key)
    return tasks


def _done(tasks: dict[Any, Task], name: str, after: Sequence[Any]) -> list[Any]:
    """Make a small task for each that comes before: a result that is not used need not travel."""
    keys: list[Any] = [(name, number) for number in range(len(after))]
    tasks |= {key: Done().task(key, of) for key, of in zip(keys, after, strict=True)}
    return keys


def _together(tasks: dict[Any, Task], calls: Batch, label: str, token: str, first: int, size: int) -> Any:
    """Make a batch of calls, and the task that has their results; returns the key of this."""
    batch = calls.only(range(first, min(first + size, len(calls))))
    batch.places = range(len(batch))
    number = first // size
    key, merged = (f"{label}-batch-{token}", number), (f"{label}{MERGED}-{token}", number)
    tasks[key] = batch.task(key)
    tasks[merged] = Merge(label, len(batch), {key: batch.places}).task(merged)
    return merged


def _check(fn: Any, expression: Expression, given: Mapping[str, Any]) -> None:
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    if not callable(fn):
        msg = f"a grid is of calls of a function, and {fn!r:.80} is none"
        raise GridError(msg)
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # a builtin without one
        return
    kinds = {each.kind for each in signature.parameters.values()}
    named = [each.name for each in signature.parameters.values() if each.kind not in _UNNAMED]
    _refuse_unnamed(name, signature, given)
    anything = inspect.Parameter.VAR_KEYWORD in kinds
    expression.check_parameters(named, anything, name)
    expression.check_given(given)
    try:
        signature.bind(**given)
    except TypeError as error:
        msg = f"{name}() cannot be called so: {error}"
        raise GridError(msg) from None


def _refuse_unnamed(name: str, signature: inspect.Signature, given: Mapping[str, Any]) -> None:
    for each in signature.parameters.values():
        if each.kind is inspect.Parameter.POSITIONAL_ONLY and each.name in given:
            msg = (
                f"{name}() takes {each.name!r} by place only, and a grid gives all by name: write a function "
                f"around it, as in lambda {each.name}: {name}({each.name})"
            )
            raise GridError(msg)


_UNNAMED = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)


def _whole(
    tasks: dict[Any, Task], name: str, given: Mapping[str, Any], on_holes: OnHoles
) -> tuple[dict[str, Any], dict[str, Source]]:
    """Part what all calls take: values, and where others come from."""
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for each, value in given.items():
        check_whole(each, value)
        if isinstance(value, Results):
            sources[each] = value.block(on_holes)
        elif isinstance(value, Output):
            sources[each] = Pick(value.future.key, (value.item,))
        elif is_future(value):
            sources[each] = Pick(value.key)
        elif sizeof(value) > LARGE_BYTES:
            tasks[(name, each)] = Constant(value).task((name, each))
            sources[each] = Pick((name, each))
        else:
            values[each] = value
    return values, sources


def _mapped(
    expression: Expression, mapped: Mapping[str, Input], indices: list[tuple[int, ...]]
) -> tuple[dict[str, list[Any]], dict[str, list[Source]]]:
    """For each input with axes what every call gets: values, or where others come from."""
    columns: dict[str, list[Any]] = {}
    fed: dict[str, list[Source]] = {}
    for each in expression.inputs:
        along = [None if axis is None else expression.dims.index(axis) for axis in each.axes]
        places = [tuple(None if axis is None else index[axis] for axis in along) for index in indices]
        content = mapped[each.name]
        if content.is_known:
            columns[each.name] = [content.value(place) for place in places]
        else:
            fed[each.name] = [content.source(place) for place in places]
    return columns, fed


def _coordinates(expression: Expression, mapped: Mapping[str, Input]) -> dict[str, tuple[str, Any]]:
    """Inputs with one axis, by name: they say what the indices of that axis stand for."""
    return {
        each.name: (each.axes[0], [mapped[each.name].value((n,)) for n in range(*mapped[each.name].shape)])
        for each in expression.inputs
        if len(each.axes) == 1 and each.axes[0] is not None and mapped[each.name].is_known
    }
