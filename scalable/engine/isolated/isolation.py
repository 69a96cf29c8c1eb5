"""An attempt in a process of its own, seen from the worker's thread that waits for it.

It sends the task, and takes in its answer, what it prints, and the keeper's word of its end, all at once.
"""

from __future__ import annotations

import os
import pickle
import selectors
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.engine.isolated.output import Output
from scalable.engine.isolated.wire import Answer, Incoming, Outgoing, Status, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalable.engine.isolated.keeping import Keeping

__all__ = ["Ended", "Isolated"]

READ_BYTES = 65536
LOOK_S = 1.0
MOST_ROUNDS = 1000  # of reading what the kernel still keeps of a process that is gone

_status = msgspec.json.Decoder(Status)


class Ended(msgspec.Struct, frozen=True):
    """How it ended: its answer and the frames of its result if it came to one, and how its process ended.

    No status means that the keeper died, and the process with it.
    """

    answer: Answer | None
    frames: Sequence[Any]
    status: Status | None

    @property
    def was_stopped(self) -> bool:
        """Whether its keeper told it to end, and it had no result by then: what it raised is its answer."""
        failed = self.answer is not None and self.answer.report is not None
        return failed and self.status is not None and self.status.why is not None

    @property
    def cpu_s(self) -> float | None:
        """Seconds of CPU by its own account; of one that gave none, by the system's, from its start."""
        if self.answer is not None:
            return self.answer.cpu_s
        return self.status.cpu_s if self.status is not None else None

    @property
    def result(self) -> Any:
        """The value that the task returned."""
        return load(self.frames)


class Isolated:
    """One process for one attempt; :meth:`cancel` and ``output`` are for other threads."""

    def __init__(self, keeping: Keeping) -> None:
        self.output: Output | None = Output()
        self.cancelled = False
        self._keeping = keeping
        self._number: int | None = None
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """End the process, or see to it that none is started; returns at once, as event loops call it.

        The keeper may be starting, ending or held up for seconds, and whoever talks to it waits meanwhile.
        """
        self.cancelled = True
        threading.Thread(target=self._end, name="scalable-cancel", daemon=True).start()

    def _end(self) -> None:
        with self._lock:
            if self._number is not None:
                self._keeping.cancel(self._number)

    def run(self, frames: list[Any], *, timeout_s: float | None, memory_bytes: int | None) -> Ended:
        """Run the task of these frames to its end, whatever that is."""
        with ExitStack() as stack:
            ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
            pipes = [os.pipe(), os.pipe()]
            ends = _Ends(stack, [fd for pipe in pipes for fd in pipe])
            (output, put), (status, tell) = pipes
            with self._lock:
                if self.cancelled:
                    return Ended(None, (), Status(why="cancelled"))
                self._number = self._keeping.run(
                    (theirs.fileno(), put, tell), timeout_s=timeout_s, memory_bytes=memory_bytes
                )
            theirs.close()
            ends.close(put, tell)
            kept = self.output = Output()
            return _Conversation(ours, output, status, frames, kept).to_the_end(self._alive)

    def _alive(self) -> bool:
        return self._keeping.pid is not None


class _Ends:
    """Descriptors that are closed at the end, or before."""

    def __init__(self, stack: ExitStack, fds: list[int]) -> None:
        self._open = set(fds)
        stack.callback(self._close_all)

    def close(self, *fds: int) -> None:
        for fd in fds:
            self._open.discard(fd)
            os.close(fd)

    def _close_all(self) -> None:
        self.close(*self._open)


class _Conversation:
    """Everything that passes between the worker, the process and the keeper."""

    def __init__(
        self, call: socket.socket, output: int, status: int, frames: list[Any], kept: Output
    ) -> None:
        self._call = call
        self._output = output
        self._kept = kept
        self._outgoing = Outgoing(frames)
        frames.clear()  # they are let go as they are sent
        self._incoming = Incoming()
        self._status_fd = status
        self._said = b""
        self._answer: Answer | None = None
        self._over = False
        self._selector = selectors.DefaultSelector()
        call.settimeout(0)
        for fd in (output, status):
            os.set_blocking(fd, False)

    def to_the_end(self, alive: Callable[[], bool]) -> Ended:
        """Go on until there is a result, or the keeper says that it is over, or is gone itself."""
        with self._selector as selector:
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            selector.register(self._call, both, self._exchange)
            selector.register(self._output, selectors.EVENT_READ, self._read_output)
            selector.register(self._status_fd, selectors.EVENT_READ, self._read_status)
            while not self._over:
                events = selector.select(LOOK_S)
                for key, mask in events:
                    key.data(mask)
                self._over = self._over or not (events or alive())
            self._rest()
        return self._ended()

    def _exchange(self, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE and self._outgoing.push(self._call):
                self._selector.modify(self._call, selectors.EVENT_READ, self._exchange)
            if mask & selectors.EVENT_READ and self._incoming.pull(self._call):
                self._selector.unregister(self._call)
                self._succeeded()
        except BlockingIOError:
            return
        except (OSError, EOFError):  # it ended before it read, or answered, all
            self._selector.unregister(self._call)

    def _succeeded(self) -> None:
        """Wait no longer for its end if it is a result: the keeper ends what is left by itself."""
        answer: Answer = pickle.loads(self._incoming.frames[0])  # noqa: S301 - our own child made it
        self._answer = answer
        if answer.report is None:
            self._over = True

    def _read_output(self, _mask: int) -> None:
        data = os.read(self._output, READ_BYTES)
        self._kept.add(data)
        if not data:
            self._selector.unregister(self._output)

    def _read_status(self, _mask: int) -> None:
        data = os.read(self._status_fd, READ_BYTES)
        self._said += data
        self._over = not data

    def _rest(self) -> None:
        """Take in what the process had said before its end; what it left running may go on printing."""
        self._selector.unregister(self._status_fd)
        for _ in range(MOST_ROUNDS):
            if not (events := self._selector.get_map() and self._selector.select(0)):
                return
            for key, mask in events:
                key.data(mask)

    def _ended(self) -> Ended:
        status = _status.decode(self._said) if self._said else None
        if self._answer is None:
            return Ended(None, (), status)
        if status is None and self._answer.report is None:
            status = Status(exit_code=0, peak_rss_bytes=self._answer.peak_rss_bytes)
        return Ended(self._answer, self._incoming.frames, status)
