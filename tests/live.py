"""A session that runs, what it wrote, and tasks that wait for files: for the tests that need real workers.

Workers import it, so nothing of pytest is in here.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from scalable import ScalableSession, current_attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Future

PATIENCE_S = 30.0  # how long a test waits for what must come; none waits for what must not


def until(claim: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """Return the claim's value as soon as it is true."""
    deadline = time.monotonic() + within_s
    while not (value := claim()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return value


def freeze(pid: int) -> None:
    """Stop a process; on a busy machine its threads run on for a while after the signal was sent."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)


class Live:
    """An open session, its client, and the lines of its journal."""

    def __init__(self, session: ScalableSession) -> None:
        self.session = session
        self.client = session.client
        self.run_dir = session.run_dir

    def lines(self, file: str, future: Future | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Lines of a file as they are on disk now: of one future, with certain fields."""
        if future is not None:
            fields["key"] = str(future.key)
        rows = (self.run_dir / f"{file}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]  # no half a line
        lines = [json.loads(row) for row in rows if str(fields.get("key", "")) in row]
        return [line for line in lines if all(line[name] == value for name, value in fields.items())]

    def told(
        self, file: str, future: Future | None = None, *, number: int = 1, **fields: Any
    ) -> list[dict[str, Any]]:
        """The same, as soon as there are that many."""
        return until(lambda: len(found := self.lines(file, future, **fields)) >= number and found)

    def end_of(self, future: Future) -> dict[str, Any]:
        """The only line of ``tasks.jsonl`` about a future."""
        (line,) = self.told("tasks", future)
        return line

    def worker_names(self) -> set[str]:
        """Names of the workers there are; an earlier test of a shared session may have had one replaced."""
        return {each["name"] for each in self.client.scheduler_info(n_workers=-1)["workers"].values()}

    @property
    def supervisor(self) -> Any:
        """The plugin on the scheduler, which runs in this process: to be looked at, not touched."""
        return self.client.cluster.scheduler.plugins["scalable"]

    def box_of(self, nanny: str) -> Any:
        """The nanny's side of its worker's black box, by the nanny's address: to be looked at."""
        (found,) = [each for each in self.client.cluster.workers.values() if each.address == nanny]
        return found.plugins["scalable-warden"].reader

    def let_go(self, future: Future, gate: Path, attempt: int = 1) -> None:
        """Open the gate of an attempt (see :func:`wait_at`), once the scheduler knows that it runs."""

        def runs() -> bool:
            tracked = self.supervisor.tracked.get(future.key)
            return tracked is not None and tracked.running_on is not None and tracked.task.attempt == attempt

        until(runs)
        Path(f"{gate}.{attempt}").touch()

    def settle(self) -> None:
        """Wait until the supervisor follows no task and holds none, as it must when nobody wants anything."""
        for state in list(self.client.futures.values()):
            if (
                state.exception is not None
            ):  # Dask keeps it, with the frame that caught it, and so its futures
                state.exception.__traceback__ = None
        gc.collect()
        until(lambda: not self.supervisor.tracked and not len(self.supervisor.holds))


def manifest(directory: Path, **target: Any) -> dict[str, Any]:
    """A manifest with a bit of everything, which writes below ``directory``."""
    return {
        "version": 1,
        "project": {"name": "tests"},
        "targets": {"local": {"provider": "local", "max_workers": 2, **target}},
        "components": {"analysis": {"cpus": 1}, "single": {"cpus": 2}, "small": {"memory": "400M"}},
        "retry": {
            "default": {"retries": 0, "base": 0.02},
            "flaky": {"retries": 3, "base": 0.02, "jitter": "none"},
        },
        "tasks": {
            "fit": {"component": "analysis", "retry": "flaky"},
            "fetch": {"retries": 2, "timeout": "60s", "idempotent": False},
        },
        "cache": {"dir": str(directory / "cache")},
        "telemetry": {"runs_dir": str(directory / "runs"), "redact": ["Passphrase"]},
    }


def start(directory: Path, **target: Any) -> Live:
    """Start a session on this machine."""
    session = ScalableSession.from_mapping(manifest(directory, **target))
    session.start()
    return Live(session)


def isolated(live: Live, function: Callable[..., Any], *args: Any, **how: Any) -> Future:
    return live.client.submit(function, *args, isolate=True, **how)


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pid_in(mark: Path) -> int:
    """Wait until a process has written its number there."""
    until(mark.exists)
    return int(mark.read_text())


# --- tasks ----------------------------------------------------------------------------------------------


def inc(number: int) -> int:
    return number + 1


def fail(error: BaseException) -> None:
    raise error


def flaky(failures: int, error: BaseException | None = None) -> int:
    """Fail that many times, then return the number of the attempt."""
    attempt = current_attempt()
    if attempt.number <= failures:
        raise error or ConnectionError("not yet")
    return attempt.number


def wait_at(gate: Path) -> int:
    """Wait until the gate of this attempt is open; return the number of the attempt."""
    number = current_attempt().number
    until(Path(f"{gate}.{number}").exists)
    return number


def touch_and_wait(mark: Path, gate: Path) -> int:
    """Say that this attempt began, by a file; return its number when there is another file."""
    number = current_attempt().number
    Path(f"{mark}.{number}").touch()
    until(gate.exists)
    return number


async def touch_and_wait_async(mark: Path, gate: Path) -> int:
    number = current_attempt().number
    Path(f"{mark}.{number}").touch()
    while not gate.exists():
        await asyncio.sleep(0.005)
    return number
