"""A line of the table: what was measured, beside what, each run's ratio, and the goal."""

from typing import NamedTuple


class Line(NamedTuple):
    """``ratios`` has one entry for each interleaved pair of runs."""

    what: str
    beside: str
    ratios: list[float]
    goal: float | None = None
