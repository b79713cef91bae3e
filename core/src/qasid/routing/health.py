"""How an account of a route has been doing, as the route saw it itself.

Of each account the last 100 acts and the last 100 reports on deliveries count, each for an hour: an
account that was left alone for so long is one of which nothing is known. Acts and reports that
others see, such as another process, do not count.

It knows no clock: whoever uses it says what time it is, in seconds of a clock that never goes back.
Any number of threads may share one `Record`, which never holds more than is said here.
"""

from __future__ import annotations

import statistics
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, TypeVar

import attrs

from qasid.effects import Effect, Flow, Request, Tick, Wait
from qasid.values import DeliveryReport, DeliveryState

__all__ = ["Health", "Record", "Watch"]

T = TypeVar("T")

#: How many acts, and how many reports, count.
_WINDOW: Final = 100
#: For how many seconds they do.
_MEMORY: Final = 3600.0
#: Of how many messages it is known when they were accepted.
_UNDER_WAY: Final = 1_000


@attrs.frozen(kw_only=True)
class Health:
    """How an account has been doing of late. Shares are from 0 to 1; None where nothing is known.

    `performed` is the share of the last `acts` that the provider did. It does not count what was
    refused for its recipient, its content or a budget. `latency` is how long it took to answer, the
    median. `delivered` is the share of the last `reports` that say of a message whether it arrived,
    and `delivery` the median from the provider's acceptance to its arrival, where both are known.
    """

    acts: int = 0
    performed: float | None = None
    latency: timedelta | None = None
    reports: int = 0
    delivered: float | None = None
    delivery: timedelta | None = None

    def __str__(self) -> str:
        parts = [f"{self.delivered:.0%} of {self.reports} delivered"] if self.reports else []
        parts += [f"{self.performed:.0%} of {self.acts} performed"] if self.acts else []
        parts += [] if self.latency is None else [f"{self.latency.total_seconds():.1f} s"]
        return ", ".join(parts)


@attrs.frozen
class _Act:
    at: float
    performed: bool
    seconds: float | None


@attrs.frozen
class _End:
    at: float
    delivered: bool
    seconds: float | None


class Record:
    """What one account did in one route, as far as it still counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._acts: deque[_Act] = deque(maxlen=_WINDOW)
        self._ends: OrderedDict[str, _End] = OrderedDict()
        self._accepted: OrderedDict[str, datetime] = OrderedDict()

    def act(self, now: float, *, performed: bool, seconds: float | None) -> None:
        """Note an act that the provider was asked for, and how many seconds it took to answer."""
        with self._lock:
            self._acts.append(_Act(now, performed, seconds))

    def accepted(self, identities: Iterable[str], at: datetime) -> None:
        """Note that messages of these ids were accepted at that moment (UTC)."""
        with self._lock:
            for identity in identities:
                _put(self._accepted, identity, at, _UNDER_WAY)

    def reported(self, now: float, reports: Iterable[DeliveryReport]) -> None:
        """Note what became of messages. One that says the same again, or nothing yet, is none."""
        with self._lock:
            for report in reports:
                if report.state in {DeliveryState.DELIVERED, DeliveryState.FAILED}:
                    self._note(now, report)

    def _note(self, now: float, report: DeliveryReport) -> None:
        delivered = report.state is DeliveryState.DELIVERED
        known = self._ends.get(report.receipt_id)
        if known is None or known.delivered is not delivered:
            end = _End(now, delivered, self._way(report) if delivered else None)
            _put(self._ends, report.receipt_id, end, _WINDOW)

    def _way(self, report: DeliveryReport) -> float | None:
        began = self._accepted.get(report.receipt_id)
        if began is None or report.at is None:
            return None
        return max(0.0, (report.at - began).total_seconds())  # two clocks

    def health(self, now: float) -> Health:
        """What counts at that moment."""
        with self._lock:
            acts = [act for act in self._acts if now - act.at < _MEMORY]
            ends = [end for end in self._ends.values() if now - end.at < _MEMORY]
        return Health(
            acts=len(acts),
            performed=_share(act.performed for act in acts),
            latency=_median(act.seconds for act in acts),
            reports=len(ends),
            delivered=_share(end.delivered for end in ends),
            delivery=_median(end.seconds for end in ends),
        )


def _put(kept: OrderedDict[str, T], key: str, value: T, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def _share(given: Iterable[bool]) -> float | None:
    items = [*given]
    return sum(items) / len(items) if items else None


def _median(given: Iterable[float | None]) -> timedelta | None:
    known = [seconds for seconds in given if seconds is not None]
    return timedelta(seconds=statistics.median(known)) if known else None


@attrs.define
class Watch:
    """Over one act: whether the provider was asked, and how long it took to answer.

    An act that is given again from the journal asks nobody, and so tells nothing.
    """

    asked: bool = False
    answers: int = 0
    waited: float = 0.0

    @property
    def seconds(self) -> float | None:
        """How long an answer took; the mean, where there were several."""
        return self.waited / self.answers if self.answers else None

    def over(self, effect: Effect) -> Flow[object]:
        """Relay an effect. Who waits for a credential that another act asks for asks as well."""
        self.asked |= isinstance(effect, Request | Wait)
        if not isinstance(effect, Request):
            return (yield effect)
        began = yield Tick()
        given = yield effect
        self.waited += (yield Tick()) - began
        self.answers += 1
        return given
