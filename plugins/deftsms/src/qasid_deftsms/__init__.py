"""DeftSMS: texts to Iranian mobiles, and an inbox. A call's parameters are in a signed token.

API         https://deftsms.ir/api, POST, form fields ``username`` and ``token``; JSON comes back
Auth        the token's signature: JWT, HS256, over the account's secret key
Money       Iranian rials, as text
Limits      100 numbers in one request; no rate is documented
Numbers     09xxxxxxxxx
Time        ``Y-m-d H:i:s``, Gregorian, the wall time of Tehran
Not there   ids, delivery reports, sender lines, templates, cancelling, webhooks

Facts are those of the provider's public document, read on 2026-11-21. What that document does not
say is marked *[not documented]* at its line: all paths but that of a single text, and all errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

import attrs

from qasid import errors
from qasid.effects import Flow, Request, Response
from qasid.fields import base_url, secret, unverified
from qasid.hookspecs import hookimpl
from qasid.phone import iranian_mobile
from qasid.reading import retry_after, take
from qasid.values import (
    Activation,
    InboundMessage,
    InboxQuery,
    Money,
    ProviderInfo,
    Receipt,
    Source,
    Support,
    TemplateMessage,
    TextMessage,
)
from qasid_deftsms.tokens import TokenEncoding, signed

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["DeftSMS"]

_SIMPLE: Final = "/sms/send/simple"
# Numbers in a group; [not documented] for peer-to-peer, whose engine is the same.
_MOST: Final = 100

_PATH: Final = re.compile(r"(/[\w~.-]+)+/?", re.ASCII)


def _is_path(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    dots = {".", ".."} & {*str(value).split("/")}
    if dots or not (isinstance(value, str) and _PATH.fullmatch(value)):
        raise ValueError("must be a path below base_url, such as /sms/inbox")


def _path(default: str) -> Any:
    # [not documented] The document names these calls, and has lost their paths.
    return unverified(default, validator=_is_path)


@attrs.frozen(eq=False, kw_only=True)
class DeftSMS:
    """Send texts by DeftSMS and read the account's inbox.

    `username` and `secret_key` are the account's. `token_encoding` is how tokens are written:
    ``base64url`` as of jwt.io, or ``php`` as in the document's sample. Each ``path_…`` is below
    `base_url`; its default was made up after the one path that is documented *[not documented]*.
    """

    info: ClassVar = ProviderInfo(
        title="DeftSMS",
        contract="1.0",
        homepage="https://deftsms.ir",
        support={
            "balance": Support.full(),
            "fetch_sms": Support.partial("the account's own inbox; there are no numbers to rent"),
            "send": Support.partial("texts only: no templates, no sender line, no ids"),
        },
        max_batch=_MOST,
        sources=(Source("DeftSMS API", "https://deftsms.ir/api/doc", "2026-11-21"),),
    )

    username: str = attrs.field(validator=attrs.validators.min_len(1))
    secret_key: str = secret()
    token_encoding: TokenEncoding = attrs.field(
        default="base64url", validator=attrs.validators.in_(["base64url", "php"])
    )
    base_url: str = base_url("https://deftsms.ir/api")
    path_send_scheduled: str = _path("/sms/send/simple/schedule")
    path_group: str = _path("/sms/send/group")
    path_group_scheduled: str = _path("/sms/send/group/schedule")
    path_peer_to_peer: str = _path("/sms/send/peer")
    path_credit: str = _path("/sms/credit")
    path_inbox: str = _path("/sms/inbox")

    @hookimpl
    def balance(self) -> Flow[Money]:
        """Tell the credit in rials. The name stands in the payload too."""
        response = yield self._request(self.path_credit, {"username": self.username}, safe=True)
        return _rials(take(_envelope(response), "data", str))

    @hookimpl
    def fetch_sms(self, inbox: Activation | InboxQuery) -> Flow[Sequence[InboundMessage]]:
        """Read a page of the inbox; messages have no ids, and their order is not documented.

        Where the server gives less than a page, the rest is asked for, up to a fixed end.
        """
        query: InboxQuery | None = _own(inbox)
        found: dict[InboundMessage, None] = {}
        while query is not None:
            response = yield self._request(self.path_inbox, _page(query), safe=True)
            messages, total = _messages(_envelope(response))
            new = {message: None for message in messages if message not in found}
            found |= new
            query = _rest(query, messages, total, response) if new else None
        return sorted(found, key=attrgetter("received_at"))

    @hookimpl
    def send(self, messages: Sequence[TextMessage | TemplateMessage]) -> Flow[Sequence[Receipt]]:
        """Send up to 100 texts: those of one text as a group, those of several peer to peer.

        Scheduled ones go by themselves, a group for each text and moment, as peer to peer has no
        schedule. There are no ids, and no results for single numbers.
        """
        letters, failures = _sorted_out(messages)
        yield from self._deliver(_parcels(letters), failures)
        return [Receipt(to=m.to, error=failures.get(i)) for i, m in enumerate(messages)]

    def _deliver(self, parcels: Sequence[_Parcel], failures: _Failures) -> Flow[None]:
        """Send each parcel once, and note what failed. What would fail all alike ends it."""
        for count, parcel in enumerate(parcels):
            try:
                response = yield self._request(*self._said(parcel))
                _envelope(response, recipients=len(parcel))
            except _OF_ALL as error:
                if not count:
                    raise  # nothing has gone: the core may wait and try again
                _note(failures, parcels[count:], error)
                return
            except errors.ProviderError as error:
                _note(failures, [parcel], error)

    def _said(self, parcel: _Parcel) -> tuple[str, dict[str, Any]]:
        """The call that a parcel needs: its path and its payload."""
        first, numbers = parcel[0], [letter.number for letter in parcel]
        when = {} if first.at is None else {"scheduleDateTime": first.at}
        if len(parcel) == 1:
            path = self.path_send_scheduled if when else _SIMPLE
            return path, {"number": first.number, "message": first.text, **when}
        texts = [letter.text for letter in parcel]
        if len({*texts}) > 1:
            return self.path_peer_to_peer, {"numbers": numbers, "messages": texts}
        path = self.path_group_scheduled if when else self.path_group
        return path, {"numbers": numbers, "message": first.text, **when}

    def _request(self, path: str, payload: Mapping[str, Any], *, safe: bool = False) -> Request:
        token = signed(payload, self.secret_key, self.token_encoding)
        form = {"username": self.username, "token": token}
        return Request(method="POST", url=f"{self.base_url}{path}", form=form, safe=safe)


# What is sent, and in which requests.


@attrs.frozen(kw_only=True)
class _Letter:
    place: int
    number: str
    text: str = attrs.field(repr=False)
    at: str | None


_Parcel: TypeAlias = list[_Letter]
_Failures: TypeAlias = dict[int, errors.ProviderError]

# The next request would fail as this one did.
_OF_ALL: Final = (
    errors.AuthenticationFailed,
    errors.PermissionDenied,
    errors.InsufficientCredit,
    errors.RateLimited,
    errors.ConnectFailed,
)

_HALF: Final = re.compile("[\ud800-\udfff]")


def _sorted_out(
    messages: Iterable[TextMessage | TemplateMessage],
) -> tuple[list[_Letter], _Failures]:
    """What can be sent, and by its place what cannot."""
    letters: list[_Letter] = []
    failures: _Failures = {}
    for place, message in enumerate(messages):
        try:
            letters.append(_letter(place, message))
        except errors.InvalidRequest as error:
            failures[place] = error
    return letters, failures


def _letter(place: int, message: TextMessage | TemplateMessage) -> _Letter:
    if isinstance(message, TemplateMessage):
        raise errors.InvalidRequest("template: DeftSMS has none; send a TextMessage")
    if message.sender is not None:
        raise errors.InvalidRequest("sender: DeftSMS cannot be told the line; leave it out")
    if not message.text:  # it is required, and would spoil the whole group
        raise errors.InvalidRequest("text: it is empty; write one")
    if _HALF.search(message.text):
        raise errors.InvalidRequest("text: it holds half a character (a lone surrogate)")
    at = None if message.send_at is None else _wall("send_at", _whole(message.send_at))
    return _Letter(place=place, number=iranian_mobile(message.to), text=message.text, at=at)


def _parcels(letters: Iterable[_Letter]) -> list[_Parcel]:
    """Letters by request: all that go now; of the scheduled, those of one moment and text."""
    parcels: dict[tuple[str, ...], _Parcel] = {}
    for letter in letters:
        key = () if letter.at is None else (letter.at, letter.text)
        parcels.setdefault(key, []).append(letter)
    return [*parcels.values()]


def _note(failures: _Failures, parcels: Iterable[_Parcel], error: errors.ProviderError) -> None:
    failures.update({letter.place: error for parcel in parcels for letter in parcel})


# The inbox, a page at a time.


def _own(inbox: Activation | InboxQuery) -> InboxQuery:
    if not isinstance(inbox, InboxQuery):
        raise errors.InvalidRequest("inbox: DeftSMS rents no numbers; pass an InboxQuery")
    return inbox


def _page(query: InboxQuery) -> dict[str, Any]:
    # Always with limit and offset: without any member PHP would write [] where {} is meant.
    page: dict[str, Any] = {"limit": query.limit, "offset": query.offset}
    if query.since is not None:
        page["startDateTime"] = _wall("since", query.since)
    if query.until is not None:
        page["endDateTime"] = _wall("until", _whole(query.until))
    return page


def _rest(
    query: InboxQuery, messages: Sequence[InboundMessage], total: int, response: Response
) -> InboxQuery | None:
    """What is still missing of a page that came short; None where nothing is.

    Its end is fixed, as a new message would shift what follows: now, or later where the server's
    clock is ahead.
    """
    left, offset = query.limit - len(messages), query.offset + len(messages)
    if left <= 0 or offset >= total:
        return None
    now = max(response.received_at, *(m.received_at for m in messages if m.received_at))
    return attrs.evolve(query, limit=left, offset=offset, until=query.until or _whole(now))


def _messages(envelope: object) -> tuple[list[InboundMessage], int]:
    """A page, and how many messages there are in all. [not documented] Null may be an empty one."""
    total = take(envelope, "total", int)
    items = take(envelope, "data", list, None)
    if items is None and total:
        raise errors.ProtocolError("'data' is missing, and 'total' is not 0")
    return [_message(item) for item in items or ()], total


def _message(item: object) -> InboundMessage:
    return InboundMessage(
        text=take(item, "message", str),
        sender=_sender(take(item, "number", str)),
        received_at=_moment(take(item, "dateCreated", str)),
    )


def _sender(number: str) -> str | None:
    """A mobile in E.164; a short number or a name as it came."""
    try:
        return f"+98{iranian_mobile(number)[1:]}"
    except errors.InvalidRecipient:
        return number or None


# Time: the wall clock of Tehran, which has had no summer time since the autumn of 2022. That of
# the inbox is [not documented]; it has the form of the schedule's.


def _tehran() -> ZoneInfo:
    from zoneinfo import ZoneInfo  # late: most texts go at once, and need none

    return ZoneInfo("Asia/Tehran")


def _wall(field: str, at: datetime) -> str:
    try:
        local = at.astimezone(_tehran())
    except OverflowError:
        raise errors.InvalidRequest(f"{field}: it is beyond the calendar") from None
    return local.replace(tzinfo=None).isoformat(" ", "seconds")


def _whole(at: datetime) -> datetime:
    """The same second, or the next one: seconds have no parts here."""
    try:
        return at + timedelta(microseconds=-at.microsecond % 1_000_000)
    except OverflowError:
        return at


def _moment(text: str) -> datetime:
    try:
        local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007, its zone follows
    except ValueError:
        raise errors.ProtocolError("'dateCreated' is not a date and time") from None
    if local.year < 1900:  # the Jalali calendar is 621 years behind
        raise errors.ProtocolError("'dateCreated' is not of the Gregorian calendar")
    return local.replace(tzinfo=_tehran()).astimezone(UTC)


# How its answers are read. [not documented] No error is: neither statuses, nor codes, nor texts.

_KINDS: Final[Mapping[int, type[errors.ProviderError]]] = {
    400: errors.InvalidRequest,
    401: errors.AuthenticationFailed,
    402: errors.InsufficientCredit,
    403: errors.PermissionDenied,
    422: errors.InvalidRequest,
    429: errors.RateLimited,
}
_WAIT: Final = timedelta(minutes=1)
_NUMBER: Final = re.compile(r"\bnumber\b")


def _envelope(response: Response, recipients: int = 0) -> Mapping[str, Any]:
    """The reply of a success. Raises its refusal, or `ProtocolError` if it contradicts itself."""
    if not response.ok:
        raise _refusal(_failed(response), response, recipients)
    body: Mapping[str, Any] = response.json()
    success, code = take(body, "success", bool), _code(body)
    word = take(body, "status", str, "success" if success else "error")
    failed = take(body, "error", bool, not success)
    if code is None or len({success, not failed, word == "success", code == 200}) > 1:
        raise _contradiction(response)
    if not success:
        raise _refusal(code, response, recipients)
    return body


def _failed(response: Response) -> int:
    """The code of a reply that is no 2xx: its own, where it has one and the status leaves it."""
    if response.status in _FIRM:
        return response.status
    body = _readable(response)
    code = _code(body)
    if body.get("success") is True or code == 200:
        raise _contradiction(response)
    return response.status if code is None else code


_FIRM: Final = frozenset({429, *range(500, 600)})  # it says enough, whoever wrote the body


def _readable(response: Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except errors.ProtocolError:
        return {}
    return body if isinstance(body, Mapping) else {}


def _contradiction(response: Response) -> errors.ProtocolError:
    return errors.ProtocolError("the reply is incomplete or contradicts itself", response=response)


def _code(body: Mapping[str, Any]) -> int | None:
    code = body.get("code")
    if isinstance(code, str) and re.fullmatch("[0-9]{3}", code, re.ASCII):
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _refusal(code: int, response: Response, recipients: int) -> errors.ProviderError:
    kind = _KINDS.get(code, errors.ProviderUnavailable if code >= 500 else errors.ProtocolError)
    if kind is errors.InvalidRequest and recipients == 1 and _names_number(response):
        kind = errors.InvalidRecipient
    wait = (retry_after(response) or _WAIT) if kind is errors.RateLimited else None
    said = f"DeftSMS answered {code}" + ("; is a path_… setting wrong?" if code == 404 else "")
    return kind(said, code=str(code), retry_after=wait, response=response)


def _names_number(response: Response) -> bool:
    """Whether the texts about the call name the parameter ``number``, in whatever form."""
    return bool(_NUMBER.search(str(_readable(response).get("messages"))))


def _rials(text: str) -> Money:
    if not re.fullmatch(r"-?[0-9]{1,40}(\.[0-9]{1,10})?", text, re.ASCII):
        raise errors.ProtocolError("'data' is not an amount of rials")
    return Money(text, "IRR")
