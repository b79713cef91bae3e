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
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from qasid import errors
from qasid.effects import Flow, Request, Response, segment
from qasid.fields import base_url, secret
from qasid.hookspecs import hookimpl
from qasid.reading import filled, retry_after, take
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
from qasid_smsafzar.parcels import BULK, TEMPLATE, Letter, Parcel, packed, worded
from qasid_smsafzar.tables import DENIALS, FIELDS, OF_RECIPIENT, OF_TEMPLATE, STATUSES, UNITS

__all__ = ["SMSAfzar"]

_Error: TypeAlias = type[errors.ProviderError]

_FULL: Final = Support.full()
_MOST: Final = 100  # messages in a bulk, ids in a question, messages of the inbox
_SECOND: Final = timedelta(seconds=1)
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
        return Credential(token=token, expires_at=response.received_at + self.token_age)

    @hookimpl
    def balance(self, credential: Credential) -> Flow[Money]:
        """Tell the credit in rials, whichever unit the panel counts in."""
        response = yield from self._ask("GET", "/account/balance", credential)
        body = response.json()
        # [not documented] The members' names: one is the amount, the other is its unit.
        rials = UNITS.get(_only(body, str).strip().lower())
        if rials is None:
            raise errors.ProtocolError("the balance is neither in rials nor in tomans")
        return Money(_only(body, Decimal) * rials, "IRR")

    @hookimpl
    def fetch_sms(
        self, inbox: Activation | InboxQuery, credential: Credential
    ) -> Flow[Sequence[InboundMessage]]:
        """Read the newest `limit` messages of the inbox, 1 to 100.

        *[not documented]* Whether a message that has been read is told again: keep what you get.
        """
        query = {"count": _count(inbox)}
        response = yield from self._ask("GET", "/messages/received/recent", credential, query=query)
        return _oldest_first([_inbound(item) for item in _items(response)])

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
        """Take back all of a batch, up to 30 seconds before its moment. A success has no words."""
        path = f"{_SCHEDULED}/{segment(batch_id)}"
        response = yield from self._ask("DELETE", path, credential)
        # [not documented] What a success says: nothing that is needed. A page is not from SMSAfzar.
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
            codes |= _states(response, asked)
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
        code, fields = _told(response)
        wait = retry_after(response)
        if response.status == 429 and wait is None:
            wait = _SECOND  # [not documented]: of five a second, one is free by then
        kind = self._kind(path, response.status, code, fields)
        words = _words(response.status, code, fields)
        return kind(words, code=code, retry_after=wait, response=response)

    def _kind(self, path: str, status: int, code: str | None, fields: Sequence[str]) -> _Error:
        if status >= 500:
            return errors.ProviderUnavailable
        if status in STATUSES or status < 400:
            return STATUSES.get(status, errors.ProtocolError)
        kind = self._by_code(code) or _by_field(path, {*fields})
        # A bulk is refused for somebody in it, and does not say for whom.
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


_SCHEDULED: Final = "/messages/send/scheduled"
_OF_ONE: Final[tuple[_Error, ...]] = (errors.InvalidRecipient, errors.RecipientOptedOut)


def _told(response: Response) -> tuple[str | None, list[str]]:
    """The code of an error and the known fields that it names. It need not have a body."""
    try:
        body = response.json()
    except errors.ProtocolError:
        return None, []
    code = body.get("errorCode") if isinstance(body, Mapping) else None
    return str(code) if type(code) is int else None, [*dict.fromkeys(_fields(body))]


def _fields(body: object) -> Iterator[str]:
    """Names of fields come as ``UserName``, ``count``, and who knows how else."""
    listed = body.get("validationErrors") if isinstance(body, Mapping) else None
    for item in listed if isinstance(listed, list) else []:
        name = item.get("field") if isinstance(item, Mapping) else None
        words = re.findall("[a-z]+", name.lower()) if isinstance(name, str) else []
        yield from (word for word in words if word in FIELDS)


def _by_field(path: str, fields: set[str]) -> _Error:
    if path == TEMPLATE and fields & OF_TEMPLATE:
        return errors.TemplateRejected
    return errors.InvalidRecipient if fields & OF_RECIPIENT else errors.InvalidRequest


def _words(status: int, code: str | None, fields: Sequence[str]) -> str:
    """What an error says: never the provider's own text, which may repeat ours."""
    said = f"SMSAfzar answered {status}" + (f" ({code})" if code else "")
    if status == 403 and code in DENIALS:
        return f"{said}: {DENIALS[code]}"
    if status >= 500 and code:
        return f"{said}; its support can look that number up"
    named = ", ".join(dict.fromkeys(FIELDS[field] for field in fields))
    return f"{said}: it does not take {named}" if named else said


# What cannot be said to this API is refused before the wire.


def _count(inbox: Activation | InboxQuery) -> int:
    if isinstance(inbox, Activation):
        raise errors.InvalidRequest("SMSAfzar rents no numbers; pass an InboxQuery")
    if inbox.offset or inbox.since or inbox.until:
        raise errors.InvalidRequest("offset, since, until: SMSAfzar has none; leave them out")
    if inbox.limit > _MOST:
        raise errors.InvalidRequest(f"limit: SMSAfzar tells the newest {_MOST} at most")
    return inbox.limit


# How its answers are read.

_KINDS: Final[Mapping[type, tuple[type, ...]]] = {Decimal: (int, Decimal), int: (int,), str: (str,)}


def _only(body: object, kind: type) -> Any:
    """The one member of that type, as its name is not documented. Raises `ProtocolError`."""
    members = body.items() if isinstance(body, Mapping) else ()
    found = [
        name
        for name, value in members
        if isinstance(value, _KINDS[kind]) and not isinstance(value, bool)
    ]
    if len(found) != 1:
        raise errors.ProtocolError(f"{len(found)} members are a {kind.__name__}, where one was due")
    return take(body, found[0], kind)


def _items(response: Response) -> list[Any]:
    """The list that an answer is or, [not documented] as well, the only one in it."""
    body = response.json()
    lists = [one for one in body.values() if isinstance(one, list)] if _is_object(body) else [body]
    if len(lists) != 1 or not isinstance(lists[0], list):
        raise errors.ProtocolError("the reply is not a list, nor an object with one list in it")
    return lists[0]


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)


def _states(response: Response, asked: Sequence[str]) -> dict[str, str]:
    """The code of each message by its id."""
    found: dict[str, str] = {}
    for item in _items(response):
        if not isinstance(item, Mapping):
            raise errors.ProtocolError("the state of a message is not an object")
        # [not documented] The members' names: one is an id of ours, one whole number the code.
        ids = [one for one in item.values() if isinstance(one, str) and one in asked]
        found |= {one: str(_only(item, int)) for one in ids}
    return found


def _inbound(item: object) -> InboundMessage:
    # [not documented] All members: named here as those of a send are. The text alone is needed.
    at = take(item, "receivedTimestamp", int, None)
    return InboundMessage(
        text=take(item, "content", str),
        sender=take(item, "senderNumber", str, None),
        to=take(item, "recipientNumber", str, None),
        received_at=None if at is None else _moment(at),
        id=take(item, "receivedMessageId", str, None),
    )


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise errors.ProtocolError("'receivedTimestamp' is no moment of this world") from None


def _oldest_first(messages: list[InboundMessage]) -> list[InboundMessage]:
    """By the moments, if all are told; else as they came."""
    dated = [(one.received_at, one) for one in messages if one.received_at is not None]
    if len(dated) < len(messages):
        return messages
    return [one for _, one in sorted(dated, key=lambda pair: pair[0])]
