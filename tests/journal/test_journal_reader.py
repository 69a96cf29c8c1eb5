"""Reading a run's files while they grow, end in mid-line, or hold rubbish."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.journal.reader import TYPES, Stream
from scalable.journal.records import CacheRecord, FailureRecord, FaultRecord, TaskRecord, WorkerRecord
from scalable.journal.rundir import FILES

HIT, MISS = b'{"event":"hit"}\n', b'{"event":"miss"}\n'


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cache.jsonl"


def events(stream):
    return [record.event for record in stream]


def test_every_file_has_its_records():
    assert {
        "failures": FailureRecord,
        "tasks": TaskRecord,
        "workers": WorkerRecord,
        "cache": CacheRecord,
        "faults": FaultRecord,
    } == TYPES
    assert list(TYPES) == list(FILES)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("failures", FailureRecord(event="recovered", key="k")),
        ("tasks", TaskRecord(key="k", state="failed", attempts=2)),
        ("workers", WorkerRecord(event="lost", worker="worker-1")),
        ("cache", CacheRecord(event="damaged")),
    ],
)
def test_records_come_back_as_they_were_written(tmp_path, name, record):
    (tmp_path / FILES[name]).write_bytes(msgspec.json.encode(record) + b"\n")
    assert list(Stream(tmp_path, name)) == [record]


def test_a_missing_file_is_empty(tmp_path):
    stream = Stream(tmp_path, "tasks")
    assert (list(stream), stream.torn) == ([], 0)


def test_an_unknown_file_is_an_error(tmp_path):
    with pytest.raises(KeyError):
        Stream(tmp_path, "nonsense")


def test_blank_lines_are_passed_over_uncounted(tmp_path, file):
    file.write_bytes(b"\n" + HIT + b" \r\n\n" + MISS)
    stream = Stream(tmp_path, "cache")
    assert (events(stream), stream.torn) == (["hit", "miss"], 0)


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"h',
        b'{"event":"nonsense"}',
        b'{"event":1}',
        b"[]",
        b"\0\0\0\0",
        b'{"event":"hit","function":"\xff"}',
        b'{"event":"hit","other":' + b"[" * 100_000,
    ],
    ids=["torn", "unknown event", "wrong type", "no object", "zeros", "no UTF-8", "too deep"],
)
def test_a_line_that_cannot_be_read_is_counted_and_passed_over(tmp_path, file, line):
    file.write_bytes(HIT + line + b"\n" + MISS)
    stream = Stream(tmp_path, "cache")
    assert (events(stream), stream.torn) == (["hit", "miss"], 1)


def test_a_last_line_without_its_end_counts_if_it_is_whole(tmp_path, file):
    file.write_bytes(HIT + MISS.rstrip())
    assert events(Stream(tmp_path, "cache")) == ["hit", "miss"]


def test_each_reading_begins_anew_and_sees_what_was_added(tmp_path, file):
    file.write_bytes(HIT + b'{"eve')
    stream = Stream(tmp_path, "cache")
    assert (events(stream), stream.torn) == (["hit"], 1)
    file.write_bytes(HIT + MISS)
    assert (events(stream), stream.torn) == (["hit", "miss"], 0)


@given(lines=st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=8))
def test_no_content_stops_a_reading(tmp_path_factory, lines):
    run_dir = tmp_path_factory.mktemp("run")
    (run_dir / "cache.jsonl").write_bytes(b"\n".join([*lines, HIT]))
    stream = Stream(run_dir, "cache")
    assert events(stream)[-1] == "hit"
    assert stream.torn <= len(lines)
