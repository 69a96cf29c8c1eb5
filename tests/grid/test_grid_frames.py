"""Results as samples, tables and labelled arrays."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from calls import add, halves, opened, unless_in

from scalable.grid import frames

X, Y = [10, 20, 30], [1, 2]


def say(x, bad=()):
    if x in bad:
        raise ValueError(x)
    return f"say {x}"


def is_even(x, bad=()):
    return unless_in(x, bad) % 2 == 0


@pytest.fixture
def products(threads):
    return lambda: threads.client.grid(add, "x[i], y[j] -> z[i, j]", x=X, y=Y)


def test_samples_have_inputs_status_and_outputs_in_row_major_order(products):
    samples = products().samples()
    assert samples[0] == {"x": 10, "y": 1, "status": "succeeded", "z": 11}
    assert [each["z"] for each in samples] == [11, 12, 21, 22, 31, 32]


def test_samples_of_holes_say_how_they_failed(threads):
    grid = threads.client.grid(halves, "x[i] -> u[i], v[i]", x=[4, 5], bad=(5,))
    assert grid.samples() == [
        {"x": 4, "status": "succeeded", "u": 2, "v": 2},
        {"x": 5, "status": "error", "u": None, "v": None},
    ]
    assert grid["v"].samples()[0] == {"x": 4, "status": "succeeded", "v": 2}


def test_inputs_of_an_axis_named_like_themselves_are_told_once(threads):
    grid = threads.client.grid(say, "x[x] -> z[x]", x=[7])
    assert grid.samples() == [{"x": 7, "status": "succeeded", "z": "say 7"}]


def test_results_of_other_grids_are_no_coordinates(threads):
    first = threads.client.grid(say, "x[i] -> y[i]", x=[1, 2])
    assert threads.client.grid(say, "x[i] -> y[i]", x=first).samples()[1] == {
        "i": 1,
        "status": "succeeded",
        "y": "say say 2",
    }


def test_a_table_has_a_row_for_each_element(products):
    pytest.importorskip("pandas")
    table = products().to_dataframe()
    assert list(table.columns) == ["x", "y", "status", "z"]
    assert table["z"].tolist() == [11, 12, 21, 22, 31, 32]


def test_a_labelled_array_has_dims_coordinates_and_a_name(products):
    pytest.importorskip("xarray")
    array = products().to_xarray()
    assert (array.name, array.dims, array.shape) == ("z", ("i", "j"), (3, 2))
    assert array.coords["x"].values.tolist() == X
    assert array.dtype.kind == "i"
    assert array.values.tolist() == [[11, 12], [21, 22], [31, 32]]


def test_holes_are_nan_in_numbers_and_none_in_other_things(threads):
    pytest.importorskip("xarray")
    array = threads.client.grid(unless_in, "x[i] -> z[i]", x=[1, 2, 3], bad=(2,)).to_xarray()
    assert array.dtype.kind == "f"
    assert np.isnan(array.values).tolist() == [False, True, False]
    words = threads.client.grid(say, "x[i] -> z[i]", x=[1, 2], bad=(2,)).to_xarray()
    assert words.isnull().values.tolist() == [False, True]
    truths = threads.client.grid(is_even, "x[i] -> z[i]", x=[1, 2, 3], bad=(3,)).to_xarray()
    assert truths.isnull().values.tolist() == [False, False, True]
    nothing = threads.client.grid(unless_in, "x[i] -> z[i]", x=[1, 2], bad=(1, 2)).to_xarray()
    assert nothing.values.tolist() == [None, None]


def test_several_outputs_are_a_dataset_and_one_of_them_an_array(threads):
    pytest.importorskip("xarray")
    grid = threads.client.grid(halves, "x[i] -> u[i], v[i]", x=[4, 5])
    dataset = grid.to_xarray()
    assert {name: each.values.tolist() for name, each in dataset.items()} == {"u": [2, 2], "v": [2, 3]}
    assert grid["v"].to_xarray().name == "v"
    assert grid["v"].to_xarray().values.tolist() == opened(grid["v"])


@pytest.mark.parametrize(("method", "package"), [("to_dataframe", "pandas"), ("to_xarray", "xarray")])
def test_without_the_package_it_is_named(products, monkeypatch, method, package):
    def missing(name):
        raise ImportError(name) if name == package else AssertionError(name)

    monkeypatch.setattr(frames, "import_module", missing)
    with pytest.raises(ImportError, match=f"this needs {package}, which is not installed: pip install"):
        getattr(products(), method)()
    assert importlib.import_module is not missing
