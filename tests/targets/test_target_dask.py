"""Provider ``dask``: a session on a scheduler that others own and use."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from clusters import Cluster, without_scalable
from distributed import Client, Future
from live import Live, until
from programs import Program

from scalable import Retry, ScalableSession, SessionError, current_attempt
from scalable.journal.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Live]

SOON = Retry(retries=3, base=0.02, jitter="none")
LATE = Retry(retries=1, base=300, max_delay=300, jitter="none")


def inc(number: int) -> int:
    return number + 1


def flaky(failures: int) -> int:
    attempt = current_attempt()
    assert attempt is not None
    if attempt.number <= failures:
        raise ConnectionError(failures)
    return attempt.number


def fail() -> None:
    raise ConnectionError


def outside() -> bool:
    return current_attempt() is None


def hang() -> None:
    time.sleep(600)


def wait_for(gate: Path) -> int:
    while not gate.exists():
        time.sleep(0.01)
    return os.getpid()


def wait_and_fail(gate: Path, runs: Path) -> None:
    with runs.open("a") as file:
        file.write("run\n")
    wait_for(gate)
    raise ConnectionError


def tracked(dask_scheduler: Any) -> dict[str, int]:
    """What a supervisor keeps, on the scheduler."""
    plugin = dask_scheduler.plugins["scalable"]
    return {
        "sessions": len(plugin.sessions),
        "tasks": len(plugin.tracked),
        "held": len(plugin.holds),
        "running": sum(map(len, plugin.fleet._running.values())),
    }


def held_restrictions(dask_scheduler: Any) -> list[Any]:
    return [
        task.resource_restrictions for task in dask_scheduler.tasks.values() if task.resource_restrictions
    ]


NOTHING = {"sessions": 0, "tasks": 0, "held": 0, "running": 0}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        with Client(cluster.address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=30)
        yield cluster


@pytest.fixture
def plain(theirs: Cluster) -> Iterator[Client]:
    """Somebody else's client on the same scheduler; in the end nothing of ours is left there."""
    with Client(theirs.address, set_as_default=False) as client:
        yield client
        if "scalable" in client.run_on_scheduler(plugins):
            until(lambda: client.run_on_scheduler(tracked) == NOTHING)


def plugins(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.plugins)


def session_on(address: str, tmp_path: Path, project: str = "ours", **target: Any) -> ScalableSession:
    return ScalableSession.from_mapping(
        {
            "version": 1,
            "project": {"name": project},
            "targets": {"shared": {"provider": "dask", "address": address, **target}},
            "components": {"analysis": {"cpus": 2}},
            "telemetry": {"runs_dir": str(tmp_path / "runs")},
        }
    )


@pytest.fixture
def start(theirs: Cluster, plain: Client, tmp_path: Path) -> Iterator[Start]:
    """Start sessions on their scheduler; what a test leaves open is closed after it."""
    del plain  # it looks after what is left there
    sessions: list[ScalableSession] = []

    def start(project: str = "ours") -> Live:
        sessions.append(session_on(theirs.address, tmp_path, project))
        sessions[-1].start()
        return Live(sessions[-1])

    yield start
    for session in sessions:
        session.close()


def test_tasks_run_there_with_everything_a_session_gives(start: Start) -> None:
    live = start()

    assert live.client.submit(flaky, 2, retry=SOON, tag="analysis").result() == 3
    failed = live.client.submit(fail, retries=1, retry=SOON)
    assert isinstance(failed.exception(), ConnectionError)
    assert live.client.gather(live.client.map(inc, range(20))) == list(range(1, 21))

    live.session.close()
    told = summarise(live.run_dir)
    assert (told.status, told.tasks) == ("completed", {"succeeded": 21, "failed": 1, "cancelled": 0})
    assert (told.retries, told.recovered) == (3, 1)
    assert told.info.provider == "dask"
    assert {line["worker"] for line in live.lines("tasks")} == {"theirs-0", "theirs-1"}
    assert {line["worker"] for line in live.lines("workers", event="started")} == {"theirs-0", "theirs-1"}


