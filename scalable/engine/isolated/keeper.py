"""The keeper: a small process that forks one child for each isolated attempt, watches it and ends it.

A worker starts one when its first isolated task comes (:mod:`scalable.engine.isolated.keeping`). It has one
thread and runs no task's code, so a fork of it is a clean and warm start: everybody's modules, nobody's
globals. The next child is forked ahead and waits for its task.

Nobody else ends a child, so a process id never means another process here: the keeper sees an end without
reaping it, kills what is left of the child's process group, and reaps then. It ends itself, and all children
with it, when the socket to the worker closes, or its parent is another one than before.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from scalable.engine.isolated import child
from scalable.engine.isolated.mortal import adopt_orphans
from scalable.engine.isolated.trial import Trial
from scalable.engine.isolated.ward import Ward
from scalable.engine.isolated.warm import Shelf
from scalable.engine.isolated.wire import Cancel, Request, Run, Status, Warm

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Keeper", "main"]

LOOK_S, IDLE_S = 0.02, 1.0
PAUSE_S = 0.003
"""Before the next child is forked: a short task ends meanwhile, and ends later beside a fork (measured)."""
CANCEL_GRACE_S = 0.3
END_S, POLL_S = 2.0, 0.001
"""How long killed processes may take to be gone: the kernel has to free what they held."""
READ_BYTES, MOST_FDS, FDS_OF_A_RUN = 65536, 64, 3

_requests = msgspec.json.Decoder(Request)


def main(control: int) -> None:
    """Serve a worker, whose socket is the descriptor ``control``, until it is gone."""
    gc.collect()
    gc.freeze()
    keeper = Keeper(socket.socket(fileno=control))
    try:
        keeper.serve()
    except BaseException:  # noqa: BLE001 - a mistake of ours; the worker starts another keeper
        traceback.print_exc()
    finally:
        keeper.end()
        os._exit(0)  # nothing to tidy up, and the worker waits for this end


class Keeper:
    """Children by process id, those of the worker and the one that waits."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._worker = os.getppid()
        self._wards: dict[int, Ward] = {}
        self._spare: child.Spare | None = None
        self._shelf = Shelf()
        self._trial: Trial | None = None
        self._line = b""
        self._fds: list[int] = []
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        self._listen()

    def _listen(self) -> None:
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the worker's business
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def serve(self) -> None:
        """Do what the worker asks, until it is gone."""
        while os.getppid() == self._worker:
            ready = self._wait()
            if self._woken in ready:
                with suppress(BlockingIOError):
                    os.read(self._woken, READ_BYTES)
            if self._control.fileno() in ready and not self._hear():
                return
            self._reap()
            for ward in self._wards.values():
                ward.watch(time.monotonic())
            if not ready:
                self._prepare()
            self._try_modules(ready)

    def end(self) -> None:
        """Kill all children and what they started; returns when these are gone."""
        adopt_orphans()
        groups = list(self._wards)
        for ward in self._wards.values():
            ward.signal(signal.SIGKILL)
        for other in (self._spare, self._trial):
            if other is not None:
                other.end()
        last = time.monotonic() + END_S
        while (groups := [each for each in groups if _has_members(each)]) and time.monotonic() < last:
            time.sleep(POLL_S)

    # --- waiting and hearing ----------------------------------------------------------------------------

    def _wait(self) -> set[int]:
        poll = select.poll()
        trial = [self._trial.told] if self._trial is not None and not self._trial.over else []
        for fd in (self._woken, self._control.fileno(), *trial):
            poll.register(fd, select.POLLIN)
        return {fd for fd, _ in poll.poll(1000 * self._patience())}

    def _patience(self) -> float:
        if self._spare is None or (self._trial is None and self._shelf.waiting):
            return PAUSE_S
        if any(ward.busy for ward in self._wards.values()):
            return LOOK_S
        now = time.monotonic()
        due = [ward.due - now for ward in self._wards.values() if ward.due is not None]
        return max(0.0, min([IDLE_S, *due])) + 0.001

    def _hear(self) -> bool:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, READ_BYTES, MOST_FDS, child.CLOSE_ON_EXEC)
        except OSError:
            return False
        self._fds += fds
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._do(_requests.decode(line))
        return bool(data)

    def _do(self, request: Request) -> None:
        match request:
            case Run():
                fds, self._fds = self._fds[:FDS_OF_A_RUN], self._fds[FDS_OF_A_RUN:]
                if (
                    len(fds) == FDS_OF_A_RUN
                ):  # else there was no descriptor to be had: the worker sees its pipe end
                    self._run(request, *fds)
            case Cancel():
                for ward in self._wards.values():
                    if ward.id == request.id:
                        ward.stop("cancelled", CANCEL_GRACE_S)
            case Warm():
                sys.path[:] = request.path
                self._shelf.want(request.modules)

    # --- children ---------------------------------------------------------------------------------------

    def _run(self, request: Run, call: int, output: int, status: int) -> None:
        ward = Ward(request, status)
        try:
            if self._shelf.forget_changed():
                self._drop_spare()
            ward.pid = self._dispatch(call, output, status)
            self._wards[ward.pid] = ward
            ward.begin()
        except OSError as error:  # no process, no memory for one
            ward.tell(Status(words=str(error)))
        finally:
            os.close(call)
            os.close(output)

    def _dispatch(self, call: int, output: int, status: int) -> int:
        """Give the task's descriptors to the child that waits for them, or to a new one if that is gone."""
        if self._spare is not None:
            with suppress(OSError):
                return self._hand_over(self._spare, call, output)
            self._drop_spare()
        return self._hand_over(self._fork(call, output, status), call, output)

    def _hand_over(self, spare: child.Spare, call: int, output: int) -> int:
        spare.give(call, output)
        self._spare = None
        return spare.pid

    def _fork(self, *fds: int) -> child.Spare:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # numpy's threads, which survive a fork
            self._spare = child.fork([*self._own_fds(), *fds])
        return self._spare

    def _own_fds(self) -> list[int]:
        """What no child may hold: an open end elsewhere would hide an end from those who wait for it."""
        fds = [self._woken, self._waker, self._control.fileno(), *self._fds]
        fds += [ward.status for ward in self._wards.values()]
        fds += [self._trial.told] if self._trial is not None else []
        return fds + ([self._spare.fileno()] if self._spare is not None else [])

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.end()
            self._spare = None

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                ward = self._wards.pop(ended.si_pid, None)
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(ended.si_pid, signal.SIGKILL)  # what the task started and left
                _, status, usage = os.wait4(ended.si_pid, 0)
                if ward is not None:
                    ward.over(status, usage)
                elif self._spare is not None and self._spare.pid == ended.si_pid:
                    self._drop_spare()
                elif self._trial is not None and self._trial.pid == ended.si_pid:
                    self._trial.reaped = True

    # --- preparing --------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        try:
            if self._spare is None:
                self._fork()
            elif self._trial is None and self._shelf.waiting:
                self._trial = Trial(self._shelf.take(), self._own_fds())
        except OSError:
            time.sleep(LOOK_S)  # no process is to be had now

    def _try_modules(self, ready: set[int]) -> None:
        """Import what passed its trial, while no limit of a child comes due meanwhile."""
        trial = self._trial
        if trial is None:
            return
        if trial.told in ready:
            trial.hear()
        trial.watch(time.monotonic())
        if trial.over and all(ward.can_wait(trial.took_s) for ward in self._wards.values()):
            self._shelf.settle(trial.names, trial.good)
            trial.close()
            self._trial = None
            self._listen()
            self._drop_spare()


def _has_members(group: int) -> bool:
    """Whether a process group has members that are not reaped; those that are ours to reap are."""
    with suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Let the wakeup descriptor speak."""
