"""A step as it stands in a flow: run once or over a grid, with its options."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from scalable.grid.flow.options import Options
from scalable.grid.flow.steps import Step
from scalable.grid.index import Expression

__all__ = ["Node", "OnHoles", "Over", "Stages"]

OnHoles = Literal["pass", "skip", "raise"]


class Over(msgspec.Struct, frozen=True, kw_only=True):
    """The grid that a step is run over: ``client.grid``'s expression, and its keywords."""

    expression: Expression
    batch: int | Literal["auto"] = "auto"
    on_holes: OnHoles = "pass"

    def ranks(self) -> dict[str, int]:
        """How many axes each input is read along."""
        return {each.name: len(each.axes) for each in self.expression.inputs}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A step in a flow. ``said`` is what was said about it there, which counts before its own options."""

    step: Step[..., Any]
    over: Over | None = None
    said: Options = Options()

    @property
    def name(self) -> str:
        """The name of its step."""
        return self.step.name

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the values that it takes."""
        return self.step.parameters

    @property
    def returns(self) -> tuple[str, ...]:
        """The names of the values that it gives."""
        return self.step.returns

    @property
    def options(self) -> Options:
        """How it is run, all in all, as keywords for ``client.submit`` or ``client.grid``."""
        return self.said.within(self.step.options)


Stages = tuple[tuple[Node, ...], ...]
"""The steps of a flow in order; those that were put side by side stand together."""
