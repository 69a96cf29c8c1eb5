"""Keeps tasks that wait away from every worker, at no cost: no slot, no thread, no client call.

A held task asks for a resource that no worker has, so Dask parks it among its unrunnable tasks; a timer
of the scheduler's loop gives it back. Its future stays pending and its dependents wait with it.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from distributed.scheduler import Scheduler, TaskState

__all__ = ["FOR_GOOD_S", "Holds"]

HOLD = "scalable-hold"
FOR_GOOD_S = math.inf
"""Until somebody releases the task, or ends it."""


class _Held(msgspec.Struct, frozen=True):
    resources: dict[str, float] | None
    loose: bool
    timer: asyncio.TimerHandle | None


class Holds:
    """The tasks of one scheduler that wait.

    ``on_end`` is called with the key when a wait is over. A wait lasts at least until ``may_go`` says so of
    the key; who makes it true calls :meth:`look`.
    """

    def __init__(
        self, scheduler: Scheduler, on_end: Callable[[Any], None], may_go: Callable[[Any], bool]
    ) -> None:
        self._scheduler = scheduler
        self._on_end = on_end
        self._may_go = may_go
        self._held: dict[Any, _Held] = {}
        self._due: set[Any] = set()
        self._looking = False

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: Any) -> bool:
        return key in self._held

    def hold(self, task: TaskState, delay_s: float) -> None:
        """Hold a task that no worker has, before Dask looks for the next one; replaces its hold.

        After ``math.inf`` seconds means: when somebody releases it.
        """
        self.drop(task.key)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(delay_s, self._over, task.key) if delay_s < math.inf else None
        if not self._looking:
            self._looking = True
            loop.call_soon(self._next_in_line)  # Dask expects this very task to fill the slot that it left
        self._held[task.key] = _Held(task.resource_restrictions, task.loose_restrictions, timer)
        task.resource_restrictions = {**(task.resource_restrictions or {}), HOLD: 1}
        task.loose_restrictions = False

    def drop(self, key: Any) -> None:
        """Forget a hold and give the task its own restrictions back, without starting it."""
        held = self._held.pop(key, None)
        if held is None:
            return
        self._due.discard(key)
        if held.timer is not None:
            held.timer.cancel()
        if (task := self._scheduler.tasks.get(key)) is not None:
            task.resource_restrictions = held.resources
            task.loose_restrictions = held.loose

    def own_resources(self, task: TaskState) -> dict[str, float] | None:
        """The resources that a task asks for by itself, held or not."""
        held = self._held.get(task.key)
        return task.resource_restrictions if held is None else held.resources

    def look(self, key: Any) -> None:
        """End a wait that is over in time, if nothing else keeps the task."""
        if key in self._due:
            self._over(key)

    def close(self) -> None:
        """Drop every hold."""
        for key in list(self._held):
            self.drop(key)

    def release(self, key: Any) -> None:
        """Let one task go, ahead of those that queue."""
        if not self._may_go(key):
            self._due.add(key)
            return
        self.drop(key)
        task = self._scheduler.tasks.get(key)
        if task is not None and task.state == "no-worker":
            self._scheduler.transitions({key: "processing"}, stimulus_id=f"scalable-release-{time.time()}")

    def release_all(self, keys: Iterable[Any]) -> None:
        """Let many go, the first of them first; they queue as if they were new."""
        found = []
        for key in keys:
            if not self._may_go(key):
                self._due.add(key)
                continue
            self.drop(key)
            task = self._scheduler.tasks.get(key)
            if task is not None and task.state == "no-worker":
                found.append(key)
        again: dict[Any, Any] = dict.fromkeys(reversed(found), "released")  # Dask takes the last one first
        self._scheduler.transitions(again, stimulus_id=f"scalable-release-{time.time()}")
        self._next_in_line()

    def _next_in_line(self) -> None:
        self._looking = False
        self._scheduler.stimulus_queue_slots_maybe_opened(stimulus_id=f"scalable-hold-{time.time()}")

    def _over(self, key: Any) -> None:
        if not self._may_go(key):
            self._due.add(key)
            return
        self._on_end(key)
        self.release(key)
