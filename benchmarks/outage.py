"""300 tasks on two slots, and what they need is away for 20 s: with the breaker, and without.

Calls that fail are counted by files. Both sides may try ten times more, so that neither loses a task.
"""

import threading
import time
from pathlib import Path

from distributed import Client
from line import Line

from scalable import Retry, ScalableSession

TASKS, SLOTS, AWAY_AFTER_S, AWAY_S, RETRIES = 300, 2, 2.0, 20.0, 10
WORK_S, IN_VAIN_S = 0.1, 0.02


def ask(place: str, i: int) -> int:
    """Ask something that is away while there is a file; leave a mark for each call in vain."""
    if Path(place, "away").exists():
        time.sleep(IN_VAIN_S)
        Path(place, f"vain-{i}-{time.time_ns()}").touch()
        msg = "away"
        raise ConnectionError(msg)
    time.sleep(WORK_S)
    return i


def outage(client: Client, place: Path, policy: Retry) -> tuple[int, int, float]:
    """Let everything go through an outage: calls in vain, tasks lost, seconds until the end."""
    place.mkdir()
    flag = place / "away"
    timers = [
        threading.Timer(AWAY_AFTER_S, flag.touch),
        threading.Timer(AWAY_AFTER_S + AWAY_S, flag.unlink),
    ]
    for timer in timers:
        timer.start()
    began = time.perf_counter()
    futures = client.map(ask, [str(place)] * TASKS, range(TASKS), retry=policy, pure=False)
    outcome = client.collect(futures, progress=False)
    makespan = time.perf_counter() - began
    for timer in timers:
        timer.join()
    return len(list(place.glob("vain-*"))), len(outcome.failures), makespan


def measure(place: Path) -> list[Line]:
    """Measure both, once: it takes a minute and a half."""
    manifest = {
        "version": 1,
        "targets": {"local": {"provider": "local", "max_workers": SLOTS}},
        "telemetry": {"runs_dir": str(place / "runs")},
    }
    with ScalableSession.from_mapping(manifest) as client:
        client.gather(client.map(abs, range(8)))
        bare = outage(client, place / "without", Retry(retries=RETRIES, breaker=False))
        ours = outage(client, place / "with", Retry(retries=RETRIES))
    about = f"{AWAY_S:.0f} s outage"
    print(f"{about}: calls in vain {ours[0]} beside {bare[0]}, lost {ours[1]} beside {bare[1]}, "
          f"makespan {ours[2]:.1f} s beside {bare[2]:.1f} s")  # fmt: skip
    return [
        Line(f"{about}, calls in vain", "without breaker", [ours[0] / max(1, bare[0])], 0.10),
        Line(f"{about}, tasks lost, of {TASKS}", "none", [float(ours[1])], 0.0),
        Line(f"{about}, makespan", "without breaker", [ours[2] / bare[2]], 1.0),
    ]
