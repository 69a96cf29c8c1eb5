"""The worker plugin: puts an attempt in a task's place, and says what became of it.

It acts in the worker's own state transitions, on its event loop, so that a report and the request to
reschedule leave in one batch, the report first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import WorkerPlugin

from scalable.engine import heard
from scalable.engine.isolated.keeping import Keeping
from scalable.engine.messages import (
    AIM,
    AIMED,
    ANNOTATION,
    BATCH,
    FAILED,
    FAULT,
    GIVEN_UP,
    LEFT,
    LOG,
    NOTES,
    RETURNED,
    STARTED,
)
from scalable.engine.worker.attempt import Attempt
from scalable.engine.worker.batches import SLICE_S
from scalable.engine.worker.blackbox import BlackBox
from scalable.engine.worker.recalling import Shelves
from scalable.engine.worker.transfers import Transfers
from scalable.engine.worker.usage import Usage

if TYPE_CHECKING:
    from distributed.worker import Worker

    from scalable.engine.worker.apart import Apart

__all__ = ["Witness"]

BUSY = ("executing", "long-running")
SAY_AFTER_S = 0.005
"""How long an attempt runs before the scheduler hears of its start: a message for one that is over by then
would be a packet more, which costs a short task more than all the rest of us. Its end says that it began."""
MOST_TOLD = 32
"""Isolated attempts whose output is kept here a moment longer: until the scheduler has read what was sent."""


class Witness(WorkerPlugin):
    """Watches the tasks of one worker."""

    name = "scalable-witness"
    idempotent = True

    def setup(self, worker: Worker) -> None:
        """Dask calls it once, on the worker."""
        self.worker = worker
        worker.stream_handlers[GIVEN_UP] = self.given_up
        worker.stream_handlers[AIM] = self.aim
        self._begun: dict[Any, int] = {}  # starts that are not told yet: key and Dask's number of the run
        self._telling = False
        self.keeping = Keeping()
        nanny: Any = worker.nanny  # its address
        self.box = BlackBox.open(nanny) if nanny else BlackBox(None)  # else nobody would read it
        self.usage = Usage(own_process=bool(nanny))
        self._transfers = Transfers(worker)
        self._shelves = Shelves()
        self.told: deque[Apart] = deque()
        worker.handlers[LOG] = self.log

    async def teardown(self, worker: Worker) -> None:
        """Dask calls it when the worker closes: isolated tasks end with it."""
        self.box.close()
        self.usage.close()
        worker.handlers.pop(LOG, None)
        worker.stream_handlers.pop(GIVEN_UP, None)
        worker.stream_handlers.pop(AIM, None)
        self._transfers.close()
        self._shelves.close()
        heard.stop()
        await asyncio.to_thread(self.keeping.close)

    async def log(self, key: Any) -> str | None:
        """What the isolated task that runs under a key has printed so far."""
        task = self.worker.state.tasks.get(key)
        attempt: Any = task.run_spec if task is not None else None
        return attempt.apart.log() if isinstance(attempt, Attempt) and attempt.apart is not None else None

    def transition(self, key: Any, start: str, finish: str, **_kwargs: Any) -> None:
        """Dask calls it for every change of state of every task of the worker."""
        if start in BUSY and finish not in BUSY:
            self._not_to_tell(key, finish)
        if finish == "executing":
            self._begin(key)
        elif start == "flight" and finish == "error":
            self._transfers.failed(key)
        elif start == "cancelled" and finish == "waiting":
            self._resumed(key)
        elif start in BUSY and finish == "rescheduled":
            self._failed(key)
        elif start in BUSY and finish == "memory":
            self._succeeded(key)
        elif start in BUSY and finish == "released":
            self._given_up(key)

    def _begin(self, key: Any) -> None:
        task = self.worker.state.tasks[key]
        order = (task.annotations or {}).get(ANNOTATION)
        if order is None or task.run_spec is None or isinstance(task.run_spec, Attempt):
            return
        attempt = self._stand_in(task, order)
        if attempt.batch is not None and not attempt.batch.fixed:
            asyncio.get_running_loop().call_later(SLICE_S, self._cut, key, attempt)
        self._begun[key] = task.run_id
        if not attempt.spec.idempotent:  # nobody may take it back any more
            self._tell_begun()
        elif not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(SAY_AFTER_S, self._tell_begun)

    def _cut(self, key: Any, attempt: Attempt) -> None:
        """Give back what a batch that takes long has not begun."""
        if attempt.batch is None or attempt.ended:
            return
        left, pace_s = attempt.batch.cut()
        if left:
            told = {"op": LEFT, "key": key, "run": attempt.run, "left": left, "pace_s": pace_s}
            self.worker.batched_send(told)

    def _tell_begun(self) -> None:
        self._telling = False
        begun, self._begun = self._begun, {}
        for key, run in begun.items():
            self.worker.batched_send({"op": STARTED, "key": key, "run": run})

    def _not_to_tell(self, key: Any, finish: str) -> None:
        """Keep a start to itself, as the end of the attempt tells of it; given up, it may have none."""
        run = self._begun.pop(key, None)
        if run is not None and finish == "released":
            self.worker.batched_send({"op": STARTED, "key": key, "run": run})

    def given_up(self, key: Any, run: int) -> None:
        """Handle the supervisor's word that nobody waits for an attempt: say when its code has ended."""
        message = {"op": RETURNED, "key": key, "run": run}
        task = self.worker.state.tasks.get(key)
        attempt: Any = task.run_spec if task is not None else None
        if not isinstance(attempt, Attempt) or attempt.run != run:  # another one of the same key by now
            self.worker.batched_send(message)
            return
        attempt.on_return = lambda: self.worker.loop.add_callback(self.worker.batched_send, message)
        if attempt.ended:
            attempt.on_return()
        else:
            attempt.cancel()

    def aim(self, token: str, faults: list[tuple[Any, int, Any]]) -> None:
        """Handle a change of what strikes attempts; those that have begun keep what they have."""
        taken = []
        for key, run, fault in faults:
            task: Any = self.worker.state.tasks.get(key)
            annotations = (task.annotations or {}) if task is not None else {}
            if ANNOTATION in annotations and task.run_id == run and not isinstance(task.run_spec, Attempt):
                order = {**annotations[ANNOTATION], FAULT: fault}
                task.annotations = {**annotations, ANNOTATION: order}
                taken.append(key)
        self.worker.batched_send({"op": AIMED, "token": token, "taken": taken})

    def _resumed(self, key: Any) -> None:
        """Say that a new run begins, although the slot is still held by the code of one that was given up.

        Dask runs the task again when that returns. Until then the new run's limit counts, so that it ends.
        Where the code of the old run has not begun yet, what is in its place now is what runs.
        """
        task = self.worker.state.tasks[key]
        order = (task.annotations or {}).get(ANNOTATION)
        if task.state in BUSY and order is not None:
            if task.run_spec is not None and not isinstance(task.run_spec, Attempt):
                self._stand_in(task, order)
            self.worker.batched_send({"op": STARTED, "key": key, "run": task.run_id})

    def _given_up(self, key: Any) -> None:
        """Nobody wants its outcome any more; Dask waits until it returns, which some need not."""
        attempt: Any = self.worker.state.tasks[key].run_spec
        if isinstance(attempt, Attempt):
            attempt.cancel()

    def _stand_in(self, task: Any, order: Any) -> Attempt:
        task.run_spec = attempt = Attempt(
            task, self.worker, order, self.keeping, self.box, self.usage, self._shelves
        )
        return attempt

    def _failed(self, key: Any) -> None:
        task = self.worker.state.tasks[key]
        attempt: Any = task.run_spec
        if isinstance(attempt, Attempt):
            self._send_notes(key, attempt)
            if attempt.report is not None:
                self.worker.batched_send({"op": FAILED, "key": key, "run": task.run_id, **attempt.report})

    def _succeeded(self, key: Any) -> None:
        attempt: Any = self.worker.state.tasks[key].run_spec
        if isinstance(attempt, Attempt):
            self._send_notes(key, attempt)
            if attempt.batch is not None:
                run = self.worker.state.tasks[key].run_id
                self.worker.batched_send({"op": BATCH, "key": key, "run": run, **attempt.batch.told()})
                attempt.batch = None

    def _send_notes(self, key: Any, attempt: Attempt) -> None:
        if attempt.notes:
            run = self.worker.state.tasks[key].run_id
            self.worker.batched_send({"op": NOTES, "key": key, "run": run, "notes": attempt.notes})
            attempt.notes = []  # Dask keeps the attempt for as long as the result
        if attempt.apart is not None:
            self.told.append(attempt.apart)
            if len(self.told) > MOST_TOLD:
                self.told.popleft().let_go()
