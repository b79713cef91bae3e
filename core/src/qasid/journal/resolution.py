"""What a provider can still tell of an operation whose end is not known. Only questions are asked.

No answer is read for more than it says: that a provider does not know a message does not mean that
it was not sent, for a message without an id cannot even be asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from qasid.effects import Flow
from qasid.errors import (
    NumberExpired,
    NumberNotFound,
    QasidError,
    UnsupportedOperation,
)
from qasid.journal.records import Answer, Operation, State
from qasid.journal.results import recorded
from qasid.values import Acquired, Activation, DeliveryState, Receipt

__all__ = ["inquiry"]


class Asking(Protocol):
    """Whom it is asked of: an account's `Operations`."""

    def delivery_status(self, receipts: Any) -> Flow[Any]:
        """Where messages are."""

    def fetch(self, inbox: Any) -> Flow[Any]:
        """The messages of a number."""


def inquiry(
    asking: Asking, operation: Operation, activations: Iterable[Activation]
) -> Flow[Answer]:
    """Ask what can be asked about that operation; `activations` may be what it was about."""
    ask = _INQUIRIES.get(operation.hook, _nothing)
    try:
        return (yield from ask(asking, operation, activations))
    except UnsupportedOperation:
        return _undecided("the provider has no call that tells it")
    except QasidError as error:
        return _undecided(f"the provider could not be asked: {type(error).__name__}")


def _nothing(asking: Asking, operation: Operation, activations: Any) -> Flow[Answer]:
    yield from ()
    return _undecided("the provider has no call that tells whether a code was sent")


def _undecided(words: str) -> Answer:
    return Answer(state=None, words=words)


def _message(asking: Asking, operation: Operation, activations: Any) -> Flow[Answer]:
    identity = json.loads(operation.result or "{}").get("id")
    if identity is None:
        return _undecided("no id came for this message, and without one it cannot be asked for")
    receipt = Receipt(to=operation.recipient or "", id=identity)
    (report,) = yield from asking.delivery_status([receipt])
    if report.state is DeliveryState.UNKNOWN:
        return _undecided(f"the provider does not know the message {identity}")
    words = f"the provider has the message {identity}: {report.state.value}"
    return Answer(state=State.PERFORMED, words=words, result=operation.result)


def _rental(
    asking: Asking, operation: Operation, activations: Iterable[Activation]
) -> Flow[Answer]:
    """A number that was rented in that time, for one of these services, and that lives."""
    for one in activations:
        if _fits(operation, one) and (yield from _known(asking, one)):
            words = f"the provider knows {one.number}, rented then for {one.service}"
            return Answer(state=State.PERFORMED, words=words, result=recorded(Acquired([one])))
    return _undecided("no number that is written down was rented then, and none can be asked for")


def _fits(operation: Operation, activation: Activation) -> bool:
    services, _, country = (operation.subject or "").rpartition(" ")
    when = operation.created_at <= activation.acquired_at <= operation.lease_until
    return when and activation.country == country and activation.service in services.split(",")


def _known(asking: Asking, activation: Activation) -> Flow[bool]:
    try:
        yield from asking.fetch(activation)
    except NumberExpired:
        return True
    except NumberNotFound:
        return False
    return True


def _return(
    asking: Asking, operation: Operation, activations: Iterable[Activation]
) -> Flow[Answer]:
    for one in activations:
        if one.id == operation.subject:
            return (yield from _gone(asking, one))
    return _undecided("the number is not written down any more, and cannot be asked for")


def _gone(asking: Asking, activation: Activation) -> Flow[Answer]:
    try:
        yield from asking.fetch(activation)
    except (NumberExpired, NumberNotFound) as error:
        words = f"the provider does not have the number any more: {type(error).__name__}"
        return Answer(state=State.PERFORMED, words=words, result=json.dumps({"refund": None}))
    return _undecided(f"the number still answers; run: qasid release {activation.id}")


_INQUIRIES: Final[Mapping[str, Callable[[Asking, Operation, Any], Flow[Answer]]]] = {
    "send": _message,
    "acquire_number": _rental,
    "release": _return,
}
