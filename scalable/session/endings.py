"""How a process ends with a session open: Ctrl-C, SIGTERM, the end of the interpreter. Each closes it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from scalable.core.failure import ExceptionInfo
from scalable.core.policy import dotted_name
from scalable.core.text import MESSAGE_BYTES, clean, clip, text_of
from scalable.journal.records import FailureRecord, utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scalable.journal import rundir
    from scalable.journal.gate import Gate

__all__ = ["Endings", "Terminated", "reason_of", "session_failed", "status_of"]

REASON_BYTES = 500  # of `run.json`: the whole message is in `failures.jsonl`

Phase = Literal["starting", "open", "closing", "over"]


class Terminated(BaseException):
    """The process was asked to end by SIGTERM."""


class Endings:
    """Watches for the end of the process on behalf of one session, from its start until it is closed.

    ``close`` is the session's. A session that is open is kept alive by it, and so is never merely forgotten.
    """

    def __init__(self, close: Callable[[BaseException | None], None]) -> None:
        self._close: Callable[[BaseException | None], None] | None = close
        self._phase: Phase = "starting"
        self._previous: Any = None
        self._terminated = False

    def install(self) -> None:
        """Begin to watch. A SIGTERM that the process ignores stays ignored."""
        # Executors refuse work once their own exit hook ran, which importing them registers; hooks that are
        # registered later run earlier, while all that the session needs still works. `atexit` is too late.
        import_module("concurrent.futures.thread")
        threading._register_atexit(self._at_exit)  # type: ignore[attr-defined]  # noqa: SLF001
        if _in_main_thread() and signal.getsignal(signal.SIGTERM) not in (None, signal.SIG_IGN):
            self._previous = signal.signal(signal.SIGTERM, self._on_sigterm)

    def opened(self) -> None:
        """From here on SIGTERM closes the session; before, it breaks off its start."""
        self._phase = "open"

    @contextmanager
    def closing(self, error: BaseException | None) -> Iterator[None]:
        """Close in peace: SIGTERM waits for the end, and so does Ctrl-C, the first time it is pressed.

        ``error`` is why the session closes.
        """
        self._phase = "closing"
        try:
            with _interrupts_put_off() as interrupts:
                yield
            if interrupts and not isinstance(error, KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        finally:
            self._remove()

    def leave(self) -> None:
        """Put back what SIGTERM did before: this is a fork, and the session its parent's."""
        self._phase = "over"
        signal.signal(signal.SIGTERM, _standing(self._previous))

    def _remove(self) -> None:
        """Stop watching, and let a SIGTERM that came meanwhile take its course."""
        self._phase = "over"
        self._close = None
        if not _in_main_thread():  # our handler stays, and passes on what comes
            if self._terminated:
                os.kill(os.getpid(), signal.SIGTERM)
            return
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:  # another that was put on top of ours stays
            signal.signal(signal.SIGTERM, _standing(self._previous))
        if self._terminated:
            self._pass_on(None)

    def _on_sigterm(self, _number: int, frame: Any) -> None:
        if self._phase == "over":
            self._pass_on(frame)
        elif not self._terminated:
            self._terminated = True
            if self._phase == "starting":
                raise Terminated("SIGTERM")  # noqa: EM101 - the name of the signal
            if self._phase == "open":
                self._end(Terminated("SIGTERM"))

    def _pass_on(self, frame: Any) -> None:
        previous = _standing(self._previous)
        if callable(previous):
            previous(signal.SIGTERM, frame)
        elif previous == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def _at_exit(self) -> None:
        """Close as the interpreter ends; an error that nobody caught is what it ends with."""
        at_a_prompt = hasattr(sys, "ps1")  # where the last error was only shown, and ended nothing
        self._end(None if at_a_prompt else getattr(sys, "last_value", None))

    def _end(self, error: BaseException | None) -> None:
        if self._close is not None:
            self._close(error)


def _in_main_thread() -> bool:
    """Only there signal handlers can be set."""
    return threading.current_thread() is threading.main_thread()


def _standing(handler: Any) -> Any:
    """Skip the handlers of sessions that are closed by now."""
    while isinstance(owner := getattr(handler, "__self__", None), Endings) and owner._phase == "over":  # noqa: SLF001
        handler = owner._previous  # noqa: SLF001
    return handler


class _Forking(threading.local):
    """Gives SIGTERM back in a forked child, which ends as if it had no session.

    It is held back around the fork: Python drops what reaches a child before it is quite there, and
    hears what comes right before a sleep only after that.
    """

    endings: Endings | None = None
    mask: set[Any] | None = None

    def before(self) -> None:
        owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(owner, Endings):
            self.endings, self.mask = owner, signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def in_parent(self) -> None:
        if self.mask is not None:
            mask, self.mask, self.endings = self.mask, None, None
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def in_child(self) -> None:
        if self.endings is not None:
            self.endings.leave()
        self.in_parent()


if hasattr(os, "register_at_fork"):
    _forking = _Forking()
    os.register_at_fork(
        before=_forking.before, after_in_parent=_forking.in_parent, after_in_child=_forking.in_child
    )


@contextmanager
def _interrupts_put_off() -> Iterator[list[int]]:
    """Only collect the first Ctrl-C of the block; a second one is obeyed at once."""
    handler = signal.getsignal(signal.SIGINT)
    heard: list[int] = []
    if not _in_main_thread() or not callable(handler):
        yield heard
        return

    def put_off(number: int, _frame: Any) -> None:
        heard.append(number)
        signal.signal(signal.SIGINT, handler)

    signal.signal(signal.SIGINT, put_off)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, handler)


def status_of(error: BaseException | None) -> rundir.Status:
    """Return the status of a run that this ended."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "completed"
    return "interrupted" if isinstance(error, KeyboardInterrupt | Terminated) else "failed"


def reason_of(error: BaseException, gate: Gate) -> str:
    """Word what ended a run, for its ``run.json``."""
    name, message = type(error).__name__, gate.secrets.bounded(text_of(error))
    return clip(f"{name}: {message}" if message else name, REASON_BYTES)


def session_failed(error: BaseException, now: float, gate: Gate) -> FailureRecord:
    """Return the line of ``failures.jsonl`` about it; ``now`` is seconds since the epoch."""
    message = clip(gate.secrets.bounded(text_of(error)), MESSAGE_BYTES)
    return FailureRecord(
        at=utc(now),
        event="session_failed",
        exception=ExceptionInfo(clean(dotted_name(type(error))), message),
        reason="the session ended with an error",
    )
