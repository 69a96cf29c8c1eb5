"""A run in numbers: what counts as failed, retried, recovered and lost, in one pass over its files."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.lifecycle import (
    Cancelled,
    End,
    Failed,
    HoldEnded,
    Note,
    RetriedByHand,
    Succeeded,
    Task,
    step,
)
from scalable.core.policy import Retry
from scalable.journal.records import CacheRecord, FailureRecord, TaskRecord
from scalable.journal.rundir import FILES, create, write_info
from scalable.journal.summary import summarise


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


class Run:
    """A run's directory to write lines into."""

    def __init__(self, runs_dir):
        self.path, self.info = create(
            runs_dir, project="p", target="t", provider="local", now=1e9, versions={}
        )

    def add(self, file, *records):
        with (self.path / FILES[file]).open("ab") as stream:
            stream.writelines(msgspec.json.encode(record) + b"\n" for record in records)

    def tasks(self, *ends):
        self.add("tasks", *(TaskRecord(key=k, state=s, replaces=r, attempts=1) for k, s, r in ends))

    def failures(self, *records):
        self.add("failures", *records)

    def summary(self):
        return summarise(self.path)


def failed(key, action="give_up", **fields):
    return FailureRecord(event="attempt_failed", key=key, action=action, **fields)


def recovered(key):
    return FailureRecord(event="recovered", key=key, duration_s=99.0)


def keys(summary):
    return [record.key for record in summary.failures]


def test_a_run_without_tasks_is_all_zeros(run):
    summary = run.summary()
    assert (summary.run_dir, summary.info, summary.status) == (run.path, run.info, "running")
    assert summary.tasks == {"succeeded": 0, "failed": 0, "cancelled": 0}
    assert (summary.total, summary.retries, summary.recovered, summary.lost_s) == (0, 0, 0, 0)
    assert (summary.cache, summary.failures, summary.session_failures, summary.torn) == ({}, (), (), 0)


def test_missing_files_are_no_failure(run):
    for name in FILES.values():
        (run.path / name).unlink(missing_ok=True)
    assert run.summary().total == 0


def test_a_run_without_run_json_cannot_be_summarised(tmp_path):
    with pytest.raises(FileNotFoundError):
        summarise(tmp_path)


def test_tasks_are_counted_by_how_they_ended(run):
    run.tasks(
        ("a", "succeeded", None), ("b", "failed", None), ("c", "succeeded", None), ("d", "cancelled", None)
    )
    summary = run.summary()
    assert summary.tasks == {"succeeded": 2, "failed": 1, "cancelled": 1}
    assert summary.total == 4


def test_an_end_that_replaces_another_takes_its_place(run):
    run.tasks(("a", "failed", None), ("b", "failed", None), ("a", "succeeded", "failed"))
    assert run.summary().tasks == {"succeeded": 1, "failed": 1, "cancelled": 0}


def test_no_count_falls_below_zero_where_a_line_was_lost(run):
    run.tasks(("a", "succeeded", "failed"), ("b", "failed", None))
    assert run.summary().tasks == {"succeeded": 1, "failed": 1, "cancelled": 0}


def test_retries_recoveries_and_lost_seconds_are_summed(run):
    run.failures(failed("a", "retry", duration_s=2.0), failed("a", "retry", duration_s=3.0), recovered("a"))
    run.failures(failed("b", duration_s=0.5), failed("c"))
    summary = run.summary()
    assert (summary.retries, summary.recovered, summary.lost_s) == (2, 1, 5.5)
    assert keys(summary) == ["b", "c"]


def test_failures_are_listed_in_the_order_of_their_ends(run):
    run.tasks(("b", "failed", None), ("b", "failed", "failed"))
    lines = [failed("a", "retry"), failed("b"), failed("a"), failed("c"), failed("b", rule="again")]
    run.failures(*(msgspec.structs.replace(line, seq=number) for number, line in enumerate(lines, 1)))
    summary = run.summary()
    assert keys(summary) == ["a", "c", "b"]
    assert summary.failures[-1].rule == "again"


def test_a_task_that_recovered_is_no_failure(run):
    run.tasks(("a", "failed", None), ("b", "failed", None), ("a", "succeeded", "failed"))
    run.failures(failed("a"), failed("b"), recovered("a"), recovered("never failed"))
    assert keys(run.summary()) == ["b"]


def test_a_task_that_is_tried_again_by_hand_counts_as_failed_until_it_ends_anew(run):
    run.tasks(("a", "failed", None))
    run.failures(failed("a"), failed("a", "retry"))
    assert (keys(run.summary()), run.summary().tasks["failed"]) == (["a"], 1)
    run.tasks(("a", "succeeded", "failed"))
    run.failures(recovered("a"))
    assert (keys(run.summary()), run.summary().tasks["failed"]) == ([], 0)


