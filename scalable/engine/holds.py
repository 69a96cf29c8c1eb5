"""Keeps tasks that wait away from every worker, at no cost: no slot, no thread, no client call.

A held task asks for a resource that no worker has, so Dask parks it among its unrunnable tasks; a timer
of the scheduler's loop gives it back. Its future stays pending and its dependents wait with it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed.scheduler import Scheduler, TaskState

__all__ = ["Holds"]

HOLD = "scalable-hold"


class _Held(msgspec.Struct, frozen=True):
    resources: dict[str, float] | None
    loose: bool
    timer: asyncio.TimerHandle


class Holds:
    """The tasks of one scheduler that wait. ``on_end`` is called with the key when a wait is over."""

    def __init__(self, scheduler: Scheduler, on_end: Callable[[Any], None]) -> None:
        self._scheduler = scheduler
        self._on_end = on_end
        self._held: dict[Any, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, task: TaskState, delay_s: float) -> None:
        """Hold a task that no worker has, before Dask looks for the next one; replaces its hold."""
        self.drop(task.key)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(delay_s, self._release, task.key)
        loop.call_soon(self._next_in_line)  # Dask expects this very task to fill the slot that it left
        self._held[task.key] = _Held(task.resource_restrictions, task.loose_restrictions, timer)
        task.resource_restrictions = {**(task.resource_restrictions or {}), HOLD: 1}
        task.loose_restrictions = False

    def drop(self, key: Any) -> None:
        """Forget a hold and give the task its own restrictions back, without starting it."""
        held = self._held.pop(key, None)
        if held is None:
            return
        held.timer.cancel()
        if (task := self._scheduler.tasks.get(key)) is not None:
            task.resource_restrictions = held.resources
            task.loose_restrictions = held.loose

    def close(self) -> None:
        """Drop every hold."""
        for key in list(self._held):
            self.drop(key)

    def _next_in_line(self) -> None:
        self._scheduler.stimulus_queue_slots_maybe_opened(stimulus_id=f"scalable-hold-{time.time()}")

    def _release(self, key: Any) -> None:
        self.drop(key)
        self._on_end(key)
        task = self._scheduler.tasks.get(key)
        if task is not None and task.state == "no-worker":
            self._scheduler.transitions({key: "processing"}, stimulus_id=f"scalable-release-{time.time()}")
