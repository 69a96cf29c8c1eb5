"""The sessions that a scheduler serves: who is told what, in which order.

Records are gathered for a moment and travel on the session's event topic. A failure goes at once, ahead
of the message that ends its future, so that it is on disk before anybody sees the exception.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.lifecycle import STATES
from scalable.engine.messages import ELEMENTS, HEARD, REQUESTS, STOPPED, topic
from scalable.journal.live import Live
from scalable.journal.records import fields_of

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

    from scalable.core.failure import Outcome
    from scalable.core.lifecycle import State
    from scalable.engine.scheduler.metrics import Metrics
    from scalable.journal.elements import ElementsTold
    from scalable.journal.records import Record

__all__ = ["FLUSH_AFTER_S", "Session"]

FLUSH_AFTER_S = 0.05


class Session:
    """One run, as the scheduler knows it; ``owner`` is true where the whole scheduler is its own.

    Who knows the ``secret`` may steer it. Without ``waits``, its retries go at once.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        run_id: str,
        client: str,
        secret: str,
        default: bytes,
        owner: bool,
        waits: bool = True,
        max_failures: int | None = None,
    ) -> None:
        self.run_id = run_id
        self.client = client
        self.secret = secret
        self.default = default
        self.owner = owner
        self.waits = waits
        self.counts: Counter[State] = Counter()
        self.parked = 0  # of the waiting ones
        self.max_failures = max_failures
        self.failed: set[Any] = set()  # keys that count against it
        self.stopped: str | None = None  # why, in words
        self.failed_by: Counter[Outcome] = Counter()  # tasks that failed, by how their last attempt did
        self.unsent = 0  # tasks that succeeded, but whose results could not be sent
        self.metrics: Metrics | None = None  # where what is told is counted too
        self.live = Live()
        self._scheduler = scheduler
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def by_state(self) -> dict[str, int]:
        """How many tasks are in which state, zeros included."""
        counts: dict[str, int] = {state: self.counts[state] for state in STATES}
        counts["succeeded"] = max(0, counts["succeeded"] - self.unsent)
        counts["failed"] += self.unsent
        return counts

    def tell(self, file: str, record: Record) -> None:
        """Queue a record for one of the run's files."""
        self.live.hear(file, record)
        self._waiting.setdefault(file, []).append(fields_of(record))
        if self.metrics is not None:
            self.metrics.count(record)
        self._soon()

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self.flush)

    def tell_of_elements(self, told: ElementsTold) -> None:
        """Queue word of many calls of a grid."""
        self.live.hear_elements(told)
        self._waiting.setdefault(ELEMENTS, []).append(msgspec.to_builtins(told))
        if self.metrics is not None:
            self.metrics.count_elements(told)
        self._soon()

    def ask(self, what: str, **fields: Any) -> None:
        """Ask the process of the session to do something that only it can."""
        self._waiting.setdefault(REQUESTS, []).append({"what": what, **fields})
        self.flush()

    def stop(self, reason: str) -> None:
        """Note that the session is stopped, and let its client know before anything else."""
        self.stopped = reason
        self._waiting.setdefault(STOPPED, []).append({"reason": reason})
        self.flush()

    def flush(self) -> None:
        """Send what is queued, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            records, self._waiting = self._waiting, {}
            name = topic(self.run_id)
            self._scheduler.log_event(name, records)
            self._scheduler._broker.truncate(name)  # noqa: SLF001 - Dask would keep them all, and nobody asks

    def echo(self, token: str) -> None:
        """Send what is queued, and let the client know when it has heard all of it."""
        self._waiting.setdefault(HEARD, []).append({"token": token})
        self.flush()

    def drain(self) -> dict[str, list[dict[str, Any]]]:
        """Hand over what is queued instead of sending it, as an answer: it may overtake what was sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        records, self._waiting = self._waiting, {}
        return records
