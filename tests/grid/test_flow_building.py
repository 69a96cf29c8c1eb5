"""Flows put together: each method gives a new one; what can't run is refused at once, with every reason."""

from __future__ import annotations

import subprocess
import sys

import cloudpickle
import numpy as np
import pytest
from flow_samples import (
    average,
    charge,
    device,
    make_geometry,
    make_materials,
    make_mesh,
    model,
    refused,
    solve,
    solved,
    takes_and_gives,
)

from scalable import Flow, Retry, concurrently, first, map_, step
from scalable.grid.flow.options import Options, of_runs
from scalable.grid.flow.wiring import Edge

FIRST = takes_and_gives("first_one", ["x"], "a")
SECOND = takes_and_gives("second_one", ["a"], "b")
THIRD = takes_and_gives("third_one", ["b"], "c")
BACK = takes_and_gives("back_one", ["b"], "x")


def names(flow):
    return [node.name for node in flow.steps]


# --- putting together -----


def test_a_flow_grows_step_by_step_and_each_is_a_flow_of_its_own():
    empty = Flow("f")
    one = empty.then(FIRST)
    two = one.then(SECOND)
    assert (names(empty), names(one), names(two)) == ([], ["first_one"], ["first_one", "second_one"])
    with pytest.raises(AttributeError):
        two.name = "g"


def test_values_flow_by_name():
    assert model().edges == (
        Edge("make_geometry", "make_mesh", "geo"),
        Edge("make_geometry", "make_materials", "geo"),
    )
    assert Flow("f").then(make_materials).then(make_mesh).edges == ()


def test_what_no_step_gives_is_an_input():
    assert device().inputs == ("x", "mesh_size", "left", "right")
    assert device().defaults == {"y": 0.25}


def test_an_input_is_needed_where_one_that_takes_it_has_no_default():
    @step
    def needs(x, y):
        return x, y

    flow = first(make_geometry).then(needs)
    assert (flow.inputs, flow.defaults) == (("x", "y"), {})


def test_a_flow_can_be_named_after_its_first_step():
    assert first(FIRST) == Flow("first_one").then(FIRST)
    assert first(map_(charge, "field[i] -> charge[i]")).name == "charge"
    assert first(concurrently(make_mesh, make_materials)).name == "make_mesh and make_materials"


def test_flows_are_joined_in_their_order():
    assert Flow("all").join(model()).join(solved()) == device().rename("all")
    assert names(device()) == [
        *("make_geometry", "make_mesh", "make_materials"),
        *("solve", "charge", "average"),
    ]


def test_a_flow_says_what_it_is():
    assert repr(model()) == "<Flow model: make_geometry, make_mesh, make_materials>"
    assert repr(Flow("new")) == "<Flow new: no steps>"


def test_a_flow_travels():
    other = cloudpickle.loads(cloudpickle.dumps(device(retries=3)))
    assert other.to_dict() == device(retries=3).to_dict()


# --- what is given out -----


def test_every_value_is_given_out_where_nothing_is_chosen():
    assert model().outputs == {each: each for each in ("geo", "mesh", "coarse_mesh", "materials")}


def test_values_are_chosen_and_renamed():
    flow = device().returning("field", average="mean_charge")
    assert flow.outputs == {"field": "field", "mean_charge": "average"}
    assert flow.returning("geo").outputs == {"geo": "geo"}


def test_what_was_chosen_stays_so_when_flows_are_joined():
    chosen = model().returning("mesh")
    assert Flow("all").join(chosen).outputs == {"mesh": "mesh"}
    assert list(chosen.join(solved()).outputs) == ["mesh", "field", "charge", "average"]
    assert list(model().join(solved().returning(average="mean")).outputs) == [
        *("geo", "mesh", "coarse_mesh", "materials"),
        "mean",
    ]


def test_only_what_a_flow_makes_is_given_out_once_under_a_name():
    assert refused(model().returning, "mesh", "x", "mseh", geo="mesh", materials="a b") == [
        "it can't give out x, which is an input",
        (
            "it can't give out mseh, which no step returns; did you mean `mesh`? "
            "(valid: coarse_mesh, geo, materials, mesh)"
        ),
        "it can't give out materials as 'a b', which is no name",
        "it gives out two values as mesh",
    ]
    assert refused(model().returning) == "returning() takes the names of the values to give out"


