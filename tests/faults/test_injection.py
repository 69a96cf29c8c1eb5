"""Faults strike the attempts of a real session: as planned, marked, and as survivable as real ones."""

from __future__ import annotations

import time

import pytest
from live import PATIENCE_S, inc, start, touch_and_wait, until

from scalable import FaultPlan, PlanError, Retry
from scalable.faults.plan import Target
from scalable.testing import check_run

MANY = 24
SOON = Retry(retries=8, base=0.01, jitter="none")


async def inc_async(number):
    return number + 1


def append(file):
    with file.open("a", encoding="utf-8") as opened:
        return opened.write("x") * opened.tell()


def collected(live, plan, function=inc, **how):
    with live.client.inject(plan):
        return live.client.collect(live.client.map(function, range(MANY), **how), progress=False)


def test_a_pattern_strikes_the_elements_of_a_map_in_their_order(live):
    outcome = collected(live, FaultPlan(pattern="XOOOOXOO", errors=("KeyError", "ValueError")))
    assert {place: each.exception.type for place, each in outcome.failures.items()} == {
        0: "KeyError",
        5: "ValueError",
        8: "KeyError",
        13: "ValueError",
        16: "KeyError",
        21: "ValueError",
    }
    assert all(each.injected for each in outcome.failures.values())
    assert {line["injected"] for line in live.lines("failures")} == {True}


def test_the_same_seed_gives_the_same_faults_on_one_slot_and_on_eight(tmp_path):
    found = []
    for name, target in {"one": {"max_workers": 1}, "eight": {"max_workers": 8, "processes": False}}.items():
        (tmp_path / name).mkdir()
        live = start(tmp_path / name, **target)
        outcome = collected(live, FaultPlan(probability=0.3, seed=7), retry=Retry(retries=1, base=0.01))
        struck = [
            (line["call"], line["attempt"], line["exception"])
            for line in live.lines("failures", event="attempt_failed")
        ]
        found.append((sorted(outcome.failures), sorted(struck, key=str)))
        live.session.close()
    assert found[0] == found[1]
    assert found[0][0]


def test_a_run_survives_faults_as_it_survives_failures(live):
    outcome = collected(live, FaultPlan(probability="50%", seed=3), retry=SOON)
    assert outcome.ok
    assert list(outcome.results.values()) == list(range(1, MANY + 1))
    assert live.told("failures", event="recovered")


@pytest.mark.parametrize(
    ("plan", "outcome", "kind"),
    [
        (FaultPlan(kind="memory", first=1), "oom", "MemoryError"),
        (FaultPlan(kind="ulimit", first=1), "error", "OSError"),
        (FaultPlan(kind="dependency", first=1), "error", "scalable.errors.UpstreamFailed"),
        (FaultPlan(kind="timeout", first=1), "error", "scalable.errors.TaskTimeout"),
        (FaultPlan(first=1, errors=("json.JSONDecodeError",)), "error", "json.decoder.JSONDecodeError"),
    ],
    ids=["memory", "ulimit", "dependency", "timeout", "an-error-that-takes-more"],
)
@pytest.mark.parametrize("function", [inc, inc_async])
@pytest.mark.parametrize("isolate", [False, True], ids=["inside", "isolated"])
def test_kinds_fail_as_they_say(processes, plan, outcome, kind, function, isolate):
    with processes.client.inject(plan):
        task = processes.client.submit(function, 1, isolate=isolate)
        assert task.exception(PATIENCE_S) is not None
    (line,) = processes.lines("failures", task)
    assert (line["outcome"], line["exception"]["type"], line["injected"]) == (outcome, kind, True)


def test_a_delay_delays_and_its_task_is_not_injected(threads):
    began = time.monotonic()
    with threads.client.inject(FaultPlan(kind="delay", delay=0.3, first=1)):
        assert threads.client.submit(inc, 1).result(PATIENCE_S) == 2
        task = threads.client.submit(inc, "no number")
        assert isinstance(task.exception(PATIENCE_S), TypeError)
    assert time.monotonic() - began >= 0.6
    assert [line["injected"] for line in threads.lines("failures", task)] == [False]


@pytest.mark.parametrize("isolate", [False, True], ids=["inside", "isolated"])
def test_a_hang_ends_at_the_limit_of_the_task(processes, isolate):
    with processes.client.inject(FaultPlan(kind="hang", max_hang=60, first=1)):
        task = processes.client.submit(
            inc, 1, timeout=6.0, isolate=isolate, retry=Retry(retries=1, base=0.01)
        )
        assert task.result(PATIENCE_S) == 2
    line = processes.lines("failures", task, event="attempt_failed")[0]
    assert (line["outcome"], line["injected"]) == ("timeout", True)


def test_a_fault_may_strike_after_the_function_ran(threads, tmp_path):
    (tmp_path / "gate").touch()
    with threads.client.inject(FaultPlan(when="after", first=1)):
        task = threads.client.submit(touch_and_wait, tmp_path / "ran", tmp_path / "gate")
        assert isinstance(task.exception(PATIENCE_S), OSError)
    assert (tmp_path / "ran.1").exists()


