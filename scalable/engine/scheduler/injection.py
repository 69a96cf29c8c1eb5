"""Injects faults: decides about each attempt as Dask sends it, and once more where plans change meanwhile."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

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


@dataclass(slots=True)
class _Change:
    """An attempt that was sent, and is to have another fault than it was sent with, if it has not begun."""

    state: TaskState
    tracked: Tracked
    attempt: int
    before: Fault | None
    after: Fault | None


class _Aiming:
    """A change that workers are told of, until each has said which of its attempts had begun before.

    ``now`` counts the faults that are given by it; ``before`` counted those that are taken back.
    """

    def __init__(self, faults: SessionFaults, before: InForce) -> None:
        self.faults = faults
        self.before, self.now = before, faults.in_force
        self.changes: dict[Any, _Change] = {}
        self.missing: set[str] = set()
        self.done = asyncio.Event()

    def heard(self, worker: str) -> bool:
        """Note that a worker has answered, or is gone; returns whether it was the last."""
        self.missing.discard(worker)
        if not self.missing:
            self.done.set()
        return not self.missing


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
        before, tracked.fault = tracked.fault, fault
        order = (state.annotations or {}).get(ANNOTATION)
        if order is not None:
            order.pop(FAULT, None)
            if fault is not None:
                order[FAULT] = msgspec.to_builtins(fault)
        self._tell(_Change(state, tracked, tracked.task.attempt, before, fault), faults)

    def _tell(self, change: _Change, faults: SessionFaults | None) -> None:
        """Write down what an attempt has, and what it had."""
        at, member, tracked = time.time(), self._member(change.state), change.tracked
        worker = member.name if member is not None else None
        if faults is not None:
            faults.note(change.state, tracked, change.attempt, change.after, worker, at)
        if (record := _record(change, worker, at)) is not None:
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

        Those of a worker that does not answer for ``AIM_TIMEOUT_S`` may have begun, and keep what they have.

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
            await self._answers(self._decide_again(session, faults, before))
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

    def _decide_again(self, session: Session, faults: SessionFaults, before: InForce) -> _Aiming:
        """Decide anew about what was sent, and tell the workers; what had begun there keeps what it has."""
        aiming = _Aiming(faults, before)
        messages: dict[str, list[Any]] = {}
        for state, tracked in self._sent(session):
            if aiming.now is before and tracked.fault is not None:
                before.struck -= 1  # it is about to be decided again
            fault = self._decided(state, tracked, aiming.now)
            if fault == tracked.fault or state.processing_on is None:
                continue
            change = _Change(state, tracked, tracked.task.attempt, tracked.fault, fault)
            aiming.changes[state.key] = change
            told = (state.key, None if fault is None else msgspec.to_builtins(fault))
            messages.setdefault(state.processing_on.address, []).append(told)
            self._give(state, tracked, faults, fault)
        self._aim(aiming, messages)
        return aiming

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

    def _aim(self, aiming: _Aiming, messages: dict[str, list[Any]]) -> None:
        """Tell workers what is to strike."""
        scheduler = self._supervisor.scheduler
        aiming.missing.update(messages.keys() & scheduler.stream_comms.keys())
        if not aiming.missing:
            return
        token = uuid.uuid4().hex
        self._aiming[token] = aiming
        for address in aiming.missing:
            scheduler.worker_send(address, {"op": AIM, "token": token, "faults": messages[address]})

    async def _answers(self, aiming: _Aiming) -> None:
        """Wait for the workers' answers; a late one still counts."""
        if aiming.missing:
            with suppress(TimeoutError):  # one that is stuck begins nothing
                await asyncio.wait_for(aiming.done.wait(), AIM_TIMEOUT_S)

    def aimed(self, token: str, begun: list[Any], worker: str) -> None:
        """Handle a worker's answer."""
        if (aiming := self._aiming.get(token)) is None:
            return
        if aiming.heard(worker):
            del self._aiming[token]
        for key in begun:
            if (change := aiming.changes.pop(key, None)) is not None:
                self._keeps(key, change, aiming)

    def left(self, worker: str) -> None:
        """Wait no more for a worker that is gone."""
        self._aiming = {token: each for token, each in self._aiming.items() if not each.heard(worker)}

    def _keeps(self, key: Any, change: _Change, aiming: _Aiming) -> None:
        """Let an attempt that had begun before a change keep what it had."""
        aiming.now.struck -= change.after is not None
        if aiming.now is aiming.before:
            aiming.now.struck += change.before is not None
        later = (each.changes.get(key) for each in self._aiming.values() if each is not aiming)
        for other in later:
            if other is not None and (other.tracked, other.attempt) == (change.tracked, change.attempt):
                other.before = change.before  # and its answer, which follows, says that it keeps this
                return
        tracked = change.tracked
        if tracked.task.attempt == change.attempt and self._supervisor.tracked.get(key) is tracked:
            self._give(change.state, tracked, aiming.faults, change.before)
        else:  # it is over meanwhile
            kept = replace(change, before=change.after, after=change.before)
            self._tell(kept, aiming.faults)


def _recorded(faults: SessionFaults) -> Replay:
    try:
        return replay_of(faults.recorder.dump("records"))
    except PlanError as error:
        msg = f"what was recorded cannot be replayed: {error}"
        raise PlanError(msg) from error


def _record(change: _Change, worker: str | None, at: float) -> FaultRecord | None:
    """The line of ``faults.jsonl`` for a fault that an attempt has got, or has not any more."""
    fault, tracked = change.after, change.tracked
    about = fault or change.before
    if about is None or about.attempt != change.attempt:
        return None  # the fault of an attempt that is over
    return FaultRecord(
        at=utc(at),
        event="withdrawn" if fault is None else "injected",
        key=key_text(change.state.key),
        task=tracked.spec.task,
        function=tracked.function,
        attempt=about.attempt,
        fault=about.kind,
        error=about.error,
        worker=worker,
    )
