"""A grid's results: which call gets what, in which order and shape, and what cannot be meant."""

from __future__ import annotations

import numpy as np
import pytest
from calls import (
    add,
    exact,
    inc,
    inc_async,
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
)
from live import until

from scalable import GridError, PlanError, SessionError

MANY = 100  # so many travel in batches


def both(x, y, place):
    mark(place, f"{x}-{y}")
    return 10 * x + y


def three(x, y, z):
    return 100 * x + 10 * y + z


def slices(x, y):
    return x, np.asarray(y).tolist()


def scaled(x, factor, offset=0):
    return factor * x + offset


def whole_sum(x, array):
    return x + int(array.sum())


def named(retries, task):
    return retries, task


def anything(**given):
    return sorted(given)


def by_position(x, /):
    return x


def trained(rate, batch=8, after=None, on_holes=""):
    return rate, batch, after, on_holes


def test_different_indices_are_an_outer_product(live, tmp_path):
    grid = live.client.grid(both, "x[a], y[b] -> z[a, b]", x=range(10), y=range(12), place=tmp_path)
    assert grid.dims == ("a", "b")
    assert grid.result().tolist() == [[10 * a + b for b in range(12)] for a in range(10)]
    assert set(runs(tmp_path).values()) == {1}
    assert len(runs(tmp_path)) == len(grid) == 120
    exact(grid)


def test_a_shared_index_is_a_zip(live):
    grid = live.client.grid(add, "x[i], y[i] -> z[i]", x=range(MANY), y=range(0, 10 * MANY, 10))
    assert opened(grid) == [11 * number for number in range(MANY)]


def test_both_mix(threads):
    grid = threads.client.grid(three, "x[a], y[a], z[b] -> r[a, b]", x=range(5), y=range(5), z=np.arange(20))
    assert grid.result().tolist() == [[110 * a + b for b in range(20)] for a in range(5)]


def test_a_shared_axis_of_arrays_of_two_ranks_has_the_shape_of_both(threads):
    x, y = np.arange(100).reshape(10, 10), np.arange(100).reshape(10, 5, 2)
    grid = threads.client.grid(add, "x[i, j], y[j, k, l] -> z[i, j, k, l]", x=x, y=y)
    assert grid.shape == (10, 10, 5, 2)
    assert (grid.result() == x[:, :, None, None] + y[None]).all()


def test_a_slice_is_handed_over_whole_and_elements_count_in_row_major_order(threads):
    x, y = np.arange(10).reshape(5, 2), np.arange(2 * 4 * 3).reshape(2, 4, 3)
    grid = threads.client.grid(slices, "x[i, j], y[j, :, k] -> z[i, j, k]", x=x, y=y)
    assert grid.shape == (5, 2, 3)
    assert opened(grid)[23] == (x[3, 1], y[1, :, 2].tolist())
    assert grid.result()[3, 1, 2] == opened(grid)[23]


def test_the_axes_of_the_output_come_in_any_order(threads):
    x = np.arange(24).reshape(2, 3, 4)
    grid = threads.client.grid(same, "x[i, j, k] -> z[k, i, j]", x=x)
    assert (grid.result() == x.transpose(2, 0, 1)).all()
    assert grid.dims == ("k", "i", "j")


def test_what_is_not_named_is_passed_whole_and_defaults_hold(live):
    array = np.arange(6).reshape(2, 3)
    assert opened(live.client.grid(scaled, "x[i] -> z[i]", x=range(MANY), factor=3)) == list(
        range(0, 3 * MANY, 3)
    )
    assert opened(live.client.grid(whole_sum, "x[i] -> z[i]", x=[1, 2], array=array)) == [16, 17]


def test_a_large_argument_is_sent_once(live):
    array = np.ones(200_000)
    grid = live.client.grid(whole_sum, "x[i] -> z[i]", x=range(MANY), array=array)
    assert opened(grid) == [200_000 + number for number in range(MANY)]
    tasks = live.client.cluster.scheduler.tasks
    sizes = {each: state.nbytes for each, state in tasks.items() if "-input-" in str(each)}
    assert len(sizes) == 1
    assert records(live, grid, "tasks")
    assert not [line for line in live.lines("tasks") if "-input-" in line["key"]]


