"""Moves a task to another component between two attempts: its token of the one against that of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["replace_token"]


def replace_token(state: TaskState, tracked: Tracked) -> None:
    """Ask for the token of the task's new component, if it moves; what the user asked for besides stays.

    To be called when no worker has the task: a worker gives back what the task asks for at that moment.
    """
    if tracked.moved_from is None:
        return
    wanted = dict(state.resource_restrictions or {})
    wanted.pop(tracked.moved_from, None)
    if tracked.spec.token is not None:
        wanted[tracked.spec.token] = 1
    state.resource_restrictions = wanted
    tracked.moved_from = None
