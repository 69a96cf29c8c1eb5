"""Holds the tasks of a function that is known not to work, and sends one at a time to see.

It keeps a :class:`~scalable.core.breaker.Circuit` for each function of each session and performs what that
decides. All work that grows with the number of tasks is done in batches, one for each turn of the loop.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from scalable.core import breaker, lifecycle
from scalable.core.escalate import ESCALATES, climb
from scalable.engine.scheduler.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from distributed.scheduler import Scheduler, TaskState

    from scalable.core.failure import Failure
    from scalable.engine.scheduler.holds import Holds
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["Parking"]

BATCH = 500
PAUSE_S = 0.01  # between two batches of a sweep, so that others have their turn
Label = tuple[str, str, str | None]


class Parking:
    """The parked tasks of one scheduler. ``fold`` tells a task's life what happened to it."""

    def __init__(
        self,
        scheduler: Scheduler,
        holds: Holds,
        tracked: Mapping[Any, Tracked],
        fold: Callable[[TaskState, Tracked, lifecycle.Event], None],
    ) -> None:
        self._scheduler = scheduler
        self._holds = holds
        self._tracked = tracked
        self._fold = fold
        self._lines: dict[Label, Line] = {}
        self._caught: list[Any] = []

    # --- what attempts came to -----------------------------------------------------------------------------

    def judge(self, key: Any, tracked: Tracked, failure: Failure, at: float) -> str | None:
        """Say why a task that just failed is to be parked; ``None`` where it is not."""
        if not _counts(tracked, failure):
            self.gone(key, tracked)
            return None
        line = self._lines.setdefault(_label(tracked), Line())
        was_open = line.circuit.open
        patience_s = float(tracked.spec.retry.patience)
        event = breaker.FailedAlike(at, str(key), str(failure.fingerprint), patience_s)
        actions = self._step(line, event)
        if line.circuit.open and not was_open:
            first_line = failure.exception.message.partition("\n")[0][:120]
            line.error = f"{failure.exception.type.rpartition('.')[2]}: {first_line}"
        return next((action.reason for action in actions if isinstance(action, breaker.Park)), None)

    def worked(self, tracked: Tracked, at: float) -> None:
        """Note that a task succeeded."""
        if self._lines and (line := self._lines.get(_label(tracked))) is not None:
            self._step(line, breaker.Worked(at))

    def gone(self, key: Any, tracked: Tracked) -> None:
        """Note that an attempt is over that says nothing about the function."""
        line = self._lines.get(_label(tracked)) if self._lines else None
        if line is not None and line.circuit.probe == str(key):
            self._step(line, breaker.ProbeGone(time.time(), str(key)))

    # --- who may start -----------------------------------------------------------------------------------

    def keeps(self, key: Any, tracked: Tracked) -> bool:
        """Whether a task that comes to its turn is held back."""
        if not self._lines or tracked.task.state != "pending" or not _has_breaker(tracked):
            return False
        line = self._lines.get(_label(tracked))
        return line is not None and line.circuit.open and line.circuit.probe != str(key)

    def assigned(self, key: Any, tracked: Tracked) -> None:
        """Catch a task that Dask gives to a worker, as a rule before the worker hears of it.

        Not one that must not run twice: the word may already be on its way.
        """
        if self._lines and tracked.spec.idempotent and self.keeps(key, tracked):
            if not self._caught:
                asyncio.get_running_loop().call_soon(self._send_back)
            self._caught.append(key)

    def changed(self, state: TaskState, tracked: Tracked) -> None:
        """Note that a task is parked, or is so no more."""
        line = self._lines.setdefault(_label(tracked), Line())
        if tracked.task.parked:
            line.add(state)
            tracked.session.parked += 1
        else:
            del line.parked[state.key]
            tracked.session.parked -= 1

    def over(self, tracked: Tracked, at: float) -> lifecycle.HoldEnded | lifecycle.Overdue:
        """Say what the end of a hold's time means: a parked task has none but its deadline."""
        failure = tracked.last_failure
        if tracked.task.parked and failure is not None:
            return lifecycle.Overdue(at, failure)
        return lifecycle.HoldEnded(at)

    def _send_back(self) -> None:
        """Take back what was caught: the word of it and its recall reach the worker in one batch."""
        keys, self._caught = self._caught[:BATCH], self._caught[BATCH:]
        self._recall(keys)
        if self._caught:
            asyncio.get_running_loop().call_soon(self._send_back)

    def _recall(self, keys: Iterable[Any]) -> None:
        """Take tasks from the queue, and from workers that have not said that they began."""
        found = []
        for key in keys:
            state, tracked = self._scheduler.tasks.get(key), self._tracked.get(key)
            if state is None or tracked is None or tracked.running_on is not None:
                continue
            loose = state.state == "queued" or (state.state == "processing" and tracked.spec.idempotent)
            if loose and self.keeps(key, tracked):
                found.append(key)
        recalled: dict[Any, Any] = dict.fromkeys(found, "released")
        self._scheduler.transitions(recalled, stimulus_id=f"scalable-park-{time.time()}")

    def _sweep_all(self, line: Line) -> None:
        """Hold back what has had its turn, but for what may have begun before the word of it came."""
        spared: set[Any] = set()
        for worker in self._scheduler.workers.values():
            first = heapq.nsmallest(worker.nthreads, worker.processing, key=_priority)
            spared.update(state.key for state in first)
        self._sweep(line, (key for key in list(self._tracked) if key not in spared))

    def _sweep(self, line: Line, keys: Iterator[Any]) -> None:
        """Go through all tasks, batch after batch, as long as the circuit is open."""
        batch = list(islice(keys, BATCH))
        if batch and line.circuit.open:
            self._recall(batch)
            asyncio.get_running_loop().call_later(PAUSE_S, self._sweep, line, keys)

    def _let_go(self, line: Line) -> None:
        """Release all, batch after batch, unless the circuit opens again meanwhile."""
        if line.circuit.open or not line.parked:
            return
        keys = []
        for key in line.take(BATCH):
            self._unpark(key)
            keys.append(key)
        self._holds.release_all(keys)
        asyncio.get_running_loop().call_soon(self._let_go, line)

    def _unpark(self, key: Any) -> None:
        tracked = self._tracked[key]  # what is forgotten was cancelled before, and so is in no line
        tracked.hold_s = None  # Dask may be about to take it back
        self._fold(self._scheduler.tasks[key], tracked, lifecycle.HoldEnded(time.time()))

    # --- the circuits ------------------------------------------------------------------------------------

    def _step(self, line: Line, event: breaker.Event) -> tuple[breaker.Action, ...]:
        line.circuit, actions = breaker.step(line.circuit, event)
        for action in actions:
            self._perform(line, action)
        return actions

    def _perform(self, line: Line, action: breaker.Action) -> None:
        loop = asyncio.get_running_loop()
        match action:
            case breaker.HoldBack():
                loop.call_soon(self._sweep_all, line)
            case breaker.ProbeAfter():
                if line.probe is not None:
                    line.probe.cancel()
                line.probe = loop.call_later(action.delay_s, self._probe_due, line)
            case breaker.GiveUpAfter():
                line.patience = loop.call_later(action.delay_s, self._patience_over, line)
            case breaker.SendProbe():
                key = line.oldest()
                self._unpark(key)
                self._holds.release(key)
            case breaker.Release():
                line.disarm()
                loop.call_soon(self._let_go, line)

    def _probe_due(self, line: Line) -> None:
        oldest = line.oldest()
        self._step(line, breaker.ProbeDue(time.time(), None if oldest is None else str(oldest)))

    def _patience_over(self, line: Line) -> None:
        self._step(line, breaker.PatienceOver(time.time()))

    # --- sessions ----------------------------------------------------------------------------------------

    def told(self, run_id: str) -> list[dict[str, Any]]:
        """What a session's tasks are parked for: the function, what fails, how many tasks, since when."""
        return [
            {
                "function": function,
                "task": task,
                "error": line.error,
                "tasks": len(line.parked),
                "since": line.circuit.opened_at,
            }
            for (owner, function, task), line in self._lines.items()
            if owner == run_id and line.parked and line.circuit.open
        ]

    def close(self, run_id: str | None = None) -> None:
        """Forget the circuits of a session, or of all; its tasks are forgotten before."""
        for label in [label for label in self._lines if run_id in (None, label[0])]:
            self._lines.pop(label).disarm()


def _priority(state: TaskState) -> Any:
    return state.priority


def _label(tracked: Tracked) -> Label:
    return tracked.session.run_id, tracked.function, tracked.spec.task


def _has_breaker(tracked: Tracked) -> bool:
    return tracked.spec.retry.breaker and tracked.spec.retry.retries > 0


def _counts(tracked: Tracked, failure: Failure) -> bool:
    """Whether a failure may be one of many: a transient one of a task that would be tried again as it is."""
    if failure.kind != "transient" or failure.fingerprint is None or not _has_breaker(tracked):
        return False
    return failure.outcome not in ESCALATES or climb(tracked.task.limits, tracked.task.escalation) is None
