"""No-op tasks on two worker processes: scalable beside bare ``distributed``, wall and client CPU."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from distributed import Client, LocalCluster
from line import Line

from scalable import ScalableSession

TASKS, PAIRS = 1000, 9
T = TypeVar("T")


def noop(i: int) -> int:
    """Do nothing."""
    return i


@contextlib.contextmanager
def both(place: Path) -> Iterator[tuple[Client, Client]]:
    """Start a bare client and a scalable one, two worker processes each."""
    local = {"provider": "local", "max_workers": 2}
    manifest = {"version": 1, "targets": {"local": local}, "telemetry": {"runs_dir": str(place / "runs")}}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    session = ScalableSession.from_mapping(manifest)
    with cluster, Client(cluster, set_as_default=False) as bare, session as client:
        yield bare, client


def submit(client: Client) -> tuple[float, float]:
    """Seconds for all, and seconds of this thread's CPU to submit them."""
    began, cpu = time.perf_counter(), time.thread_time()
    futures = [client.submit(noop, i, pure=False) for i in range(TASKS)]
    cpu = time.thread_time() - cpu
    client.gather(futures)
    return time.perf_counter() - began, cpu


def mapped(client: Client) -> tuple[float, float]:
    """Seconds for all, by one call of ``map``."""
    began = time.perf_counter()
    client.gather(client.map(noop, range(TASKS), pure=False))
    return time.perf_counter() - began, 1.0


def interleaved(
    run: Callable[[T], tuple[float, float]], bare: T, client: T, pairs: int = PAIRS
) -> list[tuple[float, ...]]:
    """Ratios of pairs of runs, each side first every other time, after a warm-up."""
    run(bare), run(client)
    ratios = []
    for pair in range(pairs):
        first, second = (bare, client) if pair % 2 else (client, bare)
        times = {id(first): run(first), id(second): run(second)}
        both_times = zip(times[id(client)], times[id(bare)], strict=True)
        ratios.append(tuple(ours / theirs for ours, theirs in both_times))
    return ratios


def measure(place: Path) -> list[Line]:
    """Measure ``submit`` and ``map``."""
    with both(place) as (bare, client):
        submits, maps = interleaved(submit, bare, client), interleaved(mapped, bare, client)
    return [
        Line("no-op submit, wall a task", "distributed submit", [wall for wall, _ in submits], 1.05),
        Line("no-op submit, client CPU", "distributed submit", [cpu for _, cpu in submits], 1.3),
        Line("no-op map, wall a task", "distributed map", [wall for wall, _ in maps], 1.05),
    ]
