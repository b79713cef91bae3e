"""DeftSMS's server in memory, written from its document alone.

Source: https://deftsms.ir/api/doc (Persian). Where it is silent a comment says "not documented",
and what may well be otherwise is a setting. It names seven calls and prints the path of one; the
other six paths are made up, and are settings too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeAlias
from zoneinfo import ZoneInfo

import attrs

from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Failures, OutboxItem, utc_now
from qasid.values import Money

__all__ = ["DeftSMSEmulator"]

_Claims: TypeAlias = Mapping[str, Any]

_CURRENCY: Final = "IRR"
_LARGEST_GROUP: Final = 100
_PREFIX: Final = "/api"  # of the printed address; a client's base may leave it out
_MEDIA: Final = ("Content-Type", "application/json; charset=utf-8")
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_MOMENT: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")

# The printed credit has this comment behind its amount, and so is no JSON.
_AMOUNT: Final = re.compile('^("data": "[^"]*",)$', re.MULTILINE)
_COMMENT: Final = r"\1 // مانده اعتبار به ریال"


class _Refusal(Exception):
    """No error is documented, so texts and codes are ours; the form is the mirrored success."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    def body(self) -> dict[str, Any]:
        return _envelope(self.code, messages=[str(self)])


def _envelope(
    code: int = 200, data: Any = None, total: int = 0, messages: Sequence[str] = ()
) -> dict[str, Any]:
    good = code == 200
    return {
        "success": good,
        "error": not good,
        "status": "success" if good else "error",
        "code": code,
        "messages": [*messages],
        "data": data,
        "total": total,
    }


@attrs.frozen(kw_only=True, repr=False)
class _Incoming:
    number: str
    message: str
    dateCreated: str


@attrs.frozen(repr=False)
class _Outgoing:
    due: datetime
    item: OutboxItem


def _printed_message() -> list[_Incoming]:
    """The message of the printed inbox."""
    return [_Incoming(number="09123456789", message="متن پیامک", dateCreated="2024-01-15 14:30:00")]


