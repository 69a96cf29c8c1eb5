"""Follows a client that cancels tasks: what needs their results ends as it does where they fail.

Dask would cancel that too, also what has ended, and tell its caller nothing of why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.supervisor import Supervisor

__all__ = ["CANCEL", "Cancels"]

CANCEL = "cancel-keys"
"""What Dask's clients call it."""


class Cancels:
    """Stands before Dask's own handler on the scheduler."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._of_dask: Any = supervisor.scheduler.stream_handlers[CANCEL]

    def cancel(self, keys: Collection[Any], client: str, *, force: bool = False, **words: Any) -> None:
        """End what needs the results of tasks that are about to be cancelled, and let Dask cancel these."""
        scheduler, chosen = self._supervisor.scheduler, frozenset(keys)
        for key in keys:
            state = scheduler.tasks.get(key)
            if state is None or key not in self._supervisor.tracked:
                continue
            if force or {each.client_key for each in state.who_wants or ()} == {client}:
                self._supervisor.settle.input_cancelled(state, chosen)
                _part(state, chosen)
        self._of_dask(keys=keys, client=client, force=force, **words)


def _part(state: TaskState, chosen: Collection[Any]) -> None:
    """Let a task go without those that needed it, and have ended; they can't be computed again."""
    for dependent in [each for each in state.dependents if each.key not in chosen]:
        if dependent.state in ("memory", "erred"):
            state.dependents.discard(dependent)
            dependent.dependencies.discard(state)
            dependent.has_lost_dependencies = True
