"""What `qasid send` is asked to send, checked before anything is sent."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

import attrs
import click

import qasid
from qasid.cli import lists
from qasid.operations import Message, ready
from qasid.text import segments

__all__ = ["MOST", "Item", "Wanted"]

#: Recipients of one command.
MOST: Final = 100_000


@attrs.frozen
class Item:
    """One message, and where it was given. To a number in E.164, unless `error` says why not."""

    place: str
    message: Message
    error: qasid.ProviderError | None = None


@attrs.frozen(kw_only=True)
class Wanted:
    """The words and options of the command. `at` is aware, of any zone."""

    words: tuple[str, ...]
    text: str | None
    template: str | None
    values: Mapping[str, str]
    to_file: str | None
    csv_file: str | None
    at: datetime | None
    sender: str | None
    reference: str | None
    max_segments: int
    allow_duplicates: bool

    def __attrs_post_init__(self) -> None:
        self._refuse_several_contents()
        self._refuse_scattered_recipients()
        if self.values and self.template is None:
            raise click.UsageError("--value goes with --template")
        if [self._text, self.to_file, self.csv_file].count(lists.STDIN) > 1:
            raise click.UsageError("only one thing can be read from stdin")
        if self.reference is not None and self.allow_duplicates:
            raise click.UsageError("--reference and --allow-duplicates exclude each other")

    def _refuse_several_contents(self) -> None:
        contents = (self.text, self.template, self.csv_file)
        if sum(each is not None for each in contents) > 1:
            raise click.UsageError("--text, --template and --csv exclude each other")

    def _refuse_scattered_recipients(self) -> None:
        if self._short and (len(self.words) != 2 or self.to_file is not None):
            raise click.UsageError(
                "give TO and TEXT, or any number of recipients with --text, --template or --csv"
            )
        if self.csv_file is not None and (self.words or self.to_file is not None):
            raise click.UsageError("with --csv the recipients are in its column 'to' alone")

    @property
    def _short(self) -> bool:
        """Whether the words are TO and TEXT, and no list of recipients."""
        return self.text is None and self.template is None and self.csv_file is None

    @property
    def _to(self) -> tuple[str, ...]:
        return self.words[:1] if self._short else self.words

    @property
    def _text(self) -> str | None:
        return self.words[1] if self._short else self.text

    @property
    def alone(self) -> bool:
        """Whether it is one message to one number, and no list, however short."""
        return len(self._to) == 1 and self.to_file is None

    def items(self, now: datetime) -> list[Item]:
        """All that is to be sent. Raises `click.UsageError`, `InvalidRequest` if `at` is over."""
        found = itertools.islice(self._found(), MOST + 1)
        items = [self._item(place, to, content, now) for place, to, content in found]
        if not items:
            raise click.UsageError("there is no recipient; nothing was sent")
        if len(items) > MOST:
            raise click.UsageError(f"there are more than {MOST:,} recipients; nothing was sent")
        if not self.allow_duplicates:
            _refuse_duplicates(items)
        return items

    def _found(self) -> Iterator[tuple[str, str, lists.Content]]:
        if self.csv_file is not None:
            for place, to, content in lists.messages(self.csv_file):
                self._check_text(f"{place}: the text", content.get("text"))
                yield place, to, content
        else:
            content = self._content()
            for place, to in self._recipients():
                yield place, to, content

    def _recipients(self) -> Iterator[tuple[str, str]]:
        yield from ((f"argument {number}", to) for number, to in enumerate(self._to, 1))
        if self.to_file is not None:
            yield from lists.recipients(self.to_file)

    def _content(self) -> lists.Content:
        if self.template is not None:
            return {"template": self.template, "values": self.values}
        text = lists.text_of_stdin() if self._text == lists.STDIN else self._text
        self._check_text("the text", text)
        return {"text": text}

    def _check_text(self, name: str, text: str | None) -> None:
        if text is None:  # a template
            return
        if not text:
            raise click.UsageError(f"{name} is empty; nothing was sent")
        try:
            text.encode()
        except UnicodeEncodeError:  # bytes of an argument, or of stdin, that no encoding explains
            raise click.UsageError(f"{name} is not UTF-8; nothing was sent") from None
        count = segments(text).count
        if count > self.max_segments:
            raise click.UsageError(
                f"{name} takes {count} segments, more than --max-segments {self.max_segments};"
                " nothing was sent"
            )

    def _item(self, place: str, to: str, content: lists.Content, now: datetime) -> Item:
        kind = qasid.TextMessage if "text" in content else qasid.TemplateMessage
        message = kind(to=to, sender=self.sender, send_at=self.at, **content)
        item = _checked(place, message, now)
        named = attrs.evolve(item.message, reference=self._reference(item.message.to))
        return attrs.evolve(item, message=named)

    def _reference(self, to: str) -> str | None:
        """Of a list each message has its own, by which the same command goes on where it ended."""
        return self.reference if self.reference is None or self.alone else f"{self.reference} {to}"


def _checked(place: str, message: Message, now: datetime) -> Item:
    try:
        return Item(place, ready(message, now))
    except qasid.InvalidRecipient as error:
        return Item(place, message, error)


def _refuse_duplicates(items: Iterable[Item]) -> None:
    places: dict[str, str] = {}
    for item in items:
        to, place = item.message.to, item.place
        first = places.setdefault(to, place)
        if first != place:
            raise click.UsageError(
                f"{to} comes twice, in {first} and in {place}; nothing was sent;"
                " take one out, or give --allow-duplicates"
            )
