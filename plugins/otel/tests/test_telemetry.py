"""What an OpenTelemetry SDK is told of an account's acts, in the sync API and in the async one."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.semconv._incubating.attributes import messaging_attributes as semconv
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.trace import SpanKind, StatusCode

import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Response
from qasid.events import PrefixPaused
from qasid_otel import Telemetry, conventions
from qasid_sandbox.emulator import SandboxEmulator

from .observed import (
    FACES,
    HELLO,
    QUICK,
    ROUTES,
    TEXT,
    TO,
    Observed,
    attributes,
    blocking,
    settle,
    to,
)

both_faces = pytest.mark.parametrize("opened", FACES)
both_routes = pytest.mark.parametrize("opened", ROUTES)

SENT: Final = "messaging.client.sent.messages"
SENDING: Final = "messaging.client.operation.duration"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


@pytest.fixture
def observed() -> Observed:
    return Observed()


# Spans.


@both_faces
def test_a_message_is_a_client_span_in_the_words_of_the_convention(
    opened: Any, observed: Observed
) -> None:
    """And in our own, where it has none. Nothing says whom it went to."""
    with opened("main", listeners=[observed.telemetry]) as account:
        account.send(HELLO)
    (span,) = observed.spans
    assert ("send main", SpanKind.CLIENT) == (span.name, span.kind)
    assert StatusCode.UNSET is span.status.status_code
    assert {
        "messaging.system": "sandbox",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "main",
        "qasid.account": "main",
        "qasid.provider": "sandbox",
        "qasid.operation": "send",
        "qasid.outcome": "performed",
        "qasid.count": 1,
    } == dict(attributes(span))


@both_faces
def test_each_kind_of_paid_act_is_a_span(opened: Any, observed: Observed) -> None:
    """A number is no message, and has no words of messaging."""
    with opened("main", listeners=[observed.telemetry]) as account:
        account.otp(TO)
        account.acquire_number("acme", "SA")
    otp, number = observed.spans
    assert ("otp main", "otp") == (otp.name, attributes(otp)["messaging.operation.name"])
    assert "acquire_number main" == number.name
    assert [] == [name for name in attributes(number) if name.startswith("messaging.")]


@both_faces
def test_a_refusal_is_an_error_that_was_not_performed(opened: Any, observed: Observed) -> None:
    """With its class, the provider's own code, and how long to wait."""
    refused = pytest.raises(qasid.RateLimited)
    with opened("main", listeners=[observed.telemetry], max_wait=0) as account, refused:
        account.send(to("0005"))
    (span,) = observed.spans
    told = attributes(span)
    assert ("RateLimited", "not_performed") == (told["error.type"], told["qasid.outcome"])
    assert ("rate_limited", 1.0) == (told["qasid.provider_code"], told["qasid.retry_after"])
    assert StatusCode.ERROR is span.status.status_code
    assert "it was not performed" == span.status.description


@both_faces
def test_an_unknown_outcome_is_an_error_that_says_so(opened: Any, observed: Observed) -> None:
    """It is the one to look after."""
    unknown = pytest.raises(qasid.ProviderUnavailable)
    with opened("main", listeners=[observed.telemetry]) as account, unknown:
        account.send(to("0004"))
    (span,) = observed.spans
    assert "unknown" == attributes(span)["qasid.outcome"]
    assert "it may have been performed" == span.status.description


@both_faces
def test_a_batch_is_a_span_for_each_outcome_in_it(opened: Any, observed: Observed) -> None:
    """With how many of the messages had it; one message is no batch."""
    with opened("main", listeners=[observed.telemetry]) as account:
        account.send_many([HELLO, to("0001"), HELLO, to("0002")])
    told = [attributes(span) for span in observed.spans]
    assert [2, None, None] == [each.get("messaging.batch.message_count") for each in told]
    assert [2, 1, 1] == [each["qasid.count"] for each in told]
    assert ["InvalidRecipient", "RecipientOptedOut"] == [each["error.type"] for each in told[1:]]


@both_faces
def test_the_span_is_below_that_of_whoever_called(opened: Any, observed: Observed) -> None:
    """In the async API too, where listeners are called in another thread."""
    tracer = observed.tracing.get_tracer("application")
    with (
        opened("main", listeners=[observed.telemetry]) as account,
        tracer.start_as_current_span("checkout") as checkout,
    ):
        account.send(HELLO)
    child, parent = observed.spans
    assert child.parent == checkout.get_span_context()
    assert parent.start_time <= child.start_time <= child.end_time <= parent.end_time  # type: ignore[operator]


