"""400 tasks of 50 ms on two slots, one in five failing once: makespan beside the work divided by the slots.

With scalable, whose waits hold no slot, and once with tenacity sleeping inside the task.
"""

import time
from pathlib import Path

import tenacity
from distributed import Client, LocalCluster
from line import Line

from scalable import Retry, ScalableSession

TASKS, SLOTS, WORK_S, BASE_S, RUNS = 400, 2, 0.05, 1.0, 3


def first_try(place: str, i: int) -> bool:
    """Whether this is the first attempt of task ``i``, remembered in a file."""
    try:
        Path(place, str(i)).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def work(place: str, i: int) -> int:
    """Work, and fail one time in five at the first attempt."""
    time.sleep(WORK_S)
    if i % 5 == 0 and first_try(place, i):
        msg = "away for a moment"
        raise ConnectionError(msg)
    return i


def work_with_tenacity(place: str, i: int) -> int:
    """Do the same, retried by tenacity inside the task."""
    wait = tenacity.wait_exponential_jitter(initial=BASE_S)
    retrying = tenacity.Retrying(stop=tenacity.stop_after_attempt(4), wait=wait, reraise=True)
    return retrying(work, place, i)


def makespan(client: Client, function: object, marks: Path, **keywords: object) -> float:
    """Seconds until all tasks are done, over the work divided by the slots."""
    marks.mkdir()
    began = time.perf_counter()
    futures = client.map(function, [str(marks)] * TASKS, range(TASKS), pure=False, **keywords)
    assert client.gather(futures) == list(range(TASKS))
    attempts = TASKS + TASKS // 5
    return (time.perf_counter() - began) / (attempts * WORK_S / SLOTS)


def measure(place: Path) -> list[Line]:
    """Measure both, in turn."""
    manifest = {
        "version": 1,
        "targets": {"local": {"provider": "local", "max_workers": SLOTS}},
        "telemetry": {"runs_dir": str(place / "runs")},
    }
    ours, theirs = [], []
    cluster = LocalCluster(n_workers=SLOTS, threads_per_worker=1, dashboard_address=":0")
    session = ScalableSession.from_mapping(manifest)
    with cluster, Client(cluster, set_as_default=False) as bare, session as client:
        client.gather(client.map(abs, range(8)))
        bare.gather(bare.map(abs, range(8), pure=False))
        for run in range(RUNS):
            policy = Retry(retries=3, base=BASE_S)
            ours.append(makespan(client, work, place / f"ours-{run}", retry=policy))
        theirs.append(makespan(bare, work_with_tenacity, place / "theirs"))  # once: it takes a minute
    return [
        Line("flaky tasks, makespan", "work ÷ slots", ours, 1.15),
        Line("the same, tenacity in the task", "work ÷ slots", theirs),
    ]
