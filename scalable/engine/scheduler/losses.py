"""What becomes of tasks when workers come and go: who is to blame for a loss, and who merely waited."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core import lifecycle
from scalable.core.text import key_text
from scalable.engine.scheduler import pins
from scalable.engine.scheduler.fleet import guilty, worker_record
from scalable.engine.scheduler.holds import FOR_GOOD_S
from scalable.engine.scheduler.inquest import Inquest
from scalable.engine.scheduler.outcomes import by_loss

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.fleet import Aboard, Member
    from scalable.engine.scheduler.inquest import Death
    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["Losses"]


class Losses:
    """Follows workers on behalf of the tasks."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._fleet = supervisor.fleet
        self._holds = supervisor.holds
        self.inquest = Inquest(self._died)

    def joined(self, worker: str) -> None:
        """Note that a worker is there."""
        self._supervisor.tell_all(self._fleet.joined(worker))
        self.inquest.forget(self._fleet.name_of(worker) or worker)
        if (before := self._fleet.former_address(worker)) is not None:
            pins.move(self._supervisor, before, worker)

    def taken(self, state: TaskState, ran_on: str | None) -> None:
        """Keep a task whose worker is being removed, until it is known what of, and who is to blame."""
        self._fleet.took(state, ran=ran_on is not None)
        self._holds.hold(state, FOR_GOOD_S)

    def left(self, worker: str) -> None:
        """Note that a worker is gone, after its tasks were taken back."""
        member, aboard, expected = self._fleet.left(worker)
        if expected:
            self._supervisor.tell_all(worker_record("retired", member, time.time()))
            self._let_go([each.key for each in aboard])
        else:
            self.inquest.open(member, aboard, time.time())

    def _died(self, member: Member, aboard: Aboard, death: Death, at: float) -> None:
        """Fold the loss of a worker, now that all is known of it that ever will be."""
        keys = guilty(member, aboard, death.running)
        how = {"exit_code": death.exit_code, "signal": death.signal, "reason": f"{member.name} {death}"}
        record = worker_record("lost", member, at, running=tuple(map(key_text, keys)), **how)
        self._supervisor.tell_all(record)
        lost = [key for key in self._to_blame(keys) if not self._taken_apart(key)]
        self._supervisor.repairs.lost(lost, member, at)
        over = [each.key for each in aboard if each.run in death.begun and self._only_once(each.key)]
        for state, tracked in self._held(dict.fromkeys((*lost, *over))):
            self._fold(state, tracked, member, death, at, over=state.key not in lost)
        self._let_go([each.key for each in aboard if each.key not in {*lost, *over}])

    def _to_blame(self, running: list[Any]) -> list[Any]:
        """Say which of the tasks that a lost worker ran have lost an attempt with it.

        Isolated ones cannot have killed it where others ran in it. But what must not run twice has run once.
        """
        tracked = self._supervisor.tracked
        known = [key for key in running if key in tracked]
        inside = [key for key in known if not tracked[key].spec.isolate]
        return [key for key in known if key in inside or self._only_once(key)] if inside else known

    def _taken_apart(self, key: Any) -> bool:
        """Part a batch that its worker died of: each call is tried by itself, and has lost nothing."""
        known = next(self._held([key]), None)
        return known is not None and self._supervisor.batches.take_apart(*known)

    def _only_once(self, key: Any) -> bool:
        tracked = self._supervisor.tracked.get(key)
        return tracked is not None and not tracked.spec.idempotent

    def _held(self, keys: Iterable[Any]) -> Iterator[tuple[TaskState, Tracked]]:
        """Those of the tasks that still wait to hear what becomes of them."""
        for key in keys:
            state, tracked = self._supervisor.scheduler.tasks.get(key), self._supervisor.tracked.get(key)
            if state is not None and tracked is not None and key in self._holds:
                yield state, tracked

    def _let_go(self, keys: list[Any]) -> None:
        """Let those run again that are not to blame; they lose nothing."""
        for state, tracked in self._held(keys):
            self._supervisor.fold(state, tracked, lifecycle.Requeued(time.time()))
        self._holds.release_all(key for key in keys if key in self._holds)

    def _fold(
        self, state: TaskState, tracked: Tracked, member: Member, death: Death, at: float, *, over: bool
    ) -> None:
        supervisor = self._supervisor
        if tracked.task.state == "pending":
            tracked.began = None  # it died before it could say so: what is known is of an earlier attempt
        tracked.worker = member.name
        failure, tracked.parcel = by_loss(tracked, state, member, death, at, over=over)
        if member.pid in supervisor.injection.doomed:
            failure = msgspec.structs.replace(failure, injected=True)
        supervisor.fold(state, tracked, lifecycle.Lost(at, supervisor.luck.random(), failure))
        if tracked.hold_s is not None:
            supervisor.hold(state, tracked)
        else:
            supervisor.settle.end(state, tracked)
