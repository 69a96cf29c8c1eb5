"""Faults of a run that was recorded, to be had again, each with its own error."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import msgspec

from scalable.errors import PlanError
from scalable.faults.kinds import DEFAULT_ERRORS, FAULT, LONGEST_PATTERN, MOST_CALLS, PASS, Kind

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["Again", "Replay", "read", "received", "replay_of"]

MOST_BYTES = 64 * 2**20


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that struck an attempt; ``call`` counts the tasks from 1, in the order of their submission."""

    call: int
    attempt: int = 1
    kind: Kind = "raise"
    error: str | None = None


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What strikes which call and attempt, over and over: ``calls`` is the length of one cycle.

    ``faults`` is by ``"call.attempt"``; an error of ``None`` stands for what the kind is by itself.
    """

    calls: Annotated[int, msgspec.Meta(ge=1)]
    faults: dict[str, tuple[Kind, str | None]]

    @classmethod
    def of(cls, faults: Iterable[Again], calls: int) -> Replay:
        """Make one of the faults of so many calls."""
        return cls(calls, {f"{each.call}.{each.attempt}": (each.kind, each.error) for each in faults})

    def at(self, call: int, attempt: int) -> tuple[Kind, str | None] | None:
        """What strikes an attempt of a call, if anything does; calls from before the first have none."""
        return self.faults.get(f"{(call - 1) % self.calls + 1}.{attempt}") if call > 0 else None

    @property
    def kinds(self) -> frozenset[Kind]:
        """What may happen."""
        return frozenset(kind for kind, _ in self.faults.values())

    @property
    def errors(self) -> tuple[str, ...]:
        """What may be raised."""
        return tuple(dict.fromkeys(error for _, error in self.faults.values() if error is not None))


class _Pattern(msgspec.Struct):
    pattern: str
    errors: tuple[str | None, ...] = ()
    kinds: tuple[Kind, ...] = ()
    again: tuple[Again, ...] = ()


class _Line(msgspec.Struct):
    fault_injected: bool
    sequence: int
    call: int | None = None
    attempt: int = 1
    kind: Kind | None = None
    error: str | None = None


class _Records(msgspec.Struct):
    records: tuple[_Line, ...]
    first_call: int = 1


def read(path: str | os.PathLike[str]) -> Replay:
    """Read what ``faults dump pattern`` or ``faults dump records`` wrote.

    Raises ``PlanError`` for a file that cannot be read, or that is nothing of the sort.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            _refuse(f"it is larger than {MOST_BYTES // 2**20} MiB")
        return replay_of(msgspec.json.decode(text))
    except (OSError, ValueError, RecursionError, PlanError) as error:  # msgspec's are ValueErrors
        msg = f"{path} cannot be replayed: {getattr(error, 'strerror', None) or error}"
        raise PlanError(msg) from error


def received(fields: Any) -> Replay:
    """Take a replay from another process, as builtins; raises ``PlanError`` for what is none."""
    try:
        return _checked(msgspec.convert(fields, Replay))
    except msgspec.ValidationError as error:
        msg = f"this is no replay: {error}"
        raise PlanError(msg) from error


def replay_of(dump: Any) -> Replay:
    """Make a replay of a dump; raises ``msgspec.ValidationError`` or ``PlanError``."""
    if isinstance(dump, dict) and "pattern" in dump:
        return _of_pattern(msgspec.convert(dump, _Pattern))
    if isinstance(dump, dict) and "records" in dump:
        return _of_records(msgspec.convert(dump, _Records))
    msg = "it holds neither a `pattern` nor `records`; `scalable faults dump pattern` writes one"
    raise PlanError(msg)


def _of_pattern(dump: _Pattern) -> Replay:
    if set(dump.pattern) - {FAULT, PASS} or len(dump.pattern) > LONGEST_PATTERN:
        _refuse(f"a pattern is made of {FAULT} for a fault and {PASS} for none, at most {LONGEST_PATTERN:,}")
    kinds, errors = cycle(dump.kinds or ("raise",)), cycle(dump.errors or DEFAULT_ERRORS)
    struck = [call for call, mark in enumerate(dump.pattern, 1) if mark == FAULT]
    first = [Again(call=call, kind=next(kinds), error=next(errors)) for call in struck]
    if any(not 1 <= each.call <= len(dump.pattern) or each.attempt < 1 for each in dump.again):
        _refuse("`again` has attempts of calls that are not in the pattern")
    return _checked(Replay.of((*first, *dump.again), len(dump.pattern)))


def _of_records(dump: _Records) -> Replay:
    calls = [
        (each.sequence if each.call is None else each.call) - dump.first_call + 1 for each in dump.records
    ]
    struck = (
        Again(call=call, attempt=each.attempt, kind=each.kind or "raise", error=each.error)
        for call, each in zip(calls, dump.records, strict=True)
        if each.fault_injected and call > 0
    )
    return _checked(Replay.of(struck, max(calls, default=0)))


def _checked(replay: Replay) -> Replay:
    if not replay.faults:
        _refuse("there is no fault in it, so nothing would ever fail")
    if replay.calls > MOST_CALLS:
        _refuse(f"its calls count up to {replay.calls}, and {MOST_CALLS:,} is the most")
    if "random" in replay.kinds:
        _refuse("'random' is no fault that struck: it stands for others")
    return replay


def _refuse(words: str) -> NoReturn:
    raise PlanError(words)
