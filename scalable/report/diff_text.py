"""Two runs beside each other, in lines of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.report.failures import error_words
from scalable.report.harmless import one_line
from scalable.report.quantities import count, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scalable.journal.groups import Group
    from scalable.report.diff import Diff, Took

__all__ = ["diff_lines"]

ARROW = "→"
MOST_GROUPS, MOST_CALLS, MOST_SETTINGS, MOST_DURATIONS = 20, 3, 20, 30
TOTALS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "tasks": ("Tasks", str),
    "succeeded": ("Succeeded", str),
    "failed": ("Failed", str),
    "skipped": ("Skipped", str),
    "cancelled": ("Cancelled", str),
    "retries": ("Retries", str),
    "recovered": ("Recovered", str),
    "parked": ("Parked attempts", str),
    "injected": ("Injected failures", str),
    "cache_hits": ("Cache hits", str),
    "cache_misses": ("Cache misses", str),
    "lost_s": ("Lost compute time", duration),
    "duration_s": ("Duration", duration),
    "records_lost": ("Records lost", str),
}
ALWAYS = frozenset({"tasks", "failed", "duration_s"})
WAYS = {
    "failing": "newly failing",
    "added": "failing, not in the run before",
    "still": "failing in both",
    "recovered": "succeed now",
    "gone": "failed before, not in this run",
}


def diff_lines(diff: Diff) -> Iterator[str]:
    """Tell what is different, the totals first."""
    yield f"{one_line(diff.before)} {ARROW} {one_line(diff.after)}"
    yield f"  Status: {_both(*diff.statuses, str)}"
    for name, (label, words) in TOTALS.items():
        before, after = diff.totals[name]
        if name in ALWAYS or before != after:
            yield f"  {label}: {_both(before, after, words)}"
    yield from _section("New failures:", diff.new, _group)
    yield from _section("Failures that are gone:", diff.gone, _group)
    yield from _section("Failures that changed:", diff.changed, _pair)
    yield from _tasks(diff)
    yield from _durations(diff)
    yield from _settings(diff)


def _both(before: Any, after: Any, words: Callable[[Any], str]) -> str:
    told = [words(before), words(after)]
    return told[0] if told[0] == told[1] else f"{told[0]} {ARROW} {told[1]}"


def _section(title: str, groups: Sequence[Any], lines: Callable[[Any], Iterator[str]]) -> Iterator[str]:
    if groups:
        yield from ["", title, ""]
    for number, group in enumerate(groups[:MOST_GROUPS], 1):
        first, *rest = lines(group)
        yield f"  {number}. {first}"
        yield from (f"     {line}" for line in rest)
    if (more := len(groups) - MOST_GROUPS) > 0:
        yield f"  … and {more} more; --json lists them all"


def _group(group: Group) -> Iterator[str]:
    yield _title(group)
    skipped = f", {group.skipped} skipped because of it" if group.skipped else ""
    failed = f"{count(group.failed, 'task')} failed for good{skipped}"
    yield f"{failed}; {count(group.attempts, 'failed attempt')}, {duration(group.lost_s)} of compute lost"
    if group.calls:
        yield _some(group.calls)


def _pair(groups: tuple[Group, Group]) -> Iterator[str]:
    before, after = groups
    yield _title(after)
    words = [f"Tasks failed for good: {_both(before.failed, after.failed, str)}"]
    words += (
        [f"skipped: {_both(before.skipped, after.skipped, str)}"] if before.skipped or after.skipped else []
    )
    words += [f"failed attempts: {_both(before.attempts, after.attempts, str)}"]
    words += [f"compute lost: {_both(before.lost_s, after.lost_s, duration)}"]
    yield "; ".join(words)
    if after.calls:
        yield _some(after.calls)


def _title(group: Group) -> str:
    return error_words(group.sample) if group.sample is not None else one_line(group.name, 100)


def _some(calls: Sequence[str]) -> str:
    return ", ".join(one_line(call, 100) for call in calls[:MOST_CALLS]) + (
        ", …" if len(calls) > MOST_CALLS else ""
    )


def _tasks(diff: Diff) -> Iterator[str]:
    told = [(words, getattr(diff.tasks, way), diff.tasks.calls.get(way, ())) for way, words in WAYS.items()]
    lines = [f"  {number} {words}: {_some(calls)}" for words, number, calls in told if number]
    lines += [f"  {diff.untold} more failed, and were not followed"] if diff.untold else []
    yield from ["", "Tasks that failed in either run:", "", *lines] if lines else []


def _durations(diff: Diff) -> Iterator[str]:
    if not diff.compared:
        return
    sorts = count(diff.compared, "sort") + " of tasks"
    if not diff.durations:
        yield from ["", f"Durations: none of {sorts} differs plainly"]
        return
    yield from ["", f"Durations that differ plainly, of {sorts} (median, p95):", ""]
    yield from (f"  {_took(each)}" for each in diff.durations[:MOST_DURATIONS])
    if (more := len(diff.durations) - MOST_DURATIONS) > 0:
        yield f"  … and {more} more; --json lists them all"


def _took(took: Took) -> str:
    name = one_line(took.task or took.function or "unknown", 100)
    function = f" ({one_line(took.function, 100)})" if took.task and took.function else ""
    before = f"{_fine(took.median_before_s)}, {_fine(took.p95_before_s)}"
    after = f"{_fine(took.median_after_s)}, {_fine(took.p95_after_s)}"
    tasks = (
        f"{took.before} {ARROW} {took.after} tasks"
        if took.before != took.after
        else count(took.after, "task")
    )
    return f"{name}{function}: {before} {ARROW} {after}; {took.ratio:.3g} times the median, {tasks}"


def _fine(seconds: float) -> str:
    """Below a second, milliseconds: most tasks are short."""
    return f"{seconds * 1000:.3g}ms" if seconds < 0.9995 else duration(seconds)  # noqa: PLR2004 - rounds to 1000


def _settings(diff: Diff) -> Iterator[str]:
    if not diff.settings and diff.same_manifest:
        return
    yield from ["", "Settings:", ""]
    if not diff.same_manifest:
        yield "  manifest.yaml is another"
    for each in diff.settings[:MOST_SETTINGS]:
        yield f"  {one_line(each.path, 100)}: {_value(each.before)} {ARROW} {_value(each.after)}"
    if (more := len(diff.settings) - MOST_SETTINGS) > 0:
        yield f"  … and {more} more; --json lists them all"


def _value(value: Any) -> str:
    return "nothing" if value is None else one_line(msgspec.json.encode(value).decode(), 100)
