"""What costs money is written down before it is tried, and its end after it.

The intent is committed before the request, so that a crash leaves a record, and what a crash leaves
is *unknown*: it is never repeated. A `reference` makes an act idempotent: what was performed under
it is given again without a request, by whatever process; what another is trying is waited for; what
was refused may be tried again. This module decides, with `qasid.policies.claims` where a journal is
kept, and knows no database (see `qasid.journal`).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from qasid import journal
from qasid.effects import Call, Flow, Now, Sleep
from qasid.errors import JournalUnavailable, QasidError, SettingsError
from qasid.policies.outage import Outage
from qasid.policies.passage import Attempt
from qasid.rentals import Home
from qasid.settings import Options, Resolved
from qasid.values import Money

if TYPE_CHECKING:
    from qasid.journal.records import Ending, Intent, Standing

__all__ = ["Act", "Book", "Journaling", "lease", "persisting"]

T = TypeVar("T")
Act: TypeAlias = Callable[[Sequence[Any], list[Attempt]], Flow[Sequence[Any]]]

_log = logging.getLogger("qasid")

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
        self.of = {  # what is the same in all that it writes down
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
        from qasid.policies.claims import Run  # late, as below: most accounts keep no journal

        begin = self.book.begin
        return Run(self, self.book, begin, hook, requests, act, attempts).flow()

    def recall(self, hook: str, requests: Sequence[Any], *, wait: bool) -> Flow[Sequence[Any]]:
        """What is recorded of each of them: a result, or an error; None where it may be tried.

        Each has a reference, and there is a journal. Nothing is tried. What is being tried by
        another process is waited for, or without `wait` is None.
        """
        from qasid.policies.claims import Run, ended, not_tried

        assert self.book is not None  # noqa: S101, who asks has seen an address
        look = self.book.standing if wait else functools.partial(ended, self.book)
        run = Run(self, self.book, look, hook, requests, not_tried, None, claiming=False)
        try:
            return (yield from run.flow())
        except QasidError as error:
            return [error] * len(requests)

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
