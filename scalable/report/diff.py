"""What is different between two runs, as a value: the use case behind ``scalable diff``.

It decides what is worth telling; ``report/diff_text`` words it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.journal.groups import Group
from scalable.journal.pairing import Became, became, followed, read_tasks
from scalable.report.locate import load
from scalable.report.text import failed_count, run_seconds, task_count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scalable.journal.pairing import Tasks
    from scalable.journal.spread import Spread
    from scalable.journal.summary import Summary

__all__ = ["Changed", "Diff", "Took", "diff"]

FEWEST = 5
"""Durations of fewer tasks tell nothing."""
FEWEST_FOR_P95 = 40
FACTOR, FACTOR_OF_P95, LEAST_S = 1.25, 1.5, 0.005
MOST_SETTINGS = 100
MOST_BYTES = 1 << 24


class Took(msgspec.Struct, frozen=True, kw_only=True):
    """How long tasks of a name and function took, in seconds; ``ratio`` is that of the medians.

    Of the succeeded ones whose result was neither in the cache nor of an earlier run.
    """

    task: str | None
    function: str | None
    before: int
    after: int
    median_before_s: float
    median_after_s: float
    p95_before_s: float
    p95_after_s: float
    ratio: float


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of the two runs, by its path in ``run.json`` or ``plan.json``; ``None``: it is not there."""

    path: str
    before: Any
    after: Any


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs beside each other.

    ``totals`` are pairs of numbers by name. ``new`` are groups of failures of the second run only, ``gone``
    those of the first only, ``changed`` pairs of groups that did not fail equally often. ``tasks`` is what
    became of those that failed, ``untold`` how many could not be followed. ``durations`` are those that
    differ plainly, ``compared`` how many sorts of tasks could be compared. ``settings`` are what the runs
    were started with, as far as it differs.
    """

    before: str
    after: str
    statuses: tuple[str, str]
    totals: dict[str, tuple[float | None, float | None]]
    new: tuple[Group, ...] = ()
    gone: tuple[Group, ...] = ()
    changed: tuple[tuple[Group, Group], ...] = ()
    tasks: Became = Became()
    untold: int = 0
    durations: tuple[Took, ...] = ()
    compared: int = 0
    settings: tuple[Changed, ...] = ()
    same_manifest: bool = True


def diff(before: Path, after: Path) -> Diff:
    """Compare two runs; raises ``SessionError`` where one of them is damaged."""
    summaries = load(before), load(after)
    tasks = read_tasks(before), read_tasks(after)
    well_before = followed(before, tasks[1].failed - tasks[0].failed)
    well_after = followed(after, tasks[0].failed - tasks[1].failed)
    groups = [{group.name: group for group in summary.groups} for summary in summaries]
    took = list(_compared(*tasks))
    return Diff(
        before=summaries[0].info.run_id,
        after=summaries[1].info.run_id,
        statuses=(summaries[0].status, summaries[1].status),
        totals=_totals(*summaries),
        new=tuple(group for name, group in groups[1].items() if name not in groups[0]),
        gone=tuple(group for name, group in groups[0].items() if name not in groups[1]),
        changed=tuple(
            (groups[0][name], group)
            for name, group in groups[1].items()
            if name in groups[0] and _often(groups[0][name]) != _often(group)
        ),
        tasks=became(*tasks, well_before, well_after),
        untold=tasks[0].untold + tasks[1].untold,
        durations=tuple(sorted(filter(_plainly, took), key=_gain, reverse=True)),
        compared=len(took),
        settings=tuple(_settings(before, after))[:MOST_SETTINGS],
        same_manifest=_bytes(before / "manifest.yaml") == _bytes(after / "manifest.yaml"),
    )


def _often(group: Group) -> tuple[int, int, int]:
    return group.failed, group.skipped, group.attempts


def _totals(*summaries: Summary) -> dict[str, tuple[float | None, float | None]]:
    told = [_numbers(summary) for summary in summaries]
    return {name: (told[0][name], told[1][name]) for name in told[0]}


def _numbers(summary: Summary) -> dict[str, float | None]:
    return {
        "tasks": task_count(summary),
        "succeeded": summary.tasks.get("succeeded", 0),
        "failed": failed_count(summary),
        "cancelled": summary.tasks.get("cancelled", 0),
        "skipped": summary.skipped,
        "retries": summary.retries,
        "recovered": summary.recovered,
        "parked": sum(summary.parked.values()),
        "injected": summary.injected,
        "cache_hits": summary.cache.get("hit", 0),
        "cache_misses": summary.cache.get("miss", 0),
        "lost_s": summary.lost_s,
        "duration_s": run_seconds(summary.info),
        "records_lost": summary.info.records_lost,
    }


def _compared(before: Tasks, after: Tasks) -> Iterator[Took]:
    for kind, first in before.spreads.items():
        second = after.spreads.get(kind)
        if second is not None and min(first.count, second.count) >= FEWEST:
            yield _took(kind, first, second)


def _took(kind: tuple[str | None, str | None], first: Spread, second: Spread) -> Took:
    medians = [spread.quantile(0.5) or 0.0 for spread in (first, second)]
    p95s = [spread.quantile(0.95) or 0.0 for spread in (first, second)]
    return Took(
        task=kind[0],
        function=kind[1],
        before=first.count,
        after=second.count,
        median_before_s=round(medians[0], 6),
        median_after_s=round(medians[1], 6),
        p95_before_s=round(p95s[0], 6),
        p95_after_s=round(p95s[1], 6),
        ratio=round(medians[1] / medians[0], 3),
    )


def _plainly(took: Took) -> bool:
    """Whether they differ by more than chance and the clock would have them, in the middle or at the end."""
    often = min(took.before, took.after) >= FEWEST_FOR_P95
    return _differ(took.median_before_s, took.median_after_s, FACTOR) or (
        often and _differ(took.p95_before_s, took.p95_after_s, FACTOR_OF_P95)
    )


def _differ(first: float, second: float, factor: float) -> bool:
    return abs(first - second) >= LEAST_S and max(first, second) >= factor * min(first, second)


def _gain(took: Took) -> float:
    """Seconds that the difference makes in all: what costs most comes first."""
    return abs(took.median_after_s - took.median_before_s) * took.after


def _settings(before: Path, after: Path) -> Iterator[Changed]:
    """Differences of what was started; what says only when and where it was is left out."""
    for file, names in (
        ("run.json", ("project", "target", "provider", "versions", "waits")),
        ("plan.json", None),
    ):
        first, second = (_flat(run_dir / file, names) for run_dir in (before, after))
        for path in sorted(first.keys() | second.keys()):
            if first.get(path) != second.get(path):
                yield Changed(path=path, before=first.get(path), after=second.get(path))


def _flat(path: Path, names: tuple[str, ...] | None) -> dict[str, Any]:
    """The values of a JSON file by their paths; nothing of one that cannot be read."""
    try:
        data = msgspec.json.decode(_bytes(path))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(data, dict):
        return {}
    wanted = {name: data.get(name) for name in names} if names is not None else {"plan": data}
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = list(wanted.items())
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}", each) for key, each in value.items()]
        elif name != "plan.fingerprint":
            found[name] = value
    return found


def _bytes(path: Path) -> bytes:
    """A file of a run, nothing where there is none; it is small, unless somebody made another of it."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return b""
