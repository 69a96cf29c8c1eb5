"""Failures, or groups of them, as rows: for ``--csv``, ``--fields`` and the lists of ``--json``.

A cell is harmless: one printable line, and no formula to a spreadsheet that opens it.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.journal.groups import Group
from scalable.report.grouped import tip_of
from scalable.report.harmless import cell
from scalable.report.where import NAMES, chosen_from, value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from scalable.journal.records import FailureRecord
    from scalable.journal.summary import Summary

__all__ = ["GROUP_NAMES", "csv_lines", "fields_of", "group_row", "record_row", "tab_lines"]

Row = dict[str, Any]
USUAL = (
    "at",
    "call",
    "outcome",
    "kind",
    "rule",
    "error",
    "message",
    "attempt",
    "worker",
    "host",
    "duration_s",
)
GROUP_NAMES = (*Group.__struct_fields__, "error", "message", "tip")
USUAL_OF_GROUPS = (
    *("name", "failed", "skipped", "attempts", "retried", "lost_s", "first", "last", "workers", "hosts"),
    *("error", "message", "tip"),
)


def fields_of(given: str | None, *, grouped: bool) -> tuple[str, ...]:
    """Return the fields that are asked for, else the usual ones.

    Raises ``SelectionError`` where there is no such field.
    """
    if given is None:
        return USUAL_OF_GROUPS if grouped else USUAL
    known = GROUP_NAMES if grouped else NAMES
    what = "a field of a group" if grouped else "a field"
    return tuple(chosen_from(known, name.strip(), what) for name in given.split(","))


def record_row(record: FailureRecord, names: Sequence[str]) -> Row:
    """Give fields of a record as plain data."""
    return {name: msgspec.to_builtins(value(record, name)) for name in names}


def group_row(summary: Summary, group: Group, names: Sequence[str]) -> Row:
    """Give fields of a group as plain data; ``error`` and ``message`` are those of its sample."""
    row: Row = {}
    for name in names:
        if name == "tip":
            row[name] = tip_of(summary, group)
        elif name in {"error", "message"}:
            row[name] = value(group.sample, name) if group.sample else None
        else:
            row[name] = msgspec.to_builtins(getattr(group, name))
    return row


def csv_lines(rows: Iterable[Row], names: Sequence[str]) -> Iterator[str]:
    """Write rows as CSV, below a line with the names."""
    yield _csv(dict(zip(names, names, strict=True)), names)
    yield from (_csv(row, names) for row in rows)


def tab_lines(rows: Iterable[Row], names: Sequence[str]) -> Iterator[str]:
    """Write rows with tabs between the cells, below a line with the names."""
    yield "\t".join(names)
    for row in rows:
        yield "\t".join(cell(_plain(row[name])) for name in names)


def _csv(row: Row, names: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow([cell(_plain(row[name])) for name in names])
    return written.getvalue()


def _plain(item: Any) -> Any:
    """Write lists and objects as JSON."""
    return json.dumps(item) if isinstance(item, dict | list) else item
