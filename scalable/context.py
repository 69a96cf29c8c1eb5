"""The attempt that is running here and now, and the settings of the session it belongs to.

``engine/worker/attempt`` enters a :class:`Context` around each attempt; the cache and the user's own code
look into it. It lives in one context variable. Threads that a user starts do not inherit that, and still
belong to a session: for them :class:`Process` knows which there are. The two are the only mutable global
state of the package.
"""

from __future__ import annotations

import re
import sys
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.failure import Failure

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "Attempt",
    "Context",
    "Process",
    "Settings",
    "current",
    "current_attempt",
    "main_module",
    "note",
    "process",
    "settings",
]

MAIN = ("__main__", "__mp_main__")  # the second is what spawned processes call it while they load it


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's tasks must know on the worker: where the cache is, what to hide.

    ``main`` is the name of the session's main module as others would import it.
    """

    cache_dir: str | None = None
    cache_size_limit: int | None = None
    redact: tuple[str, ...] = ()
    main: str | None = None


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
    """What surrounds running code: the session's settings, the attempt, the notes and warnings it leaves."""

    __slots__ = ("attempt", "damages_cache", "notes", "settings", "warnings")

    def __init__(self, settings: Settings, attempt: Attempt | None = None) -> None:
        self.settings = settings
        self.attempt = attempt
        self.notes: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.damages_cache = False  # the next entry that is looked up, on purpose
        if attempt is not None:
            process.ran.add(settings)


class Process:
    """The settings of sessions that are open in this process, or that had attempts run in it.

    Only code without a context of its own asks: a thread that a workflow or a task has started.
    """

    def __init__(self) -> None:
        self.opened: list[Settings] = []
        self.ran: set[Settings] = set()
        self.is_client = False

    def open(self, settings: Settings) -> None:
        """Note that a session is open; the newest counts, as it does where it was opened."""
        self.is_client = True
        self.opened.append(settings)

    def close(self, settings: Settings) -> None:
        """Note that it is closed."""
        if settings in self.opened:
            self.opened.remove(settings)

    def settings(self) -> Settings:
        """Of the newest open session; on a worker of the only one it has worked for: nothing is guessed."""
        if self.opened:
            return self.opened[-1]
        known = [] if self.is_client else list(self.ran)
        return known[0] if len(known) == 1 else _NOWHERE.settings


process = Process()

_NOWHERE = Context(Settings())

current: ContextVar[Context] = ContextVar("scalable", default=_NOWHERE)


def current_attempt() -> Attempt | None:
    """Return the attempt that this code runs in, or ``None`` outside a task."""
    return current.get().attempt


def settings() -> Settings:
    """Return the settings of the session that this code runs under; defaults outside one."""
    context = current.get()
    return process.settings() if context is _NOWHERE else context.settings


def main_module(name: str = MAIN[0]) -> str:
    """Name the main module as others would import it, by its ``-m`` or its file; at a prompt as it is."""
    if (told := settings().main) is not None:
        return told
    found = (_name_of(sys.modules.get(each)) for each in (name, *MAIN))
    return next(filter(None, found), MAIN[0])


@lru_cache(maxsize=8)
def _name_of(module: ModuleType | None) -> str | None:
    """Remembered, because each look-up in the cache asks."""
    spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
    if spec is not None and spec.name not in MAIN:
        return str(spec.name)
    if not isinstance(file, str):
        return None
    stem = Path(file).stem
    return stem if stem.isidentifier() else "workflow_" + re.sub(r"\W", "_", stem)


def note(**fields: Any) -> None:
    """Leave a note that travels back with the attempt's outcome; lost outside an attempt."""
    context = current.get()
    if context.attempt is not None:
        context.notes.append(fields)
