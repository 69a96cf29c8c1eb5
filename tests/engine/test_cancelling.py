"""A task that nobody wants any more is gone: at once, in every state, and for the records too."""

from __future__ import annotations

from concurrent.futures import CancelledError

import pytest
from distributed import wait
from live import PATIENCE_S, fail, flaky, inc, touch_and_wait, touch_and_wait_async, until

from scalable import Retry, UpstreamFailed

FOR_EVER = Retry(retries=1, base=300, max_delay=300, jitter="none")


def fail_at_the_gate(mark, gate):
    touch_and_wait(mark, gate)
    raise ConnectionError("late")


def needs_and_waits(_number, mark, gate):
    return touch_and_wait(mark, gate)


def assert_cancelled(future):
    with pytest.raises(CancelledError):
        future.result(PATIENCE_S)


def test_a_task_in_backoff_is_cancelled_at_once(live):
    task = live.client.submit(flaky, 1, retry=FOR_EVER)
    live.told("failures", task)
    task.cancel()
    assert_cancelled(task)
    end = live.end_of(task)
    assert (end["state"], end["attempts"]) == ("cancelled", 1)
    until(lambda: not len(live.supervisor.holds))


@pytest.mark.parametrize("function", [touch_and_wait, touch_and_wait_async])
def test_a_running_task_is_cancelled_and_its_late_result_ignored(one_slot, function, tmp_path):
    task = one_slot.client.submit(function, tmp_path / "mark", tmp_path / "gate", retries=3)
    until((tmp_path / "mark.1").exists)
    task.cancel()
    assert_cancelled(task)
    assert one_slot.end_of(task)["state"] == "cancelled"
    (tmp_path / "gate").touch()
    assert one_slot.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert len(one_slot.lines("tasks", task)) == 1
    assert not (tmp_path / "mark.2").exists()


def test_a_late_failure_of_a_cancelled_task_is_ignored(one_slot, tmp_path):
    task = one_slot.client.submit(fail_at_the_gate, tmp_path / "mark", tmp_path / "gate", retries=3)
    until((tmp_path / "mark.1").exists)
    task.cancel()
    assert one_slot.end_of(task)["state"] == "cancelled"
    (tmp_path / "gate").touch()
    assert one_slot.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert not one_slot.lines("failures", task)


def test_a_queued_task_is_cancelled_and_others_go_on(one_slot, tmp_path):
    first = one_slot.client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "gate")
    second, third = one_slot.client.map(inc, [1, 2])
    until((tmp_path / "mark.1").exists)
    second.cancel()
    assert_cancelled(second)
    end = one_slot.end_of(second)
    (tmp_path / "gate").touch()
    assert one_slot.client.gather([first, third]) == [1, 3]
    assert len(one_slot.lines("tasks", second)) == 1
    assert (end["state"], end["attempts"], end["duration_s"]) == ("cancelled", 0, None)


def test_a_finished_task_keeps_its_result_and_its_line(live):
    task = live.client.submit(inc, 1)
    wait(task)
    task.cancel()
    assert (task.status, task.result(PATIENCE_S)) == ("finished", 2)
    assert live.end_of(task)["state"] == "succeeded"


def test_a_failed_task_keeps_its_error_and_its_line(live):
    task = live.client.submit(fail, ValueError("x"))
    wait(task)
    task.cancel()
    assert isinstance(task.exception(PATIENCE_S), ValueError)
    assert live.end_of(task)["state"] == "failed"


def test_dependents_of_a_cancelled_task_end_as_those_of_a_failed_one(live):
    task = live.client.submit(flaky, 1, retry=FOR_EVER)
    after = live.client.submit(inc, task)
    last = live.client.submit(inc, after)
    live.told("failures", task)
    task.cancel()
    assert_cancelled(task)
    for each in (after, last):
        error = each.exception(PATIENCE_S)
        assert isinstance(error, UpstreamFailed)
        assert isinstance(error.__cause__, CancelledError)
        assert live.end_of(each)["state"] == "failed"
        (line,) = live.lines("failures", each)
        assert (line["outcome"], line["root"]) == ("upstream", str(task.key))
    assert live.end_of(task)["state"] == "cancelled"


