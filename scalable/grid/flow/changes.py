"""Flows made from others: a step replaced, or its retries said anew, wherever it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.grid.flow import words
from scalable.grid.flow.nodes import Node
from scalable.grid.flow.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scalable.grid.flow.nodes import Stages
    from scalable.grid.flow.options import Options

__all__ = ["Which", "replaced", "told"]

Which = Step[..., Any] | str
"""How a step of a flow is meant: by itself, or by its name."""


def replaced(subject: str, stages: Stages, changes: Mapping[Which, Step[..., Any]]) -> Stages:
    """Put other steps in the places of some; what was said there holds for them.

    Raises ``FlowError`` for steps that are not in the flow, and for others that do not fit in their places.
    """
    wanted = _found(subject, stages, changes)
    problems = [problem for node, new in wanted for problem in _misfit(node, new)]
    words.refuse(subject, problems)
    return _changed(stages, {node.name: _in_place_of(node, new) for node, new in wanted})


def told(
    subject: str, stages: Stages, wishes: Mapping[Which, Any], wish: Callable[[Node, Any], Options]
) -> Stages:
    """Let what was said about some steps give way to what ``wish`` makes of a new word about each."""
    found = _found(subject, stages, wishes)
    return _changed(
        stages,
        {
            node.name: msgspec.structs.replace(node, said=wish(node, said).within(node.said))
            for node, said in found
        },
    )


def _found(subject: str, stages: Stages, by_step: Mapping[Which, Any]) -> list[tuple[Node, Any]]:
    nodes = {node.name: node for stage in stages for node in stage}
    found: dict[str, tuple[Node, Any]] = {}
    problems = []
    for which, value in by_step.items():
        problem = _stranger(which, nodes)
        name = which.name if isinstance(which, Step) else which
        if problem is None and name in found:
            problem = f"{name} is named twice"
        if problem is None:
            found[name] = (nodes[name], value)
        else:
            problems.append(problem)
    words.refuse(subject, problems)
    return list(found.values())


def _stranger(which: Any, nodes: Mapping[str, Node]) -> str | None:
    """Say why nothing in a flow is meant, or ``None`` where something is."""
    if not isinstance(which, Step | str):
        return f"{which!r:.80} names no step: give the step or its name"
    name = which if isinstance(which, str) else which.name
    if name not in nodes:
        return words.hinted(f"it has no step {name}", name, nodes)
    if isinstance(which, Step) and nodes[name].step is not which:
        return f"its step {name} is another one, of {nodes[name].step.source}: to mean that, give {name!r}"
    return None


def _misfit(node: Node, new: Any) -> list[str]:
    if not isinstance(new, Step):
        mapped = isinstance(new, Node)
        hint = "give the step alone, the place keeps its grid" if mapped else "decorate a function with @step"
        return [f"what replaces {node.name} is no step: {hint}"]
    lacks = [name for name in node.parameters if name not in new.parameters]
    gives_not = [name for name in node.returns if name not in new.returns]
    return [
        *([f"{new.name} can't replace {node.name}: it does not take {words.listed(lacks)}"] if lacks else []),
        *(
            [f"{new.name} can't replace {node.name}: it does not return {words.listed(gives_not)}"]
            if gives_not
            else []
        ),
    ]


def _in_place_of(node: Node, new: Step[..., Any]) -> Node:
    """What was said in the flow counts first, then what the new step says, then what the old one said."""
    said = node.said.within(new.options).within(node.step.options)
    return msgspec.structs.replace(node, step=new, said=said)


def _changed(stages: Stages, by_name: Mapping[str, Node]) -> Stages:
    def each(stage: Iterable[Node]) -> tuple[Node, ...]:
        return tuple(by_name.get(node.name, node) for node in stage)

    return tuple(map(each, stages))
