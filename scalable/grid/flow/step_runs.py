"""The steps of a run: what each is doing, and what it missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scalable.grid.flow import wiring, words
from scalable.grid.flow.looks import Watch
from scalable.grid.flow.sending import Unsent
from scalable.grid.flow.steps import Step
from scalable.grid.future import GridFuture

if TYPE_CHECKING:
    from scalable.core.failure import Failure
    from scalable.grid.flow.client import FlowClient
    from scalable.grid.flow.flows import Flow
    from scalable.grid.flow.looks import Look, State
    from scalable.grid.flow.nodes import Node
    from scalable.grid.flow.sending import Handle

__all__ = ["StepRun", "StepRuns", "errors_of"]


class StepRun:
    """A step of a run; every property looks anew."""

    def __init__(self, runs: StepRuns, node: Node) -> None:
        self.name = node.name
        self.node = node
        self._runs = runs

    @property
    def state(self) -> State:
        """``pending``, ``running``, or how it ended: see below.

        ``finished``, ``partial`` (a grid with holes), ``failed``, ``skipped`` (it missed an input), or
        ``cancelled``.
        """
        return self.look().state

    @property
    def future(self) -> Any:
        """Dask's future, or the :class:`~scalable.GridFuture` of a grid; ``None``: it was not submitted."""
        handle = self._runs.handles.get(self.name)
        return None if isinstance(handle, Unsent) else handle

    @property
    def missed(self) -> tuple[str, ...]:
        """The values that it could not be run without, where it was skipped."""
        return self._runs.missed(self.node)

    @property
    def attempts(self) -> int | None:
        """How many attempts have begun; ``None`` for a grid, each of whose elements has its own."""
        return self.look().attempts

    def failure(self) -> Failure | None:
        """Say why it failed for good, of a grid the first element that did; ``None`` where nothing failed."""
        future = self.future
        if not isinstance(future, GridFuture):
            return self.look().failure
        found = list(future.failures().values())
        return next((each for each in found if each.outcome != "upstream"), found[0] if found else None)

    def counts(self) -> dict[str, int]:
        """How many elements of a grid have which status; of any other step, its own one."""
        return dict(self.look().counts)

    def look(self) -> Look:
        """Everything that one look shows."""
        return self._runs.looks(self.name)[self.name]

    def __repr__(self) -> str:
        return f"<StepRun {self.name}: {self.state}>"


class StepRuns(Mapping[str, StepRun]):
    """The steps of a run, in order, by their names; also by a value that one returns, or by the step."""

    def __init__(self, client: FlowClient, flow: Flow, handles: Mapping[str, Handle]) -> None:
        self.handles = handles
        self.nodes = flow.steps
        self.made = wiring.makers(self.nodes)
        self._by_name = {node.name: node for node in self.nodes}
        self._watch = Watch(client, handles)

    def looks(self, *names: str) -> dict[str, Look]:
        """Look at some steps, or all, at once."""
        return self._watch.look(*(names or self._by_name))

    def missed(self, node: Node, looks: Mapping[str, Look] | None = None) -> tuple[str, ...]:
        """The values that a skipped step lacked: those that do not exist, else those that have holes."""
        makers = {name: self.made[name].name for name in node.parameters if name in self.made}
        looks = looks or self.looks(node.name, *makers.values())
        if looks[node.name].state != "skipped":
            return ()
        absent = tuple(name for name, maker in makers.items() if not looks[maker].has_value)
        return absent or tuple(name for name, maker in makers.items() if looks[maker].state == "partial")

    def __getitem__(self, key: str | Step[..., Any]) -> StepRun:
        name = key.name if isinstance(key, Step) else key
        if name not in self._by_name and name in self.made:
            name = self.made[name].name
        if name not in self._by_name:
            raise KeyError(words.hinted(f"there is no step {name}", str(name), [*self._by_name, *self.made]))
        return StepRun(self, self._by_name[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"<steps {', '.join(self._by_name)}>"


def errors_of(runs: StepRuns, looks: Mapping[str, Look]) -> list[Exception]:
    """List what steps raised; where none did, why they were skipped or cancelled."""
    wrong = [(name, look.state) for name, look in looks.items() if look.state != "finished"]
    found = [
        error
        for wanted in ("failed", "partial")
        for name, state in wrong
        if state == wanted
        for error in _raised(runs.handles.get(name))
    ]
    return found or [RuntimeError(f"{name} was {state}") for name, state in wrong]


def _raised(handle: Handle) -> list[Exception]:
    if isinstance(handle, GridFuture):
        try:
            handle.result(errors="raise")
        except ExceptionGroup as group:
            return [group]
        return []
    error = handle.error if isinstance(handle, Unsent) else handle.exception()
    return [error if isinstance(error, Exception) else RuntimeError(repr(error))]
