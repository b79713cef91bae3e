"""What a verifier allows: how codes are made, how often they are sent and guessed, and to whom."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import attrs

__all__ = ["Cap", "Conversion", "Reason", "Rules"]

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


class Reason(enum.StrEnum):
    """Why a code was not accepted. Show your users one sentence for all of them."""

    WRONG = "wrong"
    EXPIRED = "expired"
    NO_CODE = "no code"
    TOO_MANY_GUESSES = "too many guesses"
    NOT_A_CODE = "not a code"


def _duration(given: timedelta | float) -> timedelta:
    return given if isinstance(given, timedelta) else timedelta(seconds=given)


def _positive(instance: object, attribute: attrs.Attribute[Any], value: timedelta) -> None:
    if value <= timedelta(0):
        raise ValueError(f"{attribute.name} must be longer than nothing")


@attrs.frozen
class Cap:
    """At most `count` in any `period`, which may be given in seconds."""

    count: int = attrs.field(validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])
    period: timedelta = attrs.field(converter=_duration, validator=_positive)


def _caps(given: Cap | Iterable[Cap]) -> tuple[Cap, ...]:
    return (given,) if isinstance(given, Cap) else tuple(given)


@attrs.frozen(kw_only=True)
class Conversion:
    """A breaker for each country prefix: codes that nobody enters were asked for by a machine.

    Counted are recipients, of the last `window`. One that has not verified `patience` after its
    code counts as lost. When `sample` of them are decided and less than the share `least` has
    verified, the prefix is paused for `pause`, and for twice as long each time that this happens
    again, up to `longest_pause`; a prefix that was left alone for that long begins anew. After a
    pause a new sample decides. So that nobody is faster than `patience`, only so many recipients
    may have a code and not have verified: `burst`, after a pause no more than `sample`, or as many
    as verified ones make up for (their number divided by `least`).
    """

    least: float = attrs.field(
        default=0.1, validator=[attrs.validators.ge(0), attrs.validators.le(1)]
    )
    sample: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    burst: int = attrs.field(default=100, validator=attrs.validators.ge(1))
    window: timedelta = attrs.field(default=_HOUR, converter=_duration, validator=_positive)
    patience: timedelta = attrs.field(default=2 * _MINUTE, converter=_duration, validator=_positive)
    pause: timedelta = attrs.field(default=_HOUR, converter=_duration, validator=_positive)
    longest_pause: timedelta = attrs.field(default=_DAY, converter=_duration, validator=_positive)

    def room(self, *, probing: bool) -> int:
        """How many may not have verified while hardly anybody has."""
        return min(self.burst, self.sample) if probing else self.burst


def _regions(given: Iterable[str] | None) -> frozenset[str] | None:
    if given is None:
        return None
    return frozenset(name.upper() for name in ([given] if isinstance(given, str) else given))


@attrs.frozen(kw_only=True)
class Rules:
    """How codes are made (`length` digits, good for `lifetime`), and what is not allowed.

    `guesses` are the codes that are compared for one recipient, over all codes and purposes; the
    right one sets them back. `cooldown` lies between two codes for one recipient. The caps count
    codes that were sent or may have been: for one recipient, for one caller (whatever you name as
    such, such as the address it comes from), for one country prefix (``+98``), and in all.
    `countries` are those of recipients (ISO 3166 alpha-2, such as ``"IR"``), None all: name yours.
    `conversion` stops what only a machine would ask for; None does not.

    The defaults suit a small product. Raises ValueError.
    """

    length: int = attrs.field(default=6)
    lifetime: timedelta = attrs.field(default=5 * _MINUTE, converter=_duration, validator=_positive)
    guesses: Cap = Cap(5, 15 * _MINUTE)
    cooldown: timedelta = attrs.field(default=_MINUTE, converter=_duration)
    per_recipient: tuple[Cap, ...] = attrs.field(
        default=(
            Cap(5, _HOUR),
            Cap(10, _DAY),
        ),
        converter=_caps,
    )
    per_caller: tuple[Cap, ...] = attrs.field(
        default=(
            Cap(20, _HOUR),
            Cap(50, _DAY),
        ),
        converter=_caps,
    )
    per_prefix: tuple[Cap, ...] = attrs.field(default=(Cap(1_000, _HOUR),), converter=_caps)
    in_all: tuple[Cap, ...] = attrs.field(default=(Cap(10_000, _DAY),), converter=_caps)
    countries: frozenset[str] | None = attrs.field(default=None, converter=_regions)
    conversion: Conversion | None = Conversion()

    @length.validator
    def _guessable(self, attribute: attrs.Attribute[int], value: int) -> None:
        if not 4 <= value <= 10:
            raise ValueError("length must be between 4 and 10 digits")

    @countries.validator
    def _named(self, attribute: object, value: frozenset[str] | None) -> None:
        wrong = [] if value is None else [n for n in value if len(n) != 2 or not n.isalpha()]
        if wrong or (value is not None and not value):
            raise ValueError("countries are codes of two letters, such as 'IR'; None is all")

    @property
    def memory(self) -> timedelta:
        """How long a code has to be remembered, for any of these to be counted."""
        caps = (*self.per_recipient, *self.per_caller, *self.per_prefix, *self.in_all)
        spans = [self.lifetime + self.guesses.period, self.cooldown, *(cap.period for cap in caps)]
        if self.conversion is not None:
            spans += [self.conversion.window, 2 * self.conversion.longest_pause]
        return max(spans)
