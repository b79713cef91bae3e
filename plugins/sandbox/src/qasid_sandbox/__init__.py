"""Sandbox: every operation of Qasid with no account and no network.

API         ``emulator://sandbox``, answered in this process; JSON, the paths below
Auth        ``POST /token`` with the API key; its answer is a bearer token that lives five minutes
Money       100.00 US dollars to begin with; a number costs 0.50, a text or a code 0.05
Limits      600 requests in any minute
Numbers     E.164 under +999, which no country has: nobody can own one. They live 20 minutes
Codes       any service word and any country of two capital letters can be rented

=====================================  ====================================================
``POST /token``                        ``api_key`` → ``token``, ``expires_at``
``GET /balance``                       → ``balance``, as every amount ``{"amount", "currency"}``
``GET /offers?service=&country=``      → ``offers``: service, country, price, stock
``POST /numbers``                      services, country, max_price, callback_url → ``activations``
``GET /numbers/{id}/messages``         → ``messages``: id, sender, to, text, received_at
``POST /numbers/{id}/release``         ``reason``: unused or unusable → ``refund``
``GET /inbox?limit=&offset=``          also since (inclusive), until (exclusive) → ``messages``
``POST /messages``                     ``messages``, 1 to 100 → ``results``: accepted or refused
``DELETE /messages/{id}``              takes a scheduled one back → ``cancelled``, its id
``POST /messages/status``              ``ids`` → ``reports``: id, to, state, at
``POST /otp``                          to, code or length, lifetime_seconds, channel → code, dial
``POST /otp/verify``                   to, code → ``accepted``, ``reason``: wrong, used or expired
a webhook                              ``event``: message or delivery, with its ``data``
=====================================  ====================================================

Each request may carry ``X-Sandbox-Seed`` (everything that looks random follows from it, from the
request and from the time) and ``X-Sandbox-Delay`` (seconds until texts arrive). A refusal is
``{"error": {"code", "message"}}``. Values that make it refuse, in any country:

=========================  ==================================================================
service ``soldout``        no number in stock: `NoNumbersAvailable`
template ``rejected``      `TemplateRejected`
recipient ``...0001``      `InvalidRecipient`; in a batch the receipt's error
recipient ``...0002``      `RecipientOptedOut`; in a batch the receipt's error
recipient ``...0003``      `InsufficientCredit`
recipient ``...0004``      `ProviderUnavailable`, status 500
recipient ``...0005``      `RateLimited` with ``Retry-After: 1``
recipient ``...0006``      accepted, and then its delivery fails
=========================  ==================================================================

Nothing is stored, yet ids and codes hold across processes: an id tells what it stands for, and a
made-up code follows from seed, recipient and length. What only books could tell is known within
one process alone: credit, stock, a release, a code used or expired, and a code of your own, which
another process calls wrong. With no record of a recipient, the code that would be made is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

import attrs

from qasid import errors
from qasid.effects import Flow, Request, Response, segment
from qasid.fields import base_url, secret
from qasid.hookspecs import HOOKS, hookimpl
from qasid.reading import filled, moment, retry_after, take
from qasid.values import (
    Activation,
    Cancelled,
    Credential,
    DeliveryReport,
    DeliveryState,
    InboundMessage,
    InboxQuery,
    Limit,
    Money,
    NumberOrder,
    Offer,
    OtpOrder,
    OtpTicket,
    OtpVerdict,
    ProviderInfo,
    Receipt,
    Released,
    ReleaseReason,
    Source,
    Support,
    TemplateMessage,
    TextMessage,
)

__all__ = ["Sandbox"]

_DAY: Final = 86_400


@attrs.frozen(eq=False, kw_only=True)
class Sandbox:
    """Try Qasid: rent, receive, send and verify with no account and no network.

    `seed` decides what looks random. `delay` is how many seconds texts take to arrive, 0 to 86,400;
    with more than 1,200, the life of a number, none arrives by itself. The module's docstring lists
    the values that make the sandbox refuse.
    """

    info: ClassVar = ProviderInfo(
        title="Sandbox",
        contract="1.0",
        homepage="emulator://sandbox",
        support=dict.fromkeys(HOOKS, Support.full()),
        limits=(Limit(requests=600, period=timedelta(minutes=1), burst=100),),
        poll_interval=timedelta(seconds=0.25),
        max_batch=100,
        activation_lifetime=timedelta(minutes=20),
        sources=(Source("Sandbox API", "qasid_sandbox", "2026-11-21"),),
    )

    api_key: str = secret(default="sandbox")
    base_url: str = base_url("emulator://sandbox")
    seed: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))
    delay: float = attrs.field(
        default=1.0, validator=[attrs.validators.ge(0), attrs.validators.le(_DAY)]
    )

    @hookimpl
    def authenticate(self) -> Flow[Credential]:
        """Obtain a token for five minutes. There is no refresh token: the key gets the next one."""
        data = yield from self._ask("POST", "/token", json={"api_key": self.api_key}, safe=True)
        return Credential(token=filled(data, "token"), expires_at=moment(data, "expires_at"))

    @hookimpl
    def balance(self, credential: Credential) -> Flow[Money]:
        """Tell the credit, in US dollars."""
        data = yield from self._ask("GET", "/balance", credential)
        return _money(data, "balance")

    @hookimpl
    def offers(
        self, service: str | None, country: str | None, credential: Credential
    ) -> Flow[Sequence[Offer]]:
        """List a few samples, or what is asked for: any service can be rented in any country."""
        query = _given(service=service, country=country)
        data = yield from self._ask("GET", "/offers", credential, query=query)
        return [_offer(item) for item in take(data, "offers", list)]

    @hookimpl
    def acquire_number(
        self, order: NumberOrder, credential: Credential
    ) -> Flow[Sequence[Activation]]:
        """Rent a number for each service, all or none. `order.max_price` is for each number."""
        price = order.max_price
        body = {"services": order.services, "country": order.country} | _given(
            callback_url=order.callback_url,
            max_price=price and {"amount": f"{price.amount:f}", "currency": price.currency},
        )
        response = yield from self._exchange("POST", "/numbers", credential, json=body)
        items = take(response.json(), "activations", list)
        if [take(item, "service", str) for item in items] != [*order.services]:
            raise errors.ProtocolError("the numbers are not for the services that were ordered")
        return [_activation(item, response) for item in items]

    @hookimpl
    def fetch_sms(
        self, inbox: Activation | InboxQuery, credential: Credential
    ) -> Flow[Sequence[InboundMessage]]:
        """Read a rented number's messages, or the inbox, which gets one at each full hour."""
        if isinstance(inbox, Activation):
            path, query = f"/numbers/{segment(inbox.id)}/messages", {}
        else:
            path, query = "/inbox", _page(inbox)
        data = yield from self._ask("GET", path, credential, query=query)
        return [_message(item) for item in take(data, "messages", list)]

    @hookimpl
    def release(
        self, activation: Activation, reason: ReleaseReason, credential: Credential
    ) -> Flow[Released]:
        """Give a number back for its whole price. Refused once a message has come."""
        path = f"/numbers/{segment(activation.id)}/release"
        data = yield from self._ask("POST", path, credential, json={"reason": reason.value})
        return Released(activation_id=activation.id, refund=_money(data, "refund"))

    @hookimpl
    def send(
        self, messages: Sequence[TextMessage | TemplateMessage], credential: Credential
    ) -> Flow[Sequence[Receipt]]:
        """Send up to 100 texts and templates, each at once or at its `send_at`."""
        body = {"messages": [_outgoing(message) for message in messages]}
        data = yield from self._ask("POST", "/messages", credential, json=body)
        results = take(data, "results", list)
        if len(results) != len(messages):
            raise errors.ProtocolError(f"{len(messages)} messages, but {len(results)} results")
        return [_receipt(message.to, item) for message, item in zip(messages, results, strict=True)]

    @hookimpl
    def cancel_scheduled(self, batch_id: str, credential: Credential) -> Flow[Cancelled]:
        """Take a scheduled message back, for its price. Each message is a batch of its own."""
        data = yield from self._ask("DELETE", f"/messages/{segment(batch_id)}", credential)
        return Cancelled(batch_id=filled(data, "cancelled"))

    @hookimpl
    def otp(self, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
        """Send a code of 3 to 10 digits by `sms` (or None), `voice` or `ussd`; the code is told.

        Part seconds of `order.lifetime` count as whole ones.
        """
        lifetime = -(-order.lifetime // timedelta(seconds=1))
        body = {"to": order.to, "length": order.length, "lifetime_seconds": lifetime}
        body |= _given(code=order.code, channel=order.channel)
        data = yield from self._ask("POST", "/otp", credential, json=body)
        return OtpTicket(
            to=order.to,
            expires_at=moment(data, "expires_at"),
            code=filled(data, "code"),
            dial=take(data, "dial", str, None),
        )

    @hookimpl
    def verify_otp(self, to: str, code: str, credential: Credential) -> Flow[OtpVerdict]:
        """Tell whether the code is right; if not, the reason is `wrong`, `used` or `expired`."""
        body = {"to": to, "code": code}
        data = yield from self._ask("POST", "/otp/verify", credential, json=body)
        return OtpVerdict(
            accepted=take(data, "accepted", bool), reason=take(data, "reason", str, "")
        )

    @hookimpl
    def delivery_status(
        self, receipts: Sequence[Receipt], credential: Credential
    ) -> Flow[Sequence[DeliveryReport]]:
        """Tell where the messages are: pending, then after `delay` delivered or failed."""
        ids = [receipt.id or "" for receipt in receipts]
        data = yield from self._ask(
            "POST", "/messages/status", credential, json={"ids": ids}, safe=True
        )
        found = {r.receipt_id: r for r in map(_report, take(data, "reports", list))}
        unknown = DeliveryState.UNKNOWN
        return [found.get(i) or DeliveryReport(receipt_id=i, state=unknown) for i in ids]

    @hookimpl
    def parse_webhook(self, request: Request) -> Sequence[InboundMessage | DeliveryReport]:
        """Read one post: a message that came in, or a report on one that went out."""
        body = request.payload()
        data = take(body, "data", dict)
        match take(body, "event", str):
            case "message":
                return [_message(data)]
            case "delivery":
                return [_report(data)]
        raise errors.ProtocolError("the sandbox posts no such event")

    def _ask(
        self, method: str, path: str, credential: Credential | None = None, **more: Any
    ) -> Flow[Any]:
        response = yield from self._exchange(method, path, credential, **more)
        return response.json()

    def _exchange(
        self, method: str, path: str, credential: Credential | None, **more: Any
    ) -> Flow[Response]:
        headers = {"X-Sandbox-Seed": str(self.seed), "X-Sandbox-Delay": f"{self.delay:f}"}
        if credential:
            headers["Authorization"] = f"Bearer {credential.token}"
        response: Response = yield Request(
            method=method, url=self.base_url + path, headers=headers, **more
        )
        if not response.ok:
            raise _refusal(response)
        return response


# How it says no.

_ERRORS: Final[Mapping[str, type[errors.ProviderError]]] = {
    "invalid_key": errors.AuthenticationFailed,
    "invalid_token": errors.AuthenticationFailed,
    "insufficient_credit": errors.InsufficientCredit,
    "no_numbers": errors.NoNumbersAvailable,
    "number_expired": errors.NumberExpired,
    "number_not_found": errors.NumberNotFound,
    "release_refused": errors.ReleaseRefused,
    "invalid_request": errors.InvalidRequest,
    "invalid_recipient": errors.InvalidRecipient,
    "recipient_opted_out": errors.RecipientOptedOut,
    "template_rejected": errors.TemplateRejected,
    "code_rejected": errors.OtpRejected,
    "rate_limited": errors.RateLimited,
    "unavailable": errors.ProviderUnavailable,
}

# For replies that come from elsewhere on the way, and have no code of ours.
_BY_STATUS: Final[Mapping[int, type[errors.ProviderError]]] = {
    401: errors.AuthenticationFailed,
    402: errors.InsufficientCredit,
    403: errors.PermissionDenied,
    429: errors.RateLimited,
}


def _refusal(response: Response) -> errors.ProviderError:
    code, message = _told(response)
    kind = _BY_STATUS.get(response.status) or _kind(response.status, code)
    return kind(message, code=code, retry_after=retry_after(response), response=response)


def _kind(status: int, code: str | None) -> type[errors.ProviderError]:
    if status >= 500:
        return errors.ProviderUnavailable
    if status >= 400:
        return _ERRORS.get(code or "", errors.InvalidRequest)
    return errors.ProtocolError


def _told(response: Response) -> tuple[str | None, str]:
    try:
        error = take(response.json(), "error", dict)
        return take(error, "code", str), take(error, "message", str)
    except errors.ProtocolError:
        return None, f"the sandbox answered with status {response.status}"


# How its answers are read.


def _money(body: object, key: str) -> Money:
    data = take(body, key, dict)
    try:
        return Money(take(data, "amount", str), take(data, "currency", str))
    except ValueError:
        raise errors.ProtocolError(f"{key!r} is no amount of money") from None


def _offer(item: object) -> Offer:
    return Offer(
        service=filled(item, "service"),
        country=filled(item, "country"),
        price=_money(item, "price"),
        stock=take(item, "stock", int),
    )


def _activation(item: object, response: Response) -> Activation:
    return Activation(
        id=filled(item, "id"),
        number=filled(item, "number"),
        service=filled(item, "service"),
        country=filled(item, "country"),
        acquired_at=response.received_at,
        expires_at=moment(item, "expires_at"),
        cost=_money(item, "price"),
    )


def _message(item: object) -> InboundMessage:
    return InboundMessage(
        text=take(item, "text", str),
        sender=take(item, "sender", str),
        to=take(item, "to", str),
        received_at=moment(item, "received_at"),
        id=filled(item, "id"),
    )


def _receipt(to: str, item: object) -> Receipt:
    match take(item, "status", str):
        case "accepted":
            return _accepted(to, item)
        case "refused":
            return Receipt(to=to, error=_refused(take(item, "error", dict)))
    raise errors.ProtocolError("a result is neither accepted nor refused")


def _accepted(to: str, item: object) -> Receipt:
    try:  # It was sent: what cannot be read is left out, and is no reason to send it twice.
        name = filled(item, "id")
        return Receipt(to=to, id=name, batch_id=name, cost=_money(item, "price"))
    except errors.ProtocolError:
        return Receipt(to=to)


def _refused(error: Mapping[str, Any]) -> errors.ProviderError:
    code = take(error, "code", str)
    kind = _ERRORS.get(code, errors.InvalidRequest)
    message = take(error, "message", str)
    return kind(message, code=code, outcome=errors.Outcome.NOT_PERFORMED)


def _report(item: object) -> DeliveryReport:
    state = take(item, "state", str)
    return DeliveryReport(
        receipt_id=filled(item, "id"),
        state=_STATES.get(state, DeliveryState.UNKNOWN),
        to=take(item, "to", str, None),
        code=state,
        at=moment(item, "at") if take(item, "at", str, None) else None,
    )


_STATES: Final = {state.value: state for state in DeliveryState}


# How requests are written.


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _page(inbox: InboxQuery) -> dict[str, Any]:
    moments = _given(since=_iso(inbox.since), until=_iso(inbox.until))
    return {"limit": inbox.limit, "offset": inbox.offset, **moments}


def _outgoing(message: TextMessage | TemplateMessage) -> dict[str, Any]:
    if isinstance(message, TextMessage):
        content: dict[str, Any] = {"text": message.text}
    else:
        content = {"template": message.template, "values": message.values}
    more = _given(sender=message.sender, send_at=_iso(message.send_at))
    return {"to": message.to, **content, **more}


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
