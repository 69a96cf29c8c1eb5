"""Faults as they strike: in the place of a task's code, wherever that runs, on a worker or isolated."""

from __future__ import annotations

import asyncio
import builtins
import errno
import importlib
import mmap
import os
import signal
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from scalable import context
from scalable.errors import PlanError, TaskTimeout, UpstreamFailed
from scalable.faults.kinds import HARMLESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scalable.faults.decide import Fault

__all__ = ["Struck", "check_errors", "exception"]

CHUNK_BYTES = 2**24
MOST_BYTES = 2**34
"""So much an attempt takes at most, where it has no limit that ends it before."""
MOST_FILES = 64


class Struck:
    """Stands for a task's ``run_spec`` at one attempt, which a fault strikes; all else is the task's own."""

    def __init__(
        self, run_spec: Any, fault: Fault, limit_s: float | None, *, isolated: bool, worker: int | None = None
    ) -> None:
        self.struck: bool | None = None
        self.run_spec = run_spec
        self.fault = fault
        self.limit_s = limit_s
        self.isolated = isolated
        self.worker = os.getpid() if worker is None else worker  # Dask may have moved the task meanwhile

    def __getattr__(self, name: str) -> Any:
        """Dask, and who describes the call, ask for the function and its arguments."""
        return getattr(self.run_spec, name)

    def __reduce__(self) -> Any:
        """Travel into the process of an isolated attempt."""
        return _struck, (self.run_spec, self.fault, self.limit_s, self.isolated, self.worker)

    @property
    def injected(self) -> bool:
        """Whether a failure of the attempt is this fault's; of one elsewhere that told nothing it is."""
        return self.struck if self.struck is not None else self.isolated and self.fault.kind not in HARMLESS

    def __call__(self, values: Mapping[Any, Any] = ()) -> Any:  # type: ignore[assignment]
        """Strike, and run what is left of the task."""
        self.struck = False
        if self.run_spec.is_coro:
            return self._awaited(values)
        if self._is_after():
            self.run_spec(values)
        time.sleep(self._strike())
        self._strike_after_wait()
        return self.run_spec(values)

    async def _awaited(self, values: Mapping[Any, Any]) -> Any:
        self.struck = False
        if self._is_after():
            await self.run_spec(values)
        await asyncio.sleep(self._strike())
        self._strike_after_wait()
        return await self.run_spec(values)

    def _is_after(self) -> bool:
        """Whether the function runs first; one that still has an answer to give must not run twice."""
        return self.fault.when == "after" and self.fault.kind not in HARMLESS

    def _strike(self) -> float:
        """Do what is done at once; return for how many seconds to wait."""
        kind = self.fault.kind
        self.struck = kind not in HARMLESS
        match kind:
            case "raise":
                raise exception(self.fault.error or "OSError")
            case "dependency":
                msg = f"injected: an input of {self.run_spec.key} failed"
                raise UpstreamFailed(msg)
            case "memory":
                _run_out_of_memory(really=self.fault.allocate and self.isolated)
            case "ulimit":
                _run_out_of_files(limited=self.isolated)
            case "cache-corrupt":
                context.current.get().damages_cache = True
            case "worker-killed" | "node-killed":
                self._kill()
        return self._wait_s()

    def _kill(self) -> None:
        for pid in (*(each for each in self.fault.pids if each != self.worker), self.worker):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _wait_s(self) -> float:
        if self.fault.kind == "delay":
            return self.fault.delay
        over_at_once = self.fault.kind == "timeout" and self.limit_s is None
        none = over_at_once or self.fault.kind == "cache-corrupt"
        return 0.0 if none else self.fault.max_hang  # one whose worker is killed dies with it

    def _strike_after_wait(self) -> None:
        if self.fault.kind not in HARMLESS:
            msg = f"injected: the attempt did not end by itself for {self._wait_s():g} s"
            raise TaskTimeout(msg)


def _struck(run_spec: Any, fault: Fault, limit_s: float | None, isolated: bool, worker: int) -> Struck:  # noqa: FBT001 - pickle's
    return Struck(run_spec, fault, limit_s, isolated=isolated, worker=worker)


def exception(name: str) -> BaseException:
    """Make an exception of a dotted name. Raises ``ValueError`` or ``TypeError`` where there is none."""
    module, _, last = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else builtins, last)
    except (ImportError, AttributeError) as error:
        msg = f"there is no exception {name!r} here: {error}"
        raise ValueError(msg) from error
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        msg = f"{name!r} is no exception"
        raise TypeError(msg)
    words = f"injected {last}"
    try:
        return found(errno.EIO, words) if found is OSError else found(words)
    except TypeError:  # it takes other arguments than words
        return found.__new__(found, words)


def check_errors(names: Iterable[str]) -> None:
    """Refuse, by ``PlanError``, names that are no exceptions here."""
    for name in names:
        try:
            exception(name)
        except (TypeError, ValueError) as error:
            msg = f"the fault plan is wrong: errors: {error}"
            raise PlanError(msg) from error


def _run_out_of_memory(*, really: bool) -> None:
    taken: list[mmap.mmap] = []
    while really and len(taken) * CHUNK_BYTES < MOST_BYTES:
        block = mmap.mmap(-1, CHUNK_BYTES)
        for page in range(0, CHUNK_BYTES, mmap.PAGESIZE):
            block[page] = 1
        taken.append(block)
    msg = "injected: out of memory"
    raise MemoryError(msg)


def _run_out_of_files(*, limited: bool) -> None:
    """Open files up to a limit that is low for this, in a process of its own; else only say so."""
    opened: list[int] = []
    with _few_files() if limited else nullcontext():
        try:
            while limited:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        finally:
            for each in opened:
                os.close(each)
    raise OSError(errno.EMFILE, f"injected: {os.strerror(errno.EMFILE)}")


@contextmanager
def _few_files() -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(MOST_FILES, before[0]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
