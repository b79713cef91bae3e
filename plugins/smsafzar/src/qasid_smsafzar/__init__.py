"""SMSAfzar: texts and templates through an Iranian SMS panel, now or later, and its inbox.

API         https://api.smsafzar.ir, JSON; status 200 is success and every other one an error
Auth        ``POST /auth/token`` gives a bearer token for seven days, or as the panel is set
Money       the balance comes with its unit: rials, or tomans of ten rials
Limits      5 requests a second; 100 messages, ids or inbox messages in each request
Numbers     Iranian mobiles; ``09xxxxxxxxx`` on the wire
Not there   webhooks, numbers for rent, one-time passwords
Left out    the API key, sending by URL and the state of a batch: their pages are not to be had, and
            sending by URL would put the password into addresses

Facts are those of the provider's public documents, read on 2026-11-21. They show no success but
that of the login. What they do not say is marked *[not documented]* at its line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from qasid import errors
from qasid.effects import Flow, Request, Response, segment
from qasid.fields import base_url, secret
from qasid.hookspecs import hookimpl
from qasid.reading import filled, retry_after
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
    ProviderInfo,
    Receipt,
    Source,
    Support,
    TemplateMessage,
    TextMessage,
)
from qasid_smsafzar import answers
from qasid_smsafzar.parcels import BULK, Letter, Parcel, packed, worded
from qasid_smsafzar.refusals import by_field, told, words
from qasid_smsafzar.tables import STATUSES

__all__ = ["SMSAfzar"]

_Error: TypeAlias = type[errors.ProviderError]

_FULL: Final = Support.full()
_MOST: Final = 100  # messages in a bulk, ids in a question, messages of the inbox
_SECOND: Final = timedelta(seconds=1)
_SCHEDULED: Final = "/messages/send/scheduled"
_HEADERS: Final = {"Accept": "application/json", "Cache-Control": "no-cache"}

# Of the first request of a `send` the core can mend these, as it may begin again …
_MENDABLE: Final[tuple[_Error, ...]] = (
    errors.AuthenticationFailed,
    errors.RateLimited,
    errors.ConnectFailed,
)
# … and after these the next ones would be refused like it.
_HOPELESS: Final[tuple[_Error, ...]] = (
    errors.AuthenticationFailed,
    errors.PermissionDenied,
    errors.InsufficientCredit,
)

# A bulk is refused for the sake of somebody in it, and does not say for whose.
_OF_ONE: Final[tuple[_Error, ...]] = (errors.InvalidRecipient, errors.RecipientOptedOut)


def _codes(given: Any) -> frozenset[str]:
    """Numbers as texts, from ``[1101, 1102]`` in a file or ``"1101, 1102"`` in the environment."""
    items = given.split(",") if isinstance(given, str) else given
    codes = frozenset(str(item).strip() for item in items) - {""}
    if not all(re.fullmatch("-?[0-9]+", code) for code in codes):
        raise ValueError("is not a list of whole numbers")
    return codes


def _code_list() -> Any:
    return attrs.field(default=frozenset(), converter=_codes)


def _page(title: str, place: str) -> Source:
    return Source(f"SMSAfzar API, {title}", f"https://{place}", "2026-11-21")


@attrs.frozen(eq=False, kw_only=True)
class SMSAfzar:
    """Send texts and templates by SMSAfzar, take scheduled ones back, and read the inbox.

    `domain` is the panel's, such as ``sms.smsafzar``: the same user name in another one is another
    account. `sender` is your line, for messages that name none. `token_age` is how long a token is
    used; let it be less than the life that the panel gives it, seven days if nobody changed it.

    The documents tell neither the codes of business refusals nor those of delivery states. Where
    you know them, put them into `credit_codes`, `opted_out_codes`, `recipient_codes`, and into
    `pending_codes`, `delivered_codes`, `failed_codes`. All are empty *[not documented]*.
    """

    info: ClassVar = ProviderInfo(
        title="SMSAfzar",
        contract="1.0",
        homepage="https://www.smsafzar.ir",
        support={
            "authenticate": _FULL,
            "balance": _FULL,
            "fetch_sms": Support.partial(
                "the newest 1 to 100 of the account's inbox: no offset, no dates, no rented numbers"
            ),
            "send": _FULL,
            "cancel_scheduled": _FULL,
            "delivery_status": Support.partial(
                "states are UNKNOWN, with their codes, until the settings say what the codes mean"
            ),
        },
        # Documented of the login; that it holds for all calls together is [not documented].
        limits=(Limit(requests=5, period=_SECOND),),
        max_batch=_MOST,
        sources=(
            _page("login", "www.smsafzar.com/api/manual/auth/token"),
            _page("topics", "www.smsafzar.ir/Api/ApiManualTopic"),
            _page("send", "www.smsafzar.ir/api/manual/send-methods/send"),
            _page("bulk", "www.smsafzar.ir/api/manual/send-methods/bulk"),
            _page("template", "www.smsafzar.com/api/manual/send-methods/template"),
            _page("scheduled", "www.smsafzar.ir/api/manual/send-methods/scheduled"),
            _page("messages' status", "smsafzar.com/api/manual/report-methods/messages-status"),
            _page(
                "received messages",
                "www.smsafzar.ir/api/manual/report-methods/recent-received-messages",
            ),
            _page("balance", "www.smsafzar.ir/api/manual/account-methods/account-balance"),
        ),
    )

    username: str
    password: str = secret()
    domain: str
    sender: str | None = None
    base_url: str = base_url("https://api.smsafzar.ir")
    token_age: timedelta = attrs.field(
        default=timedelta(days=6),
        validator=[attrs.validators.gt(timedelta(0)), attrs.validators.le(timedelta(days=3650))],
    )
    credit_codes: frozenset[str] = _code_list()
    opted_out_codes: frozenset[str] = _code_list()
    recipient_codes: frozenset[str] = _code_list()
    pending_codes: frozenset[str] = _code_list()
    delivered_codes: frozenset[str] = _code_list()
    failed_codes: frozenset[str] = _code_list()

    @hookimpl
    def authenticate(self) -> Flow[Credential]:
        """Obtain a token, which is not to be read. Its life is not told: `token_age` is counted."""
        body = {"userName": self.username, "password": self.password, "domain": self.domain}
        response = yield from self._ask("POST", "/auth/token", json=body, safe=True)
        token = filled(response.json(), "token")
        if not (token.isascii() and token.isprintable()):
            raise errors.ProtocolError("the token cannot stand in a header")
        return Credential(token=token, expires_at=response.received_at + self.token_age)

    @hookimpl
    def balance(self, credential: Credential) -> Flow[Money]:
        """Tell the credit in rials, whichever unit the panel counts in."""
        response = yield from self._ask("GET", "/account/balance", credential)
        return answers.money(response)

    @hookimpl
    def fetch_sms(
        self, inbox: Activation | InboxQuery, credential: Credential
    ) -> Flow[Sequence[InboundMessage]]:
        """Read the newest `limit` messages of the inbox, 1 to 100.

        *[not documented]* Whether a message that has been read is told again: keep what you get.
        """
        query = {"count": _count(inbox)}
        response = yield from self._ask("GET", "/messages/received/recent", credential, query=query)
        return answers.inbox(response)

    @hookimpl
    def send(
        self, messages: Sequence[TextMessage | TemplateMessage], credential: Credential
    ) -> Flow[Sequence[Receipt]]:
        """Send texts, all of one moment in one request, and templates in a request each.

        A refusal is written on the receipts of its own request and touches no other. It is raised
        where nothing has gone yet and the core can mend it, or there is no other request.
        """
        read = [self._worded(place, message) for place, message in enumerate(messages)]
        receipts = {place: one for place, one in enumerate(read) if isinstance(one, Receipt)}
        parcels = packed(one for one in read if isinstance(one, Letter))
        raised = _MENDABLE if len(parcels) > 1 else _MENDABLE + _HOPELESS
        refused: dict[str, errors.ProviderError] = {}
        for parcel in parcels:
            answer = refused.get(parcel.path) or (
                yield from self._carried(parcel, credential, raised)
            )
            if isinstance(answer, _HOPELESS):
                refused[parcel.path] = answer
            receipts |= parcel.receipts(answer)
            raised = ()
        return [receipts[place] for place in range(len(messages))]

    @hookimpl
    def cancel_scheduled(self, batch_id: str, credential: Credential) -> Flow[Cancelled]:
        """Take back all of a batch, up to 30 seconds before its moment."""
        path = f"{_SCHEDULED}/{segment(batch_id)}"
        response = yield from self._ask("DELETE", path, credential)
        # [not documented] What a success says; status 200 is enough. A page is not from SMSAfzar.
        if response.body and not isinstance(response.json(), Mapping):
            raise errors.ProtocolError("the reply to a cancellation is no JSON object")
        return Cancelled(batch_id=batch_id)

    @hookimpl
    def delivery_status(
        self, receipts: Sequence[Receipt], credential: Credential
    ) -> Flow[Sequence[DeliveryReport]]:
        """Tell where messages are, asking for 100 at a time."""
        ids = [*dict.fromkeys(receipt.id for receipt in receipts if receipt.id)]
        codes: dict[str, str] = {}
        for start in range(0, len(ids), _MOST):
            asked = ids[start : start + _MOST]
            response = yield from self._ask(
                "POST", "/messages/status", credential, json={"sentMessageIdes": asked}, safe=True
            )
            codes |= answers.states(response, asked)
        return [self._report(receipt, codes.get(receipt.id or "")) for receipt in receipts]

    def _ask(
        self, method: str, path: str, credential: Credential | None = None, **more: Any
    ) -> Flow[Response]:
        token = {"Authorization": f"Bearer {credential.token}"} if credential else {}
        response: Response = yield Request(
            method=method, url=self.base_url + path, headers={**_HEADERS, **token}, **more
        )
        if response.status != 200:
            raise self._refusal(path, response)
        return response

    def _carried(
        self, parcel: Parcel, credential: Credential, raised: tuple[_Error, ...]
    ) -> Flow[Response | errors.ProviderError]:
        """What became of one request. Errors are given back, so that none costs other receipts."""
        try:
            return (yield from self._ask("POST", parcel.path, credential, json=parcel.body))
        except raised:
            raise
        except errors.ProviderError as error:
            return error

    def _worded(self, place: int, message: TextMessage | TemplateMessage) -> Letter | Receipt:
        try:
            return worded(place, message, self.sender)
        except errors.InvalidRequest as error:
            return Receipt(to=message.to, error=error)

    # How it says no.

    def _refusal(self, path: str, response: Response) -> errors.ProviderError:
        code, fields = told(response)
        wait = retry_after(response)
        if response.status == 429 and wait is None:
            wait = _SECOND  # [not documented]: of five a second, one is free by then
        kind = self._kind(path, response.status, code, fields)
        said = words(response.status, code, fields)
        return kind(said, code=code, retry_after=wait, response=response)

    def _kind(self, path: str, status: int, code: str | None, fields: Sequence[str]) -> _Error:
        if status >= 500:
            return errors.ProviderUnavailable
        if status in STATUSES or status < 400:
            return STATUSES.get(status, errors.ProtocolError)
        kind = self._by_code(code) or by_field(path, {*fields})
        return errors.InvalidRequest if path == BULK and kind in _OF_ONE else kind

    def _by_code(self, code: str | None) -> _Error | None:
        # [not documented] Every code of a 400 but 1001 and 1106: the settings tell what they know.
        known: Mapping[_Error, frozenset[str]] = {
            errors.InsufficientCredit: self.credit_codes,
            errors.RecipientOptedOut: self.opted_out_codes,
            errors.InvalidRecipient: self.recipient_codes,
        }
        return next((kind for kind, codes in known.items() if code in codes), None)

    def _report(self, receipt: Receipt, code: str | None) -> DeliveryReport:
        known = {
            DeliveryState.PENDING: self.pending_codes,
            DeliveryState.DELIVERED: self.delivered_codes,
            DeliveryState.FAILED: self.failed_codes,
        }
        state = next((one for one, codes in known.items() if code in codes), DeliveryState.UNKNOWN)
        return DeliveryReport(receipt_id=receipt.id or "", state=state, to=receipt.to, code=code)


# What cannot be said to this API is refused before the wire.


def _count(inbox: Activation | InboxQuery) -> int:
    if isinstance(inbox, Activation):
        raise errors.InvalidRequest("SMSAfzar rents no numbers; pass an InboxQuery")
    if inbox.offset or inbox.since or inbox.until:
        raise errors.InvalidRequest("offset, since, until: SMSAfzar has none; leave them out")
    if inbox.limit > _MOST:
        raise errors.InvalidRequest(f"limit: SMSAfzar tells the newest {_MOST} at most")
    return inbox.limit
