"""The electrostatics example: what it takes and gives, and how much would run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import electrostatics as example


def test_the_example_takes_its_inputs():
    example.build().check_inputs(example.INPUTS)


def test_the_example_runs_two_hundred_elements_twice():
    plan = example.build().plan(**example.INPUTS)
    assert {each.name: each.shape for each in plan.steps if each.shape} == {
        "run_within_limits": (10, 20),
        "get_charge_or_fail": (10, 20),
    }
    assert not plan.missing
    assert plan.outputs == {"electrostatics": "electrostatics", "avg_electrostatic_charge": "average_charge"}


def test_what_fails_takes_more_than_what_does_not():
    sound, failing = example.build_sound(), example.build()
    assert {*failing.inputs} - {*sound.inputs} == {"mesh_error", "V_limits", "failure_probability"}
    assert [node.options for node in failing.steps] == [node.options for node in sound.steps]
    assert [node.over for node in failing.steps] == [node.over for node in sound.steps]


def test_sixty_four_pairs_are_within_the_limits():
    within, fine = 0, example.make_mesh_or_fail(example.make_geometry(1, 1), 1, 2, mesh_error=False)[0]
    for left in example.INPUTS["V_left"]:
        for right in example.INPUTS["V_right"]:
            try:
                example.run_within_limits(fine.geometry, fine, None, left, right, example.INPUTS["V_limits"])
            except ValueError:
                continue
            within += 1
    assert within == 64


def test_the_mesh_fails_where_it_is_told_to():
    with pytest.raises(ValueError, match="would not close"):
        example.make_mesh_or_fail(None, 1, 2, mesh_error=True)
