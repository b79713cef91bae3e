"""Phone numbers: what people and panels write, as E.164."""

from __future__ import annotations

import functools
import re
from typing import Final

from qasid.errors import InvalidRecipient
from qasid.text import ascii_digits

__all__ = ["country", "e164", "iranian_mobile"]

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_IRANIAN: Final = re.compile(r"\+989[0-9]{9}")
#: +98, 0098, 98 and the odd 098 that some panels print; a trunk 0 after it is a common slip.
_IRANIAN_CODED: Final = re.compile(r"(?:\+|0)?980?9[0-9]{9}")
_IRANIAN_BARE: Final = re.compile(r"0?9[0-9]{9}")
_NUMBER: Final = re.compile(r"\+?[0-9]{3,17}")
#: Spaces, brackets, dots, slashes, dashes and the invisible marks that right-to-left text carries.
_ORNAMENT: Final = re.compile(
    "[\\s()./\\-\u00ad\u061c\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060-\u2069\u2212\ufeff]"
)
_NOWHERE: Final = "001"  # what the tables call a number of no region
_REMEDY: Final = "write it as +, the country code and the number"


def e164(text: str, *, region: str | None = None) -> str:
    """The number in E.164, such as ``+966501234567``. Raises `InvalidRecipient`.

    Reads ``+`` and ``00`` forms of every country, and with `region` (ISO 3166 alpha-2, such as
    ``"SA"``) that country's national forms; Persian and Arabic digits, spaces, dashes, dots,
    brackets and direction marks are welcome.

    Iranian mobiles are read in every form that Iranian panels print: ``+989…``, ``00989…``,
    ``0989…`` and ``989…`` always; ``09…`` (11 digits) and ``9…`` (10 digits) where no `region`
    is given, as these panels print no country code at all, or where it is ``"IR"``. Their shape
    alone is checked: new operator prefixes come faster than tables. Every other number must be
    valid by the tables of `phonenumbers`, which is imported when the first one comes.
    """
    if _IRANIAN.fullmatch(text):
        return text
    number, country = _cleaned(text), region and region.upper()
    if _is_iranian_mobile(number, country or "IR"):
        return f"+98{number[-10:]}"
    return _parsed(number, country)


def iranian_mobile(number: str) -> str:
    """An Iranian mobile, from any form that `e164` reads, as ``09xxxxxxxxx``.

    Raises `InvalidRecipient` for everything else, a valid number of another kind included.
    """
    if _IRANIAN.fullmatch(number):
        return f"0{number[-10:]}"
    cleaned = _cleaned(number)
    if not _is_iranian_mobile(cleaned, "IR"):
        raise InvalidRecipient("'to' is not an Iranian mobile; write it as 09 and nine digits")
    return f"0{cleaned[-10:]}"


def country(number: str) -> tuple[str, str | None]:
    """The country prefix of a number in E.164, such as ``+98``, and its region (ISO 3166 alpha-2).

    Several regions may share a prefix (``+1``, ``+7``). None for a number of no region, such as
    that of a satellite phone.
    """
    if _IRANIAN.fullmatch(number):
        return "+98", "IR"
    return _located(number)


def _is_iranian_mobile(number: str, region: str) -> bool:
    if _IRANIAN_CODED.fullmatch(number):
        return True
    return region == "IR" and _IRANIAN_BARE.fullmatch(number) is not None


def _cleaned(text: str) -> str:
    number = _ORNAMENT.sub("", ascii_digits(text)).replace("\uff0b", "+")  # the full-width plus
    if number.startswith("00"):
        number = f"+{number[2:]}"
    if not _NUMBER.fullmatch(number):
        raise InvalidRecipient(f"'to' is not a phone number; {_REMEDY}")
    return number


@functools.lru_cache(maxsize=1024)  # the same few foreign recipients come again and again
def _parsed(number: str, region: str | None) -> str:
    import phonenumbers  # late: its tables take longer to import than all of Qasid

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        raise InvalidRecipient(f"'to' cannot be read as a phone number; {_REMEDY}") from None
    result = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    # A few valid German numbers are longer than E.164 allows.
    if not (phonenumbers.is_valid_number(parsed) and _E164.fullmatch(result)):
        raise InvalidRecipient(f"'to' is not a number that exists; {_REMEDY}")
    return result


@functools.lru_cache(maxsize=1024)
def _located(number: str) -> tuple[str, str | None]:
    import phonenumbers  # late, as above

    parsed = phonenumbers.parse(number)
    region = phonenumbers.region_code_for_number(parsed)
    return f"+{parsed.country_code}", None if region == _NOWHERE else region
