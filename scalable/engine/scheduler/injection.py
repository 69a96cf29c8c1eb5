"""Injects faults: decides about each attempt as Dask sends it, and once more where plans change meanwhile."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from scalable.core.text import key_text
from scalable.engine.messages import AIM, ANNOTATION, FAULT
from scalable.engine.scheduler.in_force import SessionFaults, in_order
from scalable.errors import PlanError
from scalable.faults.decide import decide
from scalable.faults.kinds import DESTRUCTIVE
from scalable.faults.plan import plan_of
from scalable.faults.replay import received, replay_of
from scalable.journal.records import FaultRecord, utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.fleet import Member
    from scalable.engine.scheduler.in_force import InForce
    from scalable.engine.scheduler.sessions import Session
    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked
    from scalable.faults.decide import Fault
    from scalable.faults.plan import FaultPlan
    from scalable.faults.replay import Replay

__all__ = ["Injection"]

AIM_TIMEOUT_S = 5.0


class _Asked(NamedTuple):
    """What an attempt that a worker has, and may not have begun, is to have from now on."""

    run: Any  # Dask's number of it
    tracked: Tracked
    fault: Fault | None
    had: Fault | None
    by: InForce  # where the new fault counts
    before: InForce | None  # where the old one did
    faults: SessionFaults


class _Aiming:
    """Waits for workers to say which of their attempts a change still reached."""

    def __init__(self) -> None:
        self.asked: dict[str, dict[Any, _Asked]] = {}  # by worker, of those that have not answered
        self.done = asyncio.Event()


class Injection:
    """The faults of all sessions; where there are none, there is nothing to do for a task."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._sessions: dict[str, SessionFaults] = {}
        self._aiming: dict[str, _Aiming] = {}
        self.doomed: set[int] = set()  # processes that a fault at one task takes from others as well

    # --- the life of a task ------------------------------------------------------------------------------

    def submitted(self, keys: Iterable[Any]) -> None:
        """Number new tasks: a graph's in the order in which Dask runs them, a map's in that of its input."""
        if not self._sessions:
            return
        tasks, tracked = self._supervisor.scheduler.tasks, self._supervisor.tracked
        for state, each in in_order((tasks[key], tracked[key]) for key in keys):
            if (faults := self._sessions.get(each.session.run_id)) is not None:
                faults.take([(state, each)])

    def arrived(self, state: TaskState, tracked: Tracked) -> None:
        """Part a batch that was on its way when faults were switched on: they strike single calls."""
        if tracked.role == "batch" and tracked.session.run_id in self._sessions:
            self._supervisor.batches.take_apart(state, tracked)

    def assigned(self, state: TaskState, tracked: Tracked) -> None:
        """Decide about an attempt that Dask gives to a worker; its message, not yet sent, takes the fault."""
        faults = self._sessions.get(tracked.session.run_id) if self._sessions and tracked.is_call else None
        if faults is not None:
            if tracked.fault is not None and tracked.fault.attempt == tracked.task.attempt:
                _release(tracked)  # it was sent elsewhere before, and did not begin there
            fault = self._decided(state, tracked, faults.in_force)
            self._give(state, tracked, faults, fault)
            tracked.struck_by = faults.in_force if fault is not None else None
        elif tracked.fault is not None:
            self._give(state, tracked, None, None)

    def started(self, tracked: Tracked) -> None:
        """Let the session's process strike where only it can: a worker and its manager die together."""
        if tracked.fault is not None and tracked.fault.kind == "manager-killed":
            tracked.session.ask("kill", worker=tracked.worker)

    def dropped(self, key: Any, session: Session) -> None:
        """Let go of a task."""
        if self._sessions and (faults := self._sessions.get(session.run_id)) is not None:
            faults.drop(key)

    def forget(self, run_id: str) -> None:
        """Let go of all of a session."""
        self._sessions.pop(run_id, None)

    def _give(
        self, state: TaskState, tracked: Tracked, faults: SessionFaults | None, fault: Fault | None
    ) -> None:
        """Let an attempt have a fault, or none, and write down what changes by that."""
        at, member = time.time(), self._member(state)
        before, tracked.fault = tracked.fault, fault
        if before is not None and before.attempt == tracked.task.attempt:  # it did not strike
            self.doomed.difference_update(before.pids)
        self.doomed.update(fault.pids if fault is not None else ())
        order = (state.annotations or {}).get(ANNOTATION)
        if order is not None:
            order.pop(FAULT, None)
            if fault is not None:
                order[FAULT] = msgspec.to_builtins(fault)
        if faults is not None:
            worker = member.name if member is not None else None
            faults.note(state, tracked, fault, worker, at)
        if (record := _record(state, tracked, fault, before, member, at)) is not None:
            tracked.session.tell("faults", record)

    def _decided(self, state: TaskState, tracked: Tracked, now: InForce) -> Fault | None:
        call = now.calls.get(state.key)
        spent = now.plan.budget is not None and now.struck >= now.plan.budget
        if call is None or spent or not now.setting.enabled:
            return None
        member = self._member(state)
        fault = decide(now.plan, call, tracked.task.attempt, member.name if member is not None else None)
        if fault is not None and fault.kind == "node-killed":
            fault = msgspec.structs.replace(fault, pids=self._pids(member))
        now.struck += fault is not None
        return fault

    def _member(self, state: TaskState) -> Member | None:
        address = state.processing_on.address if state.processing_on is not None else None
        return self._supervisor.fleet.get(address)

    def _pids(self, member: Member | None) -> tuple[int, ...]:
        """The processes of a worker's host; its own, which it knows best, is added where it strikes."""
        host = member.host if member is not None else None
        return tuple(each.pid for each in self._supervisor.fleet.members() if each.host == host)

    # --- steered -----------------------------------------------------------------------------------------

    async def steer(self, session: Session, command: str, value: Any) -> dict[str, Any]:
        """Obey a command about a session's faults; it holds for all attempts that begin from then on.

        Returns what is in force, or what was to be dumped. Raises ``PlanError``; then nothing has changed.
        """
        faults = self._sessions.get(session.run_id) or SessionFaults()
        if command == "dump":
            return faults.recorder.dump(**value)
        if command not in ("status", "record", "clear", "end"):
            self._supervisor.batches.part_queued(session)  # faults strike single calls
        self._obey(session, faults, command, value)
        if faults.blocks or faults.kept:
            self._sessions[session.run_id] = faults
        else:
            self._sessions.pop(session.run_id, None)
        if command not in ("status", "record", "clear"):
            await self._decide_again(session, faults)
        return faults.status()

    def _obey(self, session: Session, faults: SessionFaults, command: str, value: Any) -> None:
        def present() -> list[tuple[TaskState, Tracked]]:
            return self._present(session)

        match command:
            case "status":
                return
            case "begin":
                plan = plan_of(value["plan"])
                self._may_kill(session, plan)
                faults.begin(plan, value["block"], present)
            case "end":
                faults.end(value, present)
            case "record":
                faults.record(present, on=bool(value))
            case "clear":
                faults.clear(present)
            case "replay":
                replay = received(value) if value is not None else _recorded(faults)
                plan = faults.in_force.setting.when(replay=replay).plan
                self._may_kill(session, plan)
                faults.change(command, replay, present)
            case _:
                faults.change(command, value, present)

    def _may_kill(self, session: Session, plan: FaultPlan) -> None:
        """Refuse, by ``PlanError``, a plan that kills processes which are not the session's."""
        members = self._supervisor.fleet.members()
        if plan.possible & DESTRUCTIVE and not (session.owner and all(each.nanny for each in members)):
            msg = (
                f"{min(plan.possible & DESTRUCTIVE)} kills worker processes, and those of this target are "
                "not this session's alone: use a local target with processes"
            )
            raise PlanError(msg)

    def _present(self, session: Session) -> list[tuple[TaskState, Tracked]]:
        """The session's tasks that have not ended, in order."""
        tasks, ended = self._supervisor.scheduler.tasks, ("memory", "erred")
        mine = [(key, each) for key, each in self._supervisor.tracked.items() if each.session is session]
        return in_order(
            (tasks[key], each) for key, each in mine if key in tasks and tasks[key].state not in ended
        )

    # --- sent, and not begun -----------------------------------------------------------------------------

    async def _decide_again(self, session: Session, faults: SessionFaults) -> None:
        """Decide anew about what was sent; what a worker has begun meanwhile, or ended, keeps what it has."""
        streams, now, aiming = self._supervisor.scheduler.stream_comms, faults.in_force, _Aiming()
        for state, tracked in self._sent(session):
            address = state.processing_on.address if state.processing_on is not None else None
            if address is None or address not in streams:  # it is about to be sent to another one
                continue
            before = _release(tracked)
            fault = self._decided(state, tracked, now)
            if fault != tracked.fault or self._is_asked(state.key, address):
                asked = _Asked(state.run_id, tracked, fault, tracked.fault, now, before, faults)
                aiming.asked.setdefault(address, {})[state.key] = asked
            elif fault is not None:
                tracked.struck_by = now
        if aiming.asked:
            await self._aim(aiming)

    def _sent(self, session: Session) -> list[tuple[TaskState, Tracked]]:
        """Tasks that workers have, and that are not known to have begun, in order."""
        tracked = self._supervisor.tracked
        return in_order(
            (state, each)
            for worker in self._supervisor.scheduler.workers.values()
            for state in worker.processing
            if (each := tracked.get(state.key)) is not None
            and each.session is session
            and each.running_on is None
        )

    async def _aim(self, aiming: _Aiming) -> None:
        """Tell workers what is to strike, and wait until all have answered."""
        token, streams = uuid.uuid4().hex, self._supervisor.scheduler.stream_comms
        self._aiming[token] = aiming
        for address, asked in aiming.asked.items():
            told = [
                (key, each.run, None if each.fault is None else msgspec.to_builtins(each.fault))
                for key, each in asked.items()
            ]
            streams[address].send({"op": AIM, "token": token, "faults": told})
        with suppress(TimeoutError):  # one that is stuck begins nothing
            await asyncio.wait_for(aiming.done.wait(), AIM_TIMEOUT_S)

    def aimed(self, token: str, taken: list[Any], worker: str) -> None:
        """Handle a worker's answer, which comes ahead of all that it says of these attempts afterwards."""
        aiming = self._aiming.get(token)
        if aiming is None:
            return
        took = set(taken)
        for key, asked in aiming.asked.pop(worker, {}).items():
            self._settled(key, asked, taken=key in took)
        if not aiming.asked:
            del self._aiming[token]
            aiming.done.set()

    def _settled(self, key: Any, asked: _Asked, *, taken: bool) -> None:
        """Let an attempt have its new fault, or leave it with what it had."""
        state, tracked = self._supervisor.attempts.current(key, asked.run)
        if taken and state is not None and tracked is asked.tracked:
            _release(tracked)
            self._give(state, tracked, asked.faults, asked.fault)
            tracked.struck_by = asked.by if asked.fault is not None else None
            return
        tracked = asked.tracked
        asked.by.struck -= asked.fault is not None
        kept = asked.had is not None and tracked.fault is asked.had
        over = asked.had is not None and tracked.task.attempt > asked.had.attempt
        if asked.before is not None and (kept or over):
            asked.before.struck += 1
            tracked.struck_by = asked.before if kept else tracked.struck_by

    def _is_asked(self, key: Any, address: str) -> bool:
        """Whether an earlier change of an attempt has not been answered yet."""
        return any(key in each.asked.get(address, ()) for each in self._aiming.values())

    def gone(self, worker: str) -> None:
        """Wait no more for a worker that is lost; what it had not begun is somewhere else by now."""
        for token in [token for token, each in self._aiming.items() if worker in each.asked]:
            self.aimed(token, [], worker)


def _release(tracked: Tracked) -> InForce | None:
    """Let the fault of an attempt not count any more; returns where it did."""
    by, tracked.struck_by = tracked.struck_by, None
    if by is not None:
        by.struck -= 1
    return by


def _recorded(faults: SessionFaults) -> Replay:
    try:
        return replay_of(faults.recorder.dump("records"))
    except PlanError as error:
        msg = f"what was recorded cannot be replayed: {error}"
        raise PlanError(msg) from error


def _record(
    state: TaskState,
    tracked: Tracked,
    fault: Fault | None,
    before: Fault | None,
    member: Member | None,
    at: float,
) -> FaultRecord | None:
    """The line of ``faults.jsonl`` for a fault that an attempt has got, or has not any more."""
    about = fault or before
    if about is None or (fault is None and about.attempt != tracked.task.attempt):
        return None  # the fault of an attempt that is over
    return FaultRecord(
        at=utc(at),
        event="withdrawn" if fault is None else "injected",
        key=key_text(state.key),
        task=tracked.spec.task,
        function=tracked.function,
        attempt=about.attempt,
        fault=about.kind,
        error=about.error,
        worker=member.name if member is not None else None,
    )
