"""Times, durations, sizes and counts in words, for every line of a report."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scalable.report.harmless import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["between", "clock", "count", "duration", "moment", "numbered", "size"]

UNKNOWN = "unknown"
TENTHS_BELOW_S, WHOLE_BELOW_S, TEN_MINUTES_S, MINUTE_S, HOUR_S = 100, 10, 600, 60, 3600
KIBI = 1024
FEW = 2


def numbered(numbers: Sequence[int]) -> str:
    """Word numbers that rise: ``1, 2``, and ``1 to 9, 12`` where three or more follow each other."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = (f"{run[0]} to {run[-1]}" if len(run) > FEW else ", ".join(map(str, run)) for run in runs)
    return ", ".join(words)


def duration(seconds: float | None) -> str:
    """Word a duration: ``0.1s``, ``12.3s``, ``180s``, ``4m10s``, ``1h02m``.

    Tenths below 100 s, but no ``.0`` from 10 s on; whole minutes below ten are given in seconds.
    """
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    tenths = round(max(0.0, float(seconds)), 1)
    if tenths < TENTHS_BELOW_S:
        return f"{tenths:.0f}s" if tenths >= WHOLE_BELOW_S and tenths.is_integer() else f"{tenths:.1f}s"
    whole = round(seconds)
    if whole < TEN_MINUTES_S and whole % MINUTE_S == 0:
        return f"{whole}s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S}m{whole % MINUTE_S:02d}s"
    return f"{whole // HOUR_S}h{whole % HOUR_S // MINUTE_S:02d}m"


def size(number: int) -> str:
    """Word a number of bytes: ``512 B``, ``4.2 GiB``."""
    value, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < KIBI:
            break
        value, unit = value / KIBI, larger
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Word a count: ``1 task``, ``2 tasks``; ``plural`` where an s is not enough."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def moment(text: str | None) -> datetime | None:
    """Read the time of a record; ``None`` where there is none, or none that can be read."""
    try:
        read = datetime.fromisoformat(text or "")
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def clock(text: str) -> str:
    """Word the time of a record: ``2026-11-21 02:48:06 UTC``."""
    read = moment(text)
    return f"{read:%Y-%m-%d %H:%M:%S} UTC" if read else one_line(text, 40) or UNKNOWN


def between(start: str | None, end: str | None) -> float | None:
    """Return the seconds from one record's time to another's; ``None`` where either is not known."""
    first, last = moment(start), moment(end)
    return None if first is None or last is None else (last - first).total_seconds()
