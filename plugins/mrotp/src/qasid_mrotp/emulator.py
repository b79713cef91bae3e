"""MrOTP's server in memory, written from its help page alone.

Source: https://www.mrotp.ir/USSD-OTP-help (Persian). Where the page is silent a comment says "not
documented", and what may well be otherwise is a setting. It is silent on HTTP: every answer here
has status 200, unless there is no such function.

What it starts with, so that a client in any language can meet every answer of the page:

===============================  ==================================================================
key ``your api Key``             the account, with 329,263,930 rial; other keys are those of `KEYS`
template 1                       the page's, of three values; 2 has two; 3 is not approved; 4 is
                                 broken
``09120000014``                  has switched messages with codes off: -14
``09120000022``                  the operators are silent about it: -22 for SMS, -23 for VOICE
===============================  ==================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Failures, OutboxItem, utc_now
from qasid.values import Money, TemplateMessage

__all__ = ["KEYS", "MrOTPEmulator"]

_Reply: TypeAlias = dict[str, Any]

_BASE: Final = "/api/OTP/v1"
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_TYPES: Final = frozenset({"SMS", "USSD", "VOICE"})
_DAY: Final = 1440  # minutes
_MOST_VALUES: Final = 10
_LONGEST_VALUE: Final = 15
_OFF, _ON = "11", "12"  # what a user texts to switch messages off and on

_MOBILE: Final = re.compile(r"09[0-9]{9}")
_INTEGER: Final = re.compile(r"[0-9]{1,18}")
_PLACE: Final = re.compile(r"\{([0-9]+)\}")
_LINK: Final = re.compile(r"https?:|ftp:|www\.", re.IGNORECASE)
_DOMAIN: Final = re.compile(r"[\w-]\.(?:com|ir|net|org)\b", re.IGNORECASE)
_QUOTED_USSD: Final = re.compile(r'("USSD": )"([*0-9]+#)"')

#: Other accounts, each with the error that it gets for whatever it asks.
KEYS: Final[Mapping[str, int]] = {
    "key of a disabled service": -6,
    "key in an unknown error": -10,
    "key of another address": -11,
    "key that cannot be authenticated": -13,
    "key during an outage": -20,
}

_MESSAGES: Final[Mapping[int, str]] = {
    -1: "API Key نامعتبر.",
    -2: "شماره موبایل نامعتبر.",
    -3: "OTP نامعتبر.",
    -4: "زمان اعتبار کد نامعتبر.",
    -6: "سرویس OTP برای شما غیر فعال شده است.",
    -7: "موجودي حساب کافي نيست. کاربري خود را در سايت mrotp.ir شارژ نمائيد.",
    -10: "خطای نامشخص.",
    -11: "IP سیستم یا سروری که با آن توابع را فراخوانی میکنید با IP معرفی شده در پنل مغایرت دارد.",
    -12: "OTP ارسالی شما به دلیل مغایرت شماره موبایل، عدم وجود در سیستم و یا گذشتن از زمان اعتبار "
    "آن تایید نشد.",
    -13: "مشکل در احراز هویت اکانت شما.",
    -14: "کاربر قبلا با ارسال 11 به سرشماره ارسال OTP دريافت پيامک از اين سرشماره را غير فعال کرده "
    "است. با ارسال مجدد 12 به همان سرشماره امکان ارسال مجددا فعال خواهد شد.",
    -15: "کد معرف ارسال شده (ReferralId) معتبر نيست",
    -16: "خطا در طول کاراکترهاي OTP",
    -17: "خطا در بازیابی کد پترن در ارسال پیامک با قالب آماده",
    -18: "خطا در متن قالب آماده و یا پارامترهای ارسالی",
    -19: "قالب آماده توسط مدیر تایید نشده است.",
    -20: "سرويس موقتا قطع ميباشد.",
    -21: "خطا در طول یکی از پارامترهای ارسالی به تابع ارسال پترن",
    -22: "پاسخی از اپراتور پیامک دریافت نشد.",
    -23: "پاسخی از اپراتور پیامک صوتی دریافت نشد.",
    -24: "در پارامترهای ارسالی لینک وجود دارد.",
}


class _Refused(Exception):
    """An error of the page's table."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _check(holds: object, code: int) -> None:
    if not holds:
        raise _Refused(code)


def _error(code: int) -> _Reply:
    return {"code": code, "message": _MESSAGES[code]}


def _integer(fields: Mapping[str, str], name: str, code: int) -> int:
    """The field as a number: zeros in front are lost here, as the page says Integer."""
    text = fields.get(name, "")
    _check(_INTEGER.fullmatch(text), code)
    return int(text)


