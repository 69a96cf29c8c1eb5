"""Keeps Dask's chatter off the terminal while a session is open."""

from __future__ import annotations

import logging

__all__ = ["Quiet"]


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

    def end(self) -> None:
        """Let everything through again."""
        for handler in self._handlers:
            handler.removeFilter(self._is_serious)

    def _is_serious(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR
