"""Warnings that a task issues, kept with its attempt.

``warnings.showwarning`` is the interpreter's one place for them, so one function stands there for all workers
of a process. It hands each warning on to what was there before, and no filter is touched.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from scalable import context
from scalable.core.text import clip

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["listen", "stop"]

MOST_WARNINGS, WARNING_BYTES = 100, 500


class _Listener:
    """Stands in the place of ``warnings.showwarning``."""

    def __init__(self, before: Callable[..., None]) -> None:
        self.before = before

    def __call__(
        self, message: Any, category: Any, filename: str, lineno: int, *rest: Any, **named: Any
    ) -> None:
        with suppress(Exception):  # the warning's own text is code of a task
            _keep(message, category, filename, lineno)
        self.before(message, category, filename, lineno, *rest, **named)


def listen() -> None:
    """Listen from now on, if nobody does: who records warnings in between takes our place away."""
    if not isinstance(warnings.showwarning, _Listener):
        warnings.showwarning = _Listener(warnings.showwarning)


def stop() -> None:
    """Put back what was there before us."""
    if isinstance(warnings.showwarning, _Listener):
        warnings.showwarning = warnings.showwarning.before


def _keep(message: Any, category: Any, filename: str, lineno: int) -> None:
    surroundings = context.current.get()
    if surroundings.attempt is not None and len(surroundings.warnings) < MOST_WARNINGS:
        place = f"{PurePath(filename).name}:{lineno}"
        words = context.hidden(surroundings.settings).bounded(f"{category.__name__}: {message}")
        surroundings.warnings.append(clip(f"{words} ({place})", WARNING_BYTES))
