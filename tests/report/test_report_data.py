"""A run as plain data and as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import NO_PROCESS, RUN_ID, a_failure, a_summary, an_info

from scalable.core.failure import ExceptionInfo
from scalable.report.data import run_data, summary_data, to_json


def test_the_summary_is_told_in_numbers(here):
    data = summary_data(a_summary(here / RUN_ID))
    assert data == {
        "run_id": RUN_ID,
        "status": "completed",
        "project": "local",
        "target": "local",
        "provider": "local",
        "started_at": "2026-11-21T02:48:06.000Z",
        "finished_at": "2026-11-21T02:48:08.300Z",
        "duration_s": pytest.approx(2.3),
        "run_dir": str(here / RUN_ID),
        "reason": None,
        "tasks": {"succeeded": 5, "failed": 1, "cancelled": 0, "total": 6},
        "retries": 2,
        "recovered": 1,
        "skipped": 0,
        "parked": {},
        "lost_s": 0.02,
        "injected": 0,
        "cache": {},
        "resumes": None,
        "resumed": {},
        "records_lost": 0,
        "torn": 0,
        "newer": 0,
    }


def test_a_run_of_the_list_is_told_with_its_status_now():
    data = run_data(
        Path("runs") / RUN_ID, an_info(status="running", finished_at=None, pid=NO_PROCESS, counts={})
    )
    assert (data["status"], data["duration_s"], data["counts"]) == ("interrupted", None, {})
    assert Path(data["run_dir"]).is_absolute()


@given(st.text(st.characters(), max_size=100))
def test_json_is_printable_ascii_and_tells_the_text_as_it_was(text):
    hostile = a_failure(call=text, exception=ExceptionInfo(text, text))
    written = to_json({"failures": [msgspec.to_builtins(hostile)]})
    assert written.isascii()
    assert all(line.isprintable() for line in written.split("\n"))
    read = json.loads(written)
    assert read["failures"][0]["call"] == text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "surrogatepass"
    )


def test_json_has_no_numbers_that_json_does_not_know():
    assert json.loads(to_json({"a": [math.nan, (math.inf, 1.5)], "b": -math.inf})) == {
        "a": [None, [None, 1.5]],
        "b": None,
    }