def _otp(fields: Mapping[str, str]) -> int:
    """A code to register, with as many digits as are left of it."""
    number = _integer(fields, "OTP", -3)
    _check(3 <= len(str(number)) <= 8, -16)
    return number


def _asked(fields: Mapping[str, str]) -> int:
    """A code to verify. One that was made may begin with zeros, so all of its digits count."""
    number = _integer(fields, "OTP", -3)
    _check(3 <= len(fields["OTP"]) <= 8, -16)
    return number


def _mobile(fields: Mapping[str, str]) -> str:
    mobile = fields.get("mobile", "")
    _check(_MOBILE.fullmatch(mobile), -2)
    return mobile


@attrs.frozen(kw_only=True)
class _Code:
    number: int
    expires_at: datetime
    shown: str = attrs.field(repr=False)
    by_ussd: bool = False


@attrs.frozen(kw_only=True)
class _Template:
    text: str
    approved: bool = True

    @property
    def places(self) -> int:
        """How many values it takes. The numbers begin with 0 and leave none out, or it is -18."""
        numbers = {int(number) for number in _PLACE.findall(self.text)}
        _check(numbers == {*range(len(numbers))} and len(numbers) <= _MOST_VALUES, -18)
        return len(numbers)

    def filled(self, values: Sequence[str]) -> str:
        return _PLACE.sub(lambda place: values[int(place[1])], self.text)


def _templates() -> dict[int, _Template]:
    return {
        1: _Template(text="{0} {1} گرامي سفارش شما با کد پيگيري {2} تحويل اداره پست گرديد."),
        2: _Template(text="{0} {1} گرامي خوش آمديد."),
        3: _Template(text="{0}", approved=False),
        4: _Template(text="{0} {2}"),
    }


