"""Components that do not fit this machine: who runs their tasks, and who is told."""

from __future__ import annotations

from typing import Any

import pytest

from scalable.manifest import from_mapping
from scalable.plan import Host, Plan, resolve

GIB = 2**30
HOST = Host(cpus=4, memory=24 * GIB)


def plan(components: dict[str, Any], **target: Any) -> Plan:
    manifest = from_mapping(
        {"version": 1, "targets": {"t": {"provider": "local", **target}}, "components": components}
    )
    return resolve(manifest, "t", {}, HOST)


def test_a_component_that_does_not_fit_runs_in_its_fallback() -> None:
    made = plan({"big": {"memory": "64GiB", "fallback": "small"}, "small": {"memory": "8GiB"}})
    assert made.warnings == (
        "Component `big` (64 GiB) does not fit this machine (24 GiB): its tasks run in `small`",
    )
    big, small = made.components["big"], made.components["small"]
    assert (big.runs_as, big.pool, big.slots, big.token, big.memory) == (
        "small", small.pool, small.slots, small.token, small.memory,
    )  # fmt: skip
    assert list(made.components) == ["big", "small"]
    assert "pool-0, as small" in str(made)
    assert made.warnings[0] in str(made)


def test_too_many_cpus_are_told_in_cpus() -> None:
    made = plan({"wide": {"cpus": 16, "fallback": "one"}, "one": {}})
    (warning,) = made.warnings
    assert warning == "Component `wide` (16 CPUs) does not fit this machine (4 CPUs): its tasks run in `one`"


def test_a_chain_is_followed_to_the_first_that_fits() -> None:
    components = {
        "huge": {"memory": "128GiB", "fallback": "big"},
        "big": {"memory": "64GiB", "fallback": "small"},
        "small": {"memory": "8GiB", "fallback": "tiny"},
        "tiny": {},
    }
    made = plan(components)
    assert {name: each.runs_as for name, each in made.components.items()} == {
        "huge": "small", "big": "small", "small": None, "tiny": None,
    }  # fmt: skip


def test_at_the_end_of_a_chain_it_runs_as_well_as_it_can() -> None:
    made = plan({"huge": {"memory": "128GiB", "fallback": "big"}, "big": {"memory": "64GiB"}})
    assert made.components["huge"].runs_as == "big"
    assert any("`big` asks for 64 GiB of memory" in warning for warning in made.warnings)


@pytest.mark.parametrize("target", [{}, {"memory": "64GiB"}, {"processes": False}])
def test_what_fits_stays_where_it_is(target: dict[str, Any]) -> None:
    asked = "64GiB" if "memory" in target else "16GiB"
    made = plan({"big": {"memory": asked, "fallback": "small"}, "small": {}}, **target)
    assert made.components["big"].runs_as is None
    assert made.warnings == ()


def test_the_environment_of_one_that_does_not_fit_asks_for_no_workers() -> None:
    components = {
        "big": {"memory": "64GiB", "env": {"A": "1"}, "fallback": "small"},
        "small": {"env": {"A": "2"}},
    }
    assert len(plan(components).pools) == 1


def test_a_limit_of_failures_is_part_of_the_plan() -> None:
    manifest = from_mapping({"version": 1, "max_failures": 50})
    made = resolve(manifest, "local", {}, HOST)
    assert made.max_failures == 50
    assert "the run stops after more than 50" in str(made)
