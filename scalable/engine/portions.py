"""The tasks that a grid is made of, as they travel: which calls of a function are made together, or alone.

::

    Element ─── one call, under its own key ───────────────────────▶ its result, or a Hole
    Batch ───── many calls, one after the other ──┐
    Element ─── those of it that went their own ──┴─▶ Merge ───────▶ the batch's results, in order, with holes

The client builds them (:mod:`scalable.grid`), a worker runs them, and the scheduler takes a batch apart where
some of it must go its own way: it fails, it is slow, or its worker died.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from dask._task_spec import Task, TaskRef

from scalable.engine.sources import Block, Pick, Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from scalable.engine.sources import Source

__all__ = ["MERGED", "Batch", "Call", "Constant", "Done", "Element", "Merge"]

MERGED = "-merge"
"""With which the names of tasks end that have the results of a batch."""


class Call:
    """One or more calls of a function: ``indices`` are their places in the grid's output, one tuple each.

    ``columns`` has for a parameter one value a call, ``fed`` one source a call, ``whole`` one value for all
    of them and ``whole_fed`` one source; what is given by place has a number for a name there. ``places`` are
    the places in the results of a :class:`Merge`. ``fixed`` ones stay together, however long they take.
    ``after`` are keys of tasks that come before, and whose results are not used. Each call is to return as
    many values as there are ``outputs``.
    """

    __slots__ = (
        "after", "columns", "fed", "fixed", "fn", "indices", "name", "outputs", "places", "whole",
        "whole_fed",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - a value, made in two places
        self,
        fn: Callable[..., Any],
        name: str,
        indices: Sequence[tuple[int, ...]] = ((),),
        *,
        places: Sequence[int] = (),
        fixed: bool = False,
        after: Sequence[Any] = (),
        outputs: int = 1,
        columns: Mapping[str, Sequence[Any]] | None = None,
        fed: Mapping[str, Sequence[Source]] | None = None,
        whole: Mapping[Any, Any] | None = None,
        whole_fed: Mapping[Any, Source] | None = None,
    ) -> None:
        self.fn = fn
        self.name = name
        self.indices = indices
        self.places = places
        self.fixed = fixed
        self.after = after
        self.outputs = outputs
        self.columns = columns or {}
        self.fed = fed or {}
        self.whole = whole or {}
        self.whole_fed = whole_fed or {}

    def __len__(self) -> int:
        return len(self.indices)

    def __call__(self, *inputs: Any) -> Any:
        """Make the only call, with the results of the tasks :meth:`needs` names."""
        arguments = self.arguments(0, dict(zip(self.needs(), inputs, strict=True)))
        by_place = [arguments.pop(each) for each in sorted(key for key in arguments if isinstance(key, int))]
        return self.result(by_place, arguments)

    def result(self, by_place: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
        """Call the function; raises ``TypeError`` where it does not return as many values as it is to."""
        result = completed(self.fn(*by_place, **arguments))
        if self.outputs > 1 and not (isinstance(result, tuple | list) and len(result) == self.outputs):
            many = f"{len(result)} values" if isinstance(result, tuple | list) else type(result).__name__
            msg = (
                f"it is to return {self.outputs} values, as the grid has so many outputs, and returned {many}"
            )
            raise TypeError(msg)
        return result

    def needs(self) -> tuple[Any, ...]:
        """Keys of the tasks whose results it needs, each once."""
        sources = [*self.whole_fed.values(), *(each for column in self.fed.values() for each in column)]
        return tuple(dict.fromkeys([*(key for source in sources for key in source.needs()), *self.after]))

    def picks(self, number: int) -> Iterator[Pick]:
        """Yield what a call takes of the results of tasks."""
        for source in (*self.whole_fed.values(), *(column[number] for column in self.fed.values())):
            if isinstance(source, Block):
                yield from source.picks
            elif isinstance(source, Pick):
                yield source

    def task(self, key: Any) -> Task:
        """Dask's task for it."""
        return Task(key, self, *(TaskRef(each) for each in self.needs()))

    def arguments(self, number: int, found: Mapping[Any, Any]) -> dict[Any, Any]:
        """Arguments of a call, by name; raises :class:`Skip` where an input does not exist."""
        arguments: dict[Any, Any] = {name: column[number] for name, column in self.columns.items()}
        for name, sources in self.fed.items():
            arguments[name] = sources[number].take(found)
        for name, source in self.whole_fed.items():
            arguments[name] = source.take(found)
        arguments.update(self.whole)
        return arguments

    def shown(self) -> dict[Any, Any]:
        """Arguments of the first call as far as they are known before it is made, for people to read."""
        first = {name: column[0] for name, column in self.columns.items()}
        sources = {**{name: column[0] for name, column in self.fed.items()}, **self.whole_fed}
        fed = {name: TaskRef(next(source.needs(), "")) for name, source in sources.items()}
        return {**first, **fed, **self.whole}

    def key_of(self, number: int) -> Any:
        """Key of one of the calls as a task of its own."""
        return (self.name, *self.indices[number])

    def _part(self, numbers: Iterable[int], kind: type[Call]) -> Any:
        chosen = list(numbers)
        return kind(
            self.fn,
            self.name,
            [self.indices[each] for each in chosen],
            places=[self.places[each] for each in chosen] if self.places else (),
            fixed=self.fixed,
            after=self.after,
            outputs=self.outputs,
            columns={name: [column[each] for each in chosen] for name, column in self.columns.items()},
            fed={name: [column[each] for each in chosen] for name, column in self.fed.items()},
            whole=self.whole,
            whole_fed=self.whole_fed,
        )


