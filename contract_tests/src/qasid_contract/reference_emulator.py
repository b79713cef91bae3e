"""The reference provider's other half."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Failures, OutboxItem, utc_now
from qasid.values import Money

__all__ = ["MinimalEmulator", "ReferenceEmulator"]

KEY: Final = "reference-key-4711"
_TOKEN_LIFE: Final = timedelta(minutes=30)
_NUMBER_LIFE: Final = timedelta(minutes=15)
_PRICE: Final = Decimal("0.25")
_TEMPLATES: Final = {"welcome": "Welcome, {name}!"}


class Refused(Exception):
    """A request is answered with a status and a code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


def _number(value: Decimal) -> int | float:
    """As a JSON number; a whole one exactly, however long."""
    return int(value) if value == int(value) else float(value)


@attrs.define
class _Number:
    id: str
    number: str
    service: str
    country: str
    acquired_at: datetime
    messages: list[dict[str, str]] = attrs.field(factory=list)
    released: bool = False


@attrs.define
class _Outgoing:
    item: OutboxItem
    due: datetime
    batch: str = ""
    cancelled: bool = False


@attrs.define
class _Code:
    code: str
    expires_at: datetime
    used: bool = False


@attrs.define(eq=False, kw_only=True)
class ReferenceEmulator:
    """A server in memory for one account with 100.00 EUR."""

    settings: ClassVar[Mapping[str, str]] = {"api_key": KEY}

    clock: Clock = utc_now
    _ahead: timedelta = attrs.field(init=False, default=timedelta())
    _credit: Money = attrs.field(init=False, default=Money("100.00", "EUR"))
    _stock: dict[tuple[str, str], int] = attrs.field(init=False, factory=dict)
    _numbers: dict[str, _Number] = attrs.field(init=False, factory=dict)
    _codes: dict[str, _Code] = attrs.field(init=False, factory=dict)
    _outgoing: list[_Outgoing] = attrs.field(init=False, factory=list)
    _tokens: dict[str, datetime] = attrs.field(init=False, factory=dict)
    _failures: Failures = attrs.field(init=False, factory=Failures)

    @property
    def now(self) -> datetime:
        """The emulator's own time."""
        return self.clock() + self._ahead

    # The front.

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        return self._failures.answer(request, self.answer)

    def answer(self, request: Request) -> Response:
        """What the server says when nothing fails."""
        try:
            return self._reply(200, self._route(request))
        except Refused as error:
            return self._reply(error.status, {"error": error.code})

    def _reply(self, status: int, body: object) -> Response:
        text = json.dumps(body, ensure_ascii=False, default=_number)
        headers = {"Content-Type": "application/json"}
        return Response(status=status, headers=headers, body=text.encode(), received_at=self.now)

    def _route(self, request: Request) -> object:
        path = [unquote(part) for part in request.path.split("/")]
        route = path[path.index("v1") + 1 :] if "v1" in path else path[1:]
        if route != ["token"]:
            self._let_in(request)
        match request.method, route:
            case "POST", ["numbers", number, "release"]:
                return self._release(number)
            case "GET", ["numbers", number, "messages"]:
                return {"messages": self._messages(number)}
            case "POST", ["batches", batch, "cancel"]:
                return self._cancel(batch)
            case method, [name]:
                return self._plain(f"{method} {name}", request)
            case "POST", ["codes", "verify"]:
                return self._verify(request.payload())
        raise Refused(404, "no_such_path")

    def _plain(self, call: str, request: Request) -> object:
        calls: dict[str, Callable[[], object]] = {
            "POST token": lambda: self._token(request.payload()),
            "GET balance": lambda: self._money(self._credit.amount),
            "GET offers": lambda: {"offers": self._offers(request.params())},
            "POST numbers": lambda: {"numbers": self._acquire(request.payload())},
            "GET inbox": lambda: {"messages": self._inbox(request.params())},
            "POST messages": lambda: self._send(request.payload()),
            "GET reports": lambda: {"reports": self._reports(request)},
            "POST codes": lambda: self._issue(request.payload()),
        }
        if call not in calls:
            raise Refused(404, "no_such_path")
        return calls[call]()

    def _let_in(self, request: Request) -> None:
        token = (request.header("Authorization") or "").removeprefix("Bearer ")
        if self._tokens.get(token, self.now) <= self.now:
            raise Refused(401, "unauthorised")

    def _token(self, body: Mapping[str, Any]) -> object:
        if body.get("api_key") != self.settings["api_key"]:
            raise Refused(401, "unauthorised")
        token = f"token-{len(self._tokens):06d}-x"
        self._tokens[token] = self.now + _TOKEN_LIFE
        return {"token": token, "expires_at": self._tokens[token].isoformat()}

    def _money(self, amount: Decimal) -> dict[str, object]:
        return {"amount": amount, "currency": self._credit.currency}

    def _pay(self, amount: Decimal) -> None:
        if self._credit.amount < amount:
            raise Refused(402, "no_credit")
        self._credit -= Money(amount, self._credit.currency)

    def _offers(self, query: Mapping[str, str]) -> list[object]:
        shelves = {("acme", "SA"): 100, ("acme", "IR"): 100, **self._stock}
        return [
            {"service": s, "country": c, "price": self._money(_PRICE), "stock": left}
            for (s, c), left in shelves.items()
            if query.get("service", s) == s and query.get("country", c) == c
        ]

    def _acquire(self, body: Mapping[str, Any]) -> list[object]:
        country, services = str(body.get("country")), body.get("services", [])
        shelves = {(s, country): self._stock.get((s, country), 100) for s in services}
        if any(left < 1 for left in shelves.values()):
            raise Refused(409, "no_numbers")
        self._pay(_PRICE * len(services))
        self._stock |= {key: left - 1 for key, left in shelves.items()}
        return [self._sold(service, country) for service in services]

    def _sold(self, service: str, country: str) -> object:
        count = len(self._numbers) + 1
        number = _Number(f"n{count}", f"+9665000{count:05d}", service, country, self.now)
        self._numbers[number.id] = number
        return {
            "id": number.id,
            "number": number.number,
            "service": service,
            "country": country,
            "price": self._money(_PRICE),
            "expires_at": (self.now + _NUMBER_LIFE).isoformat(),
        }

    def _known(self, number_id: str) -> _Number:
        number = self._numbers.get(number_id)
        if number is None or number.released:
            raise Refused(404, "not_found")
        if self.now >= number.acquired_at + _NUMBER_LIFE:
            raise Refused(410, "expired")
        return number

    def _messages(self, number_id: str) -> list[dict[str, str]]:
        return self._known(number_id).messages

    def _release(self, number_id: str) -> object:
        number = self._known(number_id)
        if number.messages:
            raise Refused(409, "has_message")
        number.released = True
        self._credit += Money(_PRICE, self._credit.currency)
        return {"refund": self._money(_PRICE)}

    def _inbox(self, query: Mapping[str, str]) -> list[dict[str, str]]:
        first, count = int(query.get("offset", "0")), int(query.get("limit", "10"))
        every = [message for number in self._numbers.values() for message in number.messages]
        return every[first : first + count]

    def _send(self, body: Mapping[str, Any]) -> object:
        messages = body.get("messages", [])
        for message in messages:
            if not str(message["to"]).startswith("+"):
                raise Refused(400, "bad_recipient")
            if not message.get("text", "x"):
                raise Refused(400, "bad_text")
            if message.get("template", "welcome") not in _TEMPLATES:
                raise Refused(400, "bad_template")
        self._pay(Decimal("0.01") * len(messages))
        first, batch = len(self._outgoing) + 1, f"b{len(self._outgoing) + 1}"
        self._outgoing += [self._letter(message, batch) for message in messages]
        return {"ids": [f"m{first + place}" for place in range(len(messages))], "batch": batch}

    def _letter(self, message: Mapping[str, Any], batch: str) -> _Outgoing:
        at = message.get("at")
        due = self.now if at is None else max(self.now, datetime.fromisoformat(at))
        return _Outgoing(OutboxItem(to=message["to"], text=self._text(message)), due, batch)

    def _cancel(self, batch: str) -> object:
        waiting = [
            one
            for one in self._outgoing
            if one.batch == batch and one.due > self.now and not one.cancelled
        ]
        if not waiting:
            raise Refused(409, "not_scheduled")
        for one in waiting:
            one.cancelled = True
        return {"cancelled": batch}

    def _text(self, message: Mapping[str, Any]) -> str:
        if "template" not in message:
            return str(message.get("text", ""))
        return _TEMPLATES[message["template"]].format_map(message.get("values", {}))

    def _reports(self, request: Request) -> list[object]:
        asked = [value for name, value in parse_qsl(urlsplit(request.url).query) if name == "id"]
        sent = {f"m{number + 1}" for number in range(len(self._outgoing))}
        return [{"id": one, "state": "delivered"} for one in asked if one in sent]

    def _issue(self, body: Mapping[str, Any]) -> object:
        self._pay(Decimal("0.02"))
        length = int(body["length"])
        made = f"{len(self._outgoing) * 7 + 12:0{length}d}"[-length:]  # begins with zeros
        code = str(body["code"] or made)
        expires_at = self.now + timedelta(seconds=int(body["seconds"]))
        self._codes[body["to"]] = _Code(code, expires_at)
        item = OutboxItem(to=body["to"], text=f"Your code is {code}", code=code)
        self._outgoing.append(_Outgoing(item, self.now))
        return {"code": code, "expires_at": expires_at.isoformat()}

    def _verify(self, body: Mapping[str, Any]) -> object:
        known = self._codes.get(body["to"])
        right = known is not None and known.code == body["code"] and not known.used
        if known is None or not right or self.now >= known.expires_at:
            return {"accepted": False}
        known.used = True
        return {"accepted": True}

    # The back doors.

    def fund(self, amount: Money) -> None:
        """Set the account's credit."""
        self._credit = amount

    def balance(self) -> Money:
        """What the account's credit is."""
        return self._credit

    def stock(self, service: str, country: str, count: int) -> None:
        """Set how many numbers are left."""
        self._stock[service, country] = count

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        """Let a message come in for a rented number."""
        number = self._numbers[activation_id]
        count = f"i{len(number.messages) + 1}-{activation_id}"
        at = self.now.isoformat()
        number.messages.append({"id": count, "text": text, "sender": sender, "received_at": at})

    def advance(self, by: timedelta) -> None:
        """Let the emulator's own time pass."""
        self._ahead += by

    def outbox(self) -> Sequence[OutboxItem]:
        """What has gone to phones by now, oldest first; a scheduled message when it is due."""
        gone = [one for one in self._outgoing if one.due <= self.now and not one.cancelled]
        return tuple(one.item for one in sorted(gone, key=lambda one: one.due))

    def activations(self) -> Sequence[EmulatedActivation]:
        """Every number ever rented, oldest first."""
        return tuple(map(self._told, self._numbers.values()))

    def _told(self, number: _Number) -> EmulatedActivation:
        return EmulatedActivation(
            id=number.id,
            number=number.number,
            service=number.service,
            country=number.country,
            state="released" if number.released else "rented",
            acquired_at=number.acquired_at,
            messages=len(number.messages),
        )

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        """Answer the next request with `response`, after doing what it asks or instead of it."""
        self._failures.arrange(response, performed)


class MinimalEmulator(ReferenceEmulator):
    """As the reference's, for one that has no tokens: the key itself is shown."""

    def _let_in(self, request: Request) -> None:
        if request.header("Authorization") != f"Bearer {KEY}":
            raise Refused(401, "unauthorised")
