"""A short soak: tasks of all kinds under fire, and not one broken promise. `make soak` is a longer one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")
SECONDS, SEED = 60, 11
PATIENCE_S = 400  # it ends by itself before that, and says where it hangs


@pytest.mark.timeout(PATIENCE_S + 10)
def test_a_minute_under_fire_break_no_promise(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SOAK), "--seconds", str(SECONDS), "--seed", str(SEED)],
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-5000:]}"
    assert "violations" in done.stdout
