"""Gathering around failures: results where there are any, something else in the failed places."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from distributed import Future
from distributed.client import _wait

from scalable.grid.future import GridFuture

__all__ = ["Failed", "futures_in", "masked", "settle", "with_exceptions", "without"]


def futures_in(structure: Any) -> Iterator[Future[Any]]:
    """Every future in nested lists, tuples, sets and dicts."""
    if isinstance(structure, Future):
        yield structure
    elif isinstance(structure, GridFuture):
        yield from structure.futures
    elif isinstance(structure, Mapping):
        for value in structure.values():
            yield from futures_in(value)
    elif isinstance(structure, list | tuple | set | frozenset):
        for item in structure:
            yield from futures_in(item)


def settle(futures: Iterable[Future[Any]], gather: Callable[[Any], Any]) -> dict[Any, Any]:
    """Wait for every future; return {key: result} and, for those that failed, {key: :class:`Failed`}.

    ``gather`` returns the results of a list of futures, with a :class:`Failed` for one that cannot be sent.
    """
    unique = {future.key: future for future in futures}
    while pending := [future for future in unique.values() if future.status == "pending"]:
        with suppress(CancelledError):  # a cancelled one has ended; the others are still to come
            pending[0].client.sync(_wait, pending)  # wait() takes the newest client's loop, not theirs
    good = [future for future in unique.values() if future.status == "finished"]
    ended = dict(zip((future.key for future in good), gather(good), strict=True))
    for key, future in unique.items():
        if key not in ended:
            ended[key] = _end_of(future)
    return ended


class Failed:
    """Marks the place of a future that failed."""

    __slots__ = ("exception",)

    def __init__(self, exception: Any) -> None:
        self.exception = exception


def _end_of(future: Future[Any]) -> Any:
    """The result, or :class:`Failed`: a failed task may be retried meanwhile, by this thread or another."""
    error = future.exception() if future.status == "error" else None
    if error is not None:
        return Failed(error)
    try:  # a cancelled or lost future has no exception to ask for, but raises one
        return future.result()
    except (Exception, CancelledError) as raised:  # noqa: BLE001 - whatever it raises is the answer
        return Failed(raised.with_traceback(None))


def with_exceptions(structure: Any, ended: Mapping[Any, Any]) -> Any:
    """Return the structure with results in the place of futures, and exceptions where they failed."""
    return _replaced(structure, ended, lambda failed: failed.exception)


def _replaced(structure: Any, ended: Mapping[Any, Any], on_failure: Callable[[Failed], Any]) -> Any:
    if isinstance(structure, Future):
        value = ended[structure.key]
        return on_failure(value) if isinstance(value, Failed) else value
    if isinstance(structure, Mapping):
        return {key: _replaced(value, ended, on_failure) for key, value in structure.items()}
    if isinstance(structure, list | tuple | set | frozenset):
        items = [_replaced(item, ended, on_failure) for item in structure]
        if isinstance(structure, tuple) and hasattr(structure, "_make"):
            return structure._make(items)
        return type(structure)(items)
    return structure


def without(structure: Any, keys: Container[Any]) -> Any:
    """Return the structure as Dask's ``skip`` does: less these futures in a list, ``None`` further within."""
    if isinstance(structure, list):
        structure = [item for item in structure if not (isinstance(item, Future) and item.key in keys)]
    kept = {each.key: Failed(None) if each.key in keys else each for each in futures_in(structure)}
    return _replaced(structure, kept, lambda _: None)


def masked(structure: Any, ended: Mapping[Any, Any]) -> Any:
    """Return a ``numpy.ma`` object array of the input's shape, masked where futures failed.

    A list of lists of equal lengths gives two dimensions, and so on; ``fill_value`` is ``None``. Lists of
    different lengths stay lists, with ``numpy.ma.masked`` in their failed places.
    """
    import numpy as np

    if isinstance(structure, Mapping | set | frozenset):
        msg = "errors='mask' takes futures in lists or tuples; use errors='return' for a dict or a set"
        raise TypeError(msg)
    shape = _shape(structure)
    data = np.empty(shape, dtype=object)
    mask = np.zeros(shape, dtype=bool)
    for index in np.ndindex(*shape):
        place = structure
        for position in index:
            place = place[position]
        value = _replaced(place, ended, lambda _: np.ma.masked)
        mask[index] = value is np.ma.masked
        data[index] = None if mask[index] else value
    nothing: Any = np.array(None, dtype=object)  # None itself would mean numpy's default, "?"
    return np.ma.MaskedArray(data, mask=mask, fill_value=nothing)


def _shape(structure: Any) -> tuple[int, ...]:
    if not isinstance(structure, list | tuple):
        return ()
    inner = {_shape(item) for item in structure}
    return (len(structure), *(inner.pop() if len(inner) == 1 else ()))
