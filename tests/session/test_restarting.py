"""``client.restart()`` is Dask's: it cancels everything and renews the workers; the session goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from live import PATIENCE_S, fail, inc, start, until

from scalable import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live


@pytest.fixture(params=[True, False], ids=["processes", "threads"])
def live(request, tmp_path) -> Iterator[Live]:
    running = start(tmp_path, processes=request.param)
    yield running
    running.session.close()


def test_restarting_cancels_what_waits_and_is_parked_and_leaves_nothing_of_it(live):
    done = live.client.submit(inc, 1)
    assert done.result(PATIENCE_S) == 2
    soon_again = Retry(retries=9, base=60.0)
    tasks = [live.client.submit(fail, ConnectionError("away"), retry=soon_again) for _ in range(40)]
    # What is still on its way when a scheduler restarts, Dask computes for nobody.
    until(lambda: live.session.parked() and live.session.overview()["waiting"] == len(tasks))
    live.client.restart()
    assert {task.status for task in [done, *tasks]} == {"cancelled"}
    assert live.client.submit(inc, 2).result(PATIENCE_S) == 3
    assert len(live.supervisor.tracked) <= 1
    assert len(live.supervisor.holds) == 0
    assert {live.end_of(task)["state"] for task in tasks} == {"cancelled"}
