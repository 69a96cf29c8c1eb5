"""What happens in an isolated process: it waits for a task, runs it, sends an answer, and is gone.

The keeper forks it ahead (:func:`fork`), so it is warm. Here the exception object lives: it is judged and
described here, as :mod:`scalable.engine.worker.attempt` does for tasks that run on the worker.
"""

from __future__ import annotations

import asyncio
import faulthandler
import inspect
import logging
import os
import pickle
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dask._task_spec import Task

from scalable import context
from scalable.core.policy import Retry
from scalable.engine import heard, travel
from scalable.engine.isolated import memory, warm
from scalable.engine.isolated.mortal import die_with_parent
from scalable.engine.isolated.wire import Answer, Incoming, Job, Outgoing, dump, load
from scalable.engine.messages import Spec
from scalable.engine.reporting import Scene, Subject, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scalable.engine.reporting import Report

__all__ = ["CLOSE_ON_EXEC", "Spare", "fork", "fork_for"]

FAILED_CODE: Final = 1
STDIO: Final = (0, 1, 2)
CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Spare:
    """A child that waits for a task, as its keeper sees it."""

    def __init__(self, pid: int, talk: socket.socket) -> None:
        self.pid = pid
        self._talk = talk

    def give(self, call: int, output: int) -> None:
        """Hand over a task; raises ``OSError`` if the child is gone."""
        socket.send_fds(self._talk, [b"!"], [call, output])
        self._talk.close()

    def fileno(self) -> int:
        """The descriptor that leads to it."""
        return self._talk.fileno()

    def end(self) -> None:
        """Let it go: it ends by itself."""
        self._talk.close()


def fork(foreign: Iterable[int]) -> Spare:
    """Fork a child that waits for a task; ``foreign`` are descriptors that it must not keep."""
    ours, theirs = socket.socketpair()
    try:
        pid = fork_for(lambda: _wait_and_run(theirs), [*foreign, ours.fileno()])
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return Spare(pid, ours)


def fork_for(task: Callable[[], None], foreign: Iterable[int]) -> int:
    """Fork a child that only does ``task``; returns its process id."""
    keeper = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _part(keeper, foreign)
        task()
    except BaseException:  # noqa: BLE001 - this is the end of the process, whatever it was
        traceback.print_exc()
    finally:
        os._exit(FAILED_CODE)


def _part(keeper: int, foreign: Iterable[int]) -> None:
    """Become a process of one's own, in a session of its own, which dies with the keeper."""
    os.setsid()
    die_with_parent()
    if os.getppid() != keeper:
        os._exit(FAILED_CODE)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for fd in foreign:
        os.close(fd)


def _wait_and_run(talk: socket.socket) -> None:
    _open_outputs()
    _rehearse()
    word, fds, _, _ = socket.recv_fds(talk, 1, 2, CLOSE_ON_EXEC)
    talk.close()
    if not word:
        return  # the keeper wants no more of us
    call, output = fds
    for standard in STDIO[1:]:
        os.dup2(output, standard)
    os.close(output)
    faulthandler.register(signal.SIGTERM, chain=True)  # a task that is stopped prints where it was
    with socket.socket(fileno=call) as connection:
        code = _serve(connection)
    os._exit(code)


def _open_outputs() -> None:
    """Print by lines, so that they can be read while the task runs; a crash prints where it happened."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = open(number, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115 - for good
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    faulthandler.enable()
    logging.getLogger("distributed.protocol.pickle").setLevel(logging.CRITICAL)  # the task's report says it


def _serve(connection: socket.socket) -> int:
    incoming = Incoming()
    while not incoming.pull(connection):
        pass
    modules = len(sys.modules)
    job: Job = pickle.loads(incoming.frames[0])  # noqa: S301 - the worker made it
    sys.path[:] = job.path
    surroundings = context.Context(Spec.loads(job.spec).settings, job.attempt)
    context.current.set(surroundings)
    failed, values, cpu_s = _outcome(job, incoming.frames, surroundings)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # what a task may have done to them is not its outcome
            stream.flush()
    answer = Answer(
        report=failed,
        notes=surroundings.notes,
        modules=warm.imported_since(modules),
        peak_rss_bytes=memory.own_peak(),
        cpu_s=cpu_s,
    )
    outgoing = Outgoing([pickle.dumps(answer), *values])
    while not outgoing.push(connection):
        pass
    return 0 if failed is None else FAILED_CODE


def _rehearse() -> None:
    """Do once, while nobody waits, what a task needs: a fork pays for a page when it first writes there."""
    _reseed()
    attempt = context.Attempt(number=1, max_attempts=1, key="")
    scene = Scene(key="", number=1, worker="", address="", clock_offset_s=0.0)
    job = Job(spec=Spec(run_id="", retry=Retry()).dumps(), attempt=attempt, scene=scene, path=tuple(sys.path))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        outgoing = Outgoing([pickle.dumps(job), *dump((Task("", abs, 0), {}))])
        while not outgoing.push(ours):
            pass
        _serve(theirs)


def _reseed() -> None:
    """Let each process draw numbers of its own; Python's own generator sees to it by itself."""
    random: Any = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()


def _outcome(
    job: Job, frames: list[bytearray], surroundings: context.Context
) -> tuple[Report | None, list[Any], float]:
    """Run the task; either its report or the frames of its result, and the seconds of CPU that it took."""
    subject = Subject(job.scene, Spec.loads(job.spec), None, None)
    began, clock, cpu = time.time(), time.perf_counter(), memory.own_cpu()
    try:
        heard.listen()
        run_spec, values = load(frames)
        frames.clear()  # what is in a pickle is there twice
        subject = Subject(job.scene, subject.spec, run_spec, values)
        began, clock, cpu = time.time(), time.perf_counter(), memory.own_cpu()
        packed = _packed(_value(run_spec, values))
        return None, packed, memory.own_cpu() - cpu
    except BaseException as error:  # noqa: BLE001 - whatever a task raises is an outcome to report
        duration_s, cpu_s = time.perf_counter() - clock, memory.own_cpu() - cpu
        return report(error, subject, began, duration_s, surroundings.warnings), [], cpu_s


def _value(run_spec: Any, values: Any) -> Any:
    result = run_spec(values)
    if run_spec.is_coro and inspect.isawaitable(result):
        return asyncio.run(_awaited(result))
    return result


async def _awaited(result: Any) -> Any:
    return await result


def _packed(result: Any) -> list[Any]:
    try:
        return list(dump(result))
    except BaseException as error:
        msg = (
            "the result of an isolated task travels from one process to another, and this "
            f"{type(result).__qualname__} cannot be pickled: {travel.text_of(error)}"
        )
        raise TypeError(msg) from error
