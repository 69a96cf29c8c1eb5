"""The last records of the tasks that failed for good, one by one: for lists of any length."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from scalable.journal.ends import Standing, read_ends
from scalable.journal.failures import NOT_FINAL
from scalable.journal.reader import Slim
from scalable.journal.select import ALL, Select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scalable.journal.records import FailureRecord

__all__ = ["Finals"]


class Finals:
    """Reads a run's final failures, those of tasks that were retried by hand after the others.

    ``parked`` counts the parked attempts of tasks that have not ended, and of the one that was read last.
    """

    def __init__(self, run_dir: Path, select: Select = ALL) -> None:
        self.parked: Counter[str | None] = Counter()
        self._run_dir = run_dir
        self._lines = Slim(run_dir, "failures", {"event", "key", "action", "outcome", *select.names})
        self._test = select.test

    def __iter__(self) -> Iterator[FailureRecord]:
        standing = Standing(read_ends(self._run_dir).replaced)
        for record, line in self._lines:
            if record.event != "attempt_failed":
                continue
            if record.action == "park":
                self.parked[record.key] += 1
            if record.action in NOT_FINAL:
                continue
            if standing.final(record, line):
                yield from self._chosen(record, line)
                self.parked.pop(record.key, None)
        for record, line in standing.rest():
            yield from self._chosen(record, line)

    def _chosen(self, record: object, line: bytes) -> Iterator[FailureRecord]:
        if self._test is None or self._test(record):
            whole = self._lines.whole(line)
            if whole is not None:
                yield whole
