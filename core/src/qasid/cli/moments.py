"""Moments as people write them in an option: always with their time zone."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from qasid.text import ascii_digits
from qasid.values import TextMessage

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["moment"]

_WRITTEN: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(.*)"
)
_OFFSET: Final = re.compile(r"Z|[+-][0-9]{2}:?[0-9]{2}")
_HOW: Final = 'write it as "2026-12-01 14:30 Asia/Tehran" or 2026-12-01T14:30+03:30'


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """The moment that an option names, in its zone. Refuses one without, and one that never is."""
    if value is None:
        return None
    match = _WRITTEN.fullmatch(ascii_digits(value).strip())
    if match is None:
        raise click.BadParameter(f"no date with a time; {_HOW}")
    try:
        return _existing(match[1], match[2], match[3].strip())
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{error}; {_HOW}") from None


def _existing(day: str, time: str, zone: str) -> datetime:
    """Raises ValueError. A message knows best which moments there are."""
    if _OFFSET.fullmatch(zone):
        found = datetime.fromisoformat(f"{day}T{time}{zone}")
    else:
        found = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=_zone(zone))
    TextMessage(to="", text="", send_at=found)
    return found


def _zone(name: str) -> ZoneInfo:
    if not name:
        raise ValueError("it has no time zone")
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # the last for a folder of zones, such as "Asia"
        raise ValueError(f"{name!r} is no time zone of this system's table") from None
