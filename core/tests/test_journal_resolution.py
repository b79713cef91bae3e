"""What a provider can still tell of an operation whose end is not known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final

import attrs
import pytest

from qasid.drivers.virtual import VirtualClock
from qasid.effects import Flow
from qasid.errors import NoAnswer
from qasid.hookspecs import HOOKS, hookimpl
from qasid.journal.records import Operation, State
from qasid.values import Activation, DeliveryReport, DeliveryState, Receipt

from .acme import FACES, TO, Acme, Server, info, reply

NOW: Final = VirtualClock().now()
HOUR: Final = timedelta(hours=1)


def lost(hook: str, **members: Any) -> Operation:
    """An operation whose end nobody knows."""
    usual = dict.fromkeys(attrs.fields_dict(Operation))
    begun = {"created_at": NOW, "updated_at": NOW, "lease_until": NOW + HOUR}
    known = {"id": "1", "hook": hook, "account": "work", "provider": "acme", "recipient": TO}
    return Operation(**{**usual, **begun, **known, "state": State.UNKNOWN, **members})


def rented(identity: str = "n1", **members: Any) -> Activation:
    """A number that was rented at that time."""
    usual = {"number": "+9661", "service": "acme", "country": "SA", "acquired_at": NOW}
    return Activation(**{"id": identity, **usual, **members})


def answered(
    operation: Operation, *activations: Activation, faults: Any = (), provider: Any = None
) -> Any:
    """What both kinds of account are told, which is the same."""
    found = []
    for face in FACES:
        server = Server(faults=faults)
        with face(server, provider) as account:
            found.append(account.inquire(operation, activations))
        assert [] == server.acts
    assert found[0] == found[1]
    return found[0]


@attrs.frozen(eq=False, kw_only=True)
class Vague(Acme):
    """It does not know its own messages."""

    @hookimpl
    def delivery_status(self, receipts: Sequence[Receipt]) -> Flow[Sequence[DeliveryReport]]:
        yield from Acme.balance(self)
        return [DeliveryReport(receipt_id="m7", state=DeliveryState.UNKNOWN)]


@attrs.frozen(eq=False, kw_only=True)
class Silent(Acme):
    """It tells nothing of messages."""

    info: ClassVar = info(set(HOOKS) - {"authenticate", "delivery_status"})
    delivery_status = None  # type: ignore[assignment]


def test_a_message_that_the_provider_reports_on_was_sent() -> None:
    """Where it is now does not matter."""
    answer = answered(lost("send", result='{"id": "m7"}'))
    assert (State.PERFORMED, '{"id": "m7"}') == (answer.state, answer.result)
    assert "m7: delivered" in answer.words


@pytest.mark.parametrize(
    ("operation", "provider", "words"),
    [
        (lost("send"), None, "no id came for this message"),
        (lost("send", result='{"id": "m7"}'), Vague(), "does not know the message m7"),
        (lost("send", result='{"id": "m7"}'), Silent(), "no call that tells"),
        (lost("otp"), None, "whether a code was sent"),
        (lost("acquire_number", subject="acme SA"), None, "no number that is written down"),
        (lost("release", subject="n1"), None, "not written down any more"),
    ],
    ids=["no id", "vague", "silent", "otp", "rental", "release"],
)
def test_what_cannot_be_told_is_left_open_and_why_is_said(
    operation: Operation, provider: Any, words: str
) -> None:
    """Nothing is read into an answer that does not say it."""
    answer = answered(operation, provider=provider)
    assert answer.state is None
    assert words in answer.words


def test_a_provider_that_cannot_be_asked_settles_nothing() -> None:
    """Its failure is named."""
    answer = answered(lost("send", result='{"id": "m7"}'), faults=[NoAnswer("cut")] * 9)
    assert (None, "the provider could not be asked: NoAnswer") == (answer.state, answer.words)


@pytest.mark.parametrize("faults", [[], [reply(410)]], ids=["alive", "expired"])
def test_a_number_that_was_rented_then_and_is_known_was_rented(faults: Any) -> None:
    """Also when its time is over since."""
    asked = lost("acquire_number", subject="other,acme SA")
    answer = answered(asked, rented(), faults=faults)
    assert State.PERFORMED is answer.state
    assert '"id": "n1"' in answer.result


@pytest.mark.parametrize(
    "other",
    [
        rented(service="else"),
        rented(country="IR"),
        rented(acquired_at=NOW - HOUR),
        rented(acquired_at=NOW + 2 * HOUR),
    ],
    ids=["service", "country", "before", "after"],
)
def test_a_number_of_another_order_is_not_taken_for_this_one(other: Activation) -> None:
    """Service, country and time have to fit; it is not even asked for."""
    assert answered(lost("acquire_number", subject="acme SA"), other).state is None


def test_a_number_that_the_provider_does_not_know_was_not_rented_by_this() -> None:
    """It settles nothing either: another may have been."""
    found = answered(lost("acquire_number", subject="acme SA"), rented(), faults=[reply(404)])
    assert found.state is None


@pytest.mark.parametrize("status", [404, 410])
def test_a_number_that_is_gone_was_given_back(status: int) -> None:
    """Nobody has it any more."""
    asked = lost("release", subject="n1")
    answer = answered(asked, rented("n0"), rented("n1"), faults=[reply(status)])
    assert State.PERFORMED is answer.state


def test_a_number_that_still_answers_may_be_released_again() -> None:
    """Which costs nothing; how is said."""
    answer = answered(lost("release", subject="n1"), rented("n1"))
    assert (None, "the number still answers; run: qasid release n1") == (answer.state, answer.words)
