"""Keeps whoever is told of a run out of its way: records wait in a queue, and a thread tells them."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from scalable.journal.rundir import Status

__all__ = ["Behind", "Complaint", "Listener"]

logger = logging.getLogger("scalable")

MOST_WAITING = 10_000
"""Batches of records that may wait; what comes while there are more is not told."""
CLOSE_S = 5.0
"""How long the end of a run waits for what is still to be told."""
BREAK_OFF_S = 1.0
"""And how long for a listener that was told to give up."""
SLOW = "they are taken too slowly"
LATE = "they are not taken in time"


class Complaint:
    """Says, once, that not everything of a run is told."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._said = False

    def __call__(self, why: str) -> None:
        """Say why; what comes later is not said any more."""
        if not self._said:
            self._said = True
            logger.warning("%s of this run are being lost (%s): the run goes on", self.what, why)


class Listener(Protocol):
    """Hears of a run. What it raises is said once, and costs no more than what it was being told."""

    def hear(self, file: str, records: list[dict[str, Any]]) -> None:
        """Take in lines that were written."""

    def close(self, status: Status, reason: str | None) -> None:
        """Take in how the run ended, and send all that is left."""

    def give_up(self) -> None:
        """Break off what :meth:`close` does; another thread calls it."""


class Behind:
    """A sink beside the writer: ``append`` never waits and never raises."""

    def __init__(self, listener: Listener, complain: Complaint) -> None:
        self._listener = listener
        self._complain = complain
        self._waiting: queue.Queue[Any] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._tell, name=f"scalable-{complain.what}", daemon=True)
        self._thread.start()

    def append(self, file: str, records: list[dict[str, Any]]) -> None:
        """Let records be told soon."""
        try:
            self._waiting.put_nowait((file, records))
        except queue.Full:
            self._complain(SLOW)

    def close(self, status: Status, reason: str | None) -> None:
        """Let the end be told, and wait a moment for it."""
        until = time.monotonic() + CLOSE_S
        try:
            self._waiting.put((None, (status, reason)), timeout=CLOSE_S)
        except queue.Full:
            self._complain(SLOW)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._complain(LATE)
            self._listener.give_up()
            self._thread.join(BREAK_OFF_S)

    def _tell(self) -> None:
        while True:
            file, told = self._waiting.get()
            try:
                if file is None:
                    self._listener.close(*told)
                    return
                self._listener.hear(file, told)
            except Exception as error:  # noqa: BLE001 - somebody else's code, which must not harm the run
                self._complain(f"{type(error).__name__}: {error}")
                if file is None:
                    return
