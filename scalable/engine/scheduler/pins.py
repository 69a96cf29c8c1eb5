"""Tasks that were asked to run on a worker by its name, when another process has that name's place.

Dask turns a name into an address at once, and a worker that comes back, or in the place of another, has
another address: such a task would wait for ever.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

    from scalable.engine.scheduler.supervisor import Supervisor

__all__ = ["move", "take_place"]


def move(supervisor: Supervisor, before: str, after: str) -> None:
    """Let what was to run at an address run at another, and names of the one mean the other."""
    scheduler = supervisor.scheduler
    for name, address in scheduler.aliases.items():
        if address == before:
            scheduler.aliases[name] = after
    for key in supervisor.tracked:
        state = scheduler.tasks.get(key)
        pins = (state.worker_restrictions if state is not None else None) or set()
        if state is not None and before in pins:
            state.worker_restrictions = (pins - {before}) | {after}
            if state.state == "no-worker" and key not in supervisor.holds:
                scheduler.transitions({key: "processing"}, f"scalable-pin-{time.time()}")


def take_place(scheduler: Scheduler, name: str, before: str, after: str) -> None:
    """Let a worker stand for one that is gone, under its name as well."""
    supervisor: Any = scheduler.plugins.get("scalable")
    if after in scheduler.workers and name not in scheduler.aliases:
        scheduler.aliases[name] = after
    if supervisor is not None:
        move(supervisor, before, after)
