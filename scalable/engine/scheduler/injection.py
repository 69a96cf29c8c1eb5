"""Injects faults: it numbers the calls of a session, and sends a fault along with an attempt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.engine.messages import ANNOTATION, FAULT
from scalable.errors import PlanError
from scalable.faults.decide import Call, decide, is_meant
from scalable.faults.plan import DESTRUCTIVE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.fleet import Member
    from scalable.engine.scheduler.sessions import Session
    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked
    from scalable.faults.decide import Fault
    from scalable.faults.plan import FaultPlan

__all__ = ["Injection"]

_INDEX = re.compile(r"(?<=-)\d{1,9}$")  # of an element of a map; the last part of a uuid is longer


class _Active:
    """A plan in force: its calls by key, in the order of their submission, and how often it struck."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.calls: dict[Any, Call] = {}
        self.struck = 0


class Injection:
    """The plans of all sessions; without one, there is nothing to do for a task."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._active: dict[str, list[_Active]] = {}

    def begin(self, session: Session, plan: FaultPlan) -> None:
        """Inject by a plan, instead of the one in force, to which :meth:`end` goes back.

        Raises ``PlanError`` where processes would have to be killed that are not the session's.
        """
        members = self._supervisor.fleet.members()
        if plan.possible & DESTRUCTIVE and not (session.owner and all(each.nanny for each in members)):
            msg = (
                f"{min(plan.possible & DESTRUCTIVE)} kills worker processes, and those of this target are "
                "not this session's alone: use a local target with processes"
            )
            raise PlanError(msg)
        self._active.setdefault(session.run_id, []).append(_Active(plan))
        tracked = self._supervisor.tracked
        mine = [key for key, each in tracked.items() if each.session is session and each.running_on is None]
        self._number(mine)

    def end(self, session: Session) -> None:
        """Go back to the plan before."""
        stack = self._active.get(session.run_id, [])
        if stack:
            stack.pop()
        if not stack:
            self._active.pop(session.run_id, None)

    def forget(self, run_id: str) -> None:
        """Let go of all of a session."""
        self._active.pop(run_id, None)

    def submitted(self, keys: Iterable[Any]) -> None:
        """Number new tasks: a graph's in the order in which Dask runs them, a map's in that of its input."""
        if self._active:
            self._number(keys)

    def assigned(self, state: TaskState, tracked: Tracked) -> None:
        """Decide about an attempt that Dask gives to a worker; its message, not yet sent, takes the fault."""
        tracked.fault = None
        stack = self._active.get(tracked.session.run_id) if self._active else None
        order = (state.annotations or {}).get(ANNOTATION)
        if order is None or (stack is None and FAULT not in order):
            return
        order.pop(FAULT, None)
        call = stack[-1].calls.get(state.key) if stack else None
        if stack and call is not None:
            address = state.processing_on.address if state.processing_on is not None else None
            fault = self._decide(stack[-1], call, tracked.task.attempt, self._supervisor.fleet.get(address))
            tracked.fault = fault
            if fault is not None:
                order[FAULT] = msgspec.to_builtins(fault)

    def _decide(self, active: _Active, call: Call, attempt: int, member: Member | None) -> Fault | None:
        if active.plan.budget is not None and active.struck >= active.plan.budget:
            return None
        fault = decide(active.plan, call, attempt, member.name if member is not None else None)
        if fault is not None and fault.kind == "node-killed":
            fault = msgspec.structs.replace(fault, pids=self._pids(member))
        active.struck += fault is not None
        return fault

    def _pids(self, member: Member | None) -> tuple[int, ...]:
        """The processes of a worker's host; its own, which it knows best, is added where it strikes."""
        host = member.host if member is not None else None
        return tuple(each.pid for each in self._supervisor.fleet.members() if each.host == host)

    def _number(self, keys: Iterable[Any]) -> None:
        tasks = self._supervisor.scheduler.tasks
        for state in _in_order(tasks[key] for key in keys if key in tasks):
            tracked = self._supervisor.tracked.get(state.key)
            stack = self._active.get(tracked.session.run_id) if tracked is not None else None
            if tracked is None or not stack:
                continue
            active = stack[-1]
            call = Call(
                number=len(active.calls) + 1,
                key=str(state.key),
                function=tracked.function,
                task=tracked.spec.task,
                component=tracked.spec.component,
            )
            if state.key not in active.calls and is_meant(active.plan, call):
                active.calls[state.key] = call


def _in_order(states: Iterable[TaskState]) -> list[TaskState]:
    """Sort tasks as they were submitted, as far as anybody can know."""
    known = list(states)
    first: dict[str, Any] = {}  # of the tasks whose keys differ in the last number only
    for state in known:
        name = _INDEX.sub("", str(state.key))
        priority: Any = state.priority
        first[name] = min(first.get(name, priority), priority)

    def place(state: TaskState) -> Any:
        name = _INDEX.sub("", str(state.key))
        return first[name], int(str(state.key)[len(name) :] or 0), state.priority

    return sorted(known, key=place)
