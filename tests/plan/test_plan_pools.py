"""Workers, pools and tokens: on this machine, on a cluster, on a scheduler that is already running."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalable.errors import ManifestError, PlanError
from scalable.manifest import from_mapping
from scalable.plan import Host, Plan, resolve
from scalable.plan.pools import deal, split, token

HOST = Host(cpus=8, memory=32 * 2**30)


def plan(
    components: dict[str, Any], host: Host = HOST, environ: dict[str, str] | None = None, **target: Any
) -> Plan:
    manifest = from_mapping(
        {"version": 1, "targets": {"t": {"provider": "local", **target}}, "components": components},
        environ=environ or {},
    )
    return resolve(manifest, "t", environ or {}, host)


# --- this machine -------------------------------------------------------------------------------------------


def test_a_machine_gets_as_many_workers_as_its_cpus_have_room_for_threads() -> None:
    assert [pool.maximum for pool in plan({}).pools] == [8]
    assert [pool.maximum for pool in plan({}, threads_per_worker=3).pools] == [2]
    assert [pool.maximum for pool in plan({}, threads_per_worker=99).pools] == [1]


def test_one_pool_without_components_still_has_workers() -> None:
    (pool,) = plan({}, max_workers=3).pools

    assert (pool.name, pool.minimum, pool.maximum, pool.threads) == ("pool-0", 3, 3, 1)
    assert [worker.name for worker in pool.workers] == ["worker-0", "worker-1", "worker-2"]
    assert pool.memory == HOST.memory // 3
    assert not any(worker.resources for worker in pool.workers)


def test_a_component_that_fits_everywhere_needs_no_token() -> None:
    made = plan({"a": {}, "b": {"memory": "1GiB"}}, max_workers=4)

    assert [each.token for each in made.components.values()] == [None, None]
    assert [each.slots for each in made.components.values()] == [4, 4]
    assert made.warnings == ()


@pytest.mark.parametrize(
    ("asked", "slots"),
    [({"cpus": 2}, 4), ({"cpus": 3}, 2), ({"cpus": 0.1}, 8), ({"cpus": 1.5}, 4), ({"memory": "10GiB"}, 3)],
)
def test_cpus_and_memory_bound_how_many_run_at_once(asked: dict[str, Any], slots: int) -> None:
    made = plan({"a": asked})

    assert made.components["a"].slots == slots
    held = sum(worker.resources.get("scalable:a", 0) for worker in made.pools[0].workers)
    assert held == (slots if slots < 8 else 0)


def test_a_component_larger_than_the_machine_runs_one_at_a_time_with_a_warning() -> None:
    made = plan({"wide": {"cpus": 99}, "large": {"memory": "99GiB"}}, memory="16GiB")

    assert [each.slots for each in made.components.values()] == [1, 1]
    assert made.pools[0].memory == 99 * 2**30
    assert made.warnings == (
        "Component `wide` asks for 99 CPUs, but its workers have 8 in all; its tasks run one at a time.",
        (
            "Component `large` asks for 99 GiB of memory, but its workers have 16 GiB in all; "
            "its tasks run one at a time, and may run out of it."
        ),
    )


def test_components_share_workers_unless_a_variable_would_need_two_values() -> None:
    made = plan(
        {"a": {"env": {"N": "1"}}, "b": {}, "c": {"env": {"N": "2"}}, "d": {"env": {"N": "1", "M": "${X}"}}},
        environ={"X": "x"},
        max_workers=5,
    )

    assert [pool.components for pool in made.pools] == [("a", "b", "d"), ("c",)]
    assert [pool.env for pool in made.pools] == [{"N": "1", "M": "${X}"}, {"N": "2"}]
    assert [pool.maximum for pool in made.pools] == [3, 2]
    assert [worker.name for pool in made.pools for worker in pool.workers] == [
        f"worker-{i}" for i in range(5)
    ]
    assert all(each.token == f"scalable:{name}" for name, each in made.components.items())
    assert list(made.components) == ["a", "b", "c", "d"]


def test_environments_are_compared_by_what_they_amount_to_and_kept_as_written() -> None:
    components = {"a": {"env": {"N": "${ONE}"}}, "b": {"env": {"N": "1"}}}

    assert [pool.env for pool in plan(components, environ={"ONE": "1"}).pools] == [{"N": "${ONE}"}]
    assert len(plan(components, environ={"ONE": "2"}).pools) == 2


def test_more_environments_than_workers_get_one_each_with_a_warning() -> None:
    made = plan({name: {"env": {"N": name}} for name in "abc"}, max_workers=1)

    assert [pool.maximum for pool in made.pools] == [1, 1, 1]
    assert made.warnings == (
        (
            "The components need 3 different environments, more than max_workers (1); "
            "3 workers start, one for each."
        ),
    )


def test_threads_of_this_process_share_one_pool_and_apply_no_env() -> None:
    made = plan({"a": {"env": {"N": "1"}}, "b": {"env": {"N": "2"}}}, processes=False)

    assert [pool.components for pool in made.pools] == [("a", "b")]
    assert made.pools[0].env == {}
    assert made.warnings == tuple(
        f"Component `{name}`: env needs workers that are processes, and is not applied." for name in "ab"
    )


def test_what_a_local_target_does_not_use_is_told() -> None:
    made = plan({"a": {"image": "i", "mounts": ["a:/a"], "gpus": 1}}, containers="docker")

    assert made.warnings == (
        "Containers are not used on a local target; tasks run in the environment of this process.",
        "Component `a`: image, mounts, gpus not used on a local target.",
    )


def test_an_environment_that_cannot_be_filled_in_is_an_error_of_the_plan() -> None:
    manifest = from_mapping(
        {"version": 1, "components": {"a": {"env": {"N": "${GONE}"}}}}, environ={"GONE": "1"}
    )

    with pytest.raises(
        PlanError, match=r"environment of component `a` cannot be filled in: .*`GONE`"
    ) as caught:
        resolve(manifest, None, {}, HOST)

    assert isinstance(caught.value.__cause__, ManifestError)


COMPONENT = st.fixed_dictionaries(
    {},
    optional={
        "cpus": st.integers(1, 40) | st.floats(0.1, 40),
        "memory": st.integers(2**20, 2**36),
        "env": st.dictionaries(st.sampled_from("MN"), st.sampled_from("12"), max_size=2),
    },
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), COMPONENT, max_size=6),
    st.integers(1, 12),
    st.integers(1, 4),
    st.booleans(),
)
def test_slots_and_tokens_keep_within_the_workers(
    components: dict[str, Any],
    workers: int,
    threads: int,
    processes: bool,  # noqa: FBT001
) -> None:
    made = plan(components, max_workers=workers, threads_per_worker=threads, processes=processes)

    assert sum(pool.maximum for pool in made.pools) >= workers
    assert sorted(name for pool in made.pools for name in pool.components) == sorted(components)
    names = [worker.name for pool in made.pools for worker in pool.workers]
    assert names == [f"worker-{i}" for i in range(len(names))]
    for pool in made.pools:
        assert len(pool.workers) == pool.minimum == pool.maximum
        assert pool.threads == threads
        for name in pool.components:
            each = made.components[name]
            assert each.pool == pool.name
            assert each.slots is not None
            assert 1 <= each.slots <= pool.maximum * pool.threads
            held = [worker.resources.get(token(name), 0) for worker in pool.workers]
            assert sum(held) == (each.slots if each.token else 0)
            assert max(held) <= threads
            assert max(held) - min(held) <= 1
            assert pool.memory is None or pool.memory >= (each.memory or 0)


@given(st.integers(0, 1000), st.integers(1, 50))
def test_a_split_is_complete_and_as_equal_as_can_be(total: int, parts: int) -> None:
    shares = split(total, parts)

    assert (sum(shares), len(shares)) == (total, parts)
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)


def test_few_tokens_of_several_components_come_to_lie_on_different_workers() -> None:
    assert deal([("a", 1), ("b", 1), ("c", 2)], 4) == [{"a": 1}, {"b": 1}, {"c": 1}, {"c": 1}]
    assert deal([("a", 5), ("b", 2)], 3) == [{"a": 2, "b": 1}, {"a": 2}, {"a": 1, "b": 1}]


# --- clusters -----------------------------------------------------------------------------------------------


def test_a_cluster_without_components_has_one_pool() -> None:
    made = plan({}, provider="slurm", max_workers=10, min_workers=2)

    (pool,) = made.pools
    assert (pool.name, pool.minimum, pool.maximum, pool.threads) == ("pool-0", 2, 10, 1)
    assert (pool.components, pool.resources, pool.workers, pool.memory) == ((), {}, (), None)
    assert made.components == {}


def test_a_single_kind_of_job_needs_no_token() -> None:
    made = plan({"a": {"memory": "2GiB"}}, provider="slurm", threads_per_worker=4)

    assert made.pools[0].resources == {}
    assert made.pools[0].memory == 8 * 2**30
    assert made.components["a"].token is None
    assert made.components["a"].slots == 4


def test_each_component_of_a_cluster_is_a_kind_of_job() -> None:
    made = plan(
        {"a": {"env": {"N": "1"}}, "b": {"walltime": "2h"}, "c": {}},
        provider="slurm",
        walltime="4h",
        min_workers=4,
        max_workers=9,
        threads_per_worker=2,
    )

    assert [pool.name for pool in made.pools] == ["a", "b", "c"]
    assert [pool.minimum for pool in made.pools] == [2, 1, 1]
    assert [pool.resources for pool in made.pools] == [{f"scalable:{name}": 2} for name in "abc"]
    assert [each.walltime for each in made.components.values()] == [14400.0, 7200.0, 14400.0]
    assert [each.slots for each in made.components.values()] == [18, 18, 18]


def test_pods_take_image_and_mounts_of_the_target_where_they_name_none() -> None:
    made = plan(
        {"a": {}, "b": {"image": "mine", "mounts": ["x:/x"]}},
        provider="kubernetes",
        image="ours",
        mounts=["y:/y"],
    )

    assert [(each.image, each.mounts) for each in made.components.values()] == [
        ("ours", ("y:/y",)),
        ("mine", ("x:/x",)),
    ]


def test_a_running_scheduler_is_planned_without_workers() -> None:
    made = plan({"a": {"cpus": 2}}, provider="dask", address="tcp://there:8786")

    assert made.pools == ()
    assert (made.components["a"].pool, made.components["a"].slots) == (None, None)
    assert made.warnings == (
        "The scheduler is already running: cpus, memory and env of components are not enforced on it.",
    )
    assert plan({}, provider="dask").warnings == ()
