"""What a page shows of a run: which tasks and attempts, what it counts over all, what it says of the rest."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_samples import BEGAN, Story, a_large_run, a_mixed_run, data_of, html_of, rows_of
from report_samples import RUN_ID, a_failure, an_info, write_lines, write_run

from scalable.core.failure import Cause, ExceptionInfo
from scalable.errors import SessionError
from scalable.journal.records import utc
from scalable.journal.rundir import write_info
from scalable.report.failures import heading
from scalable.report.grouped import group_lines
from scalable.report.harmless import block, one_line
from scalable.report.html.columns import Columns
from scalable.report.html.data import Limits
from scalable.report.html.tallies import MOST_BINS, MOST_NAMES, Durations, OverTime
from scalable.report.html.texts import NONE, Texts
from scalable.report.locate import load
from scalable.report.text import summary_lines, verdict


@pytest.fixture
def mixed(tmp_path):
    return a_mixed_run(tmp_path)


def shown(run_dir, **how):
    return data_of(html_of(run_dir, **how))


def by_key(data):
    return {row["key"]: row for row in rows_of(data)}


# --- the run ---------------------------------------------------------------------------------------------


def test_the_verdict_and_the_facts_are_those_of_the_report(mixed):
    summary = load(mixed)
    run = shown(mixed)["run"]
    assert run["verdict"] == verdict(summary)
    said = [f"  {label}: {words}" for label, words in run["facts"]]
    *facts, command = summary_lines(summary)[1:]
    assert said[: len(facts)] == facts
    assert said[len(facts)] == command.replace("--last", f"--run {RUN_ID}")  # it will not always be the last
    assert [label for label, _ in run["facts"]][-2:] == ["Host", "Page written"]


def test_every_task_is_counted_in_one_state(mixed):
    run = shown(mixed)["run"]
    assert run["counts"] == {"succeeded": 6, "recovered": 2, "cancelled": 1, "skipped": 1, "failed": 1}


def test_the_groups_are_those_of_the_report(mixed):
    summary, failures = load(mixed), shown(mixed)["failures"]
    (failed,) = failures["failed"]
    said = list(group_lines(summary))
    assert failures["heading"] == [line for line in heading(summary, 1) if line]
    assert f"  1. {failed['title']}" in said
    assert [f"     {line}" for line in failed["lines"]] == said[3 : 3 + len(failed["lines"])]
    assert "Skipped: 1 task did not run because of it" in failed["lines"]
    assert "no such site: 8" in failed["traceback"]
    assert failures["outside"] in said
    assert len(failures["others"]) == 1


def test_times_count_from_the_beginning_of_the_run(mixed):
    data = shown(mixed)
    assert data["run"]["began"] == BEGAN * 1000
    assert data["run"]["end"] == 2300
    assert [row["started"] for row in rows_of(data)][:3] == [0, 200, 400]


def test_a_run_that_goes_on_ends_now_and_says_so(tmp_path):
    story = Story(tmp_path, status="running", finished_at=None)
    story.end(1, 0.1)
    now = datetime.fromtimestamp(BEGAN + 60, UTC)
    run = shown(story.run_dir, now=now)["run"]
    assert (run["status"], run["end"]) == ("running", 60_000)
    assert run["verdict"].endswith("1 of 1 task succeeded so far")
    assert "still going" in run["notes"][0]


def test_a_run_without_readable_times_is_shown_all_the_same(tmp_path):
    run_dir = write_run(tmp_path, started_at="yesterday", finished_at="9999-99-99")
    write_lines(run_dir, "failures.jsonl", a_failure(at="noon", started_at="never"))
    data = shown(run_dir)
    assert data["run"]["began"] is None
    assert rows_of(data, "attempts")[0]["at"] == -1


def test_an_empty_run_has_nothing_in_it(tmp_path):
    data = shown(write_run(tmp_path, counts={}))
    assert data["run"]["verdict"] == "completed: no tasks"
    assert data["tasks"]["key"] == data["texts"] == data["durations"] == data["failures"]["failed"] == []
    assert data["failures"]["heading"] == ["No failures (0 tasks)."]


def test_a_damaged_run_is_an_error_before_anything_is_written(tmp_path):
    run_dir = write_run(tmp_path)
    (run_dir / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(SessionError, match=r"is damaged, run\.json"):
        html_of(run_dir)


# --- tasks -----------------------------------------------------------------------------------------------


def test_the_states_of_tasks(mixed):
    rows = by_key(shown(mixed))
    assert {key: row["state"] for key, row in rows.items() if row["state"] != "succeeded"} == {
        "measure-7": "recovered",
        "measure-8": "failed",
        "total-9": "skipped",
        "measure-10": "recovered",
        "sweep-11": "cancelled",
    }


def test_a_row_has_what_is_known_of_a_task(mixed):
    row = by_key(shown(mixed))["measure-3"]
    assert row | {"peak": None} == row | {
        "call": "measure(site=3)",
        "name": "measure",
        "function": "sites.measure",
        "attempts": 1,
        "submitted": 0,
        "started": 600,
        "took": 0.15,
        "worker": "worker-2",
        "cache": -1,
        "bytes": -1,
        "peak": None,
    }


def test_an_attempt_has_not_ended_after_it_was_told_whatever_its_workers_clock_said(tmp_path):
    story = Story(tmp_path)
    story.end(1, 5.0, 0.5, at=utc(BEGAN + 3))
    story.end(2, 5.0, 0.5, at=utc(BEGAN + 9))
    story.fail(3, 5.0, 0.5, at=utc(BEGAN + 0.1))
    data = shown(story.run_dir)
    assert [row["started"] for row in rows_of(data)] == [2500, 5000, 0]
    assert [row["started"] for row in rows_of(data, "attempts")] == [0]


def test_of_a_task_that_was_retried_by_hand_its_last_end_is_shown(tmp_path):
    story = Story(tmp_path)
    story.fail(1, 0.1)
    story.end(1, 0.1, state="failed")
    story.end(2, 0.1)
    story.end(1, 1.0, attempts=2, replaces="failed")
    (row,) = [row for row in rows_of(shown(story.run_dir)) if row["key"] == "measure-1"]
    assert (row["state"], row["started"]) == ("recovered", 1000)


def test_tasks_that_have_not_ended_are_shown_as_they_stand(tmp_path):
    story = Story(tmp_path, status="running", finished_at=None)
    story.fail(1, 0.1, action="retry", delay_s=60.0)
    story.fail(2, 0.1, action="retry", delay_s=0.1)
    story.fail(2, 0.4, action="park", attempt=2)
    story.fail(3, 0.1, action="give_up")
    rows = by_key(shown(story.run_dir))
    states = {key: (row["state"], row["attempts"]) for key, row in rows.items()}
    assert states == {"measure-1": ("unfinished", 1), "measure-2": ("parked", 2), "measure-3": ("failed", 1)}


def test_where_there_are_too_many_the_failed_come_first_then_the_retried_then_the_slowest(tmp_path):
    story = Story(tmp_path)
    for number in range(20):
        story.end(number, 0.1 * number, 0.1 + number / 100)
    story.fail(20, 0.1)
    story.end(20, 0.1, 0.001, state="failed")
    story.fail(21, 0.1, action="retry", delay_s=0.1)
    story.end(21, 0.5, 0.002, attempts=2)
    data = shown(story.run_dir, limits=Limits(tasks=4))
    assert [row["key"] for row in rows_of(data)] == ["measure-18", "measure-19", "measure-20", "measure-21"]
    assert data["run"]["notes"][0].startswith(
        "4 of 22 tasks are listed and on the timeline: those that failed"
    )
    assert data["run"]["verdict"] == verdict(load(story.run_dir))
    assert sum(each["succeeded"] for each in data["durations"]) == 21


def test_a_result_of_an_earlier_run_is_listed_and_is_no_duration(tmp_path):
    story = Story(tmp_path)
    story.end(1, 0.1, 0.5)
    story.end(2, 0.1, 0.0, resumed="run-1")
    data = shown(story.run_dir)
    assert len(rows_of(data)) == 2
    assert [each["succeeded"] for each in data["durations"]] == [1]


def test_a_failed_task_that_is_not_shown_is_not_taken_for_one_that_goes_on(tmp_path):
    story = Story(tmp_path)
    for number in range(10):
        story.fail(number, 0.1, took=0.1 + number / 100)
        story.end(number, 0.1, 0.1 + number / 100, state="failed")
    data = shown(story.run_dir, limits=Limits(tasks=3))
    assert {row["key"] for row in rows_of(data)} == {"measure-7", "measure-8", "measure-9"}
    assert len(rows_of(data, "attempts")) == 3


def test_torn_and_damaged_lines_are_passed_over(mixed):
    before = rows_of(shown(mixed))
    for name in ("tasks", "failures", "workers"):
        with (mixed / f"{name}.jsonl").open("ab") as file:
            file.write(b'\x00\xff{"event": 3}\n{"schema":1,"se')
    assert rows_of(shown(mixed)) == before


def test_missing_files_are_empty_ones(tmp_path):
    run_dir = write_run(tmp_path)
    assert shown(run_dir)["tasks"]["key"] == []


def test_a_line_of_which_only_the_rest_is_unreadable_is_passed_over(tmp_path):
    story = Story(tmp_path)
    story.append("tasks", {"key": "a", "state": "succeeded", "attempts": 1, "result_bytes": "many"})
    story.append("failures", {"event": "attempt_failed", "key": "b", "action": "give_up", "exit_code": "x"})
    story.end(1, 0.1)
    data = shown(story.run_dir)
    assert [row["key"] for row in rows_of(data)] == ["measure-1"]
    assert rows_of(data, "attempts") == []


# --- attempts --------------------------------------------------------------------------------------------


def test_a_failed_attempt_has_what_is_known_of_it(mixed):
    data = shown(mixed)
    first, second, *_ = rows_of(data, "attempts")
    assert first | {"reason": None} == first | {
        "action": "retry",
        "number": 1,
        "most": 4,
        "outcome": "error",
        "rule": "connection",
        "kind": "transient",
        "error": "ConnectionError \N{EM DASH} refused",
        "started": 300,
        "at": 500,
        "took": 0.2,
        "delay": 0.4,
        "worker": "worker-1",
        "injected": 0,
        "reason": None,
    }
    assert data["tasks"]["key"][first["task"]] == "measure-7"
    assert second["trace"] + second["message"] == (
        'Traceback (most recent call last):\n  File "/home/ada/sites.py", line 9, in measure\n    go()\n'
        "ValueError: no such site: 8"
    )


def test_tracebacks_that_differ_in_their_messages_are_kept_once(tmp_path):
    story = Story(tmp_path)
    for number in range(5):
        story.fail(number, 0.1)
        story.end(number, 0.1, state="failed")
    data = shown(story.run_dir)
    assert len({row["trace"] for row in rows_of(data, "attempts")}) == 1
    assert sum("Traceback" in text for text in data["texts"]) == 1


def test_what_few_attempts_have_is_told_with_them(tmp_path):
    story = Story(tmp_path)
    error = ExceptionInfo("builtins.OSError", "gone", (Cause("builtins.KeyError", "'a'"),), ("look there",))
    story.fail(
        *(1, 0.1),
        exception=error,
        traceback=None,
        exit_code=9,
        signal="SIGKILL",
        escalated_from="small",
        escalated_to="large",
        warnings=("UserWarning: old (a.py:3)",),
        output="one\n  two\n",
        injected=True,
    )
    (row,) = rows_of(shown(story.run_dir), "attempts")
    assert row["trace"] is row["message"] is None
    assert row["injected"] == 1
    assert row["more"].splitlines() == [
        "Caused by: builtins.KeyError: 'a'",
        "Note: look there",
        "Exit code: 9",
        "Signal: SIGKILL",
        "Escalated: from small to large",
        "Warning: UserWarning: old (a.py:3)",
        "Last output:",
        "one",
        "  two",
    ]


@pytest.mark.parametrize(
    ("message", "kept"), [("short", None), ("two\nlines", "two\nlines"), ("x" * 900, "x" * 900), ("", None)]
)
def test_a_message_without_a_traceback_is_kept_where_the_error_does_not_tell_it_whole(
    tmp_path, message, kept
):
    story = Story(tmp_path)
    story.fail(1, 0.1, exception=ExceptionInfo("E", message), traceback=None)
    assert rows_of(shown(story.run_dir), "attempts")[0]["message"] == kept


def test_of_too_many_attempts_the_last_ones_are_there(tmp_path):
    story = Story(tmp_path)
    for attempt in range(1, 6):
        story.fail(1, attempt, attempt=attempt, action="retry" if attempt < 5 else "give_up")
    story.end(1, 5.0, state="failed", attempts=5)
    data = shown(story.run_dir, limits=Limits(attempts=2))
    assert [row["number"] for row in rows_of(data, "attempts")] == [1, 2, 5]
    assert data["run"]["notes"] == ["2 earlier failed attempts of these tasks are counted, but not shown."]


def test_what_is_too_long_altogether_is_left_out_and_that_is_said(tmp_path):
    story = Story(tmp_path)
    for number in range(4):
        story.fail(number, 0.1, error=("ValueError", f"{number}" * 1000))
    data = shown(story.run_dir, limits=Limits(text=2500))
    rows = rows_of(data, "attempts")
    assert [row["message"] is None for row in rows] == [False, False, True, True]
    assert all(row["error"].startswith("ValueError \N{EM DASH} ") for row in rows)
    assert data["run"]["notes"] == [
        "2 long texts (tracebacks, messages, output) did not fit: failures.jsonl has them."
    ]


def test_workers_come_and_go(mixed):
    data = shown(mixed)
    rows = rows_of(data, "events")
    names = data["names"]["events"]
    told = [(row["worker"], names[row["event"]], row["at"], row["reason"]) for row in rows]
    assert told == [
        ("worker-1", "started", 100, None),
        ("worker-2", "started", 100, None),
        ("worker-2", "lost", 1100, "worker-2 was killed"),
    ]
    data = shown(mixed, limits=Limits(events=1))
    assert len(rows_of(data, "events")) == 1
    assert data["run"]["notes"] == ["2 later events of workers are not shown."]


def test_groups_that_are_too_many_are_counted(tmp_path):
    story = Story(tmp_path)
    for number in range(5):
        story.fail(number, 0.1, fingerprint=f"cause-{number}")
    failures = shown(story.run_dir, limits=Limits(groups=2))["failures"]
    assert (len(failures["failed"]), failures["more"]) == (2, 3)


def test_what_did_not_run_because_of_what_is_not_told_is_said(tmp_path):
    story = Story(tmp_path)
    story.fail(1, 0.1, outcome="upstream", root="gone")
    assert shown(story.run_dir)["failures"]["rootless"] == (
        "1 task did not run because of a failure that is not among these"
    )


# --- what is counted over all ------------------------------------------------------------------------------


def test_failures_over_time_are_those_of_all_attempts(mixed):
    over_time = shown(mixed)["overTime"]
    assert over_time == {"width_s": 0.05, "bins": [[10, 0, 1, 0], [16, 1, 0, 1]]}


@given(
    st.lists(st.tuples(st.floats(0, 1e7), st.sampled_from(["give_up", "retry", "park", None])), max_size=60)
)
def test_no_failure_is_lost_when_bins_get_wider(failures):
    over = OverTime(("give_up", "retry", "park"))
    for at, action in failures:
        over.add(at, action)
    told = over.told()
    assert sum(sum(counts) for _, *counts in told["bins"]) == len(failures)
    assert all(0 <= place < MOST_BINS for place, *_ in told["bins"])
    assert sum(counts[1] for _, *counts in told["bins"]) == sum(action == "retry" for _, action in failures)
    latest = max((at for at, _ in failures), default=0)
    assert told["width_s"] * MOST_BINS > latest


def test_a_failure_of_unknown_time_counts_at_the_beginning():
    over = OverTime(("give_up",))
    for at in (-1, math.nan, math.inf):
        over.add(at, "give_up")
    assert over.told()["bins"] == [[0, 3]]


def test_durations_are_told_by_what_took_most_time():
    durations = Durations()
    for name, seconds, failed in [("a", 0.1, False), ("b", 1.0, False), ("a", 0.0, True), ("b", 20.0, True)]:
        durations.add(name, seconds, failed=failed)
    for unknown in (None, math.nan, math.inf, -1.0):
        durations.add("a", unknown, failed=False)
    b, a = durations.told()
    assert (b["name"], b["succeeded"], b["failed"], b["longest_s"], b["total_s"]) == ("b", 1, 1, 20.0, 21.0)
    assert b["bins"] == [[60, 1, 0], [73, 0, 1]]  # a second is six decades of ten bins above the first
    assert a["bins"] == [[0, 0, 1], [50, 1, 0]]


def test_of_many_names_the_later_ones_are_others():
    durations = Durations()
    for number in range(MOST_NAMES + 50):
        durations.add(f"f{number}", 1.0, failed=False)
    told = {each["name"]: each["succeeded"] for each in durations.told()}
    assert len(told) == MOST_NAMES + 1
    assert told["others"] == 50


def test_a_table_in_columns_writes_what_is_unknown_as_one_number():
    columns = Columns("n", "s", "t")
    columns.add(n=3, s=0.123456789, t="x")
    assert columns.add(n=-1, s=-1, t="") == 1
    assert dict(columns.told()) == {"n": [3, -1], "s": [0.123457, -1], "t": ["x", ""]}


def test_texts_are_kept_once_and_harmless():
    texts = Texts(room=10)
    assert texts.line(None) == texts.line("") == texts.block(None) == NONE
    assert texts.line("a\x1bb") == texts.line("a\x1bb") == 0
    assert texts.block("a\nb") == texts.block("a\nb") == 1
    assert texts.block("x" * 9) == NONE
    assert texts.block("x" * 7) == 2
    assert texts.all == ["a\\x1bb", "a\nb", "x" * 7]
    assert texts.left_out == 1


@given(st.text())
def test_a_block_is_printable_and_keeps_its_lines(text):
    shown = block(text, 1000)
    assert shown.replace("\n", "").isprintable()
    assert len(shown.split("\n")) == len(text.replace("\r\n", "\n").split("\n"))


@given(st.text(alphabet=st.sampled_from(" ab\u2028\x1b\t\u3000"), max_size=12), st.integers(4, 12))
def test_the_short_way_to_one_line_is_the_long_one(text, limit):
    once = one_line(text, limit)
    assert once == one_line(once, limit) or "\\" in once
    assert one_line("\x00" + text, 100) == "\\x00" + one_line("." + text, 100)[1:]


def test_a_large_run_is_shown_within_its_limits(tmp_path):
    run_dir = a_large_run(tmp_path, 3000)
    write_info(run_dir, an_info(finished_at=utc(BEGAN + 60)))
    data = shown(run_dir, limits=Limits(tasks=1000))
    states = [row["state"] for row in rows_of(data)]
    assert (states.count("failed"), states.count("recovered"), len(states)) == (150, 150, 1000)
    assert len(rows_of(data, "attempts")) == 300
