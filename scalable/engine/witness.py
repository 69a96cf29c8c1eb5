"""The worker plugin: puts an attempt in a task's place, and says what became of it.

It acts in the worker's own state transitions, on its event loop, so that a report and the request to
reschedule leave in one batch, the report first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import WorkerPlugin

from scalable.engine.attempt import Attempt
from scalable.engine.messages import ANNOTATION, FAILED, NOTES, STARTED

if TYPE_CHECKING:
    from distributed.worker import Worker

__all__ = ["Witness"]

BUSY = ("executing", "long-running")


class Witness(WorkerPlugin):
    """Watches the tasks of one worker."""

    name = "scalable-witness"
    idempotent = True

    def setup(self, worker: Worker) -> None:
        """Dask calls it once, on the worker."""
        self.worker = worker

    def transition(self, key: Any, start: str, finish: str, **_kwargs: Any) -> None:
        """Dask calls it for every change of state of every task of the worker."""
        if finish == "executing":
            self._begin(key)
        elif start == "cancelled" and finish == "waiting":
            self._resumed(key)
        elif start in BUSY and finish == "rescheduled":
            self._failed(key)
        elif start in BUSY and finish == "memory":
            self._succeeded(key)

    def _begin(self, key: Any) -> None:
        task = self.worker.state.tasks[key]
        order = (task.annotations or {}).get(ANNOTATION)
        if order is None or task.run_spec is None or isinstance(task.run_spec, Attempt):
            return
        task.run_spec = Attempt(task.run_spec, self.worker, key, order)  # type: ignore[assignment]
        self.worker.batched_send({"op": STARTED, "key": key, "run": task.run_id})

    def _resumed(self, key: Any) -> None:
        """Say that a new run begins, although the slot is still held by the code of one that was given up.

        Dask runs the task again when that returns. Until then the new run's limit counts, so that it ends.
        """
        task = self.worker.state.tasks[key]
        if task.state in BUSY and ANNOTATION in (task.annotations or {}):
            self.worker.batched_send({"op": STARTED, "key": key, "run": task.run_id})

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

    def _send_notes(self, key: Any, attempt: Attempt) -> None:
        if attempt.notes:
            self.worker.batched_send({"op": NOTES, "key": key, "notes": attempt.notes})
