"""The progress of a run as a tree of text: a line for each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable.core.text import clip
from scalable.grid.flow import words
from scalable.grid.flow.looks import FAILED, GOING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.grid.flow.looks import Look
    from scalable.grid.flow.step_runs import StepRuns

__all__ = ["counted", "tree"]

ERROR_BYTES = 200


def tree(name: str, status: str, steps: StepRuns) -> str:
    """Draw the steps of a run with their states, what they did, and what they failed with."""
    looks = steps.looks()
    rows = [(node.name, *_row(steps, node.name, looks)) for node in steps.nodes]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [f"{name}: {status}"]
    for number, row in enumerate(rows, start=1):
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        lines.append(f"{'└─' if number == len(rows) else '├─'} {'  '.join(cells).rstrip()}")
    return "\n".join(lines)


def counted(counts: Mapping[str, int]) -> str:
    """Word how many elements of a grid did what: ``64/200, 136 failed``."""
    sums = {
        "failed": sum(counts.get(each, 0) for each in FAILED),
        "skipped": counts.get("upstream", 0),
        "cancelled": counts.get("cancelled", 0),
        "to go": sum(counts.get(each, 0) for each in GOING),
    }
    told = [f"{counts.get('succeeded', 0)}/{sum(counts.values())}"]
    return ", ".join([*told, *(f"{many} {what}" for what, many in sums.items() if many)])


def attempts(many: int) -> str:
    """Word a number of attempts."""
    return f"{many} attempt{'' if many == 1 else 's'}"


def _row(steps: StepRuns, name: str, looks: Mapping[str, Look]) -> tuple[str, str, str]:
    look, node = looks[name], steps[name].node
    if look.state == "skipped":
        return look.state, _missed(steps.missed(node, looks)), ""
    error = clip(look.error or "", ERROR_BYTES)
    if node.over is not None:
        return look.state, counted(look.counts) if look.counts else "", error
    return look.state, attempts(look.attempts) if look.attempts else "", error


def _missed(names: tuple[str, ...]) -> str:
    return f"missed {words.listed(names)}" if names else ""
