"""The command line as a test calls it: in this process, with what it printed; or as a program of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from scalable.cli.app import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MANIFEST = """\
version: 1
project: {name: demo}
targets:
  local: {provider: local, max_workers: 1, processes: false}
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cli(workdir: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Call the command line in this process, in an empty directory."""

    def call(*arguments: str) -> Done:
        code = main(arguments)
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def workflow(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Write a workflow and a manifest with one worker in this process; modules that it loads go again."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def write(text: str, name: str = "flow.py", manifest: str | None = MANIFEST) -> Path:
        path = workdir / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if manifest is not None:
            (path.parent / "scalable.yaml").write_text(manifest, encoding="utf-8")
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(workdir)):
            del sys.modules[name]


def program(directory: Path, *arguments: str, **how: object) -> subprocess.CompletedProcess[str]:
    """Run the command line as a program of its own, with pipes."""
    command = [sys.executable, "-m", "scalable", *arguments]
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, cwd=directory, capture_output=True, text=True, check=False, timeout=60, **how
    )


@pytest.fixture
def run_program(workdir: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda *arguments, **how: program(workdir, *arguments, **how)
