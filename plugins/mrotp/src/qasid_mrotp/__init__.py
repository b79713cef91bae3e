"""MrOTP: one-time passwords by SMS, USSD or voice, and template messages.

API         https://my.mrotp.ir/api/OTP/v1, ``POST`` with a form, answered in JSON
Auth        the key in each form, as ``apiKey``; the panel can bind it to one address
Money       rial (IRR), told as text
Limits      none told; codes of 3 to 8 digits that live 1 to 1,440 whole minutes
Numbers     Iranian mobiles
Not there   plain texts, batches, schedules, senders, delivery reports, webhooks

Facts are those of the provider's public document, read on 2026-11-21. What that document does not
say is marked *[not documented]* at its line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from qasid import errors
from qasid.effects import Flow, Request, Response
from qasid.fields import base_url, secret
from qasid.hookspecs import hookimpl
from qasid.phone import iranian_mobile
from qasid.reading import filled, retry_after, take
from qasid.values import (
    Money,
    OtpOrder,
    OtpTicket,
    OtpVerdict,
    ProviderInfo,
    Receipt,
    Source,
    Support,
    TemplateMessage,
    TextMessage,
)
from qasid_mrotp.tables import REFUSALS

__all__ = ["MrOTP"]

_Fields: TypeAlias = Mapping[str, str | int]

_NONE: Final[_Fields] = {}
_CHANNELS: Final = ("SMS", "USSD", "VOICE")
_MINUTE: Final = timedelta(minutes=1)
_LONGEST: Final = 1440  # minutes, a day
_DIGITS: Final = range(3, 8 + 1)

_MOST_VALUES: Final = 10  # {0} to {9}; the document's "0 to 10" would be eleven
_LONGEST_VALUE: Final = 15
_LINK: Final = re.compile(r"\w://|\bwww\.", re.IGNORECASE)

# Above these a `code` is a success. `getCredit` shows 1, and `getUSSD` has none.
_REGISTERED: Final = 100
_SENT: Final = 1000
_TOLD: Final = 1

# What is said of the code itself. [not documented] Whether -16 comes here; a user types anything.
_WRONG: Final = frozenset({-3, -12, -16})

_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_AMOUNT: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,10})?")
# As printed: "USSD": *500*1234567#. No JSON value begins with an asterisk, so JSON never fits.
_BARE_USSD: Final = re.compile(rb'"USSD"\s*:\s*(\*[0-9*]+#)')


def _known(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or value.upper() not in _CHANNELS:
        raise ValueError("must be sms, ussd or voice")


@attrs.frozen(eq=False, kw_only=True)
class MrOTP:
    """Send one-time passwords and template messages by MrOTP, and verify the passwords.

    `api_key` comes from the panel. `channel` is how a password travels where its order does not
    say: `sms`, `voice`, or `ussd`, with which nothing is sent and the user dials `OtpTicket.dial`.
    """

    info: ClassVar = ProviderInfo(
        title="MrOTP",
        contract="1.0",
        homepage="https://mrotp.ir",
        support={
            "balance": Support.full(),
            "send": Support.partial("the panel's templates only, at once, with no sender chosen"),
            "otp": Support.partial("3 to 8 digits; a code of one's own does not begin with 0"),
            "verify_otp": Support.full(),
        },
        sources=(Source("MrOTP web service", "https://www.mrotp.ir/USSD-OTP-help", "2026-11-21"),),
    )

    api_key: str = secret()
    base_url: str = base_url("https://my.mrotp.ir/api/OTP/v1")
    channel: str = attrs.field(default="sms", validator=_known)

    @hookimpl
    def balance(self) -> Flow[Money]:
        """Tell the account's credit in rial. It is not charged for."""
        response = yield self._request("getCredit", safe=True)
        body = _answered(response)
        if _whole(body, "code") != _TOLD:
            raise _unclear(body, response)
        return _rials(body, "credit")

    @hookimpl
    def send(self, messages: Sequence[TextMessage | TemplateMessage]) -> Flow[Sequence[Receipt]]:
        """Send a template by its number, now. Its values are named `0`, `1` and so on, up to `9`.

        A value has up to 15 characters, no ``;``, and no link. The receipt's id is the tracking
        code; there is no call that asks for the delivery.
        """
        (message,) = messages  # `info.max_batch` is 1
        template = _sayable(message)
        fields = {
            "mobile": iranian_mobile(template.to),
            "patternId": _pattern(template.template),
            "params": ";".join(_ordered(template.values)),
        }
        response = yield self._request("sendPatternSMS", fields)
        body = _success(response, above=_SENT)
        return [Receipt(to=template.to, id=str(_whole(body, "code")))]

    @hookimpl
    def otp(self, order: OtpOrder) -> Flow[OtpTicket]:
        """Send a code, or with `ussd` let it be dialled for.

        Minutes that have begun count whole: 90 seconds are two minutes, and `expires_at` says so.
        `dial` is told for `ussd` alone; it is None where MrOTP does not tell it even when asked.
        """
        mobile, channel = iranian_mobile(order.to), self._channel(order)
        minutes, (function, wanted) = _minutes(order.lifetime), _wanted(order)
        fields = {"mobile": mobile, **wanted, "validTime": minutes, "type": channel}
        response = yield self._request(function, fields)
        body = _success(response, above=_REGISTERED)
        return OtpTicket(
            to=order.to,
            expires_at=response.received_at + minutes * _MINUTE,
            code=order.code or _digits(body, order.length),
            dial=(yield from self._dial(body)) if channel == "USSD" else None,
        )

    @hookimpl
    def verify_otp(self, to: str, code: str) -> Flow[OtpVerdict]:
        """Tell whether the code is right. A wrong one and an old one are not told apart.

        MrOTP compares numbers, so zeros in front of a code do not count. What is no number of 3 to
        8 digits is wrong without asking. Whether a code can be used twice, and how often one may
        try, is *[not documented]*: count the attempts yourself.
        """
        mobile = iranian_mobile(to)
        if not (code.isascii() and code.isdigit() and len(code) in _DIGITS):
            return OtpVerdict(accepted=False, reason="not a number of 3 to 8 digits")
        response = yield self._request("verifyOTP", {"mobile": mobile, "OTP": code})
        body = _answered(response, _WRONG)
        if _whole(body, "code") in _WRONG:
            return OtpVerdict(accepted=False, reason="wrong, of another number, or too old")
        return OtpVerdict(accepted=_accepted(body))

    def _request(self, function: str, fields: _Fields = _NONE, *, safe: bool = False) -> Request:
        form = {"apiKey": self.api_key, **fields}
        return Request(method="POST", url=f"{self.base_url}/{function}", form=form, safe=safe)

    def _channel(self, order: OtpOrder) -> str:
        # The document's samples leave `type` out, its table does not: it is always sent.
        channel = (order.channel or self.channel).upper()
        if channel not in _CHANNELS:
            raise errors.InvalidRequest("channel: MrOTP has sms, ussd and voice; choose one")
        return channel

    def _dial(self, body: object) -> Flow[str | None]:
        told = take(body, "USSD", str, "")
        if told:
            return told
        try:
            response = yield self._request("getUSSD", safe=True)
            return filled(_answered(response), "USSD")
        except errors.ProviderError:
            return None  # the code is registered and paid for: its ticket must not be lost


