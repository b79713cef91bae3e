"""SMSAfzar's server in memory, written from its manual's pages alone.

Sources: https://www.smsafzar.com/api/manual/auth/token and the beginnings of the other pages of
that manual. They show requests, errors and, for the login alone, a success. Where they are silent
a comment says "not documented", and what may well be otherwise is a setting.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, ClassVar, Final, Literal, TypeAlias
from urllib.parse import unquote

import attrs

from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Failures, OutboxItem, utc_now
from qasid.values import Money

__all__ = ["SMSAfzarEmulator"]

_Json: TypeAlias = Any
_Reply: TypeAlias = tuple[int, _Json]

_MOST: Final = 100  # of everything that is counted in a request
_SECOND: Final = timedelta(seconds=1)
_LATEST_CANCEL: Final = timedelta(seconds=30)
_LINE: Final = "10001000"
_PRINTED_TOKEN: Final = "ltQZ6Yr3s-x5EZ2jg...."
_PRINTED_IDS: Final = (
    "e1d20dd8-a346-40e1-95c7-979312682c41",
    "955fe482-08ad-4b68-872c-037fe176a0b1",
)

_TEXTS: Final = {
    401: ".خطای احراز هویت رخ داده است",
    429: "تعداد درخواست های ارسالی بیش ار حد مجاز می باشد. "
    "[ حداکثر تعداد درخواست ها در هر ثانیه 5 عدد می باشد. ]",  # noqa: RUF001
    1001: ".مقادیر پارامترهای ارسالی معتبر نمی باشند",
    1004: ".مجوز دسترسی به سرویس برای حساب کاربری تعریف نشده است",
    1005: ".مجوز دسترسی به متد برای حساب کاربری تعریف نشده است",
    1006: ".آدرس آی پی جهت دسترسی به سرویس معتبر نمی باشد",
    1010: ".حساب کاربر غیر فعال می باشد",
    1011: ".حساب کاربر در تاریخ: 1403/01/01 منقضی شده است",
    1106: ".شناسه مجموعه پیام های ارسالی مورد نظر معتبر نمی باشد",
}
_SERVER_ERROR: Final = 1000011011
_SERVER_TEXT: Final = f"خطایی در سرور رخ داده است. | شناسه خطا : {_SERVER_ERROR}"
_TOO_MANY_IDS: Final = ".حداکثر تعداد شناسه های پیام 100 عدد می باشد"
_SHORT_NAME: Final = ".حداقل طول فیلد [ نام کاربری ] 6 کاراکتر می باشد"
_SHORT_PASSWORD: Final = ".حداقل طول فیلد [ کلمه عبور ] 8 کاراکتر می باشد"
# On the page of the inbox the full stop stands where a reader expects it.
_BAD_COUNT: Final = "فیلد [ تعداد ] می بایست یک عدد در بازه ی 1 الی 100 باشد."
_BAD_QUERY: Final = "مقادیر پارامترهای ارسالی معتبر نمی باشند."
_BAD_VALUE: Final = ".مقدار این فیلد معتبر نمی باشد"  # not documented
_NO_CREDIT: Final = ".اعتبار حساب کافی نمی باشد"  # not documented

_LOGIN: Final = "login"
_METHODS: Final = "methods"

#: Who may not do what: at the login, or at every other method. The names are the emulator's own.
_ACCOUNTS: Final[Mapping[str, tuple[str, int] | None]] = {
    "YourUserName": None,
    "NoService": (_LOGIN, 1004),
    "NoLoginMethod": (_LOGIN, 1005),
    "NoLoginAddress": (_LOGIN, 1006),
    "Inactive": (_LOGIN, 1010),
    "Expired": (_LOGIN, 1011),
    "LoginFails": (_LOGIN, _SERVER_ERROR),
    "NoMethod": (_METHODS, 1005),
    "NoAddress": (_METHODS, 1006),
    "MethodsFail": (_METHODS, _SERVER_ERROR),
}

_SCHEDULED: Final = ("messages", "send", "scheduled")
_SENDER: Final = re.compile(r"(?:\+98|0098|98)?[1-9][0-9]{3,13}")
_RECIPIENT: Final = re.compile(r"(?:0|\+98|0098|98)?(9[0-9]{9})")


@attrs.frozen
class _Refused(Exception):
    """Ends a request with an error of the document."""

    status: int
    body: _Json


def _error(status: int, code: int, text: str | None = None) -> _Refused:
    return _Refused(status, {"errorCode": code, "errorMessage": text or _TEXTS[code]})


def _invalid(fields: Mapping[str, str], text: str | None = None) -> _Refused:
    listed = [{"field": name, "errorMessage": words} for name, words in fields.items()]
    refused = _error(400, 1001, text)
    return _Refused(400, {**refused.body, "validationErrors": listed})


def _check(**fields: object) -> None:
    """Refuse, naming each field that is not right; names as the document's, `UserName`."""
    wrong = [name for name, right in fields.items() if not right]
    if wrong:
        raise _invalid(dict.fromkeys(wrong, _BAD_VALUE))


