"""How SMSAfzar's successes are read. But for that of the login none is documented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from qasid import errors
from qasid.effects import Response
from qasid.reading import take
from qasid.values import InboundMessage, Money
from qasid_smsafzar.tables import UNITS

__all__ = ["inbox", "money", "states"]


def money(response: Response) -> Money:
    """The balance in rials. Raises `ProtocolError`, also for a unit that is neither."""
    body = response.json()
    # [not documented] The members' names: one is the amount, the other is its unit.
    rials = UNITS.get(_only(body, str).strip().lower())
    if rials is None:
        raise errors.ProtocolError("the balance is neither in rials nor in tomans")
    return Money(_only(body, Decimal) * rials, "IRR")


def _items(response: Response) -> list[Any]:
    """The list that an answer is or, [not documented] as well, the only one in it."""
    body = response.json()
    members = body.values() if isinstance(body, Mapping) else [body]
    lists = [one for one in members if isinstance(one, list)]
    if len(lists) != 1:
        raise errors.ProtocolError("the reply is not a list, nor an object with one list in it")
    return lists[0]


def states(response: Response, asked: Sequence[str]) -> dict[str, str]:
    """The code of each message by its id."""
    found: dict[str, str] = {}
    for item in _items(response):
        if not isinstance(item, Mapping):
            raise errors.ProtocolError("the state of a message is not an object")
        # [not documented] The members: one is an id of ours; `status`, or the one number, a code.
        ids = [one for one in item.values() if isinstance(one, str) and one in asked]
        found |= {one: _code(item) for one in ids}
    return found


def _code(item: Mapping[str, Any]) -> str:
    return str(take(item, "status", int) if "status" in item else _only(item, int))


def inbox(response: Response) -> list[InboundMessage]:
    """The messages, oldest first if the moments of all are told, else as they came."""
    messages = [_inbound(item) for item in _items(response)]
    dated = [(one.received_at, one) for one in messages if one.received_at is not None]
    if len(dated) < len(messages):
        return messages
    return [one for _, one in sorted(dated, key=lambda pair: pair[0])]


def _inbound(item: object) -> InboundMessage:
    # [not documented] All members: named here as those of a send are. The text alone is needed.
    at = take(item, "receivedTimestamp", int, None)
    return InboundMessage(
        text=take(item, "content", str),
        sender=take(item, "senderNumber", str, None),
        to=take(item, "recipientNumber", str, None),
        received_at=None if at is None else _moment(at),
        id=take(item, "receivedMessageId", str, None),
    )


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise errors.ProtocolError("'receivedTimestamp' is no moment of this world") from None


_KINDS: Final[Mapping[type, tuple[type, ...]]] = {Decimal: (int, Decimal), int: (int,), str: (str,)}


def _only(body: object, kind: type) -> Any:
    """The one member of that type, as its name is not documented. Raises `ProtocolError`."""
    members = body.items() if isinstance(body, Mapping) else ()
    found = [
        name
        for name, value in members
        if isinstance(value, _KINDS[kind]) and not isinstance(value, bool)
    ]
    if len(found) != 1:
        raise errors.ProtocolError(f"{len(found)} members are a {kind.__name__}, where one was due")
    return take(body, found[0], kind)
