"""A worker's hand on its keeper: started when first needed, replaced when it died, ended with the worker."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from scalable.engine.isolated.wire import Cancel, Run, Warm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalable.engine.isolated.wire import Request

__all__ = ["Keeping", "missing_here"]

END_S = 5.0
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from scalable.engine.isolated.keeper import main; main(int(sys.argv[1]))"
)
"""Not ``-m``: modules are found where the worker finds them, and the children's ``__main__`` is empty."""


def missing_here() -> str | None:
    """What isolation needs and this system does not have."""
    needed = {"os.fork": os, "os.waitid": os, "os.setsid": os, "socket.send_fds": socket}
    absent = [name for name, module in needed.items() if not hasattr(module, name.partition(".")[2])]
    return ", ".join(absent) or None


class Keeping:
    """Threads of the worker use it together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    def run(self, fds: Sequence[int], *, timeout_s: float | None, memory_bytes: int | None) -> int:
        """Let a process start that has these descriptors: call, output and status. Returns its number."""
        number = next(self._ids)
        self._ask(Run(number, timeout_s, memory_bytes), fds)
        return number

    def cancel(self, number: int) -> None:
        """End a process."""
        with suppress(OSError):  # the keeper is gone, and the process with it
            self._ask(Cancel(number), start=False)

    def warm(self, modules: Sequence[str]) -> None:
        """Tell what a task had to import, so that the next ones need not."""
        if modules:
            with suppress(OSError):
                self._ask(Warm(tuple(modules), tuple(sys.path)), start=False)

    @property
    def pid(self) -> int | None:
        """The keeper's process id, while there is one."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def close(self) -> None:
        """End the keeper and all its children; returns when it is gone, and starts no other."""
        with self._lock:
            self._closed = True
            self._end()

    def _ask(self, request: Request, fds: Sequence[int] = (), *, start: bool = True) -> None:
        line = msgspec.json.encode(request) + b"\n"
        with self._lock:
            try:
                self._send(line, fds, start=start)
            except BrokenPipeError:
                if not start:
                    raise
                self._end()
                self._send(line, fds, start=True)

    def _send(self, line: bytes, fds: Sequence[int], *, start: bool) -> None:
        if self._process is None or self._process.poll() is not None:
            if not start or self._closed:
                raise BrokenPipeError
            self._end()
            self._start()
        assert self._control is not None, "it was just started"  # noqa: S101 - an invariant
        if fds:
            socket.send_fds(self._control, [line], list(fds))
        else:
            self._control.sendall(line)

    def _start(self) -> None:
        if (missing := missing_here()) is not None:
            msg = f"isolated tasks need {missing}, which this system does not have"
            raise NotImplementedError(msg)
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very Python
                [
                    *(sys.executable, *subprocess._args_from_interpreter_flags()),  # type: ignore[attr-defined] # noqa: SLF001 - as multiprocessing does
                    *("-c", PROGRAM, str(theirs.fileno()), json.dumps(sys.path)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
