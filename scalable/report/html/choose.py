"""Which tasks a page shows where there are more than it can: those that did not just go well come first."""

from __future__ import annotations

from heapq import heappush, heapreplace
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.text import short_name
from scalable.journal.reader import Slim

if TYPE_CHECKING:
    from pathlib import Path

    from scalable.report.html.tallies import Durations

__all__ = ["Chosen", "choose"]

FIELDS = ("key", "task", "function", "state", "replaces", "attempts", "duration_s", "resumed")
RANKS = {"failed": 3, "cancelled": 1, "succeeded": 0}
RETRIED = 2


class Chosen(msgspec.Struct, frozen=True):
    """Lines of ``tasks.jsonl``, each by its place among those that can be read.

    ``last`` is the place of the last end of tasks that ended more than once. ``notable`` says whether all
    that failed, were cancelled or were retried are among the lines.
    """

    lines: frozenset[int]
    last: dict[str, int]
    notable: bool

    def shows(self, place: int, key: str) -> bool:
        """Whether a line is shown: one of an end that was not the last is none."""
        return place in self.lines and self.last.get(key, place) == place


def choose(run_dir: Path, most: int, durations: Durations) -> Chosen:
    """Read the ends of a run: choose at most ``most``; add to the durations those that succeeded in it.

    Those that failed come first, then the retried, the cancelled, and the longest.
    """
    best: list[tuple[int, float, int]] = []
    last: dict[str, int] = {}
    notable = 0
    for place, (end, _) in enumerate(Slim(run_dir, "tasks", FIELDS)):
        if end.replaces is not None or end.key in last:
            last[end.key] = place
        if end.state == "succeeded" and end.resumed is None:
            durations.add(short_name(end.task, end.function), end.duration_s, failed=False)
        score = (_rank(end), end.duration_s or 0.0, -place)
        notable += score[0] > 0
        if len(best) < most:
            heappush(best, score)
        elif score > best[0]:
            heapreplace(best, score)
    return Chosen(frozenset(-place for _, _, place in best), last, notable <= most)


def _rank(end: Any) -> int:
    return RETRIED if end.state == "succeeded" and end.attempts > 1 else RANKS[end.state]
