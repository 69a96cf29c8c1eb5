"""Every test of the report runs in an empty directory of its own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCALABLE_RUNS_DIR", raising=False)
    return tmp_path
