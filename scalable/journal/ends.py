"""How the tasks of a run ended: one pass over ``tasks.jsonl``, of which little is kept.

``replaced`` is why the failures of a run can be read in one pass as well: a task that is given up stays
failed, unless it is here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.journal.reader import Slim

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Ends", "Standing", "Worked", "read_ends"]

FIELDS = ("key", "state", "replaces", "function", "worker", "duration_s", "resumed", "code_changed")
MOST_CALLS = 8


class Worked(msgspec.Struct, frozen=True):
    """What succeeded of a function: how often on which worker, the longest in seconds, its first calls."""

    workers: dict[str | None, int]
    longest_s: float = 0.0
    calls: tuple[str, ...] = ()


class Ends(msgspec.Struct, frozen=True):
    """Tasks by state; the last state of those that ended more than once; what succeeded, by function.

    ``resumed`` counts results of earlier runs, by run, ``other_code`` those of them whose function did
    something else there, by function.
    """

    states: dict[str, int]
    replaced: dict[str, str] = {}
    worked: dict[str | None, Worked] = {}
    resumed: dict[str, int] = {}
    other_code: dict[str | None, int] = {}
    torn: int = 0
    newer: int = 0


class _Function:
    __slots__ = ("calls", "longest_s", "workers")

    def __init__(self) -> None:
        self.workers: Counter[str | None] = Counter()
        self.longest_s = 0.0
        self.calls: list[str] = []


def read_ends(run_dir: Path) -> Ends:
    """Fold the file; the memory that it takes does not grow with the number of tasks."""
    states: Counter[str] = Counter()
    replaced: dict[str, str] = {}
    worked: dict[str | None, _Function] = {}
    resumed: Counter[str] = Counter()
    other_code: Counter[str | None] = Counter()
    lines = Slim(run_dir, "tasks", FIELDS)
    for end, line in lines:
        states[end.state] += 1
        if end.replaces is not None:
            states[end.replaces] = max(0, states[end.replaces] - 1)  # its line may be lost
        if end.replaces is not None or end.key in replaced:
            replaced[end.key] = end.state
        if end.resumed is not None:
            resumed[end.resumed] += 1
            other_code[end.function] += end.code_changed
        if end.state == "succeeded" and end.resumed is None:
            known = worked.get(end.function)
            if known is None:
                known = worked[end.function] = _Function()
            _add(known, end, line, lines)
    told = {
        name: Worked(dict(each.workers), each.longest_s, tuple(each.calls)) for name, each in worked.items()
    }
    return Ends(
        states=dict(states),
        replaced=replaced,
        worked=told,
        resumed=dict(resumed),
        other_code=dict(+other_code),
        torn=lines.torn,
        newer=lines.newer,
    )


def _add(known: _Function, end: Any, line: bytes, lines: Slim) -> None:
    known.workers[end.worker] += 1
    if end.duration_s is not None and end.duration_s > known.longest_s:
        known.longest_s = end.duration_s
    if len(known.calls) < MOST_CALLS:
        whole = lines.whole(line)
        if whole is not None and whole.call:
            known.calls.append(whole.call)


class Standing:
    """Tells which failures stand, as their lines come by.

    Of a task that ended more than once the last one stands, if it failed at last; so such a line is kept
    until :meth:`rest`.
    """

    def __init__(self, replaced: dict[str, str]) -> None:
        self._replaced = replaced
        self._kept: dict[str, tuple[Any, bytes]] = {}

    def final(self, record: Any, line: bytes) -> bool:
        """Whether the line of a task that was given up stands, whatever comes after it."""
        if record.key not in self._replaced:
            return True
        if self._replaced[record.key] == "failed":
            self._kept[record.key] = (record, line)
        return False

    def rest(self) -> list[tuple[Any, bytes]]:
        """Return the lines that turned out to stand."""
        return list(self._kept.values())
