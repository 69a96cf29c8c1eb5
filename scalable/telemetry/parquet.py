"""Writes a run's files as tables in Parquet, a file each: for pandas, DuckDB, Polars and the like.

Columns have the names, meanings and types of the fields of :mod:`scalable.journal.records`: times are
timestamps in UTC, an exception is a struct. Files of any length are read and written in parts.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from msgspec import inspect
from pyarrow import parquet

from scalable.journal.reader import TYPES, Stream
from scalable.journal.rundir import FILES, RunInfo, read_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["NAMES", "Exported", "export"]

ROWS = 10_000
"""Rows of one group, which are in memory together."""
NAMES = {**{file: f"{file}.parquet" for file in FILES}, "run": "run.parquet"}

SCALARS: dict[type[inspect.Type], Callable[[], pa.DataType]] = {
    inspect.IntType: pa.int64,
    inspect.FloatType: pa.float64,
    inspect.BoolType: pa.bool_,
    inspect.StrType: pa.string,
    inspect.LiteralType: pa.string,
}
TIME = pa.timestamp("ms", tz="UTC")


class Exported(msgspec.Struct, frozen=True):
    """How many rows are in which table; how many lines could not be read."""

    rows: dict[str, int]
    torn: int


def export(run_dir: Path, directory: Path) -> Exported:
    """Write the tables of a run into a directory, all or none; what is there of the same names is replaced.

    Raises ``OSError`` where it cannot be written, and as :func:`~scalable.journal.rundir.read_info` does.
    """
    info = read_info(run_dir)
    directory.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    drafts = {name: directory / f".{name}.{mark}.tmp" for name in NAMES.values()}
    streams = {file: Stream(run_dir, file) for file in FILES}
    tables: dict[str, tuple[type[msgspec.Struct], Iterable[Any]]] = {
        NAMES[file]: (TYPES[file], stream) for file, stream in streams.items()
    }
    tables[NAMES["run"]] = (RunInfo, [info])
    try:
        rows = {name: _write(drafts[name], *table, info) for name, table in tables.items()}
        for name, draft in drafts.items():
            draft.replace(directory / name)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    return Exported(rows, sum(stream.torn for stream in streams.values()))


def _write(path: Path, kind: type[msgspec.Struct], records: Iterable[Any], info: RunInfo) -> int:
    """Write a table, a group of rows at a time; returns how many there are."""
    schema = pa.schema(_fields(kind), metadata={"scalable.run_id": info.run_id})
    rows = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for some in _batched(records):
            writer.write_batch(
                pa.RecordBatch.from_pylist([_row(each, schema) for each in some], schema=schema)
            )
            rows += len(some)
    return rows


def _fields(kind: type[msgspec.Struct]) -> list[pa.Field]:
    """Give the columns of a record, each with the description of its field."""
    about = inspect.type_info(kind)
    assert isinstance(about, inspect.StructType), "every record is one"  # noqa: S101 - for mypy
    return [_field(field) for field in about.fields]


def _field(field: inspect.Field) -> pa.Field:
    told = field.type.extra_json_schema if isinstance(field.type, inspect.Metadata) else None
    words = (told or {}).get("description")
    return pa.field(field.name, _type(field.type), metadata={"description": words} if words else None)


def _type(kind: inspect.Type) -> pa.DataType:
    """Give the type of a column."""
    kind = _but_null(kind)
    if isinstance(kind, inspect.Metadata):
        is_time = (kind.extra_json_schema or {}).get("format") == "date-time"
        return TIME if is_time else _type(kind.type)
    match kind:
        case inspect.VarTupleType(item_type=item):
            return pa.list_(_type(item))
        case inspect.DictType(key_type=key, value_type=value):
            return pa.map_(_type(key), _type(value))
        case inspect.StructType(fields=fields):
            return pa.struct([_field(field) for field in fields])
    return SCALARS[type(kind)]()


def _but_null(kind: inspect.Type) -> inspect.Type:
    """Give what a field may be but null, which every column may be."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    (only,) = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
    return only


def _batched(records: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(records)
    while some := list(islice(remaining, ROWS)):
        yield some


def _row(record: msgspec.Struct, schema: pa.Schema) -> dict[str, Any]:
    """Give a record in the values that pyarrow wants."""
    row: dict[str, Any] = msgspec.to_builtins(record)
    for field in schema:
        if field.type == TIME:
            row[field.name] = _time(row[field.name])
        elif isinstance(row[field.name], dict) and not pa.types.is_struct(field.type):
            row[field.name] = list(row[field.name].items())
    return row


def _time(text: str | None) -> datetime | None:
    """Read a time; ``None`` for what is none, in a line that somebody else has changed."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
