"""The results of a grid, as they come: an array with holes where calls failed."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product, zip_longest
from typing import TYPE_CHECKING, Any, Literal, Protocol

from scalable.engine.sources import Hole, masked_array
from scalable.errors import GridError
from scalable.grid import frames
from scalable.grid.arguments import Results

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scalable.core.failure import Failure
    from scalable.core.policy import Retry
    from scalable.grid.build import Built

__all__ = ["GridClient", "GridFuture"]

Status = Literal["pending", "finished", "partial", "error", "cancelled"]
SHOWN = 4


class GridClient(Protocol):
    """What the future of a grid asks of its client."""

    def grid_values(self, futures: Sequence[Any]) -> list[Any]:
        """Wait, and return the result of each, or the exception as a :class:`Hole`."""

    def grid_look(self, futures: Sequence[Any]) -> list[dict[str, Any]]:
        """For each: how many calls have which status, and the places of those that failed."""

    def grid_retry(self, grids: Sequence[Any], holes: Mapping[Any, Any], terms: Mapping[str, Any]) -> None:
        """Run calls that failed again."""

    def cancel(self, futures: Sequence[Any]) -> Any:
        """Cancel tasks."""


class GridFuture:
    """An array of results to come, of :meth:`~scalable.ScalableClient.grid`.

    Many tasks compute its elements. Those that failed for good are holes: masked in :meth:`result`, and told
    of by :meth:`exceptions` and :meth:`failures`. It may be an input of other grids, element by element, and
    of ``submit``, as a whole. ``futures`` are Dask's, of the tasks that have the results: one for each call,
    or one for many, whose value is a list. They succeed where calls failed, too, with holes among the values.
    """

    def __init__(
        self,
        client: GridClient,
        futures: list[Any],
        built: Built,
        needs: tuple[Any, ...] = (),
        output: int = 0,
    ) -> None:
        self._client = client
        self._built = built
        self._needs = needs  # futures of its inputs, for as long as somebody may retry it
        self._output = output
        self.futures = futures

    # --- what it is ------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        return self._built.results.shape

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of its axes."""
        return self._built.expression.dims

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its outputs."""
        every = tuple(each.name for each in self._built.expression.outputs)
        return every[self._output - 1 : self._output] if self._output else every

    def __len__(self) -> int:
        return len(self._built.results)

    def __getitem__(self, name: str) -> GridFuture:
        """One of several outputs, as a grid's future of its own."""
        if name not in self.names:
            msg = f"{name!r} is no output of this grid: it has {', '.join(self.names)}"
            raise KeyError(msg)
        if len(self.names) == 1:
            return self
        return GridFuture(self._client, self.futures, self._built, self._needs, self.names.index(name) + 1)

    def key(self, *index: int) -> tuple[Any, ...]:
        """Key of the call of an element, as records have it, for ``client.info``, ``attempts`` and others.

        Raises ``GridError`` for indices that are not in its shape.
        """
        sized = zip_longest(index, self.shape, fillvalue=-1)
        if not all(0 <= number < size for number, size in sized):
            msg = f"there is no element {index} in the shape {self.shape}"
            raise GridError(msg)
        return (self._built.name, *map(int, index))

    def results(self) -> Results:
        """Where its elements are, for tasks that need them."""
        own = self._built.results
        return Results(own.keys, own.shape, own.size, (self._output - 1,) if self._output else ())

    # --- how far it is ---------------------------------------------------------------------------------

    def done(self) -> bool:
        """Whether nothing of it is to come any more."""
        return all(future.done() for future in self.futures)

    @property
    def status(self) -> Status:
        """``pending``, ``finished``, ``partial`` (it has holes), ``error`` (nothing else), ``cancelled``."""
        statuses = {future.status for future in self.futures}
        if statuses & {"pending", "lost"}:  # Dask's word for what is computed once more
            return "pending"
        if statuses == {"cancelled"}:
            return "cancelled"
        holes = int(self.mask.sum())
        if holes == 0:
            return "finished"
        return "error" if holes == len(self) else "partial"

    def counts(self) -> dict[str, int]:
        """How many elements have which status (see :meth:`~scalable.ScalableClient.info`), without zeros."""
        total: Counter[str] = Counter()
        for each in self._client.grid_look(self.futures):
            total.update(each["counts"])
        missing = len(self) - sum(total.values())
        if missing > 0:
            total["cancelled" if self.done() else "pending"] += missing
        return {status: many for status, many in sorted(total.items()) if many}

    @property
    def mask(self) -> Any:
        """A boolean array, true where an element has failed so far; no results are moved for it."""
        import numpy as np

        mask = np.zeros(len(self), dtype=bool)
        for first, many, look in zip(*self._cells(), self._client.grid_look(self.futures), strict=True):
            holes = range(many) if look["all"] else look["holes"]
            mask[[first + each for each in holes]] = True
        return mask.reshape(self.shape)

    # --- what it came to -------------------------------------------------------------------------------

    def result(self, errors: Literal["mask", "raise"] = "mask") -> Any:
        """Wait, and return a ``numpy.ma`` object array, masked where elements failed.

        Of several outputs, a dict of such arrays. ``errors="raise"`` raises an ``ExceptionGroup`` of what was
        raised, where anything was; ``ValueError`` for another word.
        """
        if errors not in ("mask", "raise"):
            msg = f"errors must be 'mask' or 'raise', not {errors!r}"
            raise ValueError(msg)
        found = self._found()
        holes = [each for each in found if isinstance(each, Hole)]
        if holes and errors == "raise":
            first = "; ".join(hole.words for hole in holes[:SHOWN])
            msg = f"{len(holes)}/{len(found)} elements failed: {first}"
            raise ExceptionGroup(msg, _errors(holes))
        if len(self.names) == 1:
            return masked_array(found, self.shape, numbers=False)
        return {
            name: masked_array(_items(found, place), self.shape, numbers=False)
            for place, name in enumerate(self.names)
        }

    def exceptions(self) -> Any:
        """Wait, and return a ``numpy.ma`` object array of what was raised, masked where nothing was."""
        import numpy as np

        found = self._found()
        data = np.empty(len(found), dtype=object)
        mask = np.fromiter((not isinstance(each, Hole) for each in found), dtype=bool, count=len(found))
        for number, error in zip(np.flatnonzero(~mask), _errors(found), strict=True):
            data[number] = error
        nothing: Any = np.array(None, dtype=object)
        return np.ma.MaskedArray(data.reshape(self.shape), mask=mask.reshape(self.shape), fill_value=nothing)

    def failures(self) -> dict[tuple[int, ...], Failure]:
        """Wait, and say by its indices why each element failed."""
        places = product(*map(range, self.shape))
        return {
            index: each.described()
            for index, each in zip(places, self._found(), strict=True)
            if isinstance(each, Hole)
        }

    def samples(self) -> list[dict[str, Any]]:
        """Wait, and return a dict for each element, in row-major order.

        It has the value of each input along one axis, the index along axes without such, the ``status``
        (``succeeded`` or how it failed), and each output; ``None`` for a hole. Raises ``GridError`` where two
        of them have one name.
        """
        told = {axis for axis, _ in self._built.coordinates.values()}
        named = [*self._built.coordinates, *(axis for axis in self.dims if axis not in told), *self.names]
        twice = [name for name, many in Counter([*named, "status"]).items() if many > 1]
        if twice:
            msg = (
                f"two columns would be called {twice[0]!r}: give inputs, axes and outputs names of their own"
            )
            raise GridError(msg)
        return list(self._samples())

    def to_dataframe(self) -> Any:
        """Wait, and return :meth:`samples` as a ``pandas.DataFrame``; ``ImportError`` without pandas."""
        return frames.dataframe(self.samples())

    def to_xarray(self) -> Any:
        """Wait, and return an ``xarray.DataArray``, of several outputs a ``Dataset``.

        Holes are NaN in numbers, else ``None``; inputs along one axis are coordinates. Raises ``ImportError``
        without xarray.
        """
        return frames.xarray(self.names[0], self.result(), self.dims, self._built.coordinates)

    # --- again -----------------------------------------------------------------------------------------

    def retry(
        self,
        where: Any = None,
        *,
        tag: str | None = None,
        retries: int | None = None,
        retry: Retry | str | None = None,
        timeout: float | str | None = None,
        isolate: bool | None = None,
    ) -> GridFuture:
        """Run elements that failed again, and what of other grids could not run without them.

        ``where`` is a boolean array of the grid's shape, or a function that says of a
        :class:`~scalable.core.failure.Failure` whether to; elements that did not fail stay as they are. The
        keywords are those of :meth:`~scalable.ScalableClient.retry`.

        Raises ``GridError`` for another shape, while elements are to come, and for some that were cancelled.
        """
        terms = {"tag": tag, "retries": retries, "retry": retry, "timeout": timeout, "isolate": isolate}
        holes = self.holes(where)
        gone = sum(len(holes.get(each.key, ())) for each in self.futures if each.status == "cancelled")
        if gone:
            msg = f"{gone} elements were cancelled, and cannot be run again: submit them as a new grid"
            raise GridError(msg)
        self._client.grid_retry(self.futures, holes, terms)
        return self

    def holes(self, where: Any = None) -> dict[Any, list[int]]:
        """For each key of ``futures`` the places of elements that failed; ``where`` is as in ``retry``."""
        if not self.done():
            msg = "elements of this grid are still to come: wait for them, then retry those that failed"
            raise GridError(msg)
        flat = (self.mask & self._chosen(where)).reshape(-1)
        holes = {
            future.key: [place for place in range(many) if flat[first + place]]
            for future, first, many in zip(self.futures, *self._cells(), strict=True)
        }
        return {key: each for key, each in holes.items() if each}

    def cancel(self) -> None:
        """Cancel what has not ended."""
        self._client.cancel([future for future in self.futures if not future.done()])

    def _chosen(self, where: Any) -> Any:
        import numpy as np

        if where is None:
            return np.ones(self.shape, dtype=bool)
        if callable(where):
            chosen = np.zeros(self.shape, dtype=bool)
            for index, failure in self.failures().items():
                chosen[index] = bool(where(failure))
            return chosen
        chosen = np.asarray(where, dtype=bool)
        if chosen.shape != self.shape:
            msg = f"where= has shape {chosen.shape}, and the grid has {self.shape}"
            raise GridError(msg)
        return chosen

    # --- inside ----------------------------------------------------------------------------------------

    def _cells(self) -> tuple[list[int], list[int]]:
        """For each future the number of its first element, and how many it has."""
        size = self._built.results.size or 1
        firsts = list(range(0, len(self), size))
        return firsts, [min(size, len(self) - first) for first in firsts]

    def _found(self) -> list[Any]:
        """Every element, or the hole in its place."""
        found: list[Any] = []
        alone = self._built.results.size is None
        for value, many in zip(self._client.grid_values(self.futures), self._cells()[1], strict=True):
            found += [value] * many if alone or isinstance(value, Hole) else value
        return _items(found, self._output - 1) if self._output else found

    def _samples(self) -> Iterator[dict[str, Any]]:
        places = product(*map(range, self.shape))
        told = {axis for axis, _ in self._built.coordinates.values()}
        for index, each in zip(places, self._found(), strict=True):
            along = dict(zip(self.dims, index, strict=True))
            sample = {name: values[along[axis]] for name, (axis, values) in self._built.coordinates.items()}
            sample |= {axis: number for axis, number in along.items() if axis not in told}
            hole = isinstance(each, Hole)
            sample["status"] = each.described().outcome if hole else "succeeded"
            yield sample | self._outputs(None if hole else each)

    def _outputs(self, value: Any) -> dict[str, Any]:
        if len(self.names) == 1:
            return {self.names[0]: value}
        return {name: None if value is None else value[item] for item, name in enumerate(self.names)}

    # --- as Dask and Python see it ---------------------------------------------------------------------

    def __dask_graph__(self) -> dict[Any, Any]:
        """Its futures, for ``wait``, ``client.cancel`` and whatever else of Dask's looks for some."""
        return {future.key: future for future in self.futures}

    __dask_optimize__ = None

    def __dask_keys__(self) -> Any:
        """Raise ``TypeError`` where it is given to ``dask.compute`` or ``dask.delayed``."""
        msg = "a grid is computed already: take grid.result(), or give the grid to client.submit() or grid()"
        raise TypeError(msg)

    def __iter__(self) -> Iterator[Any]:
        """Raise ``TypeError``: it is not said whether futures are meant, or elements."""
        msg = (
            "a grid is neither a list of futures nor of elements: grid.result() is its array, "
            "grid.failures() says what failed, grid.retry() runs that again; grid.futures are Dask's, "
            "one for many elements"
        )
        raise TypeError(msg)

    def __reduce__(self) -> Any:
        """Raise ``TypeError``: what it asks its client cannot be asked elsewhere."""
        msg = (
            "a grid cannot be sent within another value: give it to submit() or grid() as an argument by "
            "itself, or give grid.result()"
        )
        raise TypeError(msg)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{axis}: {size}" for axis, size in zip(self.dims, self.shape, strict=True))
        return f"<GridFuture {', '.join(self.names)} ({sizes}): {len(self)} elements>"


def _items(found: Sequence[Any], place: int) -> list[Any]:
    """One of several values of each element."""
    return [each if isinstance(each, Hole) else each[place] for each in found]


def _errors(found: Sequence[Any]) -> list[Any]:
    """What the holes among these stand for, loaded in a thread of its own.

    The tracebacks that come of loading lead to the frames around it: the caller's, which has the array of
    exceptions and the grid. Python's collector does not see through an array, so that would never end.
    """
    holes = [each for each in found if isinstance(each, Hole)]
    if not holes:
        return []
    with ThreadPoolExecutor(1) as pool:
        return list(pool.map(Hole.error, holes))
