"""Spans and metrics leave this process, over a real socket, as a collector would get them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from qasid_otel import Telemetry

from .observed import FACES, HELLO, TEXT, TO, settle


@attrs.define(eq=False)
class Collector:
    """What a collector was posted, by path, as raw bytes."""

    url: str = ""
    posted: dict[str, list[bytes]] = attrs.field(factory=dict)

    def spans(self) -> list[Any]:
        """All spans that came."""
        requests = map(ExportTraceServiceRequest.FromString, self.posted["/v1/traces"])
        resources = [resource for request in requests for resource in request.resource_spans]
        scopes = [scope for resource in resources for scope in resource.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    def metrics(self) -> list[Any]:
        """All metrics that came."""
        requests = map(ExportMetricsServiceRequest.FromString, self.posted["/v1/metrics"])
        resources = [resource for request in requests for resource in request.resource_metrics]
        scopes = [scope for resource in resources for scope in resource.scope_metrics]
        return [metric for scope in scopes for metric in scope.metrics]


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on this machine, for the length of a `with`."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.posted.setdefault(self.path, []).append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the server's word
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield collector
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("opened", FACES)
def test_spans_and_metrics_arrive_at_a_collector(
    opened: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over OTLP, with the span below the caller's, and without whom it went to."""
    settle(monkeypatch, tmp_path)
    with collecting() as collector:
        tracing = TracerProvider(shutdown_on_exit=False)
        spans = OTLPSpanExporter(f"{collector.url}/v1/traces")
        tracing.add_span_processor(BatchSpanProcessor(spans))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{collector.url}/v1/metrics"))
        metering = MeterProvider([reader], shutdown_on_exit=False)
        with (
            opened("main", listeners=[Telemetry(tracing, metering)]) as account,
            tracing.get_tracer("application").start_as_current_span("checkout"),
        ):
            account.send(HELLO)
        metering.shutdown()
        tracing.shutdown()
    sent, caller = collector.spans()
    assert ("send main", "checkout") == (sent.name, caller.name)
    assert caller.span_id == sent.parent_span_id
    assert 0 < sent.end_time_unix_nano - sent.start_time_unix_nano
    assert {
        "qasid.outcomes",
        "qasid.operation.duration",
        "messaging.client.sent.messages",
        "messaging.client.operation.duration",
    } == {metric.name for metric in collector.metrics()}
    left = b"".join(body for bodies in collector.posted.values() for body in bodies)
    assert [] == [word for word in (TO[3:], TEXT) if word.encode() in left]
