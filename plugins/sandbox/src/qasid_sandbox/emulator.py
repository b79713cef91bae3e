"""The sandbox's server in memory, written from the API that `qasid_sandbox` documents."""

from __future__ import annotations

import hmac
import json
import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeAlias
from urllib.parse import unquote

import attrs

from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Failures, OutboxItem, utc_now
from qasid.errors import ProtocolError
from qasid.reading import moment, take
from qasid.values import Money
from qasid_sandbox import derivation
from qasid_sandbox.derivation import seal, stamp, unseal

__all__ = ["SandboxEmulator"]

Json: TypeAlias = dict[str, Any]

_KEY: Final = "sandbox"
_CURRENCY: Final = "USD"
_NUMBER_PRICE: Final = Decimal("0.50")
_TEXT_PRICE: Final = Decimal("0.05")
_STOCK: Final = 100
_SERVICES: Final = ("acme", "globex", "soldout")
_COUNTRIES: Final = ("AE", "EG", "GB", "IR", "SA", "US")
_OWN_NUMBER: Final = "+99900001000"

_TOKEN_LIFE: Final = timedelta(minutes=5)
_NUMBER_LIFE: Final = timedelta(minutes=20)
_WINDOW: Final = timedelta(minutes=1)
_WINDOW_REQUESTS: Final = 600
_DAY: Final = 86_400

_STATUS: Final = {
    "invalid_request": 400,
    "invalid_key": 401,
    "invalid_token": 401,
    "insufficient_credit": 402,
    "not_found": 404,
    "number_not_found": 404,
    "no_numbers": 409,
    "release_refused": 409,
    "number_expired": 410,
    "invalid_recipient": 422,
    "recipient_opted_out": 422,
    "template_rejected": 422,
    "code_rejected": 422,
    "rate_limited": 429,
    "unavailable": 500,
}

#: Ends of a recipient's number, and what they are refused with.
_SPECIAL: Final = {
    "0001": "invalid_recipient",
    "0002": "recipient_opted_out",
    "0003": "insufficient_credit",
    "0004": "unavailable",
    "0005": "rate_limited",
}
_UNDELIVERABLE: Final = "0006"

#: About one message of a batch; any other refusal is about the whole of it.
_ABOUT_ONE: Final = frozenset({"invalid_recipient", "recipient_opted_out", "template_rejected"})


