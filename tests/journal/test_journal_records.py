"""The lines on disk: their times and the order of their fields, which the contract fixes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.failure import ExceptionInfo, Failure
from scalable.journal.records import (
    CacheRecord,
    FailureRecord,
    TaskRecord,
    WorkerRecord,
    failure_in,
    fields_of,
    rounded,
    utc,
)

EXAMPLES = [
    FailureRecord(event="attempt_failed", key="k", exception=ExceptionInfo("E", "m"), warnings=("w",)),
    TaskRecord(key="k", state="succeeded", attempts=1),
    WorkerRecord(event="started", worker="worker-0", running=("k",)),
    CacheRecord(event="hit"),
]


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_253_400.1239, "2026-11-21T09:30:00.123Z"),
        (1_795_253_400, "2026-11-21T09:30:00.000Z"),
    ],
)
def test_times_are_utc_with_milliseconds(at, text):
    assert utc(at) == text


@given(st.floats(0, 4e9))
def test_times_sort_as_text(at):
    assert utc(at) <= utc(at + 0.002)
    assert len(utc(at)) == 24


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_a_record_is_read_as_it_was_written(record):
    assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_a_line_opens_with_its_schema_number_time_and_run_and_has_every_field(record):
    fields = list(msgspec.to_builtins(record))
    assert fields[:4] == ["schema", "seq", "at", "run_id"]
    assert tuple(fields) == type(record).__struct_fields__


def test_a_line_of_a_later_version_is_read_without_its_new_fields():
    line = b'{"schema":2,"event":"hit","colour":"red"}'
    assert msgspec.json.decode(line, type=CacheRecord) == CacheRecord(schema=2, event="hit")


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_the_writer_is_given_all_but_what_it_fills_in_itself(record):
    fields = fields_of(record)
    assert set(type(record).__struct_fields__) - fields.keys() == {"schema", "seq", "run_id"}


def test_every_field_of_a_failure_has_its_place_in_a_line_and_is_read_back():
    assert set(Failure.__struct_fields__) <= set(FailureRecord.__struct_fields__)
    line = FailureRecord(
        event="attempt_failed",
        outcome="error",
        kind="transient",
        rule="timeout",
        exception=ExceptionInfo("TimeoutError", "late"),
        started_at=utc(1_795_253_400.25),
        wait_s=3.0,
        root="k",
    )
    failure = failure_in(fields_of(line))
    assert (failure.started_at, failure.wait_s, failure.root) == (1_795_253_400.25, 3.0, "k")
    assert failure.duration_s is None


def test_durations_are_whole_microseconds():
    assert rounded(0.1234567) == 0.123457
    assert rounded(None) is None
