"""MyOnlineSim's server in memory, written from its documentation page alone.

Source: https://myonlinesim.com/documents as it was for OAuth2 (Persian; its samples are of
2020-05-02). Where the page is silent a comment says "not documented", and what may well be
otherwise is a setting. Exact statuses are not documented but for 200: "20X" is yes and "40X" no.
The page's later edition, with paths under /api/v1, is another API and is not served.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, Literal, TypeAlias
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import attrs

from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Failures, OutboxItem, utc_now
from qasid.values import Money

__all__ = ["MyOnlineSimEmulator"]

_Reply: TypeAlias = tuple[int, Any]

_TEHRAN: Final = ZoneInfo("Asia/Tehran")
_PACE: Final = timedelta(seconds=20)
_BLOCK: Final = timedelta(seconds=60)
_LIFE: Final = timedelta(minutes=15)
_ACCESS_LIFE: Final = timedelta(days=90)  # "three months"
_REFRESH_LIFE: Final = timedelta(days=3 * 365)  # "three years"
_CODE_LIFE: Final = timedelta(minutes=10)  # not documented; the most that OAuth recommends
_DAILY: Final = 50
_MOST_SERVICES: Final = 5

_JSON: Final = "application/json; charset=utf-8"
_HTML: Final = "text/html; charset=UTF-8"
_OWNER: Final = "+989120000000"  # the phone of the account's owner

#: A number that another account rents.
_FOREIGN: Final = "1000001"

# The three that are printed, and 60 of the sample number, whose name and price are not documented.
_COUNTRIES: Final = {
    "11": ("قرقیزستان", 38000, 83),
    "10": ("ویتنام", 44000, 4209),
    "7": ("مالزی", 46000, 4110),
    "60": ("کشور ۶۰", 50000, 100),
}
_SERVICES: Final = ("tg", "ig", "tw")
_NEW_PRICE: Final = 50000  # of a country that `stock` adds

# The printed beginnings of numbers, else ones that nobody can have.
_PREFIXES: Final = {"60": "178075", "0": "483075"}
_NO_COUNTRY: Final = "99900"

# Each refusal as printed, but for its text ("APPROPRIATE MESSAGE"), with a status of our choice.
_NO_STOCK: Final = (
    400,
    {"ok": False, "status": "try_again_later", "error": {}, "message": "فعلا شماره‌ای موجود نیست."},
)


def _no(status: int, word: str, message: str, ok: bool | str = False) -> _Reply:
    return status, {"ok": ok, "status": word, "message": message}


_NO_CREDIT: Final = _no(400, "not_enough_credit", "اعتبار شما کافی نیست.")
_NO_MESSAGE: Final = _no(400, "no_message", "هنوز پیامی دریافت نشده است.", "false")
_SMS_EXPIRED: Final = _no(400, "expired", "این شماره منقضی شده است.", "false")
_SMS_NOT_FOUND: Final = _no(404, "number_not_found", "شماره پیدا نشد.", "false")
_CANNOT_BAN: Final = _no(403, "you cannot ban this number", "اجازه حذف این شماره را ندارید.")
_BAN_EXPIRED: Final = _no(400, "expired", "این شماره منقضی شده است.")
_BAN_NOT_FOUND: Final = _no(404, "not_found", "شماره پیدا نشد.")
_DELETED: Final = 200, {"ok": True, "status": "deleted", "message": "شماره حذف شد."}
# Not documented at all.
_INVALID: Final = _no(400, "error", "مقادیر ارسالی نامعتبر است.")
_ACCOUNT_BLOCKED: Final = _no(403, "account_blocked", "حساب کاربری شما مسدود شده است.")
_TOO_FAST: Final = {"message": "Too Many Attempts."}
_NOTICE: Final = "حساب کاربری شما مسدود شد. با پشتیبانی تماس بگیرید."


def _oauth(status: int, error: str, description: str) -> _Reply:
    # Not documented: the form of RFC 6749, section 5.2, and the `message` of the site's framework.
    return status, {"error": error, "error_description": description, "message": description}


def _text(value: object) -> str:
    """A member as text; a number of JSON is one too."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else ""


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _base36(value: int) -> str:
    value, digit = divmod(value, 36)
    return (_base36(value) if value else "") + "0123456789abcdefghijklmnopqrstuvwxyz"[digit]


