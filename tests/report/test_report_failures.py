"""The list of failures, as printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import a_failure, a_summary, an_info, an_upstream, failure_lines

from scalable.core.failure import ExceptionInfo
from scalable.report.failures import error_words
from scalable.report.text import runs_lines, summary_lines

NOT_RETRIED = (
    "permanent (rule value): not retried although retries=3; Retry(transient=(ValueError,)) overrules it"
)
HOSTILE = st.text(st.characters(), max_size=60) | st.sampled_from(
    [
        "\x1b[2J\x1b[31mred",
        "a\nb\r\nc",
        "\u202egnp.exe",
        "\ud800",
        "\u2028\x85\x0b",
        "\x00",
        "x" * 5000,
        "   ",
    ]
)


def of(*failures, **changes):
    number = len(failures)
    return a_summary(failures=failures, tasks={"succeeded": 100 - number, "failed": number}, **changes)


def test_a_failure_reads_as_documented():
    assert failure_lines(a_summary()) == [
        "Failures (1 of 6 tasks):",
        "",
        "  1. measure(site=4)",
        "     Error: ValueError — no such site: 4",
        "     Worker: worker-1",
        "     Duration before failure: 0.0s (fast fail — permanent error)",
        f"     Why: {NOT_RETRIED}",
        "     At: sites.py:9 in measure",
    ]


def test_a_task_that_died_shows_the_last_lines_that_it_printed():
    died = a_failure(outcome="died", output="\n".join(f"line {each}" for each in range(9)) + "\x1b[2J")
    assert failure_lines(of(died))[-6:] == [
        "     Last output:",
        "       line 4",
        "       line 5",
        "       line 6",
        "       line 7",
        "       line 8\\x1b[2J",
    ]
    assert "Last output:" not in str(failure_lines(of(a_failure(output="printed before an error"))))


def test_the_failures_of_the_contract_read_as_there():
    starved = a_failure(
        call="run_simulation(scenario_id=47)",
        exception=ExceptionInfo("builtins.MemoryError", "unable to allocate 4.2GB"),
        kind="resource",
        worker="worker-3",
        duration_s=180.0,
        attempt=4,
        reason="all 4 attempts failed",
        traceback=None,
    )
    invalid = a_failure(
        call="run_simulation(scenario_id=13)",
        exception=ExceptionInfo("builtins.ValueError", "invalid input data"),
        worker="worker-2",
        duration_s=0.1,
        max_attempts=1,
        reason="permanent (rule value)",
        traceback=None,
    )
    assert failure_lines(of(starved, invalid)) == [
        "Failures (2 of 100 tasks):",
        "",
        "  1. run_simulation(scenario_id=47)",
        "     Error: MemoryError — unable to allocate 4.2GB",
        "     Worker: worker-3",
        "     Duration before failure: 180s",
        "     Retries attempted: 3 (all failed)",
        "  2. run_simulation(scenario_id=13)",
        "     Error: ValueError — invalid input data",
        "     Worker: worker-2",
        "     Duration before failure: 0.1s (fast fail — permanent error)",
    ]


def test_a_slow_permanent_failure_is_not_called_fast():
    assert "     Duration before failure: 10s (fast fail — permanent error)" in failure_lines(
        of(a_failure(duration_s=10))
    )
    assert "     Duration before failure: 10.1s (permanent error)" in failure_lines(
        of(a_failure(duration_s=10.1))
    )


def test_a_lost_worker_says_why_there_was_no_further_attempt():
    lost = a_failure(
        outcome="worker_lost",
        kind="infrastructure",
        exception=None,
        traceback=None,
        duration_s=None,
        attempt=4,
        max_attempts=1,
        reason="lost its worker 4 times; worker_losses=3",
    )
    assert failure_lines(of(lost))[3:] == [
        "     Error: the worker was lost",
        "     Worker: worker-1",
        "     Retries attempted: 3 (all failed)",
        "     Why: lost its worker 4 times; worker_losses=3",
    ]


def test_what_is_not_known_is_left_out():
    bare = a_failure(
        call=None, worker=None, duration_s=None, attempt=None, max_attempts=None, reason=None, traceback=None
    )
    assert failure_lines(of(bare))[2:] == ["  1. sites.measure", "     Error: ValueError — no such site: 4"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"call": " \n "}, "sites.measure"),
        ({"call": None, "function": None, "task": "measure"}, "measure"),
        ({"call": None, "function": None}, "measure-4"),
        ({"call": None, "function": None, "key": None}, "a task"),
    ],
)
def test_a_task_has_a_name_whatever_is_known(changes, expected):
    assert failure_lines(of(a_failure(**changes)))[2] == f"  1. {expected}"


@pytest.mark.parametrize(
    ("changes", "after", "why"),
    [
        ({}, " (permanent error)", "it failed so in run-1, and what it saw is the same"),
        (
            {"outcome": "worker_lost", "kind": "infrastructure"},
            "",
            "it had begun when run-1 ended, and idempotent=False forbids a second run",
        ),
    ],
)
def test_a_failure_of_an_earlier_run_says_no_more_of_it_than_is_known(changes, after, why):
    lines = failure_lines(of(a_failure(**changes, duration_s=0.0, remembered="run-1")))
    assert f"     Duration before failure: 0.0s{after}" in lines
    assert f"     Not run again: {why} (--retry-permanent runs it)" in lines


def test_out_of_memory_tells_the_peak():
    assert "     Peak memory: 4.2 GiB" in failure_lines(
        of(a_failure(outcome="oom", peak_rss_bytes=4_509_715_661))
    )
    assert not any("Peak" in line for line in failure_lines(of(a_failure(outcome="oom"))))


def test_an_injected_fault_is_told_from_a_real_one():
    assert failure_lines(of(a_failure(injected=True)))[-1] == "     Injected: yes, by fault injection"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"exception": ExceptionInfo("requests.exceptions.ConnectionError", "no route")},
            "ConnectionError — no route",
        ),
        ({"exception": ExceptionInfo("m.f.<locals>.Odd", "one\n\n  two")}, "Odd — one two"),
        ({"exception": ExceptionInfo("builtins.KeyError", "")}, "KeyError"),
        ({"exception": ExceptionInfo("", "")}, "Exception"),
        ({"exception": None, "outcome": "timeout"}, "the task ran into its time limit"),
        (
            {"exception": None, "outcome": "died", "signal": "SIGKILL", "exit_code": -9},
            "the process of the task died (SIGKILL)",
        ),
        (
            {"exception": None, "outcome": "died", "exit_code": 3},
            "the process of the task died (exit code 3)",
        ),
        ({"exception": None, "reason": "no idea"}, "no idea"),
        ({"exception": None, "outcome": None, "reason": None}, "the error is not known"),
    ],
)
def test_an_error_is_worded_in_one_line(changes, expected):
    assert error_words(a_failure(**changes)) == expected


def test_tasks_that_did_not_run_are_grouped_below_with_their_root():
    root = a_failure(call="load(2)", max_attempts=1, traceback=None)
    first = an_upstream("double(load(2))", root.key)
    second = an_upstream("total([load(2)])", root.key)
    assert failure_lines(of(first, root, second)) == [
        "Failures (3 of 100 tasks):",
        "",
        "  1. load(2)",
        "     Error: ValueError — no such site: 4",
        "     Worker: worker-1",
        "     Duration before failure: 0.0s (fast fail — permanent error)",
        "",
        "  2 tasks did not run because an input failed:",
        "     double(load(2)), because of 1. load(2)",
        "     total([load(2)]), because of 1. load(2)",
    ]


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("measure-4", "sum(), because of 1. load(2)"),
        ("measure-5", "sum(), because of measure-5"),
        ("load(2)", "sum(), because of load(2)"),
        (None, "sum()"),
    ],
)
def test_a_root_is_found_by_its_key_and_named_by_it_where_it_has_no_place_in_the_list(root, expected):
    misleading = "sum() did not run, because load(2) failed"
    lines = failure_lines(of(a_failure(call="load(2)"), an_upstream("sum()", root, misleading)))
    assert lines[-2:] == ["  1 task did not run because an input failed:", f"     {expected}"]


def test_of_two_roots_with_one_name_the_right_one_is_named():
    roots = [a_failure(call="load(2)", key=key) for key in ("a", "b")]
    assert failure_lines(of(*roots, an_upstream("sum()", "b")))[-1] == "     sum(), because of 2. load(2)"


def test_tasks_that_did_not_run_stand_alone_where_their_root_was_cancelled():
    assert failure_lines(of(an_upstream("sum()", None)))[:3] == [
        "Failures (1 of 100 tasks):",
        "",
        "  1 task did not run because an input failed:",
    ]


def test_many_tasks_that_did_not_run_are_cut():
    lines = failure_lines(of(*[an_upstream(f"f({n})", None) for n in range(1000)]))
    assert len(lines) == 3 + 20 + 1
    assert lines[-1] == "     … and 980 more; --json lists them all"
    assert failure_lines(of(*[an_upstream(f"f({n})", None) for n in range(20)]))[-1] == "     f(19)"


def test_an_upstream_failure_without_words_has_no_root():
    silent = a_failure(call="sum()", outcome="upstream", exception=None)
    assert failure_lines(of(silent))[-1] == "     sum()"


def test_no_failures_are_told_as_such():
    assert failure_lines(of()) == ["No failures (100 tasks)."]


def test_the_error_of_the_run_comes_first():
    ended = a_failure(event="session_failed", exception=ExceptionInfo("builtins.RuntimeError", "boom"))
    assert failure_lines(of(session_failures=(ended,))) == [
        "The run ended with an error: RuntimeError — boom",
        "",
        "No task failed (100 tasks).",
    ]
    assert failure_lines(of(a_failure(), session_failures=(ended,)))[:3] == [
        "The run ended with an error: RuntimeError — boom",
        "",
        "Failures (1 of 100 tasks):",
    ]


@pytest.mark.parametrize(("failed", "words"), [(2, "1 failed task has"), (3, "2 failed tasks have")])
def test_failed_tasks_whose_records_are_lost_are_counted(failed, words):
    summary = a_summary(tasks={"succeeded": 5, "failed": failed})
    assert failure_lines(summary)[-1] == f"  {words} no record that can be read"


@given(text=HOSTILE)
def test_no_text_of_a_task_can_change_the_shape_of_a_report(text):
    hostile = a_failure(
        call=text,
        function=text,
        worker=text,
        reason=text,
        outcome="worker_lost",
        exception=ExceptionInfo(text, text),
        traceback=f'  File "{text}", line 3, in {text}',
        injected=True,
    )
    bland = a_failure(
        outcome="worker_lost",
        exception=ExceptionInfo("t", "m"),
        traceback='  File "f", line 3, in g',
        injected=True,
    )
    lines, shape = failure_lines(of(hostile)), failure_lines(of(bland))
    starts = [line.partition(":")[0] for line in lines if line.startswith("     ")]
    known = [line.partition(":")[0] for line in shape if line.startswith("     ")]
    assert [start for start in starts if start in known] == starts
    assert len(starts) == len(set(starts))
    assert all(line.isprintable() and len(line) < 450 for line in lines)
    "\n".join(lines).encode()


@given(text=HOSTILE)
def test_no_text_of_a_run_or_of_an_upstream_failure_breaks_its_line(text):
    upstream = an_upstream(text, text, f"{text} did not run, because {text} failed: {text}")
    ended = a_failure(event="session_failed", exception=ExceptionInfo(text, text))
    hostile = dict.fromkeys(("run_id", "target", "provider", "started_at", "finished_at", "reason"), text)
    summary = of(upstream, session_failures=(ended,), info=an_info(**hostile))
    lines = [*failure_lines(summary), *summary_lines(summary), *runs_lines([(summary.run_dir, summary.info)])]
    assert all(line.isprintable() for line in lines)
    "\n".join(lines).encode()