def test_what_is_cancelled_together_is_cancelled_and_what_has_ended_stays(live, tmp_path):
    task = live.client.submit(touch_and_wait, tmp_path / "ran", tmp_path / "gate")
    after = live.client.submit(inc, task)
    last = live.client.submit(inc, after)
    done = live.client.submit(inc, 1)
    needs = live.client.submit(inc, done)
    assert needs.result(PATIENCE_S) == 3
    live.client.cancel([task, last, done])
    assert_cancelled(task)
    assert_cancelled(last)
    assert isinstance(after.exception(PATIENCE_S), UpstreamFailed)
    assert needs.result(PATIENCE_S) == 3
    (tmp_path / "gate").touch()


def test_a_dependent_that_runs_goes_on_when_its_finished_input_is_cancelled(live, tmp_path):
    first = live.client.submit(inc, 1)
    running = live.client.submit(needs_and_waits, first, tmp_path / "ran", tmp_path / "gate")
    until((tmp_path / "ran.1").exists)
    first.cancel()
    (tmp_path / "gate").touch()
    running.result(PATIENCE_S)
    assert [live.end_of(each)["state"] for each in (first, running)] == ["succeeded", "succeeded"]


def test_what_is_done_in_a_collection_of_futures_stays_when_all_are_cancelled(live, tmp_path):
    done = live.client.submit(inc, 1)
    wait(done)
    going = live.client.submit(touch_and_wait, tmp_path / "ran", tmp_path / "gate")
    live.client.cancel({"all": [done, (going,)]})
    assert done.result(PATIENCE_S) == 2
    assert_cancelled(going)
    (tmp_path / "gate").touch()


def test_a_deleted_future_takes_its_waiting_task_along(live):
    task = live.client.submit(flaky, 1, retry=FOR_EVER)
    key = task.key
    live.told("failures", task)
    del task
    (end,) = live.told("tasks", key=key)
    assert end["state"] == "cancelled"


def test_a_cancelled_task_may_be_submitted_again_under_its_key(one_slot, tmp_path):
    first = one_slot.client.submit(touch_and_wait, tmp_path / "a", tmp_path / "gate", key="once-more")
    until((tmp_path / "a.1").exists)
    first.cancel()
    one_slot.told("tasks", first)
    del first
    second = one_slot.client.submit(touch_and_wait, tmp_path / "b", tmp_path / "gate", key="once-more")
    until(lambda: one_slot.supervisor.tracked)
    (tmp_path / "gate").touch()
    assert second.result(PATIENCE_S) == 1
    assert (tmp_path / "b.1").exists()
    ends = one_slot.told("tasks", key="once-more", number=2)
    assert [end["state"] for end in ends] == ["cancelled", "succeeded"]


def test_the_end_of_a_task_that_was_cancelled_while_it_ran_has_its_times(threads, tmp_path):
    task = threads.client.submit(touch_and_wait, tmp_path / "began", tmp_path / "gate")
    until(lambda: (one := threads.supervisor.tracked.get(task.key)) and one.running_on)
    task.cancel()
    line = threads.end_of(task)
    assert (line["state"], line["attempts"]) == ("cancelled", 1)
    assert line["started_at"] <= line["finished_at"]
    assert line["duration_s"] >= 0
    (tmp_path / "gate").touch()


def test_the_end_of_a_failed_task_has_the_times_of_its_last_attempt(threads):
    task = threads.client.submit(fail, ValueError("no"))
    assert isinstance(task.exception(PATIENCE_S), ValueError)
    line, failed = threads.end_of(task), threads.lines("failures", task)[0]
    assert line["duration_s"] == failed["duration_s"]
    assert line["finished_at"] >= line["started_at"] is not None


def test_late_word_of_a_cancelled_task_does_not_cancel_the_next_one_under_its_key(live):
    async def word_comes():
        live.client._handle_cancelled_keys(["in-turn"])

    task = live.client.submit(inc, 1, key="in-turn")
    assert task.result(PATIENCE_S) == 2
    live.client._cancelled.add("in-turn")  # as if this client had cancelled an earlier one of the key
    live.client.sync(word_comes)
    assert task.status == "finished"
    live.client.sync(word_comes)  # somebody else's word
    assert task.status == "cancelled"
