"""Runs the examples of README, docs and tutorials as tests, and sees to it that nothing stays behind.

A page is read from the top in a directory of its own, with one namespace:

- ``python`` runs, as if typed at a prompt (``__main__``);
- ``output`` is what the block above it prints;
- ``console`` runs each ``$ command``, which must succeed and print what follows it, where something does;
- ``python`` or ``yaml`` whose first line is a comment with a file name is saved under that name.

Numbers of seconds, workers, ports and runs differ each time and are compared by their form; ``...`` stands
for any text. ``<!--- skip: next "why" -->`` before a block leaves it out. Blocks of other languages are
not run: installing is ``sh``, the contents of a record ``json``.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sybil import Example

FILE_NAME = re.compile(r"# (\S+\.(?:py|ya?ml))\n")
VARYING = (
    (re.compile(r"run-\d{8}T?\d{6}[^\s/\"']*"), "run-ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00| UTC)?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)?(e-\d+)? ?(ms|s)\b"), "N s"),
    (re.compile(r"\bworker-\d+\b"), "worker-N"),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
)
PLACE = "scalable-docs-"
GRACE_S = 10.0  # for processes that were told to end


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test leaves a process or a non-daemon thread behind."""
    children, threads = set(_children()), set(threading.enumerate())
    yield
    psutil.wait_procs([child for child in _children() if child not in children], timeout=GRACE_S)
    left = [command for child, command in _children().items() if child not in children]
    left += [t.name for t in threading.enumerate() if t not in threads and not t.daemon]
    assert not left, f"left behind: {left}"


def _children() -> dict[psutil.Process, str]:
    """Every process below this one, with its command line, but for Python's own resource tracker.

    That one lives as long as its parent does.
    """
    found = {}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            command = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in command:
                found[child] = command
    return found


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("SCALABLE_")]:
        monkeypatch.delenv(name)


class _Python(PythonEvaluator):
    """Run the block, or save it if it names a file; what it prints is kept for the ``output`` below it."""

    def __call__(self, example: Example) -> None:
        if not _saved(example):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                self._run(example)
            example.namespace["_printed"] = printed.getvalue()

    def _run(self, example: Example) -> None:
        try:
            super().__call__(example)
        except Exception:  # noqa: BLE001 - sybil stumbles over tracebacks that came from another process
            failed = f"{example.path}:{example.line}\n{traceback.format_exc()}"
        else:
            return
        pytest.fail(failed, pytrace=False)


def _saved(example: Example) -> bool:
    named = FILE_NAME.match(example.parsed)
    if named is not None:
        Path(named.group(1)).write_text(example.parsed, encoding="utf-8")
    return named is not None


def _save(example: Example) -> None:
    _saved(example)


def _compare(example: Example) -> None:
    _same(example.parsed, example.namespace["_printed"])


def _console(example: Example) -> None:
    bin_dir = Path(sys.executable).parent
    env = os.environ | {"PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
    for part in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(  # noqa: S602 - the command of a page in this repository, for a shell as printed
            command, shell=True, env=env, capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, f"$ {command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        if expected.strip():
            _same(expected, done.stdout)


def _same(expected: str, printed: str) -> None:
    want, got = _plain(expected), _plain(printed)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(want, got, flags), f"expected\n{want}\nbut got\n{printed}"


def _plain(text: str) -> str:
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


def _enter(namespace: dict[str, Any]) -> None:
    namespace["__name__"] = "__main__"  # so that functions travel to workers by value
    namespace["_home"], namespace["_place"] = Path.cwd(), Path(tempfile.mkdtemp(prefix=PLACE))
    os.chdir(namespace["_place"])


def _leave(namespace: dict[str, Any]) -> None:
    place: Path | None = namespace.pop("_place", None)
    if place is None:  # a page is left once, even if its end is told twice
        return
    if (session := namespace.get("session")) is not None:
        session.close()
    os.chdir(namespace["_home"])
    assert place.name.startswith(PLACE), f"not a directory of ours: {place}"
    shutil.rmtree(place)


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser("python", _Python()),
        CodeBlockParser("yaml", _save),
        CodeBlockParser("output", _compare),
        CodeBlockParser("console", _console),
        SkipParser(),
    ],
    patterns=["README.md", "docs/*.md", "tutorials/*.md"],
    fixtures=["nothing_left_behind", "environment"],
    setup=_enter,
    teardown=_leave,
).pytest()
