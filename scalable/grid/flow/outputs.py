"""What a run gives out, fetched when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scalable.engine.sources import Hole
from scalable.grid.flow import words
from scalable.grid.future import GridFuture

if TYPE_CHECKING:
    from scalable.grid.flow.client import FlowClient
    from scalable.grid.flow.flows import Flow
    from scalable.grid.flow.looks import Look
    from scalable.grid.flow.sending import Sending
    from scalable.grid.flow.step_runs import StepRuns

__all__ = ["Outputs"]


class Outputs(Mapping[str, Any]):
    """The outputs of a run that exist: one is waited for when it is asked for, all when they are listed.

    What was fetched stays for when the session is closed; before that it is fetched anew each time.
    """

    def __init__(self, client: FlowClient, flow: Flow, steps: StepRuns, sending: Sending) -> None:
        self._client = client
        self._values = flow.outputs
        self._steps = steps
        self._sending = sending
        self._fetched: dict[str, Any] = {}

    def missing(self) -> dict[str, str]:
        """Wait for all, and say why which do not exist."""
        return {name: why for name in self._values if (why := self._why_not(name)) is not None}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise KeyError(words.hinted(f"there is no output {name}", str(name), self._values))
        why = self._why_not(name)
        if why is not None:
            msg = f"{name} does not exist: {why}"
            raise KeyError(msg)
        if self._client.status == "running":
            self._fetched[name] = self._fetch(name)
        return self._fetched[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._values and self._why_not(name) is None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._values if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<outputs {', '.join(self._values)}>"

    def _why_not(self, name: str) -> str | None:
        """Wait for the step of an output; ``None`` where it is there."""
        if self._client.status != "running":
            return None if name in self._fetched else "it was not fetched before the session was closed"
        run = self._steps[self._steps.made[self._values[name]].name]
        if run.future is None:
            self._sending.wait()
        future = run.future
        if future is not None:
            self._client.flow_wait(future.futures if isinstance(future, GridFuture) else [future])
        look = run.look()
        return None if look.has_value else self._words(run.name, look)

    def _words(self, step: str, look: Look) -> str:
        if look.state == "skipped":
            return (
                f"{step} was skipped, as it missed {words.listed(self._steps[step].missed or ('an input',))}"
            )
        if look.state == "failed":
            return f"{step} failed" + (f": {look.error}" if look.error else "")
        return f"{step} was {look.state}"

    def _fetch(self, name: str) -> Any:
        value = self._values[name]
        node = self._steps.made[value]
        future = self._steps[node.name].future
        if isinstance(future, GridFuture):
            return (future[value] if len(node.returns) > 1 else future).result()
        found = self._of_task(future)
        return found[node.returns.index(value)] if len(node.returns) > 1 else found

    def _of_task(self, future: Any) -> Any:
        (found,) = self._client.grid_values([future])
        if isinstance(found, Hole):  # it was lost just now, or cannot travel
            raise found.error()
        return found
