"""Whose turn it is to be looked at. It has no clock: each call is told the time.

Times are seconds of a clock that never goes back. Due times are kept in slots of `SLOT` seconds,
so that a number costs the same to put away among ten as among ten thousand, and whoever sleeps
until the next slot finds all that came due in it.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from qasid.values import Activation, InboundMessage

__all__ = ["SLOT", "Calendar", "Entry", "Schedule"]

SLOT: Final = 0.04  # a look is at most that late by itself; 1 s / 0.04 s = 25 wake-ups a second

#: A number that is looked at once more at its end may have to wait for that so many seconds.
_GRACE: Final = 5.0

#: How many messages of one number are known again, or as many as one look gives.
_KEPT: Final = 1000


@attrs.define(eq=False, weakref_slot=False)
class Entry:
    """A number that waits: when it is due, when it ends, and what was seen of it.

    `interval` is how many seconds go by between two looks.
    """

    activation: Activation
    interval: float
    ends: float = math.inf
    due: float = 0.0
    waits: bool = True
    busy: bool = False
    looked: bool = False
    troubled: bool = False
    _seen: dict[object, None] | None = None

    def news(self, messages: Iterable[InboundMessage]) -> list[InboundMessage]:
        """Those that were not seen before, by their ids, or without an id by all but the number."""
        messages = [*messages]
        if not messages:
            return messages
        seen = self._seen = self._seen if self._seen is not None else {}
        found = [message for message in messages if _is_new(seen, message)]
        while len(seen) > max(_KEPT, len(messages)):
            del seen[next(iter(seen))]
        return found


def _is_new(seen: dict[object, None], message: InboundMessage) -> bool:
    """Whether it is none of them; it is the last of them now."""
    same = message.id or (message.text, message.sender, message.received_at)
    known = same in seen
    seen.pop(same, None)
    seen[same] = None
    return not known


@attrs.define(eq=False)
class Calendar:
    """Entries by the slot of a moment. `first` is the moment of the first slot, or infinity."""

    first: float = attrs.field(default=math.inf, init=False)
    _slots: dict[int, list[Entry]] = attrs.field(factory=dict, init=False)
    _order: list[int] = attrs.field(factory=list, init=False)

    def put(self, at: float, entry: Entry) -> None:
        """Note it in the first slot that is not before `at`."""
        slot = math.ceil(at / SLOT)
        found = self._slots.get(slot)
        if found is None:
            self._slots[slot] = [entry]
            heapq.heappush(self._order, slot)
            self.first = self._order[0] * SLOT
        else:
            found.append(entry)

    def pop(self, now: float) -> Iterator[Entry]:
        """Take out those whose moment has come, slot by slot in order."""
        while self.first <= now:
            yield from self._slots.pop(heapq.heappop(self._order))
            self.first = self._order[0] * SLOT if self._order else math.inf


class Schedule:
    """The numbers of one account. Nobody is passed over for ever, however late everybody is.

    Whoever is due comes in the order of due times. Those that were never looked at come before
    them, the youngest first; where both wait, they take turns with whoever has waited longest.
    `ends` has those whose time ends, by when nobody needs to look any more.
    """

    def __init__(self) -> None:
        self._new: deque[Entry] = deque()
        self._late: deque[Entry] = deque()
        self._looks = Calendar()
        self.ends = Calendar()
        self._youngest = False

    def add(self, entry: Entry, now: float) -> None:
        """Let it wait for its first look, which is due at once."""
        entry.due = now
        self._new.append(entry)
        if entry.ends < math.inf:
            self.ends.put(entry.ends + _GRACE, entry)

    def over(self, now: float) -> list[Entry]:
        """Take out those that wait beyond their end, though nobody came to look at them."""
        return [entry for entry in self.ends.pop(now) if entry.waits and not entry.busy]

    def ripe(self, now: float) -> bool:
        """Whether anybody is due."""
        if self._looks.first <= now:
            self._late.extend(self._looks.pop(now))
        late, new = self._late, self._new
        while late and not late[0].waits:
            late.popleft()
        while new and not new[0].waits:
            new.popleft()
        while new and not new[-1].waits:
            new.pop()
        return bool(late or new)

    def take(self) -> Entry:
        """Whose turn it is, where anybody is due. It is put back when it has been looked at."""
        if not self._new:
            return self._late.popleft()
        self._youngest = not self._youngest
        if self._youngest:
            return self._new.pop()
        late = not self._late or self._new[0].due <= self._late[0].due
        return self._new.popleft() if late else self._late.popleft()

    def put_back(self, entry: Entry, now: float) -> None:
        """It was looked at now; it is due again after its interval, or once more at its end."""
        entry.busy, entry.looked = False, True
        due = now + entry.interval
        # min() would be a sixteenth of all that the schedule of a look costs.
        entry.due = due = due if due < entry.ends else entry.ends  # noqa: FURB136
        self._looks.put(due, entry)

    def next(self) -> float:
        """When anybody comes due or to an end next, where nobody is due now."""
        return min(self._looks.first, self.ends.first)

    def line(self) -> Iterator[Entry]:
        """Who is due, in the order that they would come in if nobody else became so."""
        other = Schedule()
        other._new, other._late = self._new.copy(), self._late.copy()
        other._youngest = self._youngest
        while other.ripe(-math.inf):
            yield other.take()
