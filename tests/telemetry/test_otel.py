"""A run is a trace: told to the provider of the process, or to a real endpoint, which may also be away."""

from __future__ import annotations

import http.server
import logging
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from live import PATIENCE_S, fail, flaky, inc, manifest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from scalable import Retry, ScalableSession, SessionError
from scalable.journal.rundir import read_info
from scalable.telemetry import behind, opening
from scalable.telemetry.opening import open_spans
from scalable.telemetry.stories import nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOON = Retry(retries=3, base=0.02, jitter="none")


def session(place: Path, *, otel: bool | None = None, **target: Any) -> ScalableSession:
    mapping = manifest(place, **{"processes": False, **target})
    if otel is not None:
        mapping["telemetry"]["otel"] = otel
    return ScalableSession.from_mapping(mapping)


def even(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number


def die_once(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """No provider is configured, and no variable of OpenTelemetry is set."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What the provider of this process has heard."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def named(spans: InMemorySpanExporter, name: str) -> list[Any]:
    return [span for span in spans.get_finished_spans() if span.name == name]


# --- the provider of the process ----------------------------------------------------------------------------


def test_a_run_is_a_trace_with_a_span_for_each_task(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    run = session(tmp_path)
    with run as client:
        client.gather(client.map(inc, range(3), task="count"))
        client.submit(flaky, 2, retry=SOON).result()
        client.submit(fail, ValueError("no")).exception()
    info = read_info(run.run_dir)

    (root,) = named(spans, "run tests")
    assert root.parent is None
    assert root.start_time == nanoseconds(info.started_at)
    assert root.attributes["scalable.run.id"] == info.run_id
    assert root.attributes["scalable.run.status"] == "completed"
    assert root.status.status_code is StatusCode.UNSET
    others = [span for span in spans.get_finished_spans() if span is not root]
    assert sorted(span.name for span in others) == ["count", "count", "count", "fail", "flaky"]
    for span in others:
        assert span.context.trace_id == root.context.trace_id
        assert span.parent.span_id == root.context.span_id
        assert root.start_time <= span.start_time <= span.end_time <= root.end_time
        assert span.instrumentation_scope.name == "scalable"
    assert {span.attributes["code.function.name"] for span in others} == {
        "live.inc",
        "live.flaky",
        "live.fail",
    }


def test_failures_and_waits_are_events_and_a_failed_task_is_an_error(
    spans: InMemorySpanExporter, tmp_path: Path
) -> None:
    with session(tmp_path) as client:
        client.submit(flaky, 1, retry=SOON).result()
        client.submit(fail, ValueError("no")).exception()
    (recovered,), (failed,) = named(spans, "flaky"), named(spans, "fail")

    assert [event.name for event in recovered.events] == [
        "scalable.attempt", "exception", "scalable.retry", "scalable.attempt"
    ]  # fmt: skip
    assert recovered.status.status_code is StatusCode.UNSET
    assert recovered.events[1].attributes["exception.type"] == "ConnectionError"
    assert recovered.events[2].attributes["scalable.delay"] == 0.02
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "ValueError: no"
    assert failed.attributes["error.type"] == "ValueError"
    (error,) = [event for event in failed.events if event.name == "exception"]
    assert error.attributes["exception.message"] == "no"
    assert "raise error" in error.attributes["exception.stacktrace"]


def test_calls_of_grids_have_spans_too(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    with session(tmp_path) as client:
        client.grid(even, "number[i] -> y[i]", number=list(range(6))).result()
    found = named(spans, "even")
    assert len(found) == 6
    assert sum(span.status.status_code is StatusCode.ERROR for span in found) == 3


def test_a_lost_worker_is_an_event_of_the_run(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    with session(tmp_path, processes=True, max_workers=1) as client:
        client.submit(die_once, tmp_path / "mark").result(PATIENCE_S)
    (root,) = named(spans, "run tests")
    (lost,) = root.events
    assert (lost.name, lost.attributes["scalable.signal"]) == ("scalable.worker.lost", "SIGKILL")


def test_a_run_is_part_of_the_trace_of_who_starts_it(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    with trace.get_tracer("caller").start_as_current_span("caller") as caller, session(tmp_path) as client:
        client.submit(inc, 1).result()
    (root,) = named(spans, "run tests")
    assert root.parent.span_id == caller.get_span_context().span_id
    assert {span.context.trace_id for span in spans.get_finished_spans()} == {root.context.trace_id}


def test_a_run_that_fails_is_an_error(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    with pytest.raises(KeyError), session(tmp_path):
        raise KeyError("gone")
    (root,) = named(spans, "run tests")
    assert (root.status.status_code, root.status.description) == (StatusCode.ERROR, "KeyError: 'gone'")


def test_the_provider_of_the_process_is_not_shut_down(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    for _ in range(2):
        with session(tmp_path, otel=True) as client:
            client.submit(inc, 1).result()
    assert len(named(spans, "run tests")) == 2


def test_it_can_be_switched_off(
    spans: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(tmp_path, otel=False) as client:
        client.submit(inc, 1).result()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with session(tmp_path, otel=True) as client:
        client.submit(inc, 1).result()
    assert spans.get_finished_spans() == ()


# --- a real endpoint ----------------------------------------------------------------------------------------


class Collector(http.server.ThreadingHTTPServer):
    """Takes in spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, ExportTraceServiceRequest]] = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/x-protobuf"
                requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def plain(attributes: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in attributes}


