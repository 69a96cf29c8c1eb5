"""A worker that kills what is well elsewhere gets no more tasks, and is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from distributed import get_worker
from live import PATIENCE_S, inc, start, until

from scalable import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live

PATIENT = Retry(retries=0, base=0.01, jitter="none", worker_losses=20)


@pytest.fixture
def trio(tmp_path) -> Iterator[Live]:
    running = start(tmp_path, max_workers=3)
    yield running
    running.session.close()


def not_on_worker_one(number):
    if get_worker().name == "worker-1":
        os._exit(1)
    return number


def name_of_worker(_number):
    return get_worker().name


def test_a_worker_that_kills_different_tasks_is_quarantined(trio):
    def convicted():
        assert trio.client.gather(trio.client.map(not_on_worker_one, range(6), retry=PATIENT)) == [*range(6)]
        return trio.lines("workers", event="quarantined")

    (line,) = until(convicted)
    assert line["worker"] == "worker-1"
    assert line["reason"] == "3 tasks were lost on worker worker-1 and well elsewhere: it gets no more"
    until(lambda: len(trio.client.scheduler_info(n_workers=-1)["workers"]) == 3)
    names = trio.client.gather(trio.client.map(name_of_worker, range(30)))
    assert "worker-1" not in names


def test_a_task_that_kills_every_worker_gets_none_quarantined(trio):
    deadly = trio.client.map(os._exit, [3, 4, 5], retry=Retry(retries=0, base=0.01, worker_losses=1))
    for future in deadly:
        assert future.exception(PATIENCE_S) is not None
    assert trio.client.gather(trio.client.map(inc, range(10))) == list(range(1, 11))
    assert trio.lines("workers", event="quarantined") == []
