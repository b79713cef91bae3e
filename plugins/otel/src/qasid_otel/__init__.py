"""Spans and metrics of what Qasid does, through OpenTelemetry.

Installing the distribution is enough: `telemetry` hears every account and route of the process, by
its entry point in the group ``qasid.listeners``, and tells the global providers. Until an SDK is
set as those, it tells nobody.

An act that costs money is a span of kind CLIENT, from its beginning to its end and below the span
that is current for whoever called, of an `AsyncAccount` too: events travel with the caller's
context. Of a batch with several outcomes each is a span, for the part of the batch that it is true
of. A fallback, a breaker's change, a low balance and a paused prefix are events of the caller's
span. Names and attributes are in `qasid_otel.conventions`, the metrics in `qasid_otel.instruments`.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import (
    ProxyTracerProvider,
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
)

from qasid.events import (
    BreakerMoved,
    Failed,
    FellBack,
    LowBalance,
    Performed,
    PrefixPaused,
    listens,
)
from qasid_otel import conventions
from qasid_otel.conventions import SCHEMA, Act, Attributes, Note, nanoseconds
from qasid_otel.instruments import Instruments

__all__ = ["Telemetry", "telemetry"]

_VERSION: Final = "0.1.0"

#: Outcomes that are errors, and what a span's status says of them.
_FAULTS: Final = {
    "not_performed": "it was not performed",
    "unknown": "it may have been performed",
}


class Telemetry:
    """A listener that makes spans and metrics of what it hears.

    Without `tracer_provider` or `meter_provider` the global one is told, also where that is set
    later.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._provider = tracer_provider
        self._tracer = trace.get_tracer(__name__, _VERSION, tracer_provider, SCHEMA)
        self._instruments = Instruments.of(
            metrics.get_meter(__name__, _VERSION, meter_provider, SCHEMA)
        )

    @listens
    def on_performed(self, event: Performed) -> None:
        """It was accepted by the provider."""
        self._ended(event, "performed")

    @listens
    def on_refused(self, event: Failed) -> None:
        """It was not performed."""
        self._ended(event, "not_performed")

    @listens
    def on_unknown(self, event: Failed) -> None:
        """It may have been performed."""
        self._ended(event, "unknown")

    def _ended(self, event: Act, outcome: str) -> None:
        span = self._started(event, outcome)
        self._instruments.record(event, outcome, trace.set_span_in_context(span))
        if outcome in _FAULTS:
            span.set_status(Status(StatusCode.ERROR, _FAULTS[outcome]))
        span.end(nanoseconds(event.at))

    def _started(self, event: Act, outcome: str) -> Span:
        """A span that began when the act did. It has its attributes at once, for samplers."""
        return self._tracer.start_span(
            conventions.span_name(event),
            kind=SpanKind.CLIENT,
            attributes={
                **conventions.about(event, outcome),
                **conventions.messaging(event),
                **conventions.particulars(event),
            },
            start_time=nanoseconds(event.at - event.elapsed),
        )

    @listens
    def on_fallback(self, event: FellBack) -> None:
        """Another account of a route did it."""
        known = conventions.fallback(event)
        passed = [f"{item.account} ({item.because})" for item in event.passed_over]
        self._instruments.fallbacks.add(event.count, known)
        self._note("qasid.fallback", event, {**known, "qasid.passed_over": passed})

    @listens
    def on_breaker(self, event: BreakerMoved) -> None:
        """A route stops using an account, or uses it again."""
        known = conventions.breaker(event)
        self._instruments.breaker.add(1, known)
        self._note("qasid.breaker", event, known)

    @listens
    def on_low_balance(self, event: LowBalance) -> None:
        """An account is running out of credit."""
        known = conventions.balance(event)
        self._instruments.low_balances.add(1, known)
        self._note("qasid.low_balance", event, known)

    @listens
    def on_prefix_paused(self, event: PrefixPaused) -> None:
        """No codes are sent to a country prefix."""
        known = conventions.prefix(event)
        self._instruments.pauses.add(1, known)
        figures = {"qasid.recipients": event.recipients, "qasid.verified": event.verified}
        self._note("qasid.prefix_paused", event, {**known, **figures})

    def _note(self, name: str, event: Note, attributes: Attributes) -> None:
        """Write it into the caller's own span, if there is one.

        Without an SDK of ours that span is another's, whose listener writes into it.
        """
        provider = self._provider or trace.get_tracer_provider()
        if not isinstance(provider, ProxyTracerProvider):
            trace.get_current_span().add_event(name, attributes, nanoseconds(event.at))


#: What the entry point names: one for all accounts, as the providers are.
telemetry: Final = Telemetry()