def test_a_session_that_closes_leaves_the_scheduler_as_it_was_for_others(start: Start, plain: Client) -> None:
    kept = plain.submit(inc, 1, key="kept")
    live = start()
    waiting = live.client.submit(fail, retry=LATE)
    until(lambda: live.session.overview()["waiting"])
    futures = [waiting, *live.client.map(inc, range(5))]
    until(lambda: live.session.overview()["succeeded"] == 5)
    assert plain.run_on_scheduler(tracked)["held"] == 1

    live.session.close()

    assert live.lines("tasks", state="cancelled")
    until(lambda: plain.run_on_scheduler(tracked) == NOTHING)
    assert plain.run_on_scheduler(held_restrictions) == []
    assert kept.result() == 2
    assert plain.submit(inc, 2).result() == 3
    assert len(plain.scheduler_info()["workers"]) == 2
    del futures


def test_closing_does_not_wait_for_tasks_on_workers_that_are_not_ours(
    start: Start, plain: Client, tmp_path: Path
) -> None:
    live = start()
    gate = tmp_path / "gate"
    running = live.client.submit(wait_for, gate)
    until(lambda: live.session.overview()["running"])

    before = time.monotonic()
    live.session.close()

    assert time.monotonic() - before < 5
    assert running.status == "cancelled"
    gate.touch()
    assert plain.submit(inc, 1).result() == 2


def test_a_task_that_outlives_its_session_leaves_its_wait(start: Start, plain: Client) -> None:
    live = start()
    waiting = live.client.submit(flaky, 1, retry=LATE)
    live.told("failures", waiting)
    live.client.publish_dataset(waiting, name="waiting")
    kept = plain.get_dataset("waiting")
    live.session.close()

    assert isinstance(kept.exception(timeout=30), AssertionError)  # it ran without any attempt around it
    plain.unpublish_dataset("waiting")


def test_a_task_that_outlives_its_session_fails_once(start: Start, plain: Client, tmp_path: Path) -> None:
    live = start()
    gate, runs = tmp_path / "gate", tmp_path / "runs.txt"
    running = live.client.submit(wait_and_fail, gate, runs, retries=3)
    live.client.publish_dataset(running, name="running")
    kept = plain.get_dataset("running")
    until(runs.exists)
    live.session.close()
    gate.touch()

    assert isinstance(kept.exception(timeout=30), ConnectionError)
    assert runs.read_text() == "run\n"
    plain.unpublish_dataset("running")


def test_two_sessions_on_one_scheduler_do_not_disturb_each_other(start: Start, plain: Client) -> None:
    first, second = start("first"), start("second")
    assert plain.run_on_scheduler(tracked)["sessions"] == 2
    doomed = first.client.submit(fail, retry=LATE)
    waits = second.client.submit(flaky, 1, retry=Retry(retries=1, base=0.5, jitter="none"))
    until(lambda: first.session.overview()["waiting"] and second.session.overview()["waiting"])

    first.session.close()

    assert doomed.status == "cancelled"
    assert waits.result() == 2
    assert second.client.submit(flaky, 1, retry=SOON).result() == 2
    second.session.close()
    assert [line["state"] for line in first.lines("tasks")] == ["cancelled"]
    assert [line["state"] for line in second.lines("tasks")] == ["succeeded"] * 2
    assert {line["run_id"] for line in second.lines("failures")} == {second.run_dir.name}


def test_a_plain_client_beside_a_session_is_left_alone(start: Start, plain: Client) -> None:
    live = start()

    failed = plain.submit(fail, retries=1)
    error = failed.exception()

    assert isinstance(error, ConnectionError)
    assert not hasattr(error, "__notes__")
    assert plain.submit(outside, pure=False).result()
    assert not live.client.submit(outside).result()
    live.session.close()
    assert len(live.lines("tasks")) == 1
    assert live.lines("failures") == []


