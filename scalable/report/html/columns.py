"""Tables as columns: compact in memory, and in the page."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Any

from scalable.report.quantities import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["UNKNOWN", "Columns", "Origin", "amount", "began"]

UNKNOWN = -1
"""Stands for a number, not negative by itself, that is not known."""


class Columns:
    """Columns of whole numbers (``ints``), of seconds (``floats``) and of texts, all of one length."""

    def __init__(self, ints: str, floats: str, texts: str = "") -> None:
        self._columns: dict[str, Any] = {name: array("q") for name in ints.split()}
        self._columns |= {name: array("d") for name in floats.split()}
        self._columns |= {name: [] for name in texts.split()}

    def add(self, **values: Any) -> int:
        """Add a row; returns its number."""
        for name, column in self._columns.items():
            column.append(values[name])
        return len(self) - 1

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def told(self) -> Iterator[tuple[str, list[Any]]]:
        """Return the columns one by one, as lists."""
        for name, column in self._columns.items():
            whole = isinstance(column, list) or column.typecode == "q"
            yield name, list(column) if whole else [UNKNOWN if x < 0 else _short(x) for x in column]


class Origin:
    """When the run began: times of a page count from there, in milliseconds."""

    def __init__(self, started_at: str) -> None:
        self.began = moment(started_at)
        self.latest = 0

    def after(self, text: str | None) -> int:
        """Return the milliseconds from the beginning to the time of a record; never less than none."""
        read = moment(text) if self.began else None
        if read is None or self.began is None:
            return UNKNOWN
        found = max(0, round((read - self.began).total_seconds() * 1000))
        self.latest = max(self.latest, found)
        return found


def began(origin: Origin, record: Any) -> int:
    """Return when an attempt began, by its worker's clock, but so that it had ended when it was told."""
    started, told = origin.after(record.started_at), origin.after(record.at)
    if UNKNOWN in {started, told}:
        return started
    return max(0, min(started, told - round((record.duration_s or 0.0) * 1000)))


def amount(number: float | None) -> float:
    """Return a number for a column; ``UNKNOWN`` where there is none."""
    return UNKNOWN if number is None or not 0 <= number < math.inf else number


def _short(number: float) -> float:
    """Six digits are enough to look at."""
    shortened = float(f"{number:.6g}")
    return int(shortened) if shortened.is_integer() else shortened
