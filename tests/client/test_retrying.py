"""A retry by hand works from any end, on other terms where asked; all are retried, or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from live import PATIENCE_S, flaky, inc, touch_and_wait, until

from scalable import PlanError, Retry, TaskTimeout, current_attempt

SOON = Retry(retries=5, base=0.01, jitter="none")


def count(mark: Path) -> int:
    """Return how often this was run."""
    number = len(list(mark.parent.glob(f"{mark.name}.*"))) + 1
    Path(f"{mark}.{number}").touch()
    return number


def fails_without(gate: Path) -> int:
    if not gate.exists():
        raise ValueError("no gate")
    return current_attempt().number


def test_a_task_that_succeeded_runs_again_under_the_same_future(live, tmp_path):
    task = live.client.submit(count, tmp_path / "ran")
    assert task.result(PATIENCE_S) == 1
    live.client.retry(task)
    assert task.result(PATIENCE_S) == 2
    assert [(each.number, each.outcome) for each in live.client.attempts(task)] == [
        (1, "succeeded"),
        (2, "succeeded"),
    ]
    lines = live.lines("tasks", task)
    assert [(line["state"], line["replaces"]) for line in lines] == [
        ("succeeded", None),
        ("succeeded", "succeeded"),
    ]


def test_some_of_a_batch_are_retried_and_the_others_left_alone(live, tmp_path):
    good, bad = (
        live.client.submit(count, tmp_path / "good"),
        live.client.submit(fails_without, tmp_path / "gate"),
    )
    assert isinstance(bad.exception(PATIENCE_S), ValueError)
    (tmp_path / "gate").touch()
    live.client.retry([bad])
    assert (bad.result(PATIENCE_S), good.result(PATIENCE_S)) == (2, 1)


def test_a_success_and_a_failure_are_retried_together_with_what_needs_the_failed_one(live, tmp_path):
    good, bad = (
        live.client.submit(count, tmp_path / "good"),
        live.client.submit(fails_without, tmp_path / "gate"),
    )
    after = live.client.submit(inc, bad)
    assert after.exception(PATIENCE_S) is not None
    assert good.result(PATIENCE_S) == 1
    (tmp_path / "gate").touch()
    live.client.retry([good, bad])
    assert live.client.gather([good, bad, after]) == [2, 2, 3]


@pytest.mark.parametrize("how", ["runs", "waits", "cancelled", "twice"])
def test_all_are_retried_or_none_and_who_is_in_the_way_is_named(live, tmp_path, how):
    done = live.client.submit(count, tmp_path / "done", key=f"done-{how}")
    done.result(PATIENCE_S)
    if how == "twice":
        other, words = done, f"done-{how} is given more than once"
    elif how == "runs":
        other = live.client.submit(touch_and_wait, tmp_path / "m", tmp_path / "gate", key=f"o-{how}")
        until(lambda: live.client.info(other).status == "running")
        words = f"o-{how} has not ended: it is running"
    else:
        other = live.client.submit(flaky, 1, retry=Retry(retries=1, base=60), key=f"o-{how}")
        live.told("failures", other)
        words = f"o-{how} has not ended: it is waiting"
        if how == "cancelled":
            other.cancel()
            live.told("tasks", other)
            words = "submit it again"
    with pytest.raises(ValueError, match=f"none was retried: .*{words}"):
        live.client.retry([done, other])
    assert done.result(PATIENCE_S) == 1
    assert not (tmp_path / "done.2").exists()
    (tmp_path / "gate").touch()
    other.cancel()


def test_other_terms_hold_from_then_on(processes, tmp_path):
    client = processes.client
    task = client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "gate")
    (tmp_path / "gate").touch()
    assert task.result(PATIENCE_S) == 1
    (tmp_path / "gate").unlink()
    client.retry(task, timeout=0.3, isolate=True, tag="small", retries=1)
    assert isinstance(task.exception(PATIENCE_S), TaskTimeout)
    info = client.info(task)
    assert (info.status, info.isolate, info.timeout_s, info.component) == ("timeout", True, 0.3, "small")
    assert (info.attempts, info.max_attempts) == (3, 3)
    (tmp_path / "gate").touch()
    client.retry(task, timeout=60)
    assert task.result(PATIENCE_S) == 4


def test_a_task_moves_to_the_workers_of_another_component(processes):
    task = processes.client.submit(inc, 1, tag="analysis")
    assert task.result(PATIENCE_S) == 2
    processes.client.retry(task, tag="single")
    assert task.result(PATIENCE_S) == 2
    assert processes.client.info(task).component == "single"
    ends = processes.lines("tasks", task)
    assert [line["component"] for line in ends] == ["analysis", "single"]


def test_a_policy_by_hand_is_the_tasks_own_from_then_on(live):
    task = live.client.submit(flaky, 4, retries=0)
    assert isinstance(task.exception(PATIENCE_S), ConnectionError)
    live.client.retry(task, retry=SOON)
    assert task.result(PATIENCE_S) == 5


def test_what_does_not_exist_is_refused_before_anything_happens(live, tmp_path):
    task = live.client.submit(count, tmp_path / "ran")
    task.result(PATIENCE_S)
    for wrong in ({"tag": "nowhere"}, {"retry": "nothing"}, {"timeout": "soon"}):
        with pytest.raises(PlanError):
            live.client.retry(task, **wrong)
    assert task.result(PATIENCE_S) == 1
    live.client.retry([])


def test_a_future_retries_itself(live, tmp_path):
    task = live.client.submit(count, tmp_path / "ran")
    task.result(PATIENCE_S)
    task.retry()
    assert task.result(PATIENCE_S) == 2


def test_an_isolated_task_stays_isolated_with_its_limit(processes, tmp_path):
    task = processes.client.submit(os.getpid, isolate=True, timeout=30)
    first = task.result(PATIENCE_S)
    processes.client.retry(task)
    second = task.result(PATIENCE_S)
    workers = {line["pid"] for line in processes.lines("workers", event="started")}
    assert {first, second}.isdisjoint(workers)
    assert first != second


def test_an_input_that_was_let_go_is_computed_again(live, tmp_path):
    first = live.client.submit(count, tmp_path / "first")
    after = live.client.submit(inc, first)
    assert after.result(PATIENCE_S) == 2
    key = first.key
    del first
    until(lambda: live.supervisor.scheduler.tasks[key].state == "released")
    live.client.retry(after)
    assert after.result(PATIENCE_S) == 3
