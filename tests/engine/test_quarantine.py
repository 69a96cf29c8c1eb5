"""A worker that kills what is well elsewhere gets no more tasks, and is named."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from clusters import Cluster
from distributed import get_worker
from live import PATIENCE_S, Live, inc, manifest, start, until

from scalable import Retry, ScalableSession

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENT = Retry(retries=0, base=0.01, jitter="none", worker_losses=20)
SOON_S = 25.0  # instead of an hour


@pytest.fixture
def trio(tmp_path) -> Iterator[Live]:
    running = start(tmp_path, max_workers=3)
    yield running
    running.session.close()


def not_on(name, number):
    if get_worker().name == name:
        os._exit(1)
    return number


def take_a_moment(number):
    time.sleep(0.1)
    return number


def name_of_worker(_number):
    return get_worker().name


def convicted(live, name="worker-1"):
    """The line of quarantine, after as many tasks as it takes."""

    def line():
        tasks = live.client.map(partial(not_on, name), range(6), retry=PATIENT)
        assert live.client.gather(tasks) == [*range(6)]
        return live.lines("workers", event="quarantined")

    (found,) = until(line)
    return found


def running(live):
    """Addresses and names of the workers that take tasks."""
    workers = live.client.scheduler_info(n_workers=-1)["workers"].items()
    return {address: worker["name"] for address, worker in workers if worker["status"] == "running"}


def names(live):
    return set(running(live).values())


def test_a_worker_that_kills_different_tasks_is_quarantined_and_another_takes_its_place(trio):
    line = convicted(trio)
    assert line["worker"] == "worker-1"
    said = "3 tasks were lost on worker worker-1 and well elsewhere: another takes its place"
    assert line["reason"] == said
    until(lambda: names(trio) == {"worker-0", "worker-2", "worker-3"})
    assert "worker-1" not in trio.client.gather(trio.client.map(name_of_worker, range(30)))
    assert trio.lines("workers", event="stuck") == []


def test_workers_that_are_all_killed_again_and_again_stay_in_use(trio):
    for _ in range(6):
        before = until(lambda: len(there := running(trio)) == 3 and there)
        tasks = trio.client.map(take_a_moment, range(12), retry=PATIENT)
        until(lambda: all(trio.client.processing().values()))
        for pid in trio.client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)
        until(lambda: not before.keys() & running(trio).keys())  # noqa: B023 - called here only
        assert trio.client.gather(tasks) == [*range(12)]
    until(lambda: names(trio) == {"worker-0", "worker-1", "worker-2"})
    assert trio.lines("workers", event="quarantined") == []


@pytest.mark.slow
def test_a_quarantined_worker_of_somebody_else_gets_tasks_again_when_the_evidence_is_old(tmp_path):
    (tmp_path / "sooner.py").write_text(f"from scalable.core import workers\nworkers.BELIEVED_S = {SOON_S}\n")
    with Cluster(tmp_path, "--preload", str(tmp_path / "sooner.py"), workers=3, nanny=True) as theirs:
        described = manifest(tmp_path)
        described["targets"] = {"shared": {"provider": "dask", "address": theirs.address}}
        session = ScalableSession.from_mapping(described, target="shared")
        session.start()
        live = Live(session)
        until(lambda: len(names(live)) == 3)
        line = convicted(live, "theirs-1")
        assert line["reason"] == "3 tasks were lost on worker theirs-1 and well elsewhere: it gets no more"
        assert "theirs-1" not in live.client.gather(live.client.map(name_of_worker, range(30)))
        until(lambda: "theirs-1" in names(live), 2 * SOON_S)
        session.close()


def test_a_task_that_kills_every_worker_gets_none_quarantined(trio):
    deadly = trio.client.map(os._exit, [3, 4, 5], retry=Retry(retries=0, base=0.01, worker_losses=1))
    for future in deadly:
        assert future.exception(PATIENCE_S) is not None
    assert trio.client.gather(trio.client.map(inc, range(10))) == list(range(1, 11))
    assert trio.lines("workers", event="quarantined") == []
