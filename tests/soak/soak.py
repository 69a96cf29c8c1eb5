"""`make soak`: thousands of tasks on a session whose processes are killed and stopped at random; an audit.

The seed decides what is submitted and what the adversary chooses; what that meets is chance. Ends with 1, and
a list of what must not be, if there is any.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from adversary import Adversary
from audit import Audit
from recipes import Book, Recipe
from rich.console import Console
from rich.table import Table

from scalable import FaultPlan, ScalableSession
from scalable.journal.check import check

WIDTH, LOOK_S, TELL_EVERY_S = 48, 0.01, 30.0
PATIENCE_S = 120.0  # until a task must have ended when nobody does harm any more
FETCH_S = 2.0  # how long a result may be on its way, before others have their turn
GRACE_S = 10.0  # for processes that were told to end
WORKER_MEMORY_MB = 400
FAULTS = ("worker-killed", "manager-killed", "delay", "cache-corrupt")  # beside what the adversary does
MARK = "SCALABLE_SOAK_RUN"
TRIAL = re.compile(r"[a-z0-9_]{8}")  # a name that Python gives to a file that it only tries with
console = Console(width=110, highlight=False)


class Soak:
    """One run: submits, collects, ends."""

    def __init__(self, seed: int, place: Path) -> None:
        luck = random.Random(seed)
        self.workers = luck.choice((2, 3))
        self._threads = luck.choice((1, 1, 2))
        self.place = place
        self.recipes: list[Recipe] = []
        self._pending: dict[Recipe, Any] = {}
        self._to_cancel: list[tuple[float, Recipe]] = []
        self._book = Book(random.Random(luck.random()), str(place))
        self._luck_of_harm = random.Random(luck.random())
        self._faults = FaultPlan(
            kind="random", kinds=FAULTS, probability=0.02, seed=seed, delay=0.5, allow_destructive=True
        )
        self.session = ScalableSession.from_mapping(self._manifest())
        self.hung: list[str] = []

    def _manifest(self) -> dict[str, Any]:
        memory = f"{WORKER_MEMORY_MB * self.workers}MB"
        return {
            "version": 1,
            "project": {"name": "soak"},
            "targets": {
                "local": {
                    "provider": "local",
                    "max_workers": self.workers,
                    "threads_per_worker": self._threads,
                    "memory": memory,
                }
            },
            "components": {"small": {"memory": "250MB"}},
            "cache": {"dir": str(self.place / "cache")},
            "telemetry": {"runs_dir": str(self.place / "runs")},
        }

    def run(self, seconds: float) -> Adversary:
        """Keep it busy under fire for so long, and let everything come to its end."""
        with self.session as client:
            adversary = Adversary(client.cluster, self._luck_of_harm)
            adversary.start()
            try:
                with client.inject(self._faults):
                    self._work(client, time.monotonic() + seconds)
            finally:
                adversary.end()
            self._drain(client)
            self._settle(client)
        return adversary

    def _work(self, client: Any, until: float) -> None:
        tell = time.monotonic() + TELL_EVERY_S
        while time.monotonic() < until:
            while len(self._pending) < WIDTH:
                self._submit(client)
            self._collect(client)
            if time.monotonic() > tell:
                tell += TELL_EVERY_S
                console.print(f"{until - time.monotonic():5.0f} s to go, {len(self.recipes)} tasks submitted")

    def _drain(self, client: Any) -> None:
        until = time.monotonic() + PATIENCE_S
        while self._pending and time.monotonic() < until:
            self._collect(client)
        supervisor = client.cluster.scheduler.plugins["scalable"]
        for recipe, future in self._pending.items():
            state, tracked = (
                client.cluster.scheduler.tasks.get(recipe.key),
                supervisor.tracked.get(recipe.key),
            )
            seen = (state and state.state, tracked and tracked.task, recipe.key in supervisor.holds)
            self.hung.append(f"{recipe.key}: {future.status} after {PATIENCE_S:.0f} s of peace: {seen}")

    def _settle(self, client: Any) -> None:
        """When nobody wants anything any more, the supervisor must have forgotten all of it."""
        self._pending.clear()
        for state in list(client.futures.values()):
            if (
                state.exception is not None
            ):  # Dask keeps it, with the frame that caught it, and so its futures
                state.exception.__traceback__ = None
        gc.collect()
        supervisor, until = client.cluster.scheduler.plugins["scalable"], time.monotonic() + PATIENCE_S
        while (supervisor.tracked or len(supervisor.holds)) and time.monotonic() < until:
            time.sleep(LOOK_S)
        self.hung += [f"{key}: followed, though nobody wants it" for key in supervisor.tracked]
        self.hung += ["there are holds, though nobody wants anything"] * bool(len(supervisor.holds))

    def _submit(self, client: Any) -> None:
        futures: dict[Recipe, Any] = {}
        for recipe in self._book.family():
            inputs = [futures[each] for each in recipe.inputs]
            futures[recipe] = client.submit(recipe.call, *recipe.args, *inputs, **recipe.keywords())
            self.recipes.append(recipe)
            if recipe.cancel_after_s is not None:
                self._to_cancel.append((time.monotonic() + recipe.cancel_after_s, recipe))
        self._pending.update(futures)

    def _collect(self, client: Any) -> None:
        for due, recipe in [each for each in self._to_cancel if each[0] < time.monotonic()]:
            self._to_cancel.remove((due, recipe))
            if recipe in self._pending:
                client.cancel([self._pending[recipe]])
        done = [recipe for recipe, future in self._pending.items() if future.done()]
        for recipe in done:
            outcome = _outcome(self._pending[recipe])
            if type(outcome) is TimeoutError:
                continue  # its result was lost a moment ago, and is computed again
            del self._pending[recipe]
            recipe.outcome, recipe.ended = outcome, True
        if not done:
            time.sleep(LOOK_S)


def _outcome(future: Any) -> Any:
    try:
        return future.result(FETCH_S)
    except BaseException as error:  # whatever it is, it is what the caller gets
        if isinstance(error, KeyboardInterrupt):
            raise
        error.__traceback__ = None  # its frames would keep the future
        return error


# --- what is left ------------------------------------------------------------------------------------------


class Leaks:
    """What there was before, to be compared with what there is after."""

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary
        self._threads = set(threading.enumerate())
        self._ports = self._listening()
        self._descriptors = psutil.Process().num_fds()

    def found(self) -> list[str]:
        """Processes, threads, ports and files that are left."""
        left = psutil.wait_procs(_marked(), timeout=GRACE_S)[1]
        found = [f"process {each.pid} is left: {_words(each)}" for each in left]
        threads = [each for each in threading.enumerate() if each not in self._threads and not each.daemon]
        found += [f"thread {each.name} is left" for each in threads]
        found += [f"port {port} is still listened to" for port in self._listening() - self._ports]
        found += [f"left in the temporary directory: {each.name}" for each in self._files()]
        return found

    @property
    def descriptors(self) -> int:
        """How many more are open than before."""
        return psutil.Process().num_fds() - self._descriptors

    def _listening(self) -> set[int]:
        return {each.laddr.port for each in psutil.Process().net_connections() if each.status == "LISTEN"}

    def _files(self) -> list[Path]:
        """What is left, but for the locks of killed workers: Dask itself tidies them up at its next start.

        And but for the file by which Python tries a temporary directory, where it was killed just then.
        """
        found = [each for each in self._temporary.rglob("*") if each.is_file()]
        tried = [each for each in found if TRIAL.fullmatch(each.name) and each.read_bytes() in (b"", b"blat")]
        return [each for each in found if each.suffix not in (".lock", ".dirlock") and each not in tried]


def _marked() -> list[psutil.Process]:
    """Every process that was started below this run, wherever it has gone."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get(MARK) == os.environ[MARK] and process.pid != os.getpid()
            if ours and "resource_tracker" not in " ".join(process.cmdline()):
                found.append(process)
    return found


