"""What every test may ask for. Leaks and the environment are watched by the ``conftest.py`` above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from scalable import context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from live import Live

settings.register_profile("scalable", deadline=None)  # a busy machine is no failure
settings.load_profile("scalable")


@pytest.fixture(autouse=True)
def no_session_around(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sessions that are shared by tests stay open; none of them is the one that other tests run under."""
    monkeypatch.setattr(context, "process", context.Process())
    token = context.current.set(context.Context(context.Settings()))
    yield
    context.current.reset(token)


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory; the default ``.scalable`` of a session lands in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- sessions that run, one of each sort for the whole test run -------------------------------------------


def _session(factory: pytest.TempPathFactory, **target: object) -> Iterator[Live]:
    from live import start

    running = start(factory.mktemp("session"), **target)
    yield running
    running.session.close()


@pytest.fixture(scope="session")
def two_threads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    yield from _session(tmp_path_factory, processes=False)


@pytest.fixture(scope="session")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    yield from _session(tmp_path_factory)


@pytest.fixture(scope="session")
def single_thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    yield from _session(tmp_path_factory, processes=False, max_workers=1)


@pytest.fixture
def threads(two_threads: Live) -> Iterator[Live]:
    """Two workers that are threads of this process; in the end nothing is left on their scheduler."""
    yield two_threads
    two_threads.settle()


@pytest.fixture
def processes(two_processes: Live) -> Iterator[Live]:
    """Two workers that are processes; in the end nothing is left on their scheduler."""
    yield two_processes
    two_processes.settle()


@pytest.fixture
def one_slot(single_thread: Live) -> Iterator[Live]:
    """One worker with one thread; in the end nothing is left on its scheduler."""
    yield single_thread
    single_thread.settle()


@pytest.fixture(params=["threads", "processes"])
def live(request: pytest.FixtureRequest) -> Live:
    """The one, then the other."""
    return request.getfixturevalue(request.param)


# --- workers that tests kill: of each file its own ---------------------------------------------------------


@pytest.fixture(scope="module")
def mortal_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    yield from _session(tmp_path_factory)


@pytest.fixture
def mortals(mortal_workers: Live) -> Iterator[Live]:
    """Two workers that are processes, for tests that kill them; both are back before each."""
    from live import until

    until(lambda: len(mortal_workers.client.scheduler_info()["workers"]) == 2)
    yield mortal_workers
    mortal_workers.settle()
