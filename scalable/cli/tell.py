"""How the command line talks: results on stdout, an error as one sentence on stderr, and an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from scalable.core.text import text_of
from scalable.report.harmless import one_line

__all__ = [
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "PERMANENT_FAILURES",
    "USAGE",
    "CommandError",
    "complain",
    "described",
    "finish",
    "say",
    "stop_writing",
    "write_out",
]

DONE = 0
FAILED = 1
"""The workflow raised, or what was asked for could not be done."""
USAGE = 2
"""Wrong usage, or a manifest that is invalid or does not fit."""
PERMANENT_FAILURES = 3
"""The run finished, but some of its tasks failed for good."""
INTERRUPTED = 130
"""Ctrl-C: 128 and the number of the signal, as shells have it."""

LONGEST = 1000  # characters of a sentence: more is for the report


class CommandError(Exception):
    """What was asked for cannot be done; ``code`` is what the process exits with."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def say(*lines: str) -> None:
    """Write lines to stdout; what its encoding cannot hold is written as an escape.

    Where nobody reads any more, the command goes on quietly, and its exit code stays its own.
    """
    write_out("".join(f"{line}\n" for line in lines))


def write_out(text: str) -> None:
    """Write text to stdout as it is, with escapes and quietly as :func:`say` does."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except BrokenPipeError:
        stop_writing()


def finish() -> None:
    """Write what is still held back; afterwards nothing can go wrong any more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        stop_writing()


def stop_writing() -> None:
    """Let what is still to be written go nowhere, so that the interpreter ends without a complaint."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str) -> None:
    """Write an error to stderr; nothing where nobody reads it any more."""
    try:
        sys.stderr.write(f"scalable: error: {message}\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # closed: the exit code still tells
        return


def described(error: BaseException) -> str:
    """Name an exception and its message, also one whose message cannot be told: ``ValueError: no``."""
    message = one_line(text_of(error), LONGEST)
    name = type(error).__name__
    return f"{name}: {message}" if message else name
