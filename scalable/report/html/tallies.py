"""What a page counts over all tasks and attempts, however many are shown: folds of bounded size."""

from __future__ import annotations

import math
from typing import Any

from scalable.report.harmless import one_line

__all__ = ["Durations", "OverTime"]

BINS_PER_DECADE = 10
SHORTEST_S = 1e-6
MOST_NAMES = 100
OTHERS = "others"
MOST_BINS = 240
WITHIN_S = 0.05


class _Spread:
    __slots__ = ("bins", "failed", "longest_s", "succeeded", "total_s")

    def __init__(self) -> None:
        self.bins: dict[int, list[int]] = {}
        self.succeeded = self.failed = 0
        self.longest_s = self.total_s = 0.0


class Durations:
    """How long attempts took, by what they ran: ten bins a decade, from a microsecond on."""

    def __init__(self) -> None:
        self._spreads: dict[str, _Spread] = {}

    def add(self, name: str, seconds: float | None, *, failed: bool) -> None:
        """Add an attempt; one of unknown duration is passed over."""
        if seconds is None or not 0.0 <= seconds < math.inf:
            return
        known = self._spreads.get(name)
        if known is None:
            known = self._spreads.setdefault(name if len(self._spreads) < MOST_NAMES else OTHERS, _Spread())
        place = math.floor(math.log10(max(seconds, SHORTEST_S) / SHORTEST_S) * BINS_PER_DECADE + 1e-9)
        known.bins.setdefault(place, [0, 0])[failed] += 1
        known.succeeded += not failed
        known.failed += failed
        known.total_s += seconds
        known.longest_s = max(known.longest_s, seconds)

    def told(self) -> list[dict[str, Any]]:
        """Return the distributions, of what took most time first; ``bins`` are (place, succeeded, failed)."""
        spreads = sorted(self._spreads.items(), key=lambda item: -item[1].total_s)
        return [
            {
                "name": one_line(name, 100),
                "succeeded": each.succeeded,
                "failed": each.failed,
                "longest_s": round(each.longest_s, 6),
                "total_s": round(each.total_s, 6),
                "bins": [[place, *counts] for place, counts in sorted(each.bins.items())],
            }
            for name, each in spreads
        ]


class OverTime:
    """Failed attempts by when and what followed them: bins that get twice as wide when time runs on."""

    def __init__(self, actions: tuple[str, ...]) -> None:
        self._actions = {action: number for number, action in enumerate(actions)}
        self._width_s = WITHIN_S
        self._bins: dict[int, list[int]] = {}

    def add(self, seconds: float, action: str | None) -> None:
        """Add an attempt that failed so long after the run began."""
        if not 0.0 <= seconds < math.inf:
            seconds = 0.0
        while seconds >= self._width_s * MOST_BINS:
            self._double()
        counts = self._bins.setdefault(int(seconds / self._width_s), [0] * len(self._actions))
        counts[self._actions.get(action or "", 0)] += 1

    def told(self) -> dict[str, Any]:
        """Return the width of a bin in seconds, and the bins as (place, count of each action)."""
        bins = [[place, *counts] for place, counts in sorted(self._bins.items())]
        return {"width_s": self._width_s, "bins": bins}

    def _double(self) -> None:
        before, self._bins = self._bins, {}
        self._width_s *= 2
        for place, counts in before.items():
            into = self._bins.setdefault(place // 2, [0] * len(counts))
            for number, each in enumerate(counts):
                into[number] += each
