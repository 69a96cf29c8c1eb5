"""The moving line, on a terminal that only remembers."""

from __future__ import annotations

import io
import sys
from threading import Event

import pytest

from scalable.cli import progress

COUNTS = {"succeeded": 2, "running": 1}


class Terminal(io.StringIO):
    encoding = "utf-8"
    buffer = "raw bytes"

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 99


class Tasks:
    """Says how far they are, and that somebody asked."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.asked = Event()

    def __call__(self) -> dict[str, int]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if len(self._answers) == 1:
            self.asked.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def on_terminal(monkeypatch):
    """Make the standard streams a terminal, from when it is called: pytest sets them before each test."""
    monkeypatch.setattr(progress, "PERIOD_S", 0.001)
    monkeypatch.setenv("TERM", "xterm")

    def begin():
        found = Terminal()
        monkeypatch.setattr(sys, "stdout", found)
        monkeypatch.setattr(sys, "stderr", found)
        return found

    return begin


def test_the_line_says_how_far_the_tasks_are(on_terminal):
    terminal = on_terminal()
    tasks = Tasks({}, COUNTS, COUNTS)
    with progress.shown(tasks):
        assert tasks.asked.wait(30)
    assert "2 of 3 tasks ended, 1 running" in terminal.getvalue()


def test_a_look_that_fails_is_no_reason_to_stop(on_terminal):
    terminal = on_terminal()
    tasks = Tasks(RuntimeError("gone"), OSError("closed"), COUNTS, COUNTS)
    with progress.shown(tasks):
        assert tasks.asked.wait(30)
    assert "2 of 3 tasks ended" in terminal.getvalue()


def test_meanwhile_there_is_no_terminal_for_anybody_else(on_terminal):
    terminal = on_terminal()
    with progress.shown(Tasks({})):
        for stream in (sys.stdout, sys.stderr):
            assert stream is not terminal
            assert not stream.isatty()
            assert stream.writable()
            assert stream.encoding == "utf-8"
            assert stream.fileno() == 99
            assert stream.buffer == "raw bytes"
    assert sys.stdout is sys.stderr is terminal


def test_what_is_printed_appears_whole(on_terminal):
    terminal = on_terminal()
    long = "x" * 500
    with progress.shown(Tasks({})):
        sys.stdout.write("one")
        assert "one" not in terminal.getvalue()
        sys.stdout.write(" and two\n\nthree [bold]\n")
        sys.stderr.write(f"{long}\n")
        sys.stdout.write("asked? ")
        sys.stdout.flush()
        sys.stdout.write("rest")
    written = terminal.getvalue()
    for text in ("one and two\n", "\nthree [bold]\n", f"{long}\n", "asked? \n", "rest\n"):
        assert text in written


def test_the_cursor_stays_visible(on_terminal):
    terminal = on_terminal()
    with progress.shown(Tasks({})):
        written = terminal.getvalue()
        assert written.rfind("\x1b[?25l") < written.rfind("\x1b[?25h")


def test_streams_come_back_after_an_error(on_terminal):
    terminal = on_terminal()
    with pytest.raises(KeyError), progress.shown(Tasks({})):
        raise KeyError
    assert sys.stdout is sys.stderr is terminal


def test_a_stream_that_is_no_terminal_is_left_alone(on_terminal, monkeypatch):
    terminal = on_terminal()
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    with progress.shown(Tasks({})):
        assert sys.stdout is file
        assert sys.stderr is not terminal


def test_without_a_terminal_nothing_is_asked_or_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    tasks = Tasks(COUNTS)
    with progress.shown(tasks):
        pass
    assert not tasks.asked.is_set()
    assert sys.stderr.getvalue() == ""
