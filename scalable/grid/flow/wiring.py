"""Which value goes where: read off the names of what steps take and give, and kept nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scalable.grid.flow.nodes import Node

__all__ = ["Edge", "defaults", "edges", "inputs", "makers", "takers"]


class Edge(msgspec.Struct, frozen=True):
    """A value on its way from the step that gives it to one that takes it, both by their names."""

    source: str
    target: str
    value: str


def makers(nodes: Iterable[Node]) -> dict[str, Node]:
    """For each value that a step gives, that step."""
    return {value: node for node in nodes for value in node.returns}


def edges(nodes: Iterable[Node]) -> tuple[Edge, ...]:
    """Every way from a step to another, in the order of those that take."""
    nodes = tuple(nodes)
    made = makers(nodes)
    return tuple(
        Edge(made[value].name, node.name, value)
        for node in nodes
        for value in node.parameters
        if value in made
    )


def takers(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    """For each value that no step gives, those that take it."""
    nodes = tuple(nodes)
    made = makers(nodes)
    found: dict[str, list[Node]] = {}
    for node in nodes:
        for value in node.parameters:
            if value not in made:
                found.setdefault(value, []).append(node)
    return found


def inputs(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The values that must be given: no step gives them, and one that takes them has no default."""
    return tuple(
        value for value, taken in takers(nodes).items() if any(value in node.step.required for node in taken)
    )


def defaults(nodes: Iterable[Node]) -> dict[str, Any]:
    """The values that may be given, with what holds where they are not."""
    nodes = tuple(nodes)
    needed = inputs(nodes)
    return {
        value: taken[0].step.defaults[value] for value, taken in takers(nodes).items() if value not in needed
    }
