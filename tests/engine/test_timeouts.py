"""A task that overruns its ``timeout`` ends for its caller; what its code does later changes nothing."""

from __future__ import annotations

import pytest
from live import PATIENCE_S, inc, touch_and_wait, touch_and_wait_async, until

from scalable import Retry, TaskTimeout

TWICE = Retry(retries=1, base=0.01, jitter="none")


@pytest.fixture
def gate(tmp_path):
    """Opens in the end, so that no slot stays taken."""
    gate = tmp_path / "gate"
    yield gate
    gate.touch()


@pytest.mark.parametrize("function", [touch_and_wait, touch_and_wait_async])
def test_the_caller_gets_a_timeout_and_the_record_says_so(live, function, tmp_path, gate):
    task = live.client.submit(function, tmp_path / "mark", gate, timeout=0.2)
    with pytest.raises(TaskTimeout, match="exceeded its limit of 0.2 s") as caught:
        task.result(PATIENCE_S)
    assert caught.value.limit_s == 0.2
    assert isinstance(caught.value, TimeoutError)
    (line,) = live.lines("failures", task)
    assert (line["outcome"], line["kind"], line["rule"]) == ("timeout", "transient", "timeout")
    assert 0.2 <= line["duration_s"] < 5
    assert line["worker"].startswith("worker-")
    assert line["pid"]


def test_a_timeout_is_retried_where_that_was_asked_for(live, tmp_path):
    retry = Retry(retries=1, base=0.5, jitter="none")
    task = live.client.submit(
        touch_and_wait, tmp_path / "mark", tmp_path / "gate", timeout="300ms", retry=retry
    )
    live.told("failures", task)
    (tmp_path / "gate").touch()
    assert task.result(PATIENCE_S) == 2
    assert [line["outcome"] for line in live.told("failures", task, number=2)] == ["timeout", None]


def test_every_attempt_has_the_whole_limit(live, tmp_path, gate):
    task = live.client.submit(touch_and_wait, tmp_path / "mark", gate, timeout=0.2, retry=TWICE)
    with pytest.raises(TaskTimeout):
        task.result(PATIENCE_S)
    lines = live.lines("failures", task)
    assert [(line["attempt"], line["outcome"]) for line in lines] == [(1, "timeout"), (2, "timeout")]
    assert all(line["duration_s"] >= 0.2 for line in lines)


@pytest.mark.parametrize("function", [touch_and_wait, touch_and_wait_async])
def test_a_task_ends_although_its_first_attempt_still_holds_the_only_slot(one_slot, function, tmp_path, gate):
    task = one_slot.client.submit(function, tmp_path / "mark", gate, timeout=0.2, retry=TWICE)
    with pytest.raises(TaskTimeout):
        task.result(PATIENCE_S)
    assert len(one_slot.lines("failures", task)) == 2


def test_a_late_result_is_ignored_and_the_slot_is_free_again(one_slot, tmp_path, gate):
    task = one_slot.client.submit(touch_and_wait, tmp_path / "mark", gate, timeout=0.2)
    with pytest.raises(TaskTimeout):
        task.result(PATIENCE_S)
    gate.touch()
    assert one_slot.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert task.status == "error"
    assert one_slot.end_of(task)["state"] == "failed"
    assert one_slot.end_of(task)["attempts"] == 1


def test_the_result_of_an_attempt_that_was_given_up_is_not_that_of_the_next(one_slot, tmp_path):
    retry = Retry(retries=1, base=0.01, jitter="none")
    task = one_slot.client.submit(
        touch_and_wait, tmp_path / "mark", tmp_path / "gate", timeout=2, retry=retry
    )
    one_slot.told("failures", task)
    (tmp_path / "gate").touch()
    assert task.result(PATIENCE_S) == 2
    assert (tmp_path / "mark.2").exists()


def test_waiting_in_a_queue_does_not_count(one_slot, tmp_path):
    first = one_slot.client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "gate")
    until((tmp_path / "mark.1").exists)
    second = one_slot.client.submit(inc, 1, timeout=0.3)
    with pytest.raises(TimeoutError, match="timed out|^$"):
        second.result(0.6)
    (tmp_path / "gate").touch()
    assert one_slot.client.gather([first, second]) == [1, 2]


def test_dependents_of_a_task_that_timed_out_end(live, tmp_path, gate):
    task = live.client.submit(touch_and_wait, tmp_path / "mark", gate, timeout=0.2)
    error = live.client.submit(inc, task).exception(PATIENCE_S)
    assert isinstance(error.__cause__, TaskTimeout)


def test_the_limit_of_a_task_entry_applies(threads):
    task = threads.client.submit(inc, 1, task="fetch")
    assert task.result(PATIENCE_S) == 2
    assert threads.client._orders.spec(_wishes("fetch")).timeout_s == 60


def _wishes(task):
    from scalable.client.orders import Wishes

    return Wishes(task=task)
