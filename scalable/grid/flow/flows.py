"""``Flow``: steps that are wired by the names of their values. Nothing runs here; sessions run flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from scalable.errors import FlowError
from scalable.grid.flow import changes, checks, data, drawing, options, plan, wiring, words
from scalable.grid.flow.nodes import Stages
from scalable.grid.flow.parts import Concurrent, as_node

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from scalable.core.policy import Retry
    from scalable.grid.flow.changes import Which
    from scalable.grid.flow.nodes import Node
    from scalable.grid.flow.plan import FlowPlan
    from scalable.grid.flow.steps import Step
    from scalable.grid.flow.wiring import Edge

__all__ = ["Flow", "first"]


class Flow(msgspec.Struct, frozen=True):
    """Steps that take values by name and give others: ``Flow("model").then(mesh).then(solve)``.

    A value is given by one step, or from outside: an input. Steps are put in an order in which each finds
    what it takes, and run as soon as that is there. Every method returns a new flow.

    Raises ``FlowError``, with everything that is wrong, where the parts do not fit together.
    """

    name: str
    stages: Stages = ()
    chosen: tuple[tuple[str, str], ...] | None = None

    def __post_init__(self) -> None:
        """Check what was put together."""
        name: object = self.name
        if not isinstance(name, str) or not name.strip():
            msg = f"a flow needs a name, and {name!r} is none"
            raise FlowError(msg)
        checks.check(self._subject, self.stages)
        checks.check_outputs(self._subject, self.chosen or (), self.steps)

    # --- putting together ------------------------------------------------------------------------------

    def then(self, part: Step[..., Any] | Node | Concurrent) -> Flow:
        """Add a step, one over a grid (:func:`~scalable.map_`), or several :func:`~scalable.concurrently`."""
        members = part.members if isinstance(part, Concurrent) else (as_node(part),)
        return msgspec.structs.replace(self, stages=(*self.stages, members))

    def join(self, other: Flow) -> Flow:
        """Add the steps of another flow after these; what either of them gives out is given out."""
        _must_be_flow(other)
        chosen = None
        if self.chosen is not None or other.chosen is not None:
            chosen = (*self.outputs.items(), *other.outputs.items())
        return Flow(self.name, (*self.stages, *other.stages), chosen)

    def rename(self, name: str) -> Flow:
        """Give it another name."""
        return msgspec.structs.replace(self, name=name)

    def returning(self, *values: str, **renamed: str) -> Flow:
        """Choose what it gives out: ``returning("mesh", total="sum_of_charges")``, ``total`` by a new name.

        Without it a flow gives out every value that its steps return.
        """
        chosen = (*((value, value) for value in values), *((name, value) for value, name in renamed.items()))
        if not chosen:
            msg = "returning() takes the names of the values to give out"
            raise FlowError(msg)
        return msgspec.structs.replace(self, chosen=chosen)

    def replace_steps(self, steps: Mapping[Which, Step[..., Any]]) -> Flow:
        """Put other steps in the places of some: ``{old: new}``, the old one by itself or by its name.

        The new step keeps the grid of its place, and what was said about retries and the like, where it does
        not say it itself. It must take and return what the old one does; what it takes more becomes an input.
        """
        return self._with(changes.replaced(self._subject, self.stages, steps))

    def with_retries(self, retries: Mapping[Which, int | Retry | str]) -> Flow:
        """Say how often steps are tried again: ``{step: 5}``, or a :class:`~scalable.Retry` or its name."""
        return self._with(
            changes.told(self._subject, self.stages, retries, lambda _, wish: options.retrying(wish))
        )

    def with_max_runs(self, max_runs: Mapping[Which, int]) -> Flow:
        """Say how often steps are run in all: ``{step: 5}``, again after any exception, as in ``map_``."""
        return self._with(
            changes.told(
                self._subject,
                self.stages,
                max_runs,
                lambda node, wish: options.of_runs(wish, node.options.retry),
            )
        )

    # --- looking ---------------------------------------------------------------------------------------

    @property
    def steps(self) -> tuple[Node, ...]:
        """Its steps in order, each with the grid and the options that it has here."""
        return tuple(node for stage in self.stages for node in stage)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The ways that values go from step to step."""
        return wiring.edges(self.steps)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The values that it must be given."""
        return wiring.inputs(self.steps)

    @property
    def defaults(self) -> dict[str, Any]:
        """The values that it may be given, with what holds where they are not."""
        return wiring.defaults(self.steps)

    @property
    def outputs(self) -> dict[str, str]:
        """The names that it gives values out under, with the names that these have within."""
        if self.chosen is not None:
            return dict(self.chosen)
        return {value: value for value in wiring.makers(self.steps)}

    def check_inputs(self, inputs: Collection[str]) -> None:
        """Raise ``FlowError`` for values that are missing, and for those that it does not take."""
        self._check(inputs, needed=self.inputs)

    def plan(self, /, **inputs: Any) -> FlowPlan:
        """Say what would run, with the sizes of grids as far as the inputs tell them; they need not be all.

        Raises ``FlowError`` for inputs that it does not take, and whose shapes do not fit.
        """
        self._check(inputs, needed=())
        return plan.planned(self, inputs)

    def graph(self, format: Literal["mermaid", "dot"] = "mermaid") -> str:  # noqa: A002 - as graphviz calls it
        """Draw it as a text for Mermaid or Graphviz: its inputs, its steps, and the values between them."""
        return drawing.drawn(self, format)

    def to_dict(self) -> dict[str, Any]:
        """Describe the whole flow in plain data."""
        return data.described(self)

    def __repr__(self) -> str:
        steps = ", ".join(node.name for node in self.steps) or "no steps"
        return f"<Flow {self.name}: {steps}>"

    # --- within ----------------------------------------------------------------------------------------

    @property
    def _subject(self) -> str:
        return f"flow {self.name!r}"

    def _with(self, stages: Stages) -> Flow:
        return msgspec.structs.replace(self, stages=stages)

    def _check(self, given: Collection[str], needed: Collection[str]) -> None:
        words.refuse(self._subject, [] if self.stages else ["it has no steps: add some by then"])
        checks.check_inputs(self._subject, self.steps, given, needed)


def first(part: Step[..., Any] | Node | Concurrent) -> Flow:
    """Begin a flow with a step, and name it after that: ``first(mesh).then(solve)``."""
    members = part.members if isinstance(part, Concurrent) else (as_node(part),)
    return Flow(" and ".join(node.name for node in members)).then(part)


def _must_be_flow(given: object) -> None:
    if not isinstance(given, Flow):
        msg = f"join takes a flow, not {given!r:.80}; one step is added by then"
        raise FlowError(msg)
