"""Sessions in which grids run, one of each sort; each journal is held against its promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from live import start

from scalable.testing import check_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live


def checked(factory: pytest.TempPathFactory, **target: object) -> Iterator[Live]:
    """A session whose journal is right in the end."""
    running = start(factory.mktemp("grids"), **target)
    yield running
    running.session.close()
    check_run(running.run_dir)


@pytest.fixture(scope="session")
def two_threads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    yield from checked(tmp_path_factory, processes=False)


@pytest.fixture(scope="session")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    yield from checked(tmp_path_factory)


@pytest.fixture(scope="module")
def mortal_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    yield from checked(tmp_path_factory)
