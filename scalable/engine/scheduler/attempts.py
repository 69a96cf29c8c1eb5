"""What workers tell of attempts: one has begun, has left notes, has failed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core import lifecycle
from scalable.core.failure import Failure
from scalable.engine.scheduler.slots import GRACE_AFTER_CANCEL_S
from scalable.engine.scheduler.tracked import cache_record
from scalable.engine.travel import Parcel

if TYPE_CHECKING:
    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["Attempts"]


class Attempts:
    """Handles the messages of the witnesses on behalf of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def started(self, key: Any, run: int, worker: str) -> None:
        """Handle a witness's word that an attempt begins, or began although nobody wanted it any more."""
        state, tracked = self.current(key, run)
        if state is None and self._supervisor.sessions:
            self._supervisor.repairs.slots.given_up(worker, key, run, GRACE_AFTER_CANCEL_S)
        if state is None or tracked is None:
            return
        tracked.running_on, tracked.worker, tracked.run = worker, self._supervisor.fleet.name_of(worker), run
        tracked.began = time.time()
        self._supervisor.fleet.begin(worker, key)
        self._supervisor.fold(state, tracked, lifecycle.Started(tracked.began))
        self._supervisor.timers.started(key, run, tracked)
        self._supervisor.injection.started(tracked)

    def noted(self, key: Any, run: int, notes: list[dict[str, Any]], worker: str) -> None:
        """Handle the notes that an attempt left, a moment before its outcome."""
        state, tracked = self.current(key, run)
        if state is None or tracked is None:
            return
        tracked.worker = self._supervisor.fleet.name_of(worker)
        for note in notes:
            if note.get("what") == "isolated":
                tracked.peak_rss_bytes, tracked.cpu_s = note["peak_rss_bytes"], note["cpu_s"]
                self._supervisor.logs.keep(key, note["output"])
            elif note.get("what") == "resumed":
                tracked.resumed, tracked.code_changed = note["run"], note["other_code"]
            elif note.get("what") == "cache":
                tracked.cache = "hit" if note["event"] == "hit" and tracked.cache != "miss" else "miss"
                tracked.session.tell("cache", cache_record(tracked, key, note, time.time()))

    def failed(self, key: Any, run: int, worker: str, failure: Any, parcel: Any) -> None:
        """Handle a failed attempt; Dask's own request to reschedule follows in the same batch."""
        state, tracked = self.current(key, run)
        if state is None:
            return
        opened = msgspec.convert(parcel, Parcel, builtin_types=(bytes,))
        if tracked is None:
            self._supervisor.settle.orphan(state, opened)
            return
        tracked.worker = self._supervisor.fleet.name_of(worker)
        if self._supervisor.batches.take_apart(state, tracked):
            return  # it failed as a whole: each of its calls has to say for itself
        tracked.parcel = opened
        self.over(state, tracked, msgspec.convert(failure, Failure))

    def over(self, state: TaskState, tracked: Tracked, failure: Failure) -> None:
        """Fold the failure of an attempt, and end the task if it was the last."""
        supervisor, at = self._supervisor, time.time()
        if failure.outcome == "upstream":  # it found that an input does not exist
            supervisor.fold(state, tracked, lifecycle.InputFailed(at, failure))
            supervisor.settle.end(state, tracked, comes_back=True)
            return
        park = supervisor.parking.judge(state.key, tracked, failure, at)
        supervisor.fold(state, tracked, lifecycle.Failed(at, supervisor.luck.random(), failure, park))
        if tracked.last_words is not None:
            supervisor.settle.end(state, tracked, comes_back=True)

    def current(self, key: Any, run: int) -> tuple[TaskState | None, Tracked | None]:
        """The task, if the message is about the run that Dask believes in; late ones are nobody's."""
        state = self._supervisor.scheduler.tasks.get(key)
        if state is None or state.state != "processing" or state.run_id != run:
            return None, None
        return state, self._supervisor.tracked.get(key)
