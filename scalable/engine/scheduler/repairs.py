"""What is done about workers that are stuck, or that kill what they are given."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scalable.core import workers
from scalable.core.workers import NO_EVIDENCE, Place
from scalable.engine.scheduler.cordon import Cordon
from scalable.engine.scheduler.fleet import worker_record
from scalable.engine.scheduler.slots import Slots

if TYPE_CHECKING:
    from scalable.engine.scheduler.fleet import Member
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
        self._told: set[tuple[Place, str]] = set()
        self._retiring: set[asyncio.Task[None]] = set()

    # --- stuck -------------------------------------------------------------------------------------------

    def _staying(self, address: str) -> set[Any]:
        """What must not be taken from a worker: what runs, or may have begun and must not begin twice."""
        tracked = self._supervisor.tracked
        there = {state.key for state in self._scheduler.workers[address].processing}
        once = {key for key in there if key in tracked and not tracked[key].spec.idempotent}
        return once | self._fleet.running_on(address)

    def _replace(self, address: str) -> None:
        """Have a worker replaced whose slot is stuck: by its session, else by its nanny, else not at all."""
        member = self._fleet.get(address)
        if member is None:
            return
        reason = "an attempt that was given up keeps its slot: the worker is replaced"
        owner = next((each for each in self._supervisor.sessions.values() if each.owner), None)
        if owner is None and not member.nanny:
            self.slots.gone(address)
            return
        self._supervisor.tell_all(worker_record("stuck", member, time.time(), reason=reason))
        if owner is not None:
            owner.ask("replace", worker=member.name)
        else:
            task = asyncio.ensure_future(self._restart(address))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _restart(self, address: str) -> None:
        stimulus = f"scalable-replace-{time.time()}"
        with suppress(TimeoutError, OSError):  # it may not answer: that is why it is replaced
            async with asyncio.timeout(retire_within(self._scheduler, address)):
                await self._scheduler.retire_workers([address], remove=False, stimulus_id=stimulus)
        await self._scheduler.restart_workers(
            [address], wait_for_workers=False, on_error="return", stimulus_id=stimulus
        )

    # --- deadly ------------------------------------------------------------------------------------------

    def lost(self, key: Any, member: Member) -> None:
        """Note that a worker was lost under a task."""
        self._evidence = workers.lost(self._evidence, str(key), member.name, member.host)

    def succeeded(self, key: Any, member: Member | None) -> None:
        """Note that a task was well on a worker; it may have been lost with another."""
        if self._evidence.open and member is not None:
            self._evidence = workers.succeeded(self._evidence, str(key), member.name, member.host)
            for each in self._fleet.members():
                self._set_aside_if_convicted(each)

    def joined(self, address: str) -> None:
        """A worker came, or came back; one that is quarantined gets nothing to do."""
        member = self._fleet.get(address)
        if member is not None:
            self._set_aside_if_convicted(member)

    def gone(self, address: str) -> None:
        """Forget a worker that left."""
        self.slots.gone(address)
        self.cordon.gone(address)

    def _set_aside_if_convicted(self, member: Member) -> None:
        for place in sorted(self._evidence.convicted & _places_of(member)):
            if not self.cordon.others(member.address):
                return  # a bad worker is better than none
            self.cordon.put(member.address, QUARANTINED, self._staying(member.address))
            if (place, member.name) not in self._told:
                self._told.add((place, member.name))
                many = len(self._evidence.against[place])
                reason = (
                    f"{many} tasks were lost on {place.kind} {place.name} and well elsewhere: it gets no more"
                )
                record = worker_record("quarantined", member, time.time(), reason=reason)
                self._supervisor.tell_all(record)


def retire_within(scheduler: Any, address: str) -> float:
    """How many seconds to give a worker to hand over its results: none where it has been silent."""
    worker = scheduler.workers.get(address)
    silent = worker is None or time.time() - worker.last_seen > SILENT_S
    return 0.0 if silent else RETIRE_TIMEOUT_S


def _places_of(member: Member) -> frozenset[Place]:
    return frozenset({Place("worker", member.name), Place("host", member.host)})