class _Refusal(Exception):
    def __init__(self, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after

    def body(self) -> Json:
        return {"error": {"code": self.code, "message": str(self)}}

    def reply(self) -> Response:
        return _reply(_STATUS[self.code], self.body(), retry_after=self.retry_after)


@attrs.frozen(kw_only=True, repr=False)
class _Call:
    """A request as the acts see it; `name` is the id in its path."""

    now: datetime
    seed: int
    delay: timedelta
    name: str
    query: Mapping[str, str]
    body: Mapping[str, Any]


@attrs.frozen(kw_only=True, repr=False)
class _Inbound:
    id: str
    sender: str = "Acme"
    text: str
    at: datetime


@attrs.define(kw_only=True, repr=False)
class _Number:
    id: str
    number: str
    service: str
    country: str
    acquired_at: datetime
    seed: int
    delay: timedelta
    paid: Decimal = Decimal(0)
    released: bool = False
    delivered: list[_Inbound] = attrs.field(factory=list)

    @property
    def expires_at(self) -> datetime:
        return self.acquired_at + _NUMBER_LIFE

    def state(self, now: datetime) -> str:
        if self.released:
            return "released"
        return "expired" if now >= self.expires_at else "active"

    def messages(self, now: datetime) -> list[_Inbound]:
        """What has come by now; its own message stays away if a delivered one was first."""
        if self.released:
            return []
        due = self.acquired_at + self.delay
        if now < due or due >= self.expires_at or any(m.at <= due for m in self.delivered):
            return [*self.delivered]
        return [_verification(self.seed, self.id, due), *self.delivered]


@attrs.frozen(kw_only=True, repr=False)
class _Outgoing:
    id: str
    item: OutboxItem
    due: datetime
    delay: timedelta


@attrs.define(repr=False)
class _Code:
    digits: str
    expires_at: datetime
    used: bool = False

    def refusal(self, digits: str, now: datetime) -> str:
        """Why not, or the empty text."""
        if self.digits != digits:
            return "wrong"
        if self.used:
            return "used"
        return "expired" if now >= self.expires_at else ""


@attrs.define(kw_only=True, eq=False, repr=False)
class SandboxEmulator:
    """Answers as the sandbox. Its books, such as the credit of 100.00 USD, last as long as it does.

    A rented number gets a message of its own after the caller's delay, unless `deliver` was first.
    """

    settings: ClassVar[Mapping[str, str]] = {"api_key": _KEY}

    clock: Clock = utc_now
    _shift: timedelta = attrs.field(default=timedelta(0), init=False)
    _credit: Decimal = attrs.field(default=Decimal("100.00"), init=False)
    _stock: dict[tuple[str, str], int] = attrs.field(factory=dict, init=False)
    _numbers: dict[str, _Number] = attrs.field(factory=dict, init=False)
    _sent: list[_Outgoing] = attrs.field(factory=list, init=False)
    _codes: dict[str, _Code] = attrs.field(factory=dict, init=False)
    _failures: Failures = attrs.field(init=False, factory=Failures)
    _recent: deque[datetime] = attrs.field(factory=deque, init=False)
    _cancelled: set[str] = attrs.field(factory=set, init=False)
    _serial: int = attrs.field(default=0, init=False)

    def handle(self, request: Request) -> Response:
        """Answer one request. Whoever has several threads calls it from one at a time."""
        return self._failures.answer(request, self._answer)

    # Back doors.

    def fund(self, amount: Money) -> None:
        """Set the credit. Raises ValueError for another currency than USD."""
        if amount.currency != _CURRENCY:
            raise ValueError("the sandbox has US dollars only")
        self._credit = amount.amount

    def balance(self) -> Money:
        """What the credit is, in US dollars."""
        return Money(self._credit, _CURRENCY)

    def stock(self, service: str, country: str, count: int) -> None:
        """Set how many numbers are left; 100 unless set, and 0 of `soldout`."""
        self._stock[service, country] = count

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        """Let a message come in for a number known here. Raises KeyError for any other."""
        number = self._numbers[activation_id]
        name = derivation.message_id(number.seed, number.id, f"{len(number.delivered)}")
        number.delivered.append(_Inbound(id=name, sender=sender, text=text, at=self._now()))

    def advance(self, by: timedelta) -> None:
        """Let the emulator's own time pass."""
        self._shift += by

    def outbox(self) -> Sequence[OutboxItem]:
        """What has gone to phones by now, oldest first; a scheduled message when it is due."""
        now = self._now()
        gone = [each for each in self._sent if each.due <= now]
        return [each.item for each in sorted(gone, key=lambda each: each.due)]

    def activations(self) -> Sequence[EmulatedActivation]:
        """Every number rented or asked for here, oldest first: active, expired or released."""
        now = self._now()
        return [_shown(each, now) for each in self._numbers.values()]

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        """Answer the next request with `response`, after doing what it asks or instead of it."""
        self._failures.arrange(response, performed)

    def webhooks(self, url: str) -> Sequence[Request]:
        """What would have been posted to `url` by now; the sandbox posts nothing by itself."""
        now = self._now()
        messages = [
            {"event": "message", "data": _told(message, number.number)}
            for number in self._numbers.values()
            for message in number.messages(now)
        ]
        arrived = [each for each in self._sent if each.due + each.delay <= now]
        reports = [{"event": "delivery", "data": _report(e.id, e.delay, now)} for e in arrived]
        return [_post(url, body) for body in messages + reports]

    def _now(self) -> datetime:
        return self.clock() + self._shift

    # Answering.

    def _answer(self, request: Request) -> Response:
        try:
            now = self._now()
            self._admit(now)
            return _reply(200, self._perform(request, now))
        except _Refusal as refusal:
            return refusal.reply()
        except ProtocolError as error:  # of `take`: it names the member, never its value
            return _Refusal("invalid_request", str(error)).reply()

    def _admit(self, now: datetime) -> None:
        while self._recent and self._recent[0] <= now - _WINDOW:
            self._recent.popleft()
        if len(self._recent) >= _WINDOW_REQUESTS:
            seconds = math.ceil((self._recent[0] + _WINDOW - now).total_seconds())
            raise _Refusal("rate_limited", "600 requests a minute", retry_after=seconds)
        self._recent.append(now)

    def _perform(self, request: Request, now: datetime) -> Json:
        path = [unquote(part) for part in request.path.strip("/").split("/")]
        name = path.pop(1) if _names_one(request.method, path) else ""
        act = _ACTS.get((request.method, *path))
        if act is not SandboxEmulator._token:
            _check_token(request, now)
        if act is None:
            raise _Refusal("not_found", "the sandbox has no such path")
        return act(self, _read(request, name, now))

    def _token(self, call: _Call) -> Json:
        given = take(call.body, "api_key", str).encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, _KEY.encode()):
            raise _Refusal("invalid_key", "the API key is not known")
        ends = call.now + _TOKEN_LIFE
        return {"token": seal("tok", stamp(ends)), "expires_at": ends.isoformat()}

    def _tell_balance(self, call: _Call) -> Json:
        return {"balance": _amount(self._credit)}

    # Numbers.

    def _offers(self, call: _Call) -> Json:
        service, country = call.query.get("service"), call.query.get("country")
        services = _SERVICES if service is None else (service,)
        countries = _COUNTRIES if country is None else (country,)
        pairs = [(s, c) for s in services for c in countries if _rentable(s, c)]
        pairs += [p for p in self._stock if service in {None, p[0]} and country in {None, p[1]}]
        return {"offers": [self._offer(*pair) for pair in dict.fromkeys(pairs)]}

    def _offer(self, service: str, country: str) -> Json:
        pair = {"service": service, "country": country}
        return {**pair, "price": _amount(_NUMBER_PRICE), "stock": self._left(service, country)}

    def _left(self, service: str, country: str) -> int:
        return self._stock.get((service, country), 0 if service == "soldout" else _STOCK)

    def _acquire(self, call: _Call) -> Json:
        services, country = take(call.body, "services", list), take(call.body, "country", str)
        rentable = services and all(_rentable(each, country) for each in services)
        _require(rentable, "services are words, and a country is two capital letters")
        _check_callback(take(call.body, "callback_url", str, None))
        _check_price(take(call.body, "max_price", dict, None))
        if any(self._left(each, country) < services.count(each) for each in services):
            raise _Refusal("no_numbers", "no number is in stock")
        self._charge(_NUMBER_PRICE * len(services))
        return {"activations": [self._rent(call, service, country) for service in services]}

    def _rent(self, call: _Call, service: str, country: str) -> Json:
        self._stock[service, country] = self._left(service, country) - 1
        when = (stamp(call.now), self._next())
        digits = derivation.number_digits(call.seed, country, *when)
        number = _opened(seal("sbx", service, country, digits, *when), call)
        number.paid = _NUMBER_PRICE
        self._numbers[number.id] = number
        return _rented(number)

    def _number(self, call: _Call) -> _Number:
        """The number that the path names; one of another process enters the books."""
        number = self._numbers.get(call.name) or _opened(call.name, call)
        self._numbers[number.id] = number
        match number.state(call.now):
            case "released":
                raise _Refusal("number_not_found", "the number was given back")
            case "expired":
                raise _Refusal("number_expired", "the number's twenty minutes are over")
        return number

    def _messages(self, call: _Call) -> Json:
        number = self._number(call)
        return {"messages": [_told(each, number.number) for each in number.messages(call.now)]}

    def _release(self, call: _Call) -> Json:
        number = self._number(call)
        reason = take(call.body, "reason", str)
        _require(reason in {"unused", "unusable"}, "the reason is unused or unusable")
        if number.messages(call.now):
            raise _Refusal("release_refused", "the number has had a message")
        number.released = True
        self._credit += number.paid
        self._stock[number.service, number.country] = self._left(number.service, number.country) + 1
        return {"refund": _amount(_NUMBER_PRICE)}

    def _inbox(self, call: _Call) -> Json:
        page = _page(call, _hours(call.now))
        messages = [_verification(call.seed, at.isoformat(), at) for at in page]
        return {"messages": [_told(each, _OWN_NUMBER) for each in messages]}

    # Messages and codes that go.

    def _send(self, call: _Call) -> Json:
        items = take(call.body, "messages", list)
        _require(1 <= len(items) <= 100, "a batch is 1 to 100 messages")
        tried = [self._try(call, item) for item in items]
        accepted = [each for each in tried if isinstance(each, _Outgoing)]
        self._charge(_TEXT_PRICE * len(accepted))
        self._sent += accepted
        return {"results": [_result(each) for each in tried]}

    def _try(self, call: _Call, item: object) -> _Outgoing | _Refusal:
        try:
            return self._letter(call, _addressed(item), _due(item, call.now))
        except _Refusal as refusal:
            if refusal.code not in _ABOUT_ONE:
                raise
            return refusal

    def _letter(self, call: _Call, item: OutboxItem, due: datetime) -> _Outgoing:
        name = seal("msg", item.to.removeprefix("+"), stamp(due), stamp(call.now), self._next())
        return _Outgoing(id=name, item=item, due=due, delay=call.delay)

    def _cancel(self, call: _Call) -> Json:
        parts = unseal("msg", call.name)
        waits = parts is not None and derivation.instant(parts[1]) > call.now
        _require(waits and call.name not in self._cancelled, "nothing is scheduled under this id")
        sent = [each for each in self._sent if each.id == call.name]
        self._credit += _TEXT_PRICE * len(sent)
        self._sent = [each for each in self._sent if each.id != call.name]
        self._cancelled.add(call.name)
        return {"cancelled": call.name}

    def _otp(self, call: _Call) -> Json:
        to, digits = take(call.body, "to", str), _wanted_code(call)
        expires_at = call.now + timedelta(seconds=_lifetime(call.body))
        dial = _dial(call, to)
        _check_recipient(to)
        self._charge(_TEXT_PRICE)
        item = OutboxItem(to=to, text=f"Your code is {digits}.", code=digits)
        self._sent.append(self._letter(call, item, call.now))
        self._codes[to] = _Code(digits, expires_at)
        return {"code": digits, "expires_at": expires_at.isoformat(), "dial": dial}

    def _verify(self, call: _Call) -> Json:
        to, digits = take(call.body, "to", str), take(call.body, "code", str)
        code = self._codes.get(to) or _unrecorded(call, to, digits)
        reason = code.refusal(digits, call.now)
        if not reason:
            code.used = True
            self._codes[to] = code
        return {"accepted": not reason, "reason": reason}

    def _status(self, call: _Call) -> Json:
        names = [str(name) for name in take(call.body, "ids", list)]
        reports = [_report(name, call.delay, call.now) for name in names]
        gone = [{**r, "state": "cancelled"} if r["id"] in self._cancelled else r for r in reports]
        return {"reports": gone}

    # Books.

    def _charge(self, amount: Decimal) -> None:
        if amount > self._credit:
            raise _Refusal("insufficient_credit", "the credit does not cover it")
        self._credit -= amount

    def _next(self) -> str:
        self._serial += 1
        return f"{self._serial:x}"


