"""The flight recorder of a worker: what it ran when it died, whatever it had not said yet."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import programs
import pytest
from clusters import Cluster
from distributed.core import Status
from live import PATIENCE_S, Live, inc, start, touch_and_wait, until

from scalable import Retry, ScalableSession, WorkerLost
from scalable.engine.worker import blackbox
from scalable.engine.worker.blackbox import SLOTS, BlackBox, Reader, path_of, sweep
from scalable.engine.worker.warden import Warden

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NANNY = "tcp://[::1]:7"
NEVER = Retry(retries=0, worker_losses=0)


@pytest.fixture
def lone(tmp_path) -> Iterator[Live]:
    running = start(tmp_path, max_workers=1)
    yield running
    running.session.close()


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """A temporary directory of our own, for this process and those that it starts."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return directory


@pytest.fixture
def reader(temporary) -> Iterator[Reader]:
    reader = Reader(NANNY)
    yield reader
    reader.close()


def boxes(directory) -> set[str]:
    return {each.name for each in directory.iterdir() if each.name.startswith("scalable-")}


def test_the_runs_under_way_are_read_after_a_sudden_end(reader):
    assert reader.running() is None
    program = (
        f"import os; from scalable.engine.worker.blackbox import BlackBox; box = BlackBox.open('{NANNY}');"
        "box.enter(0); place = box.enter(7); box.enter(8); box.leave(place); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert sorted(reader.running() or ()) == [0, 8]
    reader.close()
    assert reader.running() is None


def test_a_run_that_must_be_the_only_one_stays_known_when_it_has_ended(reader):
    box = BlackBox.open(NANNY)
    box.leave(box.enter(0), 0)
    box.leave(box.enter(7))
    box.enter(8)
    for run in range(9, SLOTS):
        box.leave(box.enter(run))
    assert (reader.running(), reader.begun()) == ([8], [0])
    box.close()
    assert reader.begun() == []


def test_a_box_is_removed_when_it_is_closed_and_full_ones_take_no_more(reader, temporary):
    box = BlackBox.open(NANNY)
    places = [box.enter(run) for run in range(SLOTS + 1)]
    assert places[-1] is None
    box.leave(None)
    assert len(reader.running() or ()) == SLOTS
    box.close()
    assert reader.running() is None
    assert box.enter(1) is None
    assert not boxes(temporary)


def test_a_worker_writes_no_box_but_the_fresh_one_of_its_nanny(temporary):
    assert BlackBox.open(NANNY).enter(1) is None
    path_of(NANNY).write_bytes(b"somebody's")
    assert BlackBox.open(NANNY).enter(1) is None
    assert Reader(NANNY).running() is None
    assert path_of(NANNY).read_bytes() == b"somebody's"


# --- what nobody reads any more ---------------------------------------------------------------------------


def test_a_sweep_takes_the_files_that_nobody_holds_and_no_others(reader, temporary):
    BlackBox.open(NANNY).enter(3)
    left = path_of("tcp://[::1]:8")
    left.write_bytes(bytes(100))
    others = temporary / left.name.replace(f"-{os.getuid()}.", f"-{os.getuid() + 1}.")
    elsewhere = temporary / left.name.replace(".", ".x", 1)
    of_old, of_late = (temporary / f"scalable-{os.getuid()}-{name}.running" for name in ("old", "late"))
    for path in (others, elsewhere, of_old, of_late):
        path.touch()
    os.utime(of_old, (0, 0))
    path_of("link").symlink_to(others)
    path_of("directory").mkdir()
    os.mkfifo(path_of("pipe"))
    sweep()
    stay = {path_of(NANNY), others, elsewhere, of_late, path_of("link"), path_of("directory")}
    assert boxes(temporary) == {path.name for path in stay}
    assert reader.running() == [3]


def test_a_sweep_never_raises(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "none"))
    sweep()
    assert Reader(NANNY).running() is None


def test_a_box_is_made_anew_where_a_sweep_saw_it_before_it_was_held(temporary, monkeypatch):
    flock, swept = fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not swept:
            swept.append(True)
            sweep()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    reader = Reader(NANNY)
    BlackBox.open(NANNY).enter(3)
    assert reader.running() == [3]
    reader.close()
    assert not boxes(temporary)


def test_a_box_is_made_where_a_sweep_holds_it_for_a_moment(temporary, monkeypatch):
    flock, held = fcntl.flock, []

    def busy(descriptor: int, how: int) -> None:
        if not held:
            held.append(os.open(path_of(NANNY), os.O_RDWR))
            flock(held[0], how)
        flock(descriptor, how)

    def go_on(_seconds: float) -> None:
        path_of(NANNY).unlink(missing_ok=True)

    monkeypatch.setattr(fcntl, "flock", busy)
    monkeypatch.setattr(blackbox, "time", SimpleNamespace(sleep=go_on))
    reader = Reader(NANNY)
    os.close(held[0])
    BlackBox.open(NANNY).enter(3)
    assert reader.running() == [3]
    reader.close()