@attrs.define(kw_only=True)
class MrOTPEmulator:
    """Answers as MrOTP, for one account with 329,263,930 rial.

    Settings, all of them for what is not documented: `price` of each code and message, in rial;
    the `type` that a request without one means; whether a code can be used once only, and whether
    an older one is still good; whether a code that is made may begin with 0; whether a bare domain
    in a value is a link; whether `USSD` is in the answers for SMS and VOICE too; and whether a
    message goes although its operator is silent. With `raw_ussd` that member is as in the printed
    samples, without quotes (invalid JSON).
    """

    settings: ClassVar[Mapping[str, str]] = {"api_key": "your api Key"}
    #: What the contract sends: template 1, as there are no plain texts.
    sample_message: ClassVar[TemplateMessage] = TemplateMessage(
        to="+989121112233", template="1", values={"0": "علي", "1": "محمدي", "2": "1315"}
    )

    _clock: Clock = attrs.field(default=utc_now, alias="clock")
    price: int = 1_000
    ussd: str = "*500*1234567#"
    default_type: str = "USSD"  # the samples send none, and the service began as USSD
    single_use: bool = False  # the page asks no more than that the code is there and not too old
    keep_older: bool = False
    leading_zeros: bool = True
    domains_are_links: bool = True
    ussd_always: bool = True
    silent_is_sent: bool = True
    raw_ussd: bool = False
    _ahead: timedelta = attrs.field(init=False, default=timedelta())
    _credit: Money = attrs.field(init=False, default=Money(329_263_930, "IRR"))
    _templates: dict[int, _Template] = attrs.field(init=False, factory=_templates)
    _off: set[str] = attrs.field(init=False, factory=lambda: {"09120000014"})
    _unheard: set[str] = attrs.field(init=False, factory=lambda: {"09120000022"})
    _codes: dict[str, list[_Code]] = attrs.field(init=False, factory=dict)
    _sent: list[OutboxItem] = attrs.field(init=False, factory=list)
    # The numbers of the printed answers: the first of each function.
    _serials: dict[str, int] = attrs.field(
        init=False,
        factory=lambda: {
            "setOTP": 10236,
            "setRandomOTP": 101,
            "verifyOTP": 1315,
            "sendPatternSMS": 1315,
        },
    )
    _made: int = attrs.field(init=False, default=0)
    _failures: Failures = attrs.field(init=False, factory=Failures)

    def _now(self) -> datetime:
        return self._clock() + self._ahead

    # The front: what the network sees.

    def handle(self, request: Request) -> Response:
        """Answer one request: first the key, then what is asked. Status 200, come what may."""
        response = self._failures.answer(request, self._answer)
        return attrs.evolve(response, received_at=self._now())

    def _answer(self, request: Request) -> Response:
        # Under another address, such as that of a port, the functions stand at the root as well.
        name = request.path.removeprefix(_BASE).removeprefix("/")
        act = _FUNCTIONS.get(name)
        if act is None:  # not documented
            return Response(status=404, received_at=self._now())
        fields = _fields(request)
        try:
            self._admit(fields)
            reply = act(self, fields)
        except _Refused as refused:
            reply = _error(refused.code)
        if name == "verifyOTP" and "accept" not in reply:
            reply = {"code": reply["code"], "accept": "NO", "message": reply["message"]}
        return self._write(reply)

    def _admit(self, fields: Mapping[str, str]) -> None:
        key = fields.get("apiKey", "")
        if key in KEYS:
            raise _Refused(KEYS[key])
        _check(key == self.settings["api_key"], -1)

    def _write(self, reply: _Reply) -> Response:
        text = json.dumps(reply, ensure_ascii=False, indent=0)
        if self.raw_ussd:
            text = _QUOTED_USSD.sub(r"\1\2", text)
        headers = {"Content-Type": "application/json; charset=utf-8"}  # not documented
        return Response(status=200, headers=headers, body=text.encode(), received_at=self._now())

    # The six functions. The order of their checks is not documented.

    def _set(self, fields: Mapping[str, str]) -> _Reply:
        mobile, number = _mobile(fields), _otp(fields)
        minutes = self._register(fields, mobile, number, str(number))
        return self._registered("setOTP", fields, mobile, number, minutes)

    def _set_random(self, fields: Mapping[str, str]) -> _Reply:
        mobile, length = _mobile(fields), _integer(fields, "length", -16)
        _check(3 <= length <= 8, -16)
        digits = self._make(length)
        minutes = self._register(fields, mobile, int(digits), digits)
        self._made += 1
        return self._registered("setRandomOTP", fields, mobile, int(digits), minutes)

    def _verify(self, fields: Mapping[str, str]) -> _Reply:
        mobile, number, now = _mobile(fields), _asked(fields), self._now()
        known = self._codes.get(mobile, [])
        found = [code for code in known if code.number == number and now < code.expires_at]
        code, accept, message = -12, "NO", _MESSAGES[-12]
        if found:
            code, accept = self._next("verifyOTP"), "YES"
            message = f"OTP({number}) Successfully verify for mobile number {mobile}."
        if self.single_use:
            self._codes[mobile] = [code for code in known if code not in found]
        return {"code": code, "OTP": number, "mobile": mobile, "accept": accept, "message": message}

    def _send(self, fields: Mapping[str, str]) -> _Reply:
        mobile = _mobile(fields)
        template = self._templates.get(_integer(fields, "patternId", -17))
        if template is None:
            raise _Refused(-17)
        text = self._fill(template, fields.get("params", ""))
        self._dispatch("SMS", OutboxItem(to=mobile, text=text), fields)
        return {"code": self._next("sendPatternSMS"), "message": "SMS pattern sent Successfully."}

    def _tell_credit(self, fields: Mapping[str, str]) -> _Reply:
        credit = f"{self._credit.amount:f}"
        message = f"موجودي حساب شما {credit} ريال ميباشد."
        return {"code": 1, "credit": credit, "message": message}

    def _tell_ussd(self, fields: Mapping[str, str]) -> _Reply:
        return {"USSD": self.ussd}

    # What they have in common.

    def _make(self, length: int) -> str:
        """A code. The first one of five digits is the printed 53398; of six it is 053398."""
        digits = f"{53398 + self._made * 2_654_435_761:0{length}d}"[-length:]
        return digits if self.leading_zeros else f"{digits[0].replace('0', '7')}{digits[1:]}"

    def _register(self, fields: Mapping[str, str], mobile: str, number: int, shown: str) -> int:
        """Keep the code, and let it go by the channel that is asked for. Gives its minutes."""
        minutes = _integer(fields, "validTime", -4)
        _check(1 <= minutes <= _DAY, -4)
        kind = self._type(fields)
        item = OutboxItem(to=mobile, text=f"کد شما: {shown}", code=shown)  # text: not documented
        code = _Code(
            number=number,
            expires_at=self._now() + timedelta(minutes=minutes),
            shown=shown,
            by_ussd=kind == "USSD",
        )
        self._dispatch(kind, item, fields, code)
        return minutes

    def _type(self, fields: Mapping[str, str]) -> str:
        kind = fields.get("type", self.default_type)
        _check(kind in _TYPES, -10)  # not documented: the table has no error for it
        return kind

    def _dispatch(
        self, kind: str, item: OutboxItem, fields: Mapping[str, str], code: _Code | None = None
    ) -> None:
        """Charge, and send unless it waits to be dialled for; or say why not."""
        _check("ReferralId" not in fields, -15)  # which ones are valid is not documented
        _check(self.price <= self._credit.amount, -7)
        # It is the sender of codes that a user switches off; templates have another one.
        _check(kind != "SMS" or code is None or item.to not in self._off, -14)
        heard = kind == "USSD" or item.to not in self._unheard
        if heard or self.silent_is_sent:
            self._credit -= Money(self.price, "IRR")
            self._sent += [] if kind == "USSD" else [item]
            self._keep(item.to, code)
        _check(heard, -23 if kind == "VOICE" else -22)

    def _keep(self, mobile: str, code: _Code | None) -> None:
        if code is not None:
            older = self._codes.get(mobile, []) if self.keep_older else []
            self._codes[mobile] = [*older, code]

    def _registered(
        self, function: str, fields: Mapping[str, str], mobile: str, number: int, minutes: int
    ) -> _Reply:
        """The printed answer, in its order. The grammar of "1 minutes" is the page's."""
        made = {"OTP": number} if function == "setRandomOTP" else {}
        told = self.ussd_always or self._type(fields) == "USSD"
        message = (
            f"OTP({number}) Successfully registered for mobile number {mobile} "
            f"for {minutes} minutes."
        )
        dial = {"USSD": self.ussd} if told else {}
        return {"code": self._next(function), **made, **dial, "message": message}

    def _fill(self, template: _Template, params: str) -> str:
        values = params.split(";") if params else []
        _check(template.approved, -19)
        _check(len(values) == template.places, -18)
        _check(all(len(value) <= _LONGEST_VALUE for value in values), -21)
        _check(not any(self._is_link(value) for value in values), -24)
        return template.filled(values)

    def _is_link(self, value: str) -> bool:
        found = _LINK.search(value) or (self.domains_are_links and _DOMAIN.search(value))
        return bool(found)

    def _next(self, function: str) -> int:
        number = self._serials[function]
        self._serials[function] += 1
        return number

    # The back doors.

    def fund(self, amount: Money) -> None:
        """Set the account's credit. Raises ValueError for another currency, or part of a rial."""
        if amount.currency != "IRR" or amount.amount != int(amount.amount):
            raise ValueError("MrOTP counts in whole rials (IRR)")
        self._credit = Money(Decimal(int(amount.amount)), "IRR")

    def balance(self) -> Money:
        """What the account's credit is."""
        return self._credit

    def stock(self, service: str, country: str, count: int) -> None:
        """Nothing: MrOTP rents no numbers."""

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        """Raises KeyError: MrOTP rents no numbers."""
        raise KeyError(activation_id)

    def advance(self, by: timedelta) -> None:
        """Let the emulator's own time pass."""
        self._ahead += by

    def outbox(self) -> Sequence[OutboxItem]:
        """What went to phones, oldest first. A code that waits to be dialled for is not there."""
        return tuple(self._sent)

    def activations(self) -> Sequence[EmulatedActivation]:
        """Always empty: MrOTP rents no numbers."""
        return ()

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        """Answer the next request with `response`, after doing what it asks or instead of it."""
        self._failures.arrange(response, performed)

    def dial(self, mobile: str, ussd: str) -> str | None:
        """The code that a phone (09…) shows when its user dials, or None where it shows none."""
        now = self._now()
        codes = [c for c in self._codes.get(mobile, []) if c.by_ussd and now < c.expires_at]
        return codes[-1].shown if codes and ussd == self.ussd else None

    def text_in(self, mobile: str, text: str) -> None:
        """Let a user (09…) text 11 to switch messages off, or 12 to switch them on again."""
        if text == _OFF:
            self._off.add(mobile)
        elif text == _ON:
            self._off.discard(mobile)

    def template(self, number: int, text: str, *, approved: bool = True) -> None:
        """Write a template into the panel."""
        self._templates[number] = _Template(text=text, approved=approved)


def _fields(request: Request) -> Mapping[str, str]:
    """The body's, of a POST in one of the two encodings that PHP reads; else there are none."""
    kind = (request.header("Content-Type") or "").split(";")[0].strip().lower()
    return request.payload() if request.method == "POST" and kind in _FORMS else {}


_FUNCTIONS: Final[Mapping[str, Callable[[MrOTPEmulator, Mapping[str, str]], _Reply]]] = {
    "setOTP": MrOTPEmulator._set,
    "setRandomOTP": MrOTPEmulator._set_random,
    "verifyOTP": MrOTPEmulator._verify,
    "sendPatternSMS": MrOTPEmulator._send,
    "getCredit": MrOTPEmulator._tell_credit,
    "getUSSD": MrOTPEmulator._tell_ussd,
}
