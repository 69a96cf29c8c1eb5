"""Ends tasks that failed for good: with their own exception, and before them those that need their result."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from scalable.core import lifecycle
from scalable.engine.scheduler import unsent, upstream
from scalable.engine.scheduler.holes import leaves_hole
from scalable.engine.scheduler.outcomes import by_dask, words_for
from scalable.engine.scheduler.stops import end_all
from scalable.engine.travel import address, pack

if TYPE_CHECKING:
    from collections.abc import Collection

    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked
    from scalable.engine.travel import Parcel

__all__ = ["Settle"]


class Settle:
    """Carries out what the core decided: no further attempt."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def end(self, state: TaskState, tracked: Tracked, *, comes_back: bool = False) -> None:
        """End the task with the exception of its last failure, and first those that need its result.

        ``comes_back`` says that its worker is about to ask Dask to take it back.
        """
        supervisor = self._supervisor
        # It may be called a turn later: meanwhile the task may be gone, and another under its key.
        if supervisor.scheduler.tasks.get(state.key) is not state or tracked.last_words is None:
            return
        if leaves_hole(state):
            supervisor.stopped(state.key, tracked)
            supervisor.holes.fill(state, tracked, _delivery(tracked), comes_back=comes_back)
            return
        supervisor.holds.drop(state.key)
        ends: list[tuple[TaskState, bytes, bytes | None]] = []
        for dependent in upstream.dependents_of(state):
            company = supervisor.tracked.get(dependent.key)
            if company is not None and company.task.state not in lifecycle.ENDED:
                self.input_failed(dependent, company, state)
                ends.append((dependent, _delivery(company), None))
        supervisor.stopped(state.key, tracked)
        ends.append((state, _delivery(tracked), tracked.parcel.traceback if tracked.parcel else None))
        tracked.session.flush()
        end_all(supervisor.scheduler, ends)

    def transfer_failed(self, key: Any, why: str | None, worker: str) -> None:
        """Handle a witness's word that a result did not reach its worker; no ``why``: only its company did.

        Those that wait for it there end, as no other worker could get it either; or are given out again.
        """
        supervisor = self._supervisor
        root, origin = supervisor.scheduler.tasks.get(key), supervisor.tracked.get(key)
        waiting = [] if root is None else [each for each in root.dependents if self._waits(each, worker)]
        if root is None or not waiting:
            return
        stimulus = f"scalable-transfer-{time.time()}"
        if why is None or origin is None:
            supervisor.scheduler.transitions({each.key: "released" for each in waiting}, stimulus)
            return
        message = unsent.words(root, origin, key, why)
        there = next((each.address for each in root.who_has or ()), None)
        unsent.tell(root, origin, supervisor.fleet.get(there), message)
        origin.parcel = pack(TypeError(message))
        freed = {"op": "free-keys", "keys": [each.key for each in waiting], "stimulus_id": stimulus}
        self._end_waiting(root, waiting)
        supervisor.scheduler.worker_send(worker, freed)

    def _waits(self, state: TaskState, worker: str) -> bool:
        there = state.processing_on is not None and state.processing_on.address == worker
        return there and state.state == "processing" and state.key in self._supervisor.tracked

    def _end_waiting(self, root: TaskState, waiting: list[TaskState]) -> None:
        found = {state.key: state for each in waiting for state in (*upstream.dependents_of(each), each)}
        ends: list[tuple[TaskState, bytes, bytes | None]] = []
        for state in found.values():
            tracked = self._supervisor.tracked.get(state.key)
            if tracked is not None and tracked.task.state not in lifecycle.ENDED:
                self.input_failed(state, tracked, root)
                self._supervisor.stopped(state.key, tracked)
                ends.append((state, _delivery(tracked), None))
                tracked.session.flush()
        end_all(self._supervisor.scheduler, ends)

    def input_cancelled(self, root: TaskState, spared: Collection[Any]) -> None:
        """End what needs the result of a task that is about to be cancelled, but for what is so as well."""
        supervisor = self._supervisor
        origin = supervisor.tracked[root.key]
        ends: list[tuple[TaskState, bytes, bytes | None]] = []
        for state in upstream.dependents_of(root):
            tracked = supervisor.tracked.get(state.key)
            if tracked is None or state.key in spared or tracked.task.state in lifecycle.ENDED:
                continue
            origin.parcel = pack(CancelledError("it was cancelled"))
            supervisor.abandon(state.key, tracked)
            self.input_failed(state, tracked, root)
            supervisor.stopped(state.key, tracked)
            ends.append((state, _delivery(tracked), None))
        if ends:
            origin.session.flush()
            end_all(supervisor.scheduler, ends, free=True)

    def never_runs(self, state: TaskState, root: TaskState) -> None:
        """Give a new task, and those that need it, exceptions of their own: Dask is about to end them."""
        for each in (state, *reversed(upstream.dependents_of(state, ("released",)))):
            tracked = self._supervisor.tracked.get(each.key)
            if tracked is not None and tracked.task.state not in lifecycle.ENDED:
                self.input_failed(each, tracked, root)
                upstream.blame_itself(each, _delivery(tracked))

    def ended_by_dask(self, state: TaskState, tracked: Tracked, message: dict[str, Any]) -> None:
        """Follow Dask, which ended a task before an attempt could: a graph that can't be loaded, say."""
        self._supervisor.stopped(state.key, tracked)
        root = state.exception_blame
        if root is not None and root is not state:
            self.input_failed(state, tracked, root)
        else:
            event = lifecycle.Failed(time.time(), 0.0, by_dask(message, tracked))
            self._supervisor.fold(state, tracked, event)
        tracked.last_words = None
        tracked.session.flush()

    def orphan(self, state: TaskState, parcel: Parcel) -> None:
        """End a task whose session is over, so that nobody decides any more: its first failure is its end."""
        end_all(self._supervisor.scheduler, [(state, address(parcel, ()), parcel.traceback)])

    def input_failed(self, state: TaskState, tracked: Tracked, root: TaskState) -> None:
        """Fold that a task cannot run, as an input of it failed."""
        origin = self._supervisor.tracked.get(root.key)
        self._supervisor.holds.drop(state.key)  # for good: nobody would release it when it is retried by hand
        failure, tracked.parcel = upstream.failure_of(state, root, origin)
        tracked.cause = (origin.cause or origin.parcel) if origin is not None else None
        self._supervisor.fold(state, tracked, lifecycle.InputFailed(time.time(), failure))


def _delivery(tracked: Tracked) -> bytes:
    """The exception as the client will see it; from here on the task has said its last words."""
    assert tracked.parcel is not None, "a task ends with the exception of its last failure"  # noqa: S101
    notes = words_for(tracked) if tracked.cause is None else ()
    tracked.last_words = None
    return address(tracked.parcel, notes, tracked.cause)
