"""The attempt that is running here and now, and the settings of the session it belongs to.

``engine/worker/attempt`` enters a :class:`Context` around each attempt; the cache and the user's own code
look into it. It lives in one context variable. Threads that a user starts do not inherit that, and still
belong to a session: for them :class:`Process` knows which there are. The two are the only mutable global
state of the package.
"""

from __future__ import annotations

import os
import re
import sys
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.failure import Failure
from scalable.core.redact import Redactor

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "Attempt",
    "Context",
    "Process",
    "Results",
    "Settings",
    "current",
    "current_attempt",
    "hidden",
    "main_module",
    "note",
    "process",
    "settings",
]

MAIN = ("__main__", "__mp_main__")  # the second is what spawned processes call it while they load it


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Where results are kept for a run that goes on from this one, and whether this one goes on from others.

    The ``token`` lies in the ``directory``: one of that name without it is another host's. Without ``keep``
    results are only found. A result of more than ``most_result_bytes`` is not kept, nor any once there are
    ``most_bytes``. With ``rerun_changed`` a result counts only where its function is the same.
    ``environment`` digests what the session says of it; ``started`` is when that began, in seconds since the
    epoch.
    """

    directory: str
    token: str
    keep: bool = True
    most_result_bytes: int
    most_bytes: int
    resumed: bool = False
    rerun_changed: bool = False
    environment: str = ""
    started: float = 0.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's tasks must know on the worker: where the cache and results are, what to hide.

    ``redact`` has names and ``/patterns/``, ``secrets`` the names of variables of the environment that hold
    secrets: their values are looked up where they are needed, and travel with nothing. ``main`` is the name
    of the session's main module as others would import it.
    """

    cache_dir: str | None = None
    cache_size_limit: int | None = None
    redact: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    main: str | None = None
    results: Results | None = None


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


@lru_cache(maxsize=64)
def hidden(about: Settings) -> Redactor:
    """Return what takes the secrets of a session out of text; values are those of this process."""
    return Redactor(about.redact, [os.environ[name] for name in about.secrets if name in os.environ])


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