_ACTS: Final[Mapping[tuple[str, ...], Callable[[SandboxEmulator, _Call], Json]]] = {
    ("POST", "token"): SandboxEmulator._token,
    ("GET", "balance"): SandboxEmulator._tell_balance,
    ("GET", "offers"): SandboxEmulator._offers,
    ("POST", "numbers"): SandboxEmulator._acquire,
    ("GET", "numbers", "messages"): SandboxEmulator._messages,
    ("POST", "numbers", "release"): SandboxEmulator._release,
    ("GET", "inbox"): SandboxEmulator._inbox,
    ("POST", "messages"): SandboxEmulator._send,
    ("DELETE", "messages"): SandboxEmulator._cancel,
    ("POST", "messages", "status"): SandboxEmulator._status,
    ("POST", "otp"): SandboxEmulator._otp,
    ("POST", "otp", "verify"): SandboxEmulator._verify,
}


# What ids and the seed tell without books.


def _opened(name: str, call: _Call) -> _Number:
    parts = unseal("sbx", name)
    if parts is None:
        raise _Refusal("number_not_found", "the sandbox never gave out this id")
    service, country, digits, acquired, _ = parts
    return _Number(
        id=name,
        number=f"+{digits}",
        service=service,
        country=country,
        acquired_at=derivation.instant(acquired),
        seed=call.seed,
        delay=call.delay,
    )


