"""Providers that can less, or do it otherwise, and are sound: no rule demands what is not due.

The documented examples are the reference's, whatever its relatives do: the rules on them are left
out here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from weakref import WeakKeyDictionary

import attrs
import pytest
from mutation import contract, mutant

from qasid import errors
from qasid.effects import Flow, Request, Response, segment
from qasid.hookspecs import HOOKS, hookimpl
from qasid.reading import take
from qasid.values import (
    Activation,
    Cancelled,
    Credential,
    InboundMessage,
    InboxQuery,
    Limit,
    Money,
    Offer,
    OtpOrder,
    OtpTicket,
    Receipt,
    Released,
    ReleaseReason,
    Support,
    TemplateMessage,
    TextMessage,
)
from qasid_contract.contract import ProviderContract
from qasid_contract.examples import Effort
from qasid_contract.reference import INFO, Reference
from qasid_contract.reference_emulator import ReferenceEmulator, Refused
from qasid_contract.rulebook import Path, all_rules
from qasid_contract.running import Status, run
from qasid_sandbox import Sandbox
from qasid_sandbox.emulator import SandboxEmulator
from qasid_smsarab import SMSArab
from qasid_smsarab.emulator import SMSArabEmulator


def with_only(*hooks: str, **members: Any) -> type:
    """The reference with these hooks and no others."""
    support = {hook: Support.full() for hook in hooks}
    gone = dict.fromkeys({*HOOKS} - {*hooks})
    return mutant(Reference, info=attrs.evolve(INFO, support=support), **{**gone, **members})


# Getting in.


@hookimpl
def counted_on_for_less(self: Any) -> Flow[Credential]:
    """The answer does not tell how long a token lives, so it is used for a part of that."""
    given = yield from Reference.authenticate(self)
    assert given.expires_at is not None
    return attrs.evolve(given, expires_at=given.expires_at - timedelta(minutes=20))


def _five_a_second(self: ReferenceEmulator, request: Request) -> Response:
    """Refuses the sixth request of any second."""
    recent = [at for at in ASKED.get(self, ()) if at + timedelta(seconds=1) > self.now]
    if len(recent) >= 5:
        return Response(status=429)
    ASKED[self] = [*recent, self.now]
    return ReferenceEmulator.answer(self, request)


ASKED: Final = WeakKeyDictionary[ReferenceEmulator, list[datetime]]()
FIVE_A_SECOND: Final = Limit(requests=5, period=timedelta(seconds=1))


# Codes.


@hookimpl
def its_own_codes_alone(self: Any, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
    """Codes of its own, of six digits, that live five minutes, and are not told."""
    if order.code is not None or order.length != 6 or order.lifetime.total_seconds() != 300:
        raise errors.InvalidRequest("a code is made here, of six digits, for five minutes")
    ticket = yield from Reference.otp(self, order, credential)
    return OtpTicket(to=ticket.to)


@hookimpl
def given_codes_alone(self: Any, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
    """Codes that begin with a zero, or are not six digits, cannot be said in its JSON."""
    if order.code is not None and (order.code.startswith("0") or len(order.code) != 6):
        raise errors.InvalidRequest("six digits, and the first is no zero")
    return (yield from Reference.otp(self, order, credential))


# Tokens.


@hookimpl
def a_token_that_rotates(self: Any) -> Flow[Credential]:
    """To ask for it twice does harm."""
    flow = Reference.authenticate(self)
    request = next(flow)
    assert isinstance(request, Request)
    response = yield attrs.evolve(request, safe=False)
    try:
        flow.send(response)
    except StopIteration as stop:
        credential: Credential = stop.value
        return credential
    raise AssertionError("it asks once")


def _login_page(self: Any, response: Response) -> Any:
    """A page of HTML is that of the login: the token is over, and nobody knows what was done."""
    if response.ok and response.body.startswith(b"<"):
        raise errors.AuthenticationFailed("a login page", outcome=errors.Outcome.UNKNOWN)
    return Reference._read(self, response)


# Numbers.


@hookimpl
def released_without_words(
    self: Any, activation: Activation, reason: ReleaseReason, credential: Credential
) -> Flow[Released]:
    """Whatever the body of a success is, the number is given back."""
    path = f"/numbers/{activation.id}/release"
    if activation.id.strip(".") != activation.id or not activation.id.isalnum():
        raise errors.InvalidRequest("no id is like that")
    response = yield self._request("POST", path, credential, json={"reason": reason.value})
    if not response.ok or response.body:
        self._money(take(self._read(response), "refund", dict))
    return Released(activation_id=activation.id)


def _wordless(self: Any, status: int, body: object) -> Response:
    reply: Response = ReferenceEmulator._reply(self, status, body)
    return attrs.evolve(reply, body=b"") if body == {"refund": None} else reply


def _no_refund(self: Any, number_id: str) -> object:
    ReferenceEmulator._release(self, number_id)
    return {"refund": None}


@hookimpl
def cancelled_without_words(self: Any, batch_id: str, credential: Credential) -> Flow[Cancelled]:
    """That the status is 200 says it all."""
    path = f"/batches/{segment(batch_id)}/cancel"
    response = yield self._request("POST", path, credential)
    if not response.ok or response.body:
        take(self._read(response), "cancelled", str)
    return Cancelled(batch_id=batch_id)


def _silent(self: Any, batch_id: str) -> object:
    ReferenceEmulator._cancel(self, batch_id)
    return {"refund": None}


def _with_extra(self: Any, item: Any, response: Response) -> Activation:
    """Without an end or a price, and with a text that later calls need."""
    told: Activation = Reference._activation(self, item, response)
    return attrs.evolve(told, expires_at=None, cost=None, extra={"country": told.country})


@hookimpl
def offers_by_service(
    self: Any, service: str | None, country: str | None, credential: Credential
) -> Flow[Sequence[Offer]]:
    """There is a list for each service, and none of services."""
    if service is None:
        raise errors.InvalidRequest("service: name one; there is no list of all")
    return (yield from Reference.offers(self, service, country, credential))


@hookimpl
def newest_message_alone(
    self: Any, inbox: Activation | InboxQuery, credential: Credential
) -> Flow[Sequence[InboundMessage]]:
    return (yield from Reference.fetch_sms(self, inbox, credential))[-1:]


class NarrowEmulator(ReferenceEmulator):
    """One look for messages in 20 seconds."""

    __module__ = ReferenceEmulator.__module__
    looked_at: datetime | None = None

    def _messages(self, number_id: str) -> list[dict[str, str]]:
        last, self.looked_at = self.looked_at, self.now
        if last is not None and self.now - last < timedelta(seconds=20):
            raise Refused(429, "too_many")
        return super()._messages(number_id)


# Sending.


@hookimpl
def texts_alone(
    self: Any, messages: Sequence[TextMessage | TemplateMessage], credential: Credential
) -> Flow[Sequence[Receipt]]:
    """No templates, and no control characters."""
    for message in messages:
        if isinstance(message, TemplateMessage) or not message.text.isprintable():
            raise errors.InvalidRequest("plain texts only")
    return (yield from Reference.send(self, messages, credential))


# Money.


def _fund(self: ReferenceEmulator, amount: Money) -> None:
    """It knows no amounts but small ones."""
    if amount.amount > 10**9:
        raise ValueError("there are no such amounts here")
    ReferenceEmulator.fund(self, amount)


VARIETIES: Final[Mapping[str, type[ProviderContract]]] = {
    "webhooks only": contract(with_only("parse_webhook")),
    "a login only": contract(with_only("authenticate", "balance")),
    "numbers for good": contract(with_only("authenticate", "acquire_number")),
    "numbers that cannot be released": contract(
        with_only("authenticate", "acquire_number", "fetch_sms")
    ),
    "numbers that cannot be read": contract(
        with_only("authenticate", "acquire_number", "release", "offers")
    ),
    "wordless releases": contract(
        mutant(Reference, release=released_without_words),
        mutant(ReferenceEmulator, _reply=_wordless, _release=_no_refund),
    ),
    "wordless cancellations": contract(
        mutant(Reference, cancel_scheduled=cancelled_without_words),
        mutant(ReferenceEmulator, _reply=_wordless, _cancel=_silent),
    ),
    "activations with little in them": contract(
        mutant(
            Reference,
            _activation=_with_extra,
            info=attrs.evolve(INFO, activation_lifetime=timedelta(minutes=15)),
        )
    ),
    "offers for a service that is named": contract(
        mutant(
            Reference,
            offers=offers_by_service,
            info=attrs.evolve(
                INFO, support={**INFO.support, "offers": Support.partial("a service is named")}
            ),
        ),
        offer=("acme", "IR"),
    ),
    "one look in twenty seconds": contract(
        mutant(
            Reference,
            info=attrs.evolve(
                INFO,
                limits=(Limit(requests=1, period=timedelta(seconds=20), hooks=["fetch_sms"]),),
                poll_interval=timedelta(seconds=20),
            ),
        ),
        NarrowEmulator,
    ),
    "tokens that rotate": contract(
        mutant(Reference, authenticate=a_token_that_rotates, _read=_login_page)
    ),
    "one message": contract(mutant(Reference, fetch_sms=newest_message_alone)),
    "texts only": contract(
        with_only("authenticate", "send", send=texts_alone), recipient="+966500001234"
    ),
    "an inbox only": contract(with_only("authenticate", "fetch_sms")),
    "codes that nobody verifies": contract(with_only("authenticate", "otp")),
    "codes only": contract(with_only("authenticate", "otp", "verify_otp")),
    "its own codes": contract(mutant(Reference, otp=its_own_codes_alone)),
    "given codes": contract(mutant(Reference, otp=given_codes_alone)),
    "tokens used for less than they live": contract(
        mutant(Reference, authenticate=counted_on_for_less)
    ),
    "five requests a second": contract(
        mutant(Reference, info=attrs.evolve(INFO, limits=(FIVE_A_SECOND,))),
        mutant(ReferenceEmulator, answer=_five_a_second),
    ),
    "small amounts": contract(emulator=mutant(ReferenceEmulator, fund=_fund)),
    "one module": contract(emulator=mutant(ReferenceEmulator, __module__=Reference.__module__)),
}


def red(tested: type[ProviderContract]) -> dict[str, str]:
    """The rules that are red, plugged, but for those on the examples."""
    rules = [rule for rule in all_rules() if rule.family != "WIRE"]
    results = [run(tested, rule, Path.PLUGGED, Effort(50)) for rule in rules]
    return {r.rule.id: r.words for r in results if r.status not in _FINE}


_FINE: Final = {Status.PASSED, Status.NOT_APPLICABLE}


@pytest.mark.parametrize("name", VARIETIES)
def test_a_provider_of_another_kind_is_sound(name: str) -> None:
    """What a document may leave out, or say otherwise, is no fault of the plugin."""
    assert {} == red(VARIETIES[name])


@pytest.mark.parametrize(
    ("provider", "emulator"), [(Sandbox, SandboxEmulator), (SMSArab, SMSArabEmulator)]
)
def test_our_own_providers_are_sound(provider: Any, emulator: Any) -> None:
    """Those that are in this repository, with their own examples."""
    tested = type("Own", (ProviderContract,), {"provider": provider, "emulator": emulator})
    results = [run(tested, rule, Path.PLUGGED, Effort(50)) for rule in all_rules()]
    assert [] == [(r.rule.id, r.words) for r in results if r.status not in _FINE]
