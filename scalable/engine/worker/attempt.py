"""One attempt at a task, on the worker: call, catch, and turn what was caught into a message.

An :class:`Attempt` stands in the place of the task's ``run_spec``. A failure never leaves it as an
exception: the attempt keeps a report and asks Dask to reschedule, and :mod:`scalable.engine.worker.witness`
sends the report just ahead of that request. Whether there is a next attempt is decided on the scheduler.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from distributed import Reschedule

from scalable import context
from scalable.core.failure import Failure
from scalable.engine import heard
from scalable.engine.messages import FAULT, SPENT, Order, Spec
from scalable.engine.portions import Batch
from scalable.engine.reporting import Report, Scene, Subject, remembered, report
from scalable.engine.strike import Struck
from scalable.engine.worker.apart import Apart
from scalable.engine.worker.batches import Running
from scalable.engine.worker.recalling import Recall, call_of
from scalable.faults.decide import Fault
from scalable.resume.shelf import Remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dask._task_spec import GraphNode
    from distributed.worker import Worker

    from scalable.engine.isolated.keeping import Keeping
    from scalable.engine.worker.blackbox import BlackBox
    from scalable.engine.worker.recalling import Shelves
    from scalable.engine.worker.usage import Usage

__all__ = ["Attempt"]


class Attempt:
    """Runs the task in the context of its attempt; afterwards ``report`` or ``notes`` say what happened."""

    __slots__ = (
        "_cancelled", "_coroutine", "_metadata", "_recall", "_shelf", "_spec_bytes", "_usage", "apart",
        "batch", "box", "ended", "key", "max_attempts", "notes", "number", "on_return", "previous",
        "report", "run", "run_spec", "worker",
    )  # fmt: skip

    def __init__(
        self,
        task: Any,
        worker: Worker,
        order: Order,
        keeping: Keeping,
        box: BlackBox,
        usage: Usage,
        shelves: Shelves,
    ) -> None:
        self.worker = worker
        self.key = task.key
        self.run: int = task.run_id
        self.box = box
        self._usage = usage
        self._metadata: dict[str, Any] = task.metadata
        self.number: int = order.get("attempt", 1)
        self.max_attempts: int | None = order.get("max_attempts")
        self.previous: tuple[Any, ...] = order.get("previous", ())
        self._spec_bytes: bytes = order["spec"]
        self.report: Report | None = None
        self.notes: list[dict[str, Any]] = []
        self.ended = False
        self.on_return: Callable[[], None] | None = None  # set where the attempt was given up meanwhile
        self._coroutine: asyncio.Future[Any] | None = None
        self._cancelled = False
        self._shelf = shelves.of(self.spec.settings.results)
        self._recall: Recall | None = None
        self.apart = Apart(keeping, self.spec.secrets) if self.spec.isolate else None
        self.run_spec: GraphNode | Struck = task.run_spec
        calls = getattr(task.run_spec, "func", None)
        most = self.max_attempts or self.spec.retry.max_attempts
        self.batch = Running(calls, self.number, most) if isinstance(calls, Batch) else None
        if (fault := order.get(FAULT)) is not None:
            limit_s, isolated = self.spec.timeout_s, self.spec.isolate
            self.run_spec = Struck(task.run_spec, msgspec.convert(fault, Fault), limit_s, isolated=isolated)

    def __getattr__(self, name: str) -> Any:
        """All else is the task's own: Dask asks for its dependencies, its name."""
        return getattr(self.run_spec, name)

    @property
    def is_coro(self) -> bool:
        """Whether Dask is to await it on the worker's event loop; an isolated one has a loop of its own."""
        return self.apart is None and bool(self.run_spec.is_coro)

    @property
    def spec(self) -> Spec:
        """What the session wants for this task."""
        return Spec.loads(self._spec_bytes)

    def __call__(self, values: Mapping[Any, Any] = ()) -> Any:  # type: ignore[assignment]
        """Run the task; a coroutine function gives a coroutine, as Dask expects."""
        if self._taken_back():
            self._over()
            raise Reschedule
        if self.is_coro:
            return self._awaited(values)
        with self._watched(values) as surroundings:
            if self.batch is not None:
                return self.batch.run(values, self._subject(values), self._shelf)
            recall = self._recalling(values)
            if (found := recall.look(failures=self.number == 1)) is not None:
                return found.value
            apart = self.apart
            result = self.run_spec(values) if apart is None else self._isolated(apart, values, surroundings)
            recall.keep(result)
            return result
        raise Reschedule

    async def _awaited(self, values: Mapping[Any, Any]) -> Any:
        with self._watched(values):
            recall = self._recalling(values)
            if (found := recall.look(failures=self.number == 1)) is not None:
                return found.value
            self._coroutine = asyncio.ensure_future(self.run_spec(values))
            result = await self._coroutine
            recall.keep(result)
            return result
        raise Reschedule

    def _recalling(self, values: Mapping[Any, Any]) -> Recall:
        """Say which call it is; one that is struck is none, as what comes of it is not the user's."""
        self._recall = Recall(self._shelf, self.spec, self.key, *call_of(self.run_spec, values, self.key))
        return self._recall

    def cancel(self) -> None:
        """End it, as nobody waits for it any more: an isolated one, or a coroutine; a thread runs on."""
        if self.apart is not None:
            self.apart.cancel()
        elif self._coroutine is not None:
            self._cancelled = True
            self._coroutine.cancel()

    @contextmanager
    def _watched(self, values: Mapping[Any, Any]) -> Iterator[context.Context]:
        """Run the block in the context of this attempt; report what it raises, and go on after it."""
        began, clock = time.time(), time.perf_counter()
        surroundings = self._context()
        token = context.current.set(surroundings)
        heard.listen()
        once = None if self.spec.idempotent else self.run
        place = self.box.enter(self.run)
        used = self._usage.reading("apart" if self.apart else "loop" if self.is_coro else "thread")
        try:
            with used:
                yield surroundings
            self._metadata[SPENT] = used.told()
        except Reschedule:
            raise
        except Remembered as known:
            self.report = remembered(known, self._subject(values), began)
        except BaseException as error:
            if self.is_coro and self._closing():
                raise  # the worker is closing and cancels its coroutines: Dask reschedules these
            if not self._cancelled:
                duration_s, subject = time.perf_counter() - clock, self._subject(values)
                self.report = used.into(report(error, subject, began, duration_s, surroundings.warnings))
        finally:
            self.box.leave(place, once)
            context.current.reset(token)
            if self._recall is not None and self.report is not None:
                self._recall.failed(self.report)
            self._end(surroundings)

    def _isolated(self, apart: Apart, values: Mapping[Any, Any], surroundings: context.Context) -> Any:
        try:
            result = apart.run(self._subject(values), self._spec_bytes, surroundings)
        except OSError:
            if not self._closing():
                raise
        if self._closing():
            raise Reschedule  # the worker ended it, and Dask takes the task back
        if apart.report is not None or apart.cancelled:
            self.report = apart.report
            raise Reschedule
        return result

    def _taken_back(self) -> bool:
        """Whether the scheduler changed its mind meanwhile; Dask's worker would run the task all the same."""
        state = self.worker.state.tasks.get(self.key)
        return state is not None and state.state == "cancelled"

    def _end(self, surroundings: context.Context) -> None:
        self._coroutine = self._recall = None  # they hold arguments, the result, or the frames of a failure
        self.notes = surroundings.notes
        self._over()

    def _over(self) -> None:
        self.ended = True  # first this, then the question: the witness does both the other way round
        if self.on_return is not None:
            self.on_return()

    def _closing(self) -> bool:
        return str(self.worker.status.name).startswith("clos")

    def _context(self) -> context.Context:
        spec = self.spec
        attempt = context.Attempt(
            number=self.number,
            max_attempts=self.max_attempts or spec.retry.max_attempts,
            key=str(self.key),
            task=spec.task,
            previous=tuple(msgspec.convert(failure, Failure) for failure in self.previous),
        )
        return context.Context(spec.settings, attempt)

    def _subject(self, values: Mapping[Any, Any]) -> Subject:
        scene = Scene(
            key=self.key,
            number=self.number,
            worker=str(self.worker.name),
            address=self.worker.address,
            clock_offset_s=self.worker.scheduler_delay,
        )
        return Subject(scene, self.spec, self.run_spec, values)
