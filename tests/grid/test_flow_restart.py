"""A restarted run does again what a change touches and what failed; all else is shared."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from flow_samples import refused
from live import PATIENCE_S, until
from running import calls, note, states, wait_for

from scalable import Flow, FlowError, concurrently, first, map_, step
from scalable.grid.flow.restarting import same


def device(directory):
    """A flow that leaves a file for each call: two steps, two grids, and a step over the second."""

    @step(returns="geo")
    def lay_out(x, y=1):
        note(directory, "lay_out")
        return x + y

    @step(returns="mesh")
    def cut(geo, size, fails=False):  # noqa: FBT002 - values reach a step by name
        note(directory, "cut")
        if fails:
            raise ValueError("it would not close")
        return geo / size

    @step(returns="field")
    def solve(mesh, voltage, limit):
        note(directory, "solve")
        if voltage > limit and not (directory / "mended").exists():
            raise ValueError("too much")
        return mesh * voltage

    @step(returns="charge")
    def read(field, scale):
        note(directory, "read")
        return field * scale

    @step
    def average(charge):
        note(directory, "average")
        return float(np.mean(charge.compressed()))

    return (
        first(lay_out)
        .then(cut)
        .then(map_(solve, "voltage[i] -> field[i]"))
        .then(map_(read, "field[i] -> charge[i]"))
        .then(average)
    )


INPUTS = {"x": 1, "size": 0.5, "voltage": np.array([1.0, 2.0, 3.0]), "limit": 5, "scale": 10}
ALL = {"lay_out": 1, "cut": 1, "solve": 3, "read": 3, "average": 1}


def begun(live, directory):
    """A run that has succeeded; no fixture, because pytest would keep it, and its futures, for too long."""
    run = live.session.run(device(directory), **INPUTS).wait(PATIENCE_S)
    assert calls(directory) == ALL
    assert run.result()["average"] == 80.0
    return run


def restarted(run, directory, **changed):
    again = run.restart(**changed).wait(PATIENCE_S)
    return again, calls(directory)


def test_without_a_change_nothing_runs_again_where_all_succeeded(threads, tmp_path):
    run = begun(threads, tmp_path)
    again, called = restarted(run, tmp_path)
    assert called == {}
    assert again.status == "finished"
    assert all(again.steps[name].future is run.steps[name].future for name in run.steps)


@pytest.mark.parametrize(
    ("changed", "called"),
    [
        ({"scale": 20}, {"read": 3, "average": 1}),
        ({"limit": 6}, {"solve": 3, "read": 3, "average": 1}),
        ({"size": 0.25}, {"cut": 1, "solve": 3, "read": 3, "average": 1}),
        ({"y": 2}, ALL),
        ({"voltage": [4.0]}, {"solve": 1, "read": 1, "average": 1}),
        ({"scale": 10, "voltage": INPUTS["voltage"].copy(), "y": 1, "fails": False}, {}),
    ],
)
def test_what_a_change_touches_runs_again_and_nothing_else(threads, tmp_path, changed, called):
    run = begun(threads, tmp_path)
    again, found = restarted(run, tmp_path, **changed)
    assert found == called
    assert again.status == "finished"
    assert {name: again.inputs[name] for name in changed} == changed


def test_the_run_before_stays_as_it_was(threads, tmp_path):
    run = begun(threads, tmp_path)
    again, _ = restarted(run, tmp_path, scale=20)
    assert (run.outputs["average"], again.outputs["average"]) == (80.0, 160.0)
    third, called = restarted(again, tmp_path, scale=10)
    assert called == {"read": 3, "average": 1}
    assert third.outputs["average"] == 80.0


def test_what_failed_and_what_was_skipped_for_it_runs_again_with_what_it_needs(threads, tmp_path):
    run = threads.session.run(device(tmp_path), **INPUTS, fails=True).wait(PATIENCE_S)
    assert calls(tmp_path) == {"lay_out": 1, "cut": 1}
    same_again, called = restarted(run, tmp_path)
    assert called == {"cut": 1}
    assert same_again.status == "error"
    again, called = restarted(same_again, tmp_path, fails=False)
    assert called == {"cut": 1, "solve": 3, "read": 3, "average": 1}
    assert again.outputs["average"] == 80.0
    assert run.steps["cut"].state == "failed"


def test_of_a_grid_with_the_same_inputs_only_the_holes_run_again(threads, tmp_path):
    run = threads.session.run(device(tmp_path), **INPUTS | {"limit": 2}).wait(PATIENCE_S)
    assert calls(tmp_path) == {**ALL, "read": 2}
    assert states(run)["solve"] == states(run)["read"] == "partial"
    again, called = restarted(run, tmp_path)
    assert called == {"solve": 1, "average": 1}
    assert again.outputs["average"] == 60.0
    (tmp_path / "mended").touch()
    whole, called = restarted(again, tmp_path)
    assert called == {"solve": 1, "read": 1, "average": 1}
    assert whole.result()["average"] == 80.0
    assert whole.steps["field"].future is run.steps["field"].future
    assert "solve    1 failed elements again" in whole.log()


def test_a_change_after_a_grid_with_holes_runs_its_holes_again_too(threads, tmp_path):
    run = threads.session.run(device(tmp_path), **INPUTS | {"limit": 2}).wait(PATIENCE_S)
    calls(tmp_path)
    (tmp_path / "mended").touch()
    again, called = restarted(run, tmp_path, scale=20)
    assert called == {"solve": 1, "read": 3 + 1, "average": 1 + 1}, "the run before is healed, too"
    assert (run.outputs["average"], again.outputs["average"]) == (80.0, 160.0)


def test_grids_with_holes_of_their_own_that_need_one_another_are_retried_together(threads, tmp_path):
    run = threads.session.run(device(tmp_path), **INPUTS | {"limit": 2, "scale": None}).wait(PATIENCE_S)
    assert (states(run)["solve"], states(run)["read"], states(run)["average"]) == (
        "partial",
        "failed",
        "skipped",
    )
    calls(tmp_path)
    (tmp_path / "mended").touch()
    again, called = restarted(run, tmp_path)
    assert called == {"solve": 1, "read": 3}
    assert (states(again)["solve"], states(again)["read"]) == ("finished", "failed")
    last, called = restarted(again, tmp_path, scale=10)
    assert called == {"read": 3, "average": 1}
    assert last.result()["average"] == 80.0


def test_a_step_that_failed_for_the_holes_is_healed_with_them(threads, tmp_path):
    @step(returns="number")
    def begins(x):
        if x > 1 and not (tmp_path / "mended").exists():
            raise ValueError("too much")
        return x

    @step(returns="all")
    def wants_all(number):
        if number.mask.any():
            raise ValueError("some are missing")
        return int(number.sum())

    flow = first(map_(begins, "x[i] -> number[i]")).then(wants_all)
    run = threads.session.run(flow, x=[1, 2]).wait(PATIENCE_S)
    assert states(run) == {"begins": "partial", "wants_all": "failed"}
    (tmp_path / "mended").touch()
    assert run.restart().result(PATIENCE_S)["all"] == 3


def test_holes_are_not_retried_while_something_runs(threads, tmp_path):
    @step(returns="field")
    def solve(voltage):
        raise ValueError("too much")

    @step(returns="slow")
    def waits(gate):
        wait_for(gate)

    flow = Flow("f").then(concurrently(waits, map_(solve, "voltage[i] -> field[i]")))
    run = threads.session.run(flow, gate=tmp_path / "gate", voltage=[1])
    until(lambda: run.steps["field"].state == "failed")
    with pytest.raises(FlowError, match="waits of flow 'f' still running: wait, then restart it"):
        run.restart()
    (tmp_path / "gate").touch()
    run.wait(PATIENCE_S)


def test_what_has_not_ended_is_shared_and_goes_on(threads, tmp_path):
    @step(returns="slow")
    def waits(gate):
        note(tmp_path, "waits")
        wait_for(gate)
        return 1

    @step(returns="quick")
    def goes(x):
        note(tmp_path, "goes")
        return x

    run = threads.session.run(Flow("f").then(concurrently(waits, goes)), gate=tmp_path / "gate", x=1)
    until(lambda: run.steps["slow"].state == "running" and run.steps["quick"].state == "finished")
    again = run.restart(x=2)
    (tmp_path / "gate").touch()
    assert again.result(PATIENCE_S) == {"slow": 1, "quick": 2}
    assert calls(tmp_path) == {"waits": 1, "goes": 2}


def test_a_grid_whose_size_is_still_to_come_is_left_to_the_new_run(threads, tmp_path):
    @step(returns="rows")
    def waits(gate):
        note(tmp_path, "waits")
        wait_for(gate)
        return [1, 2]

    @step(returns="row")
    def each(rows):
        note(tmp_path, "each")
        return rows

    run = threads.session.run(first(waits).then(map_(each, "rows[i] -> row[i]")), gate=tmp_path / "gate")
    again = run.restart()
    (tmp_path / "gate").touch()
    assert again.result(PATIENCE_S)["row"].tolist() == [1, 2]
    run.wait(PATIENCE_S)
    assert states(run) == {"waits": "finished", "each": "cancelled"}
    assert calls(tmp_path) == {"waits": 1, "each": 2}


def test_a_restart_takes_what_the_flow_takes(threads, tmp_path):
    run = begun(threads, tmp_path)
    assert refused(run.restart, sclae=2) == ["there is no input sclae"]
    assert refused(run.restart, mesh=2) == ["mesh is what cut returns, and not taken from outside"]


ARRAY = np.array([1.0, np.nan])
MASKED = np.ma.array([1, 2], mask=[False, True])
NOW = dt.datetime.now(dt.UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1),
        ("a", "a"),
        ([1, ARRAY], [1, ARRAY.copy()]),
        ({"a": ARRAY}, {"a": ARRAY.copy()}),
        (MASKED, MASKED.copy()),
        (np.array([{"a": 1}, None]), np.array([{"a": 1}, None])),
        (NOW, NOW.replace()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_equal_inputs_are_the_same(one, other):
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, True),
        (1, 1.0),
        ([1], [1, 1]),
        ([1], (1,)),
        ({"a": 1}, {"b": 1}),
        (ARRAY, ARRAY + 1),
        (ARRAY, ARRAY[:1]),
        (ARRAY, ARRAY.astype("f4")),
        (MASKED, np.ma.array([1, 2], mask=[True, False])),
        (object(), object()),
        (np.array([{"a": 1}, None]), np.array([{"a": 2}, None])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_inputs_that_differ_are_not(one, other):
    assert not same(one, other)


def test_what_cannot_be_compared_is_not_the_same():
    class Odd:
        def __eq__(self, other):
            raise ValueError("ask me not")

        __hash__ = None

    assert not same(Odd(), Odd())
