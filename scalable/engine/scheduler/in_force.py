"""The fault plans of one session: which is in force, how its calls are numbered, what it did so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.faults.decide import Call, is_meant
from scalable.faults.record import Recorder
from scalable.faults.setting import ANEW, CHANGES, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.tracked import Tracked
    from scalable.faults.decide import Fault
    from scalable.faults.plan import FaultPlan

    Present = Callable[[], Iterable[tuple[TaskState, Tracked]]]

__all__ = ["InForce", "SessionFaults", "in_order"]

INDEX_DIGITS = 9
"""At most, of an element of a map; the last part of a uuid is longer."""


class InForce:
    """A plan in force: its calls, numbered in the order of submission, and how often it struck.

    ``block`` is the name by which it ends before the run does.
    """

    def __init__(self, setting: Setting, block: str = "") -> None:
        self.setting = setting
        self.block = block
        self.calls: dict[Any, Call] = {}
        self.struck = 0
        self.number = 0  # of the last call
        self._before = 1  # likewise, of those that had begun before

    @property
    def plan(self) -> FaultPlan:
        """The plan itself."""
        return self.setting.plan

    @property
    def has_counted(self) -> bool:
        """Whether it has numbered any call, also one that is over."""
        return self.number > 0 or self._before < 1

    def take(self, state: TaskState, tracked: Tracked) -> None:
        """Number a call, if the plan is meant for it; one that has begun counts from 0 down."""
        begun = tracked.running_on is not None or tracked.task.attempt > 1
        call = Call(
            number=self._before - 1 if begun else self.number + 1,
            key=str(state.key),
            function=tracked.function,
            task=tracked.spec.task,
            component=tracked.spec.component,
        )
        if state.key in self.calls or not is_meant(self.plan, call):
            return
        self.calls[state.key] = call
        if begun:
            self._before = call.number
        else:
            self.number = call.number

    def drop(self, key: Any) -> None:
        """Let go of a call that is over."""
        self.calls.pop(key, None)


class SessionFaults:
    """All of one session: the plans of ``inject`` blocks, the innermost last, and what is set by hand."""

    def __init__(self) -> None:
        self.blocks: list[InForce] = []
        self.by_hand = InForce(Setting())
        self.recorder = Recorder()
        self._recorded = InForce(Setting())  # numbers all calls from the begin of the recording
        self.kept = False  # also when no block is left

    @property
    def in_force(self) -> InForce:
        """The plan that counts now."""
        return self.blocks[-1] if self.blocks else self.by_hand

    def take(self, states: Iterable[tuple[TaskState, Tracked]]) -> None:
        """Number calls in the order in which they are given."""
        for state, tracked in states:
            self.in_force.take(state, tracked)
            if self.recorder.enabled:
                self._recorded.take(state, tracked)

    def begin(self, plan: FaultPlan, block: str, present: Present) -> None:
        """Let a plan count until the :meth:`end` of its block; tasks that are present are its first calls.

        ``present``, here and below, gives the tasks in order; it is asked only where they are needed.
        """
        self.blocks.append(InForce(Setting.of(plan), block))
        self.take(present())

    def end(self, block: str, present: Present) -> None:
        """End the plan of a block; what is left of the tasks are calls of the one that counts now."""
        self.blocks = [each for each in self.blocks if each.block != block]
        if self.blocks or self.kept:
            self.take(present())

    def change(self, name: str, value: Any, present: Present) -> None:
        """Change the plan in force by hand; raises ``PlanError``, and then nothing has changed."""
        now = self.in_force
        changed = CHANGES[name](now.setting, value)
        self.kept = True
        if name not in ANEW and now.has_counted:
            now.setting = changed
            return
        fresh = InForce(changed, now.block)
        if self.blocks:
            self.blocks[-1] = fresh
        else:
            self.by_hand = fresh
        self.take(present())

    def record(self, present: Present, *, on: bool) -> None:
        """Begin to record, or stop; what was recorded is kept until :meth:`clear`."""
        if on and not self.recorder.enabled:
            self.kept = self.recorder.enabled = True
            self._number_anew(present)
        self.recorder.enabled = on

    def clear(self, present: Present) -> None:
        """Forget what was recorded; its calls are counted from 1 again."""
        self.recorder.clear()
        self._number_anew(present)

    def _number_anew(self, present: Present) -> None:
        self._recorded = InForce(Setting())
        for state, tracked in present():
            self._recorded.take(state, tracked)

    def note(
        self,
        state: TaskState,
        tracked: Tracked,
        fault: Fault | None,
        worker: str | None,
        at: float,
    ) -> None:
        """Record what was decided about an attempt."""
        if not self.recorder.enabled:
            return
        call = self._recorded.calls.get(state.key)
        self.recorder.note(
            fault,
            key=str(state.key),
            attempt=tracked.task.attempt,
            at=at,
            call=call.number if call is not None else 0,
            function=tracked.function,
            task=tracked.spec.task,
            worker=worker,
        )

    def drop(self, key: Any) -> None:
        """Let go of a task."""
        for each in (*self.blocks, self.by_hand, self._recorded):
            each.drop(key)

    def status(self) -> dict[str, Any]:
        """Describe what is in force, as plain values."""
        now = self.in_force
        plan = now.plan
        return {
            "enabled": now.setting.enabled,
            "kind": plan.kind,
            "strategy": now.setting.strategy,
            "probability": plan.probability,
            "errors": list(plan.raised),
            "seed": plan.seed,
            "budget": plan.budget,
            "target": {name: value for name, value in msgspec.structs.asdict(plan.target).items() if value},
            "calls": now.number,
            "faults": now.struck,
            "recording": self.recorder.dump(),
        }


def in_order(present: Iterable[tuple[TaskState, Tracked]]) -> list[tuple[TaskState, Tracked]]:
    """Sort tasks as they were submitted, as far as anybody can know."""
    named = [(*_parts(str(entry[0].key)), entry) for entry in present]
    first: dict[str, Any] = {}  # of the tasks whose keys differ in the last number only
    for name, _, (state, _) in named:
        priority: Any = state.priority
        first[name] = min(first.get(name, priority), priority)

    def place(each: tuple[str, int, tuple[TaskState, Tracked]]) -> Any:
        name, index, (state, _) = each
        return first[name], index, state.priority

    return [entry for _, _, entry in sorted(named, key=place)]


def _parts(key: str) -> tuple[str, int]:
    name, _, last = key.rpartition("-")
    is_index = last.isdecimal() and len(last) <= INDEX_DIGITS
    return (name, int(last)) if is_index else (key, 0)
