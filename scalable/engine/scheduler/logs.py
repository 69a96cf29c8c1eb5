"""What isolated tasks printed, kept on the scheduler for as long as their futures live: bounded in all."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

__all__ = ["Logs"]

KEPT_BYTES = 64 * 1024 * 1024  # of memory: one wide character makes all those of its text wide


class Logs:
    """Texts by key; the oldest go when there are too many."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._texts: OrderedDict[Any, str] = OrderedDict()
        self._size = 0

    def keep(self, key: Any, text: str) -> None:
        """Keep what the newest attempt of a task printed."""
        self.drop(key)
        self._texts[key] = text
        self._size += sys.getsizeof(text)
        while self._size > self._limit and self._texts:
            self.drop(next(iter(self._texts)))

    def get(self, key: Any) -> str | None:
        """The text of a task, ``None`` if there is none (any more)."""
        return self._texts.get(key)

    def drop(self, key: Any) -> None:
        """Forget the text of a task."""
        if (text := self._texts.pop(key, None)) is not None:
            self._size -= sys.getsizeof(text)
