"""The bar that moves while :meth:`ScalableClient.collect` waits: on stderr, and never among the results."""

from __future__ import annotations

import sys
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, TextIO

from distributed import wait

if TYPE_CHECKING:
    from collections.abc import Collection

    from distributed import Future

__all__ = ["show"]

WIDTH = 40
PERIOD_S = 0.1


def show(futures: Collection[Future[Any]], wanted: bool | None, stream: TextIO | None = None) -> None:  # noqa: FBT001 - a switch with a third position
    """Wait for all futures with a bar; ``wanted=None`` shows one only where stderr is a terminal."""
    stream = stream or sys.stderr
    terminal = stream.isatty()
    if not futures or not (terminal if wanted is None else wanted):
        return
    began = time.monotonic()
    while left := [future for future in futures if future.status == "pending"]:
        if terminal:
            stream.write("\r" + _line(len(futures) - len(left), len(futures), time.monotonic() - began))
            stream.flush()
        _wait_a_moment(left[-1])  # likely to be among the last; to wait for all would cost as much as they do
    stream.write(
        ("\r" if terminal else "") + _line(len(futures), len(futures), time.monotonic() - began) + "\n"
    )
    stream.flush()


def _wait_a_moment(future: Future[Any]) -> None:
    """Return when it has ended, whichever way, or when the bar is due."""
    try:
        wait(future, PERIOD_S)
    except (TimeoutError, CancelledError):
        return


def _line(ended: int, total: int, seconds: float) -> str:
    filled = "#" * (WIDTH * ended // total)
    return f"[{filled:{WIDTH}}] | {100 * ended // total:3d}% of {total} | {seconds:.1f}s"
