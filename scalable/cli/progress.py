"""The line that moves while a workflow works: how many tasks are done, running, waiting, failed.

There is one on a terminal only. Whatever goes wrong with it, the run goes on.
"""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager, suppress
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["shown"]

PERIOD_S = 0.25
LAST_LOOK_S = 5.0  # for a look at the tasks that is under way when the work is over


@contextmanager
def shown(
    overview: Callable[[], dict[str, int]], parked: Callable[[], list[dict[str, Any]]] = list
) -> Iterator[None]:
    """Show the progress of a session on stderr during the block, where that is a terminal.

    ``parked`` is asked what fails where some tasks are parked.

    Meanwhile stdout and stderr claim to be no terminals, so that nothing else draws there, and what is
    printed appears above the line.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live

    line = Live(
        console=Console(file=sys.stderr),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    streams = sys.stdout, sys.stderr
    above = [_Above(line.console, stream) if stream.isatty() else stream for stream in streams]
    over = Event()
    watcher = Thread(
        target=_watch, args=(line, overview, parked, over), name="scalable-progress", daemon=True
    )
    line.start()
    line.console.show_cursor()  # rich hides it, and a process that is killed would leave it so
    sys.stdout, sys.stderr = above
    watcher.start()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        over.set()
        watcher.join(LAST_LOOK_S)
        for stream in above:
            stream.flush()
        line.stop()


def _watch(
    line: Any,
    overview: Callable[[], dict[str, int]],
    parked: Callable[[], list[dict[str, Any]]],
    over: Event,
) -> None:
    from rich.text import Text

    from scalable.report.text import progress_line

    while not over.wait(PERIOD_S):
        with suppress(Exception):  # a scheduler or a terminal that is gone is no reason to end a run
            if counts := overview():
                words = progress_line(counts, parked() if counts.get("parked") else ())
                line.update(Text(words, no_wrap=True, overflow="ellipsis"), refresh=True)


class _Above(io.TextIOBase):
    """Prints whole lines above the moving one, and is no terminal to whoever asks."""

    def __init__(self, console: Any, stream: TextIO) -> None:
        self._console = console
        self._stream = stream
        self._begun = ""
        self._lock = RLock()  # a signal may come while it is held, and have something to say

    def __getattr__(self, name: str) -> Any:  # ``buffer`` and the like
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            if lines:
                self._print("\n".join(lines))
        return len(text)

    def flush(self) -> None:
        with self._lock:
            begun, self._begun = self._begun, ""
            if begun:
                self._print(begun)

    def _print(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text.from_ansi(text), soft_wrap=True)
