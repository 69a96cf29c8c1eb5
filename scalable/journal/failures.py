"""The failures of a run as one fold: its numbers, its first final failures, and all of them in groups.

What is kept of ``failures.jsonl`` grows with the causes, not with the failures. The file is read once more
where tasks did not run because of a failure that was told long before, or long after, them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from scalable.journal import groups
from scalable.journal.ends import Standing
from scalable.journal.groups import Groups
from scalable.journal.reader import Slim

if TYPE_CHECKING:
    from pathlib import Path

    from scalable.journal.ends import Ends
    from scalable.journal.records import FailureRecord
    from scalable.journal.select import Select

__all__ = ["KEPT", "NOT_FINAL", "Failures"]

KEPT = 20
"""So many records of final failures are kept, and as many of tasks that did not run."""
MOST_CAUSES = 1000
MOST_ROOTS = 100_000
MOST_RECENT = 10_000
FIELDS = ("event", "key", "action", "attempt", "root", *groups.FIELDS)
ROOT_FIELDS = ("event", "key", "action", "outcome")
NOT_FINAL = ("retry", "park")
"""Actions after which a task goes on."""


class Failures:
    """One reading of the file."""

    def __init__(self, run_dir: Path, by: str, ends: Ends, select: Select) -> None:
        self._run_dir, self._by, self._select = run_dir, by, select
        self._lines = Slim(run_dir, "failures", {*FIELDS, by, *select.names})
        self._whole = self._lines.whole
        self._standing = Standing(ends.replaced)
        self._test = select.test
        self._groups = Groups(by, self._whole)
        self._roots: dict[str | None, int] = {}
        self._recent: dict[str | None, str | None] = {}
        self._older: dict[str | None, str | None] = {}
        self._retries = self._recovered = self._injected = self._given_up = self._skipped = 0
        self._own = self._upstream = 0
        self._lost_s = 0.0
        self._records: list[FailureRecord] = []
        self._of_session: list[FailureRecord] = []
        self._parked: Counter[str] = Counter()
        self._uncounted: dict[str | None, int] = {}
        self._parked_last: dict[str | None, int | None] = {}

    @property
    def torn(self) -> int:
        """Lines that could not be read."""
        return self._lines.torn

    @property
    def newer(self) -> int:
        """Lines of a later form than this release knows."""
        return self._lines.newer

    def read(self) -> dict[str, Any]:
        """Fold the file, and return what a summary has of it, by its names there."""
        for record, line in self._lines:
            if record.event == "attempt_failed":
                self._attempt(record, line)
            else:
                self._other(record, line)
        for record, line in self._standing.rest():
            self._add_final(record, line, self._test is None or self._test(record))
        if self._roots:
            self._find_roots()
        return self._told()

    def _attempt(self, record: Any, line: bytes) -> None:
        """Add a failed attempt. There may be millions: what is rare stands in methods of its own."""
        lost_s = record.duration_s or 0.0
        if self._parked_last and self._parked_last.pop(record.key, 0) == record.attempt:
            lost_s = 0.0  # its deadline came: the attempt is told twice
        self._lost_s += lost_s
        if record.injected:
            self._injected += 1
        chosen = self._test is None or self._test(record)
        if chosen and record.outcome != "upstream":
            self._groups.attempt(record, line, lost_s)
        if record.action == "retry":
            self._retries += 1
        elif record.action == "park":
            self._add_parked(record, line)
        elif self._standing.final(record, line):
            self._add_final(record, line, chosen)

    def _other(self, record: Any, line: bytes) -> None:
        """Add a recovery, or what ended the session."""
        if record.event == "recovered":
            self._recovered += 1
            self._forget(record.key)
        elif len(self._of_session) < KEPT and (whole := self._whole(line)) is not None:
            self._of_session.append(whole)

    def _find_roots(self) -> None:
        """Read once more on whose failure tasks are to be blamed that did not run, long after it."""
        found = {}
        names = {*ROOT_FIELDS, self._by, *self._select.names}
        for record, _ in Slim(self._run_dir, "failures", names):
            final = record.event == "attempt_failed" and record.action not in NOT_FINAL
            own = final and record.outcome != "upstream"
            if own and record.key in self._roots and (self._test is None or self._test(record)):
                found[record.key] = getattr(record, self._by)
        for key, name in found.items():
            self._groups.skip(name, self._roots.pop(key))

    def _told(self) -> dict[str, Any]:
        return {
            "retries": self._retries,
            "recovered": self._recovered,
            "lost_s": self._lost_s,
            "failures": tuple(sorted(self._records, key=lambda record: record.seq)),
            "session_failures": tuple(self._of_session),
            "parked": dict(self._parked.most_common()),
            "uncounted": self._uncounted,
            "injected": self._injected,
            "given_up": self._given_up,
            "skipped": self._skipped,
            "own": self._own,
            "upstream": self._upstream,
            "groups": self._groups.told(),
            "rootless": sum(self._roots.values()),
        }

    def _add_final(self, record: Any, line: bytes, chosen: bool) -> None:  # noqa: FBT001 - said of the record
        if record.outcome == "upstream":
            self._skipped += 1
            if chosen:
                self._add_skipped(record, line)
            return
        self._given_up += 1
        if chosen:
            self._own += 1
            name = self._groups.name(record)
            self._recent[record.key] = name
            if self._roots or len(self._recent) > MOST_RECENT:
                self._remember(record.key, name)
            if self._groups.final(name) or self._own <= KEPT:
                self._add_own(record, line)
            elif self._uncounted:
                self._forget(record.key)

    def _add_own(self, record: Any, line: bytes) -> None:
        """Read all of a failure that is listed, or an example of its group."""
        whole = self._whole(line)
        if whole is None:
            return
        self._groups.example(self._groups.name(record), whole)
        if self._own <= KEPT:
            self._records.append(whole)

    def _add_skipped(self, record: Any, line: bytes) -> None:
        self._upstream += 1
        if self._upstream <= KEPT and (whole := self._whole(line)) is not None:
            self._records.append(whole)
        root = record.root
        for known in (self._recent, self._older):
            if root in known:
                self._groups.skip(known[root], 1)
                return
        root = root if root in self._roots or len(self._roots) < MOST_ROOTS else None
        self._roots[root] = self._roots.get(root, 0) + 1

    def _remember(self, key: str | None, name: str | None) -> None:
        """Know failures for a while: what did not run because of one is mostly told just before or after."""
        if key in self._roots:
            self._groups.skip(name, self._roots.pop(key))
        if len(self._recent) > MOST_RECENT:
            self._older, self._recent = self._recent, {}

    def _add_parked(self, record: Any, line: bytes) -> None:
        whole = self._whole(line)
        error = whole.exception if whole is not None else None
        name = error.type.rpartition(".")[2] if error else "unknown"
        message = error.message.partition("\n")[0][:100] if error else ""
        cause = f"{name} — {message}" if message else name
        self._parked[cause if cause in self._parked or len(self._parked) < MOST_CAUSES else "others"] += 1
        self._uncounted[record.key] = self._uncounted.get(record.key, 0) + 1
        self._parked_last[record.key] = record.attempt

    def _forget(self, key: str | None) -> None:
        """The task has ended: how often it was parked is of interest only where it is listed."""
        if self._uncounted:
            self._uncounted.pop(key, None)
        if self._parked_last:
            self._parked_last.pop(key, None)
