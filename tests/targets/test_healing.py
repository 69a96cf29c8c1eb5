"""The pool of this machine comes back, whatever happens to its workers and their nannies."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from live import PATIENCE_S, inc, start, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Iterator[Live]:
    running = start(tmp_path_factory.mktemp("healing"))
    yield running
    running.session.close()


def workers_of(live):
    return live.client.scheduler_info(n_workers=-1)["workers"]


def test_all_workers_killed_at_once_again_and_again_come_back(pool):
    for _ in range(3):
        until(lambda: len(workers_of(pool)) == 2)
        for pid in pool.client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)
        assert pool.client.gather(pool.client.map(inc, range(10))) == list(range(1, 11))
    until(lambda: len(workers_of(pool)) == 2)
    assert {worker["name"] for worker in workers_of(pool).values()} == {"worker-0", "worker-1"}


def test_a_nanny_that_gave_up_is_replaced(pool):
    until(lambda: len(workers_of(pool)) == 2)
    nanny = pool.client.cluster.workers["worker-0"]
    pool.client.sync(nanny.close)
    assert pool.client.gather(pool.client.map(inc, range(4))) == [1, 2, 3, 4]
    until(lambda: pool.client.cluster.workers.get("worker-0") not in (None, nanny))
    until(lambda: len(workers_of(pool)) == 2)


def test_tasks_wait_for_a_pool_that_is_wholly_gone_and_then_run(pool):
    until(lambda: len(workers_of(pool)) == 2)
    for nanny in list(pool.client.cluster.workers.values()):
        pool.client.sync(nanny.close)
    assert pool.client.submit(inc, 1).result(PATIENCE_S) == 2
