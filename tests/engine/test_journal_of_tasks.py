"""What the supervisor tells is on disk in time, complete, and true."""

from __future__ import annotations

import time
from datetime import datetime

import dask
import pytest
from distributed import as_completed, wait
from live import PATIENCE_S, fail, flaky, inc, touch_and_wait, until

from scalable import Retry, UpstreamFailed
from scalable.core.lifecycle import End, Note
from scalable.engine.messages import topic
from scalable.engine.scheduler.tracked import failure_record, task_record

SOON = Retry(retries=3, base=0.01, jitter="none")


def snooze(duration):
    time.sleep(duration)
    return duration


def seconds(text):
    return datetime.fromisoformat(text).timestamp()


def test_when_an_exception_is_seen_its_line_is_on_disk(live):
    futures = live.client.map(fail, [ConnectionError(str(number)) for number in range(100)])
    for future in futures:
        try:
            future.result(PATIENCE_S)
        except ConnectionError:
            assert len(live.lines("failures", future)) == 1


def test_when_a_single_failure_is_seen_its_line_is_on_disk(live):
    for number in range(30):
        task = live.client.submit(fail, ConnectionError(str(number)))
        try:
            task.result(PATIENCE_S)
        except ConnectionError:
            assert live.lines("failures", task)[0]["exception"]["message"] == str(number)


def test_lines_are_numbered_without_a_gap(live):
    wait(live.client.map(fail, [ConnectionError("x")] * 10))
    for file in ("failures", "tasks", "workers", "cache"):
        numbers = [line["seq"] for line in live.lines(file)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert all(line["run_id"] == live.run_dir.name and line["schema"] == 1 for line in live.lines(file))


def test_a_task_that_recovers_says_so_once(live):
    task = live.client.submit(flaky, 2, retry=SOON)
    assert task.result(PATIENCE_S) == 3
    (line,) = live.told("failures", task, event="recovered")
    assert line["reason"] == "succeeded at attempt 3"
    assert (line["attempt"], line["max_attempts"]) == (3, 4)
    assert line["call"] == "flaky(failures=2)"
    end = live.end_of(task)
    assert (end["state"], end["attempts"]) == ("succeeded", 3)


def test_an_attempt_does_not_end_after_the_line_that_tells_of_it(live):
    task = live.client.submit(flaky, 1, retry=Retry(base=0.01))
    assert task.result(PATIENCE_S) == 2
    supervisor = live.supervisor
    ahead = supervisor.tracked[task.key]
    ahead.began, ahead.duration_s = time.time() + 0.01, 0.0123456789  # the clock of a worker that is fast
    at = time.time()
    state = live.client.cluster.scheduler.tasks[task.key]
    line = failure_record(ahead, state, Note("recovered", 2, 2), at)
    assert line.duration_s == 0.012346
    start, told = (datetime.fromisoformat(each).timestamp() for each in (line.started_at, line.at))
    assert start + line.duration_s <= told + 1e-6


def test_a_task_has_not_ended_after_the_line_that_tells_of_it(live):
    task = live.client.submit(inc, 1)
    assert task.result(PATIENCE_S) == 2
    ahead = live.supervisor.tracked[task.key]
    at = time.time()
    ahead.began, ahead.duration_s, ahead.finished = at + 0.01, 0.0123456789, at + 0.0223456789
    line = task_record(ahead, live.client.cluster.scheduler.tasks[task.key], End("succeeded", 1), at)
    start, end, told = map(seconds, (line.started_at, line.finished_at, line.at))
    assert start + line.duration_s <= end + 0.001
    assert start <= end <= told


def test_queueing_is_no_part_of_a_tasks_duration(one_slot, tmp_path):
    first = one_slot.client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "gate")
    until((tmp_path / "mark.1").exists)
    second = one_slot.client.submit(snooze, 0.1)
    time.sleep(0.5)  # that is the point: it queues that long
    (tmp_path / "gate").touch()
    one_slot.client.gather([first, second])
    line = one_slot.end_of(second)
    assert 0.1 <= line["duration_s"] < 0.4
    assert seconds(line["started_at"]) - seconds(line["submitted_at"]) >= 0.4
    assert seconds(line["finished_at"]) - seconds(line["started_at"]) == pytest.approx(
        line["duration_s"], abs=0.01
    )
    assert seconds(line["at"]) >= seconds(line["finished_at"]) - 0.1


def test_a_failed_task_has_the_times_of_its_last_attempt(live):
    task = live.client.submit(_snooze_and_fail, 0.1)
    assert task.exception(PATIENCE_S) is not None
    (failed,) = live.lines("failures", task)
    assert 0.1 <= failed["duration_s"] < 5
    end = live.end_of(task)
    assert abs(seconds(end["started_at"]) - seconds(failed["started_at"])) < 0.5


def _snooze_and_fail(duration):
    time.sleep(duration)
    raise ConnectionError(duration)


def test_there_is_one_line_for_each_task(live):
    futures = live.client.map(inc, range(100))
    for future in as_completed(futures):
        assert future.status == "finished"
    keys = {str(future.key) for future in futures}
    lines = until(lambda: len(found := [x for x in live.lines("tasks") if x["key"] in keys]) >= 100 and found)
    assert len(lines) == 100
    for line in lines:
        assert (line["state"], line["attempts"], line["function"]) == ("succeeded", 1, "live.inc")
        assert line["result_bytes"] > 0
        assert line["worker"].startswith("worker-")
        assert line["replaces"] is None


def test_the_overview_counts_every_state(live):
    before = live.session.overview()
    good, bad = live.client.submit(inc, 1), live.client.submit(fail, ValueError("x"))
    waiting = live.client.submit(flaky, 1, retry=Retry(base=300, max_delay=300))
    wait([good, bad])
    live.told("failures", waiting)
    after = live.session.overview()
    assert {state: after[state] - before[state] for state in after} == {
        "pending": 0,
        "running": 0,
        "waiting": 1,
        "succeeded": 1,
        "failed": 1,
        "cancelled": 0,
    }


def test_names_and_components_are_in_every_line(live):
    task = live.client.submit(flaky, 1, task="fit", retry=SOON)
    task.result(PATIENCE_S)
    for line in (*live.told("failures", task, number=2), live.end_of(task)):
        assert (line["task"], line["component"]) == ("fit", "analysis")


def test_a_task_that_dask_ends_before_any_attempt_has_its_lines(live):
    with dask.annotate(executor="nowhere"):
        task = live.client.submit(inc, 1, retry=SOON)
    after = live.client.submit(inc, task)
    with pytest.raises(ValueError, match="Invalid executor 'nowhere'"):
        task.result(PATIENCE_S)
    (line,) = live.lines("failures", task)
    assert (line["rule"], line["kind"], line["exception"]["type"]) == ("dask", "permanent", "ValueError")
    assert live.end_of(task)["state"] == "failed"
    assert isinstance(after.exception(PATIENCE_S), (UpstreamFailed, ValueError))
    assert live.end_of(after)["state"] == "failed"


def test_a_task_whose_input_is_none_of_ours_ends_with_it(threads):
    actor = threads.client.submit(fail, ConnectionError("no actor"), actor=True)
    after = threads.client.submit(inc, actor)
    assert after.exception(PATIENCE_S) is not None
    assert threads.lines("failures", after)[0]["outcome"] == "upstream"
    assert threads.end_of(after)["state"] == "failed"


def test_the_scheduler_keeps_no_record_that_it_has_told(live):
    live.client.submit(inc, 1).result(PATIENCE_S)
    assert until(lambda: live.lines("tasks"))
    assert not live.client.get_events(topic(live.run_dir.name))
