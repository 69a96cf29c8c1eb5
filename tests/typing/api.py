"""The public names as a user's type checker sees them: read by mypy in ``make types``, never run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, assert_type

from distributed import Client, Future

from scalable import (
    Attempt,
    DirType,
    Failure,
    FileType,
    Flow,
    FlowRun,
    ObjectType,
    Outcome,
    Plan,
    Retry,
    ScalableClient,
    ScalableSession,
    TransientError,
    ValueType,
    cacheable,
    concurrently,
    current_attempt,
    first,
    map_,
    step,
)

# --- sessions -----------------------------------------------------------------------------------------------


def sessions(path: Path) -> None:
    session = ScalableSession.from_yaml(path, target="local")
    assert_type(session, ScalableSession)
    assert_type(ScalableSession.from_yaml(), ScalableSession)
    assert_type(ScalableSession.from_mapping({"version": 1}), ScalableSession)
    plan = session.plan()
    assert_type(plan, Plan)
    assert_type(session.start(plan), ScalableClient)
    assert_type(session.run_dir, Path)
    session.close()
    with ScalableSession.local(workers=2) as client:
        assert_type(client, ScalableClient)
        dask_client: Client = client
        dask_client.cluster  # noqa: B018 - all that Dask's client has


# --- tasks --------------------------------------------------------------------------------------------------


def measure(site: int, *, scale: float = 1.0) -> float:
    attempt = current_attempt()
    assert_type(attempt, Attempt | None)
    if attempt is not None and attempt.number < attempt.max_attempts:
        raise TransientError("busy", retry_after=5)
    return site * scale


def tasks(client: ScalableClient) -> None:
    patient = Retry(retries=5, base=0.5, jitter="full", transient=(OSError, "requests.Timeout"), deadline=60)
    assert_type(patient.max_attempts, int)
    future = client.submit(measure, 1, scale=2.0, retry=patient, timeout="5m", tag="large")
    assert_type(future, Future[Any])
    futures = client.map(measure, range(3), retries=2, task="measure", idempotent=False)
    assert_type(futures, list[Future[Any]])
    client.gather(futures, errors="return")
    client.gather({"a": future}, errors="mask")  # the shape of what is given, which no type can tell
    with client.policy(retries=3):
        pass


def ends(client: ScalableClient, futures: list[Future[Any]]) -> None:
    outcome = client.collect(futures, progress=False)
    assert_type(outcome, Outcome)
    assert_type(client.collect({"a": futures[0]}), Outcome)
    assert_type(outcome.ok, bool)
    assert_type(outcome.retry(retries=1), Outcome)
    assert_type(outcome.failures, dict[Any, Failure])
    assert_type(outcome.exceptions, dict[Any, BaseException])
    for failure in outcome.failures.values():
        assert_type(failure.started_at, float | None)
        assert_type(failure.root, str | None)


# --- the cache ----------------------------------------------------------------------------------------------


@cacheable
def bare(number: int) -> str:
    return str(number)


@cacheable(return_type=dict, path=FileType, model=ObjectType, tree=DirType, n=ValueType, ignore="verbose")
def declared(path: str, model: object, tree: str, n: int, *, verbose: bool = False) -> dict[str, int]:
    return {path: n}


@cacheable({"version": str}, version="2")
def mapped(version: str) -> int:
    return len(version)


@cacheable
async def awaited(number: int) -> str:
    return str(number)


class Model:
    @cacheable
    def method(self, number: int) -> str:
        return str(number)


async def awaiting() -> None:
    assert_type(await awaited(1), str)


def cached(model: Model) -> None:
    assert_type(bare(1), str)
    assert_type(bare(number=1), str)
    assert_type(declared("a", model, "b", 1, verbose=True), dict[str, int])
    assert_type(mapped("x"), int)
    assert_type(model.method(1), str)
    assert_type(bare.cache_key(1), str)
    assert_type(bare.invalidate(1), bool)
    assert_type(bare.uncached(1), str)
    bare("1")  # type: ignore[arg-type]
    model.method("1")  # type: ignore[arg-type]


# --- flows --------------------------------------------------------------------------------------------------


@step
def seen(site: int, *, scale: float = 1.0) -> float:
    return site * scale


@step(returns=("low", "high"), retries=3, timeout="5m", isolate=True)
def bounds(seen: list[float]) -> tuple[float, float]:
    return min(seen), max(seen)


@step(returns="count")
def count_sites(seen: list[float]) -> int:
    return len(seen)


def flow_runs(session: ScalableSession, client: ScalableClient, flow: Flow) -> None:
    run = session.run(flow, site=[1, 2], self="also a name")
    assert_type(run, FlowRun)
    assert_type(client.flow(flow), FlowRun)
    assert_type(run.wait(timeout=5), FlowRun)
    assert_type(run.restart(site=[3]), FlowRun)
    assert_type(run.status, Literal["pending", "finished", "error"])
    assert_type(run.outputs, Mapping[str, Any])
    assert_type(run.result(), dict[str, Any])
    assert_type(run.missing, dict[str, str])
    assert_type(run.steps[seen].missed, tuple[str, ...])
    assert_type(run.steps["low"].counts(), dict[str, int])
    assert_type(run.steps["low"].failure(), Failure | None)
    assert_type(list(run.steps), list[str])
    assert_type(run.progress() + run.log() + run.graph("svg"), str)
    run.cancel()


def flows() -> None:
    assert_type(seen(3, scale=2.0), float)
    assert_type(bounds([1.0]), tuple[float, float])
    assert_type(bounds.returns, tuple[str, ...])
    seen("north")  # type: ignore[arg-type]
    all_seen = map_(seen, "site[i] -> seen[i]", max_runs=5, retry=Retry(base=0.1), on_holes="skip")
    flow = first(all_seen).then(concurrently(bounds, count_sites)).rename("survey")
    assert_type(flow, Flow)
    assert_type(flow.join(Flow("empty")).returning("low", high="most"), Flow)
    assert_type(flow.with_retries({bounds: 5, "count_sites": Retry(retries=2)}), Flow)
    assert_type(flow.with_max_runs({bounds: 5}), Flow)
    assert_type(flow.replace_steps({"count_sites": count_sites}), Flow)
    assert_type(flow.inputs, tuple[str, ...])
    assert_type(flow.defaults, dict[str, Any])
    assert_type(flow.outputs, dict[str, str])
    assert_type(flow.steps[0].name, str)
    assert_type(flow.plan(site=[1, 2]).steps[0].shape, tuple[int | None, ...] | None)
    assert_type(flow.graph("dot"), str)
    assert_type(flow.to_dict(), dict[str, Any])
