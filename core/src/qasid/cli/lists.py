"""Files of recipients and of messages; each of them with the place where it stands."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias

import click

__all__ = ["STDIN", "Content", "messages", "recipients", "text_of_stdin"]

#: The arguments of a message besides its recipient: `text`, or `template` and `values`.
Content: TypeAlias = dict[str, Any]

STDIN: Final = "-"


def text_of_stdin() -> str:
    """All of stdin, as it is."""
    return _stdin().read()


def recipients(file: str) -> Iterator[tuple[str, str]]:
    """The places and the recipients of a file: one a line, but for blank ones and comments."""
    for number, line in _lines(file):
        to = line.partition("#")[0].strip()
        if to:
            yield _place(file, number), to


def messages(file: str) -> Iterator[tuple[str, str, Content]]:
    """The places, recipients and contents of a CSV file, whose first row names its columns."""
    rows = _rows(file)
    place, header = next(rows, (_place(file, 1), []))
    names = _named(place, header)
    for place, row in rows:
        if len(row) != len(names):
            raise _refusal(place, f"{len(row)} cells, where the header has {len(names)}")
        cells = dict(zip(names, row, strict=True))
        to = _filled(place, "to", cells.pop("to")).strip()
        yield place, to, cells if "text" in cells else _of_template(place, cells)


def _of_template(place: str, cells: dict[str, str]) -> Content:
    template = _filled(place, "template", cells.pop("template")).strip()
    return {"template": template, "values": {name: cell for name, cell in cells.items() if cell}}


def _named(place: str, header: Sequence[str]) -> list[str]:
    names = [name.strip() for name in header]
    problems = {
        "there is no column 'to'; columns are named in the first row and parted by commas": (
            "to" not in names
        ),
        "there is a column without a name": "" in names,
        "a column comes twice": len({*names}) < len(names),
        "there must be a column 'text', or a column 'template' and one for each value": (
            ("text" in names) is ("template" in names)
        ),
        "beside 'to' and 'text' there is no other column": "text" in names and len(names) > 2,
    }
    for problem in (words for words, true in problems.items() if true):
        raise _refusal(place, problem)
    return names


def _filled(place: str, name: str, cell: str) -> str:
    if not cell.strip():
        raise _refusal(place, f"{name!r} is empty")
    return cell


def _rows(file: str) -> Iterator[tuple[str, list[str]]]:
    """The rows with something in them. The place is where a row begins: it may have many lines."""
    reader = csv.reader((line for _, line in _lines(file)), strict=True)
    number = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield _place(file, number), row
            number = reader.line_num + 1
    except csv.Error as error:
        raise _refusal(_place(file, number), f"this is no CSV: {error}") from None


def _lines(file: str) -> Iterator[tuple[int, str]]:
    """The lines, counted from 1, in UTF-8 with or without a byte-order mark."""
    try:
        with _opened(file) as stream:
            for number, line in enumerate(stream, 1):
                text = _decoded(_place(file, number), line)
                yield number, text.removeprefix("\ufeff") if number == 1 else text
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from None


def _decoded(place: str, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise _refusal(place, "this is not UTF-8; save the file as UTF-8") from None


def _opened(file: str) -> contextlib.AbstractContextManager[Iterable[bytes]]:
    if file == STDIN:
        return contextlib.nullcontext(_stdin().buffer)
    return Path(file).open("rb")


def _stdin() -> TextIO:
    if sys.stdin is None:
        raise click.UsageError("stdin is closed: nothing can be read from it")
    return sys.stdin


def _place(file: str, number: int) -> str:
    return f"{'stdin' if file == STDIN else file}, line {number}"


def _refusal(place: str, problem: str) -> click.UsageError:
    return click.UsageError(f"{place}: {problem}; nothing was sent")