def _words(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.status()}, {' '.join(process.cmdline())[:200]}"
    return "gone"


# --- the verdict -------------------------------------------------------------------------------------------


def report(soak: Soak, adversary: Adversary, audit: Audit, seconds: float) -> None:
    """Print one table."""
    table = Table("what", "number", title="Soak")
    table.add_row("tasks", str(len(soak.recipes)))
    kinds = {recipe.kind for recipe in soak.recipes}
    table.add_row("kinds of tasks", str(len(kinds)))
    for deed, times in sorted(adversary.deeds.items()):
        table.add_row(deed, str(times))
    for name, number in sorted(audit.figures.items()):
        table.add_row(name, str(number))
    table.add_row("seconds", f"{seconds:.0f}")
    table.add_row("violations", str(len(audit.violations)))
    console.print(table)


def main() -> int:
    """Soak, audit, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    seed = random.randrange(1_000_000) if asked.seed is None else asked.seed
    console.print(f"soak: SEED={seed}, {asked.seconds:g} s, load {os.getloadavg()[0]:.1f}")
    place = Path(tempfile.mkdtemp(prefix="scalable-soak-"))
    faulthandler.dump_traceback_later(asked.seconds + 2 * PATIENCE_S, exit=True)  # it hangs: say where
    os.environ[MARK] = place.name
    os.environ["TMPDIR"] = tempfile.tempdir = str(place / "tmp")
    (place / "tmp").mkdir()
    violations = soak_and_audit(seed, asked.seconds, place)
    for number, each in enumerate(violations, 1):
        console.print(f"{number}. {each}", markup=False)
    if violations:
        console.print(f"repeat with SEED={seed}; what it wrote is in {place}")
        return 1
    shutil.rmtree(place)
    return 0


def soak_and_audit(seed: int, seconds: float, place: Path) -> list[str]:
    """One run, its audit and its table; returns what must not be."""
    leaks, soak, began = Leaks(place / "tmp"), Soak(seed, place), time.monotonic()
    adversary = soak.run(seconds)
    seconds = time.monotonic() - began
    audit = Audit(soak.recipes, soak.session.run_dir, place)
    audit.violations += check(soak.session.run_dir).violations
    audit.run()
    audit.violations += soak.hung + leaks.found()
    audit.figures["descriptors more than before"] = leaks.descriptors
    report(soak, adversary, audit, seconds)
    return audit.violations


if __name__ == "__main__":
    sys.exit(main())
