"""A graph of tasks that need each other ends with the right result, whatever strikes them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from live import start

from scalable import FaultPlan, Retry, UpstreamFailed, WorkerLost
from scalable.faults.kinds import HARMLESS
from scalable.testing import check_run

sys.path.append(str(Path(__file__).parents[2] / "examples"))

from cholesky import cholesky, positive

TILES, FEW_TILES, ROWS = 4, 2, 20
SOON = Retry(retries=5, worker_losses=5, base=0.01)


def struck(live):
    return [line for line in live.lines("failures", injected=True) if line["event"] == "attempt_failed"]


@pytest.mark.parametrize(
    "kind", ["raise", "dependency", "delay", "hang", "timeout", "memory", "ulimit", "cache-corrupt", "random"]
)
@pytest.mark.parametrize("rate", ["20%", "50%"])
def test_the_right_matrix_comes_out_under_faults(tmp_path, kind, rate):
    live = start(tmp_path, processes=False)
    matrix = positive(TILES, ROWS)
    with live.client.inject(FaultPlan(kind=kind, probability=rate, seed=7, delay=0.01, max_hang=0.01)):
        found = cholesky(live.client, matrix, TILES)
    np.testing.assert_allclose(found, np.linalg.cholesky(matrix))
    live.session.close()
    check_run(live.run_dir)
    assert bool(struck(live)) is (kind not in HARMLESS)
    assert {line["fault"] for line in live.lines("faults", event="injected")} >= ({kind} - {"random"})


@pytest.mark.parametrize("kind", ["worker-killed", "manager-killed", "node-killed"])
@pytest.mark.parametrize("rate", ["20%", "50%"])
def test_where_workers_are_killed_the_matrix_is_right_or_it_is_told_what_was_too_much(tmp_path, kind, rate):
    live = start(tmp_path)
    matrix = positive(FEW_TILES, ROWS)
    plan = FaultPlan(kind=kind, probability=rate, seed=4, budget=6, allow_destructive=True)
    with live.client.inject(plan):
        try:
            found = cholesky(live.client, matrix, FEW_TILES, retry=SOON)
        except (WorkerLost, UpstreamFailed):
            assert live.lines("failures", action="give_up", outcome="worker_lost")
        else:
            np.testing.assert_allclose(found, np.linalg.cholesky(matrix))
    live.session.close()
    check_run(live.run_dir)
    assert {line["outcome"] for line in struck(live)} == {"worker_lost"}
