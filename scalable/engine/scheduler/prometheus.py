"""The numbers of a scheduler on its own page ``/metrics``, where ``prometheus_client`` is installed.

Dask serves that page from a registry that all of a process share. A scheduler's plugin has one collector in
it for as long as it lives; where there are several schedulers in one process, only that of the one which is
asked answers.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from scalable.engine.scheduler.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.journal.records import WorkerRecord

__all__ = ["Collector"]


class Collector:
    """Registered for one supervisor; without the package there is nothing to register, and no ``metrics``."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.metrics: Metrics | None = None
        try:
            import prometheus_client
        except ImportError:
            return
        self.metrics = Metrics()
        self._registry = prometheus_client.REGISTRY
        self._registry.register(self)

    def close(self) -> None:
        """Take it out of the registry."""
        if self.metrics is not None:
            self._registry.unregister(self)
            self.metrics = None

    def worker(self, record: WorkerRecord) -> None:
        """Count what happened to a worker, once for all sessions."""
        if self.metrics is not None and record.event == "lost":
            self.metrics.workers_lost += 1

    def describe(self) -> Iterable[Any]:
        """Claim no names: there may be another scheduler in this process."""
        return ()

    def collect(self) -> Iterator[Any]:
        """Give the numbers as they are now, if it is this scheduler that is asked."""
        if self.metrics is not None and _asked() in (self._supervisor.scheduler, None):
            yield from self._gauges()
            yield from self._counters(self.metrics)
            yield from self._histograms(self.metrics)

    def _gauges(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        sessions = list(self._supervisor.sessions.values())
        states: Counter[str] = Counter()
        for session in sessions:
            states.update(session.by_state())
        tasks = GaugeMetricFamily("scalable_tasks", "Tasks of open sessions by state.", labels=["state"])
        for state, number in states.items():
            tasks.add_metric([state], number)
        yield tasks
        parked = sum(session.parked for session in sessions)
        words = "Waiting tasks that are parked until their function works again."
        yield GaugeMetricFamily("scalable_parked_tasks", words, value=parked)
        yield GaugeMetricFamily("scalable_sessions", "Open sessions.", value=len(sessions))

    def _counters(self, metrics: Metrics) -> Iterator[Any]:
        yield _counter("attempts", "Attempts that are over.", ["outcome", "kind"], metrics.attempts.items())
        ends = (((state,), number) for state, number in metrics.ends.items())
        yield _counter("tasks", "Tasks that reached their end, retried by hand each time.", ["state"], ends)
        lookups = (((event,), number) for event, number in metrics.lookups.items())
        yield _counter("cache_lookups", "Look-ups of cached functions in tasks.", ["event"], lookups)
        yield _counter("workers_lost", "Workers that were lost.", [], [((), metrics.workers_lost)])

    def _histograms(self, metrics: Metrics) -> Iterator[Any]:
        from prometheus_client.core import HistogramMetricFamily

        words = "Seconds that attempts ran."
        durations = HistogramMetricFamily("scalable_attempt_duration_seconds", words, labels=["outcome"])
        for outcome, each in metrics.durations.items():
            durations.add_metric([outcome], each.buckets(), each.sum_s)
        yield durations
        waits = HistogramMetricFamily("scalable_retry_wait_seconds", "Seconds from a failure to its retry.")
        waits.add_metric([], metrics.waits.buckets(), metrics.waits.sum_s)
        yield waits


def _counter(name: str, words: str, labels: list[str], rows: Iterable[tuple[tuple[str, ...], int]]) -> Any:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"scalable_{name}", words, labels=labels)
    for values, number in rows:
        family.add_metric(list(values), number)
    return family


def _asked() -> Any:
    """The scheduler whose page is being served: Dask notes it with each request, for its own collectors."""
    from distributed.http.scheduler.prometheus.core import PrometheusHandler

    collectors = PrometheusHandler._collectors  # noqa: SLF001 - nobody else knows
    return collectors[0].server if collectors else None