class Element(Call):
    """One call of a grid. Where it fails for good, a :class:`Hole` takes the place of its result."""

    __slots__ = ()


class Batch(Call):
    """Calls of a grid that travel together; the result is the list of theirs."""

    __slots__ = ()

    def __call__(self, *inputs: Any) -> list[Any]:
        """Make all calls, where nobody follows the single ones; a failure is that of the batch."""
        found = dict(zip(self.needs(), inputs, strict=True))
        results: list[Any] = []
        for number in range(len(self)):
            try:
                results.append(self.result((), self.arguments(number, found)))
            except Skip as skip:
                results.append(skip.hole.skipped())
        return results

    def element(self, number: int) -> Element:
        """One of its calls, to be made by itself."""
        part: Element = self._part([number], Element)
        return part

    def only(self, numbers: Iterable[int]) -> Batch:
        """Those of its calls."""
        part: Batch = self._part(numbers, Batch)
        return part


class Constant:
    """A value that many calls take, sent once."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> Any:
        """Return it."""
        return self.value

    def task(self, key: Any) -> Task:
        """Dask's task for it."""
        return Task(key, self)


class Done:
    """Says that a task has ended well, where its result is not wanted."""

    __slots__ = ()

    def __call__(self, _result: Any) -> None:
        """Return nothing."""

    def task(self, key: Any, of: Any) -> Task:
        """Dask's task for it."""
        return Task(key, self, TaskRef(of))


class Merge:
    """Puts the results of a batch together, wherever they come from.

    ``label`` names the function. ``sources`` says for the key of a batch the places of its results, for that
    of an element its one place.
    """

    __slots__ = ("label", "many", "sources")

    def __init__(self, label: str, many: int, sources: Mapping[Any, Sequence[int] | int]) -> None:
        self.label = label
        self.many = many
        self.sources = dict(sources)

    def __call__(self, *inputs: Any) -> list[Any]:
        """Return all results in order."""
        results: list[Any] = [None] * self.many
        for places, found in zip(self.sources.values(), inputs, strict=True):
            if isinstance(places, int):
                results[places] = found
            else:
                for place, each in zip(places, found, strict=True):
                    results[place] = each
        return results

    def task(self, key: Any) -> Task:
        """Dask's task for it."""
        return Task(key, self, *(TaskRef(each) for each in self.sources))


def completed(result: Any) -> Any:
    """Run a coroutine that was returned to its end, on a loop of its own."""
    return asyncio.run(result) if inspect.iscoroutine(result) else result
