"""The reference: a made-up provider with every hook, which keeps every rule.

It is what the suite is tested with: each rule has a mutant of this provider or of its emulator that
breaks that rule and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

import attrs

from qasid import errors
from qasid.effects import Flow, Request, Response, segment
from qasid.fields import base_url, secret
from qasid.hookspecs import HOOKS, hookimpl
from qasid.reading import moment, retry_after, take
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

__all__ = ["Minimal", "Reference"]

INFO: Final = ProviderInfo(
    title="Reference",
    contract="1.0",
    homepage="https://reference.example",
    support=dict.fromkeys(HOOKS, Support.full()),
    limits=(Limit(requests=600, period=timedelta(minutes=1)),),
    poll_interval=timedelta(seconds=2),
    max_batch=3,
    sources=(Source("The contract", "qasid_contract.reference", "2026-11-21"),),
)

_ERRORS: Final[Mapping[str, type[errors.ProviderError]]] = {
    "unauthorised": errors.AuthenticationFailed,
    "no_credit": errors.InsufficientCredit,
    "no_numbers": errors.NoNumbersAvailable,
    "expired": errors.NumberExpired,
    "not_found": errors.NumberNotFound,
    "has_message": errors.ReleaseRefused,
    "bad_recipient": errors.InvalidRecipient,
    "bad_text": errors.InvalidRequest,
    "bad_template": errors.TemplateRejected,
}


@attrs.frozen(eq=False, kw_only=True)
class Reference:
    """Every hook, in its plainest form."""

    info: ClassVar = INFO

    api_key: str = secret()
    base_url: str = base_url("https://api.reference.example/v1")

    @hookimpl
    def authenticate(self) -> Flow[Credential]:
        """Change the key for a token."""
        form = {"api_key": self.api_key}
        response = yield Request(method="POST", url=f"{self.base_url}/token", form=form, safe=True)
        data = self._read(response)
        return Credential(token=take(data, "token", str), expires_at=moment(data, "expires_at"))

    @hookimpl
    def balance(self, credential: Credential) -> Flow[Money]:
        """Tell the credit."""
        return self._money((yield from self._get("/balance", credential)))

    @hookimpl
    def offers(
        self, service: str | None, country: str | None, credential: Credential
    ) -> Flow[Sequence[Offer]]:
        """List what can be rented."""
        query = {k: v for k, v in (("service", service), ("country", country)) if v is not None}
        data = yield from self._get("/offers", credential, query)
        return [self._offer(item) for item in take(data, "offers", list)]

    @hookimpl
    def acquire_number(
        self, order: NumberOrder, credential: Credential
    ) -> Flow[Sequence[Activation]]:
        """Rent a number for each service."""
        body = {"services": list(order.services), "country": order.country}
        response = yield self._request("POST", "/numbers", credential, json=body)
        items = take(self._read(response), "numbers", list)
        return [self._activation(item, response) for item in items]

    @hookimpl
    def fetch_sms(
        self, inbox: Activation | InboxQuery, credential: Credential
    ) -> Flow[Sequence[InboundMessage]]:
        """Read a number's messages, or the inbox."""
        if isinstance(inbox, Activation):
            path, query = f"/numbers/{segment(inbox.id)}/messages", {}
        else:
            path, query = "/inbox", {"limit": str(inbox.limit), "offset": str(inbox.offset)}
        data = yield from self._get(path, credential, query)
        return [self._message(item) for item in take(data, "messages", list)]

    @hookimpl
    def release(
        self, activation: Activation, reason: ReleaseReason, credential: Credential
    ) -> Flow[Released]:
        """Give a number back."""
        path = f"/numbers/{segment(activation.id)}/release"
        body = {"reason": reason.value}
        data = self._read((yield self._request("POST", path, credential, json=body)))
        return Released(activation_id=activation.id, refund=self._money(take(data, "refund", dict)))

    @hookimpl
    def send(
        self, messages: Sequence[TextMessage | TemplateMessage], credential: Credential
    ) -> Flow[Sequence[Receipt]]:
        """Send up to three messages."""
        body = {"messages": [self._outgoing(message) for message in messages]}
        data = self._read((yield self._request("POST", "/messages", credential, json=body)))
        ids, batch = take(data, "ids", list), take(data, "batch", str)
        if len(ids) != len(messages) or not all(isinstance(one, str) and one for one in ids):
            raise errors.ProtocolError("the receipts do not fit the messages")
        both = zip(messages, ids, strict=True)
        return [Receipt(to=message.to, id=one, batch_id=batch) for message, one in both]

    @hookimpl
    def cancel_scheduled(self, batch_id: str, credential: Credential) -> Flow[Cancelled]:
        """Take a batch back."""
        path = f"/batches/{segment(batch_id)}/cancel"
        data = self._read((yield self._request("POST", path, credential)))
        return Cancelled(batch_id=take(data, "cancelled", str))

    @hookimpl
    def otp(self, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
        """Send a code."""
        body = {
            "to": order.to,
            "code": order.code,
            "length": order.length,
            "seconds": int(order.lifetime.total_seconds()),
        }
        data = self._read((yield self._request("POST", "/codes", credential, json=body)))
        return OtpTicket(
            to=order.to, code=take(data, "code", str), expires_at=moment(data, "expires_at")
        )

    @hookimpl
    def verify_otp(self, to: str, code: str, credential: Credential) -> Flow[OtpVerdict]:
        """Ask whether a code is right."""
        body = {"to": to, "code": code}
        data = self._read((yield self._request("POST", "/codes/verify", credential, json=body)))
        return OtpVerdict(accepted=take(data, "accepted", bool))

    @hookimpl
    def delivery_status(
        self, receipts: Sequence[Receipt], credential: Credential
    ) -> Flow[Sequence[DeliveryReport]]:
        """Tell where messages are."""
        data = yield from self._get("/reports", credential, [("id", r.id or "") for r in receipts])
        found = {take(r, "id", str): take(r, "state", str) for r in take(data, "reports", list)}
        return [self._report(r.id or "", found.get(r.id or "", "")) for r in receipts]

    @hookimpl
    def parse_webhook(self, request: Request) -> Sequence[InboundMessage | DeliveryReport]:
        """Read a message that was posted to us."""
        return [self._message(request.payload())]

    # How it is asked, and how its answers are read.

    def _request(
        self,
        method: str,
        path: str,
        credential: Credential,
        *,
        query: Any = (),
        json: Any = None,
    ) -> Request:
        headers = {"Authorization": f"Bearer {credential.token}"}
        url = f"{self.base_url}{path}"
        return Request(method=method, url=url, headers=headers, query=query, json=json)

    def _get(self, path: str, credential: Credential, query: Any = ()) -> Flow[Any]:
        return self._read((yield self._request("GET", path, credential, query=query)))

    def _read(self, response: Response) -> Any:
        if response.status == 429:
            raise errors.RateLimited("too many requests", retry_after=retry_after(response))
        if response.status >= 500:
            raise errors.ProviderUnavailable(f"status {response.status}", response=response)
        body = response.json()
        if not response.ok:
            raise self._refusal(take(body, "error", str), response)
        return body

    def _refusal(self, code: str, response: Response) -> errors.ProviderError:
        kind = _ERRORS.get(code, errors.InvalidRequest)
        return kind(f"refused: {code}", code=code, response=response)

    def _money(self, data: object) -> Money:
        try:
            return Money(take(data, "amount", Decimal), take(data, "currency", str))
        except ValueError:
            raise errors.ProtocolError("'currency' is no currency") from None

    def _offer(self, item: object) -> Offer:
        return Offer(
            service=take(item, "service", str),
            country=take(item, "country", str),
            price=self._money(take(item, "price", dict)),
            stock=take(item, "stock", int),
        )

    def _activation(self, item: object, response: Response) -> Activation:
        return Activation(
            id=take(item, "id", str),
            number=take(item, "number", str),
            service=take(item, "service", str),
            country=take(item, "country", str),
            acquired_at=response.received_at,
            expires_at=moment(item, "expires_at"),
            cost=self._money(take(item, "price", dict)),
        )

    def _message(self, item: object) -> InboundMessage:
        return InboundMessage(
            text=take(item, "text", str),
            sender=take(item, "sender", str),
            received_at=moment(item, "received_at"),
            id=take(item, "id", str),
        )

    def _outgoing(self, message: TextMessage | TemplateMessage) -> dict[str, Any]:
        at = message.send_at and message.send_at.isoformat()
        if isinstance(message, TextMessage):
            return {"to": message.to, "text": message.text, "at": at}
        return {"to": message.to, "template": message.template, "values": message.values, "at": at}

    def _report(self, receipt_id: str, state: str) -> DeliveryReport:
        states = {one.value: one for one in DeliveryState}
        known = states.get(state, DeliveryState.UNKNOWN)
        return DeliveryReport(receipt_id=receipt_id, state=known, code=state)


@attrs.frozen(eq=False, kw_only=True)
class Minimal:
    """One hook and nothing else: every rule that needs another one does not apply."""

    info: ClassVar = attrs.evolve(INFO, title="Minimal", support={"balance": Support.full()})

    api_key: str = secret()
    base_url: str = base_url("https://api.reference.example/v1")

    @hookimpl
    def balance(self) -> Flow[Money]:
        """Tell the credit."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        response = yield Request(method="GET", url=f"{self.base_url}/balance", headers=headers)
        plain = Reference(api_key=self.api_key)
        return plain._money(plain._read(response))
