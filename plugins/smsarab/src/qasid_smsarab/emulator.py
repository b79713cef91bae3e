"""SMSArab's server in memory, written from its developers page alone.

Source: https://www.smsarab.com/p/developers.html (Arabic; its samples are of 2024-08-01). Where the
page is silent a comment says "not documented", and what may well be otherwise is a setting.
The API host describes another ``GET /v1/numbers`` (a list), which is not served.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeAlias
from urllib.parse import unquote

import attrs

from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Failures, OutboxItem, utc_now
from qasid.values import Money

__all__ = ["SMSArabEmulator"]

_Reply: TypeAlias = tuple[int, dict[str, Any]]

_MINUTE: Final = timedelta(minutes=1)
_STOCK: Final = 100  # the page tells no stock
_JSON: Final = ("Content-Type", "application/json; charset=utf-8")

# Each country's name as printed, and its mobile numbers: nine digits after +966, ten after +20. The
# printed +9665xxxxxxx is one digit short of a Saudi number.
_COUNTRIES: Final = {"SA": ("السعودية", "+96650{:07d}"), "EG": ("مصر", "+2010{:08d}")}

_CATALOGUE: Final = (
    ("SA", "whatsapp", "WhatsApp", "0.5"),
    ("SA", "telegram", "Telegram", "0.4"),
    ("SA", "facebook", "Facebook", "0.3"),
    ("EG", "whatsapp", "WhatsApp", "0.4"),
    ("EG", "google", "Google", "0.3"),
)

_NEW_COST: Final = Decimal("0.5")  # of a service that `stock` adds

# Only the first two codes and messages are documented.
_ERRORS: Final = {
    "INVALID_API_KEY": "مفتاح API المقدم غير صالح أو مفقود.",
    "NO_NUMBERS_AVAILABLE": "لا توجد أرقام متاحة حالياً لهذه الخدمة في هذه الدولة.",
    "INVALID_REQUEST": "معلمات مفقودة أو غير صالحة.",
    "INSUFFICIENT_BALANCE": "الرصيد غير كافٍ.",
    "NOT_FOUND": "المورد المطلوب غير موجود.",
    "CANNOT_CANCEL": "لا يمكن إلغاء رقم وصلته رسالة.",
    "ACTIVATION_EXPIRED": "انتهت صلاحية التفعيل.",
    "RATE_LIMITED": "تم تجاوز حد الطلبات المسموح به.",
}

# The comments in the printed samples, as patterns over JSON indented by two. Texts inside the JSON
# cannot match: their quotes and line ends are escaped.
_COMMENTS: Final = (
    (r"(\n    \})(\n  \])", r"\1\n    // ... المزيد من الدول\2"),
    (r'("status": "MESSAGES_RECEIVED",)', r'\1 // أو "WAITING_FOR_MESSAGE"'),
    (r"(\n      \})(\n    \])", r"\1\n      // يمكن أن تكون هناك رسائل أخرى\2"),
    (r'("currency": "[A-Z]+")', r"\1 // أو SAR, EGP, etc."),
    (r'("code": "INVALID_API_KEY",)(\n.*)', r"\1 // مثال لرمز الخطأ\2 // مثال لرسالة الخطأ"),
)


def _error(status: int, code: str) -> _Reply:
    return status, {"success": False, "error": {"code": code, "message": _ERRORS[code]}}


def _data(status: int, data: object) -> _Reply:
    return status, {"success": True, "data": data}


def _number(value: Decimal) -> int | float:
    """As a JSON number: 0.5, and a whole one exactly, however long."""
    return int(value) if value == int(value) else float(value)


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _segments(path: str) -> list[str]:
    # Split first, decode after: an encoded slash stays inside its segment.
    return [unquote(part) for part in path.split("/")[1:]]


def _is_order(request: Request) -> bool:
    return (request.method, _segments(request.path)) == ("POST", ["v1", "numbers"])


def _with_comments(text: str) -> str:
    for pattern, commented in _COMMENTS:
        text = re.sub(pattern, commented, text)
    return text


@attrs.define
class _Shelf:
    name: str
    cost: Decimal
    left: int


def _catalogue() -> dict[str, dict[str, _Shelf]]:
    shelves: dict[str, dict[str, _Shelf]] = {country: {} for country in _COUNTRIES}
    for country, code, name, cost in _CATALOGUE:
        shelves[country][code] = _Shelf(name, Decimal(cost), _STOCK)
    return shelves


@attrs.define(kw_only=True)
class _Number:
    id: str
    phone: str
    country: str
    service: str
    cost: Decimal
    acquired_at: datetime
    expires_at: datetime
    messages: list[dict[str, str]] = attrs.field(factory=list)
    cancelled: bool = False

    @property
    def status(self) -> str:
        return "MESSAGES_RECEIVED" if self.messages else "WAITING_FOR_MESSAGE"

    def over(self, now: datetime) -> bool:
        return self.cancelled or now >= self.expires_at


@attrs.define
class _Window:
    """At most `limit` requests in *any* sixty seconds.

    The page speaks of "the current period" and so may mean a fixed one. This is the strictest
    reading. Requests that were refused do not count (not documented).
    """

    limit: int
    taken: deque[datetime] = attrs.field(factory=deque)

    def left(self, now: datetime) -> int:
        while self.taken and self.taken[0] + _MINUTE <= now:
            self.taken.popleft()
        return self.limit - len(self.taken)

    @property
    def reset(self) -> int:
        """The Unix time at which a slot frees, rounded up, so that who waits for it gets in."""
        return math.ceil((self.taken[0] + _MINUTE).timestamp())


@attrs.define(kw_only=True, eq=False)
class SMSArabEmulator:
    """The server of SMSArab (https://api.smsarab.com), for one account with 45.75 USD.

    Settings, all of them for what is not documented: how long a number lives; the status that
    comes with NO_NUMBERS_AVAILABLE; whether a number cancelled before its first message is paid
    back; whether one that has had a message can be cancelled at all; whether a 429 has a body; and
    whether replies carry the ``//`` comments of the printed samples (invalid JSON).
    """

    settings: ClassVar[Mapping[str, str]] = {"api_key": "YOUR_API_KEY"}

    _clock: Clock = attrs.field(default=utc_now, alias="clock")
    lifetime: timedelta = timedelta(minutes=10)
    no_numbers_status: int = 404
    refund_on_cancel: bool = True
    cancel_after_message: bool = True
    rate_limit_body: bool = True
    raw_samples: bool = False
    _ahead: timedelta = attrs.field(init=False, default=timedelta())
    _credit: Money = attrs.field(init=False, default=Money("45.75", "USD"))
    _shelves: dict[str, dict[str, _Shelf]] = attrs.field(init=False, factory=_catalogue)
    _numbers: dict[str, _Number] = attrs.field(init=False, factory=dict)
    _general: _Window = attrs.field(init=False, factory=lambda: _Window(120))
    _orders: _Window = attrs.field(init=False, factory=lambda: _Window(10))
    _failures: Failures = attrs.field(init=False, factory=Failures)

    def _now(self) -> datetime:
        return self._clock() + self._ahead

    # The front: what the network sees.

    def handle(self, request: Request) -> Response:
        """Answer one request as the page says: first the key, then the limits, then the path."""
        response = self._failures.answer(request, self._answer)
        return attrs.evolve(response, received_at=self._now())

    def _answer(self, request: Request) -> Response:
        if request.header("X-API-Key") != self.settings["api_key"]:
            return self._write(_error(401, "INVALID_API_KEY"))  # no key, no limit: it is per key
        admitted, headers = self._count(request)
        if admitted:
            return self._write(self._route(request), headers)
        if self.rate_limit_body:
            return self._write(_error(429, "RATE_LIMITED"), headers)  # body: not documented
        return Response(status=429, headers=headers, received_at=self._now())

    def _write(self, reply: _Reply, headers: Sequence[tuple[str, str]] = ()) -> Response:
        status, body = reply
        indent = 2 if self.raw_samples else None
        text = json.dumps(body, ensure_ascii=False, indent=indent, default=_number)
        text = _with_comments(text) if self.raw_samples else text
        return Response(
            status=status, headers=(_JSON, *headers), body=text.encode(), received_at=self._now()
        )

    def _count(self, request: Request) -> tuple[bool, list[tuple[str, str]]]:
        now = self._now()
        windows = [self._orders, self._general] if _is_order(request) else [self._general]
        full = [window for window in windows if not window.left(now)]
        if not full:
            for window in windows:
                window.taken.append(now)
        # Which limit the headers show on an order is not documented: the one that refuses, else
        # the smaller. All replies have them: they tell "the state of the limit", not its end only.
        shown = max(full, key=lambda window: window.reset) if full else windows[0]
        left = shown.left(now)
        values = {"Limit": shown.limit, "Remaining": left, "Reset": shown.reset}
        return not full, [(f"X-RateLimit-{name}", str(value)) for name, value in values.items()]

    def _route(self, request: Request) -> _Reply:
        match request.method, _segments(request.path):
            case "GET", ["v1", "services"]:
                return self._services()
            case "POST", ["v1", "numbers"]:
                return self._acquire(request)
            case "GET", ["v1", "messages", activation_id]:
                return self._messages(activation_id)
            case "POST", ["v1", "numbers", activation_id, "cancel"]:
                return self._cancel(activation_id)
            case "GET", ["v1", "balance"]:
                balance = self._credit
                return _data(200, {"balance": balance.amount, "currency": balance.currency})
        return _error(404, "NOT_FOUND")  # other verbs too: the page's table of statuses has no 405

    def _services(self) -> _Reply:
        return _data(
            200,
            [
                {
                    "country_code": country,
                    "country_name": _COUNTRIES[country][0],
                    "available_services": [
                        {"service_code": code, "service_name": shelf.name, "cost": shelf.cost}
                        for code, shelf in shelves.items()
                    ],
                }
                for country, shelves in self._shelves.items()
            ],
        )

    def _acquire(self, request: Request) -> _Reply:
        order = _order(request)
        shelf = order and self._shelves.get(order[0], {}).get(order[1])
        if not order or not shelf:
            return _error(400, "INVALID_REQUEST")  # code: not documented
        if shelf.left <= 0:
            return _error(self.no_numbers_status, "NO_NUMBERS_AVAILABLE")
        if self._credit.amount < shelf.cost:
            return _error(402, "INSUFFICIENT_BALANCE")  # not documented
        return _data(201, self._sell(*order, shelf))

    def _sell(self, country: str, service: str, shelf: _Shelf) -> dict[str, Any]:
        now, count = self._now(), len(self._numbers)
        number = _Number(
            # An odd step through 16**10 ids meets none twice; the first is the printed one.
            id=f"{(0x1A2B3C4D5E + count * 0x9E3779B97F) % 16**10:010x}",
            phone=_COUNTRIES[country][1].format(count + 1),
            country=country,
            service=service,
            cost=shelf.cost,
            acquired_at=now,
            expires_at=now.replace(microsecond=0) + self.lifetime,
        )
        shelf.left -= 1
        self._credit -= Money(shelf.cost, self._credit.currency)
        self._numbers[number.id] = number
        return {
            "activation_id": number.id,
            "phone_number": number.phone,
            "country_code": country,
            "service_code": service,
            "expires_at": _moment(number.expires_at),
            "cost": shelf.cost,
        }

    def _messages(self, activation_id: str) -> _Reply:
        # Two states only are documented, so a number that has expired keeps the one it had.
        number = self._numbers.get(activation_id)
        if number is None or number.cancelled:
            return _error(404, "NOT_FOUND")  # code: not documented
        return _data(200, {"status": number.status, "messages": number.messages})

    def _cancel(self, activation_id: str) -> _Reply:
        number = self._numbers.get(activation_id)
        if number is None or number.cancelled:
            return _error(404, "NOT_FOUND")
        if number.over(self._now()):
            return _error(410, "ACTIVATION_EXPIRED")  # not documented
        if number.messages and not self.cancel_after_message:
            return _error(409, "CANNOT_CANCEL")  # not documented
        number.cancelled = True
        if self.refund_on_cancel and not number.messages:
            self._credit += Money(number.cost, self._credit.currency)
        return 200, {"success": True, "message": "تم إلغاء تفعيل الرقم بنجاح."}

    # The back doors.

    def fund(self, amount: Money) -> None:
        """Set the account's credit, and with it the currency of the account and of its prices."""
        self._credit = amount

    def balance(self) -> Money:
        """What the account's credit is."""
        return self._credit

    def stock(self, service: str, country: str, count: int) -> None:
        """Set how many numbers are left; a service that is not there is added, at a cost of 0.5.

        Raises ValueError for a country other than SA and EG.
        """
        if country not in _COUNTRIES:
            raise ValueError(f"country must be one of {', '.join(_COUNTRIES)}")
        new = _Shelf(service.capitalize(), _NEW_COST, count)
        self._shelves[country].setdefault(service, new).left = count

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        """Let a message come in. A number that has expired or was cancelled gets nothing.

        Raises KeyError for an unknown activation.
        """
        number, now = self._numbers[activation_id], self._now()
        if not number.over(now):
            message = {"sender": sender, "text": text, "received_at": _moment(now)}
            number.messages.append(message)

    def advance(self, by: timedelta) -> None:
        """Let the emulator's own time pass."""
        self._ahead += by

    def outbox(self) -> Sequence[OutboxItem]:
        """Always empty: SMSArab sends nothing."""
        return ()

    def activations(self) -> Sequence[EmulatedActivation]:
        """Every number ever rented, oldest first. `state` is the page's word, or CANCELLED."""
        return tuple(
            EmulatedActivation(
                id=number.id,
                number=number.phone,
                service=number.service,
                country=number.country,
                state="CANCELLED" if number.cancelled else number.status,
                acquired_at=number.acquired_at,
                messages=len(number.messages),
            )
            for number in self._numbers.values()
        )

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        """Answer the next request with `response`, after doing what it asks or instead of it."""
        self._failures.arrange(response, performed)


def _order(request: Request) -> tuple[str, str] | None:
    """Country and service of an order, or None where they are not there as JSON texts."""
    if not (request.header("Content-Type") or "").lower().startswith("application/json"):
        return None
    body = request.payload()
    country, service = body.get("country_code"), body.get("service_code")
    if isinstance(country, str) and isinstance(service, str):
        return country, service
    return None
