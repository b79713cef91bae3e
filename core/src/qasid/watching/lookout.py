"""All that a watch knows, and what its workers do: flows, which either driver runs.

Any number of workers run `work`, each one look at a time. One of those that find nothing to do
sleeps until the next number is due; the others rest until they are called. So a look is handed to
nobody: whoever is free takes the next one, and most of the cost of a look is the look.
"""

from __future__ import annotations

import functools
import logging
import math
import operator
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import attrs

from qasid.effects import Call, Flow, Sleep, Wait
from qasid.errors import (
    AuthenticationFailed,
    InvalidRequest,
    NumberExpired,
    NumberNotFound,
    PermissionDenied,
    ProviderError,
    SettingsError,
)
from qasid.operations import Operations
from qasid.values import Activation, InboundMessage
from qasid.watching.lanes import Forecast, Lane
from qasid.watching.schedule import Entry
from qasid.webhooks.inbox import Inbox, Received

__all__ = ["Arrival", "Lookout", "Notice"]

#: Who is told what befell a number.
Notice: TypeAlias = Callable[[Activation, ProviderError], object]

_log = logging.getLogger("qasid")
_SHORTEST: Final = 0.001
_SPELL: Final = 0.01  # seconds after which others are let in, if the looks themselves do not do so
_NAP: Final = 0.05  # seconds after which a sleeper sees what was added, and that it is over
_READING: Final = 1.0  # seconds between two looks into the inbox of webhooks
_OVERLAP: Final = timedelta(seconds=10)  # what was stamped before it was stored

_OVER: Final = "the number's time is over"

#: The number is no more, or its account's provider will not be asked so: it leaves.
_ENDED: Final = (NumberExpired, NumberNotFound, InvalidRequest)
#: No look at any number of the account would do better.
_LOCKED_OUT: Final = (AuthenticationFailed, PermissionDenied)


@attrs.frozen
class Arrival:
    """A message that has come, and the activation that it came for."""

    activation: Activation
    message: InboundMessage


@attrs.frozen
class _Told:
    """Something to call where the arrivals are read, in its place among them."""

    entry: Entry
    error: ProviderError
    notice: Notice


@attrs.frozen
class _Reading:
    since: datetime | None


_Look: TypeAlias = tuple[Lane, Entry]
_Step: TypeAlias = _Look | _Reading | Sleep | Wait


