"""Providers' limits, kept by reservation: nobody is refused who can wait, and nobody is overtaken.

Each limit is a lane with the generic cell rate algorithm (GCRA) over a calendar: a call books the
earliest moment that conforms to all lanes that it uses, now or later, and then sleeps until then.
As moments are booked in advance, a call that must wait long for a narrow lane (ten acquisitions a
minute) leaves the wide one (120 requests a minute) free for others until then.
"""

from __future__ import annotations

import math
import threading
from bisect import insort
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

import attrs

from qasid.effects import Flow, Sleep, Tick
from qasid.errors import RateLimited
from qasid.hookspecs import HOOKS
from qasid.values import Limit

__all__ = ["Limiter", "useful"]

# Requests do not travel equally fast: two that leave 1.00 s apart may arrive 0.96 s apart.
_GUARD: Final = 1.05
# Sums of floats are not exact; no clock is either.
_ROUNDING: Final = 1e-6
#: Requests under way at once, where no limit asks for less. More gain little at any provider.
_WORKERS: Final = 8
#: Seconds after which most answers are there.
_ANSWER: Final = 1.0


@attrs.define
class _Lane:
    """One limit. Booked moments are sorted; those that have passed are folded into `due`."""

    limit: Limit
    interval: float
    slack: float
    due: float = float("-inf")  # GCRA's theoretical arrival time
    booked: list[float] = attrs.field(factory=list)

    @classmethod
    def of(cls, limit: Limit) -> _Lane:
        # In any period: burst + period / interval - 1 = requests.
        steady = limit.requests - limit.burst + 1
        interval = limit.period.total_seconds() * _GUARD / steady
        return cls(limit, interval, interval * (limit.burst - 1))

    def forget(self, now: float) -> None:
        while self.booked and self.booked[0] <= now:
            self.due = self._after(self.due, self.booked.pop(0))

    def earliest(self, start: float) -> float:
        """The first moment from `start` on that conforms, and lets all booked ones conform."""
        due, at = self.due, start
        if not self.booked and due - self.slack <= at:  # most often
            return at
        for index, other in enumerate(self.booked):
            at = max(at, due - self.slack)
            if at < other and self._conform(self._after(due, at), index):
                return at
            due = self._after(due, other)
        return max(at, due - self.slack)

    def _conform(self, due: float, index: int) -> bool:
        for other in self.booked[index:]:
            if other < due - self.slack - _ROUNDING:
                return False
            due = self._after(due, other)
        return True

    def _after(self, due: float, at: float) -> float:
        return max(due, at) + self.interval


class Limiter:
    """The limits of one account, shared by all its threads and tasks."""

    def __init__(self, limits: Iterable[Limit], *, max_wait: float) -> None:
        lanes = [_Lane.of(limit) for limit in limits]
        self._lanes = {
            hook: [lane for lane in lanes if lane.limit.applies_to(hook)] for hook in HOOKS
        }
        self._max_wait = max_wait
        self._held: dict[str, float] = {}
        self._lock = threading.Lock()

    def binds(self, hook: str) -> bool:
        """Whether there is anything that a request of that hook may have to wait for."""
        return bool(self._lanes[hook]) or hook in self._held

    def admission(self, hook: str) -> Flow[None]:
        """Return when a request of that hook may go. Raises `RateLimited` at once if too late."""
        now = yield Tick()
        wait = self.book(hook, now)
        if wait > 0:
            yield Sleep(wait)

    def hold(self, hook: str, seconds: float) -> Flow[None]:
        """Let no further request of that hook go for so long, as the provider asked."""
        now = yield Tick()
        with self._lock:
            self._held[hook] = max(now + seconds, self._held.get(hook, now))

    def book(self, hook: str, now: float) -> float:
        """Book the earliest moment for a request of that hook; gives the seconds until then.

        Raises `RateLimited`, and books nothing, where they are more than `max_wait`.
        """
        lanes = self._lanes[hook]
        with self._lock:
            at = self._earliest(lanes, hook, now)
            wait = _until(at, now)
            if wait > self._max_wait:
                raise _too_late(wait)
            for lane in lanes:
                insort(lane.booked, at)
        return wait

    def wait(self, hook: str, now: float) -> float:
        """Seconds until a request of that hook could go. Books nothing."""
        if not self.binds(hook):
            return 0.0
        lanes = self._lanes[hook]
        with self._lock:
            return _until(self._earliest(lanes, hook, now), now)

    def interval(self, hook: str) -> float:
        """Seconds between two requests of that hook, when they are as many as may go for long."""
        return max((lane.interval for lane in self._lanes[hook]), default=0.0)

    def _earliest(self, lanes: Sequence[_Lane], hook: str, now: float) -> float:
        for lane in lanes:
            lane.forget(now)
        return _common(lanes, max(now, self._held.get(hook, now)))


def _common(lanes: Sequence[_Lane], start: float) -> float:
    at = start
    if len(lanes) == 1:
        return lanes[0].earliest(at)
    while (later := max([lane.earliest(at) for lane in lanes], default=at)) > at:
        at = later
    return at


def _until(at: float, now: float) -> float:
    return at - now if at - now > _ROUNDING else 0.0


def _too_late(wait: float) -> RateLimited:
    return RateLimited(
        f"the provider's limits allow this in {wait:.1f} s, which is over max_wait; try later",
        retry_after=timedelta(seconds=wait),
    )


def useful(limits: Iterable[Limit], hook: str, *, most: int, max_wait: float) -> int:
    """How many requests of that hook may usefully be under way at once; at least one.

    As many as the steady rate fills when an answer takes a second, and one more, as one of them may
    hang: 5 a second, 6. Never so many that the last in the queue would wait over `max_wait`.
    """
    lanes = [_Lane.of(limit) for limit in limits if limit.applies_to(hook)]
    found = [
        min(math.ceil(_ANSWER / lane.interval) + 1, int(max_wait / lane.interval)) for lane in lanes
    ]
    return max(1, min([_WORKERS, most, *found]))
