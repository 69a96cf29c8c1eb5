"""The tasks of the soak. Each writes down that it began, and that it came to its own end.

Workers import it, so nothing else is in here. The marks are the truth that the journal is held against.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scalable import cacheable, current_attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK, MOST_CHUNKS = 10_000_000, 120
FOR_EVER_S = 600.0


@contextlib.contextmanager
def marked(place: str) -> Iterator[None]:
    """Say when an attempt begins and when its code ends by itself: one write each, so lines stay whole."""
    _mark(place, "began")
    try:
        yield
    finally:
        _mark(place, "ended")


def _mark(place, what):
    attempt = current_attempt()
    line = f"{what} {attempt.key} {attempt.number} {os.getpid()} {time.time():.6f}\n"
    descriptor = os.open(Path(place, "marks"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def quick(place, value):
    with marked(place):
        return value


def slow(place, value, seconds):
    with marked(place):
        time.sleep(seconds)
        return value


def flaky(place, value, times):
    """Fail that often by its own doing, however often workers are lost meanwhile."""
    with marked(place):
        failed = sum(each.outcome == "error" for each in current_attempt().previous)
        if failed < times:
            raise ConnectionError(f"away {value}")
        return value


def broken(place, value):
    with marked(place):
        raise ValueError(f"broken {value}")


def away(place, value):
    with marked(place):
        raise ConnectionError(f"away {value}")


def total(place, *parts):
    with marked(place):
        return sum(parts)


@cacheable
def remembered(value):
    return value


def cached(place, value):
    with marked(place):
        return remembered(value)


def big(place, value, size):
    """A result that has to be fetched from the worker that has it."""
    with marked(place):
        return value, b"x" * size


def weigh(place, thing):
    with marked(place):
        return thing[0], len(thing[1])


def eat(place):
    with marked(place):
        hoard = []
        for _ in range(MOST_CHUNKS):
            hoard.append(bytearray(CHUNK))
            hoard[-1][::4096] = b"x" * len(hoard[-1][::4096])
            time.sleep(0.005)  # as fast as somebody can look
        time.sleep(FOR_EVER_S)


def die(place):
    with marked(place):
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(FOR_EVER_S)


def leave(place):
    with marked(place):
        os._exit(7)


def forever(place):
    with marked(place):
        time.sleep(FOR_EVER_S)