def _record_id(count: int) -> str:
    """Seven characters; the first two are the printed pmbk5ez and pmbk5et, 6 apart."""
    return _base36((int("pmbk5ez", 36) - 6 * count) % 36**7)


def _wants_json(request: Request) -> bool:
    accepted = (request.header("Accept") or "").lower()
    return "/json" in accepted or "+json" in accepted


# The printed samples, which are no JSON: a comma after "ok", dots behind it all, no brackets.


def _raw(body: Any) -> str:
    if isinstance(body, list):
        return _raw_list(body)
    return f"{_raw_number(body)} ..." if "number_id" in body else _plain(body)


def _raw_list(items: list[Any]) -> str:
    if any("ok" in item for item in items):
        return f"[ {', '.join(map(_raw_number, items))}, ] ..."
    return ", ".join([*(f"{{ {_plain(item)[1:-1]} }}" for item in items), "..."])


def _raw_number(item: Mapping[str, Any]) -> str:
    text = _plain(item).removesuffix("}")
    return text.replace('"ok": true', '"ok",true', 1) + " }"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@attrs.define
class _Authority:
    """The OAuth2 server: its codes and tokens, each with the moment at which it ends."""

    codes: dict[str, datetime]
    refresh: dict[str, datetime]
    access: dict[str, datetime]
    made: int = 1

    @classmethod
    def beginning(cls, now: datetime) -> _Authority:
        """The tokens of the samples are there; their code, once, for as long as they live."""
        late = now + _REFRESH_LIFE
        return cls(
            {"AUTH_CODE": late}, {"REFRESH_TOKEN": late}, {"ACCESS_TOKEN": now + _ACCESS_LIFE}
        )

    def code(self, now: datetime) -> str:
        self.made += 1
        self.codes[f"AUTH_CODE_{self.made}"] = now + _CODE_LIFE
        return f"AUTH_CODE_{self.made}"

    def tokens(self, now: datetime) -> tuple[str, str]:
        """A new pair, of which the refresh token is not valid before it is kept."""
        self.made += 1
        self.access[f"ACCESS_TOKEN_{self.made}"] = now + _ACCESS_LIFE
        return f"ACCESS_TOKEN_{self.made}", f"REFRESH_TOKEN_{self.made}"


@attrs.define(kw_only=True)
class _Number:
    id: str
    record: str
    phone: str
    country: str
    service: str
    price: int
    acquired_at: datetime
    callback: str
    messages: list[str] = attrs.field(factory=list)
    deleted: bool = False

    def state(self, now: datetime) -> str:
        if self.deleted:
            return "deleted"
        if self.messages:
            return "received"
        return "expired" if now >= self.acquired_at + _LIFE else "waiting"

    def shown(self) -> dict[str, Any]:
        at = _moment(self.acquired_at)
        return {
            "ok": True,
            "id": self.record,
            "number": self.phone,
            "number_id": self.id,
            "country": self.country,
            "service": self.service,
            "created_at": at,
            "updated_at": at,
            "status": "received",  # as printed: the number is there, and no message
            "is_expired": False,
        }


