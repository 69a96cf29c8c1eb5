"""How long things took, of any number of them: counts in steps of two per cent, which give the quantiles.

A million durations take no more memory than a thousand.
"""

from __future__ import annotations

import math
from collections import Counter

__all__ = ["Spread"]

STEP = math.log(1.02)
SHORTEST_S = 1e-6  # what is shorter counts as this: records are no finer


class Spread:
    """The fold; ``count`` is how many were added."""

    __slots__ = ("_steps", "count")

    def __init__(self) -> None:
        self.count = 0
        self._steps: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Add a duration."""
        self.count += 1
        self._steps[round(math.log(max(SHORTEST_S, seconds)) / STEP)] += 1

    def quantile(self, share: float) -> float | None:
        """The duration that this share of all stays below, within two per cent; ``None`` of nothing."""
        wanted, seen = share * self.count, 0
        for step in sorted(self._steps):
            seen += self._steps[step]
            if seen >= wanted:
                return math.exp(step * STEP)
        return None
