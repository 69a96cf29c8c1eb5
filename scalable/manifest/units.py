"""Durations and sizes, as Dask reads them: ``300s``, ``1.5h``, ``2GiB``, ``8G``, or a plain number.

Raises ``ValueError`` without quoting what it was given, because that may have come from a variable.
Dask is imported only when a text has to be read.
"""

from __future__ import annotations

import re

__all__ = [
    "MAX_FACTOR",
    "MAX_SECONDS",
    "MAX_SIZE",
    "MIN_SIZE",
    "factor",
    "format_seconds",
    "format_size",
    "seconds",
    "size",
    "walltime",
]

MAX_SECONDS = 366 * 86400.0
MIN_SIZE = 2**20
MAX_SIZE = 2**60
MAX_FACTOR = 1000

# Dask reads "s" as one second and "GB" as one gigabyte; in a manifest that is a slip.
_BEGINS_WITH_A_NUMBER = re.compile(r"\s*(\d|\.\d)")
_FACTOR = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*[xX]", re.ASCII)
_CLOCK = re.compile(r"(?:(?P<days>\d{1,3})-)?(?P<clock>\d{1,4}(?::[0-5]?\d){1,2})", re.ASCII)


def seconds(value: str | float) -> float:
    """Read a duration in seconds, at most a year."""
    return _within(_read(value, "parse_timedelta"), 0.0, MAX_SECONDS, "0 s to 366 days")


def walltime(value: str | float) -> float:
    """Read a walltime in seconds: a duration, ``hh:mm:ss``, ``mm:ss`` or ``d-hh:mm:ss`` as in Slurm."""
    found = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return seconds(value)
    total = 0
    for part in found["clock"].split(":"):
        total = total * 60 + int(part)
    return seconds(int(found["days"] or 0) * 86400 + total)


def size(value: str | float) -> int:
    """Read a size in bytes, from 1 MiB to 1 EiB."""
    return int(_within(_read(value, "parse_bytes"), MIN_SIZE, MAX_SIZE, "1 MiB to 1 EiB"))


def factor(value: str | float) -> float:
    """Read a factor by which something grows, ``2x`` or ``1.5``: above 1, at most 1000."""
    found = _FACTOR.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and found is None:
        raise ValueError
    number = float(found["number"] if found else value)
    if not 1 < number <= MAX_FACTOR:
        msg = f"above 1, at most {MAX_FACTOR}"
        raise ValueError(msg)
    return number


def _read(value: str | float, parser: str) -> float:
    if not isinstance(value, str):
        return value
    if not _BEGINS_WITH_A_NUMBER.match(value):
        raise ValueError
    import dask.utils

    try:
        number: float = getattr(dask.utils, parser)(value)
    except (ValueError, KeyError, OverflowError):
        raise ValueError from None
    return number


def _within(number: float, least: float, most: float, words: str) -> float:
    if not least <= number <= most:
        msg = f"from {words}"
        raise ValueError(msg)
    return number


def format_size(number: int) -> str:
    """``2 GiB``, ``16 GB`` or ``7.45 GiB``: as people write it, exactly where that is short."""
    for power, prefix in ((4, "T"), (3, "G"), (2, "M")):
        for unit, suffix in ((1024**power, f"{prefix}iB"), (1000**power, f"{prefix}B")):
            if number >= unit and number % unit == 0:
                return f"{number // unit} {suffix}"
    power, prefix = next((p for p in ((4, "T"), (3, "G")) if number >= 1024 ** p[0]), (2, "M"))
    return f"{number / 1024**power:.2f} {prefix}iB"


def format_seconds(number: float) -> str:
    """``90 s``, ``2 min``, ``4 h``: the largest unit that keeps it whole."""
    for unit, suffix in ((3600, "h"), (60, "min")):
        if number >= unit and number % unit == 0:
            return f"{number / unit:g} {suffix}"
    return f"{number:g} s"
