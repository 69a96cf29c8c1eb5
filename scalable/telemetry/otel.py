"""Sends spans by OpenTelemetry: the provider that the process has configured, or one of our own.

A run is a trace, or a span in that of whoever starts it; each task is a span below it. Everything but
:func:`configured` and the making of :class:`Own` and :class:`Spans` happens on a thread of its own.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context, trace
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, Status, StatusCode

from scalable.telemetry.stories import Stories, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    from scalable.journal import rundir
    from scalable.journal.rundir import RunInfo
    from scalable.telemetry.behind import Complaint
    from scalable.telemetry.stories import TaskSpan

__all__ = ["Own", "Spans", "configured"]

CONVENTIONS = "https://opentelemetry.io/schemas/1.34.0"
UNNAMED = "unknown_service"
QUEUE = "OTEL_BSP_MAX_QUEUE_SIZE"
MOST_QUEUED = 65_536
"""Spans that may wait to be exported, where the environment does not say: tasks may end by the thousand."""


def configured() -> trace.TracerProvider | None:
    """Return the provider that this process has configured, if it has."""
    provider = trace.get_tracer_provider()
    return None if isinstance(provider, ProxyTracerProvider | NoOpTracerProvider) else provider


class Own:
    """A provider that exports by OTLP over HTTP, all as the standard ``OTEL_*`` variables say.

    Raises ``ImportError`` where the SDK or the exporter is not installed.
    """

    def __init__(self, project: str, complain: Complaint) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, UNNAMED)).startswith(UNNAMED):
            resource = resource.merge(Resource({SERVICE_NAME: project}))
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        most = None if os.environ.get(QUEUE) else MOST_QUEUED
        self._exporter = cast("SpanExporter", _Quiet(OTLPSpanExporter(), complain))
        self.provider.add_span_processor(BatchSpanProcessor(self._exporter, max_queue_size=most))

    def close(self) -> None:
        """Export what is left; that may take long."""
        self.provider.shutdown()

    def give_up(self) -> None:
        """Break off the export under way."""
        self._exporter.shutdown()


class Spans:
    """The spans of one run; begins its own below the current span of the thread that makes it."""

    def __init__(self, provider: trace.TracerProvider, info: RunInfo, *, own: Own | None) -> None:
        self._own = own
        self._stories = Stories()
        version = info.versions.get("scalable")
        self._tracer = provider.get_tracer("scalable", version, schema_url=CONVENTIONS)
        self._run = self._tracer.start_span(
            f"run {info.project}",
            context=context.get_current(),
            start_time=nanoseconds(info.started_at),
            attributes={
                "scalable.run.id": info.run_id,
                "scalable.project": info.project,
                "scalable.target": info.target,
                "scalable.provider": info.provider,
                "host.name": info.host,
                "process.pid": info.pid,
            },
        )
        self._around = trace.set_span_in_context(self._run)

    def hear(self, file: str, records: list[dict[str, Any]]) -> None:
        """Make spans of the tasks that ended, and events of workers that were lost."""
        for record in records:
            if file == "workers" and record["event"] == "lost":
                names = {
                    "scalable.worker": "worker",
                    "scalable.signal": "signal",
                    "scalable.exit_code": "exit_code",
                }
                about = {name: record[key] for name, key in names.items() if record.get(key) is not None}
                self._run.add_event("scalable.worker.lost", about, nanoseconds(record["at"]))
            elif (told := self._stories.hear(file, record)) is not None:
                self._emit(told)

    def close(self, status: rundir.Status, reason: str | None) -> None:
        """End the run's span; what is our own is flushed and ended, what is the process's is left to it."""
        self._run.set_attribute("scalable.run.status", status)
        if status != "completed":
            self._run.set_status(Status(StatusCode.ERROR, reason or status))
        self._run.end()
        if self._own is not None:
            self._own.close()

    def give_up(self) -> None:
        """Leave what is not exported yet."""
        if self._own is not None:
            self._own.give_up()

    def _emit(self, told: TaskSpan) -> None:
        span = self._tracer.start_span(
            told.name, context=self._around, start_time=told.start_ns, attributes=told.attributes
        )
        for event in told.events:
            span.add_event(event.name, event.attributes, event.at_ns)
        if told.error is not None:
            span.set_status(Status(StatusCode.ERROR, told.error))
        span.end(told.end_ns)


class _Quiet:
    """An exporter that complains once, in our words: its own come with each batch, and are silenced."""

    def __init__(self, exporter: SpanExporter, complain: Complaint) -> None:
        self._exporter = exporter
        self._complain = complain
        self._exporting: set[int] = set()
        self._over = False
        self._theirs = logging.getLogger(type(exporter).__module__)
        self._theirs.addFilter(self._not_mine)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and say once if that does not work."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        self._exporting.add(threading.get_ident())
        try:
            result = SpanExportResult.FAILURE if self._over else self._exporter.export(spans)
        finally:
            self._exporting.discard(threading.get_ident())
            self._speak_again()
        if result is not SpanExportResult.SUCCESS:
            self._complain(f"nobody takes them at {getattr(self._exporter, '_endpoint', 'the endpoint')}")
        return result

    def shutdown(self) -> None:
        """End the exporter; what it is doing is broken off."""
        if not self._over:
            self._over = True
            self._exporter.shutdown()
            self._speak_again()

    def _speak_again(self) -> None:
        if self._over and not self._exporting:
            self._theirs.removeFilter(self._not_mine)

    def _not_mine(self, _record: logging.LogRecord) -> bool:
        return threading.get_ident() not in self._exporting
