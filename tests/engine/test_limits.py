"""Limits hold where a worker cannot speak for itself; a deadline bounds the attempt that it falls into."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest
from distributed import get_worker
from live import PATIENCE_S, flaky, freeze, inc, start, touch_and_wait, until

from scalable import Retry, TaskTimeout, current_attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live


@pytest.fixture
def pair(tmp_path) -> Iterator[Live]:
    running = start(tmp_path)
    yield running
    running.session.close()


def hold_the_gil():
    """Backtrack for ages, in C, at once."""
    return re.match(r"(a+)+$", "a" * 60 + "b")


def die_once(_name):
    if current_attempt().number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return get_worker().name


def late(gate):
    if current_attempt().number == 1:
        raise ConnectionError
    until(gate.exists, 600)


def test_a_task_that_lets_nobody_speak_ends_at_its_limit_and_its_worker_is_replaced(pair):
    task = pair.client.submit(hold_the_gil, timeout=0.5)
    with pytest.raises(TaskTimeout, match=r"exceeded its limit of 0\.5 s"):
        task.result(PATIENCE_S)
    (line,) = pair.lines("failures", task)
    assert (line["outcome"], line["attempt"]) == ("timeout", 1)
    assert pair.client.gather(pair.client.map(inc, range(10))) == list(range(1, 11))
    pair.told("workers", event="stuck")
    until(lambda: {"worker-2"} & {w["name"] for w in pair.client.scheduler_info()["workers"].values()})


def test_a_task_that_lets_nobody_speak_and_is_cancelled_at_once_gives_its_slot_back(tmp_path):
    alone = start(tmp_path, max_workers=1)
    (worker,) = alone.client.cluster.scheduler.workers.values()
    task = alone.client.submit(hold_the_gil)
    until(lambda: alone.box_of(worker.nanny).running())
    task.cancel()
    assert alone.client.submit(inc, 1).result(60) == 2
    assert alone.told("workers", event="stuck")
    assert alone.end_of(task)["state"] == "cancelled"
    alone.session.close()


def test_a_deadline_ends_the_attempt_that_it_falls_into(pair, tmp_path):
    soon = Retry(retries=5, base=0.01, jitter="none", deadline=0.5)
    task = pair.client.submit(late, tmp_path / "gate", retry=soon)
    with pytest.raises(TaskTimeout, match=r"what its deadline left it, of 0(\.\d)? s"):
        task.result(PATIENCE_S)
    lines = pair.lines("failures", task)
    assert [(line["outcome"], line["action"]) for line in lines] == [
        ("error", "retry"),
        ("timeout", "give_up"),
    ]
    assert "deadline of 0.5 s" in lines[-1]["reason"]
    (tmp_path / "gate").touch()


def test_a_deadline_that_is_not_reached_changes_nothing(pair):
    task = pair.client.submit(flaky, 2, retry=Retry(retries=3, base=0.01, deadline=60))
    assert task.result(PATIENCE_S) == 3


def test_a_task_that_is_pinned_to_a_worker_by_name_follows_the_name(pair):
    task = pair.client.submit(die_once, 1, workers="worker-0", retry=Retry(retries=0, base=0.01))
    assert task.result(PATIENCE_S) == "worker-0"


@pytest.mark.slow
def test_a_frozen_worker_is_ended_and_its_task_runs_elsewhere(pair, tmp_path):
    task = pair.client.submit(touch_and_wait, tmp_path / "began", tmp_path / "gate", retry=Retry(base=0.01))
    until((tmp_path / "began.1").exists)
    began = time.monotonic()
    address = until(lambda: pair.supervisor.tracked[task.key].running_on)
    pid = pair.supervisor.fleet.get(address).pid
    freeze(pid)
    (tmp_path / "gate").touch()
    assert task.result(60) == 2
    assert time.monotonic() - began < 60
    (line,) = pair.lines("failures", task, event="attempt_failed")
    assert (line["outcome"], line["signal"], line["pid"]) == ("worker_lost", "SIGKILL", pid)
    assert "was stopped, and killed" in line["exception"]["message"]


@pytest.mark.slow
def test_a_silent_worker_is_lost_after_the_time_that_the_manifest_gives_it(tmp_path):
    live = start(tmp_path, worker_ttl="3s")
    task = live.client.submit(stopped_once, retry=Retry(base=0.01))
    assert task.result(60) == 2
    (line,) = live.lines("failures", task, event="attempt_failed")
    assert line["outcome"] == "worker_lost"
    live.session.close()


def stopped_once():
    """Hold the GIL for longer than a worker may be silent."""
    if current_attempt().number == 1:
        hold_the_gil()
    return current_attempt().number