def test_there_is_no_box_where_files_cannot_be_held(temporary, monkeypatch):
    def none(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    assert Reader(NANNY).running() is None
    assert not boxes(temporary)


KILLED = """
session = ScalableSession.from_mapping({"version": 1, "project": {"name": "killed"},
    "targets": {"local": {"provider": "local", "max_workers": 2}}})
session.start()
tasks = [session.client.submit(never_end), session.client.submit(never_end, isolate=True)]
while session.overview()["running"] < 2: time.sleep(0.02)
say("ready")
time.sleep(600)
"""
ANOTHER = """
session = ScalableSession.from_mapping({"version": 1, "project": {"name": "another"},
    "targets": {"local": {"provider": "local", "max_workers": 1}}})
with session:
    assert session.client.submit(inc, 1).result() == 2
"""


def test_what_a_killed_session_left_goes_with_the_next_and_what_another_one_holds_stays(tmp_path, temporary):
    living = start(tmp_path, max_workers=1)
    theirs = boxes(temporary)
    killed = programs.Program(tmp_path, KILLED)
    assert killed.read() == "ready"
    assert len(boxes(temporary) - theirs) == 2
    killed.signal_group(signal.SIGKILL)
    killed.finish()
    assert len(boxes(temporary) - theirs) == 2
    assert programs.run(tmp_path, ANOTHER).code == 0
    assert boxes(temporary) == theirs
    deadly = living.client.submit(os._exit, 3, retry=NEVER)
    with pytest.raises(WorkerLost):
        deadly.result(PATIENCE_S)
    assert living.told("workers", event="lost")[-1]["running"] == [str(deadly.key)]
    living.session.close()
    assert not boxes(temporary)


def test_a_death_is_read_though_another_session_came_and_went_before_the_nanny_looked(tmp_path, temporary):
    living = start(tmp_path, max_workers=1)
    (worker,) = living.client.cluster.scheduler.workers.values()
    deadly = living.client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "never", retry=NEVER)
    until((tmp_path / "mark.1").exists)
    looks, busy = threading.Event(), threading.Event()
    living.client.cluster.loop.add_callback(lambda: (busy.set(), looks.wait(2 * PATIENCE_S)))
    busy.wait(PATIENCE_S)
    os.kill(worker.pid, signal.SIGKILL)
    assert programs.run(tmp_path, ANOTHER).code == 0
    looks.set()
    with pytest.raises(WorkerLost):
        deadly.result(PATIENCE_S)
    assert living.told("workers", event="lost")[-1]["running"] == [str(deadly.key)]
    living.session.close()


# --- in a session -----------------------------------------------------------------------------------------


def test_a_task_that_kills_at_once_is_blamed_and_the_one_before_it_is_not(lone):
    for _ in range(5):
        before = lone.client.map(inc, range(20))
        deadly = lone.client.submit(os._exit, 3, retry=NEVER)
        with pytest.raises(WorkerLost):
            deadly.result(PATIENCE_S)
        assert lone.client.gather(before) == list(range(1, 21))
        assert [line["running"] for line in lone.told("workers", event="lost")][-1] == [str(deadly.key)]
    assert {line["key"] for line in lone.lines("failures")} == {
        line["key"] for line in lone.lines("tasks", state="failed")
    }


def test_a_nanny_that_closes_leaves_no_box_and_one_that_goes_on_is_wrapped_by_no_warden_of_the_past(
    temporary,
):
    class Nanny:
        name = address = NANNY
        memory_manager = SimpleNamespace(_last_terminated_pid=0)
        status = Status.running
        process: object = None

        def __init__(self):
            self.handlers: dict[str, object] = {}

        async def kill(self) -> None:
            """Do nothing."""

        async def _on_worker_exit(self, exitcode: int) -> None:
            """Do nothing."""

    async def look() -> None:
        nanny = Nanny()
        for status in (Status.running, Status.running, Status.closing):
            nanny.status = status
            warden = Warden()
            warden.setup(nanny)  # type: ignore[arg-type]
            assert path_of(NANNY).exists()
            warden.teardown(nanny)  # type: ignore[arg-type]
            assert not boxes(temporary)
        assert nanny.kill.__func__ is Nanny.kill
        warden.setup(nanny)  # type: ignore[arg-type]
        nanny.process = object()
        warden.teardown(nanny)  # type: ignore[arg-type]
        BlackBox.open(NANNY).enter(1)
        await nanny.kill()
        assert not boxes(temporary)

    asyncio.run(look())


def is_up(live) -> bool:
    """Whether a worker is there, and its nanny knows."""
    states = live.client.run(lambda dask_worker: dask_worker.process.status.name, nanny=True)
    return set(states.values()) == {"running"}


def lose_one(live) -> None:
    until(lambda: is_up(live))  # Dask gives up one that dies before its nanny knows it
    deadly = live.client.submit(os._exit, 3, retry=NEVER)
    with pytest.raises(WorkerLost):
        deadly.result(PATIENCE_S)
    assert live.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert [line["running"] for line in live.told("workers", event="lost")] == [[str(deadly.key)]]


def test_each_session_on_a_cluster_of_others_hears_once_what_a_worker_ran(tmp_path, temporary):
    with Cluster(tmp_path, workers=1, nanny=True) as cluster:
        for number in range(3):
            session = ScalableSession.from_mapping(
                {
                    "version": 1,
                    "project": {"name": "tests"},
                    "targets": {"theirs": {"provider": "dask", "address": cluster.address}},
                    "telemetry": {"runs_dir": str(tmp_path / f"runs-{number}")},
                }
            )
            session.start()
            lose_one(Live(session))
            assert len(boxes(temporary)) == 1
            session.close()
    assert not boxes(temporary)
