"""Kills and stops workers, keepers and isolated children at random moments, until it is told to end."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    import random

PAUSE_S = 1.2  # between two deeds, on average
SHORT_S, LONG_S = 3.0, 26.0  # of a stop; after 20 s a worker that is stopped is replaced
KEEPER = "scalable.engine.isolated.keeper"


class Adversary:
    """Its choices are those of the seed; what they meet is chance."""

    def __init__(self, cluster: Any, luck: random.Random) -> None:
        self.deeds: Counter[str] = Counter()
        self._cluster = cluster
        self._luck = luck
        self._over = threading.Event()
        self._stopped: list[tuple[float, psutil.Process]] = []
        self._thread = threading.Thread(target=self._run, name="adversary", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        """Do harm until the end; then let everything go on that was stopped."""
        due = time.monotonic()
        while not self._over.wait(0.05):
            self._let_go_on(time.monotonic())
            if time.monotonic() > due and self._cluster.scheduler.workers:  # else they would never begin
                due = time.monotonic() + self._luck.expovariate(1 / PAUSE_S)
                self._harm()
        self._let_go_on(time.monotonic() + LONG_S)

    def end(self) -> None:
        """Stop it, and wait until it stopped."""
        self._over.set()
        self._thread.join()

    def _harm(self) -> None:
        deeds = {
            "worker killed": 10, "worker stopped": 8, "worker stopped for long": 1, "all workers killed": 1,
            "worker retired": 2,
            "keeper killed": 6, "keeper stopped": 5, "child killed": 12, "child stopped": 6,
        }  # fmt: skip
        (deed,) = self._luck.choices(list(deeds), list(deeds.values()))
        whom, _, what = deed.partition(" ")
        found = self._found(whom)
        victims = found if whom == "all" else [self._luck.choice(found)] if found else []
        if deed == "worker retired":
            self._retire(victims)
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                if "killed" in what:
                    victim.send_signal(signal.SIGKILL)
                elif "stopped" in what:
                    self._stop(victim, LONG_S if "long" in what else self._luck.uniform(0.2, SHORT_S))
                self.deeds[deed] += 1

    def _retire(self, victims: list[psutil.Process]) -> None:
        """Have workers leave in good order; nobody waits for it, as one that is stopped may not answer."""
        pids = [victim.pid for victim in victims]
        going = [each for each in list(self._cluster.workers.values()) if getattr(each, "pid", None) in pids]
        addresses = [each.worker_address for each in going if each.worker_address]
        self._cluster.loop.add_callback(self._cluster.scheduler.retire_workers, addresses)

    def _found(self, whom: str) -> list[psutil.Process]:
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            workers = [psutil.Process(pid) for pid in self._pids()]
            if whom in ("worker", "all"):
                return workers
            keepers = [each for worker in workers for each in worker.children() if _is_keeper(each)]
            found = keepers if whom == "keeper" else [each for one in keepers for each in one.children()]
        return found

    def _pids(self) -> list[int]:
        pids = [getattr(each, "pid", None) for each in list(self._cluster.workers.values())]
        return [pid for pid in pids if pid is not None]

    def _stop(self, victim: psutil.Process, seconds: float) -> None:
        victim.send_signal(signal.SIGSTOP)
        self._stopped.append((time.monotonic() + seconds, victim))

    def _let_go_on(self, now: float) -> None:
        for entry in [each for each in self._stopped if each[0] < now]:
            self._stopped.remove(entry)
            with contextlib.suppress(psutil.NoSuchProcess):
                entry[1].send_signal(signal.SIGCONT)


def _is_keeper(process: psutil.Process) -> bool:
    return KEEPER in " ".join(process.cmdline())
