"""The scheduler plugin: turns what Dask does into events, folds them, performs what the core decides.

Everything here runs on the scheduler's event loop, the one thread that folds. The methods stand in the
order of a task's life: submitted, started, failed or succeeded, taken back, settled, forgotten.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import msgspec
from distributed.diagnostics.plugin import SchedulerPlugin

from scalable.core import lifecycle
from scalable.core.failure import Failure
from scalable.engine import upstream
from scalable.engine.fleet import Fleet
from scalable.engine.holds import Holds
from scalable.engine.messages import ANNOTATION, FAILED, NOTES, STARTED, Spec
from scalable.engine.outcomes import by_dask, by_timeout, words_for
from scalable.engine.service import Service
from scalable.engine.tracked import REMEMBERED, Tracked, cache_record, failure_record, task_record
from scalable.engine.travel import Parcel, address

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler, TaskState

    from scalable.engine.sessions import Session

__all__ = ["Supervisor"]


class Supervisor(SchedulerPlugin):
    """Follows the tasks of every session on one scheduler."""

    name = "scalable"
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        """Dask calls it once, on the scheduler."""
        self.scheduler = scheduler
        self.sessions: dict[str, Session] = {}
        self.tracked: dict[Any, Tracked] = {}
        self.holds = Holds(scheduler, self._hold_ended)
        self.fleet = Fleet(scheduler)
        self.luck = random.Random()  # noqa: S311 - jitter, not secrecy
        scheduler.stream_handlers.update(
            {STARTED: self.attempt_started, FAILED: self.attempt_failed, NOTES: self.attempt_noted}
        )
        scheduler.handlers.update(Service(self).handlers())

    async def close(self) -> None:
        """Dask calls it when the scheduler closes."""
        self.holds.close()
        for tracked in self.tracked.values():
            self._disarm(tracked)

    # --- sessions --------------------------------------------------------------------------------------

    def remove_client(self, scheduler: Scheduler, client: str) -> None:  # noqa: ARG002 - Dask's signature
        """Drop the sessions of a client that vanished without detaching."""
        for run_id in [run_id for run_id, session in self.sessions.items() if session.client == client]:
            del self.sessions[run_id]

    # --- submitted -------------------------------------------------------------------------------------

    def update_graph(self, scheduler: Scheduler, *, client: str, tasks: list[Any], **_kwargs: Any) -> None:
        """Dask calls it with every new graph, before anything of it runs."""
        at = time.time()
        upstream.keep_own_blame(scheduler.tasks[key] for key in tasks)
        new = []
        for key in tasks:
            state = scheduler.tasks[key]
            if state.state != "released" or state.run_spec is None or key in self.tracked:
                continue
            if state.actor:
                (state.annotations or {}).pop(ANNOTATION, None)
            elif (session := self._session_of(state, client)) is not None:
                self._track(state, session, at)
                new.append(state)
        for state in new:
            if (root := upstream.failed_input(state)) is not None:
                self._never_runs(state, root)

    def _session_of(self, state: TaskState, client: str) -> Session | None:
        order = (state.annotations or {}).get(ANNOTATION)
        if order is not None:
            return self.sessions.get(Spec.loads(order["spec"]).run_id)
        own = (s for s in self.sessions.values() if s.client == client or s.owner)
        return next(own, None)

    def _track(self, state: TaskState, session: Session, at: float) -> None:
        order = (state.annotations or {}).get(ANNOTATION) or {"spec": session.default}
        packed, spec = order["spec"], Spec.loads(order["spec"])
        if state.retries:  # Dask's own retries=, on a collection: ours to count, and with our waits
            retry = msgspec.structs.replace(spec.retry, retries=state.retries)
            spec = msgspec.structs.replace(spec, retry=retry)
            packed, state.retries = spec.dumps(), 0
        state.annotations = {**(state.annotations or {}), ANNOTATION: {"spec": packed}}
        self.tracked[state.key] = tracked = Tracked(session, packed, spec, state, at)
        session.counts[tracked.task.state] += 1

    def _never_runs(self, state: TaskState, root: TaskState) -> None:
        """Give a new task, and those that need it, exceptions of their own: Dask is about to end them."""
        for each in (state, *reversed(upstream.dependents_of(state, ("released",)))):
            tracked = self.tracked.get(each.key)
            if tracked is not None and tracked.task.state not in lifecycle.ENDED:
                self._input_failed(each, tracked, root)
                upstream.blame_itself(each, self._delivery(tracked))

    # --- started, failed, succeeded: messages of the workers --------------------------------------------

    def attempt_started(self, key: Any, run: int, worker: str) -> None:
        """Handle a witness's word that an attempt begins."""
        state, tracked = self._current(key, run)
        if state is None or tracked is None:
            return
        tracked.running_on, tracked.worker = worker, self.fleet.name_of(worker)
        tracked.began = time.time()
        self.fleet.begin(worker, key)
        self._fold(state, tracked, lifecycle.Started(tracked.began))
        if tracked.spec.timeout_s is not None:
            loop = asyncio.get_running_loop()
            tracked.timer = loop.call_later(tracked.spec.timeout_s, self._overran, key, run)

    def attempt_noted(self, key: Any, notes: list[dict[str, Any]], worker: str) -> None:
        """Handle the notes that an attempt left, a moment before its outcome."""
        tracked = self.tracked.get(key)
        if tracked is None or tracked.running_on != worker:
            return
        for note in notes:
            if note.get("what") == "cache":
                tracked.cache = "hit" if note["event"] == "hit" and tracked.cache != "miss" else "miss"
                tracked.session.tell("cache", cache_record(tracked, key, note, time.time()))

    def attempt_failed(self, key: Any, run: int, worker: str, failure: Any, parcel: Any) -> None:  # noqa: ARG002
        """Handle a failed attempt; Dask's own request to reschedule follows in the same batch."""
        state, tracked = self._current(key, run)
        if state is None or tracked is None:
            return
        tracked.parcel = msgspec.convert(parcel, Parcel, builtin_types=(bytes,))
        self._attempt_over(state, tracked, msgspec.convert(failure, Failure))

    def _overran(self, key: Any, run: int) -> None:
        state, tracked = self._current(key, run)
        if state is None or tracked is None:
            return
        failure, tracked.parcel = by_timeout(tracked, state, self.fleet.get(tracked.running_on))
        self._attempt_over(state, tracked, failure)
        if tracked.hold_s is not None:  # the thread still runs: take the task from it
            self.scheduler.transitions({key: "released"}, stimulus_id=f"scalable-timeout-{time.time()}")

    def _attempt_over(self, state: TaskState, tracked: Tracked, failure: Failure) -> None:
        self._fold(state, tracked, lifecycle.Failed(time.time(), self.luck.random(), failure))
        if tracked.last_words is not None:
            self._end_with_error(state, tracked)

    def _current(self, key: Any, run: int) -> tuple[TaskState | None, Tracked | None]:
        """The task, if the message is about the run that Dask believes in; late ones are nobody's."""
        state = self.scheduler.tasks.get(key)
        if state is None or state.state != "processing" or state.run_id != run:
            return None, None
        return state, self.tracked.get(key)

    # --- Dask's transitions ----------------------------------------------------------------------------

    def transition(self, key: Any, start: str, finish: str, *_args: Any, **kwargs: Any) -> None:
        """Dask calls it after each change of state of a task, before anybody is told."""
        tracked = self.tracked.get(key)
        if tracked is None:
            return
        if finish == "memory" and start == "processing":
            self._succeeded(key, tracked, kwargs)
        elif finish == "released":
            self._released(self.scheduler.tasks[key], tracked, start)
        elif finish == "erred":
            state = self.scheduler.tasks[key]
            upstream.keep_own_blame(state.dependents)
            if tracked.task.state not in lifecycle.ENDED:
                self._failed_by_dask(state, tracked, kwargs)
        elif finish == "forgotten":
            self.forget(key)

    def _succeeded(self, key: Any, tracked: Tracked, message: dict[str, Any]) -> None:
        self._stopped(key, tracked)
        computed = [each for each in message.get("startstops") or () if each["action"] == "compute"]
        if computed:
            tracked.began, tracked.finished = computed[-1]["start"], computed[-1]["stop"]
            tracked.duration_s = computed[-1]["stop"] - computed[-1]["start"]
        tracked.worker = self.fleet.name_of(message.get("worker")) or tracked.worker
        tracked.result_bytes = message.get("nbytes")
        self._fold(self.scheduler.tasks[key], tracked, lifecycle.Succeeded(time.time()))

    def _released(self, state: TaskState, tracked: Tracked, start: str) -> None:
        """A task goes back: from a worker (lost, rescheduled), from an end (retried), or for good."""
        lost, state.suspicious = state.suspicious > 0, 0
        ran_on = tracked.running_on
        self._stopped(state.key, tracked)
        if not (state.who_wants or state.waiters):
            return  # Dask forgets it next
        at = time.time()
        if start == "memory":
            self._fold(state, tracked, lifecycle.Recomputed(at))
        elif start == "erred":
            tracked.cause = None
            self._fold(state, tracked, lifecycle.RetriedByHand(at, tracked.spec.retry))
            self._renew(state, tracked)
        elif lost and tracked.hold_s is None:
            self._lost(state, tracked, ran_on, at)
        else:
            self._fold(state, tracked, lifecycle.Requeued(at))
        if tracked.hold_s is not None:
            self._hold(state, tracked)
        elif tracked.last_words is not None:  # Dask is in the middle of taking it back: end it right after
            self.holds.hold(state, HELD_FOR_GOOD_S)
            asyncio.get_running_loop().call_soon(self._end_with_error, state, tracked)

    def _hold(self, state: TaskState, tracked: Tracked) -> None:
        assert tracked.hold_s is not None, "the core asked for a wait"  # noqa: S101 - an invariant
        self.holds.hold(state, tracked.hold_s)
        tracked.hold_s = None

    def _lost(self, state: TaskState, tracked: Tracked, ran_on: str | None, at: float) -> None:
        if ran_on is None:
            self.fleet.innocent(state)
            self.holds.hold(
                state, 0
            )  # no other worker gets it before `remove_worker` knows whether it is to blame
            return
        failure, tracked.parcel = self.fleet.loss(tracked, state, ran_on, at)
        self.fleet.blame(state.key)
        self._fold(state, tracked, lifecycle.Lost(at, self.luck.random(), failure))

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:  # noqa: ARG002 - Dask's signature
        """Dask calls it when a worker has joined."""
        self._tell_all(self.fleet.joined(worker))

    def remove_worker(self, scheduler: Scheduler, worker: str, **_kwargs: Any) -> None:  # noqa: ARG002
        """Dask calls it when a worker is gone, after its tasks were taken back."""
        at = time.time()
        for key in self.fleet.suspects(worker):
            state, tracked = self.scheduler.tasks.get(key), self.tracked.get(key)
            if state is not None and tracked is not None and tracked.task.state == "pending":
                tracked.worker = self.fleet.name_of(worker)
                tracked.began = None  # it died before it could say so: what is known is of an earlier attempt
                failure, tracked.parcel = self.fleet.loss(tracked, state, worker, at)
                self.fleet.blame(key)
                self._fold(state, tracked, lifecycle.Lost(at, self.luck.random(), failure))
                if tracked.hold_s is not None:
                    self._hold(state, tracked)
                else:
                    self._end_with_error(state, tracked)
        self._tell_all(self.fleet.left(worker, at))

    def _tell_all(self, record: Any) -> None:
        for session in self.sessions.values():
            session.tell("workers", record)

    def _failed_by_dask(self, state: TaskState, tracked: Tracked, message: dict[str, Any]) -> None:
        """Dask ended the task before an attempt could: a graph that can't be loaded, an untracked input."""
        self._stopped(state.key, tracked)
        root = state.exception_blame
        if root is not None and root is not state:
            self._input_failed(state, tracked, root)
        else:
            self._fold(state, tracked, lifecycle.Failed(time.time(), 0.0, by_dask(message, tracked)))
        tracked.last_words = None
        tracked.session.flush()

    # --- decided ---------------------------------------------------------------------------------------

    def _fold(self, state: TaskState, tracked: Tracked, event: lifecycle.Event) -> None:
        before = tracked.task.state
        tracked.task, actions = lifecycle.step(tracked.task, event)
        if tracked.task.state != before:
            tracked.session.counts[before] -= 1
            tracked.session.counts[tracked.task.state] += 1
        for action in actions:
            self._perform(state, tracked, action, event.at)
        if any(isinstance(action, lifecycle.Note) for action in actions):
            tracked.session.flush()  # on disk before anybody sees how the attempt ended

    def _perform(self, state: TaskState, tracked: Tracked, action: lifecycle.Action, at: float) -> None:
        match action:
            case lifecycle.Note():
                tracked.noted = action
                tracked.session.tell("failures", failure_record(tracked, state, action, at))
                if action.failure is not None:
                    kept = msgspec.structs.replace(action.failure, traceback=None)
                    tracked.previous = (*tracked.previous, msgspec.to_builtins(kept))[-REMEMBERED:]
            case lifecycle.End():
                tracked.session.tell("tasks", task_record(tracked, state, action, at))
            case lifecycle.Hold():
                tracked.hold_s = action.delay_s
                self._renew(state, tracked)
            case lifecycle.Settle():
                tracked.last_words = action.reason

    def _renew(self, state: TaskState, tracked: Tracked) -> None:
        """Write the next attempt's order into the task."""
        state.annotations = {**(state.annotations or {}), ANNOTATION: tracked.order()}

    def _end_with_error(self, state: TaskState, tracked: Tracked) -> None:
        """End the task with the exception of its last failure, and first those that need its result."""
        if self.scheduler.tasks.get(state.key) is not state or tracked.last_words is None:
            return
        self.holds.drop(state.key)
        stimulus = f"scalable-settle-{time.time()}"
        ends: list[tuple[TaskState, bytes, bytes | None]] = []
        for dependent in upstream.dependents_of(state):
            company = self.tracked.get(dependent.key)
            if company is not None and company.task.state not in lifecycle.ENDED:
                self._input_failed(dependent, company, state)
                ends.append((dependent, self._delivery(company), None))
        self._stopped(state.key, tracked)
        ends.append((state, self._delivery(tracked), tracked.parcel.traceback if tracked.parcel else None))
        tracked.session.flush()
        recommendations: dict[Any, Any] = {}
        for task, exception, trace in ends:
            recommendations |= upstream.end(self.scheduler, task, exception, trace, stimulus)
        for (
            task,
            _,
            _,
        ) in ends:  # Dask would take back those that nobody asked for, and so run all of them again
            recommendations.pop(task.key, None)
        self.scheduler.transitions(recommendations, stimulus)
        self.scheduler.stimulus_queue_slots_maybe_opened(stimulus_id=stimulus)

    def _input_failed(self, state: TaskState, tracked: Tracked, root: TaskState) -> None:
        origin = self.tracked.get(root.key)
        failure, tracked.parcel = upstream.failure_of(state, root, origin)
        tracked.cause = (origin.cause or origin.parcel) if origin is not None else None
        self._fold(state, tracked, lifecycle.InputFailed(time.time(), failure))

    def _delivery(self, tracked: Tracked) -> bytes:
        """The exception as the client will see it; from here on the task has said its last words."""
        assert tracked.parcel is not None, "a task ends with the exception of its last failure"  # noqa: S101
        notes = words_for(tracked) if tracked.cause is None else ()
        tracked.last_words = None
        return address(tracked.parcel, notes, tracked.cause)

    # --- done ------------------------------------------------------------------------------------------

    def _hold_ended(self, key: Any) -> None:
        tracked, state = self.tracked.get(key), self.scheduler.tasks.get(key)
        if tracked is not None and state is not None:
            self._fold(state, tracked, lifecycle.HoldEnded(time.time()))

    def _stopped(self, key: Any, tracked: Tracked) -> None:
        if tracked.running_on is not None:
            self.fleet.finish(tracked.running_on, key)
            tracked.running_on = None
        self._disarm(tracked)

    def _disarm(self, tracked: Tracked) -> None:
        if tracked.timer is not None:
            tracked.timer.cancel()
            tracked.timer = None

    def forget(self, key: Any) -> None:
        """Let go of a task; if it had not ended, it was cancelled."""
        tracked, state = self.tracked[key], self.scheduler.tasks.get(key)
        self._stopped(key, tracked)
        self.holds.drop(key)
        if state is not None:
            self._fold(state, tracked, lifecycle.Cancelled(time.time()))
        del self.tracked[key]


HELD_FOR_GOOD_S = 3600.0
"""A task about to settle is held until the next turn of the loop; this only bounds a mistake of ours."""
