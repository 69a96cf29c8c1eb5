"""Stops a session when too many of its tasks failed for good: what is left ends at once, and says why."""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from scalable.core import lifecycle
from scalable.engine.scheduler import upstream
from scalable.engine.travel import address, pack
from scalable.errors import SessionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from distributed.scheduler import TaskState

    from scalable.core.lifecycle import End
    from scalable.engine.scheduler.sessions import Session
    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["Stops", "end_all"]

BATCH = 500


class Stops:
    """Counts failed tasks, and ends the rest of a session that has too many of them."""

    def __init__(self, supervisor: Supervisor, fold: Callable[..., None]) -> None:
        self._supervisor = supervisor
        self._fold = fold

    def ended(self, key: Any, tracked: Tracked, end: End) -> None:
        """Count a task that ended. Those that never ran because of another are not failures of their own."""
        session = tracked.session
        if session.max_failures is None or session.stopped is not None:
            return
        failure = tracked.last_failure
        if end.state == "failed" and failure is not None and failure.outcome != "upstream":
            session.failed.add(key)
        else:
            session.failed.discard(key)
        many = len(session.failed)
        if many > session.max_failures:
            tasks = "task" if many == 1 else "tasks"
            session.stop(
                f"the run was stopped: {many} {tasks} failed, more than max_failures={session.max_failures}"
            )
            self.end(session, list(self._supervisor.tracked))

    def end(self, session: Session, keys: Iterable[Any]) -> None:
        """End tasks of a session that was stopped, as far as they have not ended."""
        asyncio.get_running_loop().call_soon(self._end_some, session, iter(keys))

    def _end_some(self, session: Session, keys: Iterator[Any]) -> None:
        batch = list(islice(keys, BATCH))
        if not batch:
            return
        tasks, tracked = self._supervisor.scheduler.tasks, self._supervisor.tracked
        exception = address(pack(SessionError(str(session.stopped))), (), None)
        ends: list[TaskState] = []
        for key in batch:
            if key in tracked and tracked[key].session is session and (state := tasks.get(key)) is not None:
                ends += [
                    each for each in (*upstream.dependents_of(state), state) if self._cancelled(each, session)
                ]
        session.flush()
        end_all(self._supervisor.scheduler, [(state, exception, None) for state in ends], free=True)
        asyncio.get_running_loop().call_soon(self._end_some, session, keys)

    def _cancelled(self, state: TaskState, session: Session) -> bool:
        tracked = self._supervisor.tracked.get(state.key)
        if tracked is None or tracked.session is not session or tracked.task.state in lifecycle.ENDED:
            return False
        if tracked.last_words is not None:  # it is about to end with an exception of its own
            return False
        self._supervisor.holds.drop(state.key)
        self._supervisor.abandon(state.key, tracked)
        tracked.hold_s = None
        self._fold(state, tracked, lifecycle.Cancelled(time.time()))
        return True


def end_all(scheduler: Any, ends: list[tuple[TaskState, bytes, bytes | None]], *, free: bool = False) -> None:
    """End tasks with their exceptions, dependents before what they need. ``free`` tells workers to let go."""
    stimulus = f"scalable-settle-{time.time()}"
    recommendations: dict[Any, Any] = {}
    messages: dict[str, list[Any]] = {}
    for state, exception, trace in ends:
        worker = state.processing_on
        if free and worker is not None:
            messages.setdefault(worker.address, []).append(
                {"op": "free-keys", "keys": [state.key], "stimulus_id": stimulus}
            )
        recommendations |= upstream.end(scheduler, state, exception, trace, stimulus)
    for state, _, _ in ends:  # Dask would take back those that nobody asked for, and so run all of them again
        recommendations.pop(state.key, None)
    scheduler.transitions(recommendations, stimulus)
    scheduler.send_all({}, messages)
    scheduler.stimulus_queue_slots_maybe_opened(stimulus_id=stimulus)