# --- what can't run -----


def test_a_value_has_one_maker():
    other = takes_and_gives("other_one", ["z"], ("a", "b"))
    assert refused(Flow("f").then(FIRST).then(SECOND).then, other) == [
        "first_one and other_one both return a",
        "second_one and other_one both return b",
    ]


def test_a_step_stands_once_in_a_flow():
    assert refused(Flow("f").then(FIRST).then, FIRST) == ["first_one is in it twice"]
    assert refused(model().join, model()) == [
        f"{name} is in it twice" for name in ("make_geometry", "make_mesh", "make_materials")
    ]


def test_steps_are_told_apart_by_name():
    same = takes_and_gives("first_one", ["x"], "z")
    found = refused(Flow("f").then(FIRST).then, same)
    assert found == ["two of its steps are called first_one: made_up.first_one and made_up.first_one"]


def test_steps_stand_in_the_order_of_their_values():
    assert refused(Flow("f").then(THIRD).then, SECOND) == [
        "third_one takes b, which second_one only returns after it: put second_one first"
    ]


def test_a_cycle_is_shown_as_it_runs():
    flow = Flow("f").then(FIRST).then(SECOND)
    (found,) = refused(flow.then, BACK)
    assert found.startswith("its steps wait for one another in a cycle: ")
    ways = ["first_one -a-> second_one", "second_one -b-> back_one", "back_one -x-> first_one"]
    assert sum(way in found for way in ways) >= 2
    assert found.count("->") == 3


def test_one_default_counts_for_a_value():
    @step
    def finer(x, y=0.5):
        return x, y

    assert refused(first(make_geometry).then, finer) == [
        "y is 0.25 by default in make_geometry, but 0.5 in finer: give it one default, or two names"
    ]


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (0.25, 0.25, True),
        ([1], [1], True),
        (1, True, False),
        (np.zeros(2), np.zeros(2), False),  # an array answers with an array
    ],
)
def test_defaults_agree_where_they_are_equal_beyond_doubt(one, other, agree):
    @step
    def left(y=one):
        return y

    @step
    def right(y=other):
        return y

    if agree:
        assert first(left).then(right).defaults == {"y": one}
    else:
        assert len(refused(first(left).then, right)) == 1


def test_the_very_same_default_agrees_with_itself():
    same = np.zeros(2)

    @step
    def left(y=same):
        return y

    @step
    def right(y=same):
        return y

    assert first(left).then(right).defaults["y"] is same


def test_axes_are_counted_where_a_value_is_made_and_where_it_is_read():
    flow = Flow("f").then(map_(solve, "left[a], right[b] -> field[a, b]"))
    assert refused(flow.then, map_(charge, "field[i] -> charge[i]")) == [
        "charge reads field along 1 axis, but solve gives it along 2"
    ]
    other = takes_and_gives("other_one", ["left"], "z")
    assert refused(flow.then, map_(other, "left[i, :] -> z[i]")) == [
        "other_one reads left along 2 axes, but solve reads it along 1"
    ]


def test_what_a_step_gives_whole_may_be_read_along_any_axes():
    flow = first(make_materials).then(map_(solve, "materials[i, j], left[j] -> field[i, j]"))
    assert flow.inputs == ("geo", "mesh", "left", "right")


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_steps_are_not_concurrent(count):
    assert refused(concurrently, *[FIRST][:count]) == f"concurrently() takes at least two steps, not {count}"


def test_steps_that_wait_for_one_another_are_not_concurrent():
    dependent = ["second_one takes a from first_one: they can't run concurrently"]
    assert refused(concurrently, FIRST, SECOND) == dependent
    assert refused(concurrently, SECOND, FIRST) == dependent
    assert refused(concurrently, FIRST, takes_and_gives("other_one", ["z"], "a")) == [
        "first_one and other_one both return a"
    ]
    assert "cycle" in refused(concurrently, FIRST, takes_and_gives("loop_one", ["a"], "x"))[0]


