"""Tables in Parquet hold what the lines of a run hold, in types that other tools know."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from live import fail, flaky, inc, start
from pyarrow import parquet as pq

from scalable import FaultPlan, Retry
from scalable.journal.reader import TYPES
from scalable.journal.records import TaskRecord
from scalable.journal.rundir import FILES
from scalable.journal.schema import line_schema
from scalable.telemetry import parquet
from scalable.telemetry.parquet import NAMES, export

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD = sorted((Path(__file__).parents[1] / "journal" / "old").iterdir())
SOON = Retry(retries=3, base=0.02, jitter="none")
TIMES = ("at", "submitted_at", "started_at", "finished_at")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    live = start(tmp_path_factory.mktemp("parquet"), processes=False)
    try:
        client = live.client
        bad = client.submit(fail, ValueError("no"))
        client.gather([client.submit(flaky, 2, retry=SOON), bad, client.submit(inc, bad)], errors="return")
        with client.inject(FaultPlan(kind="raise", first=1)):
            client.submit(inc, 1, retry=SOON).result()
    finally:
        live.session.close()
    return live.run_dir


def lines(run_dir: Path, file: str) -> list[dict[str, Any]]:
    path = run_dir / FILES[file]
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


def as_lines(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows as they are on disk: times as text again."""
    for row in table.to_pylist():
        times = {name: row[name] for name in TIMES if row.get(name) is not None}
        assert all(each.tzinfo is not None for each in times.values())
        text = {
            name: each.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
            for name, each in times.items()
        }
        yield row | text


@pytest.mark.parametrize("file", FILES)
def test_a_table_has_the_rows_and_the_fields_of_its_file(real: Path, tmp_path: Path, file: str) -> None:
    told = export(real, tmp_path / "tables")
    table = pq.read_table(tmp_path / "tables" / NAMES[file])
    written = lines(real, file)
    assert list(as_lines(table)) == written
    assert told.rows[NAMES[file]] == len(written)
    assert told.torn == 0
    assert table.column_names == list(TYPES[file].__struct_fields__)


@pytest.mark.parametrize("old", OLD, ids=lambda path: path.name)
def test_runs_of_earlier_releases_make_the_same_tables(old: Path, tmp_path: Path) -> None:
    export(old, tmp_path)
    for file in FILES:
        rows = list(as_lines(pq.read_table(tmp_path / NAMES[file])))
        for row, line in zip(rows, lines(old, file), strict=True):
            assert {name: row[name] for name in line} == line


def test_columns_have_types_and_say_what_they_mean(real: Path, tmp_path: Path) -> None:
    export(real, tmp_path)
    failures = pq.read_schema(tmp_path / "failures.parquet")
    assert failures.field("at").type == pa.timestamp("ms", tz="UTC")
    assert failures.field("duration_s").type == pa.float64()
    assert failures.field("attempt").type == pa.int64()
    assert failures.field("injected").type == pa.bool_()
    assert failures.field("warnings").type == pa.list_(pa.string())
    assert failures.field("exception").type.field("message").type == pa.string()
    told = line_schema("failures.jsonl")["properties"]
    for field in failures:
        assert field.metadata[b"description"].decode() == told[field.name]["description"]


def test_the_run_itself_is_a_table_of_one_row(real: Path, tmp_path: Path) -> None:
    export(real, tmp_path)
    (row,) = pq.read_table(tmp_path / "run.parquet").to_pylist()
    info = json.loads((real / "run.json").read_text(encoding="utf-8"))
    assert dict(row["counts"]) == info["counts"]
    assert dict(row["versions"]) == info["versions"]
    assert row["started_at"] == datetime.fromisoformat(info["started_at"])
    assert (row["run_id"], row["status"], row["pid"]) == (info["run_id"], "completed", info["pid"])


def test_a_file_that_the_run_has_not_is_an_empty_table_of_the_same_columns(tmp_path: Path) -> None:
    export(OLD[0], tmp_path)
    table = pq.read_table(tmp_path / "faults.parquet")
    assert (table.num_rows, table.column_names) == (0, list(TYPES["faults"].__struct_fields__))


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A run of a thousand tasks."""
    run_dir = tmp_path / "run-long"
    run_dir.mkdir()
    (run_dir / "run.json").write_bytes((OLD[-1] / "run.json").read_bytes())
    first = json.dumps(lines(OLD[-1], "tasks")[0])
    with (run_dir / "tasks.jsonl").open("w", encoding="utf-8") as file:
        for number in range(1, 1001):
            file.write(json.dumps(json.loads(first) | {"seq": number}) + "\n")
    return run_dir


def test_a_long_file_is_written_in_groups_of_rows(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS", 300)
    export(long, tmp_path)
    found = pq.ParquetFile(tmp_path / "tasks.parquet")
    assert [found.metadata.row_group(i).num_rows for i in range(found.num_row_groups)] == [300, 300, 300, 100]
    assert found.read()["seq"].to_pylist() == list(range(1, 1001))


def test_lines_that_cannot_be_read_are_counted_and_odd_times_are_null(long: Path, tmp_path: Path) -> None:
    odd = {"key": "k", "state": "failed", "attempts": 1, "at": "yesterday", "seq": 1001}
    with (long / "tasks.jsonl").open("a", encoding="utf-8") as file:
        file.write("nonsense\n" + json.dumps(odd) + '\n{"seq": 10')
    told = export(long, tmp_path)
    assert (told.rows["tasks.parquet"], told.torn) == (1001, 2)
    assert pq.read_table(tmp_path / "tasks.parquet")["at"].to_pylist()[-1] is None


def test_a_table_is_there_as_a_whole_or_not_at_all(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "failures.parquet").write_text("of before", encoding="utf-8")
    whole = parquet._row

    def broken(record: Any, schema: Any) -> Any:
        if isinstance(record, TaskRecord) and record.seq == 700:
            raise OSError("disk full")
        return whole(record, schema)

    monkeypatch.setattr(parquet, "_row", broken)
    with pytest.raises(OSError, match="disk full"):
        export(long, tmp_path / "tables")
    (left,) = (tmp_path / "tables").iterdir()
    assert left.read_text(encoding="utf-8") == "of before"