def test_a_future_may_be_a_whole_argument(live):
    grid = live.client.grid(scaled, "x[i] -> z[i]", x=range(MANY), factor=live.client.submit(inc, 1))
    assert opened(grid) == list(range(0, 2 * MANY, 2))


def test_coroutine_functions_are_awaited(live):
    for batch in ("auto", 1):
        grid = live.client.grid(inc_async, "x[i] -> z[i]", x=range(MANY), batch=batch)
        assert opened(grid) == list(range(1, MANY + 1))


def test_functions_with_any_keywords_take_what_is_named(threads):
    grid = threads.client.grid(anything, "x[i], y[i] -> z[i]", x=[1], y=[2], other=3)
    assert opened(grid) == [["other", "x", "y"]]


def test_parameters_that_are_named_like_keywords_are_given_as_inputs(threads):
    grid = threads.client.grid(
        named, "retries[i] -> z[i]", inputs={"retries": [1, 2], "task": "own"}, retries=1
    )
    assert opened(grid) == [(1, "own"), (2, "own")]


# --- inputs of all sorts -----


@pytest.mark.parametrize(
    "given",
    [[1, 2, 3], (1, 2, 3), range(1, 4), np.array([1, 2, 3]), np.ma.MaskedArray([1, 2, 3])],
    ids=lambda given: type(given).__name__,
)
def test_lists_tuples_ranges_and_arrays_are_inputs(threads, given):
    grid = threads.client.grid(inc, "x[i] -> z[i]", x=given)
    assert opened(grid) == [2, 3, 4]
    assert [int(each["x"]) for each in grid.samples() if "x" in each] in ([1, 2, 3], [])


def test_nested_lists_are_as_deep_as_there_are_axes(threads):
    grid = threads.client.grid(same, "x[i, j] -> z[i, j]", x=[[[1], "ab"], [None, {}]])
    assert grid.result().tolist() == [[[1], "ab"], [None, {}]]
    deep = threads.client.grid(same, "x[i, j, k] -> z[i, j, k]", x=[[[1, 2]], [[3, 4]]])
    assert deep.result().tolist() == [[[1, 2]], [[3, 4]]]


def test_elements_may_be_lists_of_any_lengths(threads):
    given = [[1], [2, 3], []]
    assert opened(threads.client.grid(same, "x[i] -> z[i]", x=given)) == given


def test_a_series_is_walked_by_place_whatever_its_index(threads):
    pandas = pytest.importorskip("pandas")
    series = pandas.Series([1, 2, 3], index=[10, 20, 30])
    grid = threads.client.grid(inc, "x[i] -> z[i]", x=series)
    assert opened(grid) == [2, 3, 4]
    assert [each["x"] for each in grid.samples()] == [1, 2, 3]


def test_a_table_has_two_axes(threads):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]})
    grid = threads.client.grid(inc, "x[i, j] -> z[i, j]", x=table)
    assert grid.result().tolist() == [[2, 5], [3, 6], [4, 7]]
    with pytest.raises(GridError, match="x has rank 2"):
        threads.client.grid(inc, "x[i] -> z[i]", x=table)


def test_a_labelled_array_is_an_input(threads):
    xarray = pytest.importorskip("xarray")
    given = xarray.DataArray([[1, 2], [3, 4]], dims=("p", "q"))
    assert threads.client.grid(inc, "x[i, j] -> z[i, j]", x=given).result().tolist() == [[2, 3], [4, 5]]
    line = xarray.DataArray([1.5, 2.5], dims="p")
    samples = threads.client.grid(inc, "x[i] -> z[i]", x=line).samples()
    assert [(type(each["x"]), each["x"]) for each in samples] == [(np.float64, 1.5), (np.float64, 2.5)]


def test_an_array_of_dask_is_computed(threads):
    array = pytest.importorskip("dask.array")
    grid = threads.client.grid(inc, "x[i, j] -> z[i, j]", x=array.arange(4, chunks=2).reshape(2, 2))
    assert opened(grid) == [1, 2, 3, 4]


# --- the array of results -----


