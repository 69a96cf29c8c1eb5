"""A flow as a picture, in the text that Mermaid and Graphviz draw from."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from scalable.errors import FlowError
from scalable.grid.flow import wiring, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from scalable.grid.flow.flows import Flow

__all__ = ["drawn"]

NOTHING: Mapping[str, str] = MappingProxyType({})


class Box(msgspec.Struct, frozen=True):
    """One thing in the picture: ``kind`` is input, step, map or output; a step that runs has a ``state``."""

    id: str
    kind: str
    lines: tuple[str, ...]
    state: str | None = None


class Arrow(msgspec.Struct, frozen=True):
    """From box to box, with the values that go that way; none are written where the box says it."""

    source: str
    target: str
    values: tuple[str, ...] = ()


def drawn(flow: Flow, language: str, states: Mapping[str, str] = NOTHING) -> str:
    """Write a flow in a language of pictures; raises ``FlowError`` for one that is not spoken here.

    ``states`` are those of its steps, where it runs: they are written, and coloured.
    """
    if language not in LANGUAGES:
        msg = words.hinted(f"a graph can't be written as {language!r}", str(language), LANGUAGES)
        raise FlowError(msg)
    boxes = [_with_state(box, states) for box in _boxes(flow)]
    return "\n".join(LANGUAGES[language](flow, boxes)) + "\n"


def _with_state(box: Box, states: Mapping[str, str]) -> Box:
    state = states.get(box.lines[0]) if box.kind in ("step", "map") else None
    return box if state is None else Box(box.id, box.kind, (*box.lines, state), state)


def _boxes(flow: Flow) -> Iterator[Box]:
    """Inputs, steps, and what the flow was told to give out."""
    needed = flow.inputs
    for name in wiring.takers(flow.steps):
        yield Box(_input(name), "input", (name,) if name in needed else (name, "(optional)"))
    for node in flow.steps:
        if node.over is None:
            yield Box(_step(node.name), "step", (node.name,))
        else:
            yield Box(_step(node.name), "map", (node.name, str(node.over.expression)))
    for name, _ in flow.chosen or ():
        yield Box(_output(name), "output", (name,))


def _arrows(flow: Flow) -> Iterator[Arrow]:
    for name, takers in wiring.takers(flow.steps).items():
        for node in takers:
            yield Arrow(_input(name), _step(node.name))
    between: dict[tuple[str, str], list[str]] = {}
    for edge in flow.edges:
        between.setdefault((edge.source, edge.target), []).append(edge.value)
    for (source, target), values in between.items():
        yield Arrow(_step(source), _step(target), tuple(values))
    made = wiring.makers(flow.steps)
    for name, value in flow.chosen or ():
        yield Arrow(_step(made[value].name), _output(name), () if name == value else (value,))


def _input(name: str) -> str:
    return f"in_{name}"  # never the bare name: some mean something to those who draw


def _step(name: str) -> str:
    return f"step_{name}"


def _output(name: str) -> str:
    return f"out_{name}"


# --- languages ----------------------------------------------------------------------------------------------

MERMAID = {"input": ('(["', '"])'), "step": ('["', '"]'), "map": ('[["', '"]]'), "output": ('(["', '"])')}
DOT = {
    "input": "shape=ellipse",
    "step": "shape=box",
    "map": "shape=box, peripheries=2",
    "output": "shape=ellipse, style=bold",
}


COLOURS = {
    "pending": "#eeeeee",
    "running": "#cfe2ff",
    "finished": "#d1e7dd",
    "partial": "#fff3cd",
    "failed": "#f8d7da",
    "skipped": "#e2d9f3",
    "cancelled": "#d3d3d4",
}
"""Of the states of a step; they are written as well, for who does not see colours."""


def _mermaid(flow: Flow, boxes: list[Box]) -> Iterator[str]:
    yield "flowchart TD"
    for box in boxes:
        opened, closed = MERMAID[box.kind]
        of_class = f":::{box.state}" if box.state else ""
        yield f"    {box.id}{opened}{'<br/>'.join(box.lines)}{closed}{of_class}"
    for arrow in _arrows(flow):
        values = f'|"{", ".join(arrow.values)}"|' if arrow.values else ""
        yield f"    {arrow.source} -->{values} {arrow.target}"
    for state in sorted({box.state for box in boxes if box.state}):
        yield f"    classDef {state} fill:{COLOURS[state]},color:#000000"


def _dot(flow: Flow, boxes: list[Box]) -> Iterator[str]:
    name = flow.name.replace("\\", "\\\\").replace('"', '\\"')
    yield f'digraph "{name}" {{'
    for box in boxes:
        label = "\\n".join(box.lines)
        filled = f', style=filled, fillcolor="{COLOURS[box.state]}"' if box.state else ""
        yield f'    {box.id} [label="{label}", {DOT[box.kind]}{filled}];'
    for arrow in _arrows(flow):
        label = ", ".join(arrow.values)
        yield f"    {arrow.source} -> {arrow.target}" + (f' [label="{label}"];' if label else ";")
    yield "}"


LANGUAGES: dict[str, Callable[[Flow, list[Box]], Iterator[str]]] = {"mermaid": _mermaid, "dot": _dot}
