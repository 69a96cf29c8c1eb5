"""Failures of one cause in lines of plain text: how many, since when, where, what they cost, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable.report.failures import details, error_words, heading, name_of
from scalable.report.frames import last_user_frame, last_user_line
from scalable.report.harmless import one_line
from scalable.report.quantities import clock, count, duration, numbered
from scalable.report.tips import Facts, tip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scalable.journal.groups import Group
    from scalable.journal.summary import Summary

__all__ = [
    "OUTSIDE",
    "group_lines",
    "lines_of",
    "parted",
    "rootless_words",
    "tip_lines",
    "tip_of",
    "title_of",
]

MOST_GROUPS = 20
MOST_NAMED = 5
MOST_CALLS = 2
OUTSIDE = "Failed attempts after which no task failed for good:"


def group_lines(summary: Summary) -> Iterator[str]:
    """Tell the failures of a run in groups, the most costly first; then what was only retried."""
    failed, others = parted(summary)
    yield from heading(summary, len(failed))
    yield from _numbered(summary, failed, 1)
    if summary.rootless:
        yield f"  {rootless_words(summary)}"
    if others:
        yield from ["", OUTSIDE, ""] if failed else [OUTSIDE, ""]
        yield from _numbered(summary, others, len(failed) + 1)


def parted(summary: Summary) -> tuple[list[Group], list[Group]]:
    """Return the groups by which tasks failed for good, and those of which all were saved by a retry."""
    failed = [group for group in summary.groups if group.failed or group.skipped]
    return failed, [group for group in summary.groups if not group.failed and not group.skipped]


def rootless_words(summary: Summary) -> str:
    """Say how many tasks did not run because of what is in no group."""
    return f"{count(summary.rootless, 'task')} did not run because of a failure that is not among these"


def tip_lines(summary: Summary) -> Iterator[str]:
    """Say what to do about the failures of a list, under their numbers in it."""
    own = [record for record in summary.failures if record.outcome != "upstream"]
    found: dict[str, list[int]] = {}
    groups = {group.name: group for group in summary.groups if group.failed}
    for number, record in enumerate(own, 1):
        group = groups.get(getattr(record, summary.by) or "unknown")
        if group is not None and (words := tip_of(summary, group)):
            found.setdefault(words, []).append(number)
    lines = [f"  {numbered(numbers)}. {words}" for words, numbers in found.items()]
    lines += [
        f"  {error_words(group.sample)}: {words}"
        for group in summary.groups
        if not group.failed and group.sample is not None and (words := tip_of(summary, group))
    ]
    yield from ["", "Tips:", "", *lines] if lines else []


def tip_of(summary: Summary, group: Group) -> str | None:
    """Say what to do about a group of one cause, where the journal tells."""
    if summary.by != "fingerprint":
        return None
    function = group.sample.function if group.sample else None
    return tip(Facts(group, summary.worked.get(function)))


def title_of(summary: Summary, group: Group) -> str:
    """Name a group by how many failed, and by the first calls of them."""
    calls = ", ".join(one_line(call, 100) for call in group.calls[:MOST_CALLS])
    calls = calls or (name_of(group.sample) if group.sample else "a task")
    if group.failed == 1:
        title = calls
    else:
        tasks = count(group.failed, "task") if group.failed else count(group.attempts, "attempt")
        title = f"{tasks}: {calls}{', …' if len(group.calls) > MOST_CALLS else ''}"
    return title if summary.by == "fingerprint" else f"{summary.by} {one_line(group.name, 100)} — {title}"


def lines_of(summary: Summary, group: Group) -> Iterator[str]:
    """Say what is known of a group, ``Label: words`` a line; lines that go on are indented."""
    sample = group.sample
    if sample is not None and group.failed == 1 and group.attempts <= (sample.attempt or 1):
        yield from details(sample, group.parked)
    else:
        yield from _together(group)
    if group.skipped:
        yield f"Skipped: {count(group.skipped, 'task')} did not run because of it"
    if words := tip_of(summary, group):
        yield f"Tip: {words}"


def _numbered(summary: Summary, groups: Sequence[Group], first: int) -> Iterator[str]:
    for number, group in enumerate(groups[:MOST_GROUPS], first):
        yield f"  {number}. {title_of(summary, group)}"
        yield from (f"     {line}" for line in lines_of(summary, group))
    if (more := len(groups) - MOST_GROUPS) > 0:
        yield f"  … and {more} more groups; --group-by {summary.by} --json lists them all"


def _together(group: Group) -> Iterator[str]:
    sample = group.sample
    if sample is not None:
        yield f"Error: {error_words(sample)}"
    yield from _where(group)
    if group.first and group.last:
        seen = dict.fromkeys((clock(group.first), clock(group.last)))
        yield f"Seen: {' to '.join(seen)}"
    attempts = [f"{group.attempts} failed"]
    attempts += [f"{group.retried} of them retried"] if group.retried else []
    attempts += [f"{group.parked} parked"] if group.parked else []
    yield f"Attempts: {', '.join(attempts)}; {duration(group.lost_s)} of compute lost"
    if group.rules:
        kind = f" ({one_line(sample.kind, 40)})" if sample and sample.kind and len(group.rules) == 1 else ""
        yield f"Rule: {_named(group.rules)}{kind}"
    if place := last_user_frame(sample.traceback if sample else None):
        yield f"At: {place}"
        if source := last_user_line(sample.traceback if sample else None):
            yield f"  {source}"
    if group.injected:
        yield f"Injected: {group.injected} by fault injection"


def _where(group: Group) -> Iterator[str]:
    if not group.workers:
        return
    hosts = f" ({_named(group.hosts)})" if group.hosts else ""
    if len(group.workers) == 1 and group.attempts > 1:
        yield f"Workers: all on {_named(group.workers)}{hosts}"
    else:
        yield f"Workers: {_counted(group.workers)}{hosts}"


def _named(counts: dict[str, int]) -> str:
    shown = ", ".join(one_line(name, 100) for name in list(counts)[:MOST_NAMED])
    return shown + (", …" if len(counts) > MOST_NAMED else "")


def _counted(counts: dict[str, int]) -> str:
    shown = [f"{one_line(name, 100)} {number}" for name, number in list(counts.items())[:MOST_NAMED]]
    more = len(counts) - MOST_NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
