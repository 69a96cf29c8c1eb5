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
from scalable.engine.messages import (
    AIMED,
    ANNOTATION,
    BATCH,
    FAILED,
    LEFT,
    NOTES,
    RETURNED,
    STARTED,
    TRANSFER,
    Spec,
)
from scalable.engine.scheduler import page, upstream
from scalable.engine.scheduler.again import Again
from scalable.engine.scheduler.attempts import Attempts
from scalable.engine.scheduler.batches import Batches
from scalable.engine.scheduler.cancels import CANCEL, Cancels
from scalable.engine.scheduler.farewell import end_session
from scalable.engine.scheduler.fleet import Fleet
from scalable.engine.scheduler.holds import FOR_GOOD_S, Holds
from scalable.engine.scheduler.holes import Holes
from scalable.engine.scheduler.injection import Injection
from scalable.engine.scheduler.logs import Logs
from scalable.engine.scheduler.looks import outcome_of
from scalable.engine.scheduler.losses import Losses
from scalable.engine.scheduler.moves import replace_token
from scalable.engine.scheduler.parking import Parking
from scalable.engine.scheduler.prometheus import Collector
from scalable.engine.scheduler.reopening import keep_parts, let_go_of_parts
from scalable.engine.scheduler.repairs import Repairs
from scalable.engine.scheduler.service import Service
from scalable.engine.scheduler.settle import Settle
from scalable.engine.scheduler.slots import GRACE_AFTER_CANCEL_S
from scalable.engine.scheduler.stops import Stops
from scalable.engine.scheduler.timers import Timers, disarm
from scalable.engine.scheduler.tracked import REMEMBERED, Tracked, failure_record, task_record

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler, TaskState

    from scalable.engine.scheduler.sessions import Session

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
        self.holds = Holds(scheduler, self._hold_ended, self._may_go)
        self.parking = Parking(scheduler, self.holds, self.tracked, self.fold)
        self.stops = Stops(self, self.fold)
        self.fleet = Fleet(scheduler)
        self.repairs = Repairs(self)
        self.losses = Losses(self)
        self.again = Again(self)
        self.settle = Settle(self)
        self.batches = Batches(self)
        self.holes = Holes(self)
        self.timers = Timers(self)
        self.logs = Logs()
        self.attempts = Attempts(self)
        self.injection = Injection(self)
        self.collector = Collector(self)
        page.serve(scheduler)
        self.luck = random.Random()  # noqa: S311 - jitter, not secrecy
        scheduler.stream_handlers.update(
            {
                STARTED: self.attempts.started,
                FAILED: self.attempts.failed,
                NOTES: self.attempts.noted,
                LEFT: self.batches.left,
                BATCH: self.batches.ended,
                RETURNED: self.repairs.slots.returned,
                TRANSFER: self.settle.transfer_failed,
                AIMED: self.injection.aimed,
                CANCEL: Cancels(self).cancel,
            }
        )
        scheduler.handlers.update(Service(self).handlers())

    async def close(self) -> None:
        """Dask calls it when the scheduler closes."""
        self.collector.close()
        self.holds.close()
        self.parking.close()
        for tracked in self.tracked.values():
            disarm(tracked)

    # --- sessions --------------------------------------------------------------------------------------

    def remove_client(self, scheduler: Scheduler, client: str) -> None:  # noqa: ARG002 - Dask's signature
        """Drop the sessions of a client that vanished; to a scheduler of its own it may come back."""
        theirs = [run_id for run_id, session in self.sessions.items() if session.client == client]
        for run_id in theirs:
            if not self.sessions[run_id].owner:
                end_session(self, run_id)

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
            session = None if state.actor else self._session_of(state, client)
            if session is None:  # an attempt that nobody counts would be rescheduled for ever
                (state.annotations or {}).pop(ANNOTATION, None)
                continue
            self.follow(state, session, at)
            new.append(state)
        self.injection.submitted(state.key for state in new if self.tracked[state.key].is_call)
        for state in new:
            self.injection.arrived(state, self.tracked[state.key])
            self.admit(state, self.tracked[state.key], at)

    def admit(self, state: TaskState, tracked: Tracked, at: float) -> None:
        """See whether a new task can run at all, and whether now."""
        if tracked.session.stopped is not None:
            self.holds.hold(state, FOR_GOOD_S)
            self.stops.end(tracked.session, [state.key])
        elif (root := upstream.failed_input(state)) is not None:
            self.settle.never_runs(state, root)
        elif self.parking.keeps(state.key, tracked):
            self.fold(state, tracked, lifecycle.HeldBack(at))
            self.hold(state, tracked)

    def _session_of(self, state: TaskState, client: str) -> Session | None:
        order = (state.annotations or {}).get(ANNOTATION)
        if order is not None:
            return self.sessions.get(Spec.loads(order["spec"]).run_id)
        own = (s for s in self.sessions.values() if s.client == client or s.owner)
        return next(own, None)

    def follow(self, state: TaskState, session: Session, at: float) -> None:
        """Begin to follow a task that was submitted then."""
        order = (state.annotations or {}).get(ANNOTATION) or {"spec": session.default}
        packed, spec = order["spec"], Spec.loads(order["spec"])
        if state.retries:  # Dask's own retries=, on a collection: ours to count, and with our waits
            retry = msgspec.structs.replace(spec.retry, retries=state.retries)
            spec = msgspec.structs.replace(spec, retry=retry)
            packed, state.retries = spec.dumps(), 0
        state.annotations = {**(state.annotations or {}), ANNOTATION: {"spec": packed}}
        self.tracked[state.key] = tracked = Tracked(session, packed, spec, state, at)
        session.counts[tracked.task.state] += tracked.weight
        self.batches.follow(state)

    def weigh(self, tracked: Tracked, weight: int) -> None:
        """Let a task count for so many."""
        tracked.session.counts[tracked.task.state] += weight - tracked.weight
        tracked.weight = weight

    # --- Dask's transitions ----------------------------------------------------------------------------

    def transition(self, key: Any, start: str, finish: str, *_args: Any, **kwargs: Any) -> None:
        """Dask calls it after each change of state of a task, before anybody is told."""
        tracked = self.tracked.get(key)
        if tracked is None or (tracked.whole is not None and finish != "forgotten"):
            return
        if finish == "memory" and start == "processing":
            self._succeeded(key, tracked, kwargs)
        elif finish == "waiting" and start == "released":
            self.again.waits(self.scheduler.tasks[key], tracked)
        elif finish == "processing":
            self._assigned(self.scheduler.tasks[key], tracked)
        elif finish == "released":
            self._released(self.scheduler.tasks[key], tracked, start)
        elif finish == "erred":
            self._erred(self.scheduler.tasks[key], tracked, kwargs)
        elif finish == "forgotten":
            self.forget(key)

    def _assigned(self, state: TaskState, tracked: Tracked) -> None:
        if tracked.role == "inner":
            keep_parts(self, state)
        self.injection.assigned(state, tracked)
        self.timers.sent(state, tracked)
        self.parking.assigned(state.key, tracked)

    def _erred(self, state: TaskState, tracked: Tracked, message: dict[str, Any]) -> None:
        upstream.keep_own_blame(state.dependents)
        if tracked.task.state not in lifecycle.ENDED:
            self.settle.ended_by_dask(state, tracked, message)

    def _succeeded(self, key: Any, tracked: Tracked, message: dict[str, Any]) -> None:
        self.stopped(key, tracked)
        computed = [each for each in message.get("startstops") or () if each["action"] == "compute"]
        if computed:
            tracked.began, tracked.finished = computed[-1]["start"], computed[-1]["stop"]
            tracked.duration_s = computed[-1]["stop"] - computed[-1]["start"]
        tracked.worker = self.fleet.name_of(message.get("worker")) or tracked.worker
        tracked.result_bytes = message.get("nbytes")
        tracked.spent(self.scheduler.tasks[key])
        at = time.time()
        if tracked.works:
            self.parking.worked(tracked, at)
        self.repairs.succeeded(key, self.fleet.get(message.get("worker")), at)
        self.fold(self.scheduler.tasks[key], tracked, lifecycle.Succeeded(at))

    def _released(self, state: TaskState, tracked: Tracked, start: str) -> None:
        """A task goes back: from a worker (lost, rescheduled), from an end (retried), or for good."""
        # Dask counts suspicion up on each lost worker and ends the task above allowed-failures, also an
        # innocent one. Reset here, that never happens: worker_losses decides.
        lost, state.suspicious = state.suspicious > 0, 0
        ran_on = tracked.running_on
        wanted = bool(state.who_wants or state.waiters)
        if not (wanted or lost):
            self.abandon(state.key, tracked)
        self.stopped(state.key, tracked)
        if not wanted:  # Dask forgets it next
            return
        if lost and start == "processing" and tracked.hold_s is None:
            self.losses.taken(state, ran_on)
        elif tracked.task.state not in lifecycle.ENDED:
            self._goes_back(state, tracked, ran_on)
        else:
            self.again.look(state, tracked)
        if tracked.hold_s is not None:
            self.hold(state, tracked)
        else:
            self.end_soon(state, tracked)

    def _goes_back(self, state: TaskState, tracked: Tracked, ran_on: str | None) -> None:
        if self.again.forbidden(state, tracked, ran_on):
            return
        at = time.time()
        self.fold(state, tracked, lifecycle.Requeued(at))
        if self.parking.keeps(state.key, tracked):
            self.fold(state, tracked, lifecycle.HeldBack(at))

    def end_soon(self, state: TaskState, tracked: Tracked) -> None:
        """End a task that has said its last words, as soon as Dask is done with taking it back."""
        if tracked.last_words is not None:
            self.holds.hold(state, FOR_GOOD_S)
            asyncio.get_running_loop().call_soon(self.settle.end, state, tracked)

    def hold(self, state: TaskState, tracked: Tracked) -> None:
        """Hold a task that no worker has, for as long as the core said."""
        assert tracked.hold_s is not None, "the core asked for a wait"  # noqa: S101 - an invariant
        replace_token(state, tracked)
        self.holds.hold(state, tracked.hold_s)
        tracked.hold_s = None

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:  # noqa: ARG002 - Dask's signature
        """Dask calls it when a worker has joined."""
        self.losses.joined(worker)
        self.repairs.joined(worker)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_kwargs: Any) -> None:  # noqa: ARG002
        """Dask calls it when a worker is gone, after its tasks were taken back."""
        self.repairs.gone(worker)
        self.injection.gone(worker)
        self.losses.left(worker)

    def tell_all(self, record: Any) -> None:
        """Tell every session what happened to a worker."""
        self.collector.worker(record)
        for session in self.sessions.values():
            session.tell("workers", record)

    # --- decided ---------------------------------------------------------------------------------------

    def fold(self, state: TaskState, tracked: Tracked, event: lifecycle.Event) -> None:
        """Let the core decide what an event means for a task, and do it."""
        before, session = tracked.task, tracked.session
        tracked.task, actions = lifecycle.step(tracked.task, event)
        if tracked.task.state != before.state:
            session.counts[before.state] -= tracked.weight
            session.counts[tracked.task.state] += tracked.weight
            if before.state == "failed" and (outcome := outcome_of(tracked)) is not None:
                session.failed_by[outcome] -= tracked.weight
        if tracked.task.parked != before.parked:
            self.parking.changed(state, tracked)
        for action in actions:
            self._perform(state, tracked, action, event.at)
        if tracked.task.state == "failed" != before.state and (outcome := outcome_of(tracked)) is not None:
            session.failed_by[outcome] += tracked.weight
        if any(isinstance(action, lifecycle.Note) for action in actions):
            session.flush()  # on disk before anybody sees how the attempt ended

    def _perform(self, state: TaskState, tracked: Tracked, action: lifecycle.Action, at: float) -> None:
        match action:
            case lifecycle.Note():
                tracked.noted = action
                self._tell_failure(state, tracked, action, at)
                if action.failure is not None:
                    tracked.measure(action.failure)
                    kept = msgspec.structs.replace(action.failure, traceback=None, output=None, warnings=())
                    tracked.previous = (*tracked.previous, msgspec.to_builtins(kept))[-REMEMBERED:]
            case lifecycle.End():
                self._tell_end(state, tracked, action, at)
                self.stops.ended(state.key, tracked, action)
            case lifecycle.Hold() | lifecycle.Park():
                tracked.wait(action)
                self.renew(state, tracked)
            case lifecycle.Move():
                tracked.move(action.limits)
            case lifecycle.Settle():
                tracked.last_words = action.reason

    def _tell_failure(self, state: TaskState, tracked: Tracked, note: lifecycle.Note, at: float) -> None:
        """Tell of a failure; of a batch that failed as a whole, of that of each call."""
        if tracked.is_call:
            tracked.session.tell("failures", failure_record(tracked, state, note, at))
        elif tracked.role == "batch" and note.failure is not None:
            self.batches.failed(state, tracked, "failures", failure_record(tracked, state, note, at))

    def _tell_end(self, state: TaskState, tracked: Tracked, end: lifecycle.End, at: float) -> None:
        """Tell of the end of a task; of a batch it is told call by call, unless it failed as a whole."""
        if tracked.role == "batch" and end.state == "cancelled":
            self.batches.cancelled(state, tracked)
        elif tracked.role == "batch" and end.state == "failed":
            self.batches.failed(state, tracked, "tasks", task_record(tracked, state, end, at))
        elif tracked.is_call:
            tracked.session.tell("tasks", task_record(tracked, state, end, at))

    def renew(self, state: TaskState, tracked: Tracked) -> None:
        """Write the next attempt's order into the task."""
        state.annotations = {**(state.annotations or {}), ANNOTATION: tracked.order()}

    # --- done ------------------------------------------------------------------------------------------

    def _may_go(self, key: Any) -> bool:
        """Whether no thread is still at the task; Dask would queue the next attempt behind it."""
        return not self.repairs.slots.keeps(key)

    def _hold_ended(self, key: Any) -> None:
        tracked, state = self.tracked.get(key), self.scheduler.tasks.get(key)
        if tracked is None or state is None:
            return
        self.fold(state, tracked, self.parking.over(tracked, time.time()))
        self.settle.end(state, tracked)

    def abandon(self, key: Any, tracked: Tracked) -> None:
        """Note that nobody waits for the attempt under way, if there is one: its slot is to be won back."""
        ran_on = tracked.running_on
        if ran_on is None and tracked.sent_to is not None:
            self.timers.left(key, tracked.sent_to)
        if ran_on is not None:
            tracked.measure(None)
            self.stopped(key, tracked)
            self.repairs.slots.given_up(ran_on, key, tracked.run, GRACE_AFTER_CANCEL_S)

    def stopped(self, key: Any, tracked: Tracked) -> None:
        """Note that no attempt at a task is under way any more."""
        self.parking.gone(key, tracked)
        tracked.sent_to = None
        if tracked.running_on is not None:
            address, tracked.running_on = tracked.running_on, None
            self.fleet.finish(address, key)
            self.repairs.slots.look(address)
        disarm(tracked)

    def forget(self, key: Any) -> None:
        """Let go of a task; if it had not ended, it was cancelled."""
        tracked, state = self.tracked[key], self.scheduler.tasks.get(key)
        let_go_of_parts(self, key)
        if tracked.running_on is not None:
            tracked.measure(None)
        self.stopped(key, tracked)
        self.holds.drop(key)
        self.logs.drop(key)
        self.injection.dropped(key, tracked.session)
        if state is not None:
            self.fold(state, tracked, lifecycle.Cancelled(time.time()))
            self.batches.forget(state)
        del self.tracked[key]