def test_steps_over_grids_may_be_concurrent():
    both = concurrently(map_(charge, "field[i] -> charge[i]"), make_mesh)
    assert names(Flow("f").then(both)) == ["charge", "make_mesh"]


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_flow_has_a_name(name):
    assert refused(Flow, name) == f"a flow needs a name, and {name!r} is none"
    assert refused(Flow("f").rename, name) == f"a flow needs a name, and {name!r} is none"


def test_only_flows_are_joined_and_only_steps_are_added():
    assert refused(Flow("f").join, FIRST).startswith("join takes a flow, not <step first_one")
    assert refused(Flow("f").then, Flow("g")).startswith("<Flow g: no steps> is no step")
    assert refused(first, print) == "print is no step: decorate it with @step"


def test_an_error_says_whose_it_is_and_everything_that_is_wrong():
    with pytest.raises(ValueError, match="^flow 'device': there is no input z$"):
        device().check_inputs({"x", "mesh_size", "left", "right", "z"})
    with pytest.raises(ValueError, match="^flow 'device' has 2 problems:\n  the inputs .*\n  there is no"):
        device().check_inputs({"z"})


# --- inputs -----


def test_inputs_are_all_that_is_needed_and_nothing_else():
    device().check_inputs({"x": 1, "mesh_size": 1, "left": 1, "right": 1})
    device().check_inputs(dict.fromkeys(("x", "y", "mesh_size", "left", "right")))
    assert refused(device().check_inputs, {"x": 1, "left": 1, "right": 1}) == [
        "the input mesh_size is missing"
    ]
    assert refused(device().check_inputs, {"x": 1, "mesh_sise": 1, "mesh": 1, "z": 1}) == [
        "the inputs mesh_size, left and right are missing",
        "there is no input mesh_sise; did you mean `mesh_size`?",
        "mesh is what make_mesh returns, and not taken from outside",
        "there is no input z",
    ]


def test_a_flow_without_steps_does_nothing():
    assert refused(Flow("f").check_inputs, {}) == ["it has no steps: add some by then"]
    assert refused(Flow("f").plan) == ["it has no steps: add some by then"]


# --- retries -----


def options_of(flow, name):
    return {node.name: node.options for node in flow.steps}[name]


def test_retries_are_said_of_steps_by_themselves_or_by_name():
    flow = device().with_retries({charge: 5, "average": Retry(retries=2), make_mesh: "patient"})
    assert options_of(flow, "charge") == Options(retries=5)
    assert options_of(flow, "average") == Options(retry=Retry(retries=2))
    assert options_of(flow, "make_mesh") == Options(retry="patient")
    assert options_of(flow, "solve") == Options()
    assert options_of(device(), "charge") == Options()
    assert device().with_retries({}) == device()


def test_what_is_said_last_of_a_step_counts():
    flow = device(retries=9).with_retries({charge: Retry(retries=1)})
    assert options_of(flow, "charge") == Options(retry=Retry(retries=1))
    assert options_of(flow.with_retries({charge: 4}), "charge") == Options(retries=4, retry=Retry(retries=1))


def test_runs_are_said_of_steps_and_keep_the_waits():
    quick = Retry(base=0.01)
    flow = device(retry=quick).with_max_runs({charge: 5, average: 2})
    assert options_of(flow, "charge") == of_runs(5, quick)
    assert options_of(flow, "average") == of_runs(2, None)
    assert options_of(device(retries=9).with_max_runs({charge: 5}), "charge") == of_runs(5, None)


def test_who_is_not_in_the_flow_has_no_retries():
    assert refused(device().with_retries, {"chrage": 5, FIRST: 1, 7: 1}) == [
        (
            "it has no step chrage; did you mean `charge`? "
            "(valid: average, charge, make_geometry, make_materials, make_mesh, solve)"
        ),
        "it has no step first_one; valid: average, charge, make_geometry, make_materials, make_mesh, solve",
        "7 names no step: give the step or its name",
    ]
    assert refused(device().with_retries, {charge: 5, "charge": 4}) == ["charge is named twice"]
    assert refused(device().with_max_runs, {"x": 5})[0].startswith("it has no step x")


@pytest.mark.parametrize("retries", [-1, 1.5, True, None, {}])
def test_retries_of_a_flow_are_a_number_or_a_policy(retries):
    assert "retries takes a whole number" in refused(device().with_retries, {charge: retries})


