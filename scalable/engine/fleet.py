"""The workers of one scheduler: who they are, what each is running, and what was lost with one.

When a worker dies, only the tasks that it was running are to blame. A task that dies so early that its
start was never heard of is found by elimination: if nothing was known to run, those next in line did.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.failure import Failure
from scalable.engine.describe import call_text
from scalable.engine.outcomes import seen_from_outside
from scalable.engine.travel import Parcel, pack
from scalable.errors import WorkerLost
from scalable.journal.records import WorkerRecord, utc

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler, TaskState, WorkerState

    from scalable.engine.tracked import Tracked

__all__ = ["Fleet", "Member"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Member(msgspec.Struct, frozen=True):
    """A worker, as long as it lives and a moment longer."""

    name: str
    address: str
    host: str
    pid: int
    threads: int
    memory_bytes: int | None


class Fleet:
    """Follows the workers through what Dask and their witnesses say."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._members: dict[str, Member] = {}
        self._running: dict[str, dict[Any, None]] = {}
        self._blamed: list[Any] = []
        self._innocent: list[tuple[Any, Any]] = []
        for address in scheduler.workers:
            self.joined(address)

    def get(self, address: str | None) -> Member | None:
        """The worker at an address."""
        return self._members.get(address) if address is not None else None

    def name_of(self, address: str | None) -> str | None:
        """A worker's name, such as ``worker-3``."""
        member = self.get(address)
        return member.name if member else address

    def roll_call(self) -> list[WorkerRecord]:
        """A "started" record for every worker there is."""
        return [_record("started", member, time.time()) for member in self._members.values()]

    def joined(self, address: str) -> WorkerRecord:
        """Note a new worker."""
        worker = self._scheduler.workers[address]
        self._members[address] = member = Member(
            name=str(worker.name),
            address=address,
            host=_host_of(worker),
            pid=worker.pid,
            threads=worker.nthreads,
            memory_bytes=worker.memory_limit or None,
        )
        self._running[address] = {}
        return _record("started", member, time.time())

    def begin(self, address: str, key: Any) -> None:
        """Note that a worker runs a task."""
        self._running.setdefault(address, {})[key] = None

    def finish(self, address: str, key: Any) -> None:
        """Note that it runs it no more."""
        self._running.get(address, {}).pop(key, None)

    def blame(self, key: Any) -> None:
        """Note that a task ran on the worker that is being removed."""
        self._blamed.append(key)

    def innocent(self, state: TaskState) -> None:
        """Note that a task merely waited on the worker that is being removed."""
        self._innocent.append((state.priority, state.key))

    def suspects(self, address: str) -> list[Any]:
        """Tasks that must have run on a lost worker although nothing is known to have."""
        if self._blamed or not self._innocent:
            return []
        member = self._members.get(address)
        return [key for _, key in sorted(self._innocent)[: member.threads if member else 1]]

    def left(self, address: str, at: float) -> WorkerRecord:
        """Forget a worker; the record says whether it was lost or went in good order."""
        member = self._members.pop(address, None) or Member(address, address, "", 0, 0, None)
        running = tuple(str(key) for key in self._blamed)
        self._running.pop(address, None)
        self._blamed, self._innocent = [], []
        event = "retired" if self._expected(address) else "lost"
        return msgspec.structs.replace(_record(event, member, at), running=running)

    def loss(self, tracked: Tracked, state: TaskState, address: str, at: float) -> tuple[Failure, Parcel]:
        """Describe the loss of the worker under a task."""
        member = self._members.get(address)
        name = member.name if member else address
        call = call_text(state.run_spec, None, state.key, tracked.spec.settings.redact)
        parcel = pack(WorkerLost(f"{name} was lost while it ran {call}", worker=name, address=address))
        seen = seen_from_outside(tracked, parcel, call, member, at) | {"worker": name, "address": address}
        return Failure(outcome="worker_lost", kind="infrastructure", rule="worker-lost", **seen), parcel

    def _expected(self, address: str) -> bool:
        for _, event in reversed(self._scheduler.get_events("all")):
            if event.get("action") == "remove-worker" and event.get("worker") == address:
                return bool(event.get("expected"))
        return False


def _host_of(worker: WorkerState) -> str:
    """The name that attempts on this machine give it too; elsewhere what the address says."""
    here = worker.address.startswith("inproc://") or worker.host in LOOPBACK
    return socket.gethostname() if here else worker.host


def _record(event: Any, member: Member, at: float) -> WorkerRecord:
    return WorkerRecord(
        at=utc(at),
        event=event,
        worker=member.name,
        address=member.address,
        host=member.host,
        pid=member.pid,
        threads=member.threads,
        memory_bytes=member.memory_bytes,
    )
