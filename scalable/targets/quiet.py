"""Keeps Dask's chatter off the terminal while a session is open."""

from __future__ import annotations

import logging

__all__ = ["MISSED_HEARTBEAT", "Quiet"]

MISSED_HEARTBEAT = "Failed to communicate with scheduler during heartbeat"
"""Dask says so of a worker whose scheduler closes, or restarts it, at that moment."""
HARMLESS = ("Couldn't gather keys", MISSED_HEARTBEAT, "Invalid Worker.status transition")
"""The first it says of results that went with their worker, then computes them again and gathers them; the
last of a worker that is told to close while it does."""


class Quiet:
    """Lets only errors through, until ``end``; of several at once each ends for itself.

    Dask's own ``silence_logs`` puts back the level that it found, so of two clusters that overlap the first
    to close makes the other one loud.
    """

    def __init__(self) -> None:
        handlers = logging.getLogger("distributed").handlers
        self._handlers = [each for each in handlers if isinstance(each, logging.StreamHandler)]
        for handler in self._handlers:
            handler.addFilter(self._is_serious)
        self._callbacks = logging.getLogger("tornado.application")
        self._callbacks.addFilter(self._is_news)

    def end(self) -> None:
        """Let everything through again."""
        for handler in self._handlers:
            handler.removeFilter(self._is_serious)
        self._callbacks.removeFilter(self._is_news)

    def _is_news(self, record: logging.LogRecord) -> bool:
        """Leave out that Dask, where Ctrl-C comes very soon, looks for a future that it has not made yet."""
        error = record.exc_info[1] if record.exc_info else None
        return not (isinstance(error, NameError) and "'future'" in str(error))

    def _is_serious(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR and not record.msg.startswith(HARMLESS)
