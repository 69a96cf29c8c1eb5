"""What a page shows of a run, section by section: read in bounded memory, whatever the length of the run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.journal.reader import Slim
from scalable.report.failures import heading
from scalable.report.grouped import OUTSIDE, lines_of, parted, rootless_words, title_of
from scalable.report.harmless import block, one_line
from scalable.report.html.attempts import ACTIONS, Attempts
from scalable.report.html.choose import choose
from scalable.report.html.columns import Columns, Origin
from scalable.report.html.tallies import Durations, OverTime
from scalable.report.html.tasks import CACHE, STATES, Tasks
from scalable.report.html.texts import Texts
from scalable.report.locate import load
from scalable.report.quantities import clock, count
from scalable.report.text import failed_count, summary_lines, task_count, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scalable.journal.groups import Group
    from scalable.journal.summary import Summary

__all__ = ["LIMITS", "Limits", "sections"]

EVENTS = ("started", "lost", "retired", "stuck", "quarantined")


class Limits(msgspec.Struct, frozen=True):
    """How much a page takes: rows, attempts beside the last ones, events of workers, groups, characters."""

    tasks: int = 100_000
    attempts: int = 100_000
    events: int = 10_000
    groups: int = 200
    text: int = 16_000_000


LIMITS = Limits()


class _Page:
    """One reading of a run."""

    def __init__(self, summary: Summary, limits: Limits) -> None:
        self.summary, self.limits = summary, limits
        self.origin, self.texts = Origin(summary.info.started_at), Texts(limits.text)
        self.durations, self.over_time = Durations(), OverTime(ACTIONS)
        self.tasks = Tasks(self.origin, self.texts)
        self.attempts = Attempts(self.origin, self.texts, limits.attempts)
        self.events = Columns("worker host event at reason threads", "")
        self.unread_events = 0

    def read(self) -> None:
        """Read the files, one after the other."""
        run_dir, most = self.summary.run_dir, self.limits.tasks
        chosen = choose(run_dir, most, self.durations)
        self.tasks.read(run_dir, chosen)
        room = most if chosen.notable else None  # else a failed task may have ended, but not be shown
        self.attempts.read(run_dir, self.tasks, room, self.durations, self.over_time)
        for event, _ in Slim(run_dir, "workers", ("worker", "host", "event", "at", "reason", "threads")):
            if len(self.events) < self.limits.events:
                self._event(event)
            else:
                self.unread_events += 1

    def _event(self, event: Any) -> None:
        self.events.add(
            worker=self.texts.line(event.worker),
            host=self.texts.line(event.host),
            event=EVENTS.index(event.event),
            at=self.origin.after(event.at),
            reason=self.texts.line(event.reason),
            threads=event.threads or 0,
        )


def sections(
    run_dir: Path, now: datetime | None = None, limits: Limits = LIMITS
) -> Iterator[tuple[str, Any]]:
    """Return the sections of a page as names and plain data, or, for tables, columns one by one.

    Raises ``SessionError`` where the run's ``run.json`` is missing or broken.
    """
    now = now or datetime.now(UTC)
    page = _Page(load(run_dir), limits)
    page.read()
    yield "run", _run(page, now)
    yield "failures", _failures(page.summary, limits)
    yield "durations", page.durations.told()
    yield "overTime", page.over_time.told()
    yield "names", {"states": STATES, "actions": ACTIONS, "cache": CACHE, "events": EVENTS}
    yield "tasks", page.tasks.columns
    yield "attempts", page.attempts.columns
    yield "events", page.events
    yield "texts", page.texts.all


def _run(page: _Page, now: datetime) -> dict[str, Any]:
    summary, origin = page.summary, page.origin
    info = summary.info
    end = origin.after(info.finished_at)
    if summary.status == "running":
        end = origin.after(now.isoformat())
    return {
        "id": one_line(info.run_id),
        "project": one_line(info.project),
        "status": summary.status,
        "verdict": verdict(summary),
        "counts": _counts(summary),
        "facts": _facts(summary, now),
        "notes": list(_notes(page)),
        "began": origin.began.timestamp() * 1000 if origin.began else None,
        "end": max(end, origin.latest),
    }


def _counts(summary: Summary) -> dict[str, int]:
    """Part all tasks by how they ended, each in one of the states of the table."""
    succeeded, skipped = summary.tasks.get("succeeded", 0), min(summary.skipped, failed_count(summary))
    recovered = min(summary.recovered, succeeded)
    return {
        "succeeded": succeeded - recovered,
        "recovered": recovered,
        "cancelled": summary.tasks.get("cancelled", 0),
        "skipped": skipped,
        "failed": failed_count(summary) - skipped,
    }


def _facts(summary: Summary, now: datetime) -> list[tuple[str, str]]:
    """List what ``scalable report`` says below its first line, and what a page has room for beside it."""
    lines = summary_lines(summary, lasting=True)[1:]  # a page is read long after
    facts = [(label, words) for label, _, words in (line.strip().partition(": ") for line in lines)]
    info = summary.info
    versions = ", ".join(f"{one_line(name, 40)} {one_line(text, 40)}" for name, text in info.versions.items())
    facts += [("Host", one_line(info.host, 100))]
    facts += [("Versions", versions)] if versions else []
    return [*facts, ("Page written", clock(now.isoformat()))]


def _notes(page: _Page) -> Iterator[str]:
    """Say what is not in the page."""
    total, shown = task_count(page.summary), len(page.tasks.columns)
    if page.summary.status == "running":
        yield "The run was still going when this page was written: write it again to see more."
    if shown < total and shown >= page.limits.tasks:
        yield (
            f"{shown:,} of {total:,} tasks are listed and on the timeline: those that failed, then those "
            "that were retried or cancelled, then the slowest. The verdict, the groups and the durations are "
            "of all."
        )
    if page.attempts.left_out:
        yield f"{page.attempts.left_out:,} earlier failed attempts of these tasks are counted, but not shown."
    if page.texts.left_out:
        left_out = count(page.texts.left_out, "long text")
        yield f"{left_out} (tracebacks, messages, output) did not fit: failures.jsonl has them."
    if page.unread_events:
        yield f"{page.unread_events:,} later events of workers are not shown."


def _failures(summary: Summary, limits: Limits) -> dict[str, Any]:
    failed, others = parted(summary)
    return {
        "heading": [line for line in heading(summary, len(failed)) if line],
        "failed": [_group(summary, group) for group in failed[: limits.groups]],
        "outside": OUTSIDE,
        "others": [_group(summary, group) for group in others[: limits.groups]],
        "more": max(0, len(failed) - limits.groups) + max(0, len(others) - limits.groups),
        "rootless": rootless_words(summary) if summary.rootless else None,
    }


def _group(summary: Summary, group: Group) -> dict[str, Any]:
    """Give a group as the report words it, with the traceback of its sample."""
    return {
        "fingerprint": one_line(group.name),
        "title": title_of(summary, group),
        "lines": list(lines_of(summary, group)),
        "failed": group.failed,
        "skipped": group.skipped,
        "attempts": group.attempts,
        "lost_s": round(group.lost_s, 6),
        "traceback": block((group.sample.traceback if group.sample else None) or ""),
    }
