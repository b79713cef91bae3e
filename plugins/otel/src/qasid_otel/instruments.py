"""What is counted and measured."""

from __future__ import annotations

import attrs
from opentelemetry.context import Context
from opentelemetry.metrics import Counter, Histogram, Meter

from qasid_otel.conventions import DURATION_BOUNDS, Act, about, messaging

__all__ = ["Instruments"]


@attrs.frozen(kw_only=True)
class Instruments:
    """The instruments of one meter. Durations are seconds; all else is a number of things."""

    outcomes: Counter
    duration: Histogram
    sent: Counter
    sending: Histogram
    fallbacks: Counter
    breaker: Counter
    low_balances: Counter
    pauses: Counter

    @classmethod
    def of(cls, meter: Meter) -> Instruments:
        """Make them."""
        return cls(
            outcomes=meter.create_counter(
                "qasid.outcomes",
                "{outcome}",
                "Messages, one-time passwords and numbers asked for, by what became of them.",
            ),
            duration=_seconds(meter, "qasid.operation.duration", "How long acts took."),
            sent=meter.create_counter(
                "messaging.client.sent.messages",
                "{message}",
                "Number of messages producer attempted to send to the broker.",
            ),
            sending=_seconds(
                meter,
                "messaging.client.operation.duration",
                "Duration of messaging operation initiated by a producer or consumer client.",
            ),
            fallbacks=meter.create_counter(
                "qasid.fallbacks",
                "{outcome}",
                "What the first choice of a route did not do, and another account did.",
            ),
            breaker=meter.create_counter(
                "qasid.breaker.changes", "{change}", "Changes of a breaker, by its new state."
            ),
            low_balances=meter.create_counter(
                "qasid.low_balances", "{notice}", "How often a low balance was noticed."
            ),
            pauses=meter.create_counter(
                "qasid.prefix_pauses", "{pause}", "Pauses of a country prefix for codes."
            ),
        )

    def record(self, event: Act, outcome: str, context: Context) -> None:
        """Count and measure an act; an exemplar names the span in `context`."""
        seconds, known = event.elapsed.total_seconds(), about(event, outcome)
        self.outcomes.add(event.count, known, context)
        self.duration.record(seconds, known, context)
        if sent := messaging(event):
            self.sent.add(event.count, sent, context)
            self.sending.record(seconds, sent, context)


def _seconds(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(
        name, "s", description, explicit_bucket_boundaries_advisory=DURATION_BOUNDS
    )
