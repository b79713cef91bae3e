"""What spans and metrics are called, and what they say of an event.

Where OpenTelemetry has a word, it is used. They are those of the semantic conventions 1.44.0, all
but ``error.type`` with the status *Development* there; read on 2026-11-25:

- https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
- https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/
- https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/

What they have no word for begins with ``qasid.``. A message or a one-time password is *sent*, to
the broker that the account is; a number that is rented is no message, and has our own words alone.

Nothing here comes from a message: an event holds no text, no code and no recipient. Its `ids` are
left out all the same, as there are providers whose ids are made of the recipient.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from opentelemetry.util.types import AttributeValue

from qasid.events import BreakerMoved, Failed, FellBack, LowBalance, Performed, PrefixPaused

__all__ = [
    "DURATION_BOUNDS",
    "SCHEMA",
    "Act",
    "Attributes",
    "Note",
    "about",
    "balance",
    "breaker",
    "fallback",
    "messaging",
    "nanoseconds",
    "particulars",
    "prefix",
    "span_name",
]

Act: TypeAlias = Performed | Failed
Note: TypeAlias = FellBack | BreakerMoved | LowBalance | PrefixPaused
Attributes: TypeAlias = Mapping[str, AttributeValue]

SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"

#: Seconds, as the convention for ``messaging.client.operation.duration`` has them.
DURATION_BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25),
    *(0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)

_MESSAGES: Final = frozenset({"send", "otp"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def span_name(event: Act) -> str:
    """The operation and the account; ``{messaging.operation.name} {destination}`` where it is sent.

    The destination is not the recipient, who is a person and one of very many.
    """
    return f"{event.operation} {event.account}"


def about(event: Act, outcome: str) -> dict[str, AttributeValue]:
    """What each act is counted by; few values, all of them known beforehand."""
    return {
        "qasid.account": event.account,
        "qasid.provider": event.provider,
        "qasid.operation": event.operation,
        "qasid.outcome": outcome,
        **_error(event),
    }


def messaging(event: Act) -> dict[str, AttributeValue]:
    """What the convention wants to know of each act that sends; empty for one that does not."""
    if event.operation not in _MESSAGES:
        return {}
    return {
        "messaging.system": event.provider,
        "messaging.operation.name": event.operation,
        "messaging.operation.type": "send",
        "messaging.destination.name": event.account,
        **_error(event),
    }


def particulars(event: Act) -> dict[str, AttributeValue]:
    """What a span says beside: too many values to count by."""
    found: dict[str, AttributeValue] = {"qasid.count": event.count}
    if event.count > 1 and event.operation in _MESSAGES:
        found["messaging.batch.message_count"] = event.count
    if isinstance(event, Failed) and event.provider_code is not None:
        found["qasid.provider_code"] = event.provider_code
    if isinstance(event, Failed) and event.retry_after is not None:
        found["qasid.retry_after"] = event.retry_after.total_seconds()
    return found


def _error(event: Act) -> dict[str, AttributeValue]:
    return {"error.type": event.error} if isinstance(event, Failed) else {}


def fallback(event: FellBack) -> dict[str, AttributeValue]:
    """The route, and the account that did it."""
    return {
        "qasid.route": event.route,
        "qasid.operation": event.operation,
        "qasid.account": event.account,
    }


def breaker(event: BreakerMoved) -> dict[str, AttributeValue]:
    """Whose breaker it is, and its new state."""
    return {
        "qasid.route": event.route,
        "qasid.account": event.account,
        "qasid.breaker.state": event.state,
    }


def balance(event: LowBalance) -> dict[str, AttributeValue]:
    """Whose balance is low."""
    return {"qasid.account": event.account, "qasid.provider": event.provider}


def prefix(event: PrefixPaused) -> dict[str, AttributeValue]:
    """Which country prefix gets no codes."""
    return {"qasid.prefix": event.prefix}


def nanoseconds(moment: datetime) -> int:
    """Since 1970 in UTC, exactly: a float would round to a fifth of a microsecond."""
    return (moment - _EPOCH) // _MICROSECOND * 1000
