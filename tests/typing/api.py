"""The public names as a user's type checker sees them: read by mypy in ``make types``, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

from distributed import Client, Future

from scalable import (
    Attempt,
    DirType,
    Failure,
    FileType,
    ObjectType,
    Outcome,
    Plan,
    Retry,
    ScalableClient,
    ScalableSession,
    TransientError,
    ValueType,
    cacheable,
    current_attempt,
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
