"""After memory or time ran out: where the next attempt runs, with what, and what is told of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from live import PATIENCE_S, Live, manifest

from scalable import Retry, ScalableSession, current_attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON = Retry(retries=0, base=0.02, jitter="none")


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A session whose components and tasks escalate, on two threads."""
    written = manifest(tmp_path_factory.mktemp("escalation"), processes=False, memory="8GiB")
    written["components"] = {
        "small": {"memory": "1GiB", "escalate": "middle"},
        "middle": {"memory": "2GiB", "escalate": "large"},
        "large": {"memory": "8GiB", "cpus": 2},
        "huge": {"memory": "64GiB", "fallback": "large"},
        "growing": {"memory": "2GiB"},
    }
    written["retry"]["default"] = {"retries": 0, "base": 0.02}
    written["tasks"] = {
        "fit": {"component": "growing", "escalate": {"memory": "2x", "up_to": "8GiB"}, "timeout": "60s"},
        "both": {"component": "growing", "escalate": {"memory": 2, "up_to": "4GiB", "timeout": "2x"}}
        | {"timeout": "60s"},
        "slow": {"escalate": {"timeout": "20x"}, "timeout": "100ms", "retries": 1},
        "hopeless": {"escalate": {"timeout": "2x"}, "timeout": "50ms"},
    }
    session = ScalableSession.from_mapping(written)
    session.start()
    yield Live(session)
    session.close()


def hungry(failures: int) -> int:
    number = current_attempt().number
    if number <= failures:
        raise MemoryError("unable to allocate 4.2GB")
    return number


def slow_at_first() -> int:
    number = current_attempt().number
    if number == 1:
        time.sleep(0.3)
    return number


def steps(live: Live, future) -> list[tuple[str | None, str | None]]:
    lines = live.lines("failures", future, event="attempt_failed")
    return [(line["escalated_from"], line["escalated_to"]) for line in lines]


def test_a_task_that_ran_out_of_memory_moves_up_its_chain_without_retries(growing: Live):
    task = growing.client.submit(hungry, 2, tag="small")
    assert task.result(PATIENCE_S) == 3
    assert steps(growing, task) == [("small", "middle"), ("middle", "large")]
    first, second = growing.lines("failures", task, event="attempt_failed")
    assert (first["component"], second["component"]) == ("small", "middle")
    assert first["reason"].endswith("; from small to middle")
    assert (first["action"], first["outcome"], first["kind"]) == ("retry", "oom", "resource")
    assert growing.end_of(task)["component"] == "large"


def test_the_top_of_the_chain_is_the_end(growing: Live):
    task = growing.client.submit(hungry, 99, tag="small")
    with pytest.raises(MemoryError, match="unable to allocate"):
        task.result(PATIENCE_S)
    assert steps(growing, task) == [("small", "middle"), ("middle", "large"), (None, None)]


def test_an_attempt_in_another_component_holds_the_token_of_that_one(growing: Live):
    before = growing.client.submit(hungry, 1, tag="middle")
    assert before.result(PATIENCE_S) == 2
    state = growing.client.cluster.scheduler.tasks[before.key]
    assert state.resource_restrictions == {"scalable:large": 1}
    for worker in growing.client.cluster.scheduler.workers.values():
        assert not any(worker.used_resources.values())


def test_memory_grows_up_to_its_limit(growing: Live):
    task = growing.client.submit(hungry, 2, task="fit")
    assert task.result(PATIENCE_S) == 3
    assert steps(growing, task) == [("memory 2 GiB", "4 GiB"), ("memory 4 GiB", "8 GiB")]


def test_memory_and_time_grow_together(growing: Live):
    task = growing.client.submit(hungry, 1, task="both")
    assert task.result(PATIENCE_S) == 2
    assert steps(growing, task) == [("memory 2 GiB, timeout 60 s", "4 GiB, 120 s")]


def test_a_task_that_ran_out_of_time_gets_more(growing: Live):
    task = growing.client.submit(slow_at_first, task="slow")
    assert task.result(PATIENCE_S) == 2
    assert steps(growing, task) == [("timeout 0.1 s", "2 s")]


def test_more_time_needs_a_retry(growing: Live):
    task = growing.client.submit(time.sleep, 0.2, task="hopeless")
    with pytest.raises(TimeoutError):
        task.result(PATIENCE_S)
    assert steps(growing, task) == [(None, None)]


def test_other_failures_stay_where_they_are(growing: Live):
    task = growing.client.submit(int, "x", tag="small")
    assert isinstance(task.exception(PATIENCE_S), ValueError)
    assert steps(growing, task) == [(None, None)]


def test_a_component_that_does_not_fit_runs_its_tasks_in_its_fallback(growing: Live):
    task = growing.client.submit(hungry, 0, tag="huge")
    assert task.result(PATIENCE_S) == 1
    assert growing.end_of(task)["component"] == "large"
    assert (
        "Component `huge` (64 GiB) does not fit this machine (8 GiB): its tasks run in `large`"
        in growing.session.plan().warnings
    )