def _denied(code: int) -> _Refused:
    if code == _SERVER_ERROR:
        return _error(500, code, _SERVER_TEXT)
    return _error(403, code)


@attrs.frozen(kw_only=True)
class _Ticket:
    """What a token stands for."""

    username: str
    expires_at: datetime


@attrs.define(kw_only=True)
class _Sent:
    """A message that was taken, and goes at its moment."""

    id: str
    batch: str
    sender: str | None
    to: str
    text: str
    at: datetime
    scheduled: bool
    cancelled: bool = False

    def gone(self, now: datetime) -> bool:
        return self.at <= now and not self.cancelled


@attrs.frozen(kw_only=True)
class _Received:
    id: str
    sender: str
    to: str
    text: str
    at: datetime


@attrs.define
class _Window:
    """At most five requests in *any* second. Refused ones do not count (not documented)."""

    taken: deque[datetime] = attrs.field(factory=deque)

    def admits(self, now: datetime) -> bool:
        while self.taken and self.taken[0] + _SECOND <= now:
            self.taken.popleft()
        if len(self.taken) >= 5:
            return False
        self.taken.append(now)
        return True


@attrs.define(kw_only=True, eq=False)
class SMSAfzarEmulator:
    """The server of SMSAfzar (https://api.smsafzar.ir), for one panel with 1,250,000 rials.

    The login of the samples gets in. `_ACCOUNTS` lists user names, all with the same password and
    domain, that get each documented refusal.

    Settings. Documented as the account owner's choice: `token_lifetime`. Not documented:
    `retry_after`, the header of a 429 in seconds, if any; `price` of a message in rials and the
    code `credit_code` of a refusal for want of them; `refund_on_cancel`; `late_code`, that of a
    cancel within the last 30 seconds; `unit` and with it the amount of the balance; `templates` by
    id, a text with ``{name}`` for each parameter; `template_senders`, by id, for those that have
    their own; `states`, the codes of waiting, sent and delivered messages, and `delivery_delay`;
    `reading_empties`, whether an inbox message is told once alone; and `bodies`, what a success
    whose body is unknown looks like: ``"json"`` by analogy, or ``"empty"``.
    """

    settings: ClassVar[Mapping[str, str]] = {
        "username": "YourUserName",
        "password": "YourPassword",
        "domain": "sms.smsafzar",
        "sender": _LINE,
    }

    _clock: Clock = attrs.field(default=utc_now, alias="clock")
    token_lifetime: timedelta = timedelta(days=7)
    retry_after: int | None = None
    price: Decimal = Decimal(500)
    credit_code: int = 1101
    late_code: int = 1106
    refund_on_cancel: bool = True
    unit: Literal["ریال", "تومان"] = "ریال"
    templates: Mapping[str, str] = attrs.field(factory=lambda: {"TydSt1skQE": "{code} {price}"})
    template_senders: Mapping[str, str] = attrs.field(factory=dict)
    states: tuple[int, int, int] = (0, 1, 2)
    delivery_delay: timedelta = timedelta(seconds=5)
    reading_empties: bool = False
    bodies: Literal["json", "empty"] = "json"
    _ahead: timedelta = attrs.field(init=False, default=timedelta())
    _credit: Decimal = attrs.field(init=False, default=Decimal(1_250_000))
    _tickets: dict[str, _Ticket] = attrs.field(init=False, factory=dict)
    _sent: list[_Sent] = attrs.field(init=False, factory=list)
    _received: list[_Received] = attrs.field(init=False, factory=list)
    _made: int = attrs.field(init=False, default=0)
    _window: _Window = attrs.field(init=False, factory=_Window)
    _failures: Failures = attrs.field(init=False, factory=Failures)

    def _now(self) -> datetime:
        return self._clock() + self._ahead

    # The front: what the network sees.

    def handle(self, request: Request) -> Response:
        """Answer one request as the manual says: the limit first, then the token, then the rest."""
        response = self._failures.answer(request, self._answer)
        return attrs.evolve(response, received_at=self._now())

    def _answer(self, request: Request) -> Response:
        try:
            # The limit is documented of the login alone; whose it is, address or account, is not.
            if not self._window.admits(self._now()):
                raise _error(429, 429)
            return self._write(200, self._route(request))
        except _Refused as refused:
            return self._write(refused.status, refused.body)

    def _write(self, status: int, body: _Json) -> Response:
        wait = status == 429 and self.retry_after is not None
        headers = [("Retry-After", str(self.retry_after))] if wait else []
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        if content:
            headers.append(("Content-Type", "application/json; charset=utf-8"))
        return Response(status=status, headers=headers, body=content, received_at=self._now())

    def _route(self, request: Request) -> _Json:
        path = _path(request)
        verbs = _METHODS_OF.get((*path[:3], "*") if path[:3] == _SCHEDULED and path[3:] else path)
        if verbs is None or len(path) > 4:
            raise _Refused(404, None)  # not documented, as is the next one
        if request.method not in verbs:
            raise _Refused(405, None)
        if path != ("auth", "token"):
            self._let_in(request)
        return verbs[request.method](self, request)

    def _let_in(self, request: Request) -> None:
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        ticket = self._tickets.get(token) if scheme.lower() == "bearer" else None
        if ticket is None or self._now() >= ticket.expires_at:
            raise _error(401, 401)
        self._permit(ticket.username, _METHODS)

    def _permit(self, username: str, place: str) -> None:
        denial = _ACCOUNTS[username]
        if denial is not None and denial[0] == place:
            raise _denied(denial[1])

    def _token(self, request: Request) -> _Json:
        name, password, domain = _login(_body(request))
        wrong = (password, domain) != (self.settings["password"], self.settings["domain"])
        if name not in _ACCOUNTS or wrong:
            raise _error(401, 401)
        self._permit(name, _LOGIN)
        token = self._new_token()
        self._tickets[token] = _Ticket(username=name, expires_at=self._now() + self.token_lifetime)
        return {"token": token}  # whether older tokens stay good is not documented; they do

    def _new_token(self) -> str:
        """The printed one first. None looks like a JWT, although the manual calls it one."""
        if not self._tickets:
            return _PRINTED_TOKEN
        digest = blake2b(str(len(self._tickets)).encode(), digest_size=9).hexdigest()
        return f"{digest[:9]}-{digest[9:]}...."

    # Sending. The bodies of successes are not documented.

    def _send_one(self, request: Request) -> _Json:
        body = _body(request)
        _check(
            SenderNumber=_is_sender(body.get("senderNumber")),
            RecipientNumber=_is_recipient(body.get("recipientNumber")),
            Content=_is_text(body.get("content")),
            SendTimestamp=self._is_later(body),
        )
        letter = (body["senderNumber"], body["recipientNumber"], body["content"])
        return self._taken_one([letter], body)

    def _send_bulk(self, request: Request) -> _Json:
        body = _body(request)
        senders, recipients, contents = arrays = _arrays(body)
        _check(
            SenderNumbers=_is_list(senders, _is_sender),
            RecipientNumbers=_is_list(recipients, _is_recipient),
            Contents=_is_list(contents, _is_text),
            SendTimestamp=self._is_later(body),
        )
        longest = max(map(len, arrays))
        # Not documented, but the modes that the page lists are these.
        fits = {name: len(each) in {1, longest} for name, each in zip(_NAMES, arrays, strict=True)}
        _check(**fits)
        wide = [each * longest if len(each) == 1 else each for each in arrays]
        batch, ids = self._take(list(zip(*wide, strict=True)), body)
        return self._told({"batchId": batch, "sentMessageIdes": ids})

    def _send_template(self, request: Request) -> _Json:
        body = _body(request)
        template: Any = body.get("templateId")
        known = isinstance(template, str) and template in self.templates
        sender: Any = body.get("senderNumber", self.template_senders.get(template) if known else "")
        values = _values(body.get("parameters"))
        _check(
            SenderNumber=_is_sender(sender),
            RecipientNumber=_is_recipient(body.get("recipientNumber")),
            TemplateId=known,
            Parameters=values is not None,
            SendTimestamp=self._is_later(body),
        )
        text = _filled(self.templates[template], values or {})
        return self._taken_one([(sender, body["recipientNumber"], text)], body)

    def _is_later(self, body: Mapping[str, Any]) -> bool:
        return body.get("sendTimestamp") is None or self._moment(body) > self._now()

    def _moment(self, body: Mapping[str, Any]) -> datetime:
        """The moment that is asked for; one that cannot be is long ago, and so refused."""
        seconds = body.get("sendTimestamp")
        if seconds is None:
            return self._now()
        if not isinstance(seconds, int) or isinstance(seconds, bool):
            return datetime.min.replace(tzinfo=UTC)
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (OverflowError, ValueError, OSError):  # milliseconds: the year 58065
            return datetime.min.replace(tzinfo=UTC)

    def _taken_one(self, letters: list[tuple[str, str, str]], body: Mapping[str, Any]) -> _Json:
        batch, (name,) = self._take(letters, body)
        return self._told({"batchId": batch, "sentMessageId": name})

    def _take(
        self, letters: Sequence[tuple[str, str, str]], body: Mapping[str, Any]
    ) -> tuple[str, list[str]]:
        """Charge for the messages and note them. Gives the id of their batch, and theirs."""
        if self._credit < self.price * len(letters):
            raise _error(400, self.credit_code, _NO_CREDIT)
        self._credit -= self.price * len(letters)
        at, batch = self._moment(body), self._guid()
        taken = [
            _Sent(
                id=self._guid(),
                batch=batch,
                sender=sender,
                to=_mobile(to),
                text=text,
                at=at,
                scheduled=body.get("sendTimestamp") is not None,
            )
            for sender, to, text in letters
        ]
        self._sent += taken
        return batch, [one.id for one in taken]

    def _told(self, body: _Json) -> _Json:
        return body if self.bodies == "json" else None

    def _guid(self) -> str:
        self._made += 1
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://api.smsafzar.ir/{self._made}"))

    def _cancel(self, request: Request) -> _Json:
        batch_id = _path(request)[-1]
        batch = [one for one in self._sent if one.batch == batch_id and one.scheduled]
        if not batch or batch[0].cancelled or batch[0].at <= self._now():
            raise _error(400, 1106)
        if batch[0].at - self._now() < _LATEST_CANCEL:
            raise _error(400, self.late_code, _TEXTS.get(self.late_code, _BAD_VALUE))
        for one in batch:
            one.cancelled = True
        if self.refund_on_cancel:
            self._credit += self.price * len(batch)
        return self._told({})

    # Reports.

    def _status(self, request: Request) -> _Json:
        ids: Any = _body(request).get("sentMessageIdes")
        _check(SentMessageIdes=_is_list(ids, lambda one: isinstance(one, str), most=None))
        if len(ids) > _MOST:
            raise _error(400, 1001, _TOO_MANY_IDS)  # without `validationErrors`
        found = {one.id: self._state(one) for one in self._sent}
        found |= dict.fromkeys(_PRINTED_IDS, self.states[2])
        # Not documented: neither the members nor what comes of an unknown id.
        return [{"sentMessageId": one, "status": found[one]} for one in ids if one in found]

    def _state(self, one: _Sent) -> int:
        waiting, sent, delivered = self.states
        if not one.gone(self._now()):
            return waiting
        return delivered if one.at + self.delivery_delay <= self._now() else sent

    def _recent(self, request: Request) -> _Json:
        count = request.params().get("count", "")
        if not (re.fullmatch("[0-9]{1,3}", count) and 1 <= int(count) <= _MOST):
            raise _invalid({"count": _BAD_COUNT}, _BAD_QUERY)
        newest = self._received[::-1][: int(count)]
        if self.reading_empties:
            self._received = self._received[: -len(newest)]
        return [_inbox_item(one) for one in newest]

    def _tell_balance(self, request: Request) -> _Json:
        amount = self._credit if self.unit == "ریال" else self._credit / 10
        # Not documented: the members' names. The amount is a JSON number, whole ones exactly.
        number = int(amount) if amount == int(amount) else float(amount)
        return {"balance": number, "unit": self.unit}

    # The back doors.

    def fund(self, amount: Money) -> None:
        """Set the account's credit, in IRR. Raises ValueError for another currency."""
        if amount.currency != "IRR":
            raise ValueError("the credit is in IRR")
        self._credit = amount.amount

    def balance(self) -> Money:
        """What the account's credit is, in IRR whatever `unit` is."""
        return Money(self._credit, "IRR")

    def stock(self, service: str, country: str, count: int) -> None:
        """Do nothing: SMSAfzar rents no numbers."""

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        """Let a message come in for the account's line, which is 10001000.

        Raises KeyError for another line.
        """
        if activation_id != _LINE:
            raise KeyError(activation_id)
        message = _Received(
            id=self._guid(), sender=sender, to=activation_id, text=text, at=self._now()
        )
        self._received.append(message)

    def advance(self, by: timedelta) -> None:
        """Let the emulator's own time pass."""
        self._ahead += by

    def outbox(self) -> Sequence[OutboxItem]:
        """What has gone to phones, oldest first; what is scheduled goes at its moment."""
        gone = [one for one in self._sent if one.gone(self._now())]
        return tuple(
            OutboxItem(to=one.to, text=one.text, sender=one.sender)
            for one in sorted(gone, key=lambda one: one.at)
        )

    def activations(self) -> Sequence[EmulatedActivation]:
        """Always empty: SMSAfzar rents no numbers."""
        return ()

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        """Answer the next request with `response`, after doing what it asks or instead of it."""
        self._failures.arrange(response, performed)


