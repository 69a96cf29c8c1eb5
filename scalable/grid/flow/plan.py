"""What a flow would run with some inputs, before anything runs: a value, and a small table of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.policy import Retry
from scalable.grid.flow import words
from scalable.grid.flow.options import Options
from scalable.grid.flow.sizes import Shape, shape_of, sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scalable.grid.flow.flows import Flow
    from scalable.grid.flow.nodes import Node

__all__ = ["FlowPlan", "StepPlan", "planned"]

HEAD = ("step", "runs", "takes", "gives", "retries")


class StepPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a plan.

    A step over a grid has its ``expression`` and the ``shape`` of the grid, ``None`` for each size that is
    not known before the step runs.
    """

    name: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    expression: str | None = None
    shape: Shape | None = None
    options: Options = Options()

    @property
    def elements(self) -> int | None:
        """How often it is called at most, retries aside; ``None`` where that is not known."""
        sizes = self.shape or ()
        return None if None in sizes else math.prod(size for size in sizes if size is not None)


class FlowPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a flow would run, by ``flow.plan(...)``. ``missing`` are the inputs that it was not given."""

    flow: str
    steps: tuple[StepPlan, ...]
    outputs: dict[str, str]
    missing: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Turn the plan into dicts, lists and values."""
        return {
            "flow": self.flow,
            "steps": [_plain(step) for step in self.steps],
            "outputs": self.outputs,
            "missing": list(self.missing),
        }

    def __str__(self) -> str:
        """A line for each step, in order."""
        return "\n".join(_lines(self))


def planned(flow: Flow, inputs: Mapping[str, Any]) -> FlowPlan:
    """Follow shapes from the inputs through the flow; raises ``FlowError`` where they do not fit."""
    values = {**flow.defaults, **inputs}
    made: dict[str, Shape] = {}
    steps, problems = [], []
    for node in flow.steps:
        shape = None
        if node.over is not None:
            given = {
                name: shape_of(values[name], rank)
                for name, rank in node.over.ranks().items()
                if name in values
            }
            shape, found = sizes(node.over.expression, {**given, **made})
            problems += [f"{node.name}: {each}" for each in found]
            made.update(dict.fromkeys(node.returns, shape))
        steps.append(_step(node, shape))
    words.refuse(f"flow {flow.name!r}", problems)
    missing = tuple(name for name in flow.inputs if name not in inputs)
    return FlowPlan(flow=flow.name, steps=tuple(steps), outputs=flow.outputs, missing=missing)


def _step(node: Node, shape: Shape | None) -> StepPlan:
    return StepPlan(
        name=node.name,
        takes=node.parameters,
        gives=node.returns,
        expression=None if node.over is None else str(node.over.expression),
        shape=shape,
        options=node.options,
    )


def _plain(step: StepPlan) -> dict[str, Any]:
    return {
        "name": step.name,
        "takes": list(step.takes),
        "gives": list(step.gives),
        "expression": step.expression,
        "shape": None if step.shape is None else list(step.shape),
        "elements": step.elements,
        "options": step.options.to_dict(),
    }


# --- the table --------------------------------------------------------------------------------------------


def _lines(plan: FlowPlan) -> Iterator[str]:
    count = len(plan.steps)
    yield f"Flow {plan.flow}: {count} {'step' if count == 1 else 'steps'}"
    table = [HEAD, *map(_row, plan.steps)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    names = (name if name == value else f"{name} ({value})" for name, value in plan.outputs.items())
    yield f"Gives out: {', '.join(names)}"
    if plan.missing:
        yield f"Not given: {', '.join(plan.missing)}"


def _row(step: StepPlan) -> tuple[str, ...]:
    return step.name, _runs(step), ", ".join(step.takes) or "-", ", ".join(step.gives), _retries(step.options)


def _runs(step: StepPlan) -> str:
    if step.shape is None:
        return "once"
    count = "?" if step.elements is None else str(step.elements)
    total = f"{count} {'element' if count == '1' else 'elements'}"
    sides = " x ".join("?" if size is None else str(size) for size in step.shape)
    return total if len(step.shape) == 1 else f"{sides} = {total}"


def _retries(options: Options) -> str:
    if options.retries is not None:
        return str(options.retries)
    if isinstance(options.retry, Retry):
        return str(options.retry.retries)
    return options.retry or "-"
