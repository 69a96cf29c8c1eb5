"""Tasks that kill their workers, among innocent ones: scalable beside bare Dask with `retries=3`.

Counted on each side: innocent tasks that were blamed for a death, innocent tasks that failed, guilty ones
that were named, workers that died until the end, and seconds.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from distributed import Client, LocalCluster, wait
from line import Line
from rich.console import Console
from rich.table import Table

from scalable import Retry, ScalableSession

WORKERS, INNOCENT, GUILTY, WORK_S, PATIENCE_S = 2, 60, 4, 0.05, 60.0
MASSACRES, PAUSE_S = 10, 0.5


class Count(NamedTuple):
    """What happened."""

    blamed: int
    lost: int
    named: int
    deaths: int
    seconds: float


def innocent(i: int) -> int:
    """Work a little."""
    time.sleep(WORK_S)
    return i


def exits(_: int) -> None:
    """End the process of the worker."""
    os._exit(7)


def crashes(_: int) -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


def is_killed(_: int) -> None:
    """Do as the kernel does where memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


CASES: dict[str, Callable[[int], None] | None] = {
    "os._exit(7)": exits,
    "segmentation fault": crashes,
    "SIGKILL": is_killed,
    f"all workers killed, {MASSACRES} times": None,
}


def massacre(client: Any) -> None:
    """Kill every worker there is, again and again."""
    for _ in range(MASSACRES):
        for nanny in list(client.cluster.workers.values()):
            if nanny.pid is not None:
                os.kill(nanny.pid, signal.SIGKILL)
        time.sleep(PAUSE_S)  # as long as it takes some to come back


def run(client: Any, guilty: Callable[[int], None] | None, **policy: Any) -> Count:
    """Mix the guilty among the innocent, and count what became of them."""
    began, before = time.perf_counter(), _deaths(client)
    good = client.map(innocent, range(INNOCENT), pure=False, **policy)
    bad = client.map(guilty, range(GUILTY), pure=False, priority=1, **policy) if guilty else []
    if guilty is None:
        massacre(client)
    try:
        with client.as_current():
            wait(good + bad, timeout=PATIENCE_S)
    except TimeoutError:
        print(f"not over after {PATIENCE_S:.0f} s: {sum(not each.done() for each in good + bad)} of them")
    tasks = client.cluster.scheduler.tasks
    blamed = {each.key for each in good if each.key in tasks and tasks[each.key].suspicious}
    lost = sum(each.status != "finished" for each in good)
    named = sum(each.status == "error" for each in bad)
    return Count(len(blamed), lost, named, _deaths(client) - before, time.perf_counter() - began)


def _deaths(client: Any) -> int:
    events = client.cluster.scheduler.get_events("all")
    return sum(each.get("action") == "remove-worker" and not each.get("expected") for _, each in events)


def ours(place: Path, guilty: Callable[[int], None] | None) -> Count:
    """Run a case with scalable, whose journal says who was blamed."""
    local = {"provider": "local", "max_workers": WORKERS}
    runs = {"runs_dir": str(place / "runs")}
    session = ScalableSession.from_mapping({"version": 1, "targets": {"local": local}, "telemetry": runs})
    with session as client:
        count = run(client, guilty, retry=Retry(retries=3, base=0.05))
        path = session.run_dir / "failures.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    blamed = {line.partition('"key":"')[2].partition('"')[0] for line in lines if '"key":"innocent' in line}
    return count._replace(blamed=len(blamed))


def bare(guilty: Callable[[int], None] | None) -> Count:
    """Run it with Dask alone."""
    cluster = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
    with cluster, Client(cluster, set_as_default=False) as client:
        return run(client, guilty, retries=3)


def measure(place: Path) -> list[Line]:
    """Measure each case once on each side, and print the counts."""
    table = Table(title=f"{INNOCENT} innocent tasks, {GUILTY} guilty, {WORKERS} workers: scalable | Dask")
    for heading in ("case", "innocents blamed", "innocents lost", "guilty named", "deaths", "seconds"):
        table.add_column(heading)
    lines = []
    for name, guilty in CASES.items():
        here, there = ours(place, guilty), bare(guilty)
        pairs = zip(here, there, strict=True)
        table.add_row(name, *(f"{mine:.3g} | {theirs:.3g}" for mine, theirs in pairs))
        lines.append(Line(f"innocents lost, {name}", "none", [float(here.lost)], 0.0))
    Console(width=130).print(table)
    return lines
