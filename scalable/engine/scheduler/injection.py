"""Injects faults: decides about each attempt as Dask sends it, and once more where plans change meanwhile."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.text import key_text
from scalable.engine.messages import AIM, ANNOTATION, FAULT
from scalable.engine.scheduler.in_force import SessionFaults, in_order
from scalable.errors import PlanError
from scalable.faults.decide import decide
from scalable.faults.kinds import DESTRUCTIVE
from scalable.faults.plan import plan_of
from scalable.faults.replay import Replay, replay_of
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

__all__ = ["Injection"]

AIM_TIMEOUT_S = 5.0


class _Aiming:
    """Waits for workers to say which of their attempts had begun before a change."""

    def __init__(self, workers: Iterable[str]) -> None:
        self.missing = set(workers)
        self.begun: set[Any] = set()
        self.done = asyncio.Event()


class Injection:
    """The faults of all sessions; where there are none, there is nothing to do for a task."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._sessions: dict[str, SessionFaults] = {}
        self._aiming: dict[str, _Aiming] = {}

    # --- the life of a task ------------------------------------------------------------------------------

    def submitted(self, keys: Iterable[Any]) -> None:
        """Number new tasks: a graph's in the order in which Dask runs them, a map's in that of its input."""
        if not self._sessions:
            return
        tasks, tracked = self._supervisor.scheduler.tasks, self._supervisor.tracked
        for state, each in in_order((tasks[key], tracked[key]) for key in keys):
            if (faults := self._sessions.get(each.session.run_id)) is not None:
                faults.take([(state, each)])

    def assigned(self, state: TaskState, tracked: Tracked) -> None:
        """Decide about an attempt that Dask gives to a worker; its message, not yet sent, takes the fault."""
        faults = self._sessions.get(tracked.session.run_id) if self._sessions else None
        if faults is not None:
            self._give(state, tracked, faults, self._decided(state, tracked, faults.in_force))
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
        order = (state.annotations or {}).get(ANNOTATION)
        if order is not None:
            order.pop(FAULT, None)
            if fault is not None:
                order[FAULT] = msgspec.to_builtins(fault)
        if faults is not None:
            faults.note(state, tracked, fault, member.name if member is not None else None, at)
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
        before = faults.in_force
        if command == "dump":
            return faults.recorder.dump(**value)
        self._obey(session, faults, command, value)
        if faults.blocks or faults.kept:
            self._sessions[session.run_id] = faults
        else:
            self._sessions.pop(session.run_id, None)
        if command not in ("status", "record", "clear"):
            await self._decide_again(session, faults, before)
        return faults.status()

    def _obey(self, session: Session, faults: SessionFaults, command: str, value: Any) -> None:
        match command:
            case "status":
                return
            case "begin":
                plan = plan_of(value)
                self._may_kill(session, plan)
                faults.begin(plan, self._present(session))
            case "end":
                faults.end()
            case "record":
                faults.record(self._present(session), on=bool(value))
            case "clear":
                faults.clear(self._present(session))
            case "replay":
                replay = msgspec.convert(value, Replay) if value is not None else _recorded(faults)
                plan = faults.in_force.setting.when(replay=replay).plan
                self._may_kill(session, plan)
                faults.change(command, replay, self._present(session))
            case _:
                faults.change(command, value, self._present(session))

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

    async def _decide_again(self, session: Session, faults: SessionFaults, before: InForce) -> None:
        """Decide anew about what was sent; workers say what had begun, and that keeps what it has."""
        sent = self._sent(session)
        had = {state.key: tracked.fault for state, tracked in sent}
        messages: dict[str, list[Any]] = {}
        for state, tracked in sent:
            if faults.in_force is before and tracked.fault is not None:
                before.struck -= 1  # it is about to be decided again
            fault = self._decided(state, tracked, faults.in_force)
            if fault != tracked.fault and state.processing_on is not None:
                self._give(state, tracked, faults, fault)
                told = (state.key, None if fault is None else msgspec.to_builtins(fault))
                messages.setdefault(state.processing_on.address, []).append(told)
        begun = await self._aim(messages) if messages else set()
        for state, tracked in sent:
            if state.key in begun and self._supervisor.tracked.get(state.key) is tracked:
                faults.in_force.struck -= tracked.fault is not None
                self._give(state, tracked, faults, had[state.key])

    def _sent(self, session: Session) -> list[tuple[TaskState, Tracked]]:
        """Tasks that workers have, and that are not known to have begun."""
        return [
            (state, tracked)
            for state, tracked in self._present(session)
            if state.state == "processing" and tracked.running_on is None
        ]

    async def _aim(self, messages: dict[str, list[Any]]) -> set[Any]:
        """Tell workers what is to strike; returns the keys of attempts that had begun before."""
        token, streams = uuid.uuid4().hex, self._supervisor.scheduler.stream_comms
        self._aiming[token] = aiming = _Aiming(address for address in messages if address in streams)
        for address in list(aiming.missing):
            streams[address].send({"op": AIM, "token": token, "faults": messages[address]})
        try:
            with suppress(TimeoutError):  # one that is stuck, or dies just now, begins nothing
                if aiming.missing:
                    await asyncio.wait_for(aiming.done.wait(), AIM_TIMEOUT_S)
        finally:
            del self._aiming[token]
        return aiming.begun

    def aimed(self, token: str, begun: list[Any], worker: str) -> None:
        """Handle a worker's answer."""
        if (aiming := self._aiming.get(token)) is not None:
            aiming.begun.update(begun)
            aiming.missing.discard(worker)
            if not aiming.missing:
                aiming.done.set()


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