_METHODS_OF: Final[
    Mapping[tuple[str, ...], Mapping[str, Callable[[SMSAfzarEmulator, Request], _Json]]]
] = {
    ("auth", "token"): {"POST": SMSAfzarEmulator._token},
    ("messages", "send"): {"POST": SMSAfzarEmulator._send_one},
    ("messages", "send", "bulk"): {"POST": SMSAfzarEmulator._send_bulk},
    ("messages", "send", "template"): {"POST": SMSAfzarEmulator._send_template},
    (*_SCHEDULED, "*"): {"DELETE": SMSAfzarEmulator._cancel},
    ("messages", "status"): {"POST": SMSAfzarEmulator._status},
    ("messages", "received", "recent"): {"GET": SMSAfzarEmulator._recent},
    ("account", "balance"): {"GET": SMSAfzarEmulator._tell_balance},
}

_NAMES: Final = ("SenderNumbers", "RecipientNumbers", "Contents")


# Reading requests.


def _path(request: Request) -> tuple[str, ...]:
    # Split first, decode after: an encoded slash stays inside its segment.
    return tuple(unquote(part) for part in request.path.split("/")[1:])


def _body(request: Request) -> Mapping[str, Any]:
    """The members of a JSON body; the manual knows no other kind, and such a one has none."""
    kind = (request.header("Content-Type") or "").lower()
    return request.payload() if kind.startswith("application/json") else {}


