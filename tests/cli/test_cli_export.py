"""``scalable export``: tables of a run, for other tools."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from pyarrow import parquet as pq

OLD = Path(__file__).parents[1] / "journal" / "old" / "4-grids"
TABLES = ["cache", "failures", "faults", "run", "tasks", "workers"]


@pytest.fixture
def run(workdir):
    shutil.copytree(OLD, workdir / ".scalable" / "runs" / "run-20261121T225308Z-old-2d8e1f0f")


def test_the_newest_run_is_written_a_table_for_each_file(cli, run, workdir):
    code, out, err = cli("export", "--parquet", "tables")
    assert (code, err) == (0, "")
    assert "wrote 6 tables of run-20261121T225308Z-old-2d8e1f0f to tables\n" in out
    assert "  tasks.parquet: 19 rows\n" in out
    assert sorted(path.name for path in (workdir / "tables").iterdir()) == [
        f"{name}.parquet" for name in TABLES
    ]


@pytest.mark.parametrize("name", ["2d8e1f0f", str(OLD)])
def test_a_run_can_be_named(cli, run, workdir, name):
    assert cli("export", name, "--parquet", "deep/tables").code == 0
    assert pq.read_table(workdir / "deep" / "tables" / "tasks.parquet").num_rows == 19


def test_tables_are_replaced_only_if_asked(cli, run, workdir):
    (workdir / "tables").mkdir()
    (workdir / "tables" / "mine.txt").touch()
    assert cli("export", "--parquet", "tables").code == 0
    code, out, err = cli("export", "--parquet", "tables")
    assert (code, out) == (1, "")
    assert "tables has failures.parquet already: --overwrite replaces it, or give another directory" in err
    assert cli("export", "--parquet", "tables", "--overwrite").code == 0
    assert (workdir / "tables" / "mine.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "say where the tables are to be written: --parquet DIR"),
        (["--parquet", "file"], 1, "file: is no directory"),
        (["--parquet", "file/below"], 1, "file/below: cannot be written: Not a directory"),
        (["nonsense", "--parquet", "tables"], 1, "there is no run `nonsense`"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(cli, run, workdir, arguments, code, words):
    (workdir / "file").touch()
    done = cli("export", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err


def test_lines_that_are_in_no_table_are_told(cli, run, workdir):
    (found,) = (workdir / ".scalable" / "runs").iterdir()
    with (found / "tasks.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"torn')
    done = cli("export", "--parquet", "tables")
    assert done.code == 0
    assert "lines of the run that cannot be read, and are in no table: 1" in done.err


def test_without_pyarrow_it_says_what_to_install(cli, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "scalable.telemetry.parquet", None)
    code, out, err = cli("export", "--parquet", "tables")
    assert (code, out) == (1, "")
    assert "pip install scalable[parquet]" in err
