"""What can only be stopped from outside is: at its time limit, or when nobody wants it any more."""

from __future__ import annotations

import os
import signal
import time

import animals
import psutil
import pytest
from live import PATIENCE_S, gone, inc, isolated, pid_in, touch_and_wait, until

from scalable import Retry, TaskTimeout

LIMIT_S, WITHIN_S = 0.5, 8.0  # 2 s where the machine does not stand still meanwhile
SOON = Retry(retries=1, base=0.01, jitter="none")


@pytest.fixture
def warm(live):
    """A session whose keepers run already: their own start is not the task's time."""
    live.client.gather(
        [isolated(live, inc, 1, workers=[each]) for each in live.client.scheduler_info()["workers"]]
    )
    return live


def timed_out(live, task, limit_s=LIMIT_S):
    """Wait for its timeout; its limit counts from its start on the worker."""
    error = task.exception(PATIENCE_S)
    assert isinstance(error, TaskTimeout)
    assert f"exceeded its limit of {limit_s:g} s" in str(error)
    (line,) = live.lines("failures", task)
    assert (line["outcome"], line["kind"], line["rule"]) == ("timeout", "transient", "timeout")
    assert limit_s <= line["duration_s"] < limit_s + WITHIN_S
    return line


@pytest.mark.parametrize(
    ("function", "signal_name"),
    [
        (animals.sleep_for_ever, "SIGTERM"),
        (animals.sleep_for_ever_async, "SIGTERM"),
        (animals.hold_the_gil, "SIGTERM"),
        (animals.stop_myself, "SIGKILL"),
    ],
    ids=["sleeps", "awaits", "holds the GIL", "is stopped"],
)
def test_a_task_ends_at_its_limit_whatever_it_does(warm, function, signal_name):
    task = isolated(warm, function, timeout=LIMIT_S)
    line = timed_out(warm, task)
    assert line["signal"] == signal_name
    assert isolated(warm, inc, 1).result(PATIENCE_S) == 2


@pytest.mark.parametrize("again", range(3))
def test_a_task_that_ignores_sigterm_is_killed(warm, tmp_path, again):
    limit_s = 2.0  # time enough to say that it ignores it
    task = isolated(warm, animals.ignore_sigterm, tmp_path / "mark", timeout=limit_s)
    line = timed_out(warm, task, limit_s)
    assert line["signal"] == "SIGKILL"
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("code", [0, 3])
def test_a_task_that_makes_an_exception_of_sigterm_has_run_out_of_time(warm, tmp_path, code):
    limit_s = 1.0  # time enough to say so
    task = isolated(warm, animals.exit_on_sigterm, tmp_path / "mark", code, timeout=limit_s)
    until((tmp_path / "mark").exists)
    timed_out(warm, task, limit_s)


def test_a_deadline_ends_a_task_as_soon_as_a_timeout_does(warm):
    policy = Retry(retries=0, deadline=LIMIT_S)
    task = isolated(warm, animals.sleep_for_ever, timeout=600, retry=policy)
    error = task.exception(PATIENCE_S)
    assert "exceeded what its deadline left it" in str(error)
    (line,) = warm.lines("failures", task)
    assert line["duration_s"] < LIMIT_S + WITHIN_S
    assert isolated(warm, inc, 1).result(PATIENCE_S) == 2


def test_programs_that_it_started_end_with_it(warm, tmp_path):
    mark = tmp_path / "mark"
    task = isolated(warm, animals.start_grandchild, mark, timeout=LIMIT_S)
    timed_out(warm, task)
    until(lambda: gone(pid_in(mark)), WITHIN_S)


def test_programs_that_it_left_running_end_with_it(warm, tmp_path):
    mark = tmp_path / "mark"
    assert isolated(warm, animals.start_grandchild, mark, 0).result(PATIENCE_S) is None
    until(lambda: gone(pid_in(mark)), WITHIN_S)


def test_where_it_was_stopped_is_in_its_output(threads):
    task = isolated(threads, animals.sleep_for_ever, timeout=LIMIT_S)
    assert "in sleep_for_ever" in timed_out(threads, task)["output"]


def test_the_slot_is_free_after_a_timeout(one_slot):
    task = isolated(one_slot, animals.sleep_for_ever, timeout=0.3)
    assert one_slot.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert isinstance(task.exception(PATIENCE_S), TaskTimeout)


def test_a_timeout_is_retried_if_asked_for(live, tmp_path):
    task = isolated(live, touch_and_wait, tmp_path / "mark", tmp_path / "gate", timeout=2, retry=SOON)
    live.told("failures", task)
    (tmp_path / "gate").touch()
    assert task.result(PATIENCE_S) == 2


def test_the_limit_does_not_count_the_wait_for_a_slot(one_slot, tmp_path):
    first = isolated(one_slot, animals.say_pid_and_wait, tmp_path / "mark", tmp_path / "gate")
    second = isolated(one_slot, inc, 1, timeout=0.5)
    until((tmp_path / "mark").exists)
    with pytest.raises(TimeoutError):
        second.result(0.7)
    (tmp_path / "gate").touch()
    assert second.result(PATIENCE_S) == 2
    assert first.done()


@pytest.mark.parametrize("again", range(5))
def test_a_cancelled_task_is_killed_and_its_slot_is_free(one_slot, tmp_path, again):
    mark = tmp_path / "mark"
    task = isolated(one_slot, animals.start_grandchild, mark)
    child = psutil.Process(pid_in(mark)).ppid()
    task.cancel()
    began = time.monotonic()
    assert one_slot.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert time.monotonic() - began < WITHIN_S
    until(lambda: gone(pid_in(mark)) and gone(child), WITHIN_S)
    assert task.status == "cancelled"


def test_a_task_that_ignores_sigterm_is_killed_when_cancelled(one_slot, tmp_path):
    task = isolated(one_slot, animals.ignore_sigterm, tmp_path / "mark")
    until((tmp_path / "mark").exists)
    task.cancel()
    began = time.monotonic()
    assert one_slot.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert time.monotonic() - began < WITHIN_S


@pytest.mark.parametrize("delay_s", [0.0, 0.002, 0.01, 0.05])
def test_a_task_that_is_cancelled_at_any_time_leaves_its_slot(one_slot, delay_s):
    for _ in range(5):
        task = isolated(one_slot, animals.sleep_for_ever)
        time.sleep(delay_s)
        task.cancel()
        assert isolated(one_slot, inc, 1).result(PATIENCE_S) == 2


def test_the_same_key_runs_again_after_a_cancel(one_slot, tmp_path):
    mark, gate, scheduler = tmp_path / "mark", tmp_path / "gate", one_slot.client.cluster.scheduler
    first = isolated(one_slot, animals.stubborn, mark, gate, key="again")
    old = pid_in(mark)
    mark.unlink()
    first.cancel()
    until(lambda: first.status == "cancelled")
    first = None
    until(lambda: "again" not in one_slot.client.futures)
    until(lambda: "again" not in scheduler.tasks)
    second = isolated(one_slot, animals.stubborn, mark, gate, key="again")
    new = pid_in(mark)
    gate.touch()
    assert second.result(PATIENCE_S) == new != old


def test_a_child_that_is_killed_from_outside_is_a_death(live, tmp_path):
    task = isolated(live, animals.say_pid_and_wait, tmp_path / "mark", tmp_path / "gate")
    os.kill(pid_in(tmp_path / "mark"), signal.SIGKILL)
    assert "was killed by SIGKILL" in str(task.exception(PATIENCE_S))