def _login(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """User name, password and domain. Too short ones are refused before anybody looks them up."""
    name, password, domain = (body.get(key) for key in ("userName", "password", "domain"))
    wrong = {}
    if not isinstance(name, str) or len(name) < 6:
        wrong["UserName"] = _SHORT_NAME
    if not isinstance(password, str) or len(password) < 8:
        wrong["Password"] = _SHORT_PASSWORD
    if not isinstance(domain, str) or not domain:
        wrong["Domain"] = _BAD_VALUE  # not documented
    if wrong:
        raise _invalid(wrong)
    return str(name), str(password), str(domain)


def _arrays(body: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return body.get("senderNumbers"), body.get("recipientNumbers"), body.get("contents")


def _is_sender(value: object) -> bool:
    return isinstance(value, str) and _SENDER.fullmatch(value) is not None


def _is_recipient(value: object) -> bool:
    return isinstance(value, str) and _RECIPIENT.fullmatch(value) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_list(value: object, right: Callable[[object], bool], most: int | None = _MOST) -> bool:
    """Whether it is a list of right ones, at least one of them and `most` at most."""
    if not isinstance(value, list) or not value:
        return False
    return (most is None or len(value) <= most) and all(map(right, value))


def _values(parameters: object) -> dict[str, str] | None:
    """The parameters of a template by name, or None where they are not what they should be."""
    items = parameters if isinstance(parameters, list) else [None]
    return dict(map(_pair, items)) if all(map(_is_parameter, items)) else None


def _is_parameter(item: object) -> bool:
    name, value = _pair(item) if isinstance(item, dict) else (None, None)
    return isinstance(name, str) and isinstance(value, str) and len(value) <= _MOST


def _pair(item: Any) -> tuple[Any, Any]:
    return item.get("name"), item.get("value")


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The template's text. A parameter that is not given is a logical error (not documented)."""
    names = re.findall(r"\{(\w+)\}", template)
    _check(Parameters=set(names) <= set(values))
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)


def _mobile(number: str) -> str:
    found = _RECIPIENT.fullmatch(number)
    return f"+98{found[1]}" if found else number


def _inbox_item(one: _Received) -> _Json:
    """One message of the inbox. Not documented: all of its members."""
    return {
        "receivedMessageId": one.id,
        "senderNumber": one.sender,
        "recipientNumber": one.to,
        "content": one.text,
        "receivedTimestamp": int(one.at.timestamp()),
    }
