"""A graph of tasks that need each other ends with the right result, whatever strikes them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from live import start

from scalable import FaultPlan
from scalable.testing import check_run

sys.path.append(str(Path(__file__).parents[2] / "examples"))

from cholesky import cholesky, positive

TILES, ROWS = 4, 20


def factorised_under(live, plan):
    matrix = positive(TILES, ROWS)
    with live.client.inject(plan):
        found = cholesky(live.client, matrix, TILES)
    np.testing.assert_allclose(found, np.linalg.cholesky(matrix))
    live.session.close()
    check_run(live.run_dir)
    return [line for line in live.lines("failures", injected=True) if line["event"] == "attempt_failed"]


@pytest.mark.parametrize("kind", ["raise", "dependency", "delay", "memory", "ulimit", "random"])
@pytest.mark.parametrize("rate", ["20%", "50%"])
def test_the_right_matrix_comes_out_under_faults(tmp_path, kind, rate):
    live = start(tmp_path, processes=False)
    struck = factorised_under(live, FaultPlan(kind=kind, probability=rate, seed=7, delay=0.01))
    assert bool(struck) is (kind != "delay")


def test_the_right_matrix_comes_out_where_workers_are_killed(tmp_path):
    live = start(tmp_path)
    plan = FaultPlan(kind="worker-killed", probability=0.3, seed=7, budget=4, allow_destructive=True)
    assert {line["outcome"] for line in factorised_under(live, plan)} == {"worker_lost"}
