"""A mutant for each rule on declaration, authentication, numbers, money and the lifecycle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import attrs
from mutation import contract, mutant

from qasid import errors
from qasid.effects import Flow, Response
from qasid.fields import secret
from qasid.hookspecs import hookimpl
from qasid.reading import take
from qasid.values import (
    Activation,
    Credential,
    InboundMessage,
    InboxQuery,
    Money,
    Offer,
)
from qasid_contract.contract import ProviderContract
from qasid_contract.reference import INFO, Reference
from qasid_contract.reference_emulator import ReferenceEmulator, Refused

Contract = type[ProviderContract]
Inbox = Activation | InboxQuery
Messages = Flow[Sequence[InboundMessage]]


def _provider(**members: Any) -> Contract:
    return contract(provider=mutant(Reference, **members))


def _informed(**changes: Any) -> Contract:
    return _provider(info=attrs.evolve(INFO, **changes))


def _emulator(**members: Any) -> Contract:
    return contract(emulator=mutant(ReferenceEmulator, **members))


def _fetching(flow: Callable[..., Messages]) -> Contract:
    return _provider(fetch_sms=hookimpl(flow))


def _activating(change: Callable[[Activation, Any], Activation]) -> Contract:
    def read(self: Reference, item: object, response: Response) -> Activation:
        return change(Reference._activation(self, item, response), item)

    return _provider(_activation=read)


# Declaration.


@hookimpl
def balanse(self: Reference) -> Flow[Money]:
    """A hook with a slip of the pen."""
    return (yield from Reference.balance(self, Credential(token="none")))


@hookimpl
def balance_by_keyword(self: Reference, *, credential: Credential) -> Flow[Money]:
    return (yield from Reference.balance(self, credential))


@hookimpl
def balance_without_a_flow(self: Reference, credential: Credential) -> Money:
    return Money("100.00", "EUR")


def timeless_inbox(self: Reference, inbox: Inbox, credential: Credential) -> Messages:
    if isinstance(inbox, InboxQuery) and inbox.since is not None:
        raise errors.UnsupportedOperation("the inbox cannot be asked for a time")
    return (yield from Reference.fetch_sms(self, inbox, credential))


def _equal() -> Contract:
    made = type("Equal", (Reference,), {"__module__": Reference.__module__})
    return contract(provider=attrs.frozen(kw_only=True)(made))


def _borrowing() -> Contract:
    """This module imports the provider, and so does an emulator that is written in it."""
    return _emulator(__module__=__name__)


# Authentication.


def _forgetting() -> Contract:
    """The document asks for a second secret, and neither half does anything with it."""
    settings = {**ReferenceEmulator.settings, "pin": "pin-160493"}
    provider = mutant(Reference, pin=secret(), __annotations__={"pin": str})
    return contract(provider=provider, emulator=mutant(ReferenceEmulator, settings=settings))


@hookimpl
def balance_for_good(self: Reference, credential: Credential) -> Flow[Money]:
    """An old token is taken for a right that is lacking."""
    try:
        return (yield from Reference.balance(self, credential))
    except errors.AuthenticationFailed:
        raise errors.PermissionDenied("status 401") from None


@hookimpl
def offers_with_a_login(
    self: Reference, service: str | None, country: str | None, credential: Credential
) -> Flow[Sequence[Offer]]:
    fresh = yield from Reference.authenticate(self)
    return (yield from Reference.offers(self, service, country, fresh))


# Numbers.


def tidied(self: Reference, inbox: Inbox, credential: Credential) -> Messages:
    found = yield from Reference.fetch_sms(self, inbox, credential)
    return [attrs.evolve(message, text=" ".join(message.text.split())) for message in found]


def never_empty(self: Reference, inbox: Inbox, credential: Credential) -> Messages:
    found = yield from Reference.fetch_sms(self, inbox, credential)
    return found or [InboundMessage(text="")]


def _run_out(self: ReferenceEmulator, number_id: str) -> object:
    """The number is let run out, and nothing is freed."""
    number = self._known(number_id)
    if number.messages:
        raise Refused(409, "has_message")
    number.acquired_at -= timedelta(days=1)
    self._credit += Money("0.25", self._credit.currency)
    return {"refund": self._money(Decimal("0.25"))}


def _paying_first(self: ReferenceEmulator, body: Mapping[str, Any]) -> list[object]:
    """Whether there is a number is asked when it has been paid for."""
    credit = self.balance()
    try:
        return ReferenceEmulator._acquire(self, body)
    except Refused as refused:
        if refused.code == "no_numbers":
            self.fund(credit - Money("0.25", credit.currency))
        raise


def _renting_first(self: ReferenceEmulator, body: Mapping[str, Any]) -> list[object]:
    """Whether it can be paid for is asked when it has been given."""
    credit = self.balance()
    self.fund(credit + Money("1.00", credit.currency))
    try:
        sold = ReferenceEmulator._acquire(self, body)
    finally:
        self.fund(credit)
    self._pay(Decimal("0.25"))
    return sold


def unknown_is_empty(self: Reference, inbox: Inbox, credential: Credential) -> Messages:
    try:
        return (yield from Reference.fetch_sms(self, inbox, credential))
    except errors.NumberNotFound:
        return []


@attrs.frozen(kw_only=True)
class Rental(Activation):
    """An activation with a field of the provider's own, which nobody writes down."""

    path: str


