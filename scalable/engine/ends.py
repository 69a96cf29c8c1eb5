"""Ends of an attempt that no exception of its own tells of: too long, too large, or its process died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dask.utils import format_bytes

from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.text import fingerprint
from scalable.engine.isolated.output import tail
from scalable.engine.reporting import packed
from scalable.engine.travel import pack
from scalable.errors import OutOfMemory, TaskDied, TaskTimeout

if TYPE_CHECKING:
    from scalable.engine.isolated.wire import Status
    from scalable.engine.messages import Spec
    from scalable.engine.reporting import Report, Subject
    from scalable.errors import ScalableError

__all__ = ["OVERRUN", "TOO_LARGE", "overrun", "process_ended"]

OVERRUN: Final[dict[str, Any]] = {"outcome": "timeout", "kind": "transient", "rule": "timeout"}
TOO_LARGE: Final[dict[str, Any]] = {"outcome": "oom", "kind": "resource", "rule": "out-of-memory"}
DIED: Final[dict[str, Any]] = {"outcome": "died", "kind": "unknown", "rule": "process-died"}


def overrun(call: str, limit_s: float, what: str = "its limit") -> TaskTimeout:
    """The exception for an attempt that ran longer than the task's ``timeout``, or its deadline allowed."""
    return TaskTimeout(f"{call} exceeded {what} of {limit_s:g} s", limit_s=limit_s)


def process_ended(
    status: Status | None, subject: Subject, began: float, duration_s: float, output: str
) -> Report:
    """Describe the end of an isolated process that gave no answer; no status: its keeper died."""
    call = subject.call or str(subject.scene.key)
    sort, error = _judged(status, call, subject.spec)
    parcel = pack(error, subject.spec.secrets)
    failure = Failure(
        exception=ExceptionInfo(parcel.type, parcel.words),
        fingerprint=fingerprint(parcel.type, str(error), ()),
        pid=status.pid if status else None,
        exit_code=status.exit_code if status else None,
        signal=status.signal if status else None,
        peak_rss_bytes=status.peak_rss_bytes if status else None,
        cpu_s=status.cpu_s if status else None,
        output=tail(output),
        **sort,
        **subject.circumstances(began, duration_s),
    )
    return packed(failure, parcel)


def _judged(status: Status | None, call: str, spec: Spec) -> tuple[dict[str, Any], ScalableError]:
    if status is not None and status.why == "timeout" and spec.timeout_s is not None:
        return OVERRUN, overrun(call, spec.timeout_s)
    if status is not None and status.why == "oom":
        return TOO_LARGE, _too_large(status, call, spec)
    fields = {"exit_code": status.exit_code, "signal": status.signal} if status else {}
    return DIED, TaskDied(f"the isolated process of {call} {_death(status)}", **fields)


def _too_large(status: Status, call: str, spec: Spec) -> OutOfMemory:
    peak, limit = status.peak_rss_bytes or 0, spec.memory_bytes
    words = f"{call} ran out of memory: peak {format_bytes(peak)}, "
    if limit is not None and peak > limit:
        words += f"limit {format_bytes(limit)} of component {spec.component}"
    else:
        words += "and the machine or container had no more"
    return OutOfMemory(words, peak_rss_bytes=peak, limit_bytes=limit)


def _death(status: Status | None) -> str:
    if status is None:
        return "ended with its keeper, which was killed or could not start"
    if status.words is not None:
        return f"could not be started: {status.words}"
    if status.signal is not None:
        return f"was killed by {status.signal}"
    return f"ended with exit code {status.exit_code} before it answered"
