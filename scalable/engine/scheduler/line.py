"""The parked tasks of one function, in the order of their priorities, and the timers of its circuit."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Any

from scalable.core.breaker import Circuit

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from distributed.scheduler import TaskState

__all__ = ["Line"]


class Line:
    """The tasks of one function that wait, and the timers of its circuit."""

    __slots__ = ("_numbers", "circuit", "error", "heap", "parked", "patience", "probe")

    def __init__(self) -> None:
        self.circuit = Circuit()
        self.parked: dict[Any, None] = {}
        self._numbers = count()
        self.heap: list[tuple[Any, int, Any]] = []  # by priority; some are parked no more
        self.error = ""
        self.probe: asyncio.TimerHandle | None = None
        self.patience: asyncio.TimerHandle | None = None

    def add(self, state: TaskState) -> None:
        """Let a task stand in line."""
        self.parked[state.key] = None
        heapq.heappush(self.heap, (state.priority, next(self._numbers), state.key))

    def disarm(self) -> None:
        """Forget the timers."""
        for timer in (self.probe, self.patience):
            if timer is not None:
                timer.cancel()
        self.probe = self.patience = None

    def oldest(self) -> Any:
        """The parked task that has waited longest for its turn, ``None`` where nobody waits."""
        while self.heap and self.heap[0][2] not in self.parked:
            heapq.heappop(self.heap)
        return self.heap[0][2] if self.heap else None

    def take(self, most: int) -> Iterator[Any]:
        """Those that have waited longest, as long as the caller ends their wait."""
        for _ in range(most):
            if (key := self.oldest()) is None:
                return
            yield key
