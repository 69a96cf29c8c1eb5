"""Starting: ``import scalable`` beside a bare interpreter, and ``scalable report --last`` on a small run."""

import subprocess
import sys
import time
from pathlib import Path

from line import Line

from scalable import ScalableSession

RUNS = 11
IMPORT_GOAL_S, REPORT_GOAL_S = 0.05, 0.3


def seconds(*command: str) -> float:
    """How long a command takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)  # noqa: S603 - our own interpreter
    return time.perf_counter() - began


def small_run(place: Path) -> Path:
    """Make a run of a few tasks; returns its runs directory."""
    runs = place / "small-runs"
    local = {"provider": "local", "max_workers": 1, "processes": False}
    manifest = {"version": 1, "targets": {"local": local}, "telemetry": {"runs_dir": str(runs)}}
    with ScalableSession.from_mapping(manifest) as client:
        client.gather(client.map(int, ["1", "2", "many"]), errors="return")
    return runs


def measure(place: Path) -> list[Line]:
    """Measure both; goals are seconds, so their lines show shares of them."""
    runs = small_run(place)
    imports, reports = [], []
    for _ in range(RUNS):
        bare = seconds("-c", "pass")
        imports.append((seconds("-c", "import scalable") - bare) / IMPORT_GOAL_S)
        reports.append(seconds("-m", "scalable", "report", "--last", "--runs-dir", str(runs)) / REPORT_GOAL_S)
    return [
        Line("import scalable, over the interpreter", "50 ms", imports, 1.0),
        Line("scalable report --last, whole command", "0.3 s", reports, 1.0),
    ]
