"""SMSArab: temporary numbers for receiving verification messages.

API         https://api.smsarab.com, paths under /v1, JSON
Auth        header ``X-API-Key``
Money       decimal amounts; the currency is the account's and is told by the balance alone
Limits      120 requests a minute; 10 a minute for acquiring
Numbers     E.164; they live until ``expires_at``
Not there   webhooks, idempotency, sending, stock counts

Facts are those of the provider's public document, read on 2026-11-21. What that document does not
say is marked *[not documented]* at its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from qasid import errors
from qasid.effects import Flow, Request, Response, segment
from qasid.fields import base_url, secret
from qasid.hookspecs import hookimpl
from qasid.reading import filled, moment, retry_after, take
from qasid.values import (
    Activation,
    InboundMessage,
    InboxQuery,
    Limit,
    Money,
    NumberOrder,
    Offer,
    ProviderInfo,
    Released,
    Source,
    Support,
)

__all__ = ["SMSArab"]

_FULL: Final = Support.full()
_MINUTE: Final = timedelta(minutes=1)
_Errors: TypeAlias = frozenset[type[errors.ProviderError]]

_NOTHING: Final[_Errors] = frozenset()
_READ_ERRORS: Final[_Errors] = frozenset({errors.NumberNotFound, errors.NumberExpired})
_CANCEL_ERRORS: Final[_Errors] = _READ_ERRORS | {errors.ReleaseRefused}

_STATES: Final = frozenset({"WAITING_FOR_MESSAGE", "MESSAGES_RECEIVED"})

_CODES: Final[Mapping[str, type[errors.ProviderError]]] = {
    "INVALID_API_KEY": errors.AuthenticationFailed,
    "NO_NUMBERS_AVAILABLE": errors.NoNumbersAvailable,
}
# [not documented] Every other code: by its name, where that is clear.
_NAMES: Final = (
    (re.compile("BALANCE|CREDIT|FUNDS"), errors.InsufficientCredit),
    (re.compile("EXPIRED"), errors.NumberExpired),
    (re.compile("NOT_FOUND"), errors.NumberNotFound),
    (re.compile("(^|_)RATE(_|$)|TOO_MANY"), errors.RateLimited),
    (re.compile("CANCEL"), errors.ReleaseRefused),
)
# 400, 401, 404, 429 and 500 are documented; the others are [not documented].
_STATUSES: Final[Mapping[int, type[errors.ProviderError]]] = {
    401: errors.AuthenticationFailed,
    402: errors.InsufficientCredit,
    403: errors.PermissionDenied,
    404: errors.NumberNotFound,
    409: errors.ReleaseRefused,
    410: errors.ReleaseRefused,
}


@attrs.frozen(eq=False, kw_only=True)
class SMSArab:
    """Rent temporary numbers from SMSArab.

    `api_key` comes from the operator. `currency` is that of your account: prices come without one
    *[not documented; USD is what the document's balance sample shows]*.
    """

    info: ClassVar = ProviderInfo(
        title="SMSArab",
        contract="1.0",
        homepage="https://www.smsarab.com",
        support={
            "balance": _FULL,
            "offers": _FULL,
            "acquire_number": Support.partial("one service in each order"),
            "fetch_sms": Support.partial("rented numbers only: there is no inbox of one's own"),
            "release": Support.partial("a number cannot be reported as unusable"),
        },
        limits=(
            Limit(requests=120, period=_MINUTE),
            Limit(requests=10, period=_MINUTE, hooks=["acquire_number"]),
        ),
        # [not documented] With 120 a minute for all, 5 s serve about eight numbers.
        poll_interval=timedelta(seconds=5),
        sources=(Source("SMSArab API", "https://www.smsarab.com/p/developers.html", "2026-11-21"),),
    )

    api_key: str = secret()
    base_url: str = base_url("https://api.smsarab.com")
    currency: str = "USD"

    @hookimpl
    def balance(self) -> Flow[Money]:
        """Tell the account's credit in the account's own currency."""
        response = yield self._request("GET", "/v1/balance")
        data = _data(response, dict)
        return _money(take(data, "balance", Decimal), take(data, "currency", str))

    @hookimpl
    def offers(self, service: str | None, country: str | None) -> Flow[Sequence[Offer]]:
        """List services by country; the API has no filter, so they are picked here."""
        response = yield self._request("GET", "/v1/services")
        found = [offer for entry in _data(response, list) for offer in self._offers_of(entry)]
        return [o for o in found if service in {None, o.service} and country in {None, o.country}]

    @hookimpl
    def acquire_number(self, order: NumberOrder) -> Flow[Sequence[Activation]]:
        """Rent one number. `order` has one service; its country is two letters, such as SA."""
        (service,) = _sayable(order).services
        body = {"country_code": order.country, "service_code": service}
        response = yield self._request("POST", "/v1/numbers", json=body)
        return [self._activation(_data(response, dict), order, response)]

    @hookimpl
    def fetch_sms(self, inbox: Activation | InboxQuery) -> Flow[Sequence[InboundMessage]]:
        """Read a rented number's messages. They have no ids, and their order is not documented."""
        if not isinstance(inbox, Activation):
            raise errors.InvalidRequest("SMSArab has no inbox of its own; pass an Activation")
        response = yield self._request("GET", f"/v1/messages/{segment(inbox.id)}")
        data = _data(response, dict, about=_READ_ERRORS)
        _check_state(take(data, "status", str), response)
        messages = dict.fromkeys(_message(item, inbox) for item in take(data, "messages", list))
        return sorted(messages, key=attrgetter("received_at"))

    @hookimpl
    def release(self, activation: Activation) -> Flow[Released]:
        """Cancel a number. A refund is not documented; the reply has a message and no data."""
        response = yield self._request("POST", f"/v1/numbers/{segment(activation.id)}/cancel")
        _data(response, None, about=_CANCEL_ERRORS)
        return Released(activation_id=activation.id)

    def _request(self, method: str, path: str, *, json: Any = None) -> Request:
        headers = {"X-API-Key": self.api_key}
        return Request(method=method, url=f"{self.base_url}{path}", headers=headers, json=json)

    # How its answers are read.

    def _offers_of(self, entry: object) -> Iterator[Offer]:
        for service in take(entry, "available_services", list):
            yield Offer(
                service=take(service, "service_code", str),
                country=take(entry, "country_code", str),
                price=_money(take(service, "cost", Decimal), self.currency),
                service_name=take(service, "service_name", str, ""),
                country_name=take(entry, "country_name", str, ""),
            )

    def _activation(self, data: object, order: NumberOrder, response: Response) -> Activation:
        cost = take(data, "cost", Decimal, None)
        return Activation(
            id=filled(data, "activation_id"),
            number=filled(data, "phone_number"),
            service=take(data, "service_code", str, order.services[0]),
            country=take(data, "country_code", str, order.country),
            acquired_at=response.received_at,
            expires_at=moment(data, "expires_at") if take(data, "expires_at", str, None) else None,
            cost=None if cost is None else _money(cost, self.currency),
        )


# What cannot be said to this API is refused before the wire.


def _sayable(order: NumberOrder) -> NumberOrder:
    if len(order.services) != 1:
        raise errors.InvalidRequest("services: SMSArab rents for one service; order them singly")
    if order.callback_url is not None:
        raise errors.InvalidRequest("callback_url: SMSArab has no webhooks; leave it out")
    return order


# How it says no: 429 first, then the code, then the status.


def _data(response: Response, kind: type | None, about: _Errors = _NOTHING) -> Any:
    """The reply's `data` of that kind; nothing where no kind is asked for. Raises its refusal."""
    if response.status == 429:
        raise _refusal(errors.RateLimited, None, response)
    body = _body(response)
    if not response.ok or take(body, "success", bool) is not True:
        code = _code(body)
        raise _refusal(_meaning(response, code, about), code, response)
    return None if kind is None else take(body, "data", kind)


def _body(response: Response) -> Any:
    """The body as JSON; an error need not have any."""
    try:
        return response.json()
    except errors.ProtocolError:
        if response.ok:
            raise
        return {}


def _code(body: object) -> str | None:
    error = body.get("error") if isinstance(body, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, str) else None


def _meaning(response: Response, code: str | None, about: _Errors) -> type[errors.ProviderError]:
    kind = _CODES.get(code or "") or _guess(response, code) or _by_status(response.status)
    return errors.InvalidRequest if kind in _CANCEL_ERRORS - about else kind


def _guess(response: Response, code: str | None) -> type[errors.ProviderError] | None:
    if code is None or response.status >= 500:
        return None
    return next((kind for pattern, kind in _NAMES if pattern.search(code)), None)


def _by_status(status: int) -> type[errors.ProviderError]:
    if status >= 500:
        return errors.ProviderUnavailable
    return _STATUSES.get(status, errors.InvalidRequest if status >= 400 else errors.ProtocolError)


def _check_state(state: str, response: Response) -> None:
    # [not documented] Any other state, as after expiry: by its name, where that is clear.
    if state not in _STATES:
        raise _refusal(_guess(response, state) or errors.ProtocolError, state, response)


def _refusal(
    kind: type[errors.ProviderError], code: str | None, response: Response
) -> errors.ProviderError:
    wait = retry_after(response, reset="X-RateLimit-Reset") if response.status == 429 else None
    said = f"SMSArab answered {response.status}" + (f" ({code})" if code else "")
    return kind(said, code=code, retry_after=wait, response=response)


# How its answers are read.


def _message(item: object, activation: Activation) -> InboundMessage:
    return InboundMessage(
        text=take(item, "text", str),
        sender=take(item, "sender", str),
        received_at=moment(item, "received_at"),
        to=activation.number,
    )


def _money(amount: Decimal, currency: str) -> Money:
    try:
        return Money(amount, currency)
    except ValueError:
        raise errors.ProtocolError("'currency' is not a code of ISO 4217") from None
