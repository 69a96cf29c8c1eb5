"""A flow as plain data: for a file, a page, or another program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.text import clip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.grid.flow.flows import Flow
    from scalable.grid.flow.nodes import Node

__all__ = ["described"]

DEFAULT_BYTES = 200  # of one default, as it is written in JSON


def described(flow: Flow) -> dict[str, Any]:
    """Turn a flow into dicts, lists and texts; defaults are written as Python shows them."""
    return {
        "name": flow.name,
        "steps": [_step(node) for node in flow.steps],
        "edges": [msgspec.to_builtins(edge) for edge in flow.edges],
        "inputs": list(flow.inputs),
        "defaults": _shown(flow.defaults),
        "outputs": flow.outputs,
    }


def _step(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "function": node.step.source,
        "parameters": list(node.parameters),
        "defaults": _shown(node.step.defaults),
        "returns": list(node.returns),
        "map": None
        if node.over is None
        else {
            "expression": str(node.over.expression),
            "batch": node.over.batch,
            "on_holes": node.over.on_holes,
        },
        "options": node.options.to_dict(),
    }


def _shown(defaults: Mapping[str, Any]) -> dict[str, str]:
    return {name: clip(repr(value), DEFAULT_BYTES) for name, value in defaults.items()}
