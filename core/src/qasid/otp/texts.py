"""What a code stands in: a text of yours, or a template that the provider holds."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import attrs

from qasid.text import Segments, segments
from qasid.values import TemplateMessage, TextMessage

__all__ = ["CodeTemplate", "CodeText"]

_PLACES: Final = frozenset({"code", "minutes"})
_DOMAIN: Final = re.compile(r"(?:[a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{1,62}")


@attrs.frozen
class CodeText:
    """A text with ``{code}`` in it, and ``{minutes}`` for how long it is good; ``{{`` is a brace.

    With a `domain` the last line binds the code to it (``@example.com #123456``), so that browsers
    and phones offer to enter it there and nowhere else: the format of origin-bound one-time codes
    (https://wicg.github.io/sms-one-time-codes/, read on 2026-11-25). Raises ValueError.
    """

    text: str = attrs.field()
    domain: str | None = attrs.field(default=None)
    sender: str | None = None

    @text.validator
    def _complete(self, attribute: object, value: str) -> None:
        places = [part[1:] for part in string.Formatter().parse(value) if part[1] is not None]
        if any(name not in _PLACES or spec or how for name, spec, how in places):
            raise ValueError("text may hold {code} and {minutes}, and no other braces; double them")
        if "code" not in {name for name, _, _ in places}:
            raise ValueError("text has no {code}; say where the code goes")

    @domain.validator
    def _written(self, attribute: object, value: str | None) -> None:
        if value is not None and not _DOMAIN.fullmatch(value):
            raise ValueError("domain must be a name such as example.com, in small letters")

    def message(self, to: str, code: str, lifetime: timedelta) -> TextMessage:
        """The message that brings a code."""
        return TextMessage(to=to, text=self._filled(code, lifetime), sender=self.sender)

    def segments(self, length: int, lifetime: timedelta) -> Segments | None:
        """How many SMS it takes with a code of so many digits."""
        return segments(self._filled("0" * length, lifetime))

    def _filled(self, code: str, lifetime: timedelta) -> str:
        minutes = max(1, round(lifetime.total_seconds() / 60))
        text = self.text.format(code=code, minutes=minutes)
        return text if self.domain is None else f"{text}\n\n@{self.domain} #{code}"


def _values(given: Mapping[str, str]) -> Mapping[str, str]:
    return dict(given)


@attrs.frozen
class CodeTemplate:
    """A template that the provider holds; `code` is the name of the value that takes the code.

    `values` are its other values. How many SMS it takes is not known here.
    """

    template: str
    code: str = "code"
    values: Mapping[str, str] = attrs.field(factory=dict, converter=_values, repr=False)
    sender: str | None = None

    def message(self, to: str, code: str, lifetime: timedelta) -> TemplateMessage:
        """The message that brings a code."""
        values = {**self.values, self.code: code}
        return TemplateMessage(to=to, template=self.template, values=values, sender=self.sender)

    def segments(self, length: int, lifetime: timedelta) -> Segments | None:
        """None: the provider knows."""
        return None
