"""Tasks of two runs side by side: how long they took, and what became of those that failed in one of them.

A key is of one run. Across runs, a task is known by its name and its call in words: the module of a function
may change, as that of a script does by how it is started. The memory that it takes grows with the functions
and, up to a bound, with the failures; each file is read twice.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.journal.reader import Slim
from scalable.journal.spread import Spread

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MOST_CALLS", "Became", "Identity", "Tasks", "became", "followed", "read_tasks"]

FIELDS = ("key", "task", "function", "call", "state", "replaces", "duration_s", "cache", "resumed")
MOST_FAILED = 100_000
MOST_KINDS = 1000
MOST_CALLS = 8
OTHERS = "others"

Identity = tuple[str | None, str]
"""Task and call."""
Kind = tuple[str | None, str | None]
"""Task and function."""


class Tasks:
    """What one reading of ``tasks.jsonl`` found; ``untold`` failed tasks are too many to be followed."""

    def __init__(self) -> None:
        self.spreads: dict[Kind, Spread] = {}
        self.failed: Counter[Identity] = Counter()
        self.untold = 0

    def add(self, line: Any) -> None:
        """Add an end; of a task that ended before, this one counts."""
        identity = _identity(line)
        if line.replaces == "failed" and self.failed[identity] > 0:
            self.failed[identity] -= 1
        if line.state == "failed":
            if identity in self.failed or len(self.failed) < MOST_FAILED:
                self.failed[identity] += 1
            else:
                self.untold += 1
        elif line.state == "succeeded" and line.duration_s is not None and _was_made(line):
            self._spread((line.task, line.function)).add(line.duration_s)

    def _spread(self, kind: Kind) -> Spread:
        found = self.spreads.get(kind)
        if found is None:
            kind = kind if len(self.spreads) < MOST_KINDS else (OTHERS, None)
            found = self.spreads.setdefault(kind, Spread())
        return found


class Became(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks went which way from one run to the other, with some of their calls.

    ``failing`` succeeded before and fail now, ``still`` fail in both, ``recovered`` failed before and succeed
    now. ``added`` fail now and were not in the run before, ``gone`` failed before and are not in this one.
    """

    failing: int = 0
    still: int = 0
    recovered: int = 0
    added: int = 0
    gone: int = 0
    calls: dict[str, tuple[str, ...]] = {}


def read_tasks(run_dir: Path) -> Tasks:
    """Fold the file."""
    found = Tasks()
    for line, _ in Slim(run_dir, "tasks", FIELDS):
        found.add(line)
    found.failed = +found.failed
    return found


def followed(run_dir: Path, wanted: Counter[Identity]) -> set[Identity]:
    """Those of the wanted tasks that succeeded in a run, in the end."""
    if not wanted:
        return set()
    well: Counter[Identity] = Counter()
    for line, _ in Slim(run_dir, "tasks", FIELDS):
        identity = _identity(line)
        if identity in wanted:
            well[identity] += (line.state == "succeeded") - (line.replaces == "succeeded")
    return set(+well)


def became(before: Tasks, after: Tasks, well_before: set[Identity], well_after: set[Identity]) -> Became:
    """Tell of the tasks that failed in either run."""
    counts: Counter[str] = Counter()
    calls: dict[str, list[str]] = {}
    for identity in dict.fromkeys((*after.failed, *before.failed)):
        way = _way(identity, before, after, well_before, well_after)
        counts[way] += max(before.failed[identity], after.failed[identity])
        if len(told := calls.setdefault(way, [])) < MOST_CALLS:
            told.append(identity[1])
    return Became(**counts, calls={way: tuple(each) for way, each in calls.items()})


def _way(
    identity: Identity, before: Tasks, after: Tasks, well_before: set[Identity], well_after: set[Identity]
) -> str:
    if identity in before.failed and identity in after.failed:
        return "still"
    if identity in after.failed:
        return "failing" if identity in well_before else "added"
    return "recovered" if identity in well_after else "gone"


def _was_made(line: Any) -> bool:
    """Whether the call was made in this run: to take its result from elsewhere says nothing of it."""
    return line.cache != "hit" and line.resumed is None


def _identity(line: Any) -> Identity:
    """A call that was not made has no words: its function stands for it."""
    return line.task, line.call or f"{(line.function or line.key).rpartition('.')[2]}(…)"
