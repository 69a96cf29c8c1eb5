"""The workers of one scheduler: who they are, what each is running, and what was lost with one.

When a worker dies, only the tasks that it was running are to blame. A task that dies so early that its
start was never heard of is found by elimination: if nothing was known to run, those next in line did.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.journal.records import WorkerRecord, utc

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler, TaskState, WorkerState

__all__ = ["Aboard", "Fleet", "Member", "Passenger", "guilty", "worker_record"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Member(msgspec.Struct, frozen=True):
    """A worker, as long as it lives and a moment longer."""

    name: str
    address: str
    host: str
    pid: int
    threads: int
    memory_bytes: int | None
    nanny: bool = False


class Passenger(msgspec.Struct, frozen=True):
    """A task that a worker had when it was lost, and Dask's number of the run."""

    key: Any
    run: int | None
    priority: Any
    has_inputs: bool
    ran: bool


Aboard = tuple[Passenger, ...]


class Fleet:
    """Follows the workers through what Dask and their witnesses say."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._members: dict[str, Member] = {}
        self._running: dict[str, dict[Any, None]] = {}
        self._addresses: dict[str, str] = {}  # the last of each name
        self._former: dict[str, str | None] = {}
        self._aboard: list[Passenger] = []
        for address in scheduler.workers:
            self.joined(address)

    def get(self, address: str | None) -> Member | None:
        """The worker at an address."""
        return self._members.get(address) if address is not None else None

    def former_address(self, address: str) -> str | None:
        """The address that a worker's name had before."""
        former = self._former.get(address)
        return former if former != address else None

    def name_of(self, address: str | None) -> str | None:
        """A worker's name, such as ``worker-3``."""
        member = self.get(address)
        return member.name if member else address

    def roll_call(self) -> list[WorkerRecord]:
        """A "started" record for every worker there is."""
        return [worker_record("started", member, time.time()) for member in self._members.values()]

    def joined(self, address: str) -> WorkerRecord:
        """Note a new worker."""
        worker = self._scheduler.workers[address]
        self._former[address] = self._addresses.get(str(worker.name))
        self._addresses[str(worker.name)] = address
        self._members[address] = member = Member(
            name=str(worker.name),
            address=address,
            host=_host_of(worker),
            pid=worker.pid,
            threads=worker.nthreads,
            memory_bytes=worker.memory_limit or None,
            nanny=bool(worker.nanny),
        )
        self._running[address] = {}
        return worker_record("started", member, time.time())

    def begin(self, address: str, key: Any) -> None:
        """Note that a worker runs a task."""
        self._running.setdefault(address, {})[key] = None

    def finish(self, address: str, key: Any) -> None:
        """Note that it runs it no more."""
        self._running.get(address, {}).pop(key, None)

    def members(self) -> list[Member]:
        """The workers there are."""
        return list(self._members.values())

    def running_on(self, address: str) -> frozenset[Any]:
        """Keys of the tasks that a worker runs."""
        return frozenset(self._running.get(address, ()))

    def took(self, state: TaskState, *, ran: bool) -> None:
        """Note a task that the worker which is being removed had; ``ran``: it was heard to have begun."""
        self._aboard.append(Passenger(state.key, state.run_id, state.priority, bool(state.dependencies), ran))

    def left(self, address: str) -> tuple[Member, Aboard, bool]:
        """Forget a worker. Returns who it was, the tasks that it had, and whether it was expected to go."""
        member = self.get(address) or Member(address, address, "", 0, 1, None)
        aboard, self._aboard = tuple(self._aboard), []
        self._members.pop(address, None)
        self._running.pop(address, None)
        self._former.pop(address, None)
        return member, aboard, self._expected(address)

    def _expected(self, address: str) -> bool:
        """Dask does not tell plugins; its own event log, written just before, has it."""
        for _, event in reversed(self._scheduler.get_events("all")):
            if event.get("action") == "remove-worker" and event.get("worker") == address:
                return bool(event.get("expected"))
        return False


def guilty(member: Member, aboard: Aboard, running: frozenset[int] | None) -> list[Any]:
    """Keys of the tasks that a lost worker ran: by its own word, if it left any, else by elimination."""
    if running is not None:
        return [each.key for each in aboard if each.run in running]
    ran = [each for each in aboard if each.ran]
    return [each.key for each in (*ran, *_suspects(member, len(ran), aboard))]


def _suspects(member: Member, running: int, aboard: Aboard) -> list[Passenger]:
    """Tasks that must have run on a lost worker although they had not said so yet.

    Dask's workers start tasks by priority, so of those that seemed to wait the first ones ran, as many as
    there were threads free. One that has inputs may have waited for them beside a free thread, so it is
    suspected only where nothing else can have run.
    """
    able = [each for each in aboard if not each.ran and not (running and each.has_inputs)]
    in_line = sorted(
        able, key=lambda each: each.priority
    )  # not by key: those of several types do not compare
    return in_line[: max(0, member.threads - running)]


def _host_of(worker: WorkerState) -> str:
    """The name that attempts on this machine give it too; elsewhere what the address says."""
    here = worker.address.startswith("inproc://") or worker.host in LOOPBACK
    return socket.gethostname() if here else worker.host


def worker_record(event: Any, member: Member, at: float, **fields: Any) -> WorkerRecord:
    """The line of ``workers.jsonl`` for something that happened to a worker."""
    return WorkerRecord(
        at=utc(at),
        event=event,
        worker=member.name,
        address=member.address,
        host=member.host,
        pid=member.pid,
        threads=member.threads,
        memory_bytes=member.memory_bytes,
        **fields,
    )
