"""The pool of this machine comes back, whatever happens to its workers and their nannies."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

import pytest
from distributed import worker_client
from live import PATIENCE_S, inc, start, until

from scalable import ScalableSession

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


def absolute(number):
    """Compute by a task of one's own."""
    with worker_client() as client:
        return client.submit(abs, number).result(PATIENCE_S)


def test_the_client_that_tasks_made_ends_with_the_worker_that_made_it(tmp_path, caplog):
    live = start(tmp_path, processes=False, max_workers=1)
    other = ScalableSession.local(workers=1, processes=False)  # Dask would take the only client in a process
    with other, caplog.at_level(logging.ERROR):
        assert live.client.submit(absolute, -1).result(PATIENCE_S) == 1
        made = live.client.cluster.workers["worker-0"]._client
        live.client.loop.add_callback(live.client.cluster.replace, "worker-0")
        live.told("workers", event="retired")
        until(lambda: made.status == "closed")
        assert live.client.submit(absolute, -2).result(PATIENCE_S) == 2
    live.session.close()
    assert "ConnectionPool" not in caplog.text
