"""Flows as they are shown: what would run and how much of it, pictures in two languages, plain data."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from flow_samples import average, charge, device, make_geometry, model, refused, takes_and_gives

from scalable import Flow, Retry, first, map_, step
from scalable.grid.flow.sizes import shape_of

INPUTS = {"x": 1, "mesh_size": 0.1, "left": np.zeros(10), "right": np.zeros(20)}


def shapes(flow, **inputs):
    return {each.name: each.shape for each in flow.plan(**inputs).steps if each.expression is not None}


# --- plans -----


def test_a_plan_is_a_table_of_what_would_run():
    flow = device(retries=5).with_retries({average: Retry(retries=2), make_geometry: "patient"})
    assert str(flow.returning("field", average="mean").plan(**INPUTS)) == (
        "Flow device: 6 steps\n"
        "  step            runs                    takes                         gives              retries\n"
        "  make_geometry   once                    x, y                          geo                patient\n"
        "  make_mesh       once                    geo, mesh_size                mesh, coarse_mesh  -\n"
        "  make_materials  once                    geo                           materials          -\n"
        "  solve           10 x 20 = 200 elements  mesh, materials, left, right  field              -\n"
        "  charge          10 x 20 = 200 elements  field                         charge             5\n"
        "  average         once                    charge                        average            2\n"
        "Gives out: field, mean (average)"
    )


def test_a_plan_says_what_it_was_not_told():
    @step
    def nothing():
        return None

    assert str(Flow("f").then(nothing).then(map_(charge, "field[i] -> charge[i]")).plan()) == (
        "Flow f: 2 steps\n"
        "  step     runs        takes  gives    retries\n"
        "  nothing  once        -      nothing  -\n"
        "  charge   ? elements  field  charge   -\n"
        "Gives out: nothing, charge\n"
        "Not given: field"
    )
    assert str(first(nothing).plan()).startswith("Flow nothing: 1 step\n")


@pytest.mark.parametrize(
    ("inputs", "shape", "words"),
    [
        ({}, (None, None), "? x ? = ? elements"),
        ({"left": [1, 2]}, (2, None), "2 x ? = ? elements"),
        ({"left": range(0), "right": (1, 2)}, (0, 2), "0 x 2 = 0 elements"),
        ({"left": [1], "right": [2]}, (1, 1), "1 x 1 = 1 element"),
        ({"left": object(), "right": [2]}, (None, 1), "? x 1 = ? elements"),
    ],
)
def test_sizes_are_told_as_far_as_they_are_known_and_follow_the_values(inputs, shape, words):
    flow = device()
    assert shapes(flow, **inputs) == {"solve": shape, "charge": shape}
    assert words in str(flow.plan(**inputs))


def test_sizes_of_what_steps_give_whole_are_not_known():
    read = takes_and_gives("read", ["path"], "rows")
    each = takes_and_gives("each", ["rows", "scale"], "row")
    flow = first(read).then(map_(each, "rows[i], scale[j] -> row[j, i]"))
    assert shapes(flow, path="p", scale=[1, 2]) == {"each": (2, None)}
    assert flow.plan(path="p", scale=[1, 2]).steps[1].elements is None


def test_an_axis_that_inputs_share_is_known_from_any_of_them():
    both = takes_and_gives("both", ["a", "b"], "c")
    flow = first(map_(both, "a[i, :], b[i] -> c[i]"))
    assert shapes(flow, b=[1, 2, 3]) == {"both": (3,)}
    assert shapes(flow, a=np.zeros((4, 2))) == {"both": (4,)}


def test_a_default_has_a_size_too():
    @step
    def scaled(x, by=(1, 2, 3)):
        return x, by

    assert shapes(first(map_(scaled, "by[i] -> scaled[i]")), x=1) == {"scaled": (3,)}


def test_sizes_that_do_not_fit_are_refused_before_anything_runs():
    both = takes_and_gives("both", ["a", "b"], "c")
    flow = Flow("f").then(map_(both, "a[i], b[i, j] -> c[i, j]"))
    assert refused(flow.plan, a=[1, 2], b=np.zeros((3, 4))) == [
        "both: the axis i has size 2 in a, but size 3 in b"
    ]
    assert refused(flow.plan, a=5, b=[1, 2]) == [
        "both: a[i] has rank 1, but a has rank 0",
        "both: b[i, j] has rank 2, but b has rank 1",
    ]


def test_a_plan_refuses_what_a_flow_does_not_take():
    assert refused(device().plan, lfet=[1]) == ["there is no input lfet; did you mean `left`?"]


def test_an_input_may_be_called_as_anything():
    odd = takes_and_gives("odd", ["self", "flow", "name"], "z")
    assert not first(odd).plan(self=1, flow=2, name=3).missing


def test_a_plan_is_plain_data():
    plan = device(retries=5).plan(left=[1, 2]).to_dict()
    assert json.loads(json.dumps(plan)) == plan
    assert plan["missing"] == ["x", "mesh_size", "right"]
    assert plan["steps"][0] == {
        "name": "make_geometry",
        "takes": ["x", "y"],
        "gives": ["geo"],
        "expression": None,
        "shape": None,
        "elements": 1,
        "options": {},
    }
    assert plan["steps"][4] == {
        "name": "charge",
        "takes": ["field"],
        "gives": ["charge"],
        "expression": "field[i, j] -> charge[i, j]",
        "shape": [2, None],
        "elements": None,
        "options": {"retries": 5},
    }


@pytest.mark.parametrize(
    ("value", "rank", "shape"),
    [
        (np.zeros((2, 3)), 1, (2, 3)),
        (np.float64(1), 1, ()),
        ([[1, 2], [3, 4], [5, 6]], 2, (3, 2)),
        ([[1, 2], [3, 4], [5, 6]], 1, (3,)),
        ([np.zeros((4, 5)), np.zeros((4, 5))], 2, (2, 4)),
        ([[1, 2], [3]], 2, (2,)),
        ([1, 2], 2, (2,)),
        ([], 2, (0,)),
        ("text", 1, ()),
        (None, 1, ()),
        ({1, 2}, 1, None),
        (object(), 1, None),
    ],
)
def test_a_shape_is_that_of_an_array_or_of_nested_lists(value, rank, shape):
    assert shape_of(value, rank) == shape


def test_a_shape_may_be_known_in_part():
    class Unknown:
        shape = (float("nan"), 3)

    assert shape_of(Unknown(), 2) == (None, 3)


# --- pictures -----


def pictured():
    return (
        model()
        .then(
            map_(takes_and_gives("solve_it", ["mesh", "coarse_mesh", "left"], "field"), "left[a] -> field[a]")
        )
        .returning("field", geo="shape")
    )


def test_a_flow_is_drawn_for_mermaid():
    assert pictured().graph() == (
        "flowchart TD\n"
        '    in_x(["x"])\n'
        '    in_y(["y<br/>(optional)"])\n'
        '    in_mesh_size(["mesh_size"])\n'
        '    in_left(["left"])\n'
        '    step_make_geometry["make_geometry"]\n'
        '    step_make_mesh["make_mesh"]\n'
        '    step_make_materials["make_materials"]\n'
        '    step_solve_it[["solve_it<br/>left[a] -> field[a]"]]\n'
        '    out_field(["field"])\n'
        '    out_shape(["shape"])\n'
        "    in_x --> step_make_geometry\n"
        "    in_y --> step_make_geometry\n"
        "    in_mesh_size --> step_make_mesh\n"
        "    in_left --> step_solve_it\n"
        '    step_make_geometry -->|"geo"| step_make_mesh\n'
        '    step_make_geometry -->|"geo"| step_make_materials\n'
        '    step_make_mesh -->|"mesh, coarse_mesh"| step_solve_it\n'
        "    step_solve_it --> out_field\n"
        '    step_make_geometry -->|"geo"| out_shape\n'
    )


def test_a_flow_is_drawn_for_graphviz():
    assert pictured().rename('a "quoted" \\ name').graph("dot") == (
        'digraph "a \\"quoted\\" \\\\ name" {\n'
        '    in_x [label="x", shape=ellipse];\n'
        '    in_y [label="y\\n(optional)", shape=ellipse];\n'
        '    in_mesh_size [label="mesh_size", shape=ellipse];\n'
        '    in_left [label="left", shape=ellipse];\n'
        '    step_make_geometry [label="make_geometry", shape=box];\n'
        '    step_make_mesh [label="make_mesh", shape=box];\n'
        '    step_make_materials [label="make_materials", shape=box];\n'
        '    step_solve_it [label="solve_it\\nleft[a] -> field[a]", shape=box, peripheries=2];\n'
        '    out_field [label="field", shape=ellipse, style=bold];\n'
        '    out_shape [label="shape", shape=ellipse, style=bold];\n'
        "    in_x -> step_make_geometry;\n"
        "    in_y -> step_make_geometry;\n"
        "    in_mesh_size -> step_make_mesh;\n"
        "    in_left -> step_solve_it;\n"
        '    step_make_geometry -> step_make_mesh [label="geo"];\n'
        '    step_make_geometry -> step_make_materials [label="geo"];\n'
        '    step_make_mesh -> step_solve_it [label="mesh, coarse_mesh"];\n'
        "    step_solve_it -> out_field;\n"
        '    step_make_geometry -> out_shape [label="geo"];\n'
        "}\n"
    )


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_understands_it():
    subprocess.run(
        ["dot", "-Tsvg"],  # noqa: S607 - the one that is installed
        input=pictured().rename('a "b" \\ c').graph("dot"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def test_outputs_are_drawn_where_they_were_chosen():
    assert "out_" not in model().graph()


def test_a_graph_in_another_language_is_refused():
    assert refused(model().graph, "dott") == (
        "a graph can't be written as 'dott'; did you mean `dot`? (valid: dot, mermaid)"
    )


# --- data -----


def test_a_flow_is_plain_data():
    flow = first(make_geometry).then(map_(charge, "field[i] -> charge[i]", retries=2)).returning(charge="q")
    found = flow.rename("small").to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "name": "small",
        "steps": [
            {
                "name": "make_geometry",
                "function": "flow_samples.make_geometry",
                "parameters": ["x", "y"],
                "defaults": {"y": "0.25"},
                "returns": ["geo"],
                "map": None,
                "options": {},
            },
            {
                "name": "charge",
                "function": "flow_samples.charge",
                "parameters": ["field"],
                "defaults": {},
                "returns": ["charge"],
                "map": {"expression": "field[i] -> charge[i]", "batch": "auto", "on_holes": "pass"},
                "options": {"retries": 2},
            },
        ],
        "edges": [],
        "inputs": ["x", "field"],
        "defaults": {"y": "0.25"},
        "outputs": {"q": "charge"},
    }


def test_the_edges_of_a_flow_are_plain_data():
    assert model().to_dict()["edges"][0] == {"source": "make_geometry", "target": "make_mesh", "value": "geo"}


def test_a_long_default_is_cut():
    @step
    def long(x="y" * 10_000):
        return x

    assert len(first(long).to_dict()["defaults"]["x"]) < 300
