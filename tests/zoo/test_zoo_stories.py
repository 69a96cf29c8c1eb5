"""The rows of the zoo that are stories: told one after another in the session of each place."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import animals
import psutil
import pytest
import zoo_tasks as tasks
from live import PATIENCE_S, fail, flaky, freeze, inc, start, touch_and_wait, until
from zoo_table import ALL, APART

from scalable import PlanError, Retry, TaskTimeout, UpstreamFailed, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distributed import Future

    from conftest import Zoo

PATIENT = Retry(retries=0, base=0.01, jitter="none", worker_losses=50)
SOON = Retry(retries=1, base=0.01, jitter="none", worker_losses=3)
NEVER = Retry(retries=0, worker_losses=0)
FOR_EVER = Retry(retries=1, base=300, max_delay=300, jitter="none")
OUTAGE = Retry(retries=3, base=0.3, jitter="none")
MANY = 30
LIMIT_S = 0.5
FREE_S = 2.0  # an isolated task that is cancelled gives its slot back

everywhere = pytest.mark.parametrize("zoo", ALL, indirect=True)
apart = pytest.mark.parametrize("zoo", APART, indirect=True)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that lets tasks go; it is there when the story is over."""
    yield tmp_path / "gate"
    (tmp_path / "gate").touch()


@pytest.fixture(autouse=True)
def the_next_one_begins_in_peace(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a story did, its place is whole again, and works."""
    zoo: Zoo | None = request.getfixturevalue("zoo") if "zoo" in request.fixturenames else None
    if zoo is not None:
        zoo.calm()
    yield
    if zoo is not None:
        zoo.calm()
        assert zoo.client.gather(zoo.client.map(inc, range(4))) == [1, 2, 3, 4]


def busy(zoo: Zoo, gate: Path, mark: Path, **how: Any) -> tuple[Future, int]:
    """A task that waits at a gate, and the process that it runs in."""
    task = zoo.client.submit(tasks.say_pid_and_wait, mark, gate, **how)
    return task, int(until(lambda: mark.with_suffix(".1").exists() and mark.with_suffix(".1").read_text()))


def states(zoo: Zoo, task: Future) -> list[str]:
    return [line["state"] for line in zoo.told("tasks", task)]


def assert_cancelled(zoo: Zoo, task: Future) -> None:
    """At once for the caller, and once for the journal."""
    task.cancel()
    with pytest.raises(CancelledError):
        task.result(PATIENCE_S)
    assert states(zoo, task) == ["cancelled"]


# --- 10 and 11: endless, and talkative ------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize(
    ("call", "raises"), [((time.sleep, 600), TaskTimeout), ((animals.print_much, 20), None)], ids=["10", "11"]
)
def test_what_an_isolated_task_does_leaves_the_workers_as_they_are(zoo: Zoo, call, raises):
    before = zoo.calm()
    error = zoo.client.submit(*call, isolate=True, timeout=LIMIT_S if raises else None).exception(PATIENCE_S)
    assert raises is None if error is None else isinstance(error, raises)
    assert zoo.calm() == before


@everywhere
def test_a_stuck_worker_is_replaced_and_the_pool_is_complete_again(zoo: Zoo, gate, tmp_path):
    before = zoo.calm()
    stuck = zoo.client.submit(touch_and_wait, tmp_path / "mark", gate, timeout=LIMIT_S)
    with pytest.raises(TaskTimeout):
        stuck.result(PATIENCE_S)
    after = zoo.calm()
    assert len(before - after) == 1
    assert len(after) == len(before)


# --- 13: tasks that submit tasks ------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize("function", [tasks.submit_inside, tasks.submit_inside_by_get_client])
def test_more_tasks_that_submit_tasks_than_slots_all_end(zoo: Zoo, function):
    parents = zoo.client.map(function, range(6), retries=1)
    assert zoo.client.gather(parents) == [sum(range(1, number + 1)) for number in range(6)]


@pytest.mark.parametrize("processes", [False, True], ids=["threads", "processes"])
def test_on_one_slot_a_task_that_submits_tasks_is_retried_and_ends(tmp_path, processes):
    live = start(tmp_path, processes=processes, max_workers=1)
    parents = live.client.map(tasks.submit_inside_and_fail_once, range(3), retries=1)
    assert live.client.gather(parents) == [0, 1, 3]
    assert [line["attempts"] for each in parents for line in live.told("tasks", each)] == [2, 2, 2]
    live.session.close()


# --- 14 and 15: workers that go -------------------------------------------------------------------------


@apart
def test_a_task_whose_worker_is_killed_ends_elsewhere_and_counts_a_loss(zoo: Zoo, gate, tmp_path):
    task, pid = busy(zoo, gate, tmp_path / "task", retry=SOON)
    other, _ = busy(zoo, gate, tmp_path / "other", retry=NEVER)
    os.kill(pid, signal.SIGKILL)
    gate.touch()
    assert (task.result(PATIENCE_S), other.result(PATIENCE_S)) == (2, 1)
    (line,) = zoo.lines("failures", task, event="attempt_failed")
    assert (line["outcome"], line["signal"], line["pid"]) == ("worker_lost", "SIGKILL", pid)
    assert (states(zoo, task), states(zoo, other)) == (["succeeded"], ["succeeded"])


@apart
def test_a_late_result_of_a_frozen_worker_changes_nothing(zoo: Zoo, gate, tmp_path):
    task, pid = busy(zoo, gate, tmp_path / "task", retry=SOON, timeout=LIMIT_S)
    freeze(pid)
    gate.touch()
    assert task.result(PATIENCE_S) == 2
    with suppress(ProcessLookupError):  # it may be replaced by now
        os.kill(pid, signal.SIGCONT)  # now it has a result, too
    zoo.calm()
    assert (task.result(PATIENCE_S), states(zoo, task)) == (2, ["succeeded"])
    assert zoo.client.submit(inc, task).result(PATIENCE_S) == 3


@pytest.mark.slow
@pytest.mark.parametrize("zoo", ["external"], indirect=True)
def test_a_worker_that_stays_frozen_is_ended_and_its_task_ends_elsewhere(zoo: Zoo, gate, tmp_path):
    task, pid = busy(zoo, gate, tmp_path / "task", retry=SOON)
    freeze(pid)
    gate.touch()
    assert task.result(2 * PATIENCE_S) == 2
    until(lambda: not psutil.pid_exists(pid))
    (line,) = zoo.lines("failures", task, event="attempt_failed")
    assert (line["outcome"], line["signal"]) == ("worker_lost", "SIGKILL")


@everywhere
def test_a_worker_that_is_retired_costs_its_task_nothing(zoo: Zoo, gate, tmp_path):
    task = zoo.client.submit(touch_and_wait, tmp_path / "mark", gate, retry=NEVER)
    until((tmp_path / "mark.1").exists)
    (there,) = [each for each, keys in zoo.client.processing().items() if task.key in keys]
    zoo.client.retire_workers([there])
    gate.touch()
    assert task.result(PATIENCE_S) == 1
    assert (states(zoo, task), zoo.lines("failures", task)) == (["succeeded"], [])
    if zoo.cluster is not None:
        zoo.cluster.add_worker()  # theirs to do
    assert there not in zoo.calm()


@apart
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_pool_that_is_killed_ten_times_over_comes_back_and_nothing_is_lost_or_doubled(zoo: Zoo, tmp_path):
    slow = zoo.client.map(tasks.take_a_moment, range(MANY), retry=PATIENT)
    for _ in range(10):
        slow += zoo.client.map(tasks.take_a_moment, range(2), retry=PATIENT)
        before = zoo.ready()
        for pid in zoo.client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)
        until(lambda: not before & zoo.addresses())  # noqa: B023 - called here only
    assert zoo.client.gather(slow) == [*range(MANY), *[0, 1] * 10]
    assert Counter(state for each in slow for state in states(zoo, each)) == {"succeeded": len(slow)}
    zoo.calm()
    assert zoo.lines("workers", event="quarantined") == []


# --- 16: what nobody has --------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"tag": "gpu"}, "analysis"),
        ({"resources": {"GPU": 1}}, "GPU"),
        ({"retry": "never-heard-of"}, "flaky"),
    ],
)
def test_what_nobody_has_is_an_error_at_submit_that_names_what_there_is(zoo: Zoo, wish, words):
    with pytest.raises(PlanError, match=words):
        zoo.client.submit(inc, 1, **wish)


# --- 17: cancelled --------------------------------------------------------------------------------------


@everywhere
def test_what_waits_for_a_slot_is_cancelled_and_never_runs(zoo: Zoo, gate, tmp_path):
    before = zoo.calm()
    running = [zoo.client.submit(touch_and_wait, tmp_path / f"on-{number}", gate) for number in range(2)]
    until(lambda: len(list(tmp_path.glob("on-*.1"))) == 2)
    waits = zoo.client.submit(touch_and_wait, tmp_path / "mark", gate)
    last = zoo.client.submit(inc, 1)
    assert_cancelled(zoo, waits)
    gate.touch()
    assert zoo.client.gather([*running, last]) == [1, 1, 2]
    assert list(tmp_path.glob("mark*")) == []
    assert zoo.calm() == before


@everywhere
def test_what_is_in_backoff_is_cancelled_and_its_dependents_end_as_upstream(zoo: Zoo):
    task = zoo.client.submit(flaky, 1, retry=FOR_EVER)
    child = zoo.client.submit(inc, task)
    zoo.told("failures", task)
    assert_cancelled(zoo, task)
    error = child.exception(PATIENCE_S)
    assert isinstance(error, UpstreamFailed)
    assert isinstance(error.__cause__, CancelledError)


@everywhere
def test_what_is_parked_is_cancelled_and_its_circuit_forgotten(zoo: Zoo):
    parked = zoo.client.map(tasks.reach_nobody, range(MANY), retry=OUTAGE)
    until(lambda: zoo.session.overview().get("parked") == MANY)
    zoo.client.cancel(parked)
    for each in parked:
        with pytest.raises(CancelledError):
            each.result(PATIENCE_S)
        assert states(zoo, each) == ["cancelled"]
    until(lambda: zoo.session.parked() == [])


@everywhere
def test_what_runs_is_cancelled_and_its_late_result_is_nobodys(zoo: Zoo, gate, tmp_path):
    before = zoo.calm()
    task = zoo.client.submit(touch_and_wait, tmp_path / "mark", gate, retries=3)
    until((tmp_path / "mark.1").exists)
    assert_cancelled(zoo, task)
    gate.touch()
    assert zoo.calm() == before
    assert (states(zoo, task), [*tmp_path.glob("mark.*")]) == (["cancelled"], [tmp_path / "mark.1"])


@everywhere
def test_an_isolated_task_that_runs_is_killed_when_it_is_cancelled_and_its_slot_is_free(
    zoo: Zoo, gate, tmp_path
):
    before, slowness = zoo.calm(), zoo.slowness()
    endless = [busy(zoo, gate, tmp_path / f"task-{each}", isolate=True, retries=3) for each in range(2)]
    began = time.monotonic()
    zoo.client.cancel([task for task, _ in endless])
    assert zoo.client.gather(zoo.client.map(inc, range(2))) == [1, 2]
    assert time.monotonic() - began < FREE_S + slowness
    until(lambda: not any(psutil.pid_exists(pid) for _, pid in endless))
    for task, _ in endless:
        assert_cancelled(zoo, task)
    assert list(tmp_path.glob("*.2")) == []
    assert zoo.calm() == before


@everywhere
def test_what_is_done_when_it_is_cancelled_keeps_its_end(zoo: Zoo):
    done, failed = zoo.client.submit(inc, 1), zoo.client.submit(fail, ValueError("no"))
    assert (done.result(PATIENCE_S), type(failed.exception(PATIENCE_S))) == (2, ValueError)
    zoo.client.cancel([done, failed])
    assert (done.result(PATIENCE_S), type(failed.exception(PATIENCE_S))) == (2, ValueError)
    assert (states(zoo, done), states(zoo, failed)) == (["succeeded"], ["failed"])


# --- 18: one key ----------------------------------------------------------------------------------------


@everywhere
def test_two_tasks_of_one_key_are_one_execution_and_one_record(zoo: Zoo, tmp_path):
    twins = [zoo.client.submit(tasks.count, tmp_path, "once", key=f"twin-{zoo.where}") for _ in range(2)]
    assert zoo.client.gather(twins) == ["once", "once"]
    assert len(list(tmp_path.iterdir())) == 1
    assert states(zoo, twins[0]) == ["succeeded"]


# --- 19: failed inputs ----------------------------------------------------------------------------------


@everywhere
def test_what_needs_a_failed_future_ends_with_its_failure_and_is_healed_by_hand(zoo: Zoo, gate):
    root = zoo.client.submit(tasks.fail_until, gate)
    assert isinstance(root.exception(PATIENCE_S), ConnectionError)
    child = zoo.client.submit(inc, root)
    grandchild = zoo.client.submit(inc, child)
    for each in (child, grandchild):
        error = each.exception(PATIENCE_S)
        assert isinstance(error, UpstreamFailed)
        assert (error.root, str(error.__cause__)) == (str(root.key), "closed")
    gate.touch()
    zoo.client.retry([root])
    until(lambda: grandchild.status == "finished")
    assert zoo.client.gather([root, child, grandchild]) == [1, 2, 3]


@apart
@pytest.mark.parametrize("function", [tasks.lock, tasks.unloadable])
def test_what_needs_a_result_that_cannot_travel_ends_and_innocent_inputs_arrive(zoo: Zoo, function):
    here, there = sorted(zoo.calm())
    bad = zoo.client.submit(function, workers=[here])
    good = zoo.client.map(inc, range(4), workers=[here])
    needy = zoo.client.submit(tasks.exists, bad, workers=[there])
    innocent = zoo.client.map(inc, good, workers=[there])
    error = needy.exception(PATIENCE_S)
    assert isinstance(error, UpstreamFailed)
    assert "cannot be sent" in str(error.__cause__)
    assert zoo.client.gather(innocent) == [2, 3, 4, 5]
    assert zoo.client.submit(tasks.exists, bad, workers=[here]).result(PATIENCE_S) is True
    needing_all = zoo.client.submit(tasks.how_many, bad, *good, workers=[there])
    assert isinstance(needing_all.exception(PATIENCE_S), UpstreamFailed)
    assert zoo.client.gather(good) == [1, 2, 3, 4]


@apart
def test_dependents_of_a_task_that_kills_its_worker_end_with_the_loss_as_their_cause(zoo: Zoo):
    child = zoo.client.submit(inc, zoo.client.submit(os._exit, 7, retry=NEVER))
    error = child.exception(PATIENCE_S)
    assert isinstance(error, UpstreamFailed)
    assert isinstance(error.__cause__, WorkerLost)


# --- and in the end -------------------------------------------------------------------------------------


@everywhere
def test_after_all_stories_every_task_has_one_end_and_nobody_waits(zoo: Zoo):
    until(
        lambda: (
            not {"pending", "running", "waiting"} & {name for name, n in zoo.session.overview().items() if n}
        )
    )
    ends = Counter(line["key"] for line in zoo.lines("tasks") if line["replaces"] is None)
    assert {key for key, number in ends.items() if number > 1} == set()