class Lookout:
    """The numbers that are watched, and what was found and is not read yet. Threads may share it.

    `operations` are those of an account or of a route. `tick` tells the time of the driver's clock;
    asked for by an effect, it would be a sixth of what a look costs.
    """

    def __init__(
        self,
        operations: Any,
        tick: Callable[[], float],
        *,
        inbox: Inbox | None,
        webhook_interval: float,
        endless: bool,
        trouble: Notice | None,
        gone: Notice | None,
    ) -> None:
        if not 0 < webhook_interval < math.inf:
            raise SettingsError(
                "is no number of seconds over zero",
                account=operations.name,
                field="webhook_interval",
                remedy="give one, such as 60",
            )
        self._operations = operations
        self._tick = tick
        self._trouble = trouble
        self._gone = gone
        self._inbox = inbox
        self._webhook_interval = webhook_interval
        self._endless = endless
        self._lanes: dict[str, Lane] = {}
        self._lock = threading.Lock()
        self._found: deque[Arrival | _Told] = deque()
        self._bell: Future[None] | None = None
        self._resting: list[Future[None]] = []
        self._called = False
        self._asleep = False
        self._reads_at = -math.inf if inbox is not None else math.inf
        self._read: datetime | None = None
        self._forgotten = False
        self._closed = False
        self._failure: BaseException | None = None
        self._weighed = 0
        self._warned = False

    # Numbers come and go.

    def add(
        self, activations: Iterable[Activation], now: float, wall: datetime, webhook: bool | None
    ) -> None:
        """Let them wait too. One that does so already stays as it is."""
        posted = self._inbox is not None if webhook is None else webhook
        owned = [(self._operations.owner(item), item) for item in activations]
        owned.sort(key=lambda pair: pair[1].acquired_at)
        with self._lock:
            for operations, item in owned:
                lane = self._lane(operations)
                if item.id not in lane.entries:
                    interval = self._webhook_interval if posted else lane.interval
                    # From here on by the clock that nobody puts back.
                    lane.add(Entry(item, interval, now + _left(item, wall)), now)
            self._warn(now)

    def _lane(self, operations: Operations) -> Lane:
        if operations.name not in self._lanes:
            self._lanes[operations.name] = Lane(operations)
        return self._lanes[operations.name]

    def remove(self, activation: Activation) -> None:
        """Let it wait no more, if it does; what was found of it stays to be read."""
        operations = self._operations.owner(activation)
        with self._lock:
            lane = self._lane(operations)
            entry = lane.entries.get(activation.id)
            if entry is not None:
                self._drop(lane, entry)

    def notice(self, activation: Activation, messages: Iterable[InboundMessage]) -> None:
        """Tell of messages that came another way, so that the number is looked at less often."""
        self._posted(self._operations.owner(activation).name, activation, messages)

    def arrived(self, received: Iterable[Received]) -> None:
        """Tell of what webhooks brought; reports, and what is to nobody here, are left out."""
        for one in received:
            if one.hook.activation is not None and isinstance(one.item, InboundMessage):
                self._posted(one.hook.account, one.hook.activation, [one.item])

    def _posted(
        self, account: str, activation: Activation, messages: Iterable[InboundMessage]
    ) -> None:
        with self._lock:
            lane = self._lanes.get(account)
            entry = None if lane is None else lane.entries.get(activation.id)
            if entry is not None:
                entry.interval = max(entry.interval, self._webhook_interval)
                self._tell(entry, messages)

    def __len__(self) -> int:
        return sum(len(lane.entries) for lane in [*self._lanes.values()])

    def _drop(self, lane: Lane, entry: Entry) -> None:
        entry.waits = False
        del lane.entries[entry.activation.id]
        self._ring()

    # What is to come.

    def forecast(self, now: float) -> Forecast:
        """How the numbers will be looked at."""
        with self._lock:
            return self._forecast(now)

    def _forecast(self, now: float) -> Forecast:
        each = [lane.forecast(now) for lane in self._lanes.values()]
        return functools.reduce(operator.add, each, Forecast())

    def _warn(self, now: float) -> None:
        """Say once that numbers will end unseen, as the limits let too few looks go."""
        limited = any(lane.pause for lane in self._lanes.values())
        if self._warned or not limited or len(self) < self._weighed * 1.1:
            return  # a forecast costs more than adding a number does
        self._weighed = len(self)
        forecast = self._forecast(now)
        if forecast.unseen:
            self._warned = True
            _log.warning("%s: %s", self._operations.name, forecast)

    # Looking.

    def work(self) -> Flow[None]:
        """Look at what is due, until the watch is closed."""
        try:
            now = rested = self._tick()
            while (step := self._step(now)) is not None:
                if isinstance(step, tuple):
                    now = yield from self._look(*step)
                else:
                    now = yield from self._done(step)
                if now - rested > _SPELL:
                    yield Sleep(0)
                    rested = now
        except Exception as error:  # raised where the arrivals are read
            self.close(error)

    def _step(self, now: float) -> _Step | None:
        with self._lock:
            if self._forgotten:
                self._end(None)
            if self._closed:
                return None
            if now >= self._reads_at:
                self._reads_at = math.inf
                return _Reading(self._read and self._read - _OVERLAP)
            for lane in self._lanes.values():
                if lane.schedule.ends.first <= now:
                    self._expire(lane, now)
                if (entry := lane.take(now)) is not None:
                    if self._resting and not self._called and self._needed(lane, now):
                        self._called = True
                        self._resting.pop().set_result(None)
                    return lane, entry
            return self._pause(now)

    def _pause(self, now: float) -> Sleep | Wait:
        """One sleeps until there is something to do, all others rest."""
        if self._asleep:
            self._resting.append(Future())
            return Wait(self._resting[-1])
        self._asleep = True
        wakes = min((lane.next(now) for lane in self._lanes.values()), default=math.inf)
        return Sleep(min(max(min(wakes, self._reads_at) - now, _SHORTEST), _NAP))

    def _expire(self, lane: Lane, now: float) -> None:
        for entry in lane.schedule.over(now):
            self._leave(lane, entry, NumberExpired(_OVER))

    def _needed(self, lane: Lane, now: float) -> bool:
        """Whether there is more to do, or nobody to wake up for it."""
        return not self._asleep or lane.schedule.ripe(now)

    def _done(self, step: _Reading | Sleep | Wait) -> Flow[float]:
        """Do it, and tell when it was done."""
        if isinstance(step, Sleep):
            yield step
            self._asleep = False
        elif isinstance(step, Wait):
            yield step
            self._called = False
        else:
            yield from self._look_into(step)
        return self._tick()

    def _look_into(self, reading: _Reading) -> Flow[None]:
        """Read what webhooks brought since the last time."""
        assert self._inbox is not None  # noqa: S101, else nobody reads
        received = yield Call(functools.partial(self._inbox.items, since=reading.since))
        now = self._tick()
        self.arrived(received)
        with self._lock:
            self._read = max((one.received_at for one in received), default=self._read)
            self._reads_at = now + _READING

    def _look(self, lane: Lane, entry: Entry) -> Flow[float]:
        found: Sequence[InboundMessage] = ()
        error: ProviderError | None = None
        try:
            found = yield from self._operations.fetch(entry.activation)
        except _LOCKED_OUT:
            raise
        except ProviderError as failure:
            error = failure
        now = self._tick()
        with self._lock:
            lane.done()
            if entry.waits:  # it may have been taken away while it was looked at
                self._settle(lane, entry, found, error, now)
        return now

    def _settle(
        self,
        lane: Lane,
        entry: Entry,
        found: Sequence[InboundMessage],
        error: ProviderError | None,
        now: float,
    ) -> None:
        """It leaves, or waits for its next look."""
        if found:
            self._tell(entry, found)
        if error is not None and isinstance(error, _ENDED):
            self._leave(lane, entry, error)
        elif now >= entry.ends:
            self._leave(lane, entry, NumberExpired(_OVER))
        else:
            lane.schedule.put_back(entry, now)
            if error is not None:
                self._complain(entry, error)

    # Telling.

    def _tell(self, entry: Entry, messages: Iterable[InboundMessage]) -> None:
        news = entry.news(messages)
        if news:
            self._found += [Arrival(entry.activation, message) for message in news]
            self._ring()

    def _leave(self, lane: Lane, entry: Entry, error: ProviderError) -> None:
        if self._gone is not None:
            self._found.append(_Told(entry, error, self._gone))
        self._drop(lane, entry)

    def _complain(self, entry: Entry, error: ProviderError) -> None:
        """Tell of a failure that may pass, of each number one until that is read."""
        _log.info("%s: %s; looking again", entry.activation.account, type(error).__name__)
        if self._trouble is not None and not entry.troubled:
            entry.troubled = True
            self._found.append(_Told(entry, error, self._trouble))
            self._ring()

    def next(self) -> Flow[Arrival | None]:
        """The next arrival; None when nothing more comes. Calls those who are to be told."""
        while True:
            item = self._next()
            if isinstance(item, _Told):
                item.notice(item.entry.activation, item.error)
            elif isinstance(item, Wait):
                yield from self._heard(item)
            else:
                return item

    def _next(self) -> Arrival | _Told | Wait | None:
        with self._lock:
            if self._found:
                return self._read_off(self._found.popleft())
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            if self._closed or not (self._endless or len(self)):
                return None
            self._bell = self._bell or Future()
            return Wait(self._bell)

    def _read_off(self, item: Arrival | _Told) -> Arrival | _Told:
        if isinstance(item, _Told):
            item.entry.troubled = False
        return item

    def _heard(self, bell: Wait) -> Flow[None]:
        try:
            yield bell
        except BaseException:
            with self._lock:
                self._ring()  # a bell that is never rung would keep all who left it in mind
            raise

    def _ring(self) -> None:
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.set_result(None)

    def close(self, failure: BaseException | None = None) -> None:
        """No look is begun any more. What was found may still be read, and then the failure."""
        with self._lock:
            self._end(failure)

    def _end(self, failure: BaseException | None) -> None:
        if not self._closed:
            self._closed, self._failure = True, failure
        while self._resting:
            self._resting.pop().set_result(None)
        self._ring()

    def forget(self) -> None:
        """Close it soon. It takes no lock, as it may be called at any point whatever."""
        self._forgotten = True


def _left(activation: Activation, wall: datetime) -> float:
    """Seconds until its end, which may be over, or infinity."""
    ends = activation.expires_at
    return math.inf if ends is None else (ends - wall).total_seconds()
