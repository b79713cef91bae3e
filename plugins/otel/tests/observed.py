"""An OpenTelemetry SDK of a test's own, and accounts and routes of the sandbox that tell it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import qasid
from qasid.routing import AsyncRoute, Route, Tolerance
from qasid_otel import Telemetry

#: Accounts of different names: in a route they are told apart by that.
ACCOUNTS: Final = """
[accounts.main]
provider = "sandbox"
base_url = "emulator://sandbox"

[accounts.spare]
provider = "sandbox"
base_url = "emulator://sandbox"
"""

TO: Final = "+989121112233"
TEXT: Final = "open sesame"
HELLO: Final = qasid.TextMessage(to=TO, text=TEXT)


def to(ending: str) -> qasid.TextMessage:
    """A message to a recipient of special meaning."""
    return qasid.TextMessage(to=f"+98912111{ending}", text=TEXT)


@attrs.frozen(eq=False)
class Observed:
    """What an SDK was told: finished spans, and metrics as they are now."""

    exporter: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = attrs.field(factory=InMemoryMetricReader)
    tracing: TracerProvider = attrs.field(
        factory=lambda: TracerProvider(shutdown_on_exit=False), init=False
    )
    metering: MeterProvider = attrs.field(init=False)
    telemetry: Telemetry = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tracing.add_span_processor(SimpleSpanProcessor(self.exporter))
        metering = MeterProvider([self.reader], shutdown_on_exit=False)
        object.__setattr__(self, "metering", metering)
        object.__setattr__(self, "telemetry", Telemetry(self.tracing, metering))

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order of their ends."""
        return [*self.exporter.get_finished_spans()]

    def points(self, name: str) -> list[Any]:
        """The data points of one metric; none where it was never told."""
        data = self.reader.get_metrics_data()
        scopes = [s for r in (data.resource_metrics if data else ()) for s in r.scope_metrics]
        found = [m for scope in scopes for m in scope.metrics if m.name == name]
        return [point for metric in found for point in metric.data.data_points]

    def counted(self, name: str, *by: str) -> dict[tuple[Any, ...], Any]:
        """The values of a counter by some of its attributes."""
        return {tuple(map(p.attributes.get, by)): p.value for p in self.points(name)}

    def exported(self) -> str:
        """All that left, as JSON."""
        data = self.reader.get_metrics_data()
        return "\n".join([*(span.to_json() for span in self.spans), data.to_json() if data else ""])


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    """Those of a span, which always has some."""
    return span.attributes or {}


# Both kinds of accounts.


@attrs.frozen
class Awaited:
    """An `AsyncAccount` to be used as if it was an `Account`, in a real loop with real threads."""

    account: Any
    runner: asyncio.Runner

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.account, name)
        return lambda *args, **options: self.runner.run(
            call(*args, **options), context=contextvars.copy_context()
        )


@contextlib.contextmanager
def blocking(name: str, **options: Any) -> Iterator[Any]:
    with qasid.connect(name, **options) as account:
        yield account


@contextlib.contextmanager
def awaited(name: str, **options: Any) -> Iterator[Any]:
    with asyncio.Runner() as runner:
        account = qasid.connect_async(name, **options)
        yield Awaited(account, runner)
        runner.run(account.close())


@contextlib.contextmanager
def blocking_route(observed: Observed, **options: Any) -> Iterator[Any]:
    told: Any = {"listeners": [observed.telemetry]}
    accounts = [qasid.connect(name, **told) for name in ("main", "spare")]
    with Route("alerts", accounts, close_accounts=True, **told, **options) as route:
        yield route


@contextlib.contextmanager
def awaited_route(observed: Observed, **options: Any) -> Iterator[Any]:
    told: Any = {"listeners": [observed.telemetry]}
    accounts = [qasid.connect_async(name, **told) for name in ("main", "spare")]
    with asyncio.Runner() as runner:
        route = AsyncRoute("alerts", accounts, close_accounts=True, **told, **options)
        yield Awaited(route, runner)
        runner.run(route.close())


FACES: Final = (blocking, awaited)
ROUTES: Final = (blocking_route, awaited_route)
QUICK: Final = Tolerance(failures=1)


def settle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder with those accounts, and nothing else configured."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("qasid.toml").write_text(ACCOUNTS, "utf-8")
