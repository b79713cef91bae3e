"""Texts of messages: their digits, and how many SMS segments they fill."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

import attrs

__all__ = ["Segments", "ascii_digits", "segments"]

_FOREIGN_DIGIT: Final = re.compile(r"[^\D0-9]")


def ascii_digits(text: str) -> str:
    """The text with Persian, Arabic and all other decimal digits as ``0`` to ``9``."""
    return text if text.isascii() else _FOREIGN_DIGIT.sub(_ascii_digit, text)


def _ascii_digit(match: re.Match[str]) -> str:
    return str(int(match[0]))


# Segments, as GSM 03.38 and GSM 03.40 cut a text. An SMS carries 140 bytes: 140 * 8 / 7 = 160
# septets or 140 / 2 = 70 code units. A long text loses 6 bytes of each to its concatenation header:
# (140 - 6) * 8 / 7 = 153 septets or (140 - 6) / 2 = 67 code units.

_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENSION: Final = frozenset("\f^{}\\[~]|€")  # each is an escape and a septet
_GSM_ALL: Final = _GSM | _GSM_EXTENSION


@attrs.frozen
class Segments:
    """How a text is cut into SMS: what an operator counts, and bills.

    `units` are septets under GSM-7, where ten characters (``€``, ``[``, ...) take two, and UTF-16
    code units under UCS-2, where an emoji takes two or more. `per_segment` is how many of them fit
    into each of the `count` segments.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    count: int
    per_segment: int


def segments(text: str) -> Segments:
    """How many SMS a text takes, by the default GSM alphabet and without national shift tables.

    The two units of an escaped character or of a surrogate pair stay in one segment, so a segment
    may have one unit to spare. The empty text is one segment of no units: an SMS is sent all the
    same, and one is billed.
    """
    if _GSM_ALL.issuperset(text):
        return _cut("GSM-7", [1 + (char in _GSM_EXTENSION) for char in text], 160, 153)
    return _cut("UCS-2", [1 + (char > "\uffff") for char in text], 70, 67)


def _cut(
    encoding: Literal["GSM-7", "UCS-2"], sizes: list[int], alone: int, joined: int
) -> Segments:
    units = sum(sizes)
    if units <= alone:
        return Segments(encoding, units, 1, alone)
    return Segments(encoding, units, _filled(sizes, joined), joined)


def _filled(sizes: Iterable[int], capacity: int) -> int:
    count, room = 1, capacity
    for size in sizes:
        if size > room:
            count, room = count + 1, capacity
        room -= size
    return count
