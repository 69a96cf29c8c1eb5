"""Wins back slots that attempts keep although nobody waits for them any more.

A thread cannot be stopped. Where an attempt overran its limit, or was cancelled, and goes on, its worker gets
nothing more to do, and is replaced as soon as nothing innocent runs on it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from scalable.engine.messages import GIVEN_UP

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from distributed.scheduler import Scheduler

    from scalable.engine.scheduler.cordon import Cordon

__all__ = ["GRACE_AFTER_CANCEL_S", "GRACE_AFTER_TIMEOUT_S", "Slots"]

GRACE_AFTER_TIMEOUT_S = 1.0
GRACE_AFTER_CANCEL_S = 5.0
"""How long a thread may take to come back by itself: cancelled ones were not overdue."""
SETTLED_AFTER_S = 0.2
STUCK = "stuck"


class Slots:
    """The attempts that were given up and still run.

    ``replace(address)`` is called once for a worker; ``staying(address)`` names the tasks that must not be
    taken from it; ``on_free(key)`` is called when no thread is at a task any more.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        cordon: Cordon,
        running: Callable[[str], Collection[Any]],
        *,
        staying: Callable[[str], Collection[Any]],
        replace: Callable[[str], None],
        on_free: Callable[[Any], None],
    ) -> None:
        self._tell = scheduler.worker_send
        self._cordon = cordon
        self._running = running
        self._staying = staying
        self._replace = replace
        self._on_free = on_free
        self._kept: dict[tuple[Any, int], str] = {}  # attempts, and the address of their worker
        self._overdue: set[tuple[Any, int]] = set()
        self._vacated: set[str] = set()  # workers that are to be replaced for another reason
        self._asked: set[str] = set()

    def __contains__(self, address: str) -> bool:
        """Whether a worker has a slot that is kept longer than it may be."""
        return any(self._kept.get(attempt) == address for attempt in self._overdue)

    def keeps(self, key: Any) -> bool:
        """Whether some thread is still at a task although its attempt is over."""
        return any(key == each for each, _ in self._kept)

    def given_up(self, address: str, key: Any, run: int, grace_s: float) -> None:
        """Note that an attempt still runs although it is over for everybody else."""
        self._kept[key, run] = address
        self._tell(address, {"op": GIVEN_UP, "key": key, "run": run})
        asyncio.get_running_loop().call_later(grace_s, self._had_its_grace, (key, run))

    def _had_its_grace(self, attempt: tuple[Any, int]) -> None:
        if (address := self._kept.get(attempt)) is not None:
            self._overdue.add(attempt)
            self.look(address)

    def returned(self, key: Any, run: int, worker: str) -> None:
        """Handle a witness's word that its thread came back."""
        self._free((key, run))
        if worker not in self and worker not in self._asked:
            self._cordon.lift(worker, STUCK)

    def vacates(self, address: str) -> bool:
        """Whether :meth:`vacate` was called for a worker."""
        return address in self._vacated

    def vacate(self, address: str) -> None:
        """Have a worker that was set aside replaced, as soon as nothing runs on it."""
        if address not in self._vacated:
            self._vacated.add(address)
            asyncio.get_running_loop().call_later(SETTLED_AFTER_S, self.look, address)

    def look(self, address: str) -> None:
        """Set a worker aside whose slot is kept; replace it where nothing else runs on it."""
        if not (self._overdue or self._vacated) or address in self._asked:
            return
        stuck = address in self
        if not stuck and address not in self._vacated:
            return
        if stuck and self._cordon.put(address, STUCK, self._staying(address)):
            # What was on its way there, or began a moment ago, is heard of by then.
            asyncio.get_running_loop().call_later(SETTLED_AFTER_S, self.look, address)
        elif not (self._running(address) if stuck else self._staying(address)):
            self._asked.add(address)
            self._replace(address)

    def gone(self, address: str) -> None:
        """Forget a worker that left, or that nobody can replace."""
        self._asked.discard(address)
        self._vacated.discard(address)
        self._cordon.lift(address, STUCK)
        for attempt in [attempt for attempt, where in self._kept.items() if where == address]:
            self._free(attempt)

    def _free(self, attempt: tuple[Any, int]) -> None:
        self._kept.pop(attempt, None)
        self._overdue.discard(attempt)
        self._on_free(attempt[0])
