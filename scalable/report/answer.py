"""What ``scalable report`` answers, line by line, to what was asked: the use case behind the command."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from scalable.journal.failures import KEPT
from scalable.journal.finals import Finals
from scalable.journal.groups import BY
from scalable.report.commands import resume_lines
from scalable.report.data import json_lines, summary_data
from scalable.report.failures import entries
from scalable.report.grouped import group_lines, tip_lines
from scalable.report.locate import load
from scalable.report.selection import Wanted, select
from scalable.report.tables import GROUP_NAMES, csv_lines, fields_of, group_row, record_row, tab_lines
from scalable.report.text import failed_count, headline, summary_lines
from scalable.report.where import chosen_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from scalable.journal.select import Select
    from scalable.journal.summary import Summary

__all__ = ["Asked", "answer"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell: the summary, or failures where any option is about them.

    ``by`` groups them by a field; with ``grouped`` false they are listed one by one, however many they are.
    """

    failures: bool = False
    wanted: Wanted = Wanted()
    by: str | None = None
    grouped: bool = True
    fields: str | None = None
    form: Literal["text", "json", "csv"] = "text"

    @property
    def detailed(self) -> bool:
        """Whether failures are asked for."""
        options = (self.by, self.fields)
        plain = self.grouped and self.wanted.everything and options == (None, None) and self.form != "csv"
        return self.failures or not plain


def answer(run_dir: Path, asked: Asked, now: datetime | None = None) -> Iterator[str]:
    """Tell of a run. Raises ``SelectionError`` where what is asked for is wrong, before or while reading."""
    by = chosen_from(BY, asked.by, "of --group-by") if asked.by is not None else BY[0]
    chosen = select(asked.wanted, now or datetime.now(UTC))
    fields_of(asked.fields, grouped=asked.by is not None)
    summary = load(run_dir, by, chosen)
    if asked.form == "json":
        return json_lines(summary_data(summary), _lists(summary, asked, chosen))
    if not asked.detailed:
        return iter(summary_lines(summary))
    if asked.form == "csv" or asked.fields is not None:
        return _table(summary, asked, chosen)
    return _page(summary, asked, chosen)


def _page(summary: Summary, asked: Asked, chosen: Select) -> Iterator[str]:
    yield headline(summary)
    yield ""
    yield from _failures(summary, asked, chosen)
    if commands := resume_lines(summary, failed_count(summary)):
        yield from ["", *commands]


def _failures(summary: Summary, asked: Asked, chosen: Select) -> Iterator[str]:
    if asked.by is not None or (asked.grouped and summary.own > KEPT):
        yield from group_lines(summary)
    elif summary.own <= KEPT:
        yield from entries(summary)
        yield from tip_lines(summary)
    else:
        finals = Finals(summary.run_dir, chosen)
        yield from entries(summary, finals, finals.parked)


def _table(summary: Summary, asked: Asked, chosen: Select) -> Iterator[str]:
    names = fields_of(asked.fields, grouped=asked.by is not None)
    write = csv_lines if asked.form == "csv" else tab_lines
    return write(_rows(summary, asked, chosen, names), names)


def _rows(summary: Summary, asked: Asked, chosen: Select, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if asked.by is not None:
        return (group_row(summary, group, names) for group in summary.groups)
    return (record_row(record, names) for record in Finals(summary.run_dir, chosen))


def _lists(summary: Summary, asked: Asked, chosen: Select) -> dict[str, Iterable[Any]]:
    if not asked.detailed:
        return {}
    if asked.by is not None:
        names = fields_of(asked.fields, grouped=True) if asked.fields is not None else GROUP_NAMES
        return {"groups": _rows(summary, asked, chosen, names)}
    session = [msgspec.to_builtins(record) for record in summary.session_failures]
    if asked.fields is not None:
        return {"failures": _rows(summary, asked, chosen, fields_of(asked.fields, grouped=False))}
    records = (msgspec.to_builtins(record) for record in Finals(summary.run_dir, chosen))
    return {"failures": records, "session_failures": session}
