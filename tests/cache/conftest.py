from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: None) -> Path:
    """Each test has a cache of its own."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("SCALABLE_CACHE_DIR", str(directory))
    return directory


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start Python programs that share one module, ``shared``, with a hash seed of their own."""

    def run(shared: str, program: str, seed: int = 0) -> subprocess.Popen[str]:
        module = tmp_path / "shared.py"
        if not module.exists():  # a program that has started may be reading it
            module.write_text(shared, encoding="utf-8")
        assert module.read_text(encoding="utf-8") == shared
        path = os.pathsep.join([str(tmp_path), *sys.path])
        env = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": path}
        return subprocess.Popen(
            [sys.executable, "-c", program], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    return run
