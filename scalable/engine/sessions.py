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
from scalable.engine.messages import topic

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

    from scalable.core.lifecycle import State
    from scalable.journal.records import Record

__all__ = ["FLUSH_AFTER_S", "Session"]

FLUSH_AFTER_S = 0.05
OWN_FIELDS = ("schema", "seq", "run_id")


class Session:
    """One run, as the scheduler knows it; ``owner`` is true where the whole scheduler is its own."""

    def __init__(
        self, scheduler: Scheduler, *, run_id: str, client: str, default: bytes, owner: bool
    ) -> None:
        self.run_id = run_id
        self.client = client
        self.default = default
        self.owner = owner
        self.counts: Counter[State] = Counter()
        self._scheduler = scheduler
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def by_state(self) -> dict[str, int]:
        """How many tasks are in which state, zeros included."""
        return {state: self.counts[state] for state in STATES}

    def tell(self, file: str, record: Record) -> None:
        """Queue a record for one of the run's files."""
        fields = msgspec.to_builtins(record)
        for name in OWN_FIELDS:  # the writer's to fill
            del fields[name]
        self._waiting.setdefault(file, []).append(fields)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self.flush)

    def flush(self) -> None:
        """Send what is queued, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            records, self._waiting = self._waiting, {}
            self._scheduler.log_event(topic(self.run_id), records)

    def drain(self) -> dict[str, list[dict[str, Any]]]:
        """Hand over what is queued instead of sending it: the last words of a session."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        records, self._waiting = self._waiting, {}
        return records