@attrs.define(kw_only=True, eq=False)
class DeftSMSEmulator:
    """The server of DeftSMS (https://deftsms.ir/api), for one account with 125000 rials.

    Its inbox holds the printed message. Settings, all of them for what is not documented: the six
    paths; whether an error's code is its HTTP status as well; what a message costs, in rials;
    which numbers can be sent to; whether a moment that is over is refused, and not sent at once;
    the order of the inbox, and how many messages a page holds at most; and whether the credit
    comes with the ``//`` comment of the printed sample (invalid JSON).
    """

    settings: ClassVar[Mapping[str, str]] = {
        "username": "your-username-key-here",
        "secret_key": "your-secret-key-here",
    }

    _clock: Clock = attrs.field(default=utc_now, alias="clock")
    path_send_scheduled: str = "/sms/send/simple/schedule"
    path_group: str = "/sms/send/group"
    path_group_scheduled: str = "/sms/send/group/schedule"
    path_peer_to_peer: str = "/sms/send/peer"
    path_credit: str = "/sms/credit"
    path_inbox: str = "/sms/inbox"
    errors_have_status: bool = False
    price: Decimal = Decimal(100)
    number_form: str = "09[0-9]{9}"
    refuse_past: bool = False
    newest_first: bool = True
    largest_page: int | None = None
    raw_samples: bool = False
    _ahead: timedelta = attrs.field(init=False, default=timedelta())
    _credit: Decimal = attrs.field(init=False, default=Decimal(125_000))
    _sent: list[_Outgoing] = attrs.field(init=False, factory=list)
    _inbox: list[_Incoming] = attrs.field(init=False, factory=_printed_message)
    _failures: Failures = attrs.field(init=False, factory=Failures)

    def _now(self) -> datetime:
        return self._clock() + self._ahead

    # The front: what the network sees.

    def handle(self, request: Request) -> Response:
        """Answer one request as the page says: path, account, signature, and then the call."""
        response = self._failures.answer(request, self._answer)
        return attrs.evolve(response, received_at=self._now())

    def _answer(self, request: Request) -> Response:
        call = self._calls.get(request.path.removeprefix(_PREFIX))
        if call is None:
            return self._write(_Refusal(404, "there is no such path").body(), 404)
        if request.method not in {"GET", "POST"}:
            return self._write(_Refusal(405, "GET or POST").body(), 405)
        try:
            return self._write(call(self._let_in(_parameters(request))), 200)
        except _Refusal as refusal:
            status = refusal.code if self.errors_have_status else 200
            return self._write(refusal.body(), status)

    def _write(self, body: dict[str, Any], status: int) -> Response:
        text = json.dumps(body, ensure_ascii=False, indent=0 if self.raw_samples else None)
        text = _AMOUNT.sub(_COMMENT, text) if self.raw_samples else text
        content = text.encode("utf-8", "surrogatepass")
        return Response(status=status, headers=[_MEDIA], body=content, received_at=self._now())

    @property
    def _calls(self) -> Mapping[str, Callable[[_Claims], dict[str, Any]]]:
        return {
            "/sms/send/simple": self._simple,
            self.path_send_scheduled: lambda claims: self._simple(claims, self._due(claims)),
            self.path_group: self._group,
            self.path_group_scheduled: lambda claims: self._group(claims, self._due(claims)),
            self.path_peer_to_peer: self._peer_to_peer,
            self.path_credit: self._tell_credit,
            self.path_inbox: self._tell_inbox,
        }

    def _let_in(self, given: Mapping[str, Any]) -> _Claims:
        username, token = given.get("username"), given.get("token")
        if not username or not token:
            raise _Refusal(400, "username and token are required")
        claims = _verified(token, self.settings["secret_key"])
        if username != self.settings["username"] or claims is None:
            raise _Refusal(401, "the account or the signature of the token is not valid")
        return claims

    # Sending.

    def _simple(self, claims: _Claims, due: datetime | None = None) -> dict[str, Any]:
        number, text = self._number(_text(claims, "number"), "number"), _text(claims, "message")
        return self._send([(number, text)], due)

    def _group(self, claims: _Claims, due: datetime | None = None) -> dict[str, Any]:
        text = _text(claims, "message")
        return self._send([(number, text) for number in self._numbers(claims)], due)

    def _peer_to_peer(self, claims: _Claims) -> dict[str, Any]:
        numbers, texts = self._numbers(claims), _texts(claims, "messages")
        if len(numbers) != len(texts):  # which the page forbids, without saying what happens
            raise _Refusal(400, "numbers and messages are not of the same length")
        return self._send([*zip(numbers, texts, strict=True)], None)

    def _send(self, letters: Sequence[tuple[str, str]], due: datetime | None) -> dict[str, Any]:
        cost = self.price * len(letters)
        if cost > self._credit:
            raise _Refusal(402, "the credit does not cover it")
        self._credit -= cost
        now = self._now()
        self._sent += [_Outgoing(due or now, OutboxItem(to=to, text=text)) for to, text in letters]
        return _envelope()  # `total` is 0 and `data` null, however many were sent

    def _numbers(self, claims: _Claims) -> list[str]:
        numbers = _texts(claims, "numbers")
        if len(numbers) > _LARGEST_GROUP:  # printed of groups, and not of peer to peer
            raise _Refusal(400, "numbers: at most 100")
        return [self._number(number, "numbers") for number in numbers]

    def _number(self, number: str, name: str) -> str:
        if not re.fullmatch(self.number_form, number):
            raise _Refusal(400, f"{name} is not valid")
        return number

    def _due(self, claims: _Claims) -> datetime:
        wall = _wall(claims, "scheduleDateTime")
        if wall is None:
            raise _Refusal(400, "scheduleDateTime is required")
        try:
            due = wall.replace(tzinfo=ZoneInfo("Asia/Tehran")).astimezone(UTC)
        except OverflowError:
            raise _Refusal(400, "scheduleDateTime is not valid") from None
        if self.refuse_past and due < self._now():
            raise _Refusal(400, "scheduleDateTime is over")
        return due

    # Asking.

    def _tell_credit(self, claims: _Claims) -> dict[str, Any]:
        if _text(claims, "username") != self.settings["username"]:
            raise _Refusal(400, "username is another one than beside the token")
        return _envelope(data=f"{self._credit:f}")

    def _tell_inbox(self, claims: _Claims) -> dict[str, Any]:
        limit, offset = _count(claims, "limit", 10, 1), _count(claims, "offset", 0, 0)
        first, last = _wall(claims, "startDateTime"), _wall(claims, "endDateTime")
        found = [m for m in self._inbox if _between(first, m.dateCreated, last)]
        found.sort(key=lambda message: message.dateCreated, reverse=self.newest_first)
        page = found[offset : offset + min(limit, self.largest_page or limit)]
        return _envelope(data=[attrs.asdict(message) for message in page], total=len(found))

    # The back doors.

    def fund(self, amount: Money) -> None:
        """Set the account's credit. Raises ValueError for another currency than IRR."""
        if amount.currency != _CURRENCY:
            raise ValueError("DeftSMS has rials (IRR) only")
        self._credit = amount.amount

    def balance(self) -> Money:
        """What the account's credit is, in rials."""
        return Money(self._credit, _CURRENCY)

    def stock(self, service: str, country: str, count: int) -> None:
        """Raises ValueError: DeftSMS rents no numbers."""
        raise ValueError("DeftSMS rents no numbers")

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        """Let a message come into the account's inbox, whose id here is ``inbox``.

        Raises KeyError for any other: DeftSMS rents no numbers.
        """
        if activation_id != "inbox":
            raise KeyError(activation_id)
        local = self._now().astimezone(ZoneInfo("Asia/Tehran"))
        at = local.strftime("%Y-%m-%d %H:%M:%S")
        self._inbox.append(_Incoming(number=sender, message=text, dateCreated=at))

    def advance(self, by: timedelta) -> None:
        """Let the emulator's own time pass."""
        self._ahead += by

    def outbox(self) -> Sequence[OutboxItem]:
        """What has gone to phones by now, oldest first; a scheduled text when it is due."""
        now = self._now()
        gone = sorted((s for s in self._sent if s.due <= now), key=lambda sent: sent.due)
        return tuple(sent.item for sent in gone)

    def activations(self) -> Sequence[EmulatedActivation]:
        """Always empty: DeftSMS rents no numbers."""
        return ()

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        """Answer the next request with `response`, after doing what it asks or instead of it."""
        self._failures.arrange(response, performed)


