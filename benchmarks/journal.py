"""What the journal costs a run of 10,000 tasks that do nothing, and what a scheduler keeps of finished tasks.

The first is the processor time that making and writing of records takes, beside the wall time of the run: the
worst case, as tasks that do something take longer. The second has tasks of which one in ten fails, in waves
whose futures are let go, on a scheduler of its own process: how many bytes that grew by for each task, from
the wave on after which it has all it needs. SCALABLE_BENCH_TASKS makes it shorter.
"""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil
from line import Line

from scalable import Retry, ScalableSession
from scalable.engine.scheduler.sessions import Session
from scalable.session.link import Link

TASKS = int(os.environ.get("SCALABLE_BENCH_TASKS", "10000"))
RUNS = 5
GOAL = 0.02
WAVES, SETTLED = 10, 3
GOAL_BYTES = 200.0
MARKER = re.compile(r"Scheduler at:\s+(\S+)")


def nothing(number: int) -> int:
    """Cost nothing."""
    return number


def one_in_ten(number: int) -> int:
    """Fail for good, one time in ten."""
    if number % 10 == 0:
        message = f"no such site: {number}"
        raise ValueError(message)
    return number


class Clock:
    """Adds up the processor time of the calls of some methods, which do not call each other."""

    def __init__(self, *methods: tuple[type, str]) -> None:
        self._methods = [(owner, name, getattr(owner, name)) for owner, name in methods]
        self.spent_s = 0.0

    def __enter__(self) -> Self:
        for owner, name, method in self._methods:
            setattr(owner, name, self._timed(method))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, method in self._methods:
            setattr(owner, name, method)

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                self.spent_s += time.thread_time() - began

        return timed


def share(place: Path) -> Line:
    """Run tasks, and add up what the journal takes: to make records, to send and to write them."""
    mapping = {
        "version": 1,
        "targets": {"local": {"provider": "local", "max_workers": 2}},
        "telemetry": {"runs_dir": str(place / "runs")},
    }
    session, ratios = ScalableSession.from_mapping(mapping, "local"), []
    with session as client:
        client.gather(client.map(nothing, range(1000)))
        for _ in range(RUNS):
            with Clock((Session, "tell"), (Session, "flush"), (Link, "_written")) as clock:
                began = time.perf_counter()
                client.gather(client.map(nothing, range(TASKS)))
                ratios.append(clock.spent_s / (time.perf_counter() - began))
    return Line(f"journal of {TASKS:,} tasks that do nothing", "wall time of the run", ratios, GOAL)


def kept(place: Path) -> Line:
    """Run waves of tasks whose futures are let go; returns the growth of the scheduler, in bytes a task."""
    program = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen(  # noqa: S603 - our own
        [*program, "--dashboard-address", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    )
    workers: list[subprocess.Popen[str]] = []
    try:
        assert scheduler.stderr is not None
        address = next(found.group(1) for line in scheduler.stderr if (found := MARKER.search(line)))
        worker = [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            address,
            "--nthreads",
            "1",
            "--no-dashboard",
        ]
        workers = [subprocess.Popen(worker, stderr=subprocess.DEVNULL) for _ in (1, 2)]  # noqa: S603 - likewise
        return Line(
            f"bytes a scheduler keeps of each of {WAVES * TASKS:,} finished tasks, 10 % failed",
            "100 bytes",
            [each / 100 for each in _waves(address, psutil.Process(scheduler.pid), place)],
            GOAL_BYTES / 100,
        )
    finally:
        for process in (*workers, scheduler):
            process.terminate()
        for process in (*workers, scheduler):
            process.wait(30)
        if scheduler.stderr is not None:
            scheduler.stderr.close()


def _waves(address: str, scheduler: psutil.Process, place: Path) -> list[float]:
    mapping = {
        "version": 1,
        "targets": {"there": {"provider": "dask", "address": address}},
        "telemetry": {"runs_dir": str(place / "kept")},
    }
    sizes = []
    with ScalableSession.from_mapping(mapping, "there") as client:
        client.wait_for_workers(2, timeout=60)
        for wave in range(WAVES):
            futures = client.map(one_in_ten, range(wave * TASKS, (wave + 1) * TASKS), retry=Retry(retries=0))
            client.gather(futures, errors="return")
            del futures
            while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
                time.sleep(0.05)
            sizes.append(scheduler.memory_info().rss)
    grown = [
        (after - before) / TASKS for before, after in zip(sizes[SETTLED:], sizes[SETTLED + 1 :], strict=False)
    ]
    return [statistics.fmean(grown)]


def measure(place: Path) -> list[Line]:
    """Both."""
    return [share(place), kept(place)]
