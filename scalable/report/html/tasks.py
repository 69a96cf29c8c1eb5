"""The rows of a page's table: tasks that ended, and those of which only failed attempts are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable.core.text import short_name
from scalable.journal.reader import Slim
from scalable.report.harmless import one_line
from scalable.report.html.columns import UNKNOWN, Columns, Origin, amount, began

if TYPE_CHECKING:
    from pathlib import Path

    from scalable.journal.records import FailureRecord, TaskRecord
    from scalable.report.html.choose import Chosen
    from scalable.report.html.texts import Texts

__all__ = ["STATES", "Tasks"]

STATES = ("failed", "skipped", "unfinished", "parked", "cancelled", "recovered", "succeeded")
"""What can have become of a task; ``skipped`` are failed ones, ``recovered`` succeeded ones."""
FAILED, SKIPPED, UNFINISHED, PARKED = range(4)
SO_FAR = {"retry": UNFINISHED, "park": PARKED}
CACHE = ("hit", "miss")
LONGEST_KEY = 200
INTS = "name function component state attempts submitted started worker cache bytes peak"


class Tasks:
    """The fold of the lines that are shown. ``rows`` has the number of a row by the key of its task."""

    def __init__(self, origin: Origin, texts: Texts) -> None:
        self.columns = Columns(INTS, "took", "key call")
        self.rows: dict[str, int] = {}
        self._origin, self._texts = origin, texts

    def read(self, run_dir: Path, chosen: Chosen) -> None:
        """Read the chosen lines, in their order."""
        lines = Slim(run_dir, "tasks", ("key",))
        for place, (end, line) in enumerate(lines):
            if chosen.shows(place, end.key) and (whole := lines.whole(line)) is not None:
                self.rows[end.key] = self._ended(whole)

    def begin(self, record: FailureRecord, most: int) -> int | None:
        """Add a task that has not ended, as far as is told; ``None`` where there are ``most`` already."""
        if record.key is None or len(self.columns) >= most:
            return None
        self.rows[record.key] = row = self._add(record, UNFINISHED, record.attempt or 0, None)
        return row

    def failed(self, row: int, record: FailureRecord, *, ended: bool) -> None:
        """Say that an attempt failed: it shows how the task stands, where the end of it does not."""
        state, final = self.columns["state"], SKIPPED if record.outcome == "upstream" else FAILED
        if not ended:
            state[row] = SO_FAR.get(record.action or "", final)
            self.columns["attempts"][row] = record.attempt or 0
        elif state[row] in {FAILED, SKIPPED} and record.action not in SO_FAR:
            state[row] = final

    def _ended(self, end: TaskRecord) -> int:
        name = "recovered" if end.state == "succeeded" and end.attempts > 1 else end.state
        return self._add(end, STATES.index(name), end.attempts, end)

    def _add(
        self, record: TaskRecord | FailureRecord, state: int, attempts: int, end: TaskRecord | None
    ) -> int:
        number = self._texts.line
        return self.columns.add(
            key=one_line(record.key or "", LONGEST_KEY),
            call=one_line(record.call or short_name(record.task, record.function)),
            name=number(short_name(record.task, record.function)),
            function=number(record.function),
            component=number(record.component),
            state=state,
            attempts=attempts,
            submitted=self._origin.after(end.submitted_at if end else None),
            started=began(self._origin, record),
            took=amount(end.duration_s if end else None),
            worker=number(record.worker),
            cache=CACHE.index(end.cache) if end and end.cache else UNKNOWN,
            bytes=end.result_bytes if end and end.result_bytes is not None else UNKNOWN,
            peak=record.peak_rss_bytes or UNKNOWN,
        )
