"""Any task can be looked into: while it waits or runs, when it has ended, and when the session is over."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from live import PATIENCE_S, fail, flaky, inc, isolated, start, touch_and_wait, until

from scalable import Retry, SessionError
from scalable.core.status import STATUSES

SOON = Retry(retries=3, base=0.01, jitter="none")
FOR_EVER = Retry(retries=1, base=300, max_delay=300, jitter="none")
NEVER = Retry(retries=0, worker_losses=0)
ROUNDED = timedelta(seconds=0.1)  # records have milliseconds, and processes clocks of their own


def runs(live, task):
    until(lambda: live.client.info(task).status == "running")


def test_a_task_that_runs_and_what_waits_for_it(live, tmp_path):
    task = live.client.submit(touch_and_wait, tmp_path / "ran", tmp_path / "gate", task="fit", timeout="50s")
    after = live.client.submit(inc, task)
    runs(live, task)
    until(lambda: live.client.info(after).depends_on)
    info = live.client.info(task)
    assert (info.key, info.task, info.component) == (str(task.key), "fit", "analysis")
    assert (info.attempts, info.max_attempts, info.isolate, info.timeout_s) == (1, 4, False, 50.0)
    assert info.worker in live.worker_names()
    assert info.pid == live.supervisor.fleet.get(live.supervisor.tracked[task.key].running_on).pid
    assert (info.depends_on, info.dependents) == ((), (str(after.key),))
    waits = live.client.info(after)
    assert (waits.status, waits.attempts, waits.depends_on) == ("deferred", 0, (str(task.key),))
    assert live.client.attempts(task) == []
    assert live.client.failure(task) is None
    (tmp_path / "gate").touch()
    assert after.result(PATIENCE_S) == 2
    assert live.client.info(task.key).status == "succeeded"


def test_attempts_are_kept_in_order_with_what_became_of_each(live):
    before = datetime.now(UTC)
    task = live.client.submit(flaky, 2, retry=SOON)
    assert task.result(PATIENCE_S) == 3
    first, second, third = live.client.attempts(task)
    assert [each.number for each in (first, second, third)] == [1, 2, 3]
    assert [each.outcome for each in (first, second, third)] == ["error", "error", "succeeded"]
    assert first.failure.exception.type == "ConnectionError"
    assert third.failure is None
    assert third.result_bytes > 0
    assert before - ROUNDED <= first.started_at <= first.finished_at <= second.started_at + ROUNDED
    times = live.client.times(task)
    assert (times.started_at, times.finished_at) == (third.started_at, third.finished_at)
    assert times.submitted_at <= first.started_at + ROUNDED
    assert live.client.failure(task) is None
    assert live.client.info(task).attempts == 3


def test_a_retry_by_hand_goes_on_counting_and_what_was_before_remains(live):
    task = live.client.submit(flaky, 2, retries=0)
    assert task.exception(PATIENCE_S) is not None
    for _ in range(2):
        live.client.retry([task])
        task.exception(PATIENCE_S)
    assert task.result(PATIENCE_S) == 3
    assert [each.number for each in live.client.attempts(task)] == [1, 2, 3]
    assert live.client.info(task).status == "succeeded"


def test_every_end_has_its_word(tmp_path):
    processes = start(tmp_path)
    client = processes.client
    tasks = {
        "succeeded": client.submit(inc, 1),
        "error": client.submit(fail, ValueError("no")),
        "died": isolated(processes, os._exit, 3),
        "timeout": isolated(processes, touch_and_wait, tmp_path / "a", tmp_path / "never", timeout=0.3),
        "cancelled": client.submit(flaky, 1, retry=FOR_EVER, key="cancelled"),
        "waiting": client.submit(flaky, 1, retry=FOR_EVER),
    }
    tasks["upstream"] = client.submit(inc, tasks["error"])
    processes.told("failures", tasks["cancelled"])
    tasks["cancelled"].cancel()
    for status in ("succeeded", "error", "died", "timeout", "upstream"):
        until(tasks[status].done)
    processes.told("tasks", key="cancelled")
    processes.told("failures", tasks["waiting"])
    tasks["lost"] = client.submit(os._exit, 3, retry=NEVER)
    assert tasks["lost"].exception(PATIENCE_S) is not None
    assert {status: client.info(task).status for status, task in tasks.items()} == {
        each: each for each in tasks
    }
    overview = client.overview()
    assert tuple(overview) == STATUSES
    assert overview == {each: int(each in tasks) for each in STATUSES}
    assert client.failure(tasks["died"]).exit_code == 3
    assert client.failure(tasks["upstream"]).outcome == "upstream"
    assert client.attempts(tasks["upstream"]) == []
    processes.session.close()


def test_what_was_released_and_a_session_that_is_over_are_read_from_the_journal(tmp_path):
    live = start(tmp_path, processes=False)
    task = live.client.submit(flaky, 1, retry=SOON)
    assert task.result(PATIENCE_S) == 2
    bad = live.client.submit(fail, KeyError("x"), key="bad")
    assert bad.exception(PATIENCE_S) is not None
    key = task.key
    del task
    until(lambda: key not in live.supervisor.tracked)
    assert (live.client.info(key).status, live.client.info(key).attempts) == ("succeeded", 2)
    live.session.close()
    assert live.client.info("bad").status == "error"
    assert [each.outcome for each in live.client.attempts(key)] == ["error", "succeeded"]
    assert live.client.failure("bad").exception.type == "KeyError"
    assert live.client.overview() == {}


def test_a_history_that_let_go_of_lines_reads_the_journal(tmp_path, monkeypatch):
    live = start(tmp_path, processes=False)
    monkeypatch.setattr(live.client._history, "_most", 3)
    tasks = live.client.map(inc, range(5))
    live.client.gather(tasks)
    for each in tasks:
        assert [attempt.number for attempt in live.client.attempts(each)] == [1]
    assert live.client.info(tasks[0]).status == "succeeded"
    live.session.close()


def test_what_is_no_task_is_said(live):
    with pytest.raises(SessionError, match="nobody is no task of this session"):
        live.client.info("nobody")
    assert live.client.attempts("nobody") == []
    assert live.client.times("nobody").submitted_at is None


def test_what_has_ended_is_forgotten_and_what_runs_is_refused_by_name(live, tmp_path):
    done = live.client.submit(inc, 1)
    done.result(PATIENCE_S)
    going = live.client.submit(touch_and_wait, tmp_path / "ran", tmp_path / "gate", key="going")
    with pytest.raises(ValueError, match="1 of 2 tasks have not ended: going; cancel them first"):
        live.client.forget([done, going])
    assert live.client.attempts(done)
    live.client.forget(done)
    until(lambda: done.key not in live.supervisor.tracked)
    assert live.client.attempts(done) == []
    assert live.lines("tasks", done)
    (tmp_path / "gate").touch()
    going.result(PATIENCE_S)
