"""What is done about workers that are stuck, or that kill what they are given."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scalable.core import workers
from scalable.core.workers import BELIEVED_S, NO_EVIDENCE, Place
from scalable.engine.scheduler.cordon import Cordon
from scalable.engine.scheduler.fleet import worker_record
from scalable.engine.scheduler.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scalable.engine.scheduler.fleet import Member
    from scalable.engine.scheduler.sessions import Session
    from scalable.engine.scheduler.supervisor import Supervisor

__all__ = ["Repairs", "retire_within"]

RETIRE_TIMEOUT_S = 10.0
SILENT_S = 3.0
QUARANTINED = "quarantined"


class Repairs:
    """Watches over the workers of one scheduler: sets aside, replaces, quarantines."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._scheduler = supervisor.scheduler
        self._fleet = supervisor.fleet
        self.cordon = Cordon(supervisor.scheduler)
        self.slots = Slots(
            supervisor.scheduler,
            self.cordon,
            supervisor.fleet.running_on,
            staying=self._staying,
            replace=self._replace,
            on_free=supervisor.holds.look,
        )
        self._evidence = NO_EVIDENCE
        self._told: set[str] = set()  # names of workers
        self._retiring: set[asyncio.Task[None]] = set()

    # --- stuck -------------------------------------------------------------------------------------------

    def _staying(self, address: str) -> set[Any]:
        """What must not be taken from a worker: what runs, or may have begun and must not begin twice."""
        tracked = self._supervisor.tracked
        worker = self._scheduler.workers.get(address)
        there = {state.key for state in worker.processing} if worker is not None else set()
        once = {key for key in there if key in tracked and not tracked[key].spec.idempotent}
        return once | self._fleet.running_on(address)

    def _replace(self, address: str) -> None:
        """Have a worker replaced whose slot is stuck: by its session, else by its nanny, else not at all."""
        member, owner = self._fleet.get(address), self._owner()
        if member is None:
            return
        if owner is None and not member.nanny:
            self.slots.gone(address)
            return
        if address in self.slots:
            reason = "an attempt that was given up keeps its slot: the worker is replaced"
            self._supervisor.tell_all(worker_record("stuck", member, time.time(), reason=reason))
        if owner is not None:
            owner.ask("replace", worker=member.name)
        else:
            task = asyncio.ensure_future(self._restart(address))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def _owner(self) -> Session | None:
        """The session that started the workers, and can start others."""
        return next((each for each in self._supervisor.sessions.values() if each.owner), None)

    async def _restart(self, address: str) -> None:
        stimulus = f"scalable-replace-{time.time()}"
        with suppress(TimeoutError, OSError):  # it may not answer: that is why it is replaced
            async with asyncio.timeout(retire_within(self._scheduler, address)):
                await self._scheduler.retire_workers([address], remove=False, stimulus_id=stimulus)
        await self._scheduler.restart_workers(
            [address], wait_for_workers=False, on_error="return", stimulus_id=stimulus
        )

    # --- deadly ------------------------------------------------------------------------------------------

    def lost(self, keys: Iterable[Any], member: Member, at: float) -> None:
        """Note that a worker was lost, and under which tasks."""
        self._evidence = workers.lost(self._evidence, map(str, keys), member.name, member.host, at)

    def succeeded(self, key: Any, member: Member | None, at: float) -> None:
        """Note that a task was well on a worker; it may have been lost with another."""
        if member is None:
            return
        before = self._evidence
        self._evidence = workers.succeeded(before, str(key), member.name, member.host, at)
        if self._evidence is not before:
            self._judge(self._fleet.members(), at)

    def joined(self, address: str) -> None:
        """A worker came, or came back; one that is quarantined gets nothing to do."""
        member = self._fleet.get(address)
        if member is not None:
            self._judge([member], time.time())

    def gone(self, address: str) -> None:
        """Forget a worker that left."""
        self.slots.gone(address)
        self.cordon.gone(address)

    def _judge(self, members: Iterable[Member], at: float) -> None:
        """Set aside those that are convicted, until there is not enough against them any more."""
        convicted = self._evidence.convicted(at)
        for member in members:
            if self.slots.vacates(member.address):
                continue  # another is about to take its place
            against = [place for place in sorted(_places_of(member)) if place in convicted]
            if not against:
                self.cordon.lift(member.address, QUARANTINED)
                self._told.discard(member.name)
            elif self.cordon.others(member.address):  # a bad worker is better than none
                self._set_aside(member, against, convicted, at)

    def _set_aside(
        self, member: Member, places: list[Place], convicted: Mapping[Place, int], at: float
    ) -> None:
        if self.cordon.put(member.address, QUARANTINED, self._staying(member.address)):
            asyncio.get_running_loop().call_later(BELIEVED_S, self._judge_again, member)
        # Another worker helps where it is the worker: it would be on the same host.
        replaced = self._owner() is not None and all(place.kind == "worker" for place in places)
        if member.name not in self._told:
            self._told.add(member.name)
            then = "another takes its place" if replaced else "it gets no more"
            for place in places:
                lost = f"{convicted[place]} tasks were lost on {place.kind} {place.name} and well elsewhere"
                self._supervisor.tell_all(worker_record("quarantined", member, at, reason=f"{lost}: {then}"))
        if replaced:
            self.slots.vacate(member.address)

    def _judge_again(self, member: Member) -> None:
        if self._fleet.get(member.address) is member:
            self._judge([member], time.time())
            if member.name in self._told:
                asyncio.get_running_loop().call_later(BELIEVED_S, self._judge_again, member)


def retire_within(scheduler: Any, address: str) -> float:
    """How many seconds to give a worker to hand over its results: none where it has been silent."""
    worker = scheduler.workers.get(address)
    silent = worker is None or time.time() - worker.last_seen > SILENT_S
    return 0.0 if silent else RETIRE_TIMEOUT_S


def _places_of(member: Member) -> frozenset[Place]:
    return frozenset({Place("worker", member.name), Place("host", member.host)})
