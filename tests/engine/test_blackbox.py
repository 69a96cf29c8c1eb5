"""The flight recorder of a worker: what it ran when it died, whatever it had not said yet."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from distributed.core import Status
from live import PATIENCE_S, inc, start

from scalable import Retry, WorkerLost
from scalable.engine.worker.blackbox import SLOTS, BlackBox, begun, read, remove
from scalable.engine.worker.warden import Warden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live

NANNY = "tcp://[::1]:7"
NEVER = Retry(retries=0, worker_losses=0)


@pytest.fixture
def lone(tmp_path) -> Iterator[Live]:
    running = start(tmp_path, max_workers=1)
    yield running
    running.session.close()


def test_the_runs_under_way_are_read_after_a_sudden_end():
    program = (
        f"import os; from scalable.engine.worker.blackbox import BlackBox; box = BlackBox.create('{NANNY}');"
        "box.enter(0); place = box.enter(7); box.enter(8); box.leave(place); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert sorted(read(NANNY) or ()) == [0, 8]
    remove(NANNY)
    assert read(NANNY) is None


def test_a_run_that_must_be_the_only_one_stays_known_when_it_has_ended():
    box = BlackBox.create(NANNY)
    box.leave(box.enter(0), 0)
    box.leave(box.enter(7))
    box.enter(8)
    for run in range(9, SLOTS):
        box.leave(box.enter(run))
    assert (read(NANNY), begun(NANNY)) == ([8], [0])
    box.close()
    assert begun(NANNY) == []


def test_a_box_is_removed_when_it_is_closed_and_full_ones_take_no_more():
    box = BlackBox.create(NANNY)
    places = [box.enter(run) for run in range(SLOTS + 1)]
    assert places[-1] is None
    box.leave(None)
    assert len(read(NANNY) or ()) == SLOTS
    box.close()
    assert read(NANNY) is None
    assert box.enter(1) is None


def test_a_task_that_kills_at_once_is_blamed_and_the_one_before_it_is_not(lone):
    for _ in range(5):
        before = lone.client.map(inc, range(20))
        deadly = lone.client.submit(os._exit, 3, retry=NEVER)
        with pytest.raises(WorkerLost):
            deadly.result(PATIENCE_S)
        assert lone.client.gather(before) == list(range(1, 21))
        assert [line["running"] for line in lone.told("workers", event="lost")][-1] == [str(deadly.key)]
    assert {line["key"] for line in lone.lines("failures")} == {
        line["key"] for line in lone.lines("tasks", state="failed")
    }


def test_a_nanny_that_closes_leaves_no_box_and_one_that_goes_on_is_wrapped_by_no_warden_of_the_past():
    class Nanny:
        name = address = NANNY
        memory_manager = SimpleNamespace(_last_terminated_pid=0)
        status = Status.running

        def __init__(self):
            self.handlers: dict[str, object] = {}

        async def kill(self) -> None:
            """Do nothing."""

        async def _on_worker_exit(self, exitcode: int) -> None:
            """Do nothing."""

    async def look() -> None:
        nanny = Nanny()
        for _session in range(3):
            warden = Warden()
            warden.setup(nanny)  # type: ignore[arg-type]
            warden.teardown(nanny)  # type: ignore[arg-type]
        assert nanny.kill.__func__ is Nanny.kill
        warden.setup(nanny)  # type: ignore[arg-type]
        nanny.status = Status.closing
        warden.teardown(nanny)  # type: ignore[arg-type]
        BlackBox.create(NANNY).enter(1)
        await nanny.kill()
        assert read(NANNY) is None

    asyncio.run(look())
