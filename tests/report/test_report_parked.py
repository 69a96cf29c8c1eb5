"""Parked tasks in words: in the summary, in the list of failures, and while the run goes on."""

from __future__ import annotations

import re

from report_samples import a_failure, a_summary, failure_lines

from scalable.report.text import progress_line, summary_lines

TOLD = {
    "function": "sites.fetch",
    "task": None,
    "error": "ConnectionError: refused",
    "tasks": 12,
    "since": 1_795_000_000.0,
}


def test_the_summary_counts_parked_attempts_by_what_failed():
    causes = {"ConnectionError — refused": 14, "TaskTimeout — too slow": 2, "A": 1, "B": 1}
    lines = summary_lines(a_summary(parked=causes))
    assert (
        "  Parked attempts: 18 (ConnectionError — refused: 14; TaskTimeout — too slow: 2; A: 1; …)" in lines
    )
    assert not any("Parked" in line for line in summary_lines(a_summary()))


def test_parked_attempts_are_no_retries_that_failed():
    record = a_failure(attempt=6, max_attempts=9, kind="transient", reason=None)
    lines = failure_lines(a_summary(failures=(record,), uncounted={record.key: 3}))
    assert "     Retries attempted: 2 (all failed)" in lines
    lines = failure_lines(a_summary(failures=(record,), uncounted={record.key: 5}))
    assert not any("Retries attempted" in line for line in lines)


def test_the_moving_line_says_what_is_parked_how_many_and_since_when():
    line = progress_line({"succeeded": 3, "running": 1, "waiting": 12, "parked": 12}, [TOLD])
    assert re.fullmatch(
        r"3 of 16 tasks ended, 1 running, 12 waiting, "
        r"parked: 12 \(fetch, ConnectionError: refused, 12 tasks since \d\d:\d\d:\d\d\)",
        line,
    )


def test_the_name_of_the_task_is_said_where_it_has_one():
    assert "(weather, " in progress_line({"waiting": 1, "parked": 1}, [TOLD | {"task": "weather"}])


def test_the_number_is_said_also_where_nobody_knows_why():
    assert progress_line({"waiting": 2, "parked": 2}) == "0 of 2 tasks ended, 2 waiting, parked: 2"
