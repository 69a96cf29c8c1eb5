"""Failed elements run again by hand: only they, and what could not run without them."""

from __future__ import annotations

import os

import numpy as np
import pytest
from calls import (
    add,
    exact,
    halves,
    inc,
    key,
    mark,
    numbered,
    opened,
    records,
    runs,
    total,
    unless_in,
    wait_for,
    while_shut,
)
from live import until

from scalable import GridError, PlanError, Retry

MANY = 60
BATCHES = pytest.mark.parametrize("batch", ["auto", 1, 7])


def plus_one(x, place):
    mark(place, x)
    return x + 1


def row_sum(x, place, name):
    mark(place, name)
    return int(np.ma.sum(x))


def until_attempt(x, number):
    from scalable import current_attempt

    if x % 3 == 0 and current_attempt().number < number:
        raise ConnectionError("not yet")
    return current_attempt().number


@pytest.fixture
def place(tmp_path):
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    return tmp_path


def holes_of(grid):
    return np.flatnonzero(grid.result().mask).tolist()


@BATCHES
def test_a_retry_runs_what_failed_and_what_could_not_run_without_it(live, place, batch):
    gate = place / "gate"
    first = live.client.grid(
        while_shut, "x[i] -> y[i]", x=range(MANY), gate=gate, place=place / "first", batch=batch
    )
    second = live.client.grid(plus_one, "x[i] -> y[i]", x=first, place=place / "second", batch=batch)
    assert second.counts() or second.result() is not None
    second.result()
    assert holes_of(second) == list(range(0, MANY, 3))
    gate.touch()
    assert first.retry() is first
    assert opened(first) == list(range(MANY))
    assert opened(second) == list(range(1, MANY + 1))
    assert runs(place / "first") == {str(number): 1 if number % 3 else 2 for number in range(MANY)}
    assert set(runs(place / "second").values()) == {1}
    assert first.counts() == second.counts() == {"succeeded": MANY}
    told = [(line["state"], line["replaces"]) for line in records(live, second, "tasks", 3)]
    assert told == [("failed", None), ("succeeded", "failed")]
    attempts = [(each.number, each.outcome) for each in live.client.attempts(key(first, 3))]
    assert attempts == [(1, "error"), (2, "succeeded")]
    exact(first)
    exact(second)


@BATCHES
def test_a_mask_says_which_elements_are_retried(threads, place, batch):
    grid = threads.client.grid(
        while_shut, "x[i] -> y[i]", x=range(MANY), gate=place / "gate", place=place / "first", batch=batch
    )
    grid.result()
    (place / "gate").touch()
    where = np.zeros(MANY, dtype=bool)
    where[[0, 1, 3, 30]] = True  # 1 did not fail, and stays as it is
    grid.retry(where=where)
    assert holes_of(grid) == [number for number in range(0, MANY, 3) if number not in (0, 3, 30)]
    assert {name for name, many in runs(place / "first").items() if many > 1} == {"0", "3", "30"}
    exact(grid)


@BATCHES
def test_a_function_of_the_failure_says_which_elements_are_retried(threads, place, batch):
    grid = threads.client.grid(
        while_shut, "x[i] -> y[i]", x=range(MANY), gate=place / "gate", place=place / "first", batch=batch
    )
    grid.result()
    (place / "gate").touch()
    grid.retry(lambda failure: failure.exception.message in ("shut for 3", "shut for 9"))
    assert set(range(0, MANY, 3)) - set(holes_of(grid)) == {3, 9}
    exact(grid)


@BATCHES
def test_what_fails_again_is_a_hole_again_and_a_third_round_may_mend_it(live, place, batch):
    grid = live.client.grid(
        while_shut, "x[i] -> y[i]", x=range(MANY), gate=place / "gate", place=place / "first", batch=batch
    )
    after = live.client.grid(inc, "x[i] -> y[i]", x=grid, batch=batch)
    after.result()
    assert int(grid.retry().result().mask.sum()) == int(after.result().mask.sum()) == 20
    assert grid.failures()[(3,)].attempt == 2
    (place / "gate").touch()
    grid.retry()
    assert opened(after) == list(range(1, MANY + 1))
    assert runs(place / "first")["3"] == 3
    assert runs(place / "first")["1"] == 1
    exact(after)


@BATCHES
def test_a_retry_may_be_on_other_terms(threads, batch):
    grid = threads.client.grid(until_attempt, "x[i] -> y[i]", x=range(30), number=4, batch=batch)
    grid.result()
    grid.retry(retry=Retry(retries=1, base=0.01, breaker=False))
    assert int(grid.result().mask.sum()) == 10
    grid.retry(retry=Retry(retries=2, base=0.01, breaker=False))
    assert opened(grid) == [4 if number % 3 == 0 else 1 for number in range(30)]
    exact(grid)


def test_a_retry_may_be_isolated(processes):
    grid = processes.client.grid(pid_or_fail, "x[i] -> y[i]", x=range(8), parent=os.getpid())
    pids = {each for each in opened(grid) if each}
    grid.retry(isolate=True, timeout=30)
    assert None not in opened(grid)
    assert opened(grid)[3] not in pids


def pid_or_fail(x, parent):
    from scalable import current_attempt

    if x == 3 and current_attempt().number == 1:
        raise ValueError("not yet")
    return os.getpid()


