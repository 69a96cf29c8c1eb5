"""Results with holes: what failed is missing, what needs it is not made, and everything else is there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from calls import (
    add,
    charge,
    die_at,
    electrostatics,
    exact,
    flaky,
    halves,
    inc,
    key,
    mark,
    opened,
    pair,
    records,
    runs,
    same,
    seen,
    total,
    unless_in,
    wait_for,
)
from live import until

from scalable import Retry, TaskDied, TaskTimeout, UpstreamFailed, WorkerLost

MANY = 100
SOON = Retry(retries=2, base=0.01, jitter="none", breaker=False)
NEVER = Retry(retries=0, worker_losses=0)


def row(x, place, name):
    mark(place, name)
    return seen(x)


def sleep_at(x, bad):
    if x == bad:
        time.sleep(60)
    return x


def killed_at(x, bad):
    if x == bad:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def ranges(places):
    """Consecutive places as pairs of first and last."""
    ends = [each for each in places if each + 1 not in places]
    return [(each, next(end for end in ends if end >= each)) for each in places if each - 1 not in places]


@pytest.fixture
def places(tmp_path):
    for name in ("fields", "charges"):
        (tmp_path / name).mkdir()
    return tmp_path / "fields", tmp_path / "charges"


@pytest.mark.parametrize("batch", ["auto", 1, 7])
def test_of_200_voltages_64_are_within_the_limits_and_the_next_map_runs_just_these(live, places, batch):
    left, right = np.linspace(0, 1, 10), np.linspace(-0.5, 0.5, 20)
    fields = live.client.grid(
        electrostatics,
        "V_left[a], V_right[b] -> electrostatics[a, b]",
        V_left=left,
        V_right=right,
        place=places[0],
        batch=batch,
    )
    charges = live.client.grid(
        charge, "field[a, b] -> charge[a, b]", field=fields, place=places[1], batch=batch
    )
    there = np.flatnonzero(~charges.result().mask.reshape(-1)).tolist()
    assert ranges(there) == [(2, 17), (22, 37), (42, 57), (62, 77)]
    assert len(runs(places[0])) == 200
    assert sum(runs(places[1]).values()) == len(there) == 64
    assert (charges.mask == fields.mask).all()
    assert charges.result()[1, 5] == 2 * (left[1] - right[5])
    exact(fields)
    exact(charges)
    assert (fields.counts(), charges.counts()) == (
        {"error": 136, "succeeded": 64},
        {"succeeded": 64, "upstream": 136},
    )


def test_a_zip_has_the_holes_of_both(live):
    x = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(1, 50))
    y = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(50, 98))
    both = live.client.grid(add, "x[i], y[i] -> z[i]", x=x, y=y)
    assert np.flatnonzero(both.result().mask).tolist() == [1, 50, 98]
    assert both.result()[99] == 198
    exact(both)


def test_an_outer_product_has_whole_rows_of_holes(live):
    x = live.client.grid(unless_in, "x[i] -> y[i]", x=range(10), bad=(2, 7))
    y = live.client.grid(unless_in, "x[i] -> y[i]", x=range(10), bad=(4,))
    outer = live.client.grid(pair, "x[i], y[j] -> z[i, j]", x=x, y=y)
    mask = outer.result().mask
    assert mask[[2, 7]].all()
    assert mask[:, 4].all()
    assert mask.sum() == 2 * 10 + 10 - 2
    exact(outer)


def test_where_all_failed_all_is_masked_and_downstream_runs_nothing_and_says_so(live, tmp_path):
    bad = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=range(MANY))
    after = live.client.grid(unless_in, "x[i] -> z[i]", x=bad, bad=(), place=tmp_path)
    assert bad.result().mask.all()
    assert after.result().mask.all()
    assert runs(tmp_path) == {}
    assert (bad.status, after.status) == ("error", "error")
    for index, failure in after.failures().items():
        assert (failure.outcome, failure.root) == ("upstream", str(key(bad, *index)))
        assert f"{key(bad, *index)} failed: ValueError: bad {index[0]}" in failure.exception.message
    error = after.exceptions()[3]
    assert isinstance(error, UpstreamFailed)
    assert error.root == str(key(bad, 3))
    assert len(records(live, after, "failures", outcome="upstream", root=str(key(bad, 3)))) == 1
    exact(after)


def test_skips_go_on_through_a_chain_and_name_the_root(live):
    first = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(5,))
    second = live.client.grid(inc, "x[i] -> y[i]", x=first)
    third = live.client.grid(inc, "x[i] -> y[i]", x=second)
    (failure,) = third.failures().values()
    assert failure.root == str(key(first, 5))
    assert isinstance(third.exceptions()[5], UpstreamFailed)
    assert third.counts() == {"succeeded": MANY - 1, "upstream": 1}


@pytest.mark.parametrize("batch", ["auto", 1])
def test_of_several_outputs_an_element_is_a_hole_in_all_or_none(live, batch):
    grid = live.client.grid(halves, "x[a] -> u[a], v[a]", x=range(MANY), bad=(8, 9), batch=batch)
    found = grid.result()
    assert (found["u"].mask == found["v"].mask).all()
    assert np.flatnonzero(found["u"].mask).tolist() == [8, 9]
    assert (found["u"][99], found["v"][99]) == (49, 50)
    assert [each["u"] for each in grid.samples()[8:11]] == [None, None, 5]
    after = live.client.grid(inc, "x[a] -> y[a]", x=grid["v"])
    assert np.flatnonzero(after.result().mask).tolist() == [8, 9]
    exact(grid["u"])


def test_an_element_that_fails_before_it_succeeds_is_no_hole_and_its_attempts_are_told(live):
    grid = live.client.grid(flaky, "x[i] -> y[i]", x=range(MANY), failures=2, retry=SOON)
    assert opened(grid) == list(range(MANY))
    assert grid.exceptions().mask.all()
    assert grid.failures() == {}
    for number in (0, 33):
        told = [(each.number, each.outcome) for each in live.client.attempts(key(grid, number))]
        assert told == [(1, "error"), (2, "error"), (3, "succeeded")]
    assert [each.outcome for each in live.client.attempts(key(grid, 1))] == ["succeeded"]


def test_what_is_exhausted_has_its_last_failure(live):
    grid = live.client.grid(flaky, "x[i] -> y[i]", x=range(MANY), failures=9, retry=SOON)
    assert grid.status == "pending" or grid.done()
    assert np.flatnonzero(grid.result().mask).tolist() == list(range(0, MANY, 3))
    assert {failure.attempt for failure in grid.failures().values()} == {3}
    assert grid.counts() == {"error": 34, "succeeded": 66}
    exact(grid)


def test_a_kept_failure_is_the_users_own_exception_with_notes(live):
    grid = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(5,), task="fit")
    error = grid.exceptions()[5]
    assert type(error) is ValueError
    assert any("fit failed" in note for note in error.__notes__)
    assert "in unless_in" in grid.failures()[(5,)].traceback


# --- ways to die -----


def test_exceptions_has_what_died_with_its_worker(mortals):
    grid = mortals.client.grid(die_at, "x[i] -> y[i]", x=range(MANY), bad=40, retry=NEVER)
    assert opened(grid) == [None if number == 40 else number for number in range(MANY)]
    error = grid.exceptions()[40]
    assert isinstance(error, WorkerLost)
    assert error.exit_code == 7
    assert grid.counts() == {"lost": 1, "succeeded": MANY - 1}
    exact(grid)


def test_exceptions_has_what_was_killed(mortals):
    grid = mortals.client.grid(killed_at, "x[i] -> y[i]", x=range(20), bad=3, retry=NEVER)
    assert isinstance(grid.exceptions()[3], WorkerLost)
    assert grid.failures()[(3,)].signal == "SIGKILL"
    exact(grid)


def test_exceptions_has_what_died_in_a_process_of_its_own(processes):
    grid = processes.client.grid(die_at, "x[i] -> y[i]", x=range(6), bad=4, isolate=True)
    assert isinstance(grid.exceptions()[4], TaskDied)
    assert grid.counts() == {"died": 1, "succeeded": 5}
    after = processes.client.grid(inc, "x[i] -> y[i]", x=grid)
    assert opened(after) == [1, 2, 3, 4, None, 6]
    exact(grid)


def test_exceptions_has_what_overran_its_limit(processes):
    grid = processes.client.grid(sleep_at, "x[i] -> y[i]", x=range(4), bad=2, timeout=4, isolate=True)
    assert isinstance(grid.exceptions()[2], TaskTimeout)
    assert grid.counts() == {"succeeded": 3, "timeout": 1}
    exact(grid)


# --- whole grids and slices with holes -----


def test_a_submit_gets_the_whole_masked_array(live):
    grid = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(0, 1, 2))
    kind, shape, values = live.client.submit(seen, grid).result()
    assert (kind, shape, values) == (np.ma.MaskedArray, (MANY,), [None] * 3 + list(range(3, MANY)))
    assert live.client.submit(total, grid).result() == sum(range(3, MANY))
    assert live.client.submit(total, grid, on_holes="pass").result() == sum(range(3, MANY))


def test_a_submit_is_skipped_where_there_are_holes_if_so_asked(live):
    grid = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(7,))
    future = live.client.submit(total, grid, on_holes="skip")
    error = future.exception()
    assert isinstance(error, UpstreamFailed)
    assert error.root == str(key(grid, 7))
    whole = live.client.grid(same, "x[i] -> y[i]", x=range(MANY))
    assert live.client.submit(total, whole, on_holes="skip").result() == sum(range(MANY))


def test_a_submit_fails_where_there_are_holes_if_so_asked(live):
    grid = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=(7, 8))
    future = live.client.submit(total, grid, on_holes="raise")
    with pytest.raises(ValueError, match="2 of 100 elements of an input failed, the first with ValueError"):
        future.result()


def test_a_submit_of_nothing_but_holes_is_never_made(live):
    grid = live.client.grid(unless_in, "x[i] -> y[i]", x=range(3), bad=range(3))
    assert isinstance(live.client.submit(total, grid).exception(), UpstreamFailed)


@pytest.mark.parametrize(
    ("on_holes", "whole", "outcomes"),
    [
        ("pass", [0, 1], {2: "upstream"}),
        ("skip", [0], {1: "upstream", 2: "upstream"}),
        ("raise", [0], {1: "error", 2: "error"}),
    ],
)
@pytest.mark.parametrize("batch", [1, 2])
def test_slices_with_holes_are_treated_as_was_asked(live, tmp_path, on_holes, whole, outcomes, batch):
    x = live.client.grid(unless_in, "x[i, j] -> y[i, j]", x=np.arange(9).reshape(3, 3), bad=(3, 6, 7, 8))
    rows = live.client.grid(
        row,
        "x[i, :], name[i] -> r[i]",
        x=x,
        name=range(3),
        place=tmp_path,
        on_holes=on_holes,
        batch=batch,
    )
    assert [index for (index,) in np.argwhere(~rows.result().mask)] == whole
    assert {index: failure.outcome for (index,), failure in rows.failures().items()} == outcomes
    assert sorted(runs(tmp_path)) == [str(each) for each in whole]
    assert rows.result()[0] == (np.ma.MaskedArray, (3,), [0, 1, 2])
    if on_holes == "pass":
        assert rows.result()[1] == (np.ma.MaskedArray, (3,), [None, 4, 5])
    exact(rows)


# --- masked arrays as inputs -----


@pytest.mark.parametrize("batch", ["auto", 1])
def test_masked_elements_of_an_array_are_inputs_that_do_not_exist(live, tmp_path, batch):
    x = np.ma.MaskedArray(range(MANY), mask=[number % 10 == 3 for number in range(MANY)])
    grid = live.client.grid(unless_in, "x[i] -> y[i]", x=x, bad=(), place=tmp_path, batch=batch)
    assert opened(grid) == [None if number % 10 == 3 else number for number in range(MANY)]
    assert len(runs(tmp_path)) == 90
    failure = grid.failures()[(3,)]
    assert (failure.outcome, failure.root) == ("upstream", "x")
    assert "it is masked" in failure.exception.message
    exact(grid)


def test_masked_objects_are_told_from_empty_ones(threads):
    x = np.ma.MaskedArray(np.empty(5, dtype=object), mask=[0, 0, 0, 0, 1])
    x.data[:] = [[], [1, [2]], None, {}, "masked"]
    grid = threads.client.grid(same, "x[i] -> y[i]", x=x)
    assert grid.result().mask.tolist() == [False] * 4 + [True]
    assert opened(grid) == [[], [1, [2]], None, {}, None]


def test_a_row_with_some_masked_elements_is_handed_over_masked(threads):
    x = np.ma.MaskedArray(np.arange(6).reshape(3, 2), mask=[[0, 0], [0, 1], [1, 1]])
    grid = threads.client.grid(seen, "array[i, :] -> y[i]", array=x)
    assert grid.result().mask.tolist() == [False, False, True]
    assert [each[2] for each in opened(grid)[:2]] == [[0, 1], [2, None]]


def test_the_result_of_a_grid_is_an_input_like_the_grid(threads):
    first = threads.client.grid(unless_in, "x[i] -> y[i]", x=range(10), bad=(2,))
    again = threads.client.grid(inc, "x[i] -> y[i]", x=first.result())
    assert opened(again) == opened(threads.client.grid(inc, "x[i] -> y[i]", x=first))


# --- what fails as a whole -----


@pytest.mark.parametrize("batch", ["auto", 1])
def test_where_a_whole_argument_failed_no_element_is_made_and_each_is_told(live, tmp_path, batch):
    root = live.client.submit(unless_in, 1, [1])
    grid = live.client.grid(unless_in, "x[i] -> y[i]", x=range(MANY), bad=root, place=tmp_path, batch=batch)
    assert grid.result().mask.all()
    assert runs(tmp_path) == {}
    assert {failure.outcome for failure in grid.failures().values()} == {"upstream"}
    assert "failed: ValueError: bad 1" in str(grid.exceptions()[5])
    told = records(live, grid, "tasks")
    assert sorted(line["key"] for line in told) == sorted(str(key(grid, number)) for number in range(MANY))
    assert {(line["state"], line["attempts"]) for line in told} == {("failed", 0)}
    failed = records(live, grid, "failures")
    assert len(failed) == MANY
    assert {(line["outcome"], line["root"]) for line in failed} == {("upstream", str(root.key))}
    exact(grid)


@pytest.mark.parametrize("batch", ["auto", 1])
def test_where_the_input_was_cancelled_each_element_is_told(live, tmp_path, batch):
    first = live.client.grid(wait_for, "x[i] -> y[i]", x=range(MANY), gate=tmp_path / "gate", batch=batch)
    after = live.client.grid(inc, "x[i] -> y[i]", x=first, batch=batch)
    until(lambda: first.counts().get("running"))
    first.cancel()
    (tmp_path / "gate").touch()
    assert after.result().mask.all()
    assert {failure.outcome for failure in after.failures().values()} == {"upstream"}
    assert "CancelledError" in str(after.exceptions()[0])
    assert len(records(live, after, "tasks", state="failed")) == MANY
    assert first.status == "cancelled"
    assert first.counts() == {"cancelled": MANY}
    assert {failure.outcome for failure in first.failures().values()} <= {"cancelled", "error"}
    until(lambda: len(records(live, first, "tasks")) == MANY)


def test_an_array_of_results_may_be_asked_for_while_it_comes(threads, tmp_path):
    grid = threads.client.grid(wait_for, "x[i] -> y[i]", x=range(4), gate=tmp_path / "gate")
    assert not grid.done()
    assert grid.status == "pending"
    assert sum(grid.counts().values()) == 4
    assert not grid.mask.any()
    (tmp_path / "gate").touch()
    assert opened(grid) == [0, 1, 2, 3]
    assert Path(tmp_path / "gate").exists()