def test_tasks_at_once_have_each_their_own_parent(observed: Observed) -> None:
    """The context of one does not get into the other's thread."""
    import asyncio

    tracer = observed.tracing.get_tracer("application")

    async def sent(account: qasid.AsyncAccount, name: str) -> None:
        with tracer.start_as_current_span(name):
            await account.otp(TO)
            await account.send(HELLO)

    async def run() -> None:
        async with qasid.connect_async("main", listeners=[observed.telemetry]) as account:
            await asyncio.gather(*(sent(account, name) for name in "abcd"))

    asyncio.run(run())
    parents = {span.context.span_id: span.name for span in observed.spans if span.parent is None}
    children = [span for span in observed.spans if span.parent is not None]
    assert sorted("aabbccdd") == sorted(parents[s.parent.span_id] for s in children if s.parent)


def test_a_span_lasts_as_long_as_the_act(observed: Observed) -> None:
    """With its waits and retries, to the microsecond; and so does the duration."""
    clock = VirtualClock()
    emulator = SandboxEmulator(clock=clock.now)
    driver = virtual_driver(emulator.handle, clock)
    with qasid.connect("main", driver=driver, listeners=[observed.telemetry]) as account:
        account.authenticate()
        began = clock.now()
        emulator.fail_next(Response(status=429, headers=[("Retry-After", "7")]))
        account.send(HELLO)
    (span,) = observed.spans
    assert conventions.nanoseconds(began) == span.start_time
    assert conventions.nanoseconds(began + timedelta(seconds=7)) == span.end_time
    assert [7.0] == [point.sum for point in observed.points(SENDING)]


def test_moments_are_exact() -> None:
    """A float of seconds has no room for the microseconds of our days, let alone nanoseconds."""
    moment = datetime(2026, 11, 25, 20, 37, 30, 260_077, tzinfo=UTC)
    assert 1_795_639_050_260_077_000 == conventions.nanoseconds(moment)


# Metrics.


@both_faces
def test_outcomes_are_counted_by_what_became_of_them(opened: Any, observed: Observed) -> None:
    """Messages, not batches; and the errors by their class."""
    with opened("main", listeners=[observed.telemetry]) as account:
        account.send_many([HELLO, HELLO, to("0001")])
        account.acquire_number("acme", "SA")
        with pytest.raises(qasid.ProviderUnavailable):
            account.send(to("0004"))
    assert {
        ("send", "performed", None): 2,
        ("send", "not_performed", "InvalidRecipient"): 1,
        ("send", "unknown", "ProviderUnavailable"): 1,
        ("acquire_number", "performed", None): 1,
    } == observed.counted("qasid.outcomes", "qasid.operation", "qasid.outcome", "error.type")
    assert {
        ("send", None): 2,
        ("send", "InvalidRecipient"): 1,
        ("send", "ProviderUnavailable"): 1,
    } == observed.counted(SENT, "messaging.operation.name", "error.type")


@both_faces
def test_durations_are_in_seconds_with_the_bounds_of_the_convention(
    opened: Any, observed: Observed
) -> None:
    """An exemplar leads from the point to the span."""
    with opened("main", listeners=[observed.telemetry]) as account:
        account.send(HELLO)
        account.acquire_number("acme", "SA")
    points = observed.points("qasid.operation.duration")
    assert [1, 1] == [point.count for point in points]
    assert conventions.DURATION_BOUNDS == tuple(points[0].explicit_bounds)
    pointed = [exemplar.span_id for point in points for exemplar in point.exemplars]
    assert [span.context.span_id for span in observed.spans] == pointed
    assert [1] == [point.count for point in observed.points(SENDING)]


@both_faces
def test_no_metric_is_counted_by_what_has_many_values(opened: Any, observed: Observed) -> None:
    """A provider's codes, and how many and how long, are said by spans alone."""
    with opened("main", listeners=[observed.telemetry], max_wait=0) as account:
        account.send_many([HELLO, HELLO, to("0001")])
        with pytest.raises(qasid.RateLimited):
            account.send(to("0005"))
    ours = {"qasid.account", "qasid.provider", "qasid.operation", "qasid.outcome", "error.type"}
    theirs = {f"messaging.{n}" for n in ("system", "operation.name", "operation.type")}
    theirs |= {"messaging.destination.name", "error.type"}
    for name, known in [("qasid.outcomes", ours), (SENT, theirs), (SENDING, theirs)]:
        assert known == {key for point in observed.points(name) for key in point.attributes}


