"""The numbers of one account, looked at no faster than its provider's limits allow.

A look is begun only when the account's limiter would let it go at once, so the numbers that wait
are a queue here, in which the youngest come first, and not there, where all of the account's other
requests would stand behind them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import attrs

from qasid.operations import Operations
from qasid.policies.rates import Limiter
from qasid.watching.schedule import Entry, Schedule

__all__ = ["Forecast", "Lane"]

HOOK: Final = "fetch_sms"


@attrs.frozen(kw_only=True)
class Forecast:
    """How numbers will be looked at, if none is added and no look takes long.

    Each of the `numbers` is looked at `every` so often on average. `first_looks` says in how much
    time those come to their first look that had none yet, by account and id; of `unseen` numbers
    the time is over before that.
    """

    numbers: int = 0
    every: timedelta = timedelta(0)
    first_looks: Mapping[tuple[str, str], timedelta] = attrs.field(factory=dict, repr=False)
    unseen: int = 0

    def __str__(self) -> str:
        seconds = self.every.total_seconds()
        words = f"{self.numbers} numbers wait, and each is looked at every {seconds:,.0f} s"
        if not self.unseen:
            return words
        return f"{words}, as the limits allow; {self.unseen} expire before their first look"

    def __add__(self, other: Forecast) -> Forecast:
        """That of the numbers of two accounts."""
        numbers = self.numbers + other.numbers
        total = self.every * self.numbers + other.every * other.numbers
        return Forecast(
            numbers=numbers,
            every=total / max(1, numbers),
            first_looks={**self.first_looks, **other.first_looks},
            unseen=self.unseen + other.unseen,
        )


@attrs.define(eq=False)
class Lane:
    """The queue of one account. `pause` is how many seconds its limits put between two looks."""

    operations: Operations
    schedule: Schedule = attrs.field(factory=Schedule, init=False)
    entries: dict[str, Entry] = attrs.field(factory=dict, init=False)
    pause: float = attrs.field(init=False)
    _own: Limiter = attrs.field(init=False)
    _wait: Callable[[str, float], float] = attrs.field(init=False)
    _most: int = attrs.field(init=False)
    _busy: int = attrs.field(default=0, init=False)
    _opens: float = attrs.field(default=-math.inf, init=False)
    _waited: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        # Counts looks that have begun, and have not yet come to the account's limiter.
        self._own = Limiter(self.operations.info.limits, max_wait=math.inf)
        self.pause = self._own.interval(HOOK)
        self._wait = self._longer if self.pause else self.operations.line.wait
        self._most = self.operations.pool_size  # one more would only wait for a connection

    @property
    def interval(self) -> float:
        """Seconds between two looks at a number, as the provider wishes."""
        return self.operations.info.poll_interval.total_seconds()

    def add(self, entry: Entry, now: float) -> None:
        """Let a number wait."""
        self.entries[entry.activation.id] = entry
        self.schedule.add(entry, now)

    def take(self, now: float) -> Entry | None:
        """Whose turn it is, if anybody is due and a request may go."""
        if now < self._opens or self._busy >= self._most or not self.schedule.ripe(now):
            return None
        if not self._waited and (wait := self._wait(HOOK, now)):
            self._opens, self._waited = now + wait, True
            return None
        self._waited = False  # it has waited once: others who book all the time do not keep it out
        if self.pause:
            self._own.book(HOOK, now)
        entry = self.schedule.take()
        entry.busy = True
        self._busy += 1
        return entry

    def _longer(self, hook: str, now: float) -> float:
        """Seconds that the account's limiter or this lane's own would wait."""
        return max(self.operations.line.wait(hook, now), self._own.wait(hook, now))

    def done(self) -> None:
        """A look has come to its end."""
        self._busy -= 1

    def next(self, now: float) -> float:
        """The moment from which `take` may give something, as far as is known now."""
        if self._busy >= self._most:
            return math.inf
        return max(self._opens, now if self.schedule.ripe(now) else self.schedule.next())

    # What is to come.

    def forecast(self, now: float) -> Forecast:
        """How the numbers will be looked at."""
        firsts, unseen = self._firsts(now)
        numbers = len(self.entries)
        due = sum(1 / entry.interval for entry in self.entries.values())
        every = max(numbers * self.pause, numbers / due if due else 0.0)
        return Forecast(
            numbers=numbers, every=timedelta(seconds=every), first_looks=firsts, unseen=unseen
        )

    def _firsts(self, now: float) -> tuple[dict[tuple[str, str], timedelta], int]:
        """When each comes to its first look, and how many do not: what would be, in fast motion."""
        at = max(now, self._opens, now + self._wait(HOOK, now))
        firsts: dict[tuple[str, str], timedelta] = {}
        unseen = 0
        for entry in self.schedule.line():
            first, seen = not entry.looked, at < entry.ends
            if first and seen:
                key = self.operations.name, entry.activation.id
                firsts[key] = timedelta(seconds=at - now)
            unseen += first and not seen
            at += self.pause if seen else 0.0
        return firsts, unseen