def test_retries_reach_through_a_zip_an_outer_product_a_slice_and_a_submit(threads, place):
    gate = place / "gate"
    first = threads.client.grid(while_shut, "x[i] -> y[i]", x=range(12), gate=gate, batch=3)
    zipped = threads.client.grid(add, "x[i], y[i] -> z[i]", x=first, y=range(12), batch=5)
    outer = threads.client.grid(add, "x[i], y[j] -> z[i, j]", x=zipped, y=range(4), batch=6)
    rows = threads.client.grid(
        row_sum, "x[i, :], name[i] -> z[i]", x=outer, name=range(12), place=place / "second", batch=5
    )
    columns = threads.client.grid(
        row_sum, "x[:, j], name[j] -> z[j]", x=outer, name=range(4), place=place / "third", batch=1
    )
    whole = threads.client.submit(total, outer)
    full = [[2 * x + y for y in range(4)] for x in range(12)]
    holed = [[0] * 4 if x % 3 == 0 else full[x] for x in range(12)]
    assert opened(columns) == np.sum(holed, axis=0).tolist()
    assert whole.result() == np.sum(holed)
    assert holes_of(rows) == [0, 3, 6, 9]
    gate.touch()
    first.retry()
    assert outer.result().tolist() == full
    assert opened(rows) == np.sum(full, axis=1).tolist()
    assert opened(columns) == np.sum(full, axis=0).tolist()
    assert whole.result() == np.sum(full)
    assert set(runs(place / "second").values()) == {1}  # rows that were there did not change
    assert set(runs(place / "third").values()) == {2}
    for grid in (first, zipped, outer, rows, columns):
        exact(grid)


@BATCHES
def test_elements_that_were_skipped_may_be_retried_by_the_grid_that_failed_only(threads, place, batch):
    first = threads.client.grid(while_shut, "x[i] -> y[i]", x=range(12), gate=place / "gate", batch=batch)
    second = threads.client.grid(inc, "x[i] -> y[i]", x=first, batch=batch)
    second.result()
    second.retry()
    assert holes_of(second) == [0, 3, 6, 9]
    assert second.counts() == {"succeeded": 8, "upstream": 4}
    (place / "gate").touch()
    first.retry()
    assert opened(second) == list(range(1, 13))
    exact(second)


def test_outputs_share_a_retry(threads, place):
    grid = threads.client.grid(halves_if, "x[i] -> u[i], v[i]", x=range(MANY), gate=place / "gate")
    grid["u"].result()
    (place / "gate").touch()
    grid["u"].retry()
    assert not grid["v"].result().mask.any()
    exact(grid["v"])


def halves_if(x, gate):
    return halves(while_shut(x, gate))


def test_a_grid_whose_whole_argument_failed_is_retried_with_it(threads, place):
    root = threads.client.submit(while_shut, 3, place / "gate")
    grid = threads.client.grid(add, "x[i] -> y[i]", x=range(MANY), y=root)
    assert grid.result().mask.all()
    (place / "gate").touch()
    grid.retry()
    assert opened(grid) == list(range(3, MANY + 3))
    assert grid.counts() == {"succeeded": MANY}
    assert [(line["state"], line["replaces"]) for line in records(threads, grid, "tasks", 5)] == [
        ("failed", None),
        ("succeeded", "failed"),
    ]
    exact(grid)


def test_a_retry_of_what_is_whole_does_nothing(threads, place):
    grid = threads.client.grid(plus_one, "x[i] -> y[i]", x=range(MANY), place=place / "first")
    grid.result()
    grid.retry()
    assert opened(grid) == list(range(1, MANY + 1))
    assert set(runs(place / "first").values()) == {1}


def test_a_retry_while_elements_are_to_come_is_refused(threads, place):
    grid = threads.client.grid(wait_for, "x[i] -> y[i]", x=range(4), gate=place / "gate")
    with pytest.raises(GridError, match="still to come"):
        grid.retry()
    (place / "gate").touch()
    grid.result()


def test_a_retry_while_what_needs_it_runs_is_refused(threads, place):
    first = threads.client.grid(unless_in, "x[i] -> y[i]", x=range(4), bad=(1,))
    first.result()
    after = threads.client.submit(wait_for, first, place / "gate")
    until(lambda: threads.client.info(after).status == "running")
    with pytest.raises(ValueError, match="none was retried: .*wait_for.* has not ended"):
        first.retry()
    (place / "gate").touch()
    after.result()
    first.retry()
    first.result()
    after.result()


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"where": np.ones((2, 2), dtype=bool)}, GridError, "where= has shape (2, 2), and the grid has (4,)"),
        ({"retry": "unknown"}, PlanError, "unknown retry policy 'unknown'"),
        ({"retries": "x"}, TypeError, "retries takes"),
    ],
)
def test_terms_that_cannot_be_meant_are_refused(threads, how, error, words):
    grid = threads.client.grid(unless_in, "x[i] -> y[i]", x=range(4), bad=(1,))
    grid.result()
    with pytest.raises(error) as caught:
        grid.retry(**how)
    assert words in str(caught.value)


def test_numbers_of_attempts_go_on_after_a_retry(threads, place):
    grid = threads.client.grid(number_if, "x[i] -> y[i]", x=range(9), gate=place / "gate", batch=3)
    grid.result()
    (place / "gate").touch()
    grid.retry()
    assert [each[0] for each in opened(grid)] == [2 if number % 3 == 0 else 1 for number in range(9)]


def number_if(x, gate):
    while_shut(x, gate)
    return numbered(x)