def test_a_session_whose_client_is_killed_is_forgotten_by_the_scheduler(
    theirs: Cluster, plain: Client, tmp_path: Path
) -> None:
    program = Program(
        tmp_path,
        f"""
targets = {{"shared": {{"provider": "dask", "address": {theirs.address!r}}}}}
session = ScalableSession.from_mapping({{"version": 1, "targets": targets}})
client = session.start()
late = Retry(retries=1, base=300, max_delay=300)
gate = Path("gate").absolute()
def wait():
    while not gate.exists(): time.sleep(0.02)
futures = [client.submit(hang_up, retry=late), client.submit(wait)]
while not (session.overview()["waiting"] and session.overview()["running"]): time.sleep(0.02)
client.publish_dataset(futures[0], name="waiting")
say("ready")
stay()
""",
    )
    program.read()
    assert plain.run_on_scheduler(tracked)["sessions"] == 1
    kept = plain.get_dataset("waiting")

    program.signal(signal.SIGKILL)

    program.finish()
    until(lambda: plain.run_on_scheduler(tracked)["sessions"] == 0)
    assert kept.exception(timeout=30) is not None  # it does not wait for a session that is gone
    plain.unpublish_dataset("waiting")
    until(lambda: plain.run_on_scheduler(tracked)["held"] == 0)
    (tmp_path / "gate").touch()  # the task that ran still has its thread


@pytest.mark.usefixtures("plain")
def test_ctrl_c_on_a_shared_scheduler_ends_the_session_alone(theirs: Cluster, tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        f"""
targets = {{"shared": {{"provider": "dask", "address": {theirs.address!r}}}}}
with ScalableSession.from_mapping({{"version": 1, "targets": targets}}) as client:
    futures = [client.submit(hang_up, retry=Retry(retries=1, base=300, max_delay=300)) for _ in range(5)]
    say("ready")
    client.gather(futures)
""",
    )
    program.read()

    program.signal_group(signal.SIGINT)

    assert program.finish().code == -signal.SIGINT
    assert program.err.endswith("\nKeyboardInterrupt\n")
    assert program.err.count("\nKeyboardInterrupt\n") == 1  # it may have come while Dask handled something


def test_a_worker_that_is_lost_costs_no_retry(
    theirs: Cluster, start: Start, plain: Client, tmp_path: Path
) -> None:
    third = theirs.add_worker()
    plain.wait_for_workers(3, timeout=30)
    live = start()
    gate = tmp_path / "gate"
    future: Future = live.client.submit(wait_for, gate, workers="theirs-2", allow_other_workers=True)
    until(lambda: live.session.overview()["running"])

    theirs.end(third)
    gate.touch()

    assert future.result() != third.pid
    live.session.close()
    (line,) = live.lines("failures", event="attempt_failed")
    assert (line["outcome"], line["worker"], line["action"]) == ("worker_lost", "theirs-2", "retry")


def test_a_scheduler_without_scalable_is_named(tmp_path: Path) -> None:
    with Cluster(tmp_path, env=without_scalable(tmp_path / "hide")) as cluster:
        session = session_on(cluster.address, tmp_path)

        with pytest.raises(SessionError, match=r"scalable is not installed on the scheduler.*pip install"):
            session.start()

        with Client(cluster.address, set_as_default=False) as client:
            assert "scalable" not in client.run_on_scheduler(
                lambda dask_scheduler: list(dask_scheduler.plugins)
            )
    assert summarise(session.run_dir).status == "failed"


def test_a_worker_without_scalable_is_named(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster, Client(cluster.address, set_as_default=False) as client:
        cluster.add_worker(without_scalable(tmp_path / "hide"))
        client.wait_for_workers(1, timeout=30)

        with pytest.raises(
            SessionError, match=r"scalable is not installed on worker tcp://127\.0\.0\.1:\d+: "
        ):
            session_on(cluster.address, tmp_path).start()
