"""Programs with a session in them, run as a user runs them: started, watched, ended, searched for rests.

Every process of a program carries a mark in its environment, and so is found whoever its parent is by then.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import psutil
from live import PATIENCE_S, until

from scalable.journal.rundir import RunInfo, effective_status, read_info

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from pathlib import Path

MARK = "FAMILY_OF_A_TEST"

PRELUDE = """
import os, signal, sys, threading, time, warnings
from pathlib import Path
from scalable import Retry, ScalableSession


def run_until_closed():
    from distributed import get_worker
    while get_worker().status.name == "running": time.sleep(0.02)


def never_end(): time.sleep(600)
def hang_up(): raise ConnectionError("hung up")
def inc(number): return number + 1


def say(*words):
    print(*words, flush=True)


def stay():
    '''Be there for signals: Python would handle one that comes just before a long sleep after it.'''
    while True: time.sleep(0.02)


def keep_busy(session, runs=run_until_closed):
    '''One task waits to be retried, one runs, two are queued: on one slot.'''
    client = session.client
    wait = Retry(retries=1, base=300, max_delay=300, jitter="none")
    futures = [client.submit(hang_up, retry=wait)]
    while session.overview()["waiting"] < 1: time.sleep(0.02)
    futures += [client.submit(runs) for _ in range(3)]
    while (now := session.overview())["running"] < 1 or now["pending"] < 2: time.sleep(0.02)
    return futures


def main():
{main}

if __name__ == "__main__":
    main()
"""


class Program:
    """A running program; ``main`` is the body of its main function, ``name`` that of its file."""

    def __init__(
        self,
        directory: Path,
        main: str,
        *,
        env: Mapping[str, str] | None = None,
        text: str = PRELUDE,
        name: str | None = None,
    ) -> None:
        self.mark = uuid.uuid4().hex
        indented = "\n".join("    " + line for line in main.strip("\n").splitlines())
        script = directory / (name or f"program_{self.mark[:8]}.py")
        script.write_text(text.replace("{main}", indented), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            cwd=directory,
            env={**os.environ, MARK: self.mark, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a process group of its own, as a shell gives to every command
        )
        self.code: int | None = None
        self.out = self.err = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self) -> str:
        """Wait for the next line that it prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.finish().err
        return line.rstrip("\n")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def signal_group(self, number: signal.Signals) -> None:
        """Do what a terminal does when a key such as Ctrl-C is pressed."""
        os.killpg(self.pid, number)

    def finish(self) -> Program:
        """Wait for its end; nothing of it may remain."""
        try:
            self.out, self.err = self._process.communicate(timeout=PATIENCE_S * 2)
        except BaseException:
            for each in self.family():
                each.kill()
            self.out, self.err = self._process.communicate()
            sys.stderr.write(self.out + self.err)
            raise
        self.code = self._process.returncode
        until(lambda: not self.family())
        return self

    def family(self) -> list[psutil.Process]:
        """Every process that came of it."""
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if each.environ().get(MARK) == self.mark and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
        return found


def run(directory: Path, main: str, **how: Any) -> Program:
    """Run a program to its end."""
    return Program(directory, main, **how).finish()


def only_run(directory: Path) -> Path:
    (found,) = (directory / ".scalable" / "runs").iterdir()
    return found


def info(directory: Path) -> RunInfo:
    """What ``run.json`` says of the only run of a directory."""
    return read_info(only_run(directory))


def status(directory: Path) -> str:
    return effective_status(info(directory))


def lines(directory: Path, file: str) -> list[dict[str, Any]]:
    text = (only_run(directory) / f"{file}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
