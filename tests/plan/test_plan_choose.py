"""Which target is meant: named, asked for by the environment, or the one that fits where we are."""

from __future__ import annotations

import pytest

from scalable.errors import PlanError
from scalable.manifest import Dask, Kubernetes, Local, Slurm, Target
from scalable.plan.choose import choose

SLURM = {"SLURM_JOB_ID": "7"}
ALL: dict[str, Target] = {
    "shared": Dask(),
    "hpc": Slurm(),
    "hpc2": Slurm(),
    "laptop": Local(),
    "local": Local(),
}


def test_a_named_target_is_taken_whatever_the_environment_says() -> None:
    assert choose(ALL, "shared", SLURM | {"SCALABLE_TARGET": "laptop"}) == "shared"


def test_without_a_name_the_environment_is_asked() -> None:
    assert choose(ALL, None, SLURM | {"SCALABLE_TARGET": "laptop"}) == "laptop"
    assert choose(ALL, None, {"SCALABLE_TARGET": ""}) == "local"
    assert choose(ALL, None, {"SCALABLE_TARGET": "auto"}) == "local"


@pytest.mark.parametrize(
    ("names", "environ", "chosen"),
    [
        (ALL, SLURM, "hpc"),
        (ALL, {}, "local"),
        (ALL, {"SLURM_JOB_ID": ""}, "local"),
        (["shared", "laptop"], SLURM, "laptop"),
        (["shared", "hpc", "laptop"], {}, "laptop"),
        (["shared", "hpc"], {}, "shared"),
    ],
)
def test_auto_takes_what_fits_where_we_are(names: list[str], environ: dict[str, str], chosen: str) -> None:
    targets = {name: ALL[name] for name in names}

    assert choose(targets, None, environ) == choose(targets, "auto", environ) == chosen


def test_a_target_that_is_called_local_may_be_another_provider() -> None:
    assert choose({"a": Local(), "local": Kubernetes()}, None, {}) == "local"


def test_a_target_that_is_called_auto_is_just_a_name() -> None:
    assert choose({"local": Local(), "auto": Dask()}, None, {}) == "auto"


def test_an_unknown_target_is_told_with_the_nearest() -> None:
    with pytest.raises(PlanError) as caught:
        choose(ALL, "loca", {})

    assert str(caught.value) == (
        "the manifest has no target `loca`; did you mean `local`? (valid: hpc, hpc2, laptop, local, shared)"
    )


def test_an_unknown_target_of_the_environment_says_where_it_came_from() -> None:
    with pytest.raises(PlanError, match=r"no target `x`, which \$SCALABLE_TARGET asks for; valid: local$"):
        choose({"local": Local()}, None, {"SCALABLE_TARGET": "x"})


def test_among_very_many_targets_their_number_is_told() -> None:
    with pytest.raises(PlanError, match="no target `q`; it has 40 others"):
        choose({f"name-{i}": Local() for i in range(40)}, "q", {})


def test_an_empty_name_is_a_name() -> None:
    with pytest.raises(PlanError, match="no target ``"):
        choose(ALL, "", {})