@attrs.define
class _Pace:
    """One look for messages in 20 seconds for the account; else it is blocked for a minute.

    That it is for the account, and not for each number, is not documented; it is the stricter one.
    """

    last: datetime | None = None
    until: datetime | None = None

    def blocked(self, now: datetime) -> bool:
        return self.until is not None and now < self.until

    def looks(self, now: datetime) -> None:
        if self.last is not None and now < self.last + _PACE:
            self.until = now + _BLOCK
        else:
            self.last = now

    def left(self, now: datetime) -> int:
        """Whole seconds of the block, rounded up."""
        return -(-(self.until - now) // timedelta(seconds=1)) if self.until else 0


@attrs.define(kw_only=True, eq=False)
class MyOnlineSimEmulator:
    """The server of MyOnlineSim (https://myonlinesim.com), for one account with 1,000,000 rials.

    Settings, most of them for what is not documented: the client's registered `callback`, and
    whether its owner `approves`; `refresh_mode`: a refresh token stays as it is (`same`), is
    `rotated`, or stays and is `absent` from the answer; whether a renewal ends the older access
    tokens; whether a ban pays back; whether of several messages the first is kept; what an order
    for several services gives where some fail (`each` its own item, those that went well and `omit`
    the rest, or `none` at all), and which of them stray into another country, as one of the printed
    sample does; whether prices for several services add up; the status of a block for
    looking too often, whether it has `Retry-After`, and whether it holds for all calls; the status
    of invalid values; how a webhook is encoded; and whether replies are the printed samples
    (invalid JSON). Number 1000001 belongs to another account.
    """

    settings: ClassVar[Mapping[str, str]] = {
        "client_id": "CLIENT_ID",
        "client_secret": "CLIENT_SECRET",
        "refresh_token": "REFRESH_TOKEN",
    }
    offer: ClassVar[tuple[str, str]] = ("tg", "60")  # of the printed sample

    _clock: Clock = attrs.field(default=utc_now, alias="clock")
    callback: str = "http://127.0.0.1:8765/callback"
    approves: bool = True
    refresh_mode: Literal["same", "rotated", "absent"] = "same"
    revoke_on_refresh: bool = False
    refund_on_ban: bool = True
    keep_first_message: bool = False
    multiple_failure: Literal["each", "omit", "none"] = "each"
    strays: Mapping[str, str] = attrs.field(factory=dict)
    prices_add_up: bool = False
    block_status: int = 429
    block_retry_after: bool = True
    block_everything: bool = True
    invalid_status: int = 400
    webhook_encoding: Literal["json", "form"] = "json"
    raw_samples: bool = False
    _ahead: timedelta = attrs.field(init=False, default=timedelta())
    _credit: int = attrs.field(init=False, default=1_000_000)
    _stock: dict[tuple[str, str], int] = attrs.field(init=False)
    _numbers: dict[str, _Number] = attrs.field(init=False, factory=dict)
    _authority: _Authority = attrs.field(init=False)
    _pace: _Pace = attrs.field(init=False, factory=_Pace)
    _blocked: bool = attrs.field(init=False, default=False)
    _outbox: list[OutboxItem] = attrs.field(init=False, factory=list)
    _webhooks: list[Request] = attrs.field(init=False, factory=list)
    _failures: Failures = attrs.field(init=False, factory=Failures)

    @_stock.default
    def _full_shelves(self) -> dict[tuple[str, str], int]:
        return {(s, c): left for c, (_, _, left) in _COUNTRIES.items() for s in _SERVICES}

    @_authority.default
    def _first_tokens(self) -> _Authority:
        return _Authority.beginning(self._clock())

    def _now(self) -> datetime:
        return self._clock() + self._ahead

    # The front: what the network sees.

    def handle(self, request: Request) -> Response:
        """Answer one request as the page says."""
        response = self._failures.answer(request, self._answer)
        return attrs.evolve(response, received_at=self._now())

    def _answer(self, request: Request) -> Response:
        route = request.path
        pages = {
            "/oauth/authorize": ("GET", self._authorize),
            "/oauth/token": ("POST", self._token),
            "/login": ("GET", self._login_page),
        }
        calls: dict[str, Callable[[Mapping[str, Any]], _Reply]] = {
            "/api/user/credit": self._credit_of,
            "/api/number/prices": self._prices,
            "/api/number/prices_for_multiple_services": self._prices_for_several,
            "/api/number/get": self._get,
            "/api/number/multiple_services": self._get_several,
            "/api/number/sms": self._sms,
            "/api/number/ban": self._ban,
        }
        if route not in {*pages, *calls}:
            return self._write((404, {"message": "Not Found."}))  # not documented
        method, page = pages.get(route, ("POST", None))
        if request.method != method:
            said = f"The {request.method} method is not supported for this route."
            return self._write((405, {"message": said}), [("Allow", method)])  # not documented
        return page(request) if page else self._call(request, calls[route])

    def _write(self, reply: _Reply, headers: Sequence[tuple[str, str]] = ()) -> Response:
        status, body = reply
        text = _raw(body) if self.raw_samples else _plain(body)
        return Response(
            status=status,
            headers=(("Content-Type", _JSON), *headers),
            body=text.encode(),
            received_at=self._now(),
        )

    def _redirect(self, location: str) -> Response:
        headers = {"Location": location, "Content-Type": _HTML}
        return Response(status=302, headers=headers, received_at=self._now())

    # OAuth2.

    def _authorize(self, request: Request) -> Response:
        """The owner's browser comes by; a `redirect_uri` is not looked at, as none is known of."""
        query = request.params()
        if query.get("client_id") != self.settings["client_id"]:
            return self._write(_oauth(401, "invalid_client", "Client authentication failed"))
        if query.get("response_type") != "code":
            return self._write(_oauth(400, "unsupported_grant_type", "The type is not supported."))
        code = {"code": self._authority.code(self._now())} if self.approves else {}
        given = code or {"error": "access_denied"}
        given |= {"state": query["state"]} if "state" in query else {}
        mark = "&" if "?" in self.callback else "?"
        return self._redirect(f"{self.callback}{mark}{urlencode(given)}")

    def _token(self, request: Request) -> Response:
        form = request.payload()
        # Not documented: no answer with tokens in it may be cached (RFC 6749, section 5.1).
        headers = [("Cache-Control", "no-store"), ("Pragma", "no-cache")]
        return self._write(self._granted({key: _text(form[key]) for key in form}), headers)

    def _granted(self, form: Mapping[str, str]) -> _Reply:
        grants = {"authorization_code": self._by_code, "refresh_token": self._by_refresh_token}
        kind = form.get("grant_type", "")
        if not all(form.get(key) for key in ("grant_type", "client_id", "client_secret")):
            return _oauth(400, "invalid_request", "The request is missing a required parameter.")
        if kind not in grants:
            return _oauth(400, "unsupported_grant_type", "The grant type is not supported.")
        if any(form[key] != self.settings[key] for key in ("client_id", "client_secret")):
            return _oauth(401, "invalid_client", "Client authentication failed")
        needed = "code" if kind == "authorization_code" else "refresh_token"
        if not form.get(needed):
            return _oauth(400, "invalid_request", f"The parameter {needed} is missing.")
        return grants[kind](form[needed])

    def _by_code(self, code: str) -> _Reply:
        now = self._now()
        if self._authority.codes.pop(code, now) <= now:
            return _oauth(400, "invalid_grant", "The authorization code is invalid.")
        access, refresh = self._authority.tokens(now)
        self._authority.refresh[refresh] = now + _REFRESH_LIFE
        return self._tokens(access, refresh)

    def _by_refresh_token(self, old: str) -> _Reply:
        now, authority = self._now(), self._authority
        if authority.refresh.get(old, now) <= now:
            return _oauth(400, "invalid_grant", "The refresh token is invalid.")
        if self.revoke_on_refresh:
            authority.access.clear()
        access, new = authority.tokens(now)
        if self.refresh_mode != "rotated":
            return self._tokens(access, old if self.refresh_mode == "same" else None)
        del authority.refresh[old]
        authority.refresh[new] = now + _REFRESH_LIFE
        return self._tokens(access, new)

    def _tokens(self, access: str, refresh: str | None) -> _Reply:
        # Only `expires_in` is documented by name; the others are those of RFC 6749.
        seconds = int(_ACCESS_LIFE.total_seconds())
        body: dict[str, Any] = {"token_type": "Bearer", "expires_in": seconds}
        body["access_token"] = access
        return 200, body | ({} if refresh is None else {"refresh_token": refresh})

    def _login_page(self, request: Request) -> Response:
        page = "<!DOCTYPE html><html><body>ورود</body></html>".encode()
        headers = {"Content-Type": _HTML}
        return Response(status=200, headers=headers, body=page, received_at=self._now())

    # The API: first the token, then the account, then the pace.

    def _call(self, request: Request, call: Callable[[Mapping[str, Any]], _Reply]) -> Response:
        now = self._now()
        if not self._is_let_in(request):
            return self._unauthenticated(request)
        if self._blocked:
            return self._write(_ACCOUNT_BLOCKED)
        looking = call == self._sms
        if looking and not self._pace.blocked(now):
            self._pace.looks(now)
        if self._pace.blocked(now) and (looking or self.block_everything):
            wait = [("Retry-After", str(self._pace.left(now)))] if self.block_retry_after else []
            return self._write((self.block_status, _TOO_FAST), wait)
        return self._write(call(request.payload()))

    def _is_let_in(self, request: Request) -> bool:
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        ends = self._authority.access.get(token)
        return scheme.lower() == "bearer" and ends is not None and self._now() < ends

    def _unauthenticated(self, request: Request) -> Response:
        # Not documented, but the way of the framework whose OAuth paths these are.
        if _wants_json(request):
            return self._write((401, {"message": "Unauthenticated."}))
        return self._redirect(f"{request.origin}/login")

    def _invalid(self) -> _Reply:
        return self.invalid_status, _INVALID[1]

    def _credit_of(self, form: Mapping[str, Any]) -> _Reply:
        return 200, {"ok": True, "credit": self._credit, "status": "credit"}

    def _prices(self, form: Mapping[str, Any]) -> _Reply:
        service = _text(form.get("service_code"))
        return (200, self._listed([service])) if service else self._invalid()

    def _prices_for_several(self, form: Mapping[str, Any]) -> _Reply:
        services = _services(form)
        return (200, self._listed(services)) if services else self._invalid()

    def _listed(self, services: Sequence[str]) -> list[dict[str, Any]]:
        """Countries that have them all, as many as of the rarest. An unknown one: no country."""
        countries = dict.fromkeys(country for _, country in self._stock)
        times = len(services) if self.prices_add_up else 1
        return [
            {
                "name": _name(country),
                "code": country,
                "count": min(self._stock[service, country] for service in services),
                "price": _price(country) * times,
            }
            for country in countries
            if all((service, country) in self._stock for service in services)
        ]

    def _get(self, form: Mapping[str, Any]) -> _Reply:
        service, country = _text(form.get("service_code")), _text(form.get("country_code"))
        if not (service and country):
            return self._invalid()
        return self._sold(service, country, _text(form.get("callback")))

    def _get_several(self, form: Mapping[str, Any]) -> _Reply:
        services, country = _services(form), _text(form.get("country"))
        if not (services and country):
            return self._invalid()
        if self.multiple_failure == "none":
            refused = self._refused_together(services, country)
            if refused:
                return refused
        callback = _text(form.get("callback"))
        replies = [self._sold(service, country, callback) for service in services]
        sold = [body for status, body in replies if status == 200]
        if not sold:
            return replies[0]
        return 200, sold if self.multiple_failure == "omit" else [body for _, body in replies]

    def _refused_together(self, services: Sequence[str], country: str) -> _Reply | None:
        if any(self._stock.get((service, country), 0) < 1 for service in services):
            return _NO_STOCK
        return _NO_CREDIT if self._credit < _price(country) * len(services) else None

    def _sold(self, service: str, country: str, callback: str) -> _Reply:
        """A number, or why not. An unknown service or country has no stock (not documented)."""
        if self._stock.get((service, country), 0) < 1:
            return _NO_STOCK
        if self._credit < _price(country):
            return _NO_CREDIT
        self._stock[service, country] -= 1
        self._credit -= _price(country)
        number = self._new_number(service, country, callback)
        self._watch_the_day()
        return 200, number.shown()

    def _new_number(self, service: str, country: str, callback: str) -> _Number:
        count, place = len(self._numbers), self.strays.get(service, country)
        number = _Number(
            # A step without a common divisor meets each of 900,000 ids once.
            id=str(100_000 + (382_913 + count * 7919) % 900_000),
            record=_record_id(count),
            phone=f"{_PREFIXES.get(place, _NO_COUNTRY)}{count + 1:04d}",
            country=place,
            service=service,
            price=_price(country),
            acquired_at=self._now(),
            callback=callback,
        )
        self._numbers[number.id] = number
        return number

    def _watch_the_day(self) -> None:
        """More than 50 numbers in a day, none of them with a message: the account is blocked.

        The form of the block, and that the day is Tehran's, is not documented.
        """
        today = self._now().astimezone(_TEHRAN).date()
        taken = [
            number
            for number in self._numbers.values()
            if number.acquired_at.astimezone(_TEHRAN).date() == today
        ]
        if len(taken) > _DAILY and not any(number.messages for number in taken):
            self._blocked = True
            self._outbox.append(OutboxItem(to=_OWNER, text=_NOTICE))

    def _sms(self, form: Mapping[str, Any]) -> _Reply:
        asked = [_text(form.get(key)) for key in ("service_code", "country_code", "number_id")]
        if not all(asked):
            return self._invalid()
        number = self._numbers.get(asked[2])
        # That service and country must be those of the number is not documented.
        if number is None or [number.service, number.country, number.id] != asked:
            return _SMS_NOT_FOUND
        replies: dict[str, _Reply] = {
            "waiting": _NO_MESSAGE,
            "expired": _SMS_EXPIRED,
            "deleted": _SMS_NOT_FOUND,
        }
        return replies.get(number.state(self._now())) or (200, self._message(number))

    def _message(self, number: _Number) -> dict[str, Any]:
        text = number.messages[0 if self.keep_first_message else -1]
        return {"ok": True, "status": "received", "sms": text}

    def _ban(self, form: Mapping[str, Any]) -> _Reply:
        service, name = _text(form.get("service_code")), _text(form.get("number_id"))
        if not (service and name) or form.get("is_ban") not in ("0", "1", 0, 1):
            return self._invalid()
        number = self._numbers.get(name)
        if number is None or number.service != service:
            return _CANNOT_BAN if name == _FOREIGN else _BAN_NOT_FOUND
        replies: dict[str, _Reply] = {
            "received": _CANNOT_BAN,
            "expired": _BAN_EXPIRED,
            "deleted": _BAN_NOT_FOUND,
        }
        return replies.get(number.state(self._now())) or self._banned(number)

    def _banned(self, number: _Number) -> _Reply:
        number.deleted = True
        if self.refund_on_ban:
            self._credit += number.price
        return _DELETED

    # The back doors.

    def fund(self, amount: Money) -> None:
        """Set the account's credit. Raises ValueError for anything but whole rials (IRR)."""
        if amount.currency != "IRR" or amount.amount != int(amount.amount):
            raise ValueError("the credit is in whole rials, such as '1000000 IRR'")
        self._credit = int(amount.amount)

    def balance(self) -> Money:
        """What the account's credit is."""
        return Money(self._credit, "IRR")

    def stock(self, service: str, country: str, count: int) -> None:
        """Set how many numbers are left. What is not there is added, at 50,000 rials."""
        self._stock[service, country] = count

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        """Let a message come in. Nobody is told its sender; a number that is over gets nothing.

        Raises KeyError for an unknown activation.
        """
        number, now = self._numbers[activation_id], self._now()
        if number.deleted or now >= number.acquired_at + _LIFE:
            return
        number.messages.append(text)
        if number.callback:
            self._webhooks.append(self._post(number.callback, text))

    def _post(self, callback: str, text: str) -> Request:
        body = {"ok": True, "status": "received", "sms": text}
        if self.webhook_encoding == "json":
            return Request(method="POST", url=callback, json=body)
        return Request(method="POST", url=callback, form=body | {"ok": "1"})  # as PHP writes true

    def webhooks(self) -> Sequence[Request]:
        """What would have been posted to the `callback` addresses of orders, oldest first."""
        return tuple(self._webhooks)

    def unblock(self) -> None:
        """Do what the provider's support does after a call: open the account again."""
        self._blocked = False

    def advance(self, by: timedelta) -> None:
        """Let the emulator's own time pass."""
        self._ahead += by

    def outbox(self) -> Sequence[OutboxItem]:
        """The notices to the account's owner that it was blocked. Nothing else is ever sent."""
        return tuple(self._outbox)

    def activations(self) -> Sequence[EmulatedActivation]:
        """Every number ever rented, oldest first, as waiting, received, expired or deleted."""
        return tuple(self._booked())

    def _booked(self) -> Iterator[EmulatedActivation]:
        for number in self._numbers.values():
            yield EmulatedActivation(
                id=number.id,
                number=number.phone,
                service=number.service,
                country=number.country,
                state=number.state(self._now()),
                acquired_at=number.acquired_at,
                messages=len(number.messages),
            )

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        """Answer the next request with `response`, after doing what it asks or instead of it."""
        self._failures.arrange(response, performed)


def _name(country: str) -> str:
    return _COUNTRIES[country][0] if country in _COUNTRIES else f"کشور {country}"


def _price(country: str) -> int:
    return _COUNTRIES[country][1] if country in _COUNTRIES else _NEW_PRICE


def _services(form: Mapping[str, Any]) -> list[str]:
    """One to five codes with commas between; else none."""
    services = _text(form.get("services")).split(",")
    return services if all(services) and len(services) <= _MOST_SERVICES else []
