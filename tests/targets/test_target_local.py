"""Provider ``local``: workers of this machine, named and bounded, shared by the components of a manifest."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from distributed import Future, get_worker
from live import Live

from scalable import PlanError, ScalableSession, SessionError
from scalable.targets import provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MB = 10**6


def span(seconds: float) -> tuple[float, float]:
    """When this ran, by the clock of the machine."""
    began = time.time()
    time.sleep(seconds)
    return began, time.time()


def most_at_once(spans: list[tuple[float, float]]) -> int:
    events = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    now = most = 0
    for _, change in events:
        now += change
        most = max(most, now)
    return most


def elapsed(spans: list[tuple[float, float]]) -> float:
    return max(ended for _, ended in spans) - min(began for began, _ in spans)


def worker_name() -> str:
    return str(get_worker().name)


def environment(name: str) -> tuple[str, str | None]:
    return str(get_worker().name), os.environ.get(name)


def memory_limit() -> int:
    return int(get_worker().memory_manager.memory_limit)


def pid() -> int:
    return os.getpid()


def die_once(mark: Path) -> int:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def session_of(directory: Path, components: dict[str, Any], **target: Any) -> ScalableSession:
    return ScalableSession.from_mapping(
        {
            "version": 1,
            "targets": {"here": {"provider": "local", **target}},
            "components": components,
            "telemetry": {"runs_dir": str(directory / "runs")},
        }
    )


def running(directory: Path, components: dict[str, Any], **target: Any) -> Iterator[Live]:
    session = session_of(directory, components, **target)
    session.start()
    yield Live(session)
    session.close()


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Processes, and more components than workers; one of them needs an environment of its own."""
    components = {
        "plain": {},
        "loud": {"env": {"MODE": "loud", "OMP_NUM_THREADS": "3"}},
        "quiet": {"env": {"MODE": "quiet"}},
        "large": {"memory": "900MB"},
    }
    yield from running(tmp_path_factory.mktemp("varied"), components, max_workers=2, memory="2GB")


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Four slots, as threads, and components of which one, two or four tasks run at once."""
    components = {"whole": {"cpus": 1}, "half": {"cpus": 2}, "one": {"cpus": 3}, "other": {"cpus": 4}}
    yield from running(tmp_path_factory.mktemp("four"), components, max_workers=4, processes=False)


def spans_of(live: Live, number: int, seconds: float, **how: Any) -> list[tuple[float, float]]:
    return live.client.gather([live.client.submit(span, seconds, **how) for _ in range(number)])


# --- workers ------------------------------------------------------------------------------------------------


def test_workers_have_names_and_are_as_many_as_the_manifest_says(varied: Live, four: Live) -> None:
    for live, number in ((varied, 2), (four, 4)):
        workers = live.client.scheduler_info(n_workers=-1)["workers"].values()
        names = {f"worker-{i}" for i in range(number)}
        assert {worker["name"] for worker in workers} == names
        assert {line["worker"] for line in live.told("workers", event="started", number=number)} == names


def test_workers_are_processes_or_threads_of_this_one(varied: Live, four: Live) -> None:
    apart = {varied.client.submit(pid).result() for _ in range(4)}
    together = {four.client.submit(pid).result() for _ in range(4)}

    assert os.getpid() not in apart
    assert together == {os.getpid()}


def test_threads_per_worker_are_slots_of_one_process(tmp_path: Path) -> None:
    with session_of(tmp_path, {}, max_workers=1, threads_per_worker=3, processes=False) as client:
        spans = client.gather(client.map(span, [0.2] * 6))

    assert most_at_once(spans) == 3


def test_the_memory_of_the_target_is_shared_out(varied: Live) -> None:
    assert varied.client.submit(memory_limit).result() == 1000 * MB


def test_everything_listens_on_the_loopback_interface_only(varied: Live, four: Live) -> None:
    pids = {os.getpid(), *varied.client.run(os.getpid).values()}

    addresses = [
        each.laddr.ip
        for pid in pids
        for each in psutil.Process(pid).net_connections()
        if each.status == psutil.CONN_LISTEN
    ]

    assert len(pids) == 3
    assert len(addresses) > len(pids)
    assert set(addresses) == {"127.0.0.1"}
    assert varied.client.dashboard_link.startswith("http://127.0.0.1:")


def test_a_worker_that_dies_is_replaced_under_its_name(varied: Live, tmp_path: Path) -> None:
    doomed: Future = varied.client.submit(die_once, tmp_path / "mark", tag="quiet")
    replacement = doomed.result()

    (loss,) = varied.lines("failures", doomed, event="attempt_failed")
    assert (loss["outcome"], loss["action"]) == ("worker_lost", "retry")
    started = varied.told("workers", event="started", worker=loss["worker"], number=2)
    assert [line["pid"] for line in started] == [loss["pid"], replacement]
    assert varied.client.submit(environment, "MODE", tag="quiet").result() == (loss["worker"], "quiet")


# --- environments -----------------------------------------------------------------------------------------


def test_the_environment_of_a_component_reaches_its_tasks(varied: Live) -> None:
    assert varied.client.submit(environment, "MODE", tag="loud").result()[1] == "loud"
    assert varied.client.submit(environment, "OMP_NUM_THREADS", tag="loud").result()[1] == "3"


def test_components_whose_environments_conflict_have_workers_of_their_own(varied: Live) -> None:
    loud = [varied.client.submit(environment, "MODE", tag="loud") for _ in range(6)]
    quiet = [varied.client.submit(environment, "MODE", tag="quiet") for _ in range(6)]

    assert {value for _, value in varied.client.gather(loud)} == {"loud"}
    assert {value for _, value in varied.client.gather(quiet)} == {"quiet"}
    assert {name for name, _ in varied.client.gather(loud)}.isdisjoint(
        name for name, _ in varied.client.gather(quiet)
    )


def test_a_variable_without_a_value_is_found_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETING", "here today")
    session = session_of(tmp_path, {"a": {"env": {"MODE": "${FLEETING}"}}}, max_workers=1)
    monkeypatch.delenv("FLEETING")

    with pytest.raises(PlanError, match=r"`a`.*`FLEETING` is not set"):
        session.start()
    assert list(tmp_path.iterdir()) == []


# --- how many at once -------------------------------------------------------------------------------------


def test_a_tag_never_serialises_what_could_run_in_parallel(four: Live) -> None:
    untagged = spans_of(four, 8, 0.25)
    tagged = spans_of(four, 8, 0.25, tag="whole")

    assert most_at_once(untagged) == most_at_once(tagged) == 4
    assert elapsed(tagged) < 1.4 * elapsed(untagged)


@pytest.mark.parametrize(("tag", "bound"), [("half", 2), ("one", 1), ("other", 1)])
def test_a_component_bounds_how_many_of_its_tasks_run_at_once(four: Live, tag: str, bound: int) -> None:
    assert most_at_once(spans_of(four, 3 * bound, 0.1, tag=tag)) == bound


def test_bounded_components_do_not_wait_for_each_other(four: Live) -> None:
    futures = [four.client.submit(span, 0.3, tag=tag) for tag in ("one", "other")]

    assert most_at_once(four.client.gather(futures)) == 2


def test_a_bounded_component_leaves_the_other_slots_to_the_rest(four: Live) -> None:
    bounded = [four.client.submit(span, 0.2, tag="one") for _ in range(3)]
    rest = [four.client.submit(span, 0.2) for _ in range(6)]

    spans = four.client.gather(bounded)
    assert most_at_once(spans) == 1
    assert most_at_once(spans + four.client.gather(rest)) >= 3
    assert all(later[0] >= earlier[1] for earlier, later in pairwise(sorted(spans)))


def test_memory_bounds_a_component_too(varied: Live) -> None:
    plan = varied.session.plan()

    assert plan.components["large"].slots == 1
    assert most_at_once(spans_of(varied, 3, 0.1, tag="large")) == 1


def test_more_components_than_workers_work(varied: Live) -> None:
    tags = ["plain", "loud", "quiet", "large"]
    futures = {tag: varied.client.submit(worker_name, tag=tag) for tag in tags}

    assert all(name.startswith("worker-") for name in varied.client.gather(futures).values())


def test_a_task_that_asks_for_more_than_there_is_runs_alone(tmp_path: Path) -> None:
    session = session_of(tmp_path, {"huge": {"cpus": 64, "memory": "900T"}}, max_workers=2, processes=False)

    with session as client:
        spans = client.gather([client.submit(span, 0.1, tag="huge") for _ in range(3)])

    assert most_at_once(spans) == 1
    assert len([warning for warning in session.plan().warnings if "one at a time" in warning]) == 2


# --- providers ----------------------------------------------------------------------------------------------


def test_a_provider_of_another_package_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        @staticmethod
        def load() -> object:
            return started

    def started(*_args: object) -> None: ...

    def entry_points(*, group: str, name: str) -> list[type[Point]]:
        return [Point] if (group, name) == ("scalable.targets", "cloud") else []

    monkeypatch.setattr("scalable.targets.entry_points", entry_points)

    assert provider("cloud") is started
    with pytest.raises(SessionError, match="cannot start targets of provider 'fog' yet"):
        provider("fog")
