"""What is known of one failed attempt, as a value."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["Cause", "ExceptionInfo", "Failure", "Kind", "Outcome"]

Kind = Literal["transient", "permanent", "resource", "infrastructure", "unknown"]
Outcome = Literal["error", "timeout", "oom", "died", "worker_lost", "upstream", "cancelled"]


class Cause(msgspec.Struct, frozen=True):
    """One link of an exception's chain: its fully qualified type and its message."""

    type: Annotated[str, Meta(description="Its qualified name.")]
    message: Annotated[str, Meta(description="Its message, 300 bytes of it at most.")]


class ExceptionInfo(msgspec.Struct, frozen=True):
    """An exception in words. ``chain`` lists causes, contexts and group members, nearest first."""

    type: Annotated[str, Meta(description="Its qualified name.")]
    message: Annotated[str, Meta(description="Its message, 4 kB of it at most.")]
    chain: Annotated[tuple[Cause, ...], Meta(description="Causes, contexts and members of groups.")] = ()
    notes: Annotated[tuple[str, ...], Meta(description="What was added by `add_note`.")] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One failed attempt, measured where it happened.

    ``duration_s`` is the time of this attempt alone, in seconds, ``cpu_s`` what it used of processors;
    ``started_at`` is seconds since the epoch on the scheduler's clock; ``wait_s`` is a wait that the failure
    itself asked for (``retry_after``, ``Retry-After``). ``root`` is the key of the task whose failure kept
    this one from running, as records have it. ``warnings`` were issued by the task before it failed;
    ``output`` is the end of what an isolated task printed. ``remembered`` is the run in which it was seen,
    where that was an earlier one, and the call was not made again.
    """

    outcome: Outcome
    kind: Kind
    rule: str
    exception: ExceptionInfo
    wait_s: float | None = None
    root: str | None = None
    call: str | None = None
    traceback: str | None = None
    fingerprint: str | None = None
    attempt: int | None = None
    worker: str | None = None
    address: str | None = None
    host: str | None = None
    pid: int | None = None
    exit_code: int | None = None
    signal: str | None = None
    started_at: float | None = None
    duration_s: float | None = None
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None
    injected: bool = False
    remembered: str | None = None
    warnings: tuple[str, ...] = ()
    output: str | None = None
