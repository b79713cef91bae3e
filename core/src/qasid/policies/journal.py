"""What costs money is written down before it is tried, and its end after it.

The intent is committed before the request, so that a crash leaves a record, and what a crash leaves
is *unknown*: it is never repeated. A `reference` makes an act idempotent: what was performed under
it is given again without a request, by whatever process; what another is trying is waited for; what
was refused may be tried again. This module decides, and knows no database (see `qasid.journal`).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import attrs

from qasid import journal
from qasid.effects import Call, Flow, Now, Sleep, Tick
from qasid.errors import (
    JournalUnavailable,
    Outcome,
    QasidError,
    ReferenceConflict,
    SettingsError,
)
from qasid.journal import records, results
from qasid.journal.records import Ending, Intent, Operation, Standing, State
from qasid.policies.outage import Outage
from qasid.policies.passage import Attempt, surely_not_performed
from qasid.rentals import Home
from qasid.settings import Options, Resolved
from qasid.values import Money

__all__ = ["Act", "Book", "Journaling", "lease", "persisting"]

T = TypeVar("T")
Act: TypeAlias = Callable[[Sequence[Any], list[Attempt]], Flow[Sequence[Any]]]

_log = logging.getLogger("qasid")

#: Seconds between two looks at what another process is trying: the first, doubled up to the last.
_FIRST_LOOK: Final = 0.1
_LAST_LOOK: Final = 2.0
#: Seconds between tries to write down how an act ended, as when a database is restarted: it cannot
#: be tried again later.
_PERSISTENCE: Final = (0.5, 1.0, 2.0, 4.0)


class Book(Protocol):
    """Where it is written: a `qasid.journal.store.Journal`."""

    @property
    def address(self) -> object:
        """Where it is: equal for all that is written down in one place."""

    @property
    def shelf(self) -> Home:
        """Where the account's book of rentals is kept too."""

    def begin(self, intents: Sequence[Intent], now: datetime) -> list[Standing | None]:
        """Write down what is about to be tried; see `Journal.begin`."""

    def standing(self, intents: Sequence[Intent], now: datetime) -> list[Standing | None]:
        """Look up what stands under references; see `Journal.standing`."""

    def settle(self, endings: Sequence[Ending], now: datetime) -> int:
        """Write down what became of it; see `Journal.settle`."""

    def note(self, account: str, money: Money, now: datetime) -> None:
        """Write down a balance; see `Journal.note`."""

    def close(self) -> None:
        """Give the connections back."""


def lease(options: Options) -> timedelta:
    """As long as an act should take at the longest: three tries, each with a token before it.

    3 · 2 · (120 + 10 + 30) s = 16 min with the options as they are by default. One that takes
    longer, such as a provider's flow of many requests, is read as unknown while it is still at it;
    its end is written down all the same.
    """
    longest = options.max_wait + options.connect_timeout + options.timeout
    return timedelta(seconds=3 * 2 * longest)


