"""What a worker, its keeper and the isolated processes say to each other.

Worker to keeper: one JSON line a request, on a Unix socket; a :class:`Run` brings two file descriptors for
the process and one for the keeper's answer, a :class:`Status`. Worker to process and back: frames, each with
its length in front, so that large buffers (arrays) pass without being copied into a pickle.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from distributed.protocol import pickle as dask_pickle

from scalable.context import Attempt
from scalable.engine.reporting import Scene

if TYPE_CHECKING:
    import pickle
    import socket
    from collections.abc import Iterator, Sequence

__all__ = [
    "Answer",
    "Cancel",
    "Incoming",
    "Job",
    "Outgoing",
    "Request",
    "Run",
    "Status",
    "Warm",
    "dump",
    "load",
]

FRAMES, LENGTH = struct.Struct("<I"), struct.Struct("<Q")
Why = Literal["timeout", "oom", "cancelled"]


class Run(msgspec.Struct, frozen=True, tag=True):
    """Start a process: its limits in seconds and bytes. Comes with the descriptors call, output, status."""

    id: int
    timeout_s: float | None = None
    memory_bytes: int | None = None


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """End a process, whatever it does."""

    id: int


class Warm(msgspec.Struct, frozen=True, tag=True):
    """Modules that a task imported, in that order, and the path on which it found them."""

    modules: tuple[str, ...]
    path: tuple[str, ...]


Request = Run | Cancel | Warm


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended; ``why`` if the keeper ended it, ``words`` if it could not even be started."""

    pid: int | None = None
    exit_code: int | None = None
    signal: str | None = None
    peak_rss_bytes: int | None = None
    cpu_s: float | None = None
    why: Why | None = None
    words: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What an isolated process is told before it gets the task itself."""

    spec: bytes
    attempt: Attempt
    scene: Scene
    path: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it says at the end: a report of a failure, or nothing and the result follows."""

    report: dict[str, Any] | None
    notes: list[dict[str, Any]]
    modules: tuple[str, ...]
    peak_rss_bytes: int | None = None
    cpu_s: float | None = None


Frame = bytes | bytearray | memoryview


def dump(value: Any) -> list[Frame]:
    """Frames of a user's value: its pickle, then its large buffers as they are."""
    buffers: list[pickle.PickleBuffer] = []
    pickled: bytes = dask_pickle.dumps(value, buffer_callback=buffers.append)
    return [pickled, *(buffer.raw() for buffer in buffers)]


def load(frames: Sequence[Frame]) -> Any:
    """Load a user's value; the first frame is one of ours."""
    return dask_pickle.loads(frames[1], buffers=frames[2:])


class Outgoing:
    """Frames on their way out."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        lengths = b"".join(LENGTH.pack(memoryview(frame).nbytes) for frame in frames)
        head = FRAMES.pack(len(frames)) + lengths
        self._left = [memoryview(frame) for frame in (head, *frames) if memoryview(frame).nbytes]

    def push(self, connection: socket.socket) -> bool:
        """Send some; true when all is sent."""
        sent = connection.send(self._left[0])
        if sent < self._left[0].nbytes:
            self._left[0] = self._left[0][sent:]
        else:
            del self._left[0]
        return not self._left


class Incoming:
    """Frames on their way in; ``frames`` are complete when :meth:`pull` said so."""

    def __init__(self) -> None:
        self.frames: list[bytearray] = []
        self._parts = self._to_fill()
        self._part: bytearray | None = next(self._parts)
        self._filled = 0

    @property
    def complete(self) -> bool:
        """Whether all is there."""
        return self._part is None

    def pull(self, connection: socket.socket) -> bool:
        """Receive some; true when all is there. Raises ``EOFError`` if the other side ends first."""
        assert self._part is not None, "nothing follows the last frame"  # noqa: S101 - an invariant
        received = connection.recv_into(memoryview(self._part)[self._filled :])
        if not received:
            raise EOFError
        self._filled += received
        if self._filled == len(self._part):
            self._part, self._filled = next(self._parts, None), 0
        return self.complete

    def _to_fill(self) -> Iterator[bytearray]:
        yield (head := bytearray(FRAMES.size))
        yield (lengths := bytearray(LENGTH.size * FRAMES.unpack(head)[0]))
        for (length,) in LENGTH.iter_unpack(lengths):
            self.frames.append(bytearray(length))
            if length:
                yield self.frames[-1]
