"""What the journal says of an attempt is of this attempt alone, also where its worker died at once."""

from __future__ import annotations

import os

import pytest
from live import PATIENCE_S, start, wait_at

from scalable import Retry, WorkerLost, current_attempt

HOLD_S = 0.5


def exit_late_then_at_once(gate):
    if current_attempt().number == 1:
        wait_at(gate)  # until the scheduler has heard that it began
    os._exit(7)


def test_a_lost_attempt_does_not_inherit_the_start_of_the_one_before(tmp_path):
    live = start(tmp_path)
    try:
        policy = Retry(retries=0, base=HOLD_S, jitter="none", worker_losses=1)
        task = live.client.submit(exit_late_then_at_once, tmp_path / "gate", retry=policy)
        live.let_go(task, tmp_path / "gate")
        with pytest.raises(WorkerLost):
            task.result(PATIENCE_S)
        first, second = live.lines("failures", task)
    finally:
        live.session.close()
    assert first["started_at"] is not None
    assert second["started_at"] != first["started_at"]
    assert second["duration_s"] is None or second["duration_s"] < HOLD_S