def _verification(seed: int, place: str, at: datetime) -> _Inbound:
    text = derivation.verification_text(seed, place)
    return _Inbound(id=derivation.message_id(seed, place), text=text, at=at)


def _hours(now: datetime) -> list[datetime]:
    """The last six full hours, at each of which the account's own inbox got a message."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    return [hour - timedelta(hours=ago) for ago in range(5, -1, -1)]


def _report(name: str, delay: timedelta, now: datetime) -> Json:
    parts = unseal("msg", name)
    if parts is None:
        return {"id": name, "state": "unknown"}
    to, arrival = f"+{parts[0]}", derivation.instant(parts[1]) + delay
    if now < arrival:
        return {"id": name, "state": "pending", "to": to}
    state = "failed" if to.endswith(_UNDELIVERABLE) else "delivered"
    return {"id": name, "state": state, "to": to, "at": arrival.isoformat()}


def _unrecorded(call: _Call, to: str, digits: str) -> _Code:
    """The code that would be made for `to`, of as many digits as the one in question."""
    length = min(max(3, len(digits)), 10)
    expected = derivation.made_code(call.seed, to, length)
    return _Code(expected, call.now + _NUMBER_LIFE)


# Reading requests.


def _names_one(method: str, path: list[str]) -> bool:
    """Whether the second part of a path is an id."""
    number = path[0] == "numbers" and len(path) == 3
    return number or (method, *path[:1], len(path)) == ("DELETE", "messages", 2)


def _read(request: Request, name: str, now: datetime) -> _Call:
    seed = request.header("X-Sandbox-Seed") or "0"
    delay = request.header("X-Sandbox-Delay") or "1"
    _require(re.fullmatch(r"-?[0-9]{1,100}", seed), "X-Sandbox-Seed is a whole number")
    _require(re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,6})?", delay), "X-Sandbox-Delay is in seconds")
    return _Call(
        now=now,
        seed=int(seed),
        delay=timedelta(seconds=float(delay)),
        name=name,
        query=request.params(),
        body=request.payload(),
    )


def _require(truth: object, rule: str) -> None:
    if not truth:
        raise _Refusal("invalid_request", rule)


def _check_token(request: Request, now: datetime) -> None:
    ends = unseal("tok", (request.header("Authorization") or "").removeprefix("Bearer "))
    if ends is None or now >= derivation.instant(ends[0]):
        raise _Refusal("invalid_token", "the token is missing, unknown or has run out")


def _rentable(service: object, country: str) -> bool:
    word = isinstance(service, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,40}", service)
    return bool(word and re.fullmatch(r"[A-Z]{2}", country))


def _check_callback(url: str | None) -> None:
    _require(url is None or re.fullmatch(r"https?://\S+", url), "callback_url is no web address")


def _check_price(limit: Json | None) -> None:
    if limit is None:
        return
    try:
        highest = Money(take(limit, "amount", str), take(limit, "currency", str))
        too_high = highest < Money(_NUMBER_PRICE, _CURRENCY)
    except ValueError:
        raise _Refusal("invalid_request", "max_price is an amount of US dollars") from None
    if too_high:
        raise _Refusal("no_numbers", "no number is in stock at that price")


def _page(call: _Call, moments: list[datetime]) -> list[datetime]:
    since, until = (call.query.get(n) and moment(call.query, n) for n in ("since", "until"))
    found = [at for at in moments if (since or at) <= at and not (until and until <= at)]
    start = _whole(call.query.get("offset", "0"))
    return found[start : start + _whole(call.query.get("limit", "10"))]


def _whole(text: str) -> int:
    _require(re.fullmatch(r"[0-9]{1,9}", text), "limit and offset are whole numbers")
    return int(text)


def _check_recipient(to: str) -> None:
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", to):
        raise _Refusal("invalid_recipient", "a recipient is a number in E.164")
    code = _SPECIAL.get(to[-4:])
    if code is not None:
        wait = 1 if code == "rate_limited" else None
        raise _Refusal(code, f"this recipient stands for {code}", retry_after=wait)


def _addressed(item: object) -> OutboxItem:
    to, sender, text = take(item, "to", str), take(item, "sender", str, None), _text(item)
    _check_recipient(to)
    return OutboxItem(to=to, text=text, sender=sender)


def _text(item: object) -> str:
    template = take(item, "template", str, None)
    if template is None:
        return take(item, "text", str)
    if template == "rejected":
        raise _Refusal("template_rejected", "this template stands for template_rejected")
    values = take(item, "values", dict).items()
    return " ".join([f"[{template}]", *(f"{name}={value}" for name, value in values)])


def _due(item: object, now: datetime) -> datetime:
    return max(now, moment(item, "send_at")) if take(item, "send_at", str, None) else now


def _wanted_code(call: _Call) -> str:
    digits = take(call.body, "code", str, None)
    if digits is None:
        length = take(call.body, "length", int)
        _require(3 <= length <= 10, "length is 3 to 10 digits")
        return derivation.made_code(call.seed, take(call.body, "to", str), length)
    if not re.fullmatch(r"[0-9]{3,10}", digits):
        raise _Refusal("code_rejected", "a code is 3 to 10 digits")
    return digits


def _lifetime(body: Mapping[str, Any]) -> int:
    seconds = take(body, "lifetime_seconds", int)
    _require(1 <= seconds <= _DAY, "lifetime_seconds is 1 to 86400")
    return seconds


def _dial(call: _Call, to: str) -> str | None:
    channel = take(call.body, "channel", str, "sms")
    _require(channel in {"sms", "voice", "ussd"}, "channel is sms, voice or ussd")
    return (
        f"*999*{derivation.seeded_code(call.seed, 4, 'dial', to)}#" if channel == "ussd" else None
    )


# Writing answers.


def _reply(status: int, body: Json, *, retry_after: int | None = None) -> Response:
    wait = {} if retry_after is None else {"Retry-After": retry_after}
    headers = {"Content-Type": "application/json", **wait}
    return Response(status=status, headers=headers, body=json.dumps(body).encode())


def _post(url: str, body: Json) -> Request:
    return Request(method="POST", url=url, json=body).encode()


def _amount(value: Decimal) -> Json:
    return {"amount": f"{value:.2f}", "currency": _CURRENCY}


def _rented(number: _Number) -> Json:
    return {
        "id": number.id,
        "number": number.number,
        "service": number.service,
        "country": number.country,
        "expires_at": number.expires_at.isoformat(),
        "price": _amount(_NUMBER_PRICE),
    }


def _shown(number: _Number, now: datetime) -> EmulatedActivation:
    return EmulatedActivation(
        id=number.id,
        number=number.number,
        service=number.service,
        country=number.country,
        state=number.state(now),
        acquired_at=number.acquired_at,
        messages=len(number.messages(now)),
    )


def _told(message: _Inbound, to: str) -> Json:
    who = {"id": message.id, "sender": message.sender, "to": to}
    return {**who, "text": message.text, "received_at": message.at.isoformat()}


def _result(tried: _Outgoing | _Refusal) -> Json:
    if isinstance(tried, _Refusal):
        return {"status": "refused", **tried.body()}
    return {"status": "accepted", "id": tried.id, "price": _amount(_TEXT_PRICE)}