class Journaling:
    """The journal as one account keeps it: `off`, `on` or `strict`.

    Where it `counts` what the account may rent, nothing is rented without it in any mode: a budget
    that cannot be counted cannot be kept.
    """

    def __init__(self, resolved: Resolved, *, counts: bool = False) -> None:
        options = resolved.options
        self.account = resolved.account
        self.strict = options.journal == "strict"
        self.book = None if options.journal == "off" else _book(resolved, self.strict)
        self.counts = counts and self.book is not None
        self.outage = Outage(resolved.account)
        self._of = {
            "account": resolved.account,
            "provider": resolved.provider_name,
            "lease": lease(options),
            "hide_recipient": options.journal_recipients == "digest",
        }

    @property
    def address(self) -> object | None:
        """Where the journal is: equal for accounts that keep it together. None without one."""
        return None if self.book is None else self.book.address

    def close(self) -> None:
        """Give the connections back."""
        if self.book is not None:
            self.book.close()

    def require(self, requests: Sequence[Any]) -> None:
        """Raise `SettingsError` for a reference that nobody would keep."""
        if self.book is None and any(request.reference is not None for request in requests):
            raise SettingsError(
                "is given, but this account keeps no journal",
                account=self.account,
                field="reference",
                remedy='set journal = "on" or "strict"',
            )

    def one(
        self,
        hook: str,
        request: Any,
        act: Callable[[list[Attempt]], Flow[Any]],
        attempts: list[Attempt] | None = None,
    ) -> Flow[Any]:
        """Run one act, or give or raise what was recorded of it. Attempts are noted in the list."""

        def acts(_: Sequence[Any], noted: list[Attempt]) -> Flow[Sequence[Any]]:
            return [(yield from act(noted))]

        (given,) = yield from self.each(hook, [request], acts, attempts)
        if isinstance(given, QasidError):
            raise given
        return given

    def each(
        self,
        hook: str,
        requests: Sequence[Any],
        act: Act,
        attempts: list[Attempt] | None = None,
    ) -> Flow[Sequence[Any]]:
        """Run `act` on those requests that are not recorded yet; a result or an error for each.

        Raises what `act` raises where that is true of all the requests.
        """
        self.require(requests)
        if self.book is None:
            return act(requests, [] if attempts is None else attempts)
        begin = self.book.begin
        return _Run(self, self.book, begin, hook, requests, act, attempts).flow()

    def recall(self, hook: str, requests: Sequence[Any], *, wait: bool) -> Flow[Sequence[Any]]:
        """What is recorded of each of them: a result, or an error; None where it may be tried.

        Each has a reference, and there is a journal. Nothing is tried. What is being tried by
        another process is waited for, or without `wait` is None.
        """
        assert self.book is not None  # noqa: S101, who asks has seen an address
        look = self.book.standing if wait else self._ended
        run = _Run(self, self.book, look, hook, requests, _not_tried, None, claiming=False)
        try:
            return (yield from run.flow())
        except QasidError as error:
            return [error] * len(requests)

    def _ended(self, intents: Sequence[Intent], now: datetime) -> list[Standing | None]:
        assert self.book is not None  # noqa: S101, see `recall`
        found = self.book.standing(intents, now)
        return [None if one is None or _is_pending(one, now) else one for one in found]

    def intent(self, hook: str, request: Any) -> Intent:
        """What is written down of one request before it is tried."""
        return records.intent(hook, request, **self._of)

    def lets(self, hook: str, request: Any) -> bool:
        """Whether the request may be tried without a record of it."""
        return not (self.strict or self._counted(hook)) and request.reference is None

    def refusal(self, hook: str, error: JournalUnavailable) -> JournalUnavailable:
        """What is said where the request may not be tried."""
        if self._counted(hook):
            return JournalUnavailable(f"{error}; it counts what may be rented, so nothing was")
        return error

    def _counted(self, hook: str) -> bool:
        return self.counts and hook == "acquire_number"

    def booked(self, act: Callable[[], T]) -> Flow[T]:
        """Do something with the book of rentals, which may be in the journal."""
        if self.counts:
            return (yield from self.outage.reach(act))
        given: T = yield Call(act)
        return given

    def note(self, money: Money) -> Flow[None]:
        """Write down a balance, as evidence for later; where that cannot be, it is said."""
        if self.book is None:
            return
        write = functools.partial(self.book.note, self.account, money, (yield Now()))
        try:
            yield from self.outage.reach(write)
        except JournalUnavailable as error:
            self.warn("the balance is not written down", error)

    def warn(self, what: str, error: JournalUnavailable) -> None:
        """Log it; an outage has been logged, once for all that it concerns."""
        level = logging.INFO if self.outage.lasts else logging.WARNING
        _log.log(level, "%s: %s: %s", self.account, what, error)


def persisting(act: Callable[[], T]) -> Flow[T]:
    """Do what cannot be done later, trying for 7.5 s. Raises the last `JournalUnavailable`."""
    for pause in _PERSISTENCE:
        try:
            given: T = yield Call(act)
        except JournalUnavailable:
            yield Sleep(pause)
        else:
            return given
    given = yield Call(act)
    return given


def _book(resolved: Resolved, strict: bool) -> Book:
    return journal.opened(resolved.account, resolved.options.journal_url, durable=strict)


@attrs.define
class _Run:
    """One call: its requests by their places, those that are claimed, and the results so far."""

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
        intents = [self.journaling.intent(self.hook, self.requests[i]) for i in left]
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


def _not_tried(requests: Sequence[Any], attempts: list[Attempt]) -> Flow[Sequence[Any]]:
    """The act of who only looks."""
    yield from ()
    return [None] * len(requests)


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