def test_the_result_is_a_masked_array_of_objects(threads):
    grid = threads.client.grid(same, "x[i] -> z[i]", x=[1, "two", None, [3]])
    assert grid.result().dtype == object
    assert isinstance(grid.result(), np.ma.MaskedArray)
    assert opened(grid) == [1, "two", None, [3]]


def test_none_is_a_value_and_no_hole(live):
    grid = live.client.grid(same, "x[i] -> z[i]", x=[None] * MANY)
    assert not grid.result().mask.any()
    assert grid.status == "finished"
    assert opened(live.client.grid(same, "x[i] -> z[i]", x=grid)) == [None] * MANY


@pytest.mark.parametrize("values", [[1, 2, 3], [1.5, 2.5, 3.5], [1, 2.5, np.float32(3)]])
def test_holes_among_numbers_are_filled_with_nan(threads, values):
    grid = threads.client.grid(unless_in, "x[i] -> z[i]", x=values, bad=values[1:2])
    filled = grid.result().filled()
    assert filled[0] == values[0]
    assert np.isnan(filled[1])
    assert filled[2] == values[2]


def test_holes_among_other_things_are_filled_with_none(threads):
    grid = threads.client.grid(unless_in, "x[i] -> z[i]", x=["a", "b"], bad=["b"])
    assert grid.result().filled().tolist() == ["a", None]


def test_raising_raises_all_that_was_raised(live):
    grid = live.client.grid(unless_in, "x[i] -> z[i]", x=range(MANY), bad=(3, 50))
    with pytest.raises(ExceptionGroup, match="2/100 elements failed: ValueError: bad 3; ") as caught:
        grid.result(errors="raise")
    assert [str(each) for each in caught.value.exceptions] == ["bad 3", "bad 50"]
    good = live.client.grid(same, "x[i] -> z[i]", x=range(MANY))
    assert good.result(errors="raise").tolist() == list(range(MANY))


def test_another_word_for_errors_is_refused(threads):
    grid = threads.client.grid(same, "x[i] -> z[i]", x=[1])
    with pytest.raises(ValueError, match="'mask' or 'raise', not 'skip'"):
        grid.result(errors="skip")


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
@pytest.mark.parametrize("batch", ["auto", 1, 5])
def test_an_axis_without_length_is_an_empty_result_and_no_task(threads, shape, batch):
    def untouched(x):
        raise AssertionError(x)

    axes = "i" if len(shape) == 1 else "i, j"
    grid = threads.client.grid(untouched, f"x[{axes}] -> z[{axes}]", x=np.zeros(shape), batch=batch)
    assert threads.client.submit(inc, 1).result() == 2  # what was sent before has arrived by now
    assert not [key for key in threads.client.cluster.scheduler.tasks if "untouched" in str(key)]
    assert grid.result().shape == grid.exceptions().shape == grid.mask.shape == shape
    assert (grid.status, grid.counts(), grid.samples(), grid.done()) == ("finished", {}, [], True)
    after = threads.client.grid(inc, f"x[{axes}] -> z[{axes}]", x=grid, batch=batch)
    assert after.result().shape == shape
    assert grid.retry() is grid
    grid.cancel()


def test_a_grid_is_an_argument_of_submit_as_its_array(live):
    grid = live.client.grid(inc, "x[i, j] -> z[i, j]", x=np.arange(100).reshape(4, 25))
    future = live.client.submit(seen, grid)
    assert future.result() == (np.ma.MaskedArray, (4, 25), (np.arange(1, 101).reshape(4, 25)).tolist())
    assert live.client.submit(total, array=grid).result() == 5050
    assert live.client.submit(add, 1, y=live.client.submit(total, grid)).result() == 5051


def test_a_submit_that_takes_a_grid_has_the_key_it_is_given(threads):
    grid = threads.client.grid(inc, "x[i] -> z[i]", x=range(3))
    future = threads.client.submit(total, grid, key="the-total")
    assert (future.key, future.result()) == ("the-total", 6)


# --- several outputs -----


