"""Failures of one cause, told together: a fold whose memory grows with the groups, not with the failures."""

from __future__ import annotations

import math
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.journal.records import FailureRecord

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BY", "FIELDS", "Group", "Groups"]

BY = ("fingerprint", "task", "function", "worker", "host", "rule", "outcome", "component")
PLACES = ("worker", "host", "outcome", "rule", "signal", "action", "injected")
FIELDS = (*PLACES, "at", "duration_s", "peak_rss_bytes")
"""What is asked for of each line, beside the field that it is grouped by."""
MOST_CALLS = 8
MOST_GROUPS = 1000
OTHERS = "others"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Failed attempts with the same value (``name``) of what they are grouped by.

    ``failed`` tasks failed for good by it, ``skipped`` ones did not run because of these; ``attempts`` are
    all that failed, of which ``retried`` and ``parked`` were tried again. ``lost_s`` is what they took,
    ``shortest_s`` and ``longest_s`` each. ``sample`` is one record, of a task that failed for good where
    there is one; ``calls`` are those of the first of them. ``workers`` to ``signals`` count the attempts.
    """

    name: str
    sample: FailureRecord | None = None
    calls: tuple[str, ...] = ()
    failed: int = 0
    skipped: int = 0
    attempts: int = 0
    retried: int = 0
    parked: int = 0
    injected: int = 0
    lost_s: float = 0.0
    shortest_s: float | None = None
    longest_s: float | None = None
    peak_rss_bytes: int | None = None
    first: str | None = None
    last: str | None = None
    workers: dict[str, int] = {}
    hosts: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    rules: dict[str, int] = {}
    signals: dict[str, int] = {}


class _Cell:
    """Attempts of a group that went the same way in the same place: what is counted line by line."""

    __slots__ = ("attempts", "first", "last", "longest_s", "lost_s", "peak", "shortest_s")

    def __init__(self, at: str) -> None:
        self.attempts = self.peak = 0
        self.lost_s, self.shortest_s, self.longest_s = 0.0, math.inf, -1.0
        self.first = self.last = at

    def add(self, lost_s: float, took: float | None, at: str, peak: int | None) -> None:
        """Add an attempt; ``max`` and ``min`` would take longer than all the rest."""
        self.attempts += 1
        self.lost_s += lost_s
        if took is not None:
            if took < self.shortest_s:  # noqa: PLR1730 - see above
                self.shortest_s = took
            if took > self.longest_s:  # noqa: PLR1730 - see above
                self.longest_s = took
        if at > self.last:  # texts of one form: their order is that of the times
            self.last = at
        elif at < self.first:
            self.first = at
        if peak is not None and peak > self.peak:
            self.peak = peak


class _Tally:
    """What is known of a group beside the counts of its cells."""

    __slots__ = ("calls", "failed", "sample", "skipped", "stands")

    def __init__(self) -> None:
        self.failed = self.skipped = 0
        self.calls: list[str] = []
        self.sample: FailureRecord | None = None
        self.stands = False  # whether the sample is of a task that failed for good


class Groups:
    """The fold. ``by`` is a field of the lines; ``whole`` makes a record of a line where one is to be shown.

    What has no value of it is the group ``unknown``; what comes after a thousand groups, ``others``.
    """

    def __init__(self, by: str, whole: Callable[[bytes], FailureRecord | None]) -> None:
        self.name: Callable[[Any], str | None] = attrgetter(by)
        self._whole = whole
        self._tallies: dict[str | None, _Tally] = {}
        self._cells: dict[tuple[Any, ...], _Cell] = {}
        self._place = attrgetter(by, *PLACES)

    def attempt(self, line: Any, raw: bytes, lost_s: float) -> None:
        """Add a failed attempt, of which ``lost_s`` seconds count as lost."""
        place = self._place(line)
        cell = self._cells.get(place)
        if cell is None:
            cell = self._open(place, line.at or "", raw)
        cell.add(lost_s, line.duration_s, line.at or "", line.peak_rss_bytes)

    def final(self, name: str | None) -> bool:
        """Say that an attempt of a group was its task's last; returns whether an example is wanted."""
        tally = self._tally(name)
        tally.failed += 1
        return len(tally.calls) < MOST_CALLS

    def example(self, name: str | None, record: FailureRecord) -> None:
        """Keep a record of a task that failed for good, or at least its call."""
        tally = self._tally(name)
        if not tally.stands:
            tally.sample, tally.stands = record, True
        if len(tally.calls) < MOST_CALLS:
            tally.calls.append(record.call or "")

    def skip(self, name: str | None, number: int) -> None:
        """Say that tasks did not run because one of the group ``name`` failed."""
        self._tally(name).skipped += number

    def told(self) -> tuple[Group, ...]:
        """Return the groups; those that cost most compute come first, then those that failed most tasks."""
        cells: dict[str | None, list[tuple[tuple[Any, ...], _Cell]]] = {name: [] for name in self._tallies}
        for place, cell in self._cells.items():
            cells[place[0]].append((place[1:], cell))
        found = [_group(name, tally, cells[name]) for name, tally in self._tallies.items()]
        return tuple(sorted(found, key=lambda group: (-group.lost_s, -group.failed, group.name)))

    def _open(self, place: tuple[Any, ...], at: str, raw: bytes) -> _Cell:
        """Begin a cell; its group, too, where there is room for one more."""
        name = place[0] if place[0] in self._tallies or len(self._tallies) < MOST_GROUPS else OTHERS
        tally = self._tallies.setdefault(name, _Tally())
        if tally.sample is None:
            tally.sample = self._whole(raw)
        return self._cells.setdefault((name, *place[1:]), _Cell(at))

    def _tally(self, name: str | None) -> _Tally:
        return self._tallies.get(name) or self._tallies.setdefault(OTHERS, _Tally())


def _group(name: str | None, tally: _Tally, cells: list[tuple[tuple[Any, ...], _Cell]]) -> Group:
    def counted(where: str, value: Any = None) -> dict[str, int]:
        found: Counter[str] = Counter()
        for place, cell in cells:
            each = place[PLACES.index(where)]
            if each is not None and value in (None, each):
                found[each] += cell.attempts
        return dict(found.most_common())

    actions = counted("action")
    timed = [cell for _, cell in cells if cell.longest_s >= 0.0]
    seen = [cell for _, cell in cells if cell.first]
    return Group(
        name="unknown" if name is None else name,
        sample=tally.sample,
        calls=tuple(dict.fromkeys(filter(None, tally.calls))),
        failed=tally.failed,
        skipped=tally.skipped,
        attempts=sum(cell.attempts for _, cell in cells),
        retried=actions.get("retry", 0),
        parked=actions.get("park", 0),
        injected=sum(counted("injected", value=True).values()),
        lost_s=math.fsum(cell.lost_s for _, cell in cells),
        shortest_s=min((cell.shortest_s for cell in timed), default=None),
        longest_s=max((cell.longest_s for cell in timed), default=None),
        peak_rss_bytes=max((cell.peak for _, cell in cells), default=0) or None,
        first=min((cell.first for cell in seen), default=None),
        last=max((cell.last for cell in seen), default=None),
        workers=counted("worker"),
        hosts=counted("host"),
        outcomes=counted("outcome"),
        rules=counted("rule"),
        signals=counted("signal"),
    )