def test_spans_arrive_at_the_endpoint_that_the_environment_names(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
    with session(tmp_path, otel=True) as client:
        client.gather(client.map(inc, range(3)))
        client.submit(fail, ValueError("no")).exception()

    assert {path for path, _ in collector.requests} == {"/v1/traces"}
    told = [each for _, request in collector.requests for each in request.resource_spans]
    resource = plain(told[0].resource.attributes)
    assert resource["service.name"] == "tests"
    assert resource["deployment.environment.name"] == "tests"
    found = [span for each in told for scope in each.scope_spans for span in scope.spans]
    assert sorted(span.name for span in found) == ["fail", "inc", "inc", "inc", "run tests"]
    assert len({span.trace_id for span in found}) == 1
    (failed,) = [span for span in found if span.name == "fail"]
    assert failed.status.message == "ValueError: no"
    assert plain(failed.attributes)["scalable.task.state"] == "failed"
    assert failed.start_time_unix_nano < failed.end_time_unix_nano


def test_the_service_is_called_as_the_environment_says(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/elsewhere")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "energy")
    with session(tmp_path, otel=True):
        pass
    ((path, request),) = collector.requests
    assert path == "/elsewhere"
    assert plain(request.resource_spans[0].resource.attributes)["service.name"] == "energy"


def test_an_endpoint_that_is_away_costs_a_warning_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setattr(behind, "CLOSE_S", 1.0)
    run = session(tmp_path, otel=True)
    with caplog.at_level(logging.WARNING), run as client:
        for _ in range(3):
            assert client.gather(client.map(inc, range(3))) == [1, 2, 3]
    (said,) = [record for record in caplog.records if record.name.startswith(("scalable", "opentelemetry"))]
    assert "spans of this run are being lost" in said.getMessage()
    assert read_info(run.run_dir).status == "completed"
    assert not logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").filters


def test_without_an_exporter_nothing_is_sent(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    with session(tmp_path):  # nobody asked
        pass
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    with session(tmp_path, otel=True):
        pass
    assert collector.requests == []


# --- what is not installed ----------------------------------------------------------------------------------


def test_where_the_packages_are_missing_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    run = session(tmp_path, otel=True)
    with pytest.raises(SessionError, match=r"pip install scalable\[otel\]"):
        run.start()
    assert read_info(run.run_dir).status == "failed"
    with session(tmp_path) as client:
        assert client.submit(inc, 1).result() == 2


def test_where_nobody_configured_it_it_is_not_even_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("opentelemetry", "scalable.telemetry.otel"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    assert open_spans(None, None, {}) is None
    assert opening.API not in sys.modules