def test_a_failure_that_was_retried_and_then_cancelled_is_not_listed(run):
    run.tasks(("a", "failed", None), ("a", "cancelled", "failed"), ("b", "failed", None))
    run.failures(failed("a"), failed("b"))
    assert keys(run.summary()) == ["b"]


def test_a_task_that_fails_again_after_all_is_listed(run):
    run.tasks(("a", "failed", None), ("a", "cancelled", "failed"), ("a", "failed", "cancelled"))
    run.failures(failed("a"), failed("a", rule="last"))
    summary = run.summary()
    assert [record.rule for record in summary.failures] == ["last"]
    assert summary.tasks["failed"] == 1


def test_the_failure_of_the_session_stands_apart(run):
    run.failures(FailureRecord(event="session_failed", reason="main raised", duration_s=9.0), failed("a"))
    summary = run.summary()
    assert [record.reason for record in summary.session_failures] == ["main raised"]
    assert (keys(summary), summary.lost_s) == (["a"], 0)


def test_lookups_are_counted_by_what_they_found(run):
    run.add("cache", *(CacheRecord(event=event) for event in ("hit", "miss", "hit", "damaged")))
    assert run.summary().cache == {"hit": 2, "miss": 1, "damaged": 1}


def test_unreadable_lines_of_all_files_are_counted(run):
    for file in ("tasks", "failures", "cache"):
        (run.path / FILES[file]).write_bytes(b'{"torn')
    assert run.summary().torn == 3


def test_the_status_is_that_of_a_run_whose_process_is_gone(run):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    write_info(run.path, msgspec.structs.replace(run.info, pid=child.pid))
    assert run.summary().status == "interrupted"
    write_info(run.path, msgspec.structs.replace(run.info, status="completed", pid=os.getpid()))
    assert run.summary().status == "completed"


# --- any run -----------------------------------------------------------------------------------------------


EVENTS = {
    "try again": Failed(
        0.0, 0.5, Failure(outcome="error", kind="transient", rule="r", exception=ExceptionInfo("E", ""))
    ),
    "give up": Failed(
        0.0, 0.5, Failure(outcome="error", kind="permanent", rule="r", exception=ExceptionInfo("E", ""))
    ),
    "succeed": Succeeded(0.0),
    "cancel": Cancelled(0.0),
    "by hand": RetriedByHand(0.0),
    "wait": HoldEnded(0.0),
}


@given(lives=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(EVENTS))), max_size=40))
def test_a_summary_agrees_with_the_tasks_that_it_sums_up(tmp_path_factory, lives):
    run = Run(tmp_path_factory.mktemp("runs"))
    tasks = {key: Task(Retry(retries=1)) for key in "abc"}
    for key, name in lives:
        tasks[key], actions = step(tasks[key], EVENTS[name])
        for action in actions:
            if isinstance(action, Note):
                decided = action.decision.action if action.decision else None
                run.failures(FailureRecord(event=action.event, key=key, action=decided))
            elif isinstance(action, End):
                run.tasks((key, action.state, action.replaces))
    summary = run.summary()
    told = [task.told for task in tasks.values()]
    assert summary.tasks == {state: told.count(state) for state in ("succeeded", "failed", "cancelled")}
    settled = {key for key, task in tasks.items() if task.state == "failed"}
    listed = set(keys(summary))
    assert settled <= listed <= {key for key, task in tasks.items() if task.told == "failed"}
    assert len(listed) == len(summary.failures)


# --- parked attempts ----------------------------------------------------------------------------------------


def parked(key, attempt, error="ConnectionError"):
    info = ExceptionInfo(error, "refused\nby the host")
    return failed(key, "park", attempt=attempt, duration_s=1.0, exception=info)


def test_parked_attempts_are_counted_by_what_failed_and_are_no_retries(run):
    run.failures(parked("a", 1), parked("a", 2), parked("b", 1, "OSError"), failed("b", "retry", attempt=2))
    summary = run.summary()
    assert summary.parked == {"ConnectionError — refused": 2, "OSError — refused": 1}
    assert summary.uncounted == {"a": 2, "b": 1}
    assert summary.retries == 1
    assert summary.failures == ()


def test_a_parked_attempt_without_an_exception_is_counted_all_the_same(run):
    run.failures(failed("a", "park", attempt=1))
    assert run.summary().parked == {"unknown": 1}


def test_an_attempt_told_again_at_its_deadline_is_lost_time_once(run):
    run.failures(parked("a", 1), failed("a", attempt=1, duration_s=1.0))
    summary = run.summary()
    assert summary.lost_s == 1.0
    assert keys(summary) == ["a"]
