"""What is told of a failed attempt, made where the exception object lives: on the worker, or in its child.

A report is a :class:`~scalable.core.failure.Failure` and the exception as a parcel, both as plain data. After
it nobody needs the exception any more.
"""

from __future__ import annotations

import linecache
import os
import socket
import time
import traceback
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import msgspec
from dask._task_spec import GraphNode

from scalable.core.classify import Verdict, classify
from scalable.core.failure import Cause, ExceptionInfo, Failure
from scalable.core.policy import dotted_name
from scalable.core.text import TRACEBACK_BYTES, clean, clip, fingerprint
from scalable.engine import travel
from scalable.engine.describe import call_text
from scalable.engine.messages import Spec
from scalable.engine.sources import Skip
from scalable.engine.strike import Struck
from scalable.errors import UpstreamFailed, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalable.core.policy import Retry
    from scalable.core.redact import Redactor
    from scalable.engine.sources import Hole
    from scalable.resume.shelf import Remembered

__all__ = ["Report", "Scene", "Subject", "packed", "remembered", "report", "within_a_line"]

CAUSE_BYTES = 300
MOST_CAUSES, MOST_NOTES, FINGERPRINT_FRAMES = 8, 5, 5
FAILURE_BYTES = 14_500  # of a line in the journal, which may have 16 000 with what the scheduler adds

_HOST = socket.gethostname()

Report = dict[str, Any]


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempt it is and on which worker; ``clock_offset_s`` leads to the scheduler's clock."""

    key: Any
    number: int
    worker: str
    address: str
    clock_offset_s: float


class Subject(msgspec.Struct, frozen=True):
    """What was attempted: where, for which session, which task with which inputs, as far as is known."""

    scene: Scene
    spec: Spec
    run_spec: GraphNode | Struck | None
    values: Mapping[Any, Any] | None

    @property
    def call(self) -> str | None:
        """The call in words, ``None`` where the task could not be loaded."""
        if self.run_spec is None:
            return None
        run_spec = self.run_spec.run_spec if isinstance(self.run_spec, Struck) else self.run_spec
        return call_text(run_spec, self.values or {}, self.scene.key, self.spec.secrets)

    def circumstances(self, began: float, duration_s: float) -> dict[str, Any]:
        """The fields of a failure that do not depend on what went wrong."""
        return {
            "call": self.call,
            "attempt": self.scene.number,
            "worker": self.scene.worker,
            "address": self.scene.address,
            "host": _HOST,
            "started_at": began + self.scene.clock_offset_s,
            "duration_s": duration_s,
            "injected": isinstance(self.run_spec, Struck) and self.run_spec.injected,
        }


def report(
    error: BaseException, subject: Subject, began: float, duration_s: float, warnings: Sequence[str] = ()
) -> Report:
    """Describe a failure in words and bytes, whatever the exception is like; it is not kept."""
    facts = {**subject.circumstances(began, duration_s), "pid": os.getpid(), "warnings": tuple(warnings)}
    if isinstance(error, Skip):
        return _skipped(error.hole, facts, subject.spec.secrets)
    try:
        return _described(error, subject.spec, facts)
    except BaseException:  # noqa: BLE001 - the exception's own code ran, and failed
        return _described(travel.stand_in(error), subject.spec, facts)


def _skipped(hole: Hole, facts: dict[str, Any], secrets: Redactor) -> Report:
    call = facts["call"]
    words = f"{call} did not run, because {hole.root} failed: {hole.words}"
    error = travel.pack(UpstreamFailed(words, root=hole.root), secrets)
    facts = {
        **facts,
        "attempt": None,
        "root": hole.root,
        "exception": ExceptionInfo(error.type, error.words),
    }
    return packed(Failure(outcome="upstream", kind="permanent", rule="upstream", **facts), error)


def remembered(known: Remembered, subject: Subject, began: float) -> Report:
    """Report a call that is not made, as it failed for good in an earlier run, or had only begun there."""
    facts = {**subject.circumstances(began, 0.0), "pid": os.getpid(), "remembered": known.run}
    if known.failure is not None and known.parcel is not None:
        return {"failure": {**known.failure, **facts}, "parcel": known.parcel}
    words = f"{facts['call']} had begun when {known.run} ended, and idempotent=False forbids to run it again"
    facts |= {"outcome": "worker_lost", "kind": "infrastructure", "rule": "worker-lost"}
    error = WorkerLost(words)
    return packed(
        Failure(exception=ExceptionInfo(dotted_name(WorkerLost), words), **facts), travel.pack(error)
    )