def _with_a_path(activation: Activation, item: Any) -> Activation:
    known = attrs.asdict(activation, recurse=False)
    return Rental(**known, path=f"/numbers/{activation.id}")


def pasted(self: Reference, inbox: Inbox, credential: Credential) -> Messages:
    """The id is put into the path as it is."""
    if isinstance(inbox, InboxQuery):
        return (yield from Reference.fetch_sms(self, inbox, credential))
    data = yield from self._get(f"/numbers/{inbox.id}/messages", credential)
    return [self._message(item) for item in take(data, "messages", list)]


def asking_twice(self: Reference, inbox: Inbox, credential: Credential) -> Messages:
    found = yield from Reference.fetch_sms(self, inbox, credential)
    return found or (yield from Reference.fetch_sms(self, inbox, credential))


def _soon_over(activation: Activation, item: Any) -> Activation:
    """The life of a number as an old document has it."""
    return attrs.evolve(activation, expires_at=activation.acquired_at + timedelta(minutes=5))


# Money.


@hookimpl
def floating(self: Reference, credential: Credential) -> Flow[Money]:
    told = yield from Reference.balance(self, credential)
    return Money(str(float(told.amount)), told.currency)


def _in_cents(activation: Activation, item: Any) -> Activation:
    amount, currency = item["price"]["amount"], item["price"]["currency"]
    return attrs.evolve(activation, cost=Money(amount * 100, currency))


def rounded_offer(self: Reference, item: object) -> Offer:
    offer = Reference._offer(self, item)
    assert offer.price is not None
    whole = Money(int(offer.price.amount), offer.price.currency)
    return attrs.evolve(offer, price=whole)


# Lifecycle.


def _released_again(self: ReferenceEmulator, number_id: str) -> object:
    """Nobody asks whether it was given back before."""
    if number_id in self._numbers:
        self._numbers[number_id].released = False
    return ReferenceEmulator._release(self, number_id)


MUTANTS: Final[dict[str, Contract]] = {
    "DEC-1": _provider(parse_webhook=None),
    "DEC-2": _provider(balanse=balanse),
    "DEC-3": _provider(balance=balance_by_keyword),
    "DEC-4": _provider(balance=balance_without_a_flow),
    "DEC-5": _fetching(timeless_inbox),
    "DEC-6": _informed(sources=()),
    "DEC-7": _equal(),
    "DEC-8": _informed(contract="1.99"),
    "DEC-9": _borrowing(),
    "AUTH-1": _forgetting(),
    "AUTH-2": _provider(balance=balance_for_good),
    "AUTH-3": _provider(offers=offers_with_a_login),
    "NUM-1": _activating(lambda a, item: attrs.evolve(a, number=a.number.lstrip("+"))),
    "NUM-2": _fetching(tidied),
    "NUM-3": _fetching(never_empty),
    "NUM-4": _emulator(_release=_run_out),
    "NUM-5": _emulator(_acquire=_paying_first),
    "NUM-6": _emulator(_acquire=_renting_first),
    "NUM-7": _fetching(unknown_is_empty),
    "NUM-8": _activating(_soon_over),
    "NUM-9": _activating(_with_a_path),
    "NUM-10": _fetching(pasted),
    "NUM-11": _fetching(asking_twice),
    "MONEY-1": _provider(balance=floating),
    "MONEY-2": _activating(_in_cents),
    "MONEY-3": _provider(_offer=rounded_offer),
    "LIFE-1": _emulator(_release=_released_again),
}