@both_faces
def test_a_low_balance_is_counted_and_noted(opened: Any, observed: Observed) -> None:
    """In the span of whoever called; how much there is left is not said."""
    tracer = observed.tracing.get_tracer("application")
    low = qasid.Money.parse("1000 USD")
    with (
        opened("main", listeners=[observed.telemetry], low_balance=low) as account,
        tracer.start_as_current_span("look"),
    ):
        account.balance()
    assert {("main", "sandbox"): 1} == observed.counted(
        "qasid.low_balances", "qasid.account", "qasid.provider"
    )
    assert ["qasid.low_balance"] == [event.name for event in observed.spans[0].events]


def test_a_paused_prefix_is_counted_and_noted(observed: Observed) -> None:
    """With its figures in the span of whoever asked for the last code."""
    event = PrefixPaused(
        prefix="+98",
        recipients=20,
        verified=1,
        paused_for=timedelta(hours=1),
        at=datetime(2024, 8, 1, tzinfo=UTC),
    )
    with observed.tracing.get_tracer("application").start_as_current_span("login"):
        observed.telemetry.on_prefix_paused(event)
    assert {("+98",): 1} == observed.counted("qasid.prefix_pauses", "qasid.prefix")
    (noted,) = observed.spans[0].events
    figures = {"qasid.prefix": "+98", "qasid.recipients": 20, "qasid.verified": 1}
    assert ("qasid.prefix_paused", figures) == (noted.name, dict(noted.attributes or {}))


# Routes.


@both_routes
def test_a_fallback_is_counted_and_noted_with_what_was_passed_over(
    opened: Any, observed: Observed
) -> None:
    """The breaker of the first account is open after a failure; the second one is asked."""
    tracer = observed.tracing.get_tracer("application")
    with opened(observed, tolerance=QUICK) as route:
        with pytest.raises(qasid.ProviderUnavailable):
            route.send(to("0004"))
        with tracer.start_as_current_span("checkout"):
            route.send(HELLO)
    failed, sent, caller = observed.spans
    assert ["send main", "send spare", "checkout"] == [failed.name, sent.name, caller.name]
    assert sent.parent == caller.context
    (event,) = caller.events
    assert "qasid.fallback" == event.name
    assert ("main (breaker open)",) == (event.attributes or {})["qasid.passed_over"]
    by = ("qasid.route", "qasid.operation", "qasid.account")
    assert {("alerts", "send", "spare"): 1} == observed.counted("qasid.fallbacks", *by)


@both_routes
def test_what_a_breaker_does_is_counted_and_noted(opened: Any, observed: Observed) -> None:
    """By its new state."""
    tracer = observed.tracing.get_tracer("application")
    unknown = pytest.raises(qasid.ProviderUnavailable)
    with (
        opened(observed, tolerance=QUICK) as route,
        tracer.start_as_current_span("checkout"),
        unknown,
    ):
        route.send(to("0004"))
    by = ("qasid.route", "qasid.account", "qasid.breaker.state")
    assert {("alerts", "main", "open"): 1} == observed.counted("qasid.breaker.changes", *by)
    assert "qasid.breaker" in [event.name for event in observed.spans[-1].events]


# What is not told, and what does no harm.


@both_faces
def test_no_secret_no_text_and_no_recipient_is_exported(opened: Any, observed: Observed) -> None:
    """Neither the key and the token, nor a code, an id, or the number that was rented."""
    telling: dict[str, Any] = {"listeners": [observed.telemetry], "max_wait": 0}
    hidden = ["KEY-0f1e2d3c", TEXT, TO[1:], TO[3:], "98912111"]
    with opened("main", **telling) as account:
        hidden += [account.authenticate().token, str(account.send(HELLO).id)]
        hidden += [str(account.otp(TO).code), str(account.otp(TO, code="081547").code)]
        rented = account.acquire_number("acme", "SA")
        hidden += [rented.number[1:], rented.id]
        receipts = account.send_many([HELLO, to("0001"), to("0002")])
        hidden += [str(receipt.id) for receipt in receipts if receipt.id]
        for ending in ("0001", "0003", "0004", "0005"):
            with pytest.raises(qasid.ProviderError):
                account.send(to(ending))
    wrong = pytest.raises(qasid.AuthenticationFailed)
    with opened("main", api_key="KEY-0f1e2d3c", **telling) as account, wrong:
        account.send(HELLO)
    exported = observed.exported()
    assert "AuthenticationFailed" in exported
    assert [] == [word for word in hidden if word in exported]


