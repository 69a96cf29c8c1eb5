"""What is to go wrong, when, and for whom: a plan of faults as a user writes it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

import msgspec

from scalable.errors import PlanError
from scalable.faults.kinds import (
    DEFAULT_ERRORS,
    DEFAULT_KINDS,
    DESTRUCTIVE,
    FAULT,
    LONGEST_PATTERN,
    MOST_CALLS,
    PASS,
    Kind,
)
from scalable.faults.replay import Replay, read

__all__ = ["WHEN", "FaultPlan", "Target", "parse", "plan_of"]

MOST_S = 366 * 24 * 3600.0
SHARE = "0 to 1, or 0% to 100%"
WHEN = ("probability", "pattern", "first", "every", "at", "replay")
"""The strategies, of which a plan has one."""


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom faults may strike: by task name, function, component, worker and attempt; ``None`` is anybody."""

    task: str | None = None
    function: str | None = None
    component: str | None = None
    worker: str | None = None
    attempt: int | None = None


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults that are to strike the attempts of a session's tasks, for testing how a workflow bears them.

    ``kind`` is what happens:

    ==================  =================================================================================
    ``raise``           one of ``errors`` is raised, before the function or, with ``when="after"``, after it
    ``dependency``      the task ends as if an input of it had failed
    ``delay``           the attempt begins ``delay`` seconds later
    ``hang``            it does not end by itself, for ``max_hang`` seconds at most
    ``timeout``         it overruns its limit; without one, ``TaskTimeout`` is raised
    ``memory``          ``MemoryError``; with ``memory="allocate"`` an isolated attempt really takes memory
    ``ulimit``          it runs out of file descriptors
    ``worker-killed``   the process of its worker is killed
    ``manager-killed``  its worker and the nanny that would start it again are killed
    ``node-killed``     all workers of its host are killed at once
    ``cache-corrupt``   what the cache has stored of its calls is damaged before it is read
    ``random``          one of ``kinds``, by chance
    ==================  =================================================================================

    When is said by one of: ``probability`` (0 to 1, or ``"25%"``), of each attempt; ``pattern``
    (``"XOOOOXOO"``: X a fault, O none, over and over), of the calls in the order of their submission;
    ``first`` (the first k attempts of every task); ``every`` (every n-th call); ``at`` (pairs of a key or
    task name, and an attempt, or texts such as ``fit:2``); ``replay`` (a file that ``scalable faults dump``
    wrote: the same faults again, whatever ``kind`` says).

    ``errors`` are names of exceptions: a pattern gives each X the next one, the others draw one. ``target``
    limits whom, ``budget`` how often. ``permanent=True`` strikes every attempt of a task whose first was
    struck. The same ``seed`` gives the same faults, in whatever order and wherever the attempts run.

    Raises ``PlanError``, which says what is wrong.
    """

    kind: Kind = "raise"
    probability: float | None = None
    pattern: str | None = None
    first: int | None = None
    every: int | None = None
    at: tuple[tuple[str, int], ...] = ()
    replay: Replay | str | None = None
    errors: tuple[str, ...] = DEFAULT_ERRORS
    kinds: tuple[Kind, ...] = DEFAULT_KINDS
    target: Target = Target()
    budget: int | None = None
    permanent: bool = False
    seed: int = 0
    when: Literal["before", "after"] = "before"
    delay: float = 1.0
    max_hang: float = 600.0
    memory: Literal["raise", "allocate"] = "raise"
    allow_destructive: bool = False

    def __post_init__(self) -> None:
        """Read what is given as text, and check every field."""
        put = msgspec.structs.force_setattr
        if self.probability is not None:
            put(self, "probability", _probability(self.probability))
        put(self, "errors", _names("errors", self.errors) or DEFAULT_ERRORS)
        put(self, "kinds", _names("kinds", self.kinds))
        put(self, "at", _moments(self.at))
        if isinstance(self.replay, str | PathLike):
            put(self, "replay", read(self.replay))
        put(self, "target", _target(self.target))
        self._check_kinds()
        self._check_amounts()
        self._check_types()
        self._check_when()
        for name in {*self.errors, *self.raised}:
            if not all(part.isidentifier() for part in name.split(".")):
                _refuse("errors", f"{name!r} is no name of an exception")

    @property
    def possible(self) -> frozenset[Kind]:
        """The kinds that may happen."""
        if isinstance(self.replay, Replay):
            return self.replay.kinds
        return frozenset(self.kinds) if self.kind == "random" else frozenset({self.kind})

    @property
    def raised(self) -> tuple[str, ...]:
        """The names of the exceptions that may be raised."""
        return self.replay.errors if isinstance(self.replay, Replay) else self.errors

    @classmethod
    def from_toml(cls, path: str | PathLike[str]) -> FaultPlan:
        """Read a plan from a TOML file: its fields at the top, or in a table ``[faults]``.

        Raises ``PlanError`` for a file that cannot be read, and for what is wrong in it.
        """
        try:
            with Path(path).open("rb") as file:
                found = tomllib.load(file)
        except (OSError, ValueError, RecursionError) as error:
            msg = f"{path} holds no fault plan: {getattr(error, 'strerror', None) or error}"
            raise PlanError(msg) from error
        return plan_of(found.get("faults", found) if found.keys() <= {"faults"} else found)

    def _check_kinds(self) -> None:
        _known("kind", [self.kind])
        _known("kinds", self.kinds)
        if "random" in self.kinds:
            _refuse("kinds", "'random' stands for the others")
        if not self.kinds:
            _refuse("kinds", "names nothing to draw from")
        destructive = sorted(self.possible & DESTRUCTIVE)
        if destructive and not self.allow_destructive:
            _refuse("kind", f"{destructive[0]!r} kills processes: it takes allow_destructive=True")

    def _check_types(self) -> None:
        """Refuse what no file could hold: Python lets a caller give anything."""
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            try:
                msgspec.convert(msgspec.structs.asdict(value) if value is self.target else value, field.type)
            except msgspec.ValidationError as error:
                _refuse(field.name, f"takes something else than {value!r:.60}: {error}")

    def _check_when(self) -> None:
        given = [name for name in WHEN if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            also = f", not {' and '.join(given)}" if given else ""
            _refuse("when it strikes", f"takes one of {', '.join(WHEN)}{also}")
        if self.pattern is not None and (
            set(self.pattern) - {FAULT, PASS} or len(self.pattern) > LONGEST_PATTERN
        ):
            _refuse("pattern", f"takes X for a fault and O for none, at most {LONGEST_PATTERN:,} of them")
        if self.pattern is not None and FAULT not in self.pattern:
            _refuse("pattern", "has no X, so nothing would ever fail")
        if self.kind == "dependency" and self.target.attempt not in (None, 1):
            _refuse("target", "a dependency fails before the first attempt, so attempt is 1 there")

    def _check_amounts(self) -> None:
        for name, least in (("first", 1), ("every", 1), ("budget", 0)):
            _whole(name, getattr(self, name), least)
        _whole("target.attempt", self.target.attempt, 1)
        _whole("seed", self.seed, -MOST_CALLS)
        for name in ("delay", "max_hang"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_S:
                _refuse(name, f"takes seconds, at most a year, not {value!r}")
        for name, choices in (("when", ("before", "after")), ("memory", ("raise", "allocate"))):
            if getattr(self, name) not in choices:
                _refuse(name, f"takes {' or '.join(choices)}, not {getattr(self, name)!r}")


def parse(text: str) -> FaultPlan:
    """Read a plan from ``kind=worker-killed,probability=0.1,seed=7``.

    Members of a list are joined by ``+``: ``errors=ValueError+OSError``; ``target.task=fit`` names whom.
    """
    fields: dict[str, Any] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals:
            _refuse(repr(part), "takes the form name=value")
        place, name = (
            (fields.setdefault("target", {}), name[7:]) if name.startswith("target.") else (fields, name)
        )
        if name in place:
            _refuse(name, "is given twice")
        place[name] = value.split("+") if name in ("errors", "kinds", "at") else value
    return plan_of(fields)


def plan_of(fields: Any) -> FaultPlan:
    """Make a plan of what was read from a file, a line of text or a manifest; numbers may be text there."""
    if isinstance(fields, dict) and isinstance(fields.get("probability"), str):
        fields = {**fields, "probability": _probability(fields["probability"])}
    if isinstance(fields, dict) and isinstance(fields.get("at"), list | tuple):
        fields = {**fields, "at": _moments(fields["at"])}
    if isinstance(fields, dict):  # msgspec would not say what there is
        _known("kind", [fields.get("kind", "raise")])
    try:
        return msgspec.convert(fields, FaultPlan, strict=False)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, PlanError):
            raise error.__cause__ from None
        msg = f"the fault plan is wrong: {error}"
        raise PlanError(msg) from None


def _known(name: str, kinds: Any) -> None:
    for kind in kinds:
        if kind not in get_args(Kind):
            _refuse(name, f"{kind!r:.60} is none of {', '.join(get_args(Kind))}")


def _refuse(name: str, words: str) -> NoReturn:
    msg = f"the fault plan is wrong: {name}: {words}"
    raise PlanError(msg)


def share(value: str | float) -> float:
    """Read a share of a whole: 0 to 1, or ``25%``; raises ``ValueError``, which does not quote it."""
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = math.nan
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise ValueError(SHARE)
    return number


def _probability(value: Any) -> float:
    try:
        return share(value)
    except ValueError as error:
        _refuse("probability", f"takes {error}, not {str(value).strip():.40}")


def _names(field: str, value: Any) -> tuple[Any, ...]:
    """One name, or some."""
    if not isinstance(value, Iterable):
        _refuse(field, f"takes names, not {value!r:.60}")
    return (value,) if isinstance(value, str) else tuple(value)


def _target(value: Any) -> Target:
    if isinstance(value, Target):
        return value
    try:
        return msgspec.convert(value, Target)
    except msgspec.ValidationError as error:
        _refuse("target", f"takes something else than {value!r:.60}: {error}")


def _moments(value: Any) -> tuple[tuple[str, int], ...]:
    moments: list[tuple[str, int]] = []
    for each in _names("at", value):
        written: Any = each.rpartition(":")[::2] if isinstance(each, str) else each
        if not isinstance(written, Sequence) or len(written) != 2 or not written[0]:  # noqa: PLR2004 - a pair
            _refuse("at", "takes pairs of a key or task name, and the number of an attempt, such as fit:2")
        name, attempt = written
        if isinstance(attempt, str) and attempt.isdecimal():
            attempt = int(attempt)
        _whole("at", attempt, 1)
        moments.append((str(name), attempt))
    return tuple(moments)


def _whole(name: str, value: object, least: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST_CALLS:
        _refuse(name, f"takes a whole number, at least {least}, not {value!r:.40}")
