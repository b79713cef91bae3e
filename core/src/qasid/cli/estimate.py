"""What sending would take, as far as it can be told without sending."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import attrs

import qasid
from qasid.cli.outgoing import Item
from qasid.text import segments

__all__ = ["Estimate", "Line", "estimate"]


@attrs.frozen(kw_only=True)
class Line:
    """One message. `segments` and `encoding` are None of a template, which the provider holds."""

    to: str
    segments: int | None = None
    encoding: str | None = None
    error: qasid.ProviderError | None = None


@attrs.frozen(kw_only=True)
class Estimate:
    """All messages. `requests` is the least where `at_least`; `price` None where not known."""

    messages: list[Line]
    segments: int | None
    requests: int
    at_least: bool
    price: qasid.Money | None


def estimate(items: Sequence[Item], max_batch: int, price: qasid.Money | None) -> Estimate:
    """Add it up. `price` is that of one segment, if the caller knows it."""
    lines = [_line(item) for item in items]
    good = [item.message for item in items if item.error is None]
    texts = {getattr(message, "text", None) for message in good}  # None of a template
    total = None if None in texts else sum(line.segments or 0 for line in lines)
    return Estimate(
        messages=lines,
        segments=total,
        requests=-(-len(good) // max_batch),
        at_least=max_batch > 1 and len(good) > 1 and (total is None or len(texts) > 1),
        price=_times(price, total),
    )


def _line(item: Item) -> Line:
    message = item.message
    if item.error is not None or isinstance(message, qasid.TemplateMessage):
        return Line(to=message.to, error=item.error)
    found = segments(message.text)
    return Line(to=message.to, segments=found.count, encoding=found.encoding)


def _times(price: qasid.Money | None, count: int | None) -> qasid.Money | None:
    if price is None or count is None:
        return None
    return qasid.Money(price.amount * Decimal(count), price.currency)