class Broken(SpanProcessor):
    """A span processor that fails, with what it should not say."""

    def on_end(self, span: ReadableSpan) -> None:
        raise ConnectionError(f"no way to {TO}")


@both_faces
def test_an_export_that_fails_harms_nothing(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The message is sent once, and the log has the place and no text."""
    broken = TracerProvider(shutdown_on_exit=False)
    broken.add_span_processor(Broken())
    observed = Observed()
    listeners = [Telemetry(broken), observed.telemetry]
    with caplog.at_level(logging.WARNING, "qasid"), opened("main", listeners=listeners) as account:
        assert account.send(HELLO).accepted
    assert 1 == len(observed.spans)
    assert "a listener failed in on_performed: ConnectionError at " in caplog.text
    assert TO not in caplog.text


# The installed listener.


ACCOUNT: Final = "import qasid; account = qasid.connect('main'); "
SEND: Final = f"account.send(qasid.TextMessage(to={TO!r}, text='Hello')); "
SDK: Final = (
    "from opentelemetry import metrics, trace; "
    "from opentelemetry.sdk.metrics import MeterProvider; "
    "from opentelemetry.sdk.metrics.export import InMemoryMetricReader; "
    "from opentelemetry.sdk.trace import TracerProvider; "
    "from opentelemetry.sdk.trace.export import SimpleSpanProcessor; "
    "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter; "
    "spans, reader = InMemorySpanExporter(), InMemoryMetricReader(); "
    "provider = TracerProvider(); provider.add_span_processor(SimpleSpanProcessor(spans)); "
    "trace.set_tracer_provider(provider); "
    "metrics.set_meter_provider(MeterProvider([reader])); "
)
TELL: Final = (
    "print([span.name for span in spans.get_finished_spans()], "
    "len(reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics))"
)


def said(program: str) -> str:
    """What a process of its own writes: the global providers can be set once in each."""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("program", [SDK + ACCOUNT + SEND + TELL, ACCOUNT + SDK + SEND + TELL])
def test_installed_it_tells_the_global_sdk_without_being_asked(program: str) -> None:
    """Whether the SDK is set up before an account is opened, or after that."""
    assert "['send main'] 4\n" == said(program)


def test_without_an_sdk_nothing_is_told_and_nothing_is_said() -> None:
    """The message is sent all the same."""
    assert "True\n" == said(ACCOUNT + f"print({SEND.rstrip('; ')}.accepted)")


def test_the_span_of_whoever_called_is_left_alone_where_there_is_none(observed: Observed) -> None:
    """Nobody is current, and nothing is current afterwards."""
    with blocking("main", listeners=[observed.telemetry]) as account:
        account.send(HELLO)
    assert observed.spans[0].parent is None
    assert trace.INVALID_SPAN is trace.get_current_span()


# The convention.


def test_the_scope_has_the_version_that_is_installed(observed: Observed) -> None:
    """So that somebody who looks at a span knows what made it."""
    with blocking("main", listeners=[observed.telemetry]) as account:
        account.send(HELLO)
    scope = observed.spans[0].instrumentation_scope
    assert scope is not None
    assert ("qasid_otel", version("qasid-otel")) == (scope.name, scope.version)
    assert conventions.SCHEMA == scope.schema_url


def test_the_words_that_are_not_ours_are_those_of_the_convention(observed: Observed) -> None:
    """As its own package has them. A word of ours is none of them."""
    words = [*vars(semconv).items(), *vars(error_attributes).items()]
    known = {word for name, word in words if name.isupper()}
    with blocking("main", listeners=[observed.telemetry]) as account:
        account.send_many([HELLO, HELLO, to("0001")])
    used = {name for span in observed.spans for name in attributes(span)}
    assert {name for name in used if not name.startswith("qasid.")} <= known
    assert "messaging.batch.message_count" in used
