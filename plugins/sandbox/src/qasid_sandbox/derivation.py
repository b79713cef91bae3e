"""What follows from the seed, and ids that tell what they stand for.

So the sandbox's emulator needs no store: one that has never seen an id, or never made a code, can
answer for it all the same.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = [
    "instant",
    "made_code",
    "message_id",
    "number_digits",
    "seal",
    "seeded_code",
    "stamp",
    "unseal",
    "verification_text",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: English, Arabic and Persian, each with digits of its own.
_TEXTS: Final = (
    ("Your verification code is {}.", "0123456789"),
    ("رمز التحقق الخاص بك هو {}.", "".join(map(chr, range(0x660, 0x66A)))),
    ("کد تأیید شما {} است.", "".join(map(chr, range(0x6F0, 0x6FA)))),
)


# From the seed.


def _derived(seed: int, *parts: str) -> int:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hmac.digest(str(seed).encode(), text, "sha256"), "big")


def seeded_code(seed: int, length: int, *parts: str) -> str:
    """A code of `length` ASCII digits, of which any may be 0."""
    return f"{_derived(seed, 'code', *parts) % 10**length:0{length}}"


def made_code(seed: int, to: str, length: int) -> str:
    """The one-time password that a recipient is sent."""
    return seeded_code(seed, length, "otp", to, str(length))


def message_id(seed: int, *parts: str) -> str:
    """An id for a message that came in."""
    return f"in.{_derived(seed, 'message', *parts) % 16**12:012x}"


def verification_text(seed: int, place: str) -> str:
    """A text with a code of six digits, in one of three languages."""
    text, digits = _TEXTS[_derived(seed, "text", place) % len(_TEXTS)]
    return text.format("".join(digits[int(digit)] for digit in seeded_code(seed, 6, place)))


def number_digits(seed: int, country: str, *parts: str) -> str:
    """A number in E.164 without its plus; +999 is no country, so it can be nobody's."""
    letters = "".join(f"{ord(letter) - 64:02}" for letter in country)  # SA is 1901
    value = _derived(seed, "number", country, *parts)
    # The last four begin at 1000: no rented number is a recipient of special meaning.
    return f"999{letters}{value // 9000 % 1000:03}{1000 + value % 9000}"


# Sealed ids: parts, and a checksum that tells them from other words.


def seal(*parts: str) -> str:
    """One word of a kind and its parts, none of which may hold a dot."""
    return ".".join([*parts, _checksum(parts)])


def unseal(kind: str, word: str) -> list[str] | None:
    """The parts of a word of that kind, or None for any other."""
    *parts, check = word.split(".")
    return parts[1:] if parts[:1] == [kind] and check == _checksum(parts) else None


def _checksum(parts: Iterable[str]) -> str:
    return hashlib.sha256(".".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def stamp(at: datetime) -> str:
    """A moment as a part: microseconds since 1970 in base 16."""
    return f"{(at - _EPOCH) // _MICROSECOND:x}"


def instant(part: str) -> datetime:
    """The moment that `stamp` wrote, in UTC."""
    return _EPOCH + int(part, 16) * _MICROSECOND
