"""One attempt at a task, on the worker: call, catch, and turn what was caught into a message.

An :class:`Attempt` stands in the place of the task's ``run_spec``. A failure never leaves it as an
exception: the attempt keeps a report and asks Dask to reschedule, and :mod:`scalable.engine.witness` sends
the report just ahead of that request. Whether there is a next attempt is decided on the scheduler.
"""

from __future__ import annotations

import linecache
import os
import socket
import time
import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import msgspec
from distributed import Reschedule

from scalable import context
from scalable.core.classify import Verdict, classify
from scalable.core.failure import Cause, ExceptionInfo, Failure
from scalable.core.policy import dotted_name
from scalable.core.text import clean, clip, fingerprint
from scalable.engine import travel
from scalable.engine.describe import call_text
from scalable.engine.messages import Order, Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from dask._task_spec import GraphNode
    from distributed.worker import Worker

__all__ = ["Attempt"]

MESSAGE_BYTES, TRACEBACK_BYTES, CAUSE_BYTES = 4096, 5000, 300
MOST_CAUSES, MOST_NOTES, FINGERPRINT_FRAMES = 8, 5, 5

_HOST = socket.gethostname()


class Attempt:
    """Runs the task in the context of its attempt; afterwards ``report`` or ``notes`` say what happened."""

    __slots__ = (
        "_spec_bytes", "key", "max_attempts", "notes", "number", "previous", "report", "run_spec", "worker",
    )  # fmt: skip

    def __init__(self, run_spec: GraphNode, worker: Worker, key: Any, order: Order) -> None:
        self.run_spec = run_spec
        self.worker = worker
        self.key = key
        self.number: int = order.get("attempt", 1)
        self.max_attempts: int | None = order.get("max_attempts")
        self.previous: tuple[Any, ...] = order.get("previous", ())
        self._spec_bytes: bytes = order["spec"]
        self.report: dict[str, Any] | None = None
        self.notes: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        """All else is the task's own: Dask asks for its dependencies, its name, whether it is async."""
        return getattr(self.run_spec, name)

    @property
    def spec(self) -> Spec:
        """What the session wants for this task."""
        return Spec.loads(self._spec_bytes)

    def __call__(self, values: Mapping[Any, Any] = ()) -> Any:  # type: ignore[assignment]
        """Run the task; a coroutine function gives a coroutine, as Dask expects."""
        if self.run_spec.is_coro:
            return self._run_async(values)
        began, clock = time.time(), time.perf_counter()
        surroundings = self._context()
        token = context.current.set(surroundings)
        try:
            return self.run_spec(values)
        except Reschedule:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a task raises is an outcome to report
            self.report = self._failed(error, began, time.perf_counter() - clock, values)
        finally:
            context.current.reset(token)
            self.notes = surroundings.notes
        raise Reschedule

    def _run_async(self, values: Mapping[Any, Any]) -> Coroutine[Any, Any, Any]:
        return self._awaited(self.run_spec, values)

    async def _awaited(self, call: Callable[[Any], Any], values: Mapping[Any, Any]) -> Any:
        began, clock = time.time(), time.perf_counter()
        surroundings = self._context()
        token = context.current.set(surroundings)
        try:
            return await call(values)
        except Reschedule:
            raise
        except BaseException as error:
            if self.worker.status.name.startswith("clos"):
                raise  # the worker is closing and cancels its coroutines: Dask reschedules these
            self.report = self._failed(error, began, time.perf_counter() - clock, values)
        finally:
            context.current.reset(token)
            self.notes = surroundings.notes
        raise Reschedule

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

    def _failed(
        self, error: BaseException, began: float, duration_s: float, values: Mapping[Any, Any]
    ) -> dict[str, Any]:
        """Describe the failure in words and bytes, whatever the exception is like; it is not kept."""
        try:
            return self._described(error, began, duration_s, values)
        except BaseException:  # noqa: BLE001 - the exception's own code ran, and failed
            return self._described(travel.stand_in(error), began, duration_s, values)

    def _described(
        self, error: BaseException, began: float, duration_s: float, values: Mapping[Any, Any]
    ) -> dict[str, Any]:
        verdict = self._verdict(error)
        frames = _user_frames(error)
        failure = Failure(
            outcome="oom" if isinstance(error, MemoryError) else "error",
            kind=verdict.kind,
            rule=verdict.rule,
            wait_s=verdict.wait_s,
            exception=_info(error),
            call=call_text(self.run_spec, values or {}, self.key, self.spec.settings.redact),
            traceback=_traceback_text(error),
            fingerprint=fingerprint(dotted_name(type(error)), travel.text_of(error), frames),
            attempt=self.number,
            worker=str(self.worker.name),
            address=self.worker.address,
            host=_HOST,
            pid=os.getpid(),
            started_at=began + self.worker.scheduler_delay,
            duration_s=duration_s,
        )
        parcel = travel.pack(error)
        return {
            "failure": msgspec.to_builtins(failure),
            "parcel": msgspec.to_builtins(parcel, builtin_types=(bytes,)),
        }

    def _verdict(self, error: BaseException) -> Verdict:
        try:
            return classify(error, self.spec.full_policy(), now=time.time())
        except BaseException:  # noqa: BLE001 - a policy's function, a property of the error may raise anything
            return Verdict("unknown", "classify-failed")


def _info(error: BaseException) -> ExceptionInfo:
    others = list(travel.related(error))[1 : MOST_CAUSES + 1]
    return ExceptionInfo(
        type=clean(dotted_name(type(error))),
        message=clip(travel.text_of(error), MESSAGE_BYTES),
        chain=tuple(Cause(clean(dotted_name(type(o))), clip(travel.text_of(o), CAUSE_BYTES)) for o in others),
        notes=tuple(clip(note, CAUSE_BYTES) for note in travel.notes_of(error)[:MOST_NOTES]),
    )


def _traceback_text(error: BaseException) -> str:
    """The traceback as Python prints it, without the engine's frames, within bounds."""
    trace = travel.own_frames(error.__traceback__)
    try:
        lines = traceback.format_exception(type(error), error, trace, limit=-30)
    except BaseException:  # noqa: BLE001 - formatting calls the __str__ of the error and of its causes
        lines = traceback.format_tb(trace, limit=-30)
    return _middle_out("".join(lines), TRACEBACK_BYTES)


def _middle_out(text: str, limit: int) -> str:
    """Cut the middle: the first frames are the user's call, the last lines say what went wrong."""
    if len(text) <= limit // 2:
        return clip(text, limit)
    half = limit // 2 - 20
    if len(text) > limit - 40:
        text = text[:half] + "\n  … [cut] …\n" + text[-half:]
    return clip(text, limit)


def _user_frames(error: BaseException) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    trace = travel.own_frames(error.__traceback__)
    while trace is not None:
        code = trace.tb_frame.f_code
        line = linecache.getline(code.co_filename, trace.tb_lineno).strip()
        found.append((PurePath(code.co_filename).name, code.co_name, line))
        trace = trace.tb_next
    return found[-FINGERPRINT_FRAMES:]
