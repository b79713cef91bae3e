"""One call where a journal is kept: its requests are claimed, tried or waited for, and settled.

An account without a journal never imports this, nor what it writes down.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from qasid.effects import Flow, Now, Sleep, Tick
from qasid.errors import JournalUnavailable, Outcome, QasidError, ReferenceConflict
from qasid.journal import records, results
from qasid.journal.records import Ending, Intent, Operation, Standing, State
from qasid.policies.journal import Act, Book, Journaling, persisting
from qasid.policies.passage import Attempt, surely_not_performed

__all__ = ["Run", "ended", "not_tried"]

_log = logging.getLogger("qasid")

#: Seconds between two looks at what another process is trying: the first, doubled up to the last.
_FIRST_LOOK: Final = 0.1
_LAST_LOOK: Final = 2.0


@attrs.define
class Run:
    """One call: its requests by their places, those that are claimed, and the results so far.

    `begin` tells what stands, and writes down the rest unless it only looks (not `claiming`).
    """

    journaling: Journaling
    book: Book
    begin: Callable[[Sequence[Intent], datetime], list[Standing | None]]
    hook: str
    requests: Sequence[Any]
    act: Act
    noted: list[Attempt] | None
    claiming: bool = True
    claims: dict[int, str] = attrs.field(factory=dict)
    results: dict[int, Any] = attrs.field(factory=dict)
    seen: dict[Any, float] = attrs.field(factory=dict)
    pause: float = _FIRST_LOOK

    def flow(self) -> Flow[list[Any]]:
        """A result or an error for each request, in their order."""
        # What can be tried is, before anything is waited for: two that wait for each other's
        # references would wait in vain.
        while left := [i for i in range(len(self.requests)) if i not in self.results]:
            mine = yield from self._claim(left)
            if mine:
                yield from self._perform(mine)
            elif len(self.results) < len(self.requests):
                yield Sleep(self.pause)
                self.pause = min(self.pause * 2, _LAST_LOOK)
        return [self.results[i] for i in range(len(self.requests))]

    def _claim(self, left: Sequence[int]) -> Flow[list[int]]:
        """Which of the requests are to be tried now; others have a result, or are waited for."""
        intents = [self._intent(self.requests[i]) for i in left]
        now, tick = (yield Now()), (yield Tick())
        try:
            begin = functools.partial(self.begin, intents, now)
            found = yield from self.journaling.outage.reach(begin)
        except JournalUnavailable as error:
            return self._unrecorded(left, error)
        except GeneratorExit:  # no more effects
            raise
        except BaseException as error:  # interrupted; it may have been written all the same
            yield from self._settle({one.claim: error for one in intents}, [])
            raise
        return [
            i
            for i, intent, standing in zip(left, intents, found, strict=True)
            if self._free(i, intent, standing, now, tick)
        ]

    def _intent(self, request: Any) -> Intent:
        """What is written down of one request before it is tried."""
        return records.intent(self.hook, request, **self.journaling.of)

    def _unrecorded(self, left: Sequence[int], error: JournalUnavailable) -> list[int]:
        """Which of them may be tried all the same. Raises the error where that is none at all."""
        lets = functools.partial(self.journaling.lets, self.hook)
        error = self.journaling.refusal(self.hook, error)
        rest = [i for i in left if lets(self.requests[i])]
        self.results |= {i: error for i in left if i not in rest}
        if not rest and len(left) == len(self.requests):
            raise error
        self.journaling.warn(f"{self.hook} is tried {len(rest)} times unrecorded", error)
        return rest

    def _free(
        self, place: int, intent: Intent, standing: Standing | None, now: datetime, tick: float
    ) -> bool:
        if standing is None:
            self.claims |= {place: intent.claim} if self.claiming else {}
            return True
        operation = standing.operation.at(now)
        first = self.seen.setdefault((operation.id, operation.updated_at), tick)
        if not standing.same:
            self.results[place] = _conflict(intent.reference, operation)
        elif not _under_way(operation, tick - first):
            self.results[place] = _recorded(operation, self.requests[place])
        return False

    def _perform(self, mine: Sequence[int]) -> Flow[None]:
        attempts = [] if self.noted is None else self.noted
        claims = [self.claims.pop(i, None) for i in mine]
        try:
            given = yield from self.act([self.requests[i] for i in mine], attempts)
        except GeneratorExit:  # no more effects
            raise
        except BaseException as error:
            yield from self._end(dict.fromkeys(claims, error), attempts)
            if not isinstance(error, QasidError) or len(mine) == len(self.requests):
                raise
            given = [error] * len(mine)
        else:
            yield from self._end(dict(zip(claims, given, strict=True)), attempts)
        self.results.update(zip(mine, given, strict=True))

    def _end(self, given: Mapping[str | None, Any], attempts: list[Attempt]) -> Flow[None]:
        """Write down how these tries ended; say where the journal has no such try any more."""
        tries = {claim: end for claim, end in given.items() if claim is not None}
        if tries and (yield from self._settle(tries, attempts)) < len(tries):
            name = self.journaling.account
            _log.warning("%s: %s ended when the journal had given it up", name, self.hook)

    def _settle(self, tries: Mapping[str, Any], attempts: list[Attempt]) -> Flow[int]:
        """Write it down; what cannot be written is said, and no more. Gives how many there were."""
        endings = [_ending(claim, end, attempts) for claim, end in tries.items()]
        settle = functools.partial(self.book.settle, endings, (yield Now()))
        try:
            count: int = yield from persisting(settle)
        except JournalUnavailable as error:
            name = self.journaling.account
            _log.warning("%s: %s ended, and how is not recorded: %s", name, self.hook, error)
            return len(endings)
        self.journaling.outage.over()
        return count


def not_tried(requests: Sequence[Any], attempts: list[Attempt]) -> Flow[Sequence[Any]]:
    """The act of who only looks."""
    yield from ()
    return [None] * len(requests)


def ended(book: Book, intents: Sequence[Intent], now: datetime) -> list[Standing | None]:
    """What stands under references, without what may still be under way."""
    found = book.standing(intents, now)
    return [None if one is None or _is_pending(one, now) else one for one in found]


def _is_pending(standing: Standing, now: datetime) -> bool:
    return standing.same and standing.operation.at(now).state is State.PENDING


def _ending(claim: str, end: Any, attempts: Sequence[Attempt]) -> Ending:
    if not isinstance(end, BaseException):
        return results.performed(claim, end)
    sure = surely_not_performed(end, attempts)
    return results.failed(claim, end, State.REFUSED if sure else State.UNKNOWN)


def _under_way(operation: Operation, waited: float) -> bool:
    """Whether another may still be at it: also by a clock that nobody sets back."""
    return operation.state is State.PENDING and waited < operation.lease.total_seconds()


def _recorded(operation: Operation, request: Any) -> Any:
    try:
        return results.replayed(operation, request)
    except QasidError as error:
        return error


def _conflict(reference: str | None, operation: Operation) -> ReferenceConflict:
    return ReferenceConflict(
        f"another request was made as {reference!r} on {operation.created_at:%Y-%m-%d %H:%M:%S} UTC"
        f" ({operation.id} in the journal); give this one a reference of its own",
        outcome=Outcome.NOT_PERFORMED,
    )