def test_what_is_only_delayed_runs_once(threads, tmp_path):
    with threads.client.inject(FaultPlan(kind="delay", delay=0, when="after", first=1)):
        task = threads.client.submit(append, tmp_path / "ran")
        assert task.result(PATIENCE_S) == 1


def test_memory_is_really_taken_in_an_isolated_task_and_its_worker_lives(processes):
    with processes.client.inject(FaultPlan(kind="memory", memory="allocate", first=1)):
        task = processes.client.submit(inc, 1, tag="small", isolate=True)
        assert isinstance(task.exception(PATIENCE_S), MemoryError)
    (line,) = processes.lines("failures", task)
    assert (line["outcome"], line["injected"]) == ("oom", True)
    assert line["peak_rss_bytes"] > 300_000_000
    assert processes.lines("workers", event="lost") == []


def test_who_dies_with_the_node_under_another_task_fails_by_that_fault(processes, tmp_path):
    beside = processes.client.submit(
        touch_and_wait, tmp_path / "ran", tmp_path / "gate", retry=Retry(base=0.01), key="beside"
    )
    until(lambda: (one := processes.supervisor.tracked.get("beside")) and one.running_on)
    plan = FaultPlan(kind="node-killed", at=["victim:1"], allow_destructive=True)
    with processes.client.inject(plan):
        assert processes.client.submit(inc, 1, key="victim").result(PATIENCE_S) == 2
    (tmp_path / "gate").touch()
    assert beside.result(PATIENCE_S) == 2
    lost = {line["key"]: line for line in processes.lines("failures", event="attempt_failed")}
    assert {key: line["injected"] for key, line in lost.items()} == {"beside": True, "victim": True}
    processes.session.close()
    check_run(processes.run_dir)


@pytest.mark.parametrize("kind", ["worker-killed", "node-killed"])
@pytest.mark.parametrize("isolate", [False, True], ids=["inside", "isolated"])
def test_a_killed_worker_is_a_loss_of_its_task_that_is_injected(processes, kind, isolate):
    before = {each["pid"] for each in processes.told("workers", number=2, event="started")}
    with processes.client.inject(FaultPlan(kind=kind, first=1, allow_destructive=True)):
        task = processes.client.submit(inc, 1, isolate=isolate)
        assert task.result(PATIENCE_S) == 2
    line = processes.lines("failures", task, event="attempt_failed")[0]
    assert (line["outcome"], line["signal"], line["injected"]) == ("worker_lost", "SIGKILL", True)
    lost = processes.told("workers", event="lost", number=1 if kind == "worker-killed" else 2)
    assert {each["pid"] for each in lost} <= before


def test_workers_that_are_threads_are_not_killed(threads):
    plan = FaultPlan(kind="worker-killed", first=1, allow_destructive=True)
    with pytest.raises(PlanError, match="not this session's alone"), threads.client.inject(plan):
        pytest.fail("it began")
    assert threads.client.submit(inc, 1).result(PATIENCE_S) == 2


@pytest.mark.parametrize("name", ["ConectionError", "no_such_module.Error", "json.loads", "int"])
def test_errors_that_there_are_not_are_refused(threads, name):
    with pytest.raises(PlanError, match=name), threads.client.inject(FaultPlan(first=1, errors=(name,))):
        pytest.fail("it began")
    assert threads.client.submit(inc, 1).result(PATIENCE_S) == 2


def test_a_budget_is_not_exceeded(threads):
    outcome = collected(threads, FaultPlan(probability=1.0, budget=5))
    assert len(outcome.failures) == 5


def test_only_the_target_is_struck(threads):
    with threads.client.inject(FaultPlan(probability=1, target=Target(task="fit"))):
        struck = threads.client.submit(inc, 1, task="fit", retries=0)
        spared = threads.client.submit(inc, 1)
        assert struck.exception(PATIENCE_S) is not None
        assert spared.result(PATIENCE_S) == 2


def test_of_blocks_in_one_another_the_inner_one_counts(threads):
    def fails():
        return threads.client.submit(inc, 1).exception(PATIENCE_S) is not None

    with threads.client.inject(FaultPlan(probability=1)):
        with threads.client.inject(FaultPlan(probability=0)):
            assert not fails()
        assert fails()
    assert not fails()


def test_tasks_that_wait_when_a_plan_begins_are_struck_in_the_order_of_their_submission(one_slot, tmp_path):
    busy = one_slot.client.submit(touch_and_wait, tmp_path / "busy", tmp_path / "gate")
    until((tmp_path / "busy.1").exists)
    waiting = [one_slot.client.submit(inc, number) for number in range(8)]
    until(lambda: one_slot.session.overview()["pending"] == len(waiting))
    with one_slot.client.inject(FaultPlan(pattern="OX")):
        (tmp_path / "gate").touch()
        assert busy.result(PATIENCE_S) == 1
        outcome = one_slot.client.collect(waiting, progress=False)
    assert set(outcome.failures) <= {1, 3, 5, 7}
    assert {5, 7} <= set(outcome.failures)  # Dask may have sent the first ones before


@pytest.fixture
def one_slot(tmp_path):
    running = start(tmp_path, processes=False, max_workers=1)
    yield running
    running.session.close()