def test_several_outputs_are_arrays_of_their_own(live):
    grid = live.client.grid(pair, "x[i], y[i] -> u[i], v[i]", x=range(MANY), y=range(MANY, 2 * MANY))
    assert grid.names == ("u", "v")
    found = grid.result()
    assert found["u"].tolist() == list(range(MANY))
    assert found["v"].tolist() == list(range(MANY, 2 * MANY))
    assert grid["v"].result().tolist() == found["v"].tolist()
    assert opened(live.client.grid(add, "x[i], y[i] -> z[i]", x=grid["u"], y=grid["v"])) == [
        MANY + 2 * number for number in range(MANY)
    ]
    assert live.client.submit(total, grid["v"]).result() == sum(range(MANY, 2 * MANY))


def test_one_of_several_outputs_has_its_own_name_and_is_its_own_output(threads):
    grid = threads.client.grid(pair, "x[i], y[i] -> u[i], v[i]", x=[1], y=[2])
    assert grid["v"].names == ("v",)
    assert repr(grid["v"]) == "<GridFuture v (i: 1): 1 elements>"
    assert grid["v"]["v"].result().tolist() == [2]
    assert grid["v"].samples() == [{"x": 1, "y": 2, "status": "succeeded", "v": 2}]


def test_the_only_output_may_be_asked_for_by_name(threads):
    grid = threads.client.grid(inc, "x[i] -> z[i]", x=[1, 2])
    assert grid["z"].result().tolist() == [2, 3]
    assert opened(threads.client.grid(same, "x[i] -> y[i]", x=grid["z"])) == [2, 3]


def test_an_output_that_is_not_there_is_named(threads):
    grid = threads.client.grid(pair, "x[i], y[i] -> u[i], v[i]", x=[1], y=[2])
    with pytest.raises(KeyError, match="'w' is no output of this grid: it has u, v"):
        grid["w"]


# --- what is wrong -----


@pytest.mark.parametrize(
    ("expression", "given", "words"),
    [
        ("x[i] -> z[i]", {}, "the input 'x' is missing; give x="),
        ("x[i], q[i] -> z[i]", {"x": [1], "q": [1]}, "add has no parameter 'q'"),
        ("x[i] -> z[i]", {"x": [1]}, "missing a required argument: 'y'"),
        ("x[i] -> z[i]", {"x": [1], "y": 1, "w": 2}, "unexpected keyword argument 'w'"),
        ("x[i] -> z[i]", {"x": 5, "y": 1}, "x is to have 1 axes, and int has none"),
        ("x[i] -> z[i]", {"x": "text", "y": 1}, "str has none"),
        ("x[i] -> z[i]", {"x": {1: 2}, "y": 1}, "dict has none"),
        ("x[i] -> z[i]", {"x": {1, 2}, "y": 1}, "set has none"),
        ("x[i] -> z[i]", {"x": iter([1]), "y": 1}, "list_iterator has none: give an array or a list"),
        ("x[i] -> z[i]", {"x": np.zeros((2, 2)), "y": 1}, "x has rank 2, its shape is (2, 2)"),
        ("x[i, j] -> z[i, j]", {"x": [[1, 2], [3]], "y": 1}, "the lists of x differ in length: 1 and 2"),
        ("x[i, j] -> z[i, j]", {"x": [[], [3]], "y": 1}, "the lists of x differ in length: 0 and 1"),
        ("x[i, j] -> z[i, j]", {"x": [1, 2], "y": 1}, "x is to have 2 axes, and its lists are 1 deep"),
        ("x[i, j] -> z[i, j]", {"x": [[1, 2], 3], "y": 1}, "x is to have 2 axes, and its lists are 1 deep"),
        ("x[i, j] -> z[i, j]", {"x": [["a", "b"], "cd"], "y": 1}, "its lists are 1 deep"),
        ("x[i], y[i] -> z[i]", {"x": [1], "y": [1, 2]}, "the axis 'i' has size 1 in x, but size 2 in y"),
        ("x[i] - z[i]", {"x": [1], "y": 1}, "x[i] - z[i]"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(threads, expression, given, words):
    with pytest.raises(GridError) as caught:
        threads.client.grid(add, expression, **given)
    assert words in str(caught.value)


def test_futures_within_lists_are_refused(threads):
    futures = threads.client.map(inc, range(2))
    for given in ({"x": futures, "y": 1}, {"x": [1], "y": futures}, {"x": [1], "y": {"a": futures[0]}}):
        with pytest.raises(GridError, match="holds futures"):
            threads.client.grid(add, "x[i] -> z[i]", **given)
    with pytest.raises(GridError, match="holds futures"):
        threads.client.grid(same, "x[i, j] -> z[i, j]", x=[futures])


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"batch": 0}, GridError, "batch is 'auto' or how many calls travel together, not 0"),
        ({"batch": True}, GridError, "not True"),
        ({"batch": "many"}, GridError, "not 'many'"),
        ({"batch": 2.0}, GridError, "not 2.0"),
        ({"after": 3}, TypeError, "after takes futures, not int"),
        ({"after": "key"}, TypeError, "after takes futures, not str"),
        ({"inputs": [1]}, GridError, "inputs= takes a dict of parameters by their names, not list"),
        ({"batch": 2, "timeout": 1}, GridError, "batch=2 holds calls together, and timeout is for single"),
        ({"batch": 2, "isolate": True}, GridError, "isolate=True is for single ones"),
        ({"batch": 2, "idempotent": False}, GridError, "idempotent=False is for single ones"),
        ({"on_holes": "ignore"}, GridError, "'pass', 'skip' or 'raise', not 'ignore'"),
        ({"inputs": {"x": [1]}}, GridError, "'x' is given twice, in inputs= and as a keyword"),
        ({"retries": "many"}, TypeError, "retries takes a whole number"),
        ({"retry": "unknown"}, PlanError, "unknown retry policy 'unknown'"),
        ({"tag": "unknown"}, PlanError, "unknown component 'unknown'"),
        ({"timeout": "soon"}, PlanError, "no duration"),
    ],
)
def test_keywords_that_cannot_be_meant_are_refused(threads, how, error, words):
    with pytest.raises(error) as caught:
        threads.client.grid(inc, "x[i] -> z[i]", x=[1, 2], **how)
    assert words in str(caught.value)


