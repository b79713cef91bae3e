"""Foreign JSON and headers, read in one place: a typed value, or `ProtocolError`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar, overload

from qasid.effects import Response
from qasid.errors import ProtocolError

__all__ = ["filled", "moment", "retry_after", "take"]

T = TypeVar("T")
D = TypeVar("D")
_NEEDED: Final = object()
_OBJECT: Final = (dict, Mapping)  # the usual one first: to ask an abstract class takes long


@overload
def take(body: object, key: str, kind: type[T]) -> T: ...
@overload
def take(body: object, key: str, kind: type[T], default: D) -> T | D: ...
def take(body: object, key: str, kind: type[T], default: Any = _NEEDED) -> Any:
    """The member `key` of a JSON object, of exactly that type.

    `Decimal` takes whole and fractional numbers, and no text; `bool` is never an `int`. With a
    default, a member that is absent or null gives the default; one of a wrong type never does.
    Raises `ProtocolError`, which names the member and the type found, never the value; also for
    a `Decimal` of more than 100 places before or after the point, which no one may write out.
    """
    if not isinstance(body, _OBJECT):
        raise ProtocolError(f"{key!r} was looked for in a {_kind(body)}, not in an object")
    value: Any = body.get(key)
    if value is None and default is not _NEEDED:
        return default
    if type(value) is kind and kind is not Decimal:  # nearly always
        return value
    if kind is Decimal and _is(value, int):
        value = Decimal(value)
    if not _is(value, kind):
        found = "missing" if key not in body else f"a {_kind(value)}"
        raise ProtocolError(f"{key!r} is {found}, not a {_NAMES.get(kind, kind.__name__)}")
    return _measured(key, value) if kind is Decimal else value


def _measured(key: str, value: Decimal) -> Decimal:
    if not -_PLACES <= value.adjusted() < _PLACES:
        raise ProtocolError(f"{key!r} is a number beyond all measure")
    return value


_PLACES: Final = 100  # `1e999999999` is short on the wire and fills the memory as digits
_NAMES: Mapping[type, str] = {
    dict: "object",
    list: "list",
    str: "text",
    int: "whole number",
    Decimal: "number",
    bool: "truth value",
    type(None): "null",
}


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _kind(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def filled(body: object, key: str) -> str:
    """The member `key` as a text that is not empty, such as an id. Raises `ProtocolError`."""
    text = take(body, key, str)
    if not text:
        raise ProtocolError(f"{key!r} is empty")
    return text


def moment(body: object, key: str) -> datetime:
    """The member `key` as an ISO 8601 moment with a zone, in UTC. Raises `ProtocolError`."""
    try:
        value = datetime.fromisoformat(take(body, key, str))
    except ValueError:
        raise ProtocolError(f"{key!r} is not an ISO 8601 moment") from None
    if value.tzinfo is None:
        raise ProtocolError(f"{key!r} has no time zone")
    return _in_utc(value, key)


def _in_utc(value: datetime, key: str) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ProtocolError(f"{key!r} is no moment of this world") from None


def retry_after(response: Response, *, reset: str | None = None) -> timedelta | None:
    """How long the provider asks to wait, or None where it does not say.

    Reads ``Retry-After`` (seconds or a date), else the header named by `reset`, a Unix time. Never
    less than a second, as clocks differ, nor more than a day, as headers lie.
    """
    seconds = _retry_header(response)
    if seconds is None and reset is not None:
        seconds = _since(response, _number(response.header(reset)))
    return None if seconds is None else timedelta(seconds=min(max(1.0, seconds), 86_400.0))


def _retry_header(response: Response) -> float | None:
    text = response.header("Retry-After")
    seconds = _number(text)
    return seconds if seconds is not None else _since(response, _date(text))


def _number(text: str | None) -> float | None:
    digits = (text or "").strip()  # `float` itself strips fewer characters
    return float(digits) if digits.isdecimal() else None


def _date(text: str | None) -> float | None:
    from email.utils import parsedate_to_datetime  # late: `email` is large, and few dates come

    try:
        at = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    # HTTP's dates are GMT; the oldest of its three forms does not say so.
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _since(response: Response, at: float | None) -> float | None:
    return None if at is None else at - response.received_at.timestamp()
