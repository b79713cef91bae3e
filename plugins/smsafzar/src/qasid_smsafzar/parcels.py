"""Messages in the words of the API, packed into requests, and what comes of them as receipts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from qasid import errors
from qasid.effects import Response
from qasid.phone import iranian_mobile
from qasid.values import Receipt, TemplateMessage, TextMessage

__all__ = ["BULK", "TEMPLATE", "Letter", "Parcel", "packed", "worded"]

_SEND: Final = "/messages/send"
BULK: Final = "/messages/send/bulk"
TEMPLATE: Final = "/messages/send/template"

_LONGEST: Final = 100  # characters of a template's value


@attrs.frozen(kw_only=True, repr=False)
class Letter:
    """One message as the API says it; `place` is where it stood, `at` its Unix time in seconds."""

    place: int
    to: str
    words: Mapping[str, Any]
    at: int | None

    @property
    def is_template(self) -> bool:
        """Whether it goes alone, as there is no bulk of templates."""
        return "templateId" in self.words


def worded(place: int, message: TextMessage | TemplateMessage, sender: str | None) -> Letter:
    """The message from `sender` unless it names another. Raises `InvalidRequest` and its kinds."""
    words = _addressed(message, message.sender or sender)
    words |= _template(message) if isinstance(message, TemplateMessage) else _text(message)
    # Rounded up: never before the moment that was asked for.
    at = None if message.send_at is None else math.ceil(message.send_at.timestamp())
    return Letter(place=place, to=message.to, words=words, at=at)


def _addressed(message: TextMessage | TemplateMessage, sender: str | None) -> dict[str, Any]:
    recipient = {"recipientNumber": iranian_mobile(message.to)}
    if sender:
        return {"senderNumber": _whole("sender", sender), **recipient}
    # [not documented] It seems that a template may have a sender of its own.
    if isinstance(message, TemplateMessage):
        return recipient
    raise errors.InvalidRequest("sender: none is given; name your line there or in the settings")


def _text(message: TextMessage) -> dict[str, Any]:
    if not message.text:
        raise errors.InvalidRequest("text: is empty; SMSAfzar sends no empty text")
    return {"content": _whole("text", message.text)}


def _template(message: TemplateMessage) -> dict[str, Any]:
    if not message.template:
        raise errors.TemplateRejected("template: is empty; give the id that the panel shows")
    if any(len(value) > _LONGEST for value in message.values.values()):
        raise errors.TemplateRejected(f"values: one is too long; {_LONGEST} characters is the most")
    pairs = [[_whole("values", text) for text in pair] for pair in message.values.items()]
    parameters = [{"name": name, "value": value} for name, value in pairs]
    return {"templateId": _whole("template", message.template), "parameters": parameters}


def _whole(field: str, text: str) -> str:
    """The same text. One that cannot be encoded would take its whole bulk down."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise errors.InvalidRequest(f"{field}: holds half a character (a lone surrogate)")
    return text


@attrs.frozen(repr=False)
class Parcel:
    """The messages of one request: one of any kind, or several texts of the same moment."""

    letters: Sequence[Letter]

    @property
    def path(self) -> str:
        """Where it is sent."""
        if self.letters[0].is_template:
            return TEMPLATE
        return BULK if len(self.letters) > 1 else _SEND

    @property
    def body(self) -> dict[str, Any]:
        """What is sent. The arrays of a bulk are of one length, so there is nothing to pair."""
        first = self.letters[0]
        words = {**first.words}
        if self.path == BULK:
            words = {f"{name}s": [one.words[name] for one in self.letters] for name in first.words}
        return words if first.at is None else {**words, "sendTimestamp": first.at}

    def receipts(self, answer: Response | errors.ProviderError) -> dict[int, Receipt]:
        """A receipt for each message, by its place: accepted, or with the error."""
        if isinstance(answer, errors.ProviderError):
            return {one.place: Receipt(to=one.to, error=answer) for one in self.letters}
        batch, ids = _ids(answer, len(self.letters))
        return {
            one.place: Receipt(to=one.to, id=name, batch_id=batch)
            for one, name in zip(self.letters, ids, strict=True)
        }


def packed(letters: Iterable[Letter]) -> list[Parcel]:
    """As few parcels as there may be, in the order of their first messages."""
    groups: dict[object, list[Letter]] = {}
    for letter in letters:
        alike = ("template", letter.place) if letter.is_template else letter.at
        groups.setdefault(alike, []).append(letter)
    return [Parcel(group) for group in groups.values()]


# [not documented] All members of a success. Whatever its body is, status 200 means that the
# messages were taken: what cannot be read is left out, and is no reason to send them again.


def _ids(response: Response, count: int) -> tuple[str | None, list[str | None]]:
    """The id of the batch, and those of the messages if there is one for each."""
    try:
        body = response.json()
    except errors.ProtocolError:
        body = None
    told = body if isinstance(body, Mapping) else {}
    several = told.get("sentMessageIdes")
    ids = several if isinstance(several, list) else [told.get("sentMessageId")]
    return _id(told.get("batchId")), [*map(_id, ids)] if len(ids) == count else [None] * count


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
