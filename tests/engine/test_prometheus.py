"""The scheduler's page ``/metrics`` has the numbers of the sessions that it serves, and of nobody else."""

from __future__ import annotations

import importlib.metadata
import os
import re
import signal
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from live import PATIENCE_S, fail, flaky, inc, start, until
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from scalable import Retry, ScalableSession, cacheable
from scalable.engine.scheduler.metrics import BOUNDS_S, Histogram, Metrics
from scalable.engine.scheduler.prometheus import Collector
from scalable.journal.records import CacheRecord, FailureRecord, TaskRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live

SOON = Retry(retries=3, base=0.02, jitter="none")
FOR_EVER = Retry(retries=1, base=300, max_delay=300, jitter="none")
Labels = frozenset[tuple[str, str]]


@cacheable
def square(number: int) -> int:
    return number * number


def even(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number


def die_once(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def page(client: Any) -> str:
    """What a scraper gets from the scheduler."""
    port = client.scheduler_info()["services"]["dashboard"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        assert answer.status == 200
        text: str = answer.read().decode()
    return text


def scraped(client: Any) -> dict[tuple[str, Labels], float]:
    """Our samples, by name and labels; each may be there once."""
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(page(client)):
        for sample in family.samples:
            name = (sample.name, frozenset(sample.labels.items()))
            if sample.name.startswith("scalable_"):
                assert name not in found
                found[name] = sample.value
    return found


def value(samples: dict[tuple[str, Labels], float], name: str, **labels: str) -> float | None:
    return samples.get((f"scalable_{name}", frozenset(labels.items())))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Live]:
    live = start(tmp_path, processes=False)
    yield live
    live.session.close()


def test_attempts_and_tasks_are_counted_by_how_they_ended(fresh: Live) -> None:
    client = fresh.client
    client.gather(client.map(inc, range(5)))
    bad = client.submit(fail, ValueError("no"))
    futures = [bad, client.submit(inc, bad), client.submit(flaky, 2, retry=SOON)]
    client.gather(futures, errors="return")
    waits = client.submit(fail, ConnectionError("no"), retry=FOR_EVER)
    until(lambda: fresh.session.overview()["waiting"] == 1)

    found = scraped(client)

    assert value(found, "attempts_total", outcome="succeeded", kind="") == 6
    assert value(found, "attempts_total", outcome="error", kind="permanent") == 1
    assert value(found, "attempts_total", outcome="error", kind="transient") == 3
    assert value(found, "tasks_total", state="succeeded") == 6
    assert value(found, "tasks_total", state="failed") == 2
    assert value(found, "tasks", state="waiting") == 1
    assert value(found, "tasks", state="failed") == 2
    assert value(found, "tasks", state="running") == 0
    assert value(found, "parked_tasks") == 0
    assert value(found, "sessions") == 1
    assert value(found, "retry_wait_seconds_count") == 3
    assert value(found, "retry_wait_seconds_sum") == pytest.approx(300 + 0.02 + 0.04, abs=0.001)
    assert value(found, "retry_wait_seconds_bucket", le="0.1") == 2
    assert value(found, "attempt_duration_seconds_count", outcome="error") == 4
    assert value(found, "attempt_duration_seconds_bucket", outcome="succeeded", le="+Inf") == 6
    waits.cancel()


def test_what_the_page_counts_is_what_the_journal_tells(fresh: Live) -> None:
    client = fresh.client
    client.gather(client.map(square, [3, 4, 3]))
    client.submit(square, 3).result()
    client.grid(even, "number[i] -> y[i]", number=list(range(8))).result()
    client.submit(inc, 1).result()
    fresh.told("tasks", number=13)

    found = scraped(client)

    lines = fresh.lines("tasks")
    for state in ("succeeded", "failed"):
        assert value(found, "tasks_total", state=state) == sum(line["state"] == state for line in lines)
    assert value(found, "attempts_total", outcome="error", kind="permanent") == len(fresh.lines("failures"))
    hits = sum(line["event"] == "hit" for line in fresh.lines("cache"))
    assert hits
    assert value(found, "cache_lookups_total", event="hit") == hits


def test_lost_workers_are_counted_once_whoever_listens(tmp_path: Path) -> None:
    live = start(tmp_path, max_workers=1)
    try:
        other = {"local": {"provider": "dask", "address": live.client.cluster.scheduler_address}}
        runs = {"runs_dir": str(tmp_path / "others")}
        with ScalableSession.from_mapping({"version": 1, "targets": other, "telemetry": runs}):
            live.client.submit(die_once, tmp_path / "mark").result(PATIENCE_S)
            found = scraped(live.client)
        assert value(found, "workers_lost_total") == 1
        assert value(found, "sessions") == 2
        assert value(found, "attempts_total", outcome="worker_lost", kind="infrastructure") == 1
        assert value(scraped(live.client), "sessions") == 1
        assert value(scraped(live.client), "workers_lost_total") == 1
    finally:
        live.session.close()


def test_each_scheduler_of_a_process_tells_of_itself_only(fresh: Live, tmp_path: Path) -> None:
    second = start(tmp_path / "second", processes=False)
    try:
        fresh.client.submit(inc, 1).result()
        second.client.gather(second.client.map(inc, range(3)))
        fresh.told("tasks")
        second.told("tasks", number=3)
        for _ in range(2):
            assert value(scraped(fresh.client), "tasks_total", state="succeeded") == 1
            assert value(scraped(second.client), "tasks_total", state="succeeded") == 3
    finally:
        second.session.close()
    assert value(scraped(fresh.client), "tasks_total", state="succeeded") == 1


def test_a_closed_scheduler_leaves_nothing_in_the_registry(tmp_path: Path) -> None:
    def ours() -> set[Any]:
        return {each for each in REGISTRY._collector_to_names if isinstance(each, Collector)}

    before = ours()
    live = start(tmp_path, processes=False)
    (new,) = ours() - before
    live.session.close()
    until(lambda: new not in ours())
    assert ours() <= before
    assert new.metrics is None


def test_labels_are_few_whatever_tasks_are_called(fresh: Live) -> None:
    for number in range(20):
        fresh.client.submit(fail, ValueError(number), task=f"task-{number}").exception()
    found = scraped(fresh.client)
    assert not re.search(r"task-\d|run-2", page(fresh.client).replace("dask_", ""))
    assert len([name for name, _ in found if name == "scalable_attempts_total"]) == 1


def test_without_the_package_nothing_is_counted_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    collector = Collector(SimpleNamespace())
    assert collector.metrics is None
    assert list(collector.collect()) == []
    collector.worker(SimpleNamespace(event="lost"))
    collector.close()

    live = start(tmp_path, processes=False)
    assert live.client.submit(inc, 1).result() == 2
    assert live.supervisor.collector.metrics is None
    live.session.close()


def test_the_extra_names_the_package() -> None:
    assert "prometheus" in importlib.metadata.metadata("prometheus_client")["Name"]
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^prometheus = \["prometheus-client', text, re.MULTILINE)


# --- the numbers --------------------------------------------------------------------------------------------


def test_a_histogram_counts_a_value_under_every_bound_that_is_not_below_it() -> None:
    histogram = Histogram()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.1, 1e9):
        histogram.add(seconds)
    buckets = histogram.buckets()
    assert [bound for bound, _ in buckets] == [*map(str, BOUNDS_S), "+Inf"]
    assert [count for _, count in buckets] == [2, *[3] * (len(BOUNDS_S) - 1), 4]
    assert histogram.sum_s == pytest.approx(1e9 + 2.1 * BOUNDS_S[0])


def test_what_is_no_attempt_is_not_counted_as_one() -> None:
    metrics = Metrics()
    metrics.count(FailureRecord(event="recovered", key="k", attempt=2))
    metrics.count(FailureRecord(event="attempt_failed", key="k", outcome="upstream", kind="permanent"))
    metrics.count(CacheRecord(event="miss"))
    metrics.count(TaskRecord(key="k", state="cancelled", attempts=0))
    metrics.count(TaskRecord(key="l", state="succeeded", attempts=1, duration_s=0.1, resumed="run-1"))
    assert not metrics.attempts
    assert not metrics.durations
    assert (metrics.ends, metrics.lookups) == ({"cancelled": 1, "succeeded": 1}, {"miss": 1})
