"""What a process of its own costs a task: ms for each of many small ones, over the same in the worker."""

import time
from pathlib import Path

from line import Line

from scalable import ScalableClient, ScalableSession

TASKS, PAIRS, WARM_UP = 50, 9, 20
GOAL_MS = 3.0


def small(i: int) -> int:
    """Do next to nothing."""
    return i + 1


def in_a_row(client: ScalableClient, *, isolate: bool) -> float:
    """Milliseconds for each task, one after the other, each waited for."""
    began = time.perf_counter()
    for i in range(TASKS):
        client.submit(small, i, isolate=isolate).result()
    return 1000 * (time.perf_counter() - began) / TASKS


def at_once(client: ScalableClient, *, isolate: bool) -> float:
    """Milliseconds for each task, all submitted in one call."""
    began = time.perf_counter()
    client.gather(client.map(small, range(TASKS), isolate=isolate))
    return 1000 * (time.perf_counter() - began) / TASKS


def measure(place: Path) -> list[Line]:
    """Measure both ways on one worker, each side first every other time."""
    local = {"provider": "local", "max_workers": 1}
    manifest = {"version": 1, "targets": {"local": local}, "telemetry": {"runs_dir": str(place / "runs")}}
    lines = []
    with ScalableSession.from_mapping(manifest) as client:
        client.gather(client.map(small, range(WARM_UP), isolate=True))
        for name, run in (("one by one", in_a_row), ("all at once", at_once)):
            over = []
            for pair in range(PAIRS):
                first = bool(pair % 2)
                ms = {side: run(client, isolate=side) for side in (first, not first)}
                over.append(ms[True] - ms[False])
            lines.append(Line(f"warm isolation, {name}, ms a task", "in the worker", over, GOAL_MS))
    return lines
