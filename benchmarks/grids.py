"""Grids: very many calls that do nothing, beside Dask's own ``map``; and quick calls, beside the ideal."""

import time
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster
from line import Line
from noop import noop

from scalable import ScalableSession

WORKERS = 2
CALLS, TASKS = 20_000, 5_000
QUICK_S, QUICK = 0.005, 1_000
PAIRS = 5


def quick(number: int) -> int:
    """Take five milliseconds."""
    time.sleep(QUICK_S)
    return number


def per_call_of_grid(client: Any) -> float:
    """Seconds for one of many calls that do nothing."""
    began = time.perf_counter()
    assert client.grid(noop, "i[n] -> same[n]", i=range(CALLS)).result().count() == CALLS
    return (time.perf_counter() - began) / CALLS


def per_task_of_map(client: Any) -> float:
    """The same for tasks of a bare client; a quarter as many, as each takes as long as any other."""
    began = time.perf_counter()
    assert len(client.gather(client.map(noop, range(TASKS), pure=False))) == TASKS
    return (time.perf_counter() - began) / TASKS


def over_ideal(client: Any) -> float:
    """How much longer quick calls take than their own time, shared by the workers, as measured in between."""
    began = time.perf_counter()
    assert client.grid(quick, "number[i] -> same[i]", number=range(QUICK)).result().count() == QUICK
    took = time.perf_counter() - began
    began = time.perf_counter()
    for number in range(QUICK // WORKERS):
        quick(number)
    return took / (time.perf_counter() - began)


def measure(place: Path) -> list[Line]:
    """Measure both, in a session and a bare cluster that live side by side."""
    local = {"provider": "local", "max_workers": WORKERS, "threads_per_worker": 1}
    manifest = {"version": 1, "targets": {"local": local}, "telemetry": {"runs_dir": str(place / "runs")}}
    bare = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None)
    with bare, Client(bare) as dask, ScalableSession.from_mapping(manifest) as client:
        per_call_of_grid(client)
        per_task_of_map(dask)
        calls = [per_call_of_grid(client) / per_task_of_map(dask) for _ in range(PAIRS)]
        ideal = [over_ideal(client) for _ in range(PAIRS)]
    return [
        Line(f"a call of a grid of {CALLS}", "a task of bare map", calls, 0.05),
        Line(f"a grid of {QUICK} calls of 5 ms", "their own time", ideal, 1.1),
    ]
