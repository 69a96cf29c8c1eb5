"""The attempt that is running here and now, and the settings of the session it belongs to.

``engine/attempt`` enters a :class:`Context` around each attempt; the cache and the user's own code
look into it. It lives in one context variable, the only mutable global state of the package.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import msgspec

from scalable.core.failure import Failure

__all__ = ["Attempt", "Context", "Settings", "current", "current_attempt", "note", "settings"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's tasks must know on the worker: where the cache is, what to hide."""

    cache_dir: str | None = None
    cache_size_limit: int | None = None
    redact: tuple[str, ...] = ()


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at a task, as seen from inside the task.

    ``number`` counts from 1; ``previous`` holds the earlier failures of this task, oldest first.
    """

    number: int
    max_attempts: int
    key: str
    task: str | None = None
    previous: tuple[Failure, ...] = ()


class Context:
    """What surrounds running code: the session's settings, the attempt, and the notes it leaves."""

    __slots__ = ("attempt", "notes", "settings")

    def __init__(self, settings: Settings, attempt: Attempt | None = None) -> None:
        self.settings = settings
        self.attempt = attempt
        self.notes: list[dict[str, Any]] = []


_NOWHERE = Context(Settings())

current: ContextVar[Context] = ContextVar("scalable", default=_NOWHERE)


def current_attempt() -> Attempt | None:
    """Return the attempt that this code runs in, or ``None`` outside a task."""
    return current.get().attempt


def settings() -> Settings:
    """Return the settings of the session that this code runs under; defaults outside one."""
    return current.get().settings


def note(**fields: Any) -> None:
    """Leave a note that travels back with the attempt's outcome; lost outside an attempt."""
    context = current.get()
    if context.attempt is not None:
        context.notes.append(fields)
