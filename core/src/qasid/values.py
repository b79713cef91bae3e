"""The values that cross Qasid's border: frozen, with units, currencies and time zones in them.

Moments are aware `datetime`s in UTC, durations `timedelta`s, numbers E.164 where Qasid makes them.
What must not be seen (message texts, codes, tokens) has no place in any `repr`.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Self

import attrs

from qasid.errors import Outcome, ProtocolError, ProviderError
from qasid.reading import moment, take

__all__ = [
    "Acquired",
    "Activation",
    "Cancelled",
    "Credential",
    "DeliveryReport",
    "DeliveryState",
    "InboundMessage",
    "InboxQuery",
    "Limit",
    "Money",
    "NumberOrder",
    "Offer",
    "OtpOrder",
    "OtpTicket",
    "OtpVerdict",
    "ProviderInfo",
    "Receipt",
    "ReleaseReason",
    "Released",
    "Source",
    "Support",
    "SupportLevel",
    "TemplateMessage",
    "TextMessage",
    "UnusedCap",
]


_INEXACT: Final = (float, bool)
_CURRENCY: Final = re.compile("[A-Z]{3}")


def _exact(value: Decimal | int | str) -> Decimal:
    if isinstance(value, _INEXACT):
        raise TypeError(f"an amount is a Decimal, an int or a text, never a {type(value).__name__}")
    try:
        amount = Decimal(value)
    except (InvalidOperation, ValueError, TypeError):
        raise ValueError("an amount is a decimal number such as '0.50'") from None
    if not amount.is_finite():
        raise ValueError("an amount is a finite number")
    return amount


def _currency(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not (isinstance(value, str) and _CURRENCY.fullmatch(value)):
        raise ValueError("a currency is three capital letters of ISO 4217, such as 'IRR' or 'USD'")


def _utc(instance: object, attribute: attrs.Attribute[Any], value: datetime | None) -> None:
    if value is not None and value.utcoffset() != timedelta(0):
        raise ValueError(f"{attribute.name} must be an aware datetime in UTC")


@attrs.frozen(order=False)
class Money:
    """An exact amount of one currency (ISO 4217). A rial (IRR) is never a toman."""

    amount: Decimal = attrs.field(converter=_exact)
    currency: str = attrs.field(validator=_currency)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"5.00 USD"``. Raises ValueError."""
        amount, _, currency = text.strip().partition(" ")
        return cls(amount, currency.strip())

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def _other(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up or compare")
        return other.amount

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._other(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._other(other), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._other(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._other(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._other(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._other(other)


# What a provider says of itself.


class SupportLevel(enum.Enum):
    """How far a provider supports one hook."""

    FULL = "full"
    PARTIAL = "partial"
    UNSUPPORTED = "unsupported"
    NOT_IMPLEMENTED = "not implemented"


@attrs.frozen
class Support:
    """How far a provider supports one hook, and for `partial` what is missing.

    *Unsupported*: it cannot be said to the provider's API. *Not implemented*: it could be.
    """

    level: SupportLevel
    note: str = ""

    @classmethod
    def full(cls) -> Self:
        """Everything that the hook specification asks for."""
        return cls(SupportLevel.FULL)

    @classmethod
    def partial(cls, note: str) -> Self:
        """Implemented, but for what `note` says."""
        return cls(SupportLevel.PARTIAL, note)

    @classmethod
    def unsupported(cls) -> Self:
        """The provider's API has no such call."""
        return cls(SupportLevel.UNSUPPORTED)

    @classmethod
    def not_implemented(cls, note: str) -> Self:
        """The provider's API has it, this plugin does not."""
        return cls(SupportLevel.NOT_IMPLEMENTED, note)

    @property
    def implemented(self) -> bool:
        """Whether the hook can be called."""
        return self.level in {SupportLevel.FULL, SupportLevel.PARTIAL}


def _several(given: str | Iterable[str]) -> tuple[str, ...]:
    """One text is one thing, and not as many as it has letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def _hook_names(given: str | Iterable[str]) -> frozenset[str]:
    return frozenset(_several(given))


@attrs.frozen(kw_only=True)
class Limit:
    """At most `requests` in any `period`, for the hooks named, or for all of them together.

    `burst` requests may follow each other at once; then the rest of the allowance is spread evenly.
    The default, a tenth of `requests`, leaves at least nine tenths for the steady flow.
    """

    requests: int = attrs.field(validator=attrs.validators.ge(1))
    period: timedelta = attrs.field(validator=attrs.validators.gt(timedelta(0)))
    hooks: frozenset[str] = attrs.field(default=frozenset(), converter=_hook_names)
    burst: int = attrs.field(
        default=attrs.Factory(lambda self: max(1, self.requests // 10), takes_self=True)
    )

    @burst.validator
    def _fits(self, attribute: attrs.Attribute[int], value: int) -> None:
        if not 1 <= value <= self.requests:
            raise ValueError("burst is between 1 and requests")

    def applies_to(self, hook: str) -> bool:
        """Whether requests of that hook count."""
        return not self.hooks or hook in self.hooks


@attrs.frozen(kw_only=True)
class UnusedCap:
    """At most `numbers` are rented in a day of `zone` while none of that day has had a message.

    For providers that block an account which takes many numbers and uses none. `zone` is a name of
    the IANA database, such as ``Asia/Tehran``.
    """

    numbers: int = attrs.field(validator=attrs.validators.ge(1))
    zone: str


@attrs.frozen
class Source:
    """Where a provider's facts come from: a document, and the date on which it was read."""

    title: str
    address: str
    read_on: str


def _support_table(given: Mapping[str, Support]) -> Mapping[str, Support]:
    return dict(given)


@attrs.frozen(kw_only=True)
class ProviderInfo:
    """What a provider says of itself, readable without an account or a network.

    `contract` is the contract version it was made for (`"1.0"`). `support` names every hook that is
    not plainly unsupported. `poll_interval` is how long to wait between two looks for a message.
    `max_batch` is how many messages one `send` request may hold. `activation_lifetime` is how long
    a rented number lives where the provider's answers do not tell. `unused_cap` is what the core
    refuses to pass, across processes that share a book of rentals.
    """

    title: str
    contract: str
    homepage: str
    support: Mapping[str, Support] = attrs.field(converter=_support_table)
    limits: tuple[Limit, ...] = ()
    poll_interval: timedelta = timedelta(seconds=5)
    max_batch: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    activation_lifetime: timedelta = timedelta(minutes=20)
    unused_cap: UnusedCap | None = None
    sources: tuple[Source, ...] = ()

    def supports(self, hook: str) -> Support:
        """The declared support of one hook."""
        return self.support.get(hook, Support.unsupported())


# Accounts and numbers.


@attrs.frozen(kw_only=True)
class Credential:
    """A token that a provider gave, and when it ends (UTC), where it tells."""

    token: str = attrs.field(repr=False)
    expires_at: datetime | None = attrs.field(default=None, validator=_utc)
    refresh_token: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Offer:
    """A service in a country, its price for one number, and its stock where the provider tells.

    `account` is the name of the account that was asked; Qasid sets it.
    """

    service: str
    country: str
    price: Money | None = None
    stock: int | None = None
    service_name: str = ""
    country_name: str = ""
    account: str | None = None


def _texts(given: Mapping[str, str]) -> Mapping[str, str]:
    return dict(given)


def _not_empty(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not value or not all(value):
        raise ValueError(f"{attribute.name} must not be empty")


def _reference(instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """None, or 1 to 200 printable characters: it is shown, compared and kept as it is."""
    if value is not None and not (
        isinstance(value, str) and 1 <= len(value) <= 200 and value.isprintable()
    ):
        raise ValueError("reference must be a text of 1 to 200 printable characters, or None")


def _named() -> Any:
    """The caller's own name for an act, under which the journal lets it be done once."""
    return attrs.field(default=None, validator=_reference)


def _price(given: Money | str | None) -> Money | None:
    return Money.parse(given) if isinstance(given, str) else given


@attrs.frozen(kw_only=True)
class NumberOrder:
    """What to rent: one number for each service, in the provider's own codes.

    `max_price` is for each number; a text such as ``"0.50 USD"`` will do. `callback_url` has no
    `repr`: whoever knows it can post messages to you. `reference` is your own name for this order:
    with a journal, it is rented once under that name, whoever asks again.
    """

    services: tuple[str, ...] = attrs.field(converter=_several, validator=_not_empty)
    country: str = attrs.field(validator=_not_empty)
    callback_url: str | None = attrs.field(default=None, repr=False)
    max_price: Money | None = attrs.field(default=None, converter=_price)
    reference: str | None = _named()


@attrs.frozen(kw_only=True)
class Activation:
    """A number rented for one service, until `expires_at` (UTC).

    `number` is E.164 where the provider gives a real number, else what it gave: a paid number is
    never lost to a validator. `extra` holds what the provider's later calls need, as text.
    `account` is the name of the account that rented it; Qasid sets it. An activation survives a
    restart: `Activation.load(activation.dump())` equals it.
    """

    id: str
    number: str
    service: str
    country: str
    acquired_at: datetime = attrs.field(validator=_utc)
    expires_at: datetime | None = attrs.field(default=None, validator=_utc)
    cost: Money | None = None
    extra: Mapping[str, str] = attrs.field(factory=dict, converter=_texts)
    account: str | None = None

    def dump(self) -> str:
        """This activation as one line of JSON."""
        return json.dumps(attrs.asdict(self), default=str)

    @classmethod
    def load(cls, text: str) -> Self:
        """Read what `dump` wrote. Raises ValueError."""
        try:
            return cls(**_revived(json.loads(text)))
        except (ProtocolError, TypeError, ValueError, RecursionError):
            raise ValueError("this is not a stored activation") from None


def _revived(data: object) -> dict[str, Any]:
    texts = {key: take(data, key, str) for key in ("id", "number", "service", "country")}
    expires_at = take(data, "expires_at", str, None)
    cost = take(data, "cost", dict, None)
    return {
        **texts,
        "acquired_at": moment(data, "acquired_at"),
        "expires_at": None if expires_at is None else moment(data, "expires_at"),
        "cost": None if cost is None else _cost(cost),
        "extra": take(data, "extra", dict),
        "account": take(data, "account", str, None),  # none was kept before 0.2
    }


def _cost(data: object) -> Money:
    return Money(take(data, "amount", str), take(data, "currency", str))


class Acquired(list[Activation]):
    """The numbers that were rented, and in `failures` each service that got none, with the error.

    It is a list of `Activation`s, in the order of the services.
    """

    def __init__(
        self,
        activations: Iterable[Activation] = (),
        failures: Mapping[str, ProviderError] | None = None,
    ) -> None:
        super().__init__(activations)
        self.failures = dict(failures or {})


class ReleaseReason(enum.Enum):
    """Why a number is given back before its time."""

    UNUSED = "unused"
    UNUSABLE = "unusable"


@attrs.frozen(kw_only=True)
class Released:
    """A number was given back; `refund` where the provider tells."""

    activation_id: str
    refund: Money | None = None


# Messages that come.


@attrs.frozen(kw_only=True)
class InboundMessage:
    """A message that has come. `received_at` is UTC; what the provider does not tell is None."""

    text: str = attrs.field(repr=False)
    sender: str | None = None
    to: str | None = None
    received_at: datetime | None = attrs.field(default=None, validator=_utc)
    id: str | None = None

    @property
    def code(self) -> str | None:
        """The verification code in the text in ASCII digits, also from Persian or Arabic ones."""
        from qasid.codes import find_code

        return find_code(self.text)


@attrs.frozen(kw_only=True)
class InboxQuery:
    """Which messages of the account's own inbox: a page, and moments in UTC."""

    limit: int = attrs.field(default=10, validator=attrs.validators.ge(1))
    offset: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    since: datetime | None = attrs.field(default=None, validator=_utc)
    until: datetime | None = attrs.field(default=None, validator=_utc)


# Messages that go.


def _instant(given: datetime | None) -> datetime | None:
    """The same moment in UTC, where the clock of its zone shows that time at all."""
    if given is None:
        return None
    if given.utcoffset() is None:
        raise ValueError("send_at has no time zone; say which, as with zoneinfo.ZoneInfo")
    moment = given.astimezone(UTC)
    if moment.astimezone(given.tzinfo).replace(tzinfo=None) != given.replace(tzinfo=None):
        raise ValueError("send_at does not exist: clocks are put forward past it in its zone")
    return moment


@attrs.frozen(kw_only=True)
class TextMessage:
    """A text for one recipient (E.164).

    `send_at` is an aware moment of any zone, kept as UTC; None is now. `reference` is your own name
    for this message (1 to 200 printable characters, such as ``order-42``): with a journal, it is
    sent once under that name, and asked for again it gives the receipt of then.
    """

    to: str
    text: str = attrs.field(repr=False)
    sender: str | None = None
    send_at: datetime | None = attrs.field(default=None, converter=_instant)
    reference: str | None = _named()


@attrs.frozen(kw_only=True)
class TemplateMessage:
    """A template that the provider holds, with its values, for one recipient (E.164).

    `send_at` and `reference` are as of `TextMessage`.
    """

    to: str
    template: str
    values: Mapping[str, str] = attrs.field(factory=dict, converter=_texts, repr=False)
    sender: str | None = None
    send_at: datetime | None = attrs.field(default=None, converter=_instant)
    reference: str | None = _named()


@attrs.frozen(kw_only=True)
class Receipt:
    """What became of one message: accepted (both None), refused or unknown (see `error`).

    `id` is what `delivery_status` takes, and `batch_id` what `cancel_scheduled` takes; None where
    the provider gives none. `account` is the name of the account that the provider was asked by;
    Qasid sets it. None is that of a message that no provider was asked to send.
    """

    to: str
    id: str | None = None
    batch_id: str | None = None
    error: ProviderError | None = None
    cost: Money | None = None
    account: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the provider took the message."""
        return self.error is None

    @property
    def outcome(self) -> Outcome | None:
        """None when accepted, else whether the message may have gone all the same."""
        return None if self.error is None else self.error.outcome


@attrs.frozen(kw_only=True)
class Cancelled:
    """What was scheduled under `batch_id` will not be sent."""

    batch_id: str


class DeliveryState(enum.Enum):
    """Where a message is. Anything that is not known to be one of these is `UNKNOWN`."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class DeliveryReport:
    """Where one message is, with the provider's own word in `code`. `at` is UTC."""

    receipt_id: str
    state: DeliveryState
    to: str | None = None
    code: str | None = None
    at: datetime | None = attrs.field(default=None, validator=_utc)


# One-time passwords.

MAX_CODE_DIGITS: Final = 10


def _duration(given: timedelta | float) -> timedelta:
    return given if isinstance(given, timedelta) else timedelta(seconds=given)


@attrs.frozen(kw_only=True)
class OtpOrder:
    """A one-time password for one recipient (E.164): your own `code`, or one of `length` digits.

    `lifetime` may be given in seconds. `reference` is your own name for this order: with a journal,
    a code is sent once under that name. Asked for again it gives the ticket of then without its
    code, as codes are never stored.
    """

    to: str
    code: str | None = attrs.field(default=None, repr=False)
    length: int = attrs.field(default=6)
    lifetime: timedelta = attrs.field(default=timedelta(minutes=5), converter=_duration)
    channel: str | None = None
    reference: str | None = _named()

    @code.validator
    def _digits(self, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and not (value.isascii() and value.isdigit()):
            raise ValueError("code must be ASCII digits")

    @length.validator
    def _sane(self, attribute: attrs.Attribute[int], value: int) -> None:
        if not 3 <= value <= MAX_CODE_DIGITS:
            raise ValueError(f"length must be between 3 and {MAX_CODE_DIGITS} digits")

    @lifetime.validator
    def _positive(self, attribute: attrs.Attribute[timedelta], value: timedelta) -> None:
        if value <= timedelta(0):
            raise ValueError("lifetime must be longer than nothing")


@attrs.frozen(kw_only=True)
class OtpTicket:
    """A one-time password is on its way. `code` where the provider tells it; `dial` for USSD.

    `account` is the name of the account that it went by, and can be verified at; Qasid sets it.
    """

    to: str
    expires_at: datetime | None = attrs.field(default=None, validator=_utc)
    code: str | None = attrs.field(default=None, repr=False)
    dial: str | None = None
    id: str | None = None
    account: str | None = None


@attrs.frozen(kw_only=True)
class OtpVerdict:
    """Whether the code was right. A wrong code is a verdict, never an error."""

    accepted: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.accepted
