"""The failed attempts of a page: those of the tasks that it shows, and the counts over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable.core.text import short_name
from scalable.journal.failures import NOT_FINAL
from scalable.journal.reader import Slim
from scalable.report.failures import error_words
from scalable.report.html.columns import Columns, Origin, amount, began
from scalable.report.html.texts import NONE, Texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scalable.journal.records import FailureRecord
    from scalable.report.html.tallies import Durations, OverTime
    from scalable.report.html.tasks import Tasks

__all__ = ["ACTIONS", "Attempts"]

SHORT = 200
ACTIONS = ("give_up", "retry", "park")
FIELDS = ("event", "key", "task", "function", "action", "outcome", "at", "duration_s")
INTS = (
    "task number most action outcome kind rule at started worker host error reason fingerprint trace message "
    "more injected"
)


class Attempts:
    """The fold of ``failures.jsonl``. ``left_out`` counts those of the shown tasks that are too many.

    Of a task that failed the last attempt is always there; of all others ``most`` are.
    """

    def __init__(self, origin: Origin, texts: Texts, most: int) -> None:
        self.columns = Columns(INTS, "took delay")
        self.left_out = self.failed = 0
        self._origin, self._texts, self._most = origin, texts, most

    def read(
        self, run_dir: Path, tasks: Tasks, room: int | None, durations: Durations, over_time: OverTime
    ) -> None:
        """Read the file once. Tasks that have not ended get a row, up to ``room`` in all; none without."""
        ended = len(tasks.columns)
        lines = Slim(run_dir, "failures", FIELDS)
        for record, line in lines:
            if record.event != "attempt_failed":
                continue
            if record.outcome != "upstream":
                self.failed += 1
                durations.add(short_name(record.task, record.function), record.duration_s, failed=True)
                over_time.add(self._origin.after(record.at) / 1000, record.action)
            row = tasks.rows.get(record.key)
            if row is None and room is None:
                continue
            whole = lines.whole(line)
            if whole is not None and row is None:
                row = tasks.begin(whole, room or 0)
            if whole is not None and row is not None:
                tasks.failed(row, whole, ended=row < ended)
                self._add(row, whole)

    def _add(self, row: int, record: FailureRecord) -> None:
        if record.action in NOT_FINAL:
            self._most -= 1
            if self._most < 0:
                self.left_out += 1
                return
        number = self._texts.line
        trace, message = self._traceback(record)
        self.columns.add(
            task=row,
            number=record.attempt or 0,
            most=record.max_attempts or 0,
            action=ACTIONS.index(record.action or "give_up"),
            outcome=number(record.outcome),
            kind=number(record.kind),
            rule=number(record.rule),
            at=self._origin.after(record.at),
            started=began(self._origin, record),
            took=amount(record.duration_s),
            delay=amount(record.delay_s),
            worker=number(record.worker),
            host=number(record.host),
            error=number(error_words(record)),
            reason=number(record.reason),
            fingerprint=number(record.fingerprint),
            trace=trace,
            message=message,
            more=self._texts.block("\n".join(_more(record))),
            injected=int(record.injected),
        )

    def _traceback(self, record: FailureRecord) -> tuple[int, int]:
        """Number the traceback without the message that it ends with: so a million have few of them."""
        message = record.exception.message if record.exception else ""
        text = (record.traceback or "").rstrip("\n")
        if message and text.endswith(message):
            text = text.removesuffix(message)
        elif text or ("\n" not in message and len(message) < SHORT):  # it is told with the error
            message = ""
        numbers = self._texts.block(text), self._texts.block(message)
        return (NONE, NONE) if text and numbers[0] == NONE else numbers


def _more(record: FailureRecord) -> Iterator[str]:
    """List what few attempts have."""
    if record.exception is not None:
        yield from (f"Caused by: {each.type}: {each.message}" for each in record.exception.chain)
        yield from (f"Note: {note}" for note in record.exception.notes)
    if record.exit_code is not None:
        yield f"Exit code: {record.exit_code}"
    if record.signal:
        yield f"Signal: {record.signal}"
    if record.escalated_to:
        yield f"Escalated: from {record.escalated_from} to {record.escalated_to}"
    yield from (f"Warning: {each}" for each in record.warnings)
    if record.output:
        yield f"Last output:\n{record.output}"
