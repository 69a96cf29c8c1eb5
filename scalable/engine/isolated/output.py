"""What an isolated task printed: the first and the last of it, whatever it prints."""

from __future__ import annotations

import re
from collections import deque

import msgspec

from scalable.core.text import clean
from scalable.engine.travel import ENGINE

__all__ = ["Output", "tail"]

KEPT_BYTES = 64 * 1024
TAIL_BYTES = 2000
LINE_BYTES = 4000  # half a line beside what is left out goes as well: it may hold half a secret
OURS = re.compile(rf'  File ".*({"|".join(ENGINE)})|  File "<string>", line 1 in|Extension modules: ')


class Output:
    """Takes bytes as they come, on one thread; any thread may read the text meanwhile."""

    def __init__(self) -> None:
        self._head = b""
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Keep the data, at the cost of what was printed in the middle."""
        room = KEPT_BYTES // 2 - len(self._head)
        self._head += data[:room]
        if rest := data[room:]:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail and self._tail_bytes - len(self._tail[0]) >= KEPT_BYTES // 2:
            self._tail_bytes -= len(self._tail[0])
            self._dropped += len(self._tail.popleft())

    def text(self) -> str:
        """What is kept, with a line in place of what is not."""
        whole = b"".join(self._tail.copy())
        end = whole[-(KEPT_BYTES // 2) :]
        cut = self._dropped + len(whole) - len(end)
        if cut <= 0:
            return (self._head + end).decode("utf-8", "replace")
        head = self._head[: self._head.rfind(b"\n", -LINE_BYTES) + 1] or self._head[:-LINE_BYTES]
        after = end.find(b"\n", 0, LINE_BYTES)
        tail = end[after + 1 if after >= 0 else LINE_BYTES :]
        cut += len(self._head) - len(head) + len(end) - len(tail)
        return b"".join((head, f"\n… [{cut} bytes left out] …\n".encode(), tail)).decode("utf-8", "replace")


def tail(text: str) -> str | None:
    """Return the last lines, for a record: at most 2 kB as JSON; ``None`` if nothing was printed."""
    lines = clean(_of_the_task(text).rstrip()[-TAIL_BYTES:])
    while len(msgspec.json.encode(lines)) > TAIL_BYTES:
        lines = lines[len(lines) // 10 + 1 :]
    return lines or None


def _of_the_task(text: str) -> str:
    """Leave out what the interpreter says of us, and of its extensions, where a process is ended."""
    return "\n".join(line for line in text[-TAIL_BYTES * 10 :].split("\n") if not OURS.match(line))
