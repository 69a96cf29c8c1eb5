"""Sends the steps of a flow to the cluster: each as soon as what it takes can be named, before it is there.

Futures wire the steps, so that all of them go at once and Dask knows what waits for what. There is one
exception: a step over the elements of what another step returns as a whole. How many there are is not known
before that has ended, so a thread of the run waits for it, fetches the value, and sends the rest::

    send() ──▶ every step whose inputs can be named ──▶ what is left? ── nothing ──▶ done
                  ▲                                         │
                  └── the thread: wait for one value ◀── some steps

What can't be sent any more, as a value that it takes will never be, is skipped here as it would be there.
"""

from __future__ import annotations

import time
from contextvars import copy_context
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from scalable.engine.sources import Hole
from scalable.grid.arguments import Output
from scalable.grid.future import GridFuture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scalable.grid.flow.client import FlowClient
    from scalable.grid.flow.nodes import Node

__all__ = ["Handle", "Sending", "Unsent"]


class Unsent(msgspec.Struct, frozen=True):
    """In the place of the future of a step that was never submitted; ``error`` is what kept it from it."""

    state: Literal["skipped", "failed", "cancelled"]
    error: BaseException | None = None


Handle = Any
"""Dask's future of a step, the :class:`~scalable.GridFuture` of one over a grid, or :class:`Unsent`."""


class Sending:
    """The steps of one run on their way; ``handles`` has those that are sent, ``at`` when they were."""

    def __init__(
        self,
        client: FlowClient,
        nodes: tuple[Node, ...],
        values: Mapping[str, Any],
        kept: Mapping[str, Handle] | None = None,
    ) -> None:
        self.handles: dict[str, Handle] = dict(kept or {})
        self.at: dict[str, float] = {}
        self._client = client
        self._made = {value for node in nodes for value in node.returns}
        self._values: dict[str, Any] = dict(values)
        self._left = [node for node in nodes if node.name not in self.handles]
        self._sent, self._stopped = Event(), False
        for node in nodes:
            if node.name in self.handles:
                self._values.update(_given_out(node, self.handles[node.name]))

    def begin(self) -> None:
        """Send what can be sent, and start the thread where that is not all.

        Raises what ``submit`` and ``grid`` raise; what was sent before is let go with this object.
        """
        self._send(in_thread=False)
        if not self._left:
            self._sent.set()
            return
        context = copy_context()  # a block of policies around the run holds for what is sent later, too
        Thread(target=context.run, args=(self._follow,), name="scalable-flow", daemon=True).start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until every step was sent, or will never be; raises ``TimeoutError`` after some seconds."""
        if not self._sent.wait(timeout):
            msg = f"steps are still to be submitted after {timeout:g} s"
            raise TimeoutError(msg)

    def stop(self) -> None:
        """Send nothing any more."""
        self._stopped = True

    def futures(self) -> list[Any]:
        """Dask's futures of all steps that were sent."""
        found: list[Any] = []
        for handle in list(self.handles.values()):
            if isinstance(handle, GridFuture):
                found += handle.futures
            elif not isinstance(handle, Unsent):
                found.append(handle)
        return found

    # --- in the thread ---------------------------------------------------------------------------------

    def _follow(self) -> None:
        try:
            while self._left and not self._stopped:
                self._client.flow_wait(list(self._awaited()), first=True)
                if not self._stopped:
                    self._send(in_thread=True)
        finally:
            for node in self._left:  # whatever happened: nobody waits for what nobody will send
                self.handles[node.name] = Unsent("cancelled")
            self._left = []
            self._sent.set()

    def _awaited(self) -> Iterator[Any]:
        """Yield the futures of values that are to be read element by element."""
        for node in self._left:
            for name in _indexed(node):
                if (future := _whole(self._values.get(name))) is not None and not future.done():
                    yield future

    # --- sending ---------------------------------------------------------------------------------------

    def _send(self, *, in_thread: bool) -> None:
        """Go through the steps that are left once, in their order."""
        left = []
        for node in self._left:
            if not self._can_be_named(node):
                left.append(node)
                continue
            at = time.time()
            handle = self._tried(node) if in_thread else self._sent_off(node)
            self.handles[node.name], self.at[node.name] = handle, at
            self._values.update(_given_out(node, handle))
        self._left = left

    def _can_be_named(self, node: Node) -> bool:
        """Whether all that a step takes is known, or has a future, and what it takes apart has ended."""
        if any(name in self._made and name not in self._values for name in node.parameters):
            return False
        if any(isinstance(self._values.get(name), Unsent) for name in node.parameters):
            return True  # it will never be run, and waits for nothing
        whole = (_whole(self._values.get(name)) for name in _indexed(node))
        return all(future is None or future.done() for future in whole)

    def _tried(self, node: Node) -> Handle:
        try:
            return self._sent_off(node)
        except Exception as error:  # noqa: BLE001 - nobody is above this thread: the step says what it was
            return Unsent("cancelled" if self._client.status != "running" else "failed", error)

    def _sent_off(self, node: Node) -> Handle:
        given = {name: self._values[name] for name in node.parameters if name in self._values}
        if any(isinstance(value, Unsent) for value in given.values()):
            return Unsent("skipped")
        if node.over is None:
            return self._client.flow_submit(node.step.fn, given, node.options.given())
        for name in _indexed(node):
            given[name] = self._taken_apart(given.get(name, node.step.defaults.get(name)))
            if isinstance(given[name], Hole):
                return Unsent("skipped")
        return self._client.grid(
            node.step.fn,
            str(node.over.expression),
            inputs=given,
            batch=node.over.batch,
            on_holes=node.over.on_holes,
            **node.options.given(),
        )

    def _taken_apart(self, value: Any) -> Any:
        """Fetch what a step returned, or the hole where it failed; other values are there."""
        if (future := _whole(value)) is None:
            return value
        (found,) = self._client.grid_values([future])
        return found[value.item] if isinstance(value, Output) and not isinstance(found, Hole) else found


def _indexed(node: Node) -> tuple[str, ...]:
    """The values that a step reads element by element."""
    return () if node.over is None else tuple(node.over.ranks())


def _whole(value: Any) -> Any:
    """Dask's future of a value that a task returns as a whole; ``None`` for any other."""
    future = value.future if isinstance(value, Output) else value
    return future if hasattr(future, "key") and hasattr(future, "client") else None


def _given_out(node: Node, handle: Handle) -> dict[str, Any]:
    """What stands for each value of a step, where others take it."""
    if isinstance(handle, Unsent) or len(node.returns) == 1:
        return dict.fromkeys(node.returns, handle)
    if isinstance(handle, GridFuture):
        return {name: handle[name] for name in node.returns}
    return {name: Output(handle, place) for place, name in enumerate(node.returns)}
