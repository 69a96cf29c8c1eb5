"""A worker that dies takes nobody along: the guilty task alone is blamed, and only within its budget."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from distributed import get_worker
from live import PATIENCE_S, inc, start, touch_and_wait, until, wait_at

from scalable import Retry, WorkerLost, current_attempt

ONCE = Retry(retries=0, base=0.01, jitter="none", worker_losses=1)
NEVER = Retry(retries=0, worker_losses=0)


def exit_at_once(_gate=None):
    os._exit(7)


def exit_late(gate):
    wait_at(gate)
    os._exit(7)


def kill_myself(gate):
    if current_attempt().number == 1:
        wait_at(gate)
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def snooze(number):
    time.sleep(0.05)
    return number


def my_process():
    return os.getpid(), get_worker().name


def lost(live, task):
    """The records of a task that was lost with its workers."""
    with pytest.raises(WorkerLost) as caught:
        task.result(PATIENCE_S)
    return live.lines("failures", task), caught.value


def test_a_task_whose_worker_was_killed_runs_again(mortals, tmp_path):
    task = mortals.client.submit(kill_myself, tmp_path / "gate", retries=0)
    mortals.let_go(task, tmp_path / "gate")
    assert task.result(PATIENCE_S) == "survived"
    failed, recovered = mortals.told("failures", task, number=2)
    assert (failed["outcome"], failed["kind"]) == ("worker_lost", "infrastructure")
    assert (failed["action"], failed["attempt"]) == ("retry", 1)
    assert (recovered["event"], recovered["attempt"]) == ("recovered", 2)
    assert failed["pid"] != recovered["pid"]
    gone = mortals.told("workers", event="lost", running=[str(task.key)])[0]
    assert (gone["worker"], gone["pid"]) == (failed["worker"], failed["pid"])


@pytest.mark.parametrize("function", [exit_late, exit_at_once])
def test_a_deadly_task_ends_within_its_budget_and_says_so(mortals, function, tmp_path):
    before = len(mortals.lines("workers", event="lost"))
    task = mortals.client.submit(function, tmp_path / "gate", retry=ONCE)
    if function is exit_late:
        mortals.let_go(task, tmp_path / "gate", attempt=1)
        mortals.let_go(task, tmp_path / "gate", attempt=2)
    lines, error = lost(mortals, task)
    assert [line["outcome"] for line in lines] == ["worker_lost"] * 2
    assert [line["action"] for line in lines] == ["retry", "give_up"]
    assert lines[1]["reason"] == "lost its worker 2 times; worker_losses=1"
    assert error.worker == lines[1]["worker"]
    assert f"failed on {error.worker}, attempt 2 of 2: lost its worker 2 times" in error.__notes__[0]
    gone = mortals.told("workers", event="lost", number=before + 2)[before:]
    assert [line["running"] for line in gone] == [[str(task.key)]] * 2
    assert mortals.end_of(task)["state"] == "failed"


def test_a_deadly_task_kills_no_more_workers_than_its_budget(mortals):
    before = len(mortals.lines("workers", event="lost"))
    lost(mortals, mortals.client.submit(exit_at_once, retry=NEVER))
    until(lambda: len(mortals.client.scheduler_info()["workers"]) == 2)
    mortals.client.gather(mortals.client.map(snooze, range(20)))
    assert len(mortals.lines("workers", event="lost")) == before + 1


def test_tasks_that_merely_waited_on_a_lost_worker_are_not_blamed(mortals, tmp_path):
    deadly = mortals.client.submit(kill_myself, tmp_path / "gate", priority=10)
    others = mortals.client.map(snooze, range(30))
    mortals.let_go(deadly, tmp_path / "gate")
    assert mortals.client.gather(others) == list(range(30))
    assert deadly.result(PATIENCE_S) == "survived"
    blamed = {line["key"] for line in mortals.lines("failures") if line["outcome"] == "worker_lost"}
    running = {key for line in mortals.lines("workers", event="lost") for key in line["running"]}
    assert blamed <= running
    assert len(blamed & {str(future.key) for future in others}) == 0
    assert all(mortals.end_of(future)["attempts"] == 1 for future in others)


def test_a_loss_uses_up_no_retries(mortals, tmp_path):
    task = mortals.client.submit(die_then_fail, tmp_path / "gate", retry=Retry(retries=1, base=0.01))
    mortals.let_go(task, tmp_path / "gate")
    with pytest.raises(ConnectionError):
        task.result(PATIENCE_S)
    lines = mortals.lines("failures", task)
    assert [line["outcome"] for line in lines] == ["worker_lost", "error", "error"]
    assert [(line["attempt"], line["max_attempts"]) for line in lines] == [(1, 2), (2, 3), (3, 3)]


def die_then_fail(gate):
    kill_myself(gate)
    raise ConnectionError("after all")


def test_what_must_not_run_twice_does_not(mortals, tmp_path):
    task = mortals.client.submit(kill_myself, tmp_path / "gate", idempotent=False, retries=3)
    mortals.let_go(task, tmp_path / "gate")
    (line,), _ = lost(mortals, task)
    assert line["reason"] == "the worker was lost and idempotent=False forbids a second run"


def test_a_result_that_was_lost_is_computed_again(mortals):
    first = mortals.client.submit(my_process)
    pid, name = first.result(PATIENCE_S)
    after = mortals.client.submit(
        len, first, workers=[{"worker-0": "worker-1", "worker-1": "worker-0"}[name]]
    )
    os.kill(pid, signal.SIGKILL)
    assert after.result(PATIENCE_S) == 2
    until(lambda: first.status == "finished")
    assert first.result(PATIENCE_S)[0] != pid
    assert [line["state"] for line in mortals.told("tasks", first)] == ["succeeded"]


def test_dependents_of_a_lost_task_end_with_the_loss_as_their_cause(mortals):
    task = mortals.client.submit(exit_at_once, retry=NEVER)
    error = mortals.client.submit(inc, task).exception(PATIENCE_S)
    assert isinstance(error.__cause__, WorkerLost)


def test_a_retired_worker_costs_nothing(mortals, tmp_path):
    task = mortals.client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "gate", retry=NEVER)
    until((tmp_path / "mark.1").exists)
    workers = mortals.client.scheduler_info()["workers"]
    busy = next(address for address, keys in mortals.client.processing().items() if str(task.key) in keys)
    mortals.client.retire_workers([busy])
    (tmp_path / "gate").touch()
    assert task.result(PATIENCE_S) == 1
    assert not mortals.lines("failures", task)
    (gone,) = mortals.told("workers", event="retired")
    assert gone["worker"] == workers[busy]["name"]
    assert gone["running"] == []


def test_workers_are_announced_with_their_facts(two_processes):
    started = two_processes.told("workers", event="started", number=2)
    assert {line["worker"] for line in started} >= {"worker-0", "worker-1"}  # others replaced stuck ones
    for line in started:
        assert line["threads"] == 1
        assert line["pid"] != os.getpid()
        assert line["address"].startswith("tcp://127.0.0.1:")
        assert line["memory_bytes"] > 0


def kill_the_worker_of(live, task):
    """Kill the worker process that has a task."""
    busy = next(address for address, keys in live.client.processing().items() if str(task.key) in keys)
    os.kill(live.client.run(os.getpid, workers=[busy])[busy], signal.SIGKILL)


def begun(live, mark, **how):
    """Submit an isolated task that waits, and see it begin."""
    task = live.client.submit(touch_and_wait, mark, Path(f"{mark}.gate"), isolate=True, **how)
    until(mark.with_name(f"{mark.name}.1").exists)
    return task


def test_an_isolated_task_that_must_not_run_twice_does_not_when_its_worker_is_lost(mortals, tmp_path):
    task = begun(mortals, tmp_path / "mark", idempotent=False)
    kill_the_worker_of(mortals, task)
    (line,), _ = lost(mortals, task)
    assert line["reason"] == "the worker was lost and idempotent=False forbids a second run"
    assert mortals.told("workers", event="lost", running=[str(task.key)])
    assert not (tmp_path / "mark.2").exists()


def test_an_isolated_task_alone_counts_the_loss_of_its_worker(mortals, tmp_path):
    task = begun(mortals, tmp_path / "mark", retry=ONCE)
    kill_the_worker_of(mortals, task)
    (tmp_path / "mark.gate").touch()
    assert task.result(PATIENCE_S) == 2
    assert mortals.told("failures", task, number=2)[0]["outcome"] == "worker_lost"


def test_an_isolated_task_is_not_blamed_for_what_runs_beside_it(tmp_path):
    live = start(tmp_path, max_workers=1, threads_per_worker=2)
    try:
        task = begun(live, tmp_path / "mark", retry=NEVER)
        lost(live, live.client.submit(exit_at_once, retry=NEVER))
        (tmp_path / "mark.gate").touch()
        assert task.result(PATIENCE_S) == 1
        assert not live.lines("failures", task)
    finally:
        live.session.close()
