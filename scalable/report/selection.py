"""Which failures a report is to tell of, from what was typed: each option a test, all of which must hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from scalable.core.failure import Kind, Outcome
from scalable.journal.records import utc
from scalable.journal.select import ALL, Select
from scalable.report.where import SelectionError, chosen_from, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Wanted", "select"]

AGO = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|m|h|d)")
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The options as typed. Several values of one are parted by commas; ``None`` is any."""

    task: str | None = None
    kind: str | None = None
    outcome: str | None = None
    worker: str | None = None
    since: str | None = None
    where: str | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing was asked for in particular."""
        return self == Wanted()


def select(wanted: Wanted, now: datetime) -> Select:
    """Make one test of the options; raises ``SelectionError`` where one is wrong."""
    parts = [
        *([_task(wanted.task)] if wanted.task is not None else []),
        *([_one_of("kind", wanted.kind, get_args(Kind))] if wanted.kind is not None else []),
        *([_one_of("outcome", wanted.outcome, get_args(Outcome))] if wanted.outcome is not None else []),
        *([_one_of("worker", wanted.worker)] if wanted.worker is not None else []),
        *([_since(wanted.since, now)] if wanted.since is not None else []),
        *([parse(wanted.where)] if wanted.where is not None else []),
    ]
    return _all(parts) if parts else ALL


def _all(parts: Sequence[Select]) -> Select:
    tests = [part.test for part in parts if part.test is not None]
    names = frozenset[str]().union(*(part.names for part in parts))
    return Select(names, tests[0] if len(tests) == 1 else lambda line: all(test(line) for test in tests))


def _task(given: str) -> Select:
    """A task by its name, or by that of its function, with or without the module."""
    names = _values(given)

    def test(line: Any) -> bool:
        function = line.function or ""
        return line.task in names or function in names or function.rpartition(".")[2] in names

    return Select(frozenset({"task", "function"}), test)


def _one_of(name: str, given: str, known: Sequence[str] = ()) -> Select:
    values = _values(given)
    for each in sorted(values) if known else ():
        chosen_from(known, each, f"of --{name}")
    return Select(frozenset({name}), lambda line: getattr(line, name) in values)


def _values(given: str) -> frozenset[str]:
    return frozenset(part.strip() for part in given.split(","))


def _since(given: str, now: datetime) -> Select:
    """A time, or how long ago; the times of records are of one form, so their order is that of texts."""
    begin = utc(_moment(given, now).timestamp()) or ""
    return Select(frozenset({"at"}), lambda line: (line.at or "") >= begin)


def _moment(given: str, now: datetime) -> datetime:
    try:
        if match := AGO.fullmatch(given.strip()):
            return now - timedelta(seconds=float(match[1]) * SECONDS[match[2]])
        read = datetime.fromisoformat(given.strip())
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        msg = (
            "--since takes a time in UTC, such as 2026-11-21T02:48, or how long ago, such as 90s, 30m, 2h, 1d"
        )
        raise SelectionError(msg) from error
