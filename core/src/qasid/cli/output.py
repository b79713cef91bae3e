"""What the command writes: data to stdout for people or as JSON, all else to stderr."""

from __future__ import annotations

import contextlib
import enum
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import click

from qasid.errors import Outcome, ProviderError, QasidError, SettingsError

__all__ = ["plain", "require_stdout", "say", "show", "show_lines", "table", "tell_error"]


def say(text: str) -> None:
    """One line for the person at the keyboard, if there still is one."""
    with contextlib.suppress(OSError):  # a terminal that was closed must not end a release
        click.echo(text, err=True)


def show(value: object, *, as_json: bool, text: str) -> None:
    """The data: `value` as one line of JSON, or `text`."""
    _write(json.dumps(plain(value)) if as_json else text)  # ASCII: right in any encoding


def show_lines(lines: Iterable[str]) -> None:
    """Some of the data, where it comes by and by: it leaves this process at once."""
    _write("\n".join(lines))


def _write(text: str) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # what was paid for is shown, if not prettily
        sys.stdout.reconfigure(errors="backslashreplace")
    if text:
        click.echo(text)


_WRITERS: Final[Mapping[type, Callable[[Any], Any]]] = {
    str: str,
    Decimal: str,
    datetime: datetime.isoformat,
    timedelta: timedelta.total_seconds,
    enum.Enum: lambda member: member.value,
    QasidError: lambda error: {"error": type(error).__name__, "message": str(error)},
    Mapping: lambda members: {str(key): plain(value) for key, value in members.items()},
    Iterable: lambda items: [plain(item) for item in items],
}


def plain(value: Any) -> Any:
    """Qasid's values as JSON has them: exact amounts as text, ISO 8601 moments, seconds."""
    import attrs  # late: help and versions are shown without

    if attrs.has(type(value)):
        return {f.name: plain(getattr(value, f.name)) for f in attrs.fields(type(value))}
    writers = (write for kind, write in _WRITERS.items() if isinstance(value, kind))
    return next(writers, lambda unchanged: unchanged)(value)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, the widest cell deciding; the last column is not padded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def require_stdout() -> None:
    """Refuse to begin what costs money if nobody can be told the result."""
    if sys.stdout is None or sys.stdout.closed:
        raise SettingsError(
            "is closed", account="*", field="stdout", remedy="let it go to a terminal or a file"
        )


def tell_error(error: QasidError) -> None:
    """What happened, whether it was performed, and when to try again."""
    say(f"error: {type(error).__name__}: {error}")
    if isinstance(error, ProviderError):
        known = error.outcome is Outcome.NOT_PERFORMED
        say(
            "It was not performed."
            if known
            else "It may have been performed: look before trying again."
        )
        if error.retry_after is not None:
            say(f"Try again in {error.retry_after.total_seconds():.0f} s.")