def test_a_parameter_that_grid_would_keep_is_refused(threads):
    with pytest.raises(GridError, match=r"named\(\) has a parameter 'retries' of its own"):
        threads.client.grid(named, "task[i] -> z[i]", inputs={"task": [1]}, retries=1)


@pytest.mark.parametrize("given", [{"batch": 32}, {"on_holes": "skip"}, {"after": []}])
def test_a_parameter_that_is_named_like_a_keyword_of_grids_alone_is_refused_too(threads, given):
    with pytest.raises(GridError, match=r"trained\(\) has a parameter '\w+' of its own, .* inputs="):
        threads.client.grid(trained, "rate[i] -> z[i]", rate=[1], **given)
    assert opened(threads.client.grid(trained, "rate[i] -> z[i]", rate=[1], inputs=given))[0] != (
        1,
        8,
        None,
        "",
    )


def test_a_function_with_places_only_cannot_be_called_by_name(threads):
    with pytest.raises(GridError, match="takes 'x' by place only, .* write a function around it"):
        threads.client.grid(by_position, "x[i] -> z[i]", x=[1])


@pytest.mark.parametrize("what", [3, "inc", None])
def test_what_is_no_function_is_refused(threads, what):
    with pytest.raises(GridError, match="a grid is of calls of a function, and .* is none"):
        threads.client.grid(what, "x[i] -> z[i]", x=[1])


def test_a_number_of_numpy_holds_so_many_together(threads):
    assert len(threads.client.grid(same, "x[i] -> z[i]", x=range(6), batch=np.int64(3)).futures) == 2


def test_a_session_that_was_stopped_takes_no_grid(threads, monkeypatch):
    monkeypatch.setattr(threads.client, "_stopped", "the run was stopped")
    with pytest.raises(SessionError, match="the run was stopped"):
        threads.client.grid(inc, "x[i] -> z[i]", x=[1])


def test_a_grid_says_what_it_is(threads):
    grid = threads.client.grid(pair, "x[i], y[j] -> u[i, j], v[i, j]", x=[1, 2], y=[3])
    assert repr(grid) == "<GridFuture u, v (i: 2, j: 1): 2 elements>"
    until(grid.done)
    assert key(grid, 0, 0) in threads.client.cluster.scheduler.tasks
