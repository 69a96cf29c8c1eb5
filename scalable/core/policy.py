"""The retry policy of a task: how often, how long to wait, and what is worth another try."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Literal, get_args

import msgspec

__all__ = ["Jitter", "Retry", "dotted_name"]

MOST_RETRIES = 1_000_000_000
Jitter = Literal["full", "equal", "decorrelated", "none"]
Classifier = Callable[[BaseException], "str | float | None"]


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """When and how often a failed attempt is tried again.

    ``retries`` counts *extra* attempts after the first. The wait before attempt ``k + 1`` is
    ``min(max_delay, base * factor ** (k - 1))`` seconds, then jittered:

    ================  ===================================================================
    ``equal``         half of it for sure, the other half by chance (the default: measured to
                      lose no task when a dependency is away for a while)
    ``full``          anything from nothing to all of it
    ``decorrelated``  between ``base`` and three times the previous wait
    ``none``          exactly it
    ================  ===================================================================

    The jitters are those of Marc Brooker, "Exponential Backoff And Jitter" (AWS, 2015).

    ``deadline`` bounds, in seconds, all attempts and waits of the task together, counted from the start
    of its first attempt. ``transient`` and ``permanent`` are exception classes or dotted names, looked at
    before the built-in rules (``scalable rules`` prints those). ``classify`` is a function of the
    exception that answers ``"transient"``, ``"permanent"``, a number of seconds to wait before the next
    attempt, or ``None`` for "no opinion". ``worker_losses`` is a budget of its own: how often a worker
    may be lost under this task; such a loss uses up none of the ``retries``.

    ``breaker`` says what happens when many tasks of a function fail in a row with the same transient error:
    they are parked, their attempts uncounted, until one that is sent as a probe succeeds, or for at most
    ``patience`` seconds; then they go on as if there was no breaker. It is for tasks with ``retries``.

    Raises ``ValueError`` or ``TypeError``, naming the field, where a value makes no sense.
    """

    retries: int = 3
    base: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: Jitter = "equal"
    deadline: float | None = None
    transient: tuple[Any, ...] = ()
    permanent: tuple[Any, ...] = ()
    classify: Classifier | None = None
    worker_losses: int = 3
    breaker: bool = True
    patience: float = 300.0

    def __post_init__(self) -> None:
        """Check every field, and reduce exception classes to their dotted names."""
        for name in ("retries", "worker_losses"):
            _whole(name, getattr(self, name))
        _number("base", self.base, least=0.0)
        _number("factor", self.factor, least=1.0)
        _number("max_delay", self.max_delay, least=0.0)
        if self.deadline is not None:
            _number("deadline", self.deadline, least=0.0)
        _number("patience", self.patience, least=0.0)
        _switch("breaker", self.breaker)
        if self.jitter not in get_args(Jitter):
            choices = ", ".join(map(repr, get_args(Jitter)))
            msg = f"Retry: jitter must be one of {choices}, not {self.jitter!r}"
            raise ValueError(msg)
        _function("classify", self.classify)
        for name in ("transient", "permanent"):
            msgspec.structs.force_setattr(self, name, _names(name, getattr(self, name)))

    @property
    def max_attempts(self) -> int:
        """The first attempt and every retry."""
        return self.retries + 1


def dotted_name(cls: type) -> str:
    """``module.QualName`` of a class; built-ins keep their bare name."""
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def _whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"Retry: {name} must be a whole number, not {value!r}"
        raise TypeError(msg)
    if not 0 <= value <= MOST_RETRIES:
        msg = f"Retry: {name} must be from 0 to {MOST_RETRIES:,}, not {value!r:.30}"
        raise ValueError(msg)


def _number(name: str, value: object, *, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"Retry: {name} must be a number of seconds or a factor, not {value!r}"
        raise TypeError(msg)
    if not least <= value <= sys.float_info.max:
        msg = f"Retry: {name} must be finite and at least {least:g}, not {value!r}"
        raise ValueError(msg)


def _switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        msg = f"Retry: {name} must be True or False, not {value!r}"
        raise TypeError(msg)


def _function(name: str, value: object) -> None:
    if value is not None and not callable(value):
        msg = f"Retry: {name} must be a function of the exception, not {value!r}"
        raise TypeError(msg)


def _names(field: str, given: object) -> tuple[str, ...]:
    entries = given if isinstance(given, tuple | list | set | frozenset) else (given,)
    return tuple(_exception_name(field, entry) for entry in entries)


def _exception_name(field: str, entry: object) -> str:
    if isinstance(entry, type) and issubclass(entry, BaseException):
        return dotted_name(entry)
    if isinstance(entry, str) and all(part.isidentifier() for part in entry.split(".")):
        return entry.removeprefix("builtins.")
    msg = f"Retry: {field} takes exception classes or dotted names such as 'requests.Timeout', not {entry!r}"
    raise TypeError(msg)
