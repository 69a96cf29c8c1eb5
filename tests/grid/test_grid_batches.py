"""Elements travel many together, and each stays its own: its failure, its attempts, its record."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest
from calls import (
    add,
    die_at,
    exact,
    flaky,
    inc,
    key,
    lock_if_in,
    mark,
    numbered,
    opened,
    records,
    runs,
    same,
    unless_in,
    wait_for,
    while_shut,
)
from live import PATIENCE_S, start, touch_and_wait, until

from scalable import FaultPlan, Retry, ScalableSession, SessionError, WorkerLost, cacheable
from scalable.testing import check_run

MANY = 100
SOON = Retry(retries=3, base=0.01, jitter="none", breaker=False)
ONCE_LOST = Retry(retries=0, base=0.01, worker_losses=1)


@cacheable
def remembered(x):
    return x + 1


def from_cache(x):
    return remembered(x)


def slow(x, place):
    """Take long for a batch, which is then cut; say who ran it."""
    mark(place, x)
    time.sleep(0.3)  # that is what makes it slow
    return os.getpid()


def meet(x, place):
    """Come back when two processes are at it: a batch that is held together by one would never end."""
    mark(place, os.getpid())
    until(lambda: len(list(place.iterdir())) == 2)
    return os.getpid()


def stopped_at(x, bad, gate, place):
    mark(place, x)
    if x == bad and not gate.exists():
        gate.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def seconds(text):
    return datetime.fromisoformat(text).timestamp()


def journal_is_whole(live, grid, attempts=None):
    """One line for each element, with times in their order."""
    told = records(live, grid, "tasks")
    assert sorted(line["key"] for line in told) == sorted(
        str(key(grid, *index)) for index in np.ndindex(*grid.shape)
    )
    for line in told:
        if line["state"] == "succeeded":
            assert line["submitted_at"] <= line["started_at"] <= line["finished_at"]
            took_s = seconds(line["finished_at"]) - seconds(line["started_at"])
            assert abs(took_s - line["duration_s"]) < 0.002  # times are cut to milliseconds
            assert line["worker"]
    if attempts is not None:
        assert {line["key"]: line["attempts"] for line in told} == {
            str(key(grid, *index)): attempts(*index) for index in np.ndindex(*grid.shape)
        }


@pytest.mark.parametrize("batch", ["auto", 1, 7, 1000])
def test_each_element_has_one_line_with_its_attempts(live, batch):
    grid = live.client.grid(
        flaky, "x[i] -> y[i]", x=range(MANY), failures=2, retry=SOON, batch=batch, task="fit"
    )
    assert opened(grid) == list(range(MANY))
    journal_is_whole(live, grid, lambda number: 1 if number % 3 else 3)
    (line,) = records(live, grid, "tasks", 1)
    assert (line["function"], line["task"], line["component"]) == ("calls.flaky", "fit", "analysis")
    assert line["call"] == "flaky(x=1, failures=2)"
    (first, second, third) = records(live, grid, "failures", 0)
    assert [line["attempt"] for line in (first, second, third)] == [1, 2, 3]
    assert (first["action"], second["action"], third["event"]) == ("retry", "retry", "recovered")
    assert first["delay_s"] == 0.01
    exact(grid)


def test_quick_elements_share_few_tasks(threads):
    grid = threads.client.grid(inc, "x[i] -> y[i]", x=range(3200))
    assert len(grid.futures) <= 32
    assert opened(grid) == list(range(1, 3201))
    journal_is_whole(threads, grid)


def test_an_element_knows_its_own_key_and_number(live):
    for batch in ("auto", 1):
        grid = live.client.grid(numbered, "x[i] -> y[i]", x=range(MANY), retry=Retry(retries=4), batch=batch)
        assert opened(grid) == [(1, 5, str(key(grid, number))) for number in range(MANY)]


@pytest.mark.parametrize("bad", [0, 3, MANY - 1])
def test_an_element_that_fails_costs_only_itself(live, tmp_path, bad):
    grid = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(bad,), place=tmp_path, batch=10)
    assert np.flatnonzero(grid.result().mask).tolist() == [bad]
    assert set(runs(tmp_path).values()) == {1}
    exact(grid)


def test_a_result_that_cannot_be_sent_costs_only_itself(two_processes):
    grid = two_processes.client.grid(lock_if_in, "x[i] -> y[i]", x=range(MANY), bad=(3, 4), batch=10)
    assert np.flatnonzero(grid.result().mask).tolist() == [3, 4]
    error = grid.exceptions()[3]
    assert isinstance(error, TypeError)
    assert "lock" in str(error)
    assert grid.counts() == {"error": 2, "succeeded": MANY - 2}


def test_a_call_that_returns_too_few_values_for_the_outputs_fails_and_says_so(live):
    for batch in (10, 1):
        grid = live.client.grid(inc, "x[i] -> u[i], v[i]", x=range(MANY), batch=batch)
        assert grid["u"].result().mask.all()
        assert "to return 2 values" in str(grid.exceptions()[0])


def test_retries_run_only_what_is_missing(live, tmp_path):
    grid = live.client.grid(
        flaky, "x[i] -> y[i]", x=range(MANY), failures=2, place=tmp_path, retry=SOON, batch=20
    )
    assert opened(grid) == list(range(MANY))
    assert runs(tmp_path) == {str(number): 1 if number % 3 else 3 for number in range(MANY)}


def test_permanent_errors_are_not_tried_again(live, tmp_path):
    grid = live.client.grid(
        unless_in, "x[i] -> y[i]", x=range(MANY), bad=(7,), place=tmp_path, retry=SOON, batch=20
    )
    assert grid.counts() or grid.result() is not None
    assert np.flatnonzero(grid.result().mask).tolist() == [7]
    assert runs(tmp_path)["7"] == 1


# --- what takes long -----


def test_slow_elements_are_taken_apart_and_run_on_all_workers(processes, tmp_path):
    grid = processes.client.grid(slow, "x[i] -> y[i]", x=range(32), place=tmp_path)
    found = opened(grid)
    assert len(set(found)) == 2
    assert min(found.count(each) for each in set(found)) >= 8
    assert set(runs(tmp_path).values()) == {1}
    journal_is_whole(processes, grid, lambda number: 1)


def test_a_slow_batch_gives_back_what_it_has_not_begun(processes, tmp_path):
    grid = processes.client.grid(meet, "x[i] -> y[i]", x=range(64), place=tmp_path)
    assert len(set(opened(grid))) == 2
    journal_is_whole(processes, grid, lambda number: 1)


def test_a_number_holds_calls_together_whatever_they_take(processes, tmp_path):
    grid = processes.client.grid(slow, "x[i] -> y[i]", x=range(6), place=tmp_path, batch=3)
    found = opened(grid)
    assert found[:3] == [found[0]] * 3
    assert found[3:] == [found[3]] * 3
    assert len(grid.futures) == 2


def test_one_for_a_number_lets_each_travel_alone(threads):
    grid = threads.client.grid(inc, "x[i] -> y[i]", x=range(40), batch=1)
    assert len(grid.futures) == 40
    assert grid.futures[3].key == key(grid, 3)


@pytest.mark.parametrize(
    "how", [{"timeout": 60}, {"isolate": True}, {"idempotent": False}, {"task": "fetch"}]
)
def test_what_can_be_done_for_single_calls_only_lets_them_travel_alone(processes, how):
    grid = processes.client.grid(inc, "x[i] -> y[i]", x=range(3 if "isolate" in how else MANY), **how)
    assert len(grid.futures) == len(grid)
    assert opened(grid) == list(range(1, len(grid) + 1))


# --- workers that die -----


def test_a_worker_that_dies_in_a_batch_re_runs_only_what_has_no_result(mortals, tmp_path):
    (tmp_path / "marks").mkdir()
    grid = mortals.client.grid(
        stopped_at,
        "x[i] -> y[i]",
        x=range(20),
        bad=13,
        gate=tmp_path / "gate",
        place=tmp_path / "marks",
        batch=10,
        retry=ONCE_LOST,
    )
    assert opened(grid) == list(range(20))
    found = runs(tmp_path / "marks")
    assert {name for name, many in found.items() if many > 1} <= {str(number) for number in range(10, 14)}
    assert found["13"] == 2
    journal_is_whole(mortals, grid, lambda number: 1)
    assert records(mortals, grid, "failures") == []  # a batch that is lost costs no element an attempt
    exact(grid)


def test_an_element_that_kills_every_worker_ends_alone(mortals):
    grid = mortals.client.grid(die_at, "x[i] -> y[i]", x=range(40), bad=7, batch=10, retry=ONCE_LOST)
    assert isinstance(grid.exceptions()[7], WorkerLost)
    assert int(grid.result().mask.sum()) == 1
    assert [each.outcome for each in mortals.client.attempts(key(grid, 7))] == ["worker_lost"] * 2
    assert {line["key"] for line in records(mortals, grid, "failures")} == {str(key(grid, 7))}
    exact(grid)


def test_results_that_are_lost_come_back_and_holes_stay_holes(mortals, tmp_path):
    (tmp_path / "gate").mkdir()
    grid = mortals.client.grid(
        unless_in, "x[i] -> y[i]", x=range(MANY), bad=range(0, MANY, 10), place=tmp_path / "gate"
    )
    after = mortals.client.grid(inc, "x[i] -> y[i]", x=grid)
    wanted = [None if number % 10 == 0 else number + 1 for number in range(MANY)]
    assert opened(after) == wanted
    counts = mortals.client.overview()
    records(mortals, after, "tasks")
    before = {file: len(mortals.lines(file)) for file in ("tasks", "failures")}
    workers = mortals.client.cluster.scheduler.workers
    victim = next(iter(workers.values()))
    held = {state.key for state in victim.has_what}
    name = victim.name
    pid = mortals.client.cluster.workers[name].pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: victim.address not in workers)
    assert opened(after) == wanted
    assert opened(grid) == [None if number % 10 == 0 else number for number in range(MANY)]
    assert grid.counts() == {"error": 10, "succeeded": 90}
    assert after.counts() == {"succeeded": 90, "upstream": 10}
    assert mortals.client.overview() == counts
    assert {file: len(mortals.lines(file)) for file in before} == before
    merges = {place for word, place in map(_word_and_place, held) if word == "merge"}
    again = {number for number, many in runs(tmp_path / "gate").items() if many > 1}
    size = grid._built.results.size
    assert {int(number) // size for number in again} <= merges  # nothing whose merged results were elsewhere
    exact(grid)
    exact(after)


def _word_and_place(state_key):
    return (state_key[0].rsplit("-", 2)[1], state_key[1]) if isinstance(state_key, tuple) else ("", -1)


def test_elements_that_failed_first_are_computed_again_with_their_numbers_going_on(mortals, tmp_path):
    grid = mortals.client.grid(
        while_shut, "x[i] -> y[i]", x=range(40), gate=tmp_path / "gate", batch=10, retry=SOON
    )
    grid.result()
    (tmp_path / "gate").touch()
    assert opened(grid.retry()) == list(range(40))
    for worker in list(mortals.client.cluster.workers.values()):
        os.kill(worker.pid, signal.SIGKILL)
    until(lambda: grid.status == "pending" or not mortals.client.cluster.scheduler.workers)
    assert opened(grid) == list(range(40))
    told = [(line["state"], line["replaces"]) for line in records(mortals, grid, "tasks", 3)]
    assert told == [("failed", None), ("succeeded", "failed")]


# --- what else happens to tasks -----


def test_faults_strike_elements(live):
    with live.client.inject(FaultPlan(pattern="XOOOOOOOOO", errors=("KeyError",))):
        grid = live.client.grid(inc, "x[i] -> y[i]", x=range(MANY))
        assert np.flatnonzero(grid.result().mask).tolist() == list(range(0, MANY, 10))
    assert all(failure.injected for failure in grid.failures().values())
    exact(grid)


def test_faults_strike_elements_of_a_grid_that_was_submitted_before(live, tmp_path):
    gate = live.client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "gate")
    grid = live.client.grid(inc, "x[i] -> y[i]", x=range(3200), after=gate)
    until((tmp_path / "mark.1").exists)
    with live.client.inject(FaultPlan(pattern="XOOOOOOO", errors=("KeyError",))):
        (tmp_path / "gate").touch()
        assert grid.result().mask.sum() == 400
    assert all(failure.injected for failure in grid.failures().values())


def test_the_cache_is_told_of_by_element(live):
    first = live.client.grid(from_cache, "x[i] -> y[i]", x=range(MANY))
    assert opened(first) == list(range(1, MANY + 1))
    again = live.client.grid(from_cache, "x[i] -> y[i]", x=range(MANY))
    assert opened(again) == list(range(1, MANY + 1))
    assert {line["cache"] for line in records(live, again, "tasks")} == {"hit"}
    assert {line["event"] for line in records(live, again, "cache")} == {"hit"}
    assert len(records(live, again, "cache")) == MANY
    live.client.forget([])


def test_an_outage_parks_a_grid_and_its_end_releases_it(threads, tmp_path):
    threads.supervisor.parking.close()
    policy = Retry(retries=3, base=0.2, jitter="none")
    grid = threads.client.grid(away, "x[i] -> y[i]", x=range(200), gate=tmp_path / "up", retry=policy)
    until(lambda: threads.session.overview().get("parked", 0) > 20)
    assert grid.status == "pending"
    (tmp_path / "up").touch()
    assert opened(grid) == list(range(200))
    assert "parked" not in threads.session.overview()
    threads.supervisor.parking.close()


def away(x, gate):
    if not gate.exists():
        raise ConnectionError("the service is away")
    return x


def test_a_cancelled_grid_is_all_cancelled_but_for_what_had_ended(live, tmp_path):
    grid = live.client.grid(wait_for, "x[i] -> y[i]", x=range(MANY), gate=tmp_path / "gate", batch=10)
    until(lambda: grid.counts().get("running"))
    grid.cancel()
    (tmp_path / "gate").touch()
    until(grid.done)
    assert grid.status == "cancelled"
    assert grid.result().mask.all()
    assert not grid.exceptions().mask.any()
    until(lambda: len(records(live, grid, "tasks", state="cancelled")) == MANY)
    done = live.client.grid(inc, "x[i] -> y[i]", x=range(MANY))
    done.result()
    done.cancel()
    assert done.status == "finished"


def test_counts_add_up(live):
    before = live.client.overview()
    grid = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(1, 2, 55))
    after = live.client.grid(add, "x[i], y[i] -> z[i]", x=grid, y=range(MANY))
    after.result()
    now = live.client.overview()
    more = {status: now[status] - before[status] for status in now if now[status] != before[status]}
    assert more == {"succeeded": 2 * MANY - 6, "error": 3, "upstream": 3}
    assert (grid.counts(), after.counts()) == (
        {"error": 3, "succeeded": MANY - 3},
        {"succeeded": MANY - 3, "upstream": 3},
    )


# --- sessions of their own -----


def test_a_session_that_is_closed_while_a_grid_runs_has_told_of_every_element(tmp_path):
    live = start(tmp_path, processes=False)
    grid = live.client.grid(wait_for, "x[i] -> y[i]", x=range(MANY), gate=tmp_path / "gate", batch=10)
    after = live.client.grid(inc, "x[i] -> y[i]", x=grid)
    until(lambda: grid.counts().get("running"))
    (tmp_path / "gate").touch()
    live.session.close()
    check_run(live.run_dir)
    assert len(live.lines("tasks")) == 2 * MANY
    assert after.done()


def test_too_many_failures_stop_a_grid_and_what_needs_it(tmp_path):
    live = start(tmp_path, processes=False)
    live.session.close()
    manifest = {
        "version": 1,
        "targets": {"local": {"provider": "local", "max_workers": 2, "processes": False}},
        "telemetry": {"runs_dir": str(tmp_path / "runs")},
    }
    with (session := ScalableSession.from_mapping(manifest | {"max_failures": 5})) as client:
        grid = client.grid(unless_in, "x[i] -> y[i]", x=range(1000), bad=range(0, 1000, 2), batch=10)
        after = client.grid(inc, "x[i] -> y[i]", x=grid)
        errors = [each for each in after.exceptions().compressed() if isinstance(each, SessionError)]
        assert "the run was stopped: 6 tasks failed" in str(errors[0])
        with pytest.raises(SessionError, match="the run was stopped"):
            client.grid(inc, "x[i] -> y[i]", x=[1])
    check_run(session.run_dir)


def test_two_sessions_on_one_scheduler_keep_their_grids_apart(tmp_path):
    first = start(tmp_path, processes=False)
    second = ScalableSession.from_mapping(
        {
            "version": 1,
            "targets": {"there": {"provider": "dask", "address": first.client.scheduler.address}},
            "telemetry": {"runs_dir": str(tmp_path / "other")},
        }
    )
    client = second.start()
    try:
        one = first.client.grid(flaky, "x[i] -> y[i]", x=range(MANY), failures=1, retry=SOON)
        two = client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(1,))
        assert opened(one) == list(range(MANY))
        assert int(two.result().mask.sum()) == 1
        assert first.client.overview()["succeeded"] == MANY
        assert client.overview()["succeeded"] == MANY - 1
        assert opened(one) == list(range(MANY))
    finally:
        second.close()
        first.session.close()
    check_run(first.run_dir)
    check_run(second.run_dir)
    assert len(first.lines("tasks")) == MANY


def test_retries_of_elements_wait_as_was_said(threads):
    policy = Retry(retries=2, base=0.1, factor=2, jitter="none", breaker=False)
    grid = threads.client.grid(flaky, "x[i] -> y[i]", x=range(30), failures=2, retry=policy, batch=10)
    assert grid.result(errors="raise") is not None
    lines = records(threads, grid, "failures", 0)
    assert [line["delay_s"] for line in lines] == [0.1, 0.2, None]
    for before, after in pairwise(lines):
        assert seconds(after["started_at"]) - seconds(before["at"]) >= before["delay_s"] - 0.05
    assert threads.client.submit(same, 1).result(PATIENCE_S) == 1
