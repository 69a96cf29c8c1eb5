"""A grid where Dask, Python and the client's own methods expect futures: it works, or says what to give."""

from __future__ import annotations

import gc
import pickle
import weakref
from concurrent.futures import CancelledError

import dask
import numpy as np
import pytest
from calls import inc, opened, same, unless_in
from distributed import as_completed, wait
from live import until

from scalable import GridError, Retry, ScalableSession, SessionError

MANY = 100  # so many travel in batches
SOON = Retry(base=0.01, transient=(ValueError,))


def test_wait_waits_for_all_of_a_grid(live):
    grid = live.client.grid(inc, "x[i] -> z[i]", x=range(MANY))
    found = wait(grid, timeout=60)
    assert {each.key for each in found.done} == {each.key for each in grid.futures}
    assert grid.done()
    assert not found.not_done


def test_cancel_cancels_a_grid_as_its_futures(live):
    grid = live.client.grid(inc, "x[i] -> z[i]", x=range(MANY))
    live.client.cancel([grid])
    assert grid.status == "cancelled"


def test_elements_that_were_cancelled_say_so_and_cannot_be_retried(live):
    grid = live.client.grid(inc, "x[i] -> z[i]", x=range(MANY))
    live.client.cancel(grid)
    assert isinstance(grid.exceptions()[0], CancelledError)
    assert {each.outcome for each in grid.failures().values()} == {"cancelled"}
    assert {each["status"] for each in grid.samples()} == {"cancelled"}
    with pytest.raises(GridError, match="100 elements were cancelled, and cannot be run again"):
        grid.retry()
    assert grid.retry(where=np.zeros(MANY)) is grid


@pytest.mark.parametrize("what", ["collect", "retry", "forget"])
def test_what_takes_many_futures_asks_for_these(threads, what):
    grid = threads.client.grid(inc, "x[i] -> z[i]", x=[1])
    with pytest.raises(TypeError, match=r"grid.result\(\) is its array, .* grid.futures"):
        getattr(threads.client, what)(grid)


def test_a_grid_is_not_walked_through(threads):
    grid = threads.client.grid(inc, "x[i] -> z[i]", x=[1])
    for walk in (list, as_completed):
        with pytest.raises(TypeError, match=r"grid.result\(\) is its array"):
            walk(grid)


@pytest.mark.parametrize("errors", ["raise", "skip", "return", "mask"])
def test_gather_leads_to_the_array(threads, errors):
    grid = threads.client.grid(inc, "x[i] -> z[i]", x=[1])
    for given in (grid, [grid], {"a": grid}, iter([grid])):
        with pytest.raises(TypeError, match=r"the results of a grid are grid.result\(\)"):
            threads.client.gather(given, errors=errors)


@pytest.mark.parametrize("what", ["info", "attempts", "times", "failure", "log"])
def test_what_looks_into_one_task_says_what_tells_of_a_grid(threads, what):
    grid = threads.client.grid(inc, "x[i] -> z[i]", x=[1])
    with pytest.raises(TypeError, match=r"tell of all; for one element give grid.key\("):
        getattr(threads.client, what)(grid)


def test_the_key_of_an_element_leads_to_its_attempts(live):
    client = live.client
    grid = client.grid(unless_in, "x[i] -> z[i]", x=range(MANY), bad=[3], retries=1, retry=SOON)
    grid.result()
    assert [each.outcome for each in client.attempts(grid.key(3))] == ["error", "error"]
    assert client.failure(grid.key(3)).exception.message == "bad 3"
    assert client.info(grid.key(np.int64(4))).status == "succeeded"
    for index in ((), (MANY,), (-1,), (0, 0)):
        with pytest.raises(GridError, match="there is no element"):
            grid.key(*index)


def test_a_grid_keeps_futures_of_its_inputs_and_no_values(processes):
    array = np.zeros(500_000)
    known = weakref.ref(array)
    grid = processes.client.grid(first_of, "x[i] -> z[i]", x=range(MANY), y=array)
    grid.result()
    del array
    until(lambda: gc.collect() >= 0 and known() is None)  # what Dask sent is in cycles


@pytest.mark.parametrize("expression", ["status[i] -> z[i]", "status[i], y[status, :] -> z[i, status]"])
def test_samples_with_two_columns_of_one_name_are_refused(threads, expression):
    given = {"status": [1, 2], "y": [[1], [2]]}
    grid = threads.client.grid(
        anything, expression, **{name: each for name, each in given.items() if name in expression}
    )
    with pytest.raises(GridError, match="two columns would be called 'status'"):
        grid.samples()


def anything(**given):
    return sorted(given)


def test_a_grid_within_another_value_is_refused(threads):
    client = threads.client
    grid = client.grid(inc, "x[i] -> z[i]", x=[1])
    for given in ({"x": [grid], "y": 1}, {"x": [1], "y": [grid]}, {"x": [1], "y": {"a": grid}}):
        with pytest.raises(GridError, match="holds grids or collections of Dask's"):
            client.grid(max, "x[i] -> z[i]", **given)
    with pytest.raises(TypeError, match="cannot be sent within another value"):
        pickle.dumps(grid)


def test_dask_is_told_that_a_grid_is_computed_already(threads):
    grid = threads.client.grid(inc, "x[i] -> z[i]", x=[1])
    for what in (dask.compute, threads.client.compute, dask.delayed(len)):
        with pytest.raises(TypeError, match="a grid is computed already"):
            what(grid)


def test_map_takes_a_grid_whole_but_not_in_the_place_of_a_list(threads):
    grid = threads.client.grid(unless_in, "x[i] -> z[i]", x=[1, 2], bad=[2])
    futures = threads.client.map(holes_and, [1, 2], array=grid)
    assert threads.client.gather(futures) == [2, 3]
    with pytest.raises(TypeError, match="for the elements of a grid: client.grid"):
        threads.client.map(inc, grid)


def holes_and(number, array):
    return number + int(array.mask.sum())


def test_collections_of_dask_are_computed_where_they_are_walked_and_refused_where_whole(threads):
    array = pytest.importorskip("dask.array").arange(4, chunks=2)
    assert opened(threads.client.grid(inc, "x[i] -> z[i]", x=array)) == [1, 2, 3, 4]
    assert opened(threads.client.grid(inc, "x[i] -> z[i]", x=dask.delayed(list)([1]))) == [2]
    with pytest.raises(GridError, match=r"y is a collection of Dask's, .* give y.compute\(\)"):
        threads.client.grid(plus, "x[i] -> z[i]", x=[1], y=array)


def test_a_labelled_array_that_is_in_memory_is_no_collection(threads):
    xarray = pytest.importorskip("xarray")
    grid = threads.client.grid(plus, "x[i] -> z[i]", x=[1], y=xarray.DataArray(5))
    assert int(grid.result()[0]) == 6


def plus(x, y):
    return x + y


def test_after_its_session_a_grid_says_that_it_is_over(workdir):
    session = ScalableSession.local(workers=1, threads_per_worker=1)
    client = session.start()
    grid = client.grid(same, "x[i] -> z[i]", x=[1])
    grid.result()
    session.close()
    for ask in (grid.counts, lambda: grid.mask, grid.retry, lambda: client.grid(same, "x[i] -> z[i]", x=[1])):
        with pytest.raises(SessionError, match="is over"):
            ask()
    assert grid.status == "cancelled"


def first_of(x, y):
    return x