# What comes: parameters in the query or in a form, one of which holds the token.


def _parameters(request: Request) -> dict[str, Any]:
    """Those of the address, and of a form or multipart body, which go before them."""
    kind = (request.header("Content-Type") or "").split(";")[0].strip().lower()
    posted = request.method == "POST" and kind in _FORMS
    return {**request.params(), **(request.payload() if posted else {})}


def _verified(token: str, key: str) -> _Claims | None:
    """The payload of a token with the right signature over what came, as it came; else None.

    Both alphabets of base64 are read, with padding or without. ``[]`` is PHP's empty payload.
    """
    try:
        head, body, seal = token.encode("ascii").split(b".")
        expected = hmac.new(key.encode(), head + b"." + body, hashlib.sha256).digest()
        genuine = hmac.compare_digest(_decoded(seal), expected)
        header, claims = json.loads(_decoded(head)), json.loads(_decoded(body)) if genuine else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or header.get("alg") != "HS256":
        return None
    return {} if claims == [] else claims if isinstance(claims, dict) else None


def _decoded(part: bytes) -> bytes:
    bare = part.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)


# What the payload holds. Names are case-sensitive; members that no call has are not looked at.


def _text(claims: _Claims, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise _Refusal(400, f"{name} is required")
    return value


def _texts(claims: _Claims, name: str) -> list[str]:
    values = claims.get(name)
    if not isinstance(values, list) or not values:
        raise _Refusal(400, f"{name} is required")
    if not all(isinstance(value, str) and value for value in values):
        raise _Refusal(400, f"{name} is not a list of texts")
    return values


def _count(claims: _Claims, name: str, default: int, least: int) -> int:
    value = claims.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise _Refusal(400, f"{name} is not valid")
    return value


def _wall(claims: _Claims, name: str) -> datetime | None:
    """A date and time of Tehran's clocks, without a zone; None where there is none."""
    text = claims.get(name)
    if text is None:
        return None
    try:
        if isinstance(text, str) and _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise _Refusal(400, f"{name} is not of the form Y-m-d H:i:s")


def _between(first: datetime | None, created: str, last: datetime | None) -> bool:
    """Both ends included (not documented)."""
    at = datetime.fromisoformat(created)
    return (first is None or first <= at) and (last is None or at <= last)