def packed(failure: Failure, error: travel.Parcel) -> Report:
    """Turn both into plain data."""
    return {
        "failure": msgspec.to_builtins(within_a_line(failure)),
        "parcel": msgspec.to_builtins(error, builtin_types=(bytes,)),
    }


def within_a_line(failure: Failure) -> Failure:
    """Leave out the last warnings, then the output, where a line of the journal would get too long."""
    while failure.warnings and _too_long(failure):
        kept = len(failure.warnings) * 3 // 4
        failure = msgspec.structs.replace(failure, warnings=failure.warnings[:kept])
    return msgspec.structs.replace(failure, output=None) if _too_long(failure) else failure


def _too_long(failure: Failure) -> bool:
    return len(msgspec.json.encode(failure)) > FAILURE_BYTES


def _described(error: BaseException, spec: Spec, facts: dict[str, Any]) -> Report:
    verdict, secrets = _verdict(error, spec.full_policy), spec.secrets
    frames = _user_frames(error, secrets)
    parcel = travel.pack(error, secrets)
    failure = Failure(
        outcome="oom" if isinstance(error, MemoryError) else "error",
        kind=verdict.kind,
        rule=verdict.rule,
        wait_s=verdict.wait_s,
        exception=_info(error, parcel.words, secrets),
        traceback=_traceback_text(error, secrets),
        fingerprint=fingerprint(dotted_name(type(error)), parcel.words, frames),
        **facts,
    )
    return packed(failure, parcel)


def _verdict(error: BaseException, policy: Any) -> Verdict:
    try:
        rules: Retry = policy()
        return classify(error, rules, now=time.time())
    except BaseException as failed:  # noqa: BLE001 - a policy's function, a property of the error may raise
        return Verdict("unknown", f"classify-failed: {clean(dotted_name(type(failed)))}")


def _info(error: BaseException, message: str, secrets: Redactor) -> ExceptionInfo:
    """What is cut is redacted before: half a secret could not be told from other text."""

    def cut(text: str) -> str:
        return clip(secrets.bounded(text), CAUSE_BYTES)

    others = list(travel.related(error))[1 : MOST_CAUSES + 1]
    return ExceptionInfo(
        type=clean(dotted_name(type(error))),
        message=message,
        chain=tuple(Cause(clean(dotted_name(type(o))), cut(travel.text_of(o))) for o in others),
        notes=tuple(cut(note) for note in travel.notes_of(error)[:MOST_NOTES]),
    )


def _traceback_text(error: BaseException, secrets: Redactor) -> str:
    """The traceback as Python prints it, without the engine's frames, within bounds."""
    trace = travel.own_frames(error.__traceback__)
    try:
        lines = traceback.format_exception(type(error), error, trace, limit=-30)
    except BaseException:  # noqa: BLE001 - formatting calls the __str__ of the error and of its causes
        lines = traceback.format_tb(trace, limit=-30)
    return _middle_out(secrets.bounded("".join(lines)), TRACEBACK_BYTES)


def _middle_out(text: str, limit: int) -> str:
    """Cut the middle: the first frames are the user's call, the last lines say what went wrong."""
    if len(text) <= limit // 2:
        return clip(text, limit)
    half = limit // 2 - 20
    if len(text) > limit - 40:
        text = text[:half] + "\n  … [cut] …\n" + text[-half:]
    return clip(text, limit)


def _user_frames(error: BaseException, secrets: Redactor) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    trace = travel.own_frames(error.__traceback__)
    while trace is not None:
        code = trace.tb_frame.f_code
        line = secrets.bounded(linecache.getline(code.co_filename, trace.tb_lineno).strip())
        found.append((PurePath(code.co_filename).name, code.co_name, line))
        trace = trace.tb_next
    return found[-FINGERPRINT_FRAMES:]
