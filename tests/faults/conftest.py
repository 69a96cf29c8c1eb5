"""Sessions into which faults are injected; in the end each of them has a journal that is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from live import start

from scalable.testing import check_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from live import Live


def checked(directory: Path, *, processes: bool) -> Iterator[Live]:
    running = start(directory, processes=processes)
    yield running
    running.session.close()
    check_run(running.run_dir)


@pytest.fixture(params=[True, False], ids=["processes", "threads"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    """Workers that are processes, then threads."""
    yield from checked(tmp_path, processes=request.param)


@pytest.fixture
def threads(tmp_path: Path) -> Iterator[Live]:
    yield from checked(tmp_path, processes=False)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Live]:
    yield from checked(tmp_path, processes=True)
