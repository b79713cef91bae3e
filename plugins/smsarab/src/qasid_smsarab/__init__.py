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

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

import attrs

from qasid import errors
from qasid.effects import Flow, Request, Response, segment
from qasid.fields import base_url, secret
from qasid.hookspecs import hookimpl
from qasid.reading import moment, retry_after, take
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
        sources=(
            Source("SMSArab API", "https://www.smsarab.com/p/developers.html", "2026-11-21"),
        ),
    )

    api_key: str = secret()
    base_url: str = base_url("https://api.smsarab.com")
    currency: str = "USD"

    @hookimpl
    def balance(self) -> Flow[Money]:
        """Tell the account's credit in the account's own currency."""
        data = yield from self._ask("GET", "/v1/balance")
        return _money(take(data, "balance", Decimal), take(data, "currency", str))

    @hookimpl
    def offers(self, service: str | None, country: str | None) -> Flow[Sequence[Offer]]:
        """List services by country; the API has no filter, so they are picked here."""
        countries = yield from self._ask("GET", "/v1/services", kind=list)
        found = [offer for entry in countries for offer in self._offers_of(entry)]
        return [o for o in found if service in {None, o.service} and country in {None, o.country}]

    @hookimpl
    def acquire_number(self, order: NumberOrder) -> Flow[Sequence[Activation]]:
        """Rent one number. `order` has one service; its country is two letters, such as SA."""
        _check(order)
        body = {"country_code": order.country, "service_code": order.services[0]}
        response = yield Request(
            method="POST", url=f"{self.base_url}/v1/numbers", headers=self._key, json=body
        )
        return [self._activation(_data(response, dict), response)]

    @hookimpl
    def fetch_sms(self, inbox: Activation | InboxQuery) -> Flow[Sequence[InboundMessage]]:
        """Read a rented number's messages. They have no ids, and their order is not documented."""
        if not isinstance(inbox, Activation):
            raise errors.InvalidRequest("SMSArab has no inbox of its own; pass an Activation")
        data = yield from self._ask("GET", f"/v1/messages/{segment(inbox.id)}")
        _expect(take(data, "status", str), _MESSAGE_STATES, "status")
        messages = [_message(item, inbox) for item in take(data, "messages", list)]
        return sorted(dict.fromkeys(messages), key=_when)

    @hookimpl
    def release(self, activation: Activation) -> Flow[Released]:
        """Cancel a number. A refund is not documented; the reply has a message and no data."""
        yield from self._ask("POST", f"/v1/numbers/{segment(activation.id)}/cancel", kind=None)
        return Released(activation_id=activation.id)
