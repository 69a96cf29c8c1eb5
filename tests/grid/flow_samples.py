"""The steps that tests of flows share: a device, its mesh, and what is found out about it."""

from __future__ import annotations

import pytest

from scalable import Flow, FlowError, concurrently, map_, step


@step(returns="geo")
def make_geometry(x, y=0.25):
    return (x, y)


@step(returns=("mesh", "coarse_mesh"))
def make_mesh(geo, mesh_size):
    return (geo, mesh_size), (geo, 2 * mesh_size)


@step(returns="materials")
def make_materials(geo):
    return (geo, "oxide")


@step(returns="field")
def solve(mesh, materials, left, right):
    return mesh, materials, left, right


@step
def charge(field):
    return field


@step
def average(charge):
    return charge


def model():
    return Flow("model").then(make_geometry).then(concurrently(make_mesh, make_materials))


def solved(**charge_options):
    return (
        Flow("solved")
        .then(map_(solve, "left[a], right[b] -> field[a, b]"))
        .then(map_(charge, "field[i, j] -> charge[i, j]", **charge_options))
        .then(average)
    )


def device(**charge_options):
    return model().join(solved(**charge_options)).rename("device")


def takes_and_gives(name, takes, gives):
    """A step of a name, made of the names of its values."""
    scope = {"__name__": "made_up"}
    exec(f"def {name}({', '.join(takes)}): return None", scope)  # noqa: S102 - names of our own
    return step(returns=gives)(scope[name])


def refused(make, *arguments, **keywords):
    """The problems that something is refused for."""
    with pytest.raises(FlowError) as caught:
        make(*arguments, **keywords)
    problems = caught.value.problems
    assert all(problem in str(caught.value) for problem in problems)
    return list(problems) or str(caught.value)
