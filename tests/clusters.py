"""Dask schedulers and workers that are not a session's: started by Dask's own commands, as others do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from live import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

HIDE = """
import sys
from pathlib import Path
sys.path[:] = [each for each in sys.path if not (Path(each) / "scalable" / "__init__.py").exists()]
"""


class Cluster:
    """A scheduler in a process of its own, and workers; leave the ``with`` block and they are gone.

    They can import what the tests can, as machines that share an environment do.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        workers: int = 0,
        nanny: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self._options = options
        self._nanny = ("--nanny", "--memory-limit", "900MB") if nanny else ("--no-nanny",)
        self._started: list[subprocess.Popen[bytes]] = []
        self._file = directory / "scheduler.json"
        self._workers = 0
        self._dask("scheduler", "--port", "0", "--dashboard-address", "127.0.0.1:0", env=env)
        self.address: str = until(self._written)["address"]
        for _ in range(workers):
            self.add_worker()

    def add_worker(self, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        name = f"theirs-{self._workers}"
        self._workers += 1
        return self._dask(
            "worker", "--name", name, "--nthreads", "1", "--no-dashboard", *self._nanny, env=env
        )

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def _dask(self, role: str, *options: str, env: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
        with (self._directory / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", f"distributed.cli.dask_{role}", *options, *self._options),
                    *("--host", "127.0.0.1", "--scheduler-file", str(self._file)),
                ],
                cwd=self._directory,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **(env or {})},
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        return process

    def _written(self) -> Any:
        try:
            return json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in reversed(self._started):
            if self._nanny[0] == "--nanny":
                process.terminate()  # a nanny that is killed leaves its worker to find out
        for process in reversed(self._started):
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S if self._nanny[0] == "--nanny" else 0)
            self.end(process)


def without_scalable(directory: Path) -> dict[str, str]:
    """Return an environment in which Python finds everything but ``scalable``."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    return {"PYTHONPATH": str(directory)}


def certificate(directory: Path, name: str) -> Sequence[str]:
    """Make a self-signed certificate, which is its own authority; returns the paths of both files."""
    files = str(directory / f"{name}.pem"), str(directory / f"{name}-key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={name}", "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files