# What cannot be said to this API is refused before the wire.


def _wanted(order: OtpOrder) -> tuple[str, _Fields]:
    """The function that registers such a code, and its own field."""
    if order.code is None:
        if order.length not in _DIGITS:
            raise errors.InvalidRequest("length: MrOTP makes codes of 3 to 8 digits")
        return "setRandomOTP", {"length": order.length}
    if len(order.code) not in _DIGITS or order.code.startswith("0"):
        # A number: 0123 would be registered as 123.
        raise errors.InvalidRequest(
            "code: MrOTP takes 3 to 8 digits of which the first is not 0; choose another"
        )
    return "setOTP", {"OTP": order.code}


def _minutes(lifetime: timedelta) -> int:
    minutes = -(-lifetime // _MINUTE)
    if minutes > _LONGEST:
        raise errors.InvalidRequest("lifetime: MrOTP's codes live up to 1,440 minutes")
    return minutes


def _sayable(message: TextMessage | TemplateMessage) -> TemplateMessage:
    if not isinstance(message, TemplateMessage):
        raise errors.InvalidRequest("text: MrOTP sends templates only; pass a TemplateMessage")
    if message.sender is not None:
        raise errors.InvalidRequest("sender: MrOTP chooses it; leave it out")
    if message.send_at is not None:
        raise errors.InvalidRequest("send_at: MrOTP has no schedules; leave it out")
    return message


def _pattern(template: str) -> str:
    if not (template.isascii() and template.isdigit()):
        raise errors.TemplateRejected("template: MrOTP numbers its templates; see the panel")
    return template


def _ordered(values: Mapping[str, str]) -> list[str]:
    """The values in the order of their numbers."""
    if len(values) > _MOST_VALUES:
        raise errors.TemplateRejected("values: MrOTP's templates take up to 10")
    names = [str(number) for number in range(len(values))]
    if {*names} != {*values}:
        raise errors.TemplateRejected("values: MrOTP numbers them; name them 0, 1 and so on")
    for name in names:
        _check_value(name, values[name])
    return [values[name] for name in names]


def _check_value(name: str, value: str) -> None:
    problem = None
    if not value:  # [not documented] What a template makes of nothing.
        problem = "is empty; use a template without it"
    elif len(value) > _LONGEST_VALUE:  # [not documented] Whether an emoji is one character.
        problem = "has more than 15 characters; shorten it"
    elif ";" in value:
        problem = "holds a ';', which parts the values; take it out"
    elif _LINK.search(value):
        problem = "holds a link; put it into the template"
    if problem:
        raise errors.TemplateRejected(f"values: {{{name}}} {problem}")


# How it says no: by a negative `code`, whatever the status.


def _answered(response: Response, about: frozenset[int] = frozenset()) -> Any:
    """The reply's body. Raises its refusal, unless that is one of those it is asked about."""
    if response.status == 429:  # [not documented] As are all statuses.
        wait = retry_after(response)
        raise errors.RateLimited("MrOTP answered 429", retry_after=wait, response=response)
    if response.status >= 500:
        raise errors.ProviderUnavailable(f"MrOTP answered {response.status}", response=response)
    body = _body(response)
    code = _code(body)
    if code is not None and code < 0 and code not in about:
        raise _refusal(code, response)
    if not response.ok and code not in about:
        kind = _BY_STATUS.get(response.status, _by_hundred(response.status))
        raise kind(f"MrOTP answered {response.status}", response=response)
    return body


_BY_STATUS: Final[Mapping[int, type[errors.ProviderError]]] = {
    401: errors.AuthenticationFailed,
    403: errors.PermissionDenied,
}


def _by_hundred(status: int) -> type[errors.ProviderError]:
    return errors.InvalidRequest if status >= 400 else errors.ProtocolError


def _refusal(code: int, response: Response) -> errors.ProviderError:
    # [not documented] A code that is not in the table: nobody knows what became of the act.
    kind, why = REFUSALS.get(code, (errors.ProtocolError, "which its document does not explain"))
    return kind(f"MrOTP answered {code}: {why}", code=str(code), response=response)


def _unclear(body: object, response: Response) -> errors.ProtocolError:
    code = _code(body)
    return errors.ProtocolError(
        f"MrOTP answered {code}, which is neither a success nor a refusal",
        code=str(code),
        response=response,
    )


# How its answers are read.


def _body(response: Response) -> Any:
    """The body as JSON, its USSD code quoted where need be; an error need not have any."""
    mended = _BARE_USSD.sub(rb'"USSD": "\1"', response.body)
    try:
        return attrs.evolve(response, body=mended).json()
    except errors.ProtocolError:
        if response.ok:
            raise
        return {}


def _success(response: Response, *, above: int) -> Any:
    """The body of a success, whose `code` is above that."""
    body = _answered(response)
    if _whole(body, "code") <= above:
        raise _unclear(body, response)
    return body


def _code(body: object) -> int | None:
    try:
        return _whole(body, "code")
    except errors.ProtocolError:
        return None


def _whole(body: object, key: str) -> int:
    """A whole number, as such or as text: clients of MrOTP have seen both."""
    text = body.get(key) if isinstance(body, Mapping) else None
    if isinstance(text, str) and _WHOLE.fullmatch(text):
        return int(text)
    return take(body, key, int)


def _digits(body: object, length: int) -> str:
    """The code that was made. It is a number, so the zeros in front are lost and put back."""
    digits = str(_whole(body, "OTP")).zfill(length)
    if not digits.isdigit() or len(digits) > length:
        raise errors.ProtocolError("'OTP' is no code of the length that was asked for")
    return digits


def _accepted(body: object) -> bool:
    match take(body, "accept", str):
        case "YES":
            return True
        case "NO":
            return False
    raise errors.ProtocolError("'accept' is neither YES nor NO")


def _rials(body: object, key: str) -> Money:
    amount = take(body, key, str)
    if not _AMOUNT.fullmatch(amount):
        raise errors.ProtocolError(f"{key!r} is no amount")
    return Money(amount, "IRR")
