"""Tasks whose result is lost, or was let go, and is wanted again; and those that must not run twice."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

from distributed import get_worker
from live import PATIENCE_S, start, until

from scalable import Retry, UpstreamFailed, WorkerLost, current_attempt
from scalable.engine.worker.blackbox import path_of

if TYPE_CHECKING:
    from pathlib import Path


QUICK = Retry(retries=1, base=0.01, jitter="none", worker_losses=1)
FAILED_AFTER_ALL = [("succeeded", None), ("failed", "succeeded")]


# --- tasks: each writes down where it ran, and the number of its attempt ----------------------------------


def runs(mark: Path) -> list[tuple[int, int]]:
    rows = mark.read_text(encoding="utf-8").splitlines() if mark.exists() else []
    return [(int(number), int(pid)) for number, pid in map(str.split, rows)]


def count(mark):
    with mark.open("a", encoding="utf-8") as file:
        file.write(f"{current_attempt().number} {os.getpid()}\n")
    return len(runs(mark))


def source(mark):
    return count(mark)


def source_that_waits(mark, gate):
    """The second time it waits to be killed."""
    times = count(mark)
    if times == 2:
        until(gate.exists)
    return times


def source_that_fails(mark, times):
    """The second time, and as often as told, it fails."""
    number = count(mark)
    if 2 <= number < 2 + times:
        raise ConnectionError(f"away {number}")
    return number


def leaf(_, mark):
    return count(mark)


def long(mark, gate):
    count(mark)
    until(gate.exists)


def silent(mark):
    """Its worker says nothing any more when it returns."""
    stuck = threading.Event()

    def keep():
        stuck.set()
        threading.Event().wait(PATIENCE_S)

    get_worker().loop.add_callback(keep)
    stuck.wait(PATIENCE_S)
    return count(mark)


# --- what is needed again -----------------------------------------------------------------------------------


def family(live, tmp_path, function=source, *arguments, sides=1):
    """Leaves, one on each worker, of a source whose result was let go; and the marks of all, its first."""
    marks = [tmp_path / "source", *(tmp_path / f"leaf-{side}" for side in range(sides))]
    key = f"source-{tmp_path.name}"
    root = live.client.submit(function, marks[0], *arguments, retry=QUICK, key=key)
    names = sorted(info["name"] for info in live.client.scheduler_info()["workers"].values())
    leaves = [
        live.client.submit(leaf, root, mark, retry=QUICK, workers=[name])
        for name, mark in zip(names, marks[1:], strict=False)
    ]
    assert live.client.gather(leaves) == [1] * sides
    del root
    until(lambda: live.client.cluster.scheduler.tasks[key].state == "released")
    return leaves, key, marks


def kill_the_last(mark):
    os.kill(runs(mark)[-1][1], signal.SIGKILL)


def test_a_result_that_was_let_go_is_computed_again_under_the_next_number(mortals, tmp_path):
    (after,), _, marks = family(mortals, tmp_path)
    kill_the_last(marks[1])
    until(lambda: len(runs(marks[1])) == 2)
    assert after.result(PATIENCE_S) == 2
    assert [number for number, _ in runs(marks[0])] == [1, 2]
    assert [number for number, _ in runs(marks[1])] == [1, 2]


def test_what_is_needed_again_and_loses_its_worker_again_is_not_held_for_ever(mortals, tmp_path):
    (after,), key, marks = family(mortals, tmp_path, source_that_waits, tmp_path / "gate")
    kill_the_last(marks[1])
    until(lambda: len(runs(marks[0])) == 2)
    kill_the_last(marks[0])
    assert after.result(PATIENCE_S) == 2
    lines = [line for line in mortals.lines("failures") if line["key"] == key]
    assert [(line["event"], line["attempt"]) for line in lines] == [("attempt_failed", 2), ("recovered", 3)]


def test_what_is_needed_again_and_fails_waits_before_its_next_attempt(mortals, tmp_path):
    (after,), key, marks = family(mortals, tmp_path, source_that_fails, 1)
    kill_the_last(marks[1])
    assert after.result(PATIENCE_S) == 2
    lines = [line for line in mortals.lines("failures") if line["key"] == key]
    told = [(line["event"], line["action"]) for line in lines]
    assert told == [("attempt_failed", "retry"), ("recovered", None)]
    assert lines[0]["delay_s"] == 0.01
    assert [number for number, _ in runs(marks[0])] == [1, 2, 3]


def test_what_is_needed_again_and_fails_for_good_ends_those_that_need_it(mortals, tmp_path):
    (after,), key, marks = family(mortals, tmp_path, source_that_fails, 9)
    kill_the_last(marks[1])
    error = until(lambda: after.status == "error" and after.exception(PATIENCE_S))
    assert isinstance(error, UpstreamFailed)
    assert isinstance(error.__cause__, ConnectionError)
    ends = [line for line in mortals.lines("tasks") if line["key"] == key]
    assert [(line["state"], line["replaces"]) for line in ends] == [
        ("succeeded", None),
        ("failed", "succeeded"),
    ]


def test_a_result_that_is_lost_when_its_input_has_failed_ends_with_that(mortals, tmp_path):
    after, _, marks = family(mortals, tmp_path, source_that_fails, 9, sides=2)
    kill_the_last(marks[2])
    until(lambda: after[1].status == "error")
    assert after[0].status == "finished"
    kill_the_last(marks[1])
    error = until(lambda: after[0].status == "error" and after[0].exception(PATIENCE_S))
    assert isinstance(error, UpstreamFailed)
    assert isinstance(error.__cause__, ConnectionError)


# --- what must not run twice --------------------------------------------------------------------------------


def once(live, function, *arguments, **how):
    return live.client.submit(function, *arguments, idempotent=False, retries=3, **how)


def heard_of(live, task):
    """The address of the worker that runs it, as soon as the scheduler knows."""
    return until(lambda: (tracked := live.supervisor.tracked.get(task.key)) and tracked.running_on)


def lost_for_good(live, future, mark, reason):
    error = until(lambda: future.status == "error" and future.exception(PATIENCE_S))
    assert isinstance(error, WorkerLost)
    assert reason in str(error)
    line = live.lines("failures", future)[-1]
    assert (line["outcome"], line["action"]) == ("worker_lost", "give_up")
    assert line["reason"] == "the worker was lost and idempotent=False forbids a second run"
    assert [number for number, _ in runs(mark)] == [1]


def test_a_result_that_must_not_be_computed_twice_is_lost_with_its_worker(mortals, tmp_path):
    task = once(mortals, source, tmp_path / "mark")
    assert task.result(PATIENCE_S) == 1
    kill_the_last(tmp_path / "mark")
    lost_for_good(
        mortals, task, tmp_path / "mark", "a worker was lost, and with it, or before, the result of"
    )
    ends = mortals.lines("tasks", task)
    assert [(line["state"], line["replaces"]) for line in ends] == [
        ("succeeded", None),
        ("failed", "succeeded"),
    ]


def test_an_isolated_task_that_must_not_run_twice_ends_with_its_worker(mortals, tmp_path):
    task = once(mortals, long, tmp_path / "mark", tmp_path / "gate", isolate=True)
    until(lambda: runs(tmp_path / "mark"))
    address = heard_of(mortals, task)
    os.kill(mortals.client.cluster.scheduler.workers[address].pid, signal.SIGKILL)
    lost_for_good(mortals, task, tmp_path / "mark", "was killed by SIGKILL while it ran")


def test_a_task_whose_end_was_not_heard_of_does_not_run_twice(mortals, tmp_path):
    task = once(mortals, silent, tmp_path / "mark")
    until(lambda: runs(tmp_path / "mark"))
    ((_, pid),) = runs(tmp_path / "mark")
    workers = mortals.client.cluster.scheduler.workers.values()
    (nanny,) = [each.nanny for each in workers if each.pid == pid]
    until(lambda: mortals.box_of(nanny).begun())
    os.kill(pid, signal.SIGKILL)
    lost_for_good(
        mortals, task, tmp_path / "mark", "was killed by SIGKILL before it was heard what became of"
    )


def test_a_task_that_must_not_run_twice_does_not_move_from_a_worker_that_retires(mortals, tmp_path):
    task = once(mortals, long, tmp_path / "mark", tmp_path / "gate")
    mortals.client.retire_workers([heard_of(mortals, task)])
    lost_for_good(mortals, task, tmp_path / "mark", "was retired while it ran")
    (tmp_path / "gate").touch()


def test_a_worker_that_had_to_be_killed_leaves_no_file(tmp_path):
    live = start(tmp_path, max_workers=1)
    (worker,) = live.client.cluster.scheduler.workers.values()
    assert path_of(worker.nanny).exists()
    os.kill(worker.pid, signal.SIGSTOP)
    live.session.close()
    assert not path_of(worker.nanny).exists()
