"""A slot whose attempt was given up is won back: by its thread, or by another worker in its place."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from distributed import get_worker
from live import PATIENCE_S, inc, start, touch_and_wait, until

from scalable import Retry, TaskTimeout, current_attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live

SOON = Retry(retries=1, base=0.01, jitter="none")


@pytest.fixture(params=[True, False], ids=["processes", "threads"])
def one_worker(request, tmp_path) -> Iterator[Live]:
    running = start(tmp_path, processes=request.param, max_workers=1)
    yield running
    running.session.close()


@pytest.fixture(params=[True, False], ids=["processes", "threads"])
def two_slots(request, tmp_path) -> Iterator[Live]:
    running = start(tmp_path, processes=request.param, max_workers=1, threads_per_worker=2)
    yield running
    running.session.close()


def stuck_the_first_time(gate):
    """Run for as long as there is no gate, at the first attempt."""
    if current_attempt().number == 1:
        until(gate.exists, 600)
    return current_attempt().number, get_worker().name


def test_the_only_slot_is_won_back_from_a_stuck_thread(one_worker, tmp_path):
    gate = tmp_path / "gate"
    task = one_worker.client.submit(stuck_the_first_time, gate, timeout=0.3, retry=SOON)
    assert task.result(PATIENCE_S) == (2, "worker-1")
    assert one_worker.client.submit(inc, 1).result(PATIENCE_S) == 2
    (stuck,) = one_worker.told("workers", event="stuck")
    assert (stuck["worker"], stuck["reason"][:20]) == ("worker-0", "an attempt that was ")
    assert [line["worker"] for line in one_worker.told("workers", event="retired")] == ["worker-0"]
    assert one_worker.lines("workers", event="lost") == []
    (line,) = one_worker.lines("failures", task, event="attempt_failed")
    assert (line["outcome"], line["action"]) == ("timeout", "retry")
    gate.touch()


def test_results_survive_the_worker_that_is_replaced(one_worker, tmp_path):
    kept = one_worker.client.submit(inc, 41)
    kept.result(PATIENCE_S)
    stuck = one_worker.client.submit(stuck_the_first_time, tmp_path / "gate", timeout=0.2)
    with pytest.raises(TaskTimeout):
        stuck.result(PATIENCE_S)
    one_worker.told("workers", event="retired")
    assert one_worker.client.submit(inc, kept).result(PATIENCE_S) == 43
    assert len(one_worker.lines("tasks", kept)) == 1
    (tmp_path / "gate").touch()


def test_a_thread_that_comes_back_in_time_saves_its_worker(one_worker):
    task = one_worker.client.submit(time.sleep, 0.4, timeout=0.1)
    with pytest.raises(TaskTimeout):
        task.result(PATIENCE_S)
    assert one_worker.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert one_worker.lines("workers", event="stuck") == []
    assert [line["event"] for line in one_worker.lines("workers")] == ["started"]


def test_a_task_that_is_to_run_on_a_worker_runs_on_the_one_in_its_place(one_worker, tmp_path):
    pinned = {"workers": "worker-0", "retry": SOON}
    task = one_worker.client.submit(stuck_the_first_time, tmp_path / "gate", timeout=0.3, **pinned)
    waiting = one_worker.client.submit(inc, 1, **pinned)
    assert task.result(PATIENCE_S) == (2, "worker-1")
    assert waiting.result(PATIENCE_S) == 2
    assert one_worker.client.submit(inc, 2, **pinned).result(PATIENCE_S) == 3
    (tmp_path / "gate").touch()


async def wait_and_tell(mark):
    """Wait for ever, but for being cancelled, and leave a mark then."""
    mark.with_suffix(".began").touch()
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        mark.with_suffix(".cancelled").touch()
        raise


def test_a_coroutine_that_overruns_its_limit_is_cancelled_and_its_worker_stays(one_worker, tmp_path):
    task = one_worker.client.submit(wait_and_tell, tmp_path / "task", timeout=0.2)
    with pytest.raises(TaskTimeout):
        task.result(PATIENCE_S)
    until((tmp_path / "task.cancelled").exists)
    assert one_worker.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert [line["event"] for line in one_worker.told("workers")] == ["started"]
    assert [line["outcome"] for line in one_worker.lines("failures", task)] == ["timeout"]


def test_a_cancelled_coroutine_ends_at_once_and_counts_once(one_worker, tmp_path):
    task = one_worker.client.submit(wait_and_tell, tmp_path / "task")
    until((tmp_path / "task.began").exists)
    task.cancel()
    until((tmp_path / "task.cancelled").exists)
    assert one_worker.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert [line["state"] for line in one_worker.told("tasks", task)] == ["cancelled"]
    assert one_worker.lines("failures", task) == []
    assert [line["event"] for line in one_worker.told("workers")] == ["started"]


def test_innocent_tasks_beside_a_stuck_one_finish_first(two_slots, tmp_path):
    innocent = two_slots.client.submit(touch_and_wait, tmp_path / "innocent", tmp_path / "late")
    until((tmp_path / "innocent.1").exists)
    stuck = two_slots.client.submit(stuck_the_first_time, tmp_path / "gate", timeout=0.2)
    with pytest.raises(TaskTimeout):
        stuck.result(PATIENCE_S)
    until(lambda: two_slots.supervisor.repairs.cordon._aside)
    waiting = two_slots.client.submit(inc, 1)
    assert two_slots.lines("workers", event="stuck") == []
    (tmp_path / "late").touch()
    assert innocent.result(PATIENCE_S) == 1
    assert waiting.result(PATIENCE_S) == 2
    assert [line["state"] for line in two_slots.told("tasks", innocent)] == ["succeeded"]
    assert two_slots.lines("failures", innocent) == []
    (tmp_path / "gate").touch()


def test_a_cancelled_task_that_does_not_stop_gives_its_slot_back(one_worker, tmp_path):
    task = one_worker.client.submit(touch_and_wait, tmp_path / "began", tmp_path / "gate")
    until((tmp_path / "began.1").exists)
    until(lambda: one_worker.supervisor.tracked[task.key].running_on)
    task.cancel()
    assert one_worker.client.submit(inc, 1).result(PATIENCE_S) == 2
    (tmp_path / "gate").touch()


def test_a_task_that_is_cancelled_before_its_start_was_heard_of_gives_its_slot_back(tmp_path, monkeypatch):
    monkeypatch.setattr("scalable.engine.worker.witness.SAY_AFTER_S", 3600)
    live = start(tmp_path, processes=False, max_workers=1)
    task = live.client.submit(touch_and_wait, tmp_path / "began", tmp_path / "gate")
    until((tmp_path / "began.1").exists)
    task.cancel()
    assert live.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert live.told("workers", event="stuck")[0]["worker"] == "worker-0"
    (tmp_path / "gate").touch()
    live.session.close()


def test_the_late_word_of_a_worker_that_is_gone_keeps_no_slot(threads):
    def told(dask_scheduler):
        supervisor = dask_scheduler.plugins["scalable"]
        supervisor.attempts.started("late", 1, "inproc://nobody")
        return supervisor.repairs.slots.keeps("late")

    assert threads.client.run_on_scheduler(told) is False


def test_a_session_with_a_stuck_thread_closes_all_the_same(tmp_path):
    before = set(threading.enumerate())
    live = start(tmp_path, processes=False, max_workers=1)
    task = live.client.submit(touch_and_wait, tmp_path / "began", tmp_path / "gate")
    until((tmp_path / "began.1").exists)
    began = time.monotonic()
    live.session.close()
    took = time.monotonic() - began
    (tmp_path / "gate").touch()
    until(lambda: not [each for each in set(threading.enumerate()) - before if "Default" in each.name])
    assert took < 20  # Dask alone waits 30 s for its thread
    assert task.status == "cancelled"


def pid_of_worker():
    return os.getpid()
