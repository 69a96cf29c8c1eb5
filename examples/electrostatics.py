"""A model of a device in steps, two of them over grids of voltages, and steps that fail as real ones do.

Meshing fails when it is told to, for good. Voltages beyond the limits fail, whatever is tried: these elements
stay holes, and what follows goes on with the others. Reading a charge fails now and then, and is tried again.

``scalable run examples/electrostatics.py`` runs it: once where the mesh fails, then again where it does not.
``python examples/electrostatics.py`` prints what would run.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalable import Flow, Retry, concurrently, map_, step

if TYPE_CHECKING:
    from scalable import ScalableClient

WORK_S = 0.005  # seconds that each step takes, in place of real work
RUNS = 10  # of each charge, in all
SOON = Retry(base=0.01, max_delay=0.1)
INPUTS: dict[str, Any] = {
    "x": 0.15,
    "y": 0.25,
    "mesh_size": 0.015,
    "coarse_mesh_size": 0.05,
    "V_left": np.linspace(0, 1, 10),
    "V_right": np.linspace(-0.5, 0.5, 20),
    "V_limits": (-0.4, 0.4),
    "failure_probability": 0.2,
    "mesh_error": False,
}
"""What :func:`build`'s flow takes: 64 of the 200 pairs of voltages are within the limits."""


@dataclass(frozen=True)
class Geometry:
    """The device: its width and its height."""

    x: float
    y: float


@dataclass(frozen=True)
class Mesh:
    """A geometry, cut into cells of a size."""

    geometry: Geometry
    size: float


@dataclass(frozen=True)
class Materials:
    """What fills a geometry."""

    geometry: Geometry
    names: tuple[str, ...]


@dataclass(frozen=True)
class Electrostatics:
    """The solution for a pair of voltages."""

    mesh: Mesh
    materials: Materials
    voltages: tuple[float, float]


@step(returns="geo")
def make_geometry(x: float, y: float) -> Geometry:
    """Lay out the device."""
    time.sleep(WORK_S)
    return Geometry(x, y)


@step(returns=("mesh", "coarse_mesh"))
def make_mesh(geo: Geometry, mesh_size: float, coarse_mesh_size: float) -> tuple[Mesh, Mesh]:
    """Cut it into cells, once finely and once coarsely."""
    time.sleep(WORK_S)
    return Mesh(geo, mesh_size), Mesh(geo, coarse_mesh_size)


@step(returns="materials")
def make_materials(geo: Geometry) -> Materials:
    """Fill it."""
    time.sleep(WORK_S)
    return Materials(geo, ("silicon", "oxide", "metal"))


@step(returns="electrostatics")
def run_electrostatics(mesh: Mesh, materials: Materials, V_left: float, V_right: float) -> Electrostatics:  # noqa: N803 - physics
    """Solve for one pair of voltages."""
    time.sleep(WORK_S)
    return Electrostatics(mesh, materials, (V_left, V_right))


@step(returns="charge")
def get_charge(electrostatics: Electrostatics) -> float:
    """Read a number off a solution, in place of the charge."""
    return sum(electrostatics.voltages)


@step
def average_charge(charge: np.ma.MaskedArray[Any, Any]) -> float:
    """Average the charges that there are."""
    return float(np.mean(charge.compressed()))


@step(returns=("mesh", "coarse_mesh"))
def make_mesh_or_fail(
    geo: Geometry,
    mesh_size: float,
    coarse_mesh_size: float,
    mesh_error: bool,  # noqa: FBT001 - a step's parameters are given by name
) -> tuple[Mesh, Mesh]:
    """Fail where it is told to."""
    if mesh_error:
        msg = "the mesh would not close"
        raise ValueError(msg)
    return make_mesh(geo, mesh_size, coarse_mesh_size)


@step(returns="electrostatics")
def run_within_limits(
    geo: Geometry,
    mesh: Mesh,
    materials: Materials,
    V_left: float,  # noqa: N803 - physics
    V_right: float,  # noqa: N803
    V_limits: tuple[float, float],  # noqa: N803
) -> Electrostatics:
    """Refuse voltages that the device would not stand."""
    lowest, highest = V_limits
    if not (lowest < V_left < highest and lowest < V_right < highest):
        msg = f"a device of width {geo.x} stands no {V_left:.2f} V and {V_right:.2f} V"
        raise ValueError(msg)
    return run_electrostatics(mesh, materials, V_left, V_right)


@step(returns="charge")
def get_charge_or_fail(electrostatics: Electrostatics, failure_probability: float) -> float:
    """Fail by chance: the next attempt may do better."""
    if random.random() < failure_probability:  # noqa: S311 - chance, not secrecy
        msg = "the charge could not be read"
        raise ValueError(msg)
    return get_charge(electrostatics)


def build_sound() -> Flow:
    """The flow in which nothing fails: a model, and what is found out about it."""
    model = Flow("model").then(make_geometry).then(concurrently(make_mesh, make_materials))
    solved = (
        Flow("electrostatics")
        .then(map_(run_electrostatics, "V_left[a], V_right[b] -> electrostatics[a, b]"))
        .then(map_(get_charge, "electrostatics[i, j] -> charge[i, j]", max_runs=RUNS, retry=SOON))
        .then(average_charge)
    )
    joined = Flow("electrostatics of a device").join(model).join(solved)
    return joined.returning("electrostatics", average_charge="avg_electrostatic_charge")


def build() -> Flow:
    """The same flow, with steps that fail in the places of three."""
    return (
        build_sound()
        .rename("electrostatics with failures")
        .replace_steps(
            {
                make_mesh: make_mesh_or_fail,
                run_electrostatics: run_within_limits,
                get_charge: get_charge_or_fail,
            }
        )
    )


def main(client: ScalableClient) -> None:
    """Run it where the mesh fails; mend that, and go on from there."""
    run = client.flow(build(), **INPUTS | {"mesh_error": True}).wait()
    print(run.progress(), end="\n\n")
    again = run.restart(mesh_error=False).wait()
    print(again.progress(), end="\n\n")
    there = again.outputs["electrostatics"].count()
    print(f"{there} of {again.outputs['electrostatics'].size} pairs of voltages were solved")
    print(f"average charge: {again.outputs['avg_electrostatic_charge']:.4f}")


if __name__ == "__main__":
    print(build().plan(**INPUTS))
