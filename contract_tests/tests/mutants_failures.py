"""Mutants for sending, one-time passwords, failures and never twice: authors' likely mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import attrs
from mutation import contract, mutant

from qasid import errors
from qasid.effects import Flow, Response
from qasid.hookspecs import hookimpl
from qasid.phone import iranian_mobile
from qasid.reading import take
from qasid.values import (
    Credential,
    DeliveryReport,
    Money,
    Offer,
    OtpOrder,
    OtpTicket,
    OtpVerdict,
    Receipt,
    Support,
    TemplateMessage,
    TextMessage,
)
from qasid_contract.contract import ProviderContract
from qasid_contract.reference import INFO, Reference
from qasid_contract.reference_emulator import ReferenceEmulator

MUTANTS: dict[str, type[ProviderContract]] = {}

#: Providers of other kinds, which keep every rule of these families.
SOUND: dict[str, type[ProviderContract]] = {}

Message = TextMessage | TemplateMessage
_NOTHING = Money(0, "EUR")


def _breaks(rule_id: str, name: str, *, hook: bool = False) -> Callable[[Any], Any]:
    """Enter the reference with its method `name` replaced by what is decorated."""

    def enter(method: Any) -> Any:
        member = hookimpl(method) if hook else method
        MUTANTS[rule_id] = contract(mutant(Reference, **{name: member}))
        return method

    return enter


# Sending.


@_breaks("SEND-1", "send", hook=True)
def receipts_come_the_other_way_round(
    self: Any, messages: Sequence[Message], credential: Credential
) -> Flow[Sequence[Receipt]]:
    receipts = yield from Reference.send(self, messages, credential)
    return receipts[::-1]


@_breaks("SEND-2", "send", hook=True)
def messages_go_one_by_one(
    self: Any, messages: Sequence[Message], credential: Credential
) -> Flow[Sequence[Receipt]]:
    receipts: list[Receipt] = []
    for message in messages:
        receipts += yield from Reference.send(self, [message], credential)
    return receipts


@_breaks("SEND-3", "_outgoing")
def texts_are_stripped(self: Any, message: Message) -> dict[str, Any]:
    if isinstance(message, TextMessage):
        message = attrs.evolve(message, text=message.text.strip())
    return Reference._outgoing(self, message)


@_breaks("SEND-4", "send", hook=True)
def one_foreigner_spoils_the_batch(
    self: Any, messages: Sequence[Message], credential: Credential
) -> Flow[Sequence[Receipt]]:
    for message in messages:
        iranian_mobile(message.to)
    return (yield from Reference.send(self, messages, credential))


@_breaks("SEND-5", "_outgoing")
def a_template_goes_as_a_text(self: Any, message: Message) -> dict[str, Any]:
    text = message.text if isinstance(message, TextMessage) else message.template
    return Reference._outgoing(self, TextMessage(to=message.to, text=text, send_at=message.send_at))


@_breaks("SEND-6", "delivery_status", hook=True)
def unknown_receipts_are_left_out(
    self: Any, receipts: Sequence[Receipt], credential: Credential
) -> Flow[Sequence[DeliveryReport]]:
    reports = yield from Reference.delivery_status(self, receipts, credential)
    return [report for report in reports if report.code]


@_breaks("SEND-7", "_outgoing")
def a_moment_is_written_in_a_zone_of_its_own(self: Any, message: Message) -> dict[str, Any]:
    wall = message.send_at and message.send_at + timedelta(hours=3, minutes=30)
    return Reference._outgoing(self, attrs.evolve(message, send_at=wall))


def _cancel_in_words_alone(self: Any, batch: str) -> object:
    told = ReferenceEmulator._cancel(self, batch)
    for one in self._outgoing:
        one.batch = "gone" if one.batch == batch else one.batch
        one.cancelled = False
    return told


MUTANTS["SEND-8"] = contract(emulator=mutant(ReferenceEmulator, _cancel=_cancel_in_words_alone))


# One-time passwords.


def _otp(change: Callable[[OtpOrder], OtpOrder]) -> Callable[..., Flow[OtpTicket]]:
    def otp(self: Any, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
        return (yield from Reference.otp(self, change(order), credential))

    return otp


def _code(order: OtpOrder, change: Callable[[str], str]) -> OtpOrder:
    return order if order.code is None else attrs.evolve(order, code=change(order.code))


_breaks("OTP-1", "otp", hook=True)(_otp(lambda o: _code(o, lambda code: str(int(code)))))
_breaks("OTP-4", "otp", hook=True)(_otp(lambda o: attrs.evolve(o, length=6)))
_breaks("OTP-5", "otp", hook=True)(_otp(lambda o: _code(o, lambda code: code[:6])))


@_breaks("OTP-2", "verify_otp", hook=True)
def rubbish_is_an_error(self: Any, to: str, code: str, credential: Credential) -> Flow[OtpVerdict]:
    if not code.isdecimal():
        raise errors.InvalidRequest("a code is digits")
    return (yield from Reference.verify_otp(self, to, code, credential))


@_breaks("OTP-3", "otp", hook=True)
def every_code_lives_an_hour(self: Any, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
    longer = attrs.evolve(order, lifetime=timedelta(hours=1))
    ticket = yield from Reference.otp(self, longer, credential)
    return attrs.evolve(ticket, expires_at=None)


# Failures.


@_breaks("FAIL-1", "balance", hook=True)
def an_unreadable_balance_is_zero(self: Any, credential: Credential) -> Flow[Money]:
    response = yield self._request("GET", "/balance", credential)
    try:
        credit: Money = self._money(self._read(response))
    except errors.ProtocolError:
        if response.ok:
            return _NOTHING
        raise
    return credit


@_breaks("FAIL-2", "_read")
def an_outage_is_a_refusal(self: Any, response: Response) -> Any:
    if response.status == 503:
        raise errors.InvalidRequest("refused", response=response)
    return Reference._read(self, response)


@_breaks("FAIL-3", "_read")
def the_wait_is_not_read(self: Any, response: Response) -> Any:
    if response.status == 429:
        raise errors.RateLimited("too many requests", response=response)
    return Reference._read(self, response)


def _offers(self: Any, credential: Credential) -> Flow[Sequence[Offer]]:
    return (yield from Reference.offers(self, None, None, credential))


@_breaks("FAIL-4", "_read")
def a_redirect_is_a_success(self: Any, response: Response) -> Any:
    if 300 <= response.status < 400:
        return {"offers": []}
    return Reference._read(self, response)


@_breaks("FAIL-5", "offers", hook=True)
def silence_is_an_empty_list(self: Any, credential: Credential) -> Flow[Sequence[Offer]]:
    try:
        return (yield from _offers(self, credential))
    except errors.NoAnswer:
        return []


@_breaks("FAIL-6", "_offer")
def the_stock_is_taken_as_it_comes(self: Any, item: Any) -> Offer:
    service, country = take(item, "service", str), take(item, "country", str)
    price = self._money(take(item, "price", dict))
    return Offer(service=service, country=country, price=price, stock=int(item["stock"]))


@_breaks("FAIL-7", "balance", hook=True)
def a_flooded_balance_is_zero(self: Any, credential: Credential) -> Flow[Money]:
    try:
        response = yield self._request("GET", "/balance", credential)
    except errors.ProtocolError:
        return _NOTHING
    credit: Money = self._money(self._read(response))
    return credit


# Never twice.


@_breaks("TWICE-1", "otp", hook=True)
def silence_is_asked_again(self: Any, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
    try:
        return (yield from Reference.otp(self, order, credential))
    except errors.NoAnswer:
        return (yield from Reference.otp(self, order, credential))


@_breaks("TWICE-2", "otp", hook=True)
def a_fault_is_asked_again(self: Any, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
    try:
        return (yield from Reference.otp(self, order, credential))
    except errors.ProviderUnavailable as error:
        if error.response is None:
            raise
        return (yield from Reference.otp(self, order, credential))


@_breaks("TWICE-3", "send", hook=True)
def a_lost_batch_is_sent_piece_by_piece(
    self: Any, messages: Sequence[Message], credential: Credential
) -> Flow[Sequence[Receipt]]:
    try:
        return (yield from Reference.send(self, messages, credential))
    except errors.NoAnswer:
        if len(messages) == 1:
            raise
        split: Flow[list[Receipt]] = messages_go_one_by_one(self, messages, credential)
        return (yield from split)


# What is no defect.


@hookimpl
def _templates_alone(
    self: Any, messages: Sequence[Message], credential: Credential
) -> Flow[Sequence[Receipt]]:
    if any(isinstance(message, TextMessage) for message in messages):
        raise errors.InvalidRequest("this provider sends templates alone")
    return (yield from Reference.send(self, messages, credential))


@hookimpl
def _without_ids(
    self: Any, messages: Sequence[Message], credential: Credential
) -> Flow[Sequence[Receipt]]:
    """A 2xx means accepted, whatever is in it; and Iranian mobiles are all that it reaches."""
    refused: dict[str, Receipt] = {}
    for message in messages:
        try:
            iranian_mobile(message.to)
        except errors.InvalidRecipient as error:
            refused[message.to] = Receipt(to=message.to, error=error)
    body = {"messages": [self._outgoing(m) for m in messages if m.to not in refused]}
    response = yield self._request("POST", "/messages", credential, json=body)
    if not response.ok:
        self._read(response)
        raise errors.ProtocolError("neither accepted nor refused", response=response)
    return [refused.get(message.to, Receipt(to=message.to)) for message in messages]


_SINGLE = attrs.evolve(INFO, max_batch=1)
_NO_IDS = dict.fromkeys(["delivery_status", "cancel_scheduled"], Support.unsupported())

SOUND["templates alone"] = contract(
    mutant(Reference, send=_templates_alone, info=_SINGLE),
    sample_message=TemplateMessage(
        to=ProviderContract.recipient, template="welcome", values={"name": "Sara"}
    ),
)
SOUND["receipts without ids"] = contract(
    mutant(
        Reference,
        send=_without_ids,
        delivery_status=None,
        cancel_scheduled=None,
        info=attrs.evolve(INFO, support={**INFO.support, **_NO_IDS}),
    )
)
