"""What is known of one failed attempt, as a value."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Cause", "ExceptionInfo", "Failure", "Kind", "Outcome"]

Kind = Literal["transient", "permanent", "resource", "infrastructure", "unknown"]
Outcome = Literal["error", "timeout", "oom", "died", "worker_lost", "upstream", "cancelled"]


class Cause(msgspec.Struct, frozen=True):
    """One link of an exception's chain: its fully qualified type and its message."""

    type: str
    message: str


class ExceptionInfo(msgspec.Struct, frozen=True):
    """An exception in words. ``chain`` lists causes, contexts and group members, nearest first."""

    type: str
    message: str
    chain: tuple[Cause, ...] = ()
    notes: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One failed attempt, measured where it happened.

    ``duration_s`` is the time of this attempt alone, in seconds; ``started_at`` is seconds since the
    epoch on the scheduler's clock; ``wait_s`` is a wait that the failure itself asked for
    (``retry_after``, ``Retry-After``). ``root`` is the key of the task whose failure kept this one from
    running, as records have it. ``warnings`` were issued by the task before it failed; ``output`` is the
    end of what an isolated task printed.
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
    peak_rss_bytes: int | None = None
    injected: bool = False
    warnings: tuple[str, ...] = ()
    output: str | None = None
