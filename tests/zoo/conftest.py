"""Where the animals run: threads and processes of this machine, and a scheduler and workers of Dask's own."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from clusters import Cluster
from live import PATIENCE_S, Live, inc, manifest, start, until
from zoo_tasks import slots_kept

from scalable import ScalableSession

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.append(str(Path(__file__).parents[1] / "engine"))  # where more animals live

WORKERS = 2
GONE_S = 30.0  # one that does not end by itself is killed after some seconds


class Zoo(Live):
    """A session, and where it is."""

    def __init__(self, session: ScalableSession, where: str, cluster: Cluster | None = None) -> None:
        super().__init__(session)
        self.where = where
        self.cluster = cluster

    def addresses(self, status: str | None = None) -> set[str]:
        """Addresses of the workers there are, or of those in a certain state."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"].items()
        return {address for address, each in workers if status in (None, each["status"])}

    def ready(self) -> set[str]:
        """Addresses of the workers, as soon as all are there."""
        found: set[str] = until(lambda: len(there := self.addresses("running")) >= WORKERS and there)
        return found

    def calm(self) -> set[str]:
        """The same, as soon as there are no others and none of them is about to be replaced."""

        def at_rest() -> set[str] | None:
            if self.client.run_on_scheduler(slots_kept):
                return None
            there = self.addresses("running")
            return there if len(there) == len(self.addresses()) == WORKERS else None

        found: set[str] = until(at_rest)
        return found

    def slowness(self) -> float:
        """Seconds to add to a limit on a machine that is busy: what ten tasks that do nothing take now."""
        self.client.submit(inc, 1, isolate=True).result(PATIENCE_S)  # the first one of a worker takes longer
        began = time.monotonic()
        self.client.submit(inc, 1, isolate=True).result(PATIENCE_S)
        return 10 * (time.monotonic() - began)


def shared(address: str, directory: Path) -> ScalableSession:
    target = {"provider": "dask", "address": address, "max_workers": None, "processes": None}
    described = manifest(directory)
    described["targets"] = {"shared": {name: value for name, value in target.items() if value is not None}}
    session = ScalableSession.from_mapping(described, target="shared")
    session.start()
    return session


class Places:
    """Opens a place when an animal is first let in."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._open: dict[str, Zoo] = {}

    def __getitem__(self, where: str) -> Zoo:
        if where not in self._open:
            self._open[where] = self._opened(where)
            self._stack.callback(self._open[where].session.close)
        return self._open[where]

    def _opened(self, where: str) -> Zoo:
        directory = self._directory / where
        directory.mkdir()
        if where == "external":
            cluster = self._stack.enter_context(Cluster(directory, workers=WORKERS, nanny=True))
            return Zoo(shared(cluster.address, directory), where, cluster)
        return Zoo(start(directory, processes=where == "processes").session, where)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """A session for all animals of each place; in the end no process of them is left."""
    before = _children()
    with ExitStack() as stack:
        yield Places(tmp_path_factory.mktemp("zoo"), stack)
        ours = _children() - before
    _, left = psutil.wait_procs([each for each in ours if not _is_tracker(each)], timeout=GONE_S)
    assert not left, f"left behind: {[(each, each.cmdline()) for each in left]}"


@pytest.fixture
def zoo(request: pytest.FixtureRequest, places: Places) -> Zoo:
    """The place that a test names, shared by all tests."""
    return places[request.param]


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _is_tracker(process: psutil.Process) -> bool:
    """Python's own resource tracker lives as long as its parent does."""
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
