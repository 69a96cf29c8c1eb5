"""A hit of ``@cacheable`` beside a bare ``diskcache`` get of the same value, for three sizes."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
from line import Line

from scalable import cacheable

PAIRS = 15
VALUES: dict[str, tuple[Any, int]] = {
    "a small dict": ({"id": 47, "result": 1.5}, 500),
    "10 kB of text": ("x" * 10_000, 300),
    "a 10 MB array": (np.arange(1_250_000, dtype=float), 5),
}


@cacheable
def value_of(name: str) -> Any:
    """Look a value up; the cache remembers it."""
    return VALUES[name][0]


def timed(call: Callable[[], Any], times: int) -> float:
    """Seconds for ``times`` calls."""
    began = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - began


def measure(place: Path) -> list[Line]:
    """Measure each size."""
    os.environ["SCALABLE_CACHE_DIR"] = str(place / "cache")
    lines = []
    try:
        with diskcache.Cache(str(place / "bare")) as bare:
            for name, (value, times) in VALUES.items():
                bare[name] = value
                value_of(name)
                ratios = []
                for _ in range(PAIRS):
                    theirs = timed(lambda name=name: bare.get(name), times)
                    ratios.append(timed(lambda name=name: value_of(name), times) / theirs)
                lines.append(Line(f"cache hit, {name}", "diskcache get", ratios, 2.0))
    finally:
        del os.environ["SCALABLE_CACHE_DIR"]
    return lines