# --- one step for another -----


@step(returns="field")
def solve_within(geo, mesh, materials, left, right, limits=(0, 1)):
    return geo, mesh, materials, left, right, limits


def test_a_step_is_replaced_in_its_place_and_keeps_its_grid_and_retries():
    old = device().with_retries({solve: 3})
    new = old.replace_steps({solve: solve_within})
    assert names(new) == [name.replace("solve", "solve_within") for name in names(old)]
    node = new.steps[3]
    assert node.step is solve_within
    assert str(node.over.expression) == "left[a], right[b] -> field[a, b]"
    assert node.options == Options(retries=3)
    assert names(old)[3] == "solve"


def test_what_a_new_step_takes_more_becomes_an_input_or_comes_from_others():
    flow = device().replace_steps({"solve": solve_within})
    assert Edge("make_geometry", "solve_within", "geo") in flow.edges
    assert flow.defaults == {"y": 0.25, "limits": (0, 1)}
    assert flow.inputs == device().inputs


def test_what_a_new_step_says_of_itself_counts_before_what_the_old_one_said():
    @step(retries=1, timeout=5)
    def old(x):
        return x

    @step(returns="old", retries=2)
    def new(x):
        return x

    assert first(old).replace_steps({old: new}).steps[0].options == Options(retries=2, timeout=5)
    flow = first(old).with_retries({old: 3}).replace_steps({old: new})
    assert flow.steps[0].options == Options(retries=3, timeout=5)


def test_steps_may_change_places():
    one, two = takes_and_gives("one", ["x"], ("a", "b")), takes_and_gives("two", ["x"], ("a", "b"))
    three = takes_and_gives("three", ["x"], ("a", "b"))
    flow = first(one).replace_steps({one: two}).replace_steps({"two": three})
    assert names(flow) == ["three"]


def test_a_new_step_must_do_what_the_old_one_did():
    less = takes_and_gives("less", ["mesh", "left"], "other")
    assert refused(device().replace_steps, {solve: less}) == [
        "less can't replace solve: it does not take materials and right",
        "less can't replace solve: it does not return field",
    ]


def test_only_a_step_replaces_a_step():
    node = map_(charge, "field[i] -> charge[i]")
    assert refused(device().replace_steps, {charge: node, average: len}) == [
        "what replaces charge is no step: give the step alone, the place keeps its grid",
        "what replaces average is no step: decorate a function with @step",
    ]


def test_who_is_not_in_the_flow_is_not_replaced():
    assert refused(device().replace_steps, {FIRST: SECOND})[0].startswith("it has no step first_one")
    namesake = step(charge.fn)
    assert refused(device().replace_steps, {namesake: charge}) == [
        "its step charge is another one, of flow_samples.charge: to mean that, give 'charge'"
    ]


def test_a_new_step_must_fit_into_the_whole():
    later = takes_and_gives("later", ["geo", "mesh_size", "average"], ("mesh", "coarse_mesh"))
    assert "cycle" in refused(device().replace_steps, {make_mesh: later})[0]
    beside = takes_and_gives("beside", ["geo", "mesh"], "materials")
    assert refused(model().replace_steps, {make_materials: beside}) == [
        "beside takes mesh from make_mesh: they can't run concurrently"
    ]
    more = takes_and_gives("more", ["geo"], ("materials", "mesh"))
    assert refused(model().replace_steps, {make_materials: more}) == ["make_mesh and more both return mesh"]


def test_a_new_step_over_a_grid_gives_what_the_grid_says():
    more = takes_and_gives("more", ["field"], ("charge", "spin"))
    assert refused(device().replace_steps, {charge: more}) == [
        (
            "field[i, j] -> charge[i, j] gives charge, but more() returns charge and spin: "
            "write these, in this order"
        )
    ]


# --- what it costs -----


def test_flows_are_made_without_dask_and_numpy():
    code = (
        "import sys; from scalable import Flow, step, map_, concurrently, first, FlowError;"
        "print(sorted({'dask', 'distributed', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_the_same_step_may_stand_in_many_flows():
    assert make_geometry in {node.step for node in model().steps}
    assert average in {node.step for node in device().steps}
