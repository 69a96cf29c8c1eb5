"""What can be wrong with the steps of a flow, found when they are put together.

Each check yields a sentence per problem. Those that ask which step gives a value come after those that make
sure that there is one.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from scalable.grid.flow import wiring, words
from scalable.manifest.problems import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from scalable.grid.flow.nodes import Node, Stages
    from scalable.grid.flow.wiring import Edge

__all__ = ["check", "check_inputs", "check_outputs", "gives_what_it_says"]


def check(subject: str, stages: Stages) -> None:
    """Raise ``FlowError`` with all that is wrong with steps in this order."""
    nodes = [node for stage in stages for node in stage]
    words.refuse(subject, [*_same_names(nodes), *_same_values(nodes)])
    for_grids = [problem for node in nodes for problem in gives_what_it_says(node)]
    words.refuse(subject, [*_order(stages, nodes), *_defaults(nodes), *_ranks(nodes), *for_grids])


def check_outputs(subject: str, chosen: Sequence[tuple[str, str]], nodes: Iterable[Node]) -> None:
    """Raise ``FlowError`` for outputs that no step gives, or that would go under one name."""
    nodes = tuple(nodes)
    made, given = wiring.makers(nodes), wiring.takers(nodes)
    names = [name for name, _ in chosen]
    found = [
        f"it can't give out {value}, which is an input"
        if value in given
        else words.hinted(f"it can't give out {value}, which no step returns", value, made)
        for _, value in chosen
        if value not in made
    ]
    found += [
        f"it can't give out {value} as {name!r}, which is no name"
        for name, value in chosen
        if not words.is_name(name)
    ]
    found += [f"it gives out two values as {name}" for name in dict.fromkeys(names) if names.count(name) > 1]
    words.refuse(subject, found)


def check_inputs(
    subject: str, nodes: Sequence[Node], given: Collection[str], needed: Collection[str]
) -> None:
    """Raise ``FlowError`` for values that are needed and not given, and for those that are not taken."""
    made, taken = wiring.makers(nodes), wiring.takers(nodes)
    missing = [name for name in needed if name not in given]
    found = [f"the {_inputs(missing)} missing"] if missing else []
    for name in given:
        if name in made:
            found.append(f"{name} is what {made[name].name} returns, and not taken from outside")
        elif name not in taken:
            meant = nearest(name, [each for each in taken if each not in given])
            found.append(f"there is no input {name}" + (f"; did you mean `{meant}`?" if meant else ""))
    words.refuse(subject, found)


def gives_what_it_says(node: Node) -> Iterator[str]:
    """Whether an expression has the values right of its arrow that the step returns."""
    if node.over is None:
        return
    written = tuple(each.name for each in node.over.expression.outputs)
    if written != node.returns:
        yield (
            f"{node.over.expression} gives {words.listed(written)}, "
            f"but {node.name}() returns {words.listed(node.returns)}: write these, in this order"
        )


def _same_names(nodes: Sequence[Node]) -> Iterator[str]:
    seen: dict[str, Node] = {}
    for node in nodes:
        other = seen.setdefault(node.name, node)
        if other.step is node.step and other is not node:
            yield f"{node.name} is in it twice"
        elif other is not node:
            where = f"{other.step.source} and {node.step.source}"
            yield f"two of its steps are called {node.name}: {where}"


def _same_values(nodes: Sequence[Node]) -> Iterator[str]:
    seen: dict[str, Node] = {}
    for node in nodes:
        for value in node.returns:
            other = seen.setdefault(value, node)
            if other.name != node.name:
                yield f"{other.name} and {node.name} both return {value}"


def _order(stages: Stages, nodes: Sequence[Node]) -> Iterator[str]:
    """Values must be made before they are taken, and not side by side with it."""
    edges = wiring.edges(nodes)
    loop = _loop(edges)
    if loop:
        yield f"its steps wait for one another in a cycle: {loop}"
        return
    place = {node.name: number for number, stage in enumerate(stages) for node in stage}
    for edge in edges:
        first, then = place[edge.source], place[edge.target]
        if first == then:
            yield f"{edge.target} takes {edge.value} from {edge.source}: they can't run concurrently"
        elif first > then:
            yield (
                f"{edge.target} takes {edge.value}, which {edge.source} only returns after it: "
                f"put {edge.source} first"
            )


def _loop(edges: Sequence[Edge]) -> str | None:
    before: dict[str, list[str]] = {}
    for edge in edges:
        before.setdefault(edge.target, []).append(edge.source)
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        names: list[str] = error.args[1]
        values = {(edge.source, edge.target): edge.value for edge in edges}
        ways = pairwise(names)
        return names[0] + "".join(f" -{values[way]}-> {way[1]}" for way in ways)
    return None


def _defaults(nodes: Sequence[Node]) -> Iterator[str]:
    """A value that is not given is the same for all that take it."""
    for value, taken in wiring.takers(nodes).items():
        having = [node for node in taken if value in node.step.defaults]
        for node in having[1:]:
            one, other = having[0].step.defaults[value], node.step.defaults[value]
            if not _same(one, other):
                yield (
                    f"{value} is {one!r:.40} by default in {having[0].name}, but {other!r:.40} "
                    f"in {node.name}: give it one default, or two names"
                )


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return type(one) is type(other) and bool(one == other)
    except (TypeError, ValueError):  # as arrays answer
        return False


def _ranks(nodes: Sequence[Node]) -> Iterator[str]:
    """A value has the axes that it is made with, and the same ones for all that read along them."""
    known = {
        value: (len(node.over.expression.dims), f"{node.name} gives it")
        for node in nodes
        if node.over is not None
        for value in node.returns
    }
    for node in nodes:
        for value, rank in node.over.ranks().items() if node.over is not None else ():
            before, who = known.setdefault(value, (rank, f"{node.name} reads it"))
            if before != rank:
                yield f"{node.name} reads {value} along {_axes(rank)}, but {who} along {before}"


def _inputs(names: Sequence[str]) -> str:
    return f"input {names[0]} is" if len(names) == 1 else f"inputs {words.listed(names)} are"


def _axes(count: int) -> str:
    return "1 axis" if count == 1 else f"{count} axes"
