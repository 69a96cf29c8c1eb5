"""What flows are put together from: steps over grids, and steps side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from scalable.errors import FlowError
from scalable.grid.flow import checks, words
from scalable.grid.flow.nodes import Node, OnHoles, Over
from scalable.grid.flow.options import Options, of_runs, whole
from scalable.grid.flow.steps import Step
from scalable.grid.index import parse

if TYPE_CHECKING:
    from scalable.core.policy import Retry

__all__ = ["Concurrent", "as_node", "concurrently", "map_"]

FEWEST = 2


class Concurrent(msgspec.Struct, frozen=True):
    """Steps none of which needs another, by :func:`scalable.concurrently`."""

    members: tuple[Node, ...]


def as_node(given: object) -> Node:
    """Take a step, or one that is run over a grid; raises ``FlowError`` for anything else."""
    if isinstance(given, Node):
        return given
    if isinstance(given, Step):
        return Node(step=given)
    name = getattr(given, "__name__", None) or repr(given)
    hint = "decorate it with @step" if callable(given) else "a step is a function decorated with @step"
    msg = f"{name:.80} is no step: {hint}"
    raise FlowError(msg)


def map_(
    step: Step[..., Any],
    expression: str,
    *,
    retries: int | None = None,
    retry: Retry | str | None = None,
    max_runs: int | None = None,
    batch: int | Literal["auto"] = "auto",
    on_holes: OnHoles = "pass",
) -> Node:
    """Run a step over a grid: ``map_(charge, "field[i, j] -> charge[i, j]")``, as ``client.grid`` does.

    Right of the arrow are the values that the step returns, in their order; parameters that are not left of
    it are passed whole. ``retries`` are extra attempts of each element, ``retry`` is the policy.
    ``max_runs`` says instead how often an element is run in all, and runs it again after any exception, with
    the waits of ``retry``.

    Raises ``GridError`` for an expression that means nothing to the step, ``FlowError`` for anything else.
    """
    node = as_node(step)
    if node.over is not None:
        msg = f"{node.name} is run over a grid already: {node.over.expression}"
        raise FlowError(msg)
    over = Over(expression=parse(expression), batch=batch, on_holes=on_holes)
    over.expression.check_parameters(node.parameters, anything=False, function=f"{node.name}()")
    node = Node(step=node.step, over=over)
    problems = [
        *checks.gives_what_it_says(node),
        *_wrong_keywords(over),
        *_wrong_retries(retries, retry, max_runs),
    ]
    words.refuse(f"map_({node.name})", problems)
    said = (
        Options(retries=retries, retry=retry)
        if max_runs is None
        else of_runs(max_runs, retry or node.options.retry)
    )
    return msgspec.structs.replace(node, said=said)


def concurrently(*members: Step[..., Any] | Node) -> Concurrent:
    """Put steps side by side: ``concurrently(make_mesh, make_materials)``.

    All steps of a flow run as soon as what they take is there; this says, and checks, that these need not
    wait for one another. Raises ``FlowError`` for fewer than two, and for some that must.
    """
    nodes = tuple(map(as_node, members))
    if len(nodes) < FEWEST:
        msg = f"concurrently() takes at least two steps, not {len(nodes)}"
        raise FlowError(msg)
    checks.check("concurrently()", (nodes,))
    return Concurrent(nodes)


def _wrong_keywords(over: Over) -> list[str]:
    problems = []
    if over.batch != "auto" and not whole(over.batch, least=1):
        problems.append(f"batch takes 'auto' or a whole number of elements, at least 1, not {over.batch!r}")
    if over.on_holes not in get_args(OnHoles):
        problems.append(
            words.hinted(f"on_holes can't be {over.on_holes!r}", str(over.on_holes), get_args(OnHoles))
        )
    return problems


def _wrong_retries(retries: int | None, retry: Retry | str | None, max_runs: int | None) -> list[str]:
    if max_runs is None:
        return []
    problems = []
    if retries is not None:
        problems.append("max_runs counts all runs and retries the extra ones: give one of them")
    if isinstance(retry, str):
        problems.append(f"max_runs makes a policy of its own: give it a Retry for its waits, not {retry!r}")
    return problems
