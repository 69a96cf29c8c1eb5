"""Between an attempt and what is kept of runs: which call it is, whether its result is there, what to keep.

What is followed call by call is known again: tasks of ``submit`` and ``map``, calls of grids and of flows,
``delayed`` functions. Parts of arrays and data frames are not: to digest what goes through them takes as long
as to compute it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dask._task_spec import Alias, DataNode, NestedContainer, Task, TaskRef

from scalable.context import note
from scalable.core.text import text_of
from scalable.engine.portions import Batch, Call, Constant, Done, Merge
from scalable.resume.identity import identify
from scalable.resume.shelf import Remembered, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scalable.context import Results
    from scalable.engine.messages import Spec
    from scalable.engine.reporting import Report
    from scalable.resume.shelf import Found

__all__ = ["Recall", "Shelves", "call_of"]

_log = logging.getLogger("scalable")


class Shelves:
    """The shelves of a worker, one for each session that it works for."""

    def __init__(self) -> None:
        self._known: dict[Results, Shelf] = {}

    def of(self, results: Results | None) -> Shelf | None:
        """The session's shelf; ``None`` where nothing of it can be kept or found here."""
        if results is None:
            return None
        shelf = self._known.get(results)
        if shelf is None:
            self._tidy()
            shelf = self._known[results] = Shelf(results)
        return shelf if shelf.here else None

    def _tidy(self) -> None:
        """Close those of sessions that have ended, where workers live longer than these."""
        for results, shelf in [*self._known.items()]:
            if shelf.has_ended():
                self._known.pop(results).close()

    def close(self) -> None:
        """Close them all."""
        while self._known:
            self._known.popitem()[1].close()


class Recall:
    """What is kept of one call: looked for before it is made, and kept when it has been."""

    __slots__ = ("_called", "_given", "_key", "_shelf", "_spec")

    def __init__(
        self, shelf: Shelf | None, spec: Spec, key: Any, function: Any, given: Any, outputs: int = 1
    ) -> None:
        self._shelf, self._spec, self._key, self._given = shelf, spec, str(key), given
        self._called = None
        if shelf is not None and function is not None:
            self._called = identify(function, given, outputs)

    def look(self, *, failures: bool) -> Found | None:
        """Return what an earlier run made of the call; raises ``Remembered`` where it is not to be made."""
        if self._shelf is None or self._called is None:
            return None
        once = not self._spec.idempotent
        try:
            found = self._shelf.recall(self._called, self._key, failures=failures, once=once)
        except Remembered:
            raise
        except Exception as error:  # noqa: BLE001 - damaged files, or none any more: then the call is made
            _log.warning("%s is made again: %s", self._key, text_of(error))
            found = None
        if found is not None:
            note(what="resumed", run=found.run, other_code=found.other_code)
        elif once:
            self._shelf.begin(self._called)
        return found

    def keep(self, result: Any, *, wait: bool = False) -> None:
        """Keep the result of the call."""
        if self._shelf is None or self._called is None:
            return
        once = not self._spec.idempotent
        self._shelf.keep(self._called, result, self._spec.secrets, wait=wait, once=once)

    def failed(self, report: Report) -> None:
        """Keep that the call failed, if it would fail again."""
        if self._shelf is None or self._called is None or report["failure"].get("remembered"):
            return
        failure = report["failure"]
        if not self._spec.idempotent:
            self._shelf.undo(self._called)
        if failure["kind"] == "permanent" and failure["outcome"] == "error" and not failure["injected"]:
            given = self._given.values()
            with suppress(Exception):  # what it was given may do anything when it is looked at
                self._shelf.fail(self._called, failure, report["parcel"], given, self._spec.secrets)


def call_of(
    run_spec: Any, values: Mapping[Any, Any], key: Any
) -> tuple[Callable[..., Any] | None, dict[Any, Any], int]:
    """Return the function that a task calls, its arguments, by name or place, and how many values it returns.

    There is no function where the task is no call.
    """
    function = getattr(run_spec, "func", None)
    nothing: tuple[None, dict[Any, Any], int] = (None, {}, 1)
    if not isinstance(run_spec, Task) or isinstance(function, Batch | Merge | Constant | Done):
        return nothing
    try:
        if isinstance(function, Call):
            return function.fn, function.arguments(0, values), function.outputs
        if isinstance(key, tuple):
            return nothing
        given: dict[Any, Any] = {place: _value(each, values) for place, each in enumerate(run_spec.args)}
        named = {name: _value(each, values) for name, each in run_spec.kwargs.items()}
        return function, given | named, 1
    except Exception:  # noqa: BLE001 - a value is missing, or its own code raises: the task will say so itself
        return nothing


def _value(given: Any, values: Mapping[Any, Any]) -> Any:
    """Return what a task gets for an argument; raises ``LookupError`` where more than looking is needed."""
    if isinstance(given, TaskRef | Alias):
        return values[given.target if isinstance(given, Alias) else given.key]
    if isinstance(given, NestedContainer):
        return type(given).constructor([_value(each, values) for each in given.args])
    if isinstance(given, DataNode):
        return given.value
    if isinstance(given, Task):
        msg = "it would have to be computed"
        raise LookupError(msg)  # noqa: TRY004 - as where a value is missing
    return given
