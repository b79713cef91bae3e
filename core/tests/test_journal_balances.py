"""The balance is evidence of what was charged, for a person, and decides nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from qasid import journal
from qasid.journal.balances import Balance, difference
from qasid.journal.records import Ending, Operation, State, intent
from qasid.journal.results import recorded
from qasid.journal.store import Journal
from qasid.values import Acquired, Activation, Money, OtpTicket, Receipt, Released, TextMessage

from .acme import FACES, TO, Server
from .databases import KINDS, database

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
TEN: Final = Money("10.00", "USD")
WAS: Final = Balance(money=TEN, seen_at=NOW)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a journal is, of either kind."""
    with database(request.param, tmp_path) as address:
        yield address


@pytest.fixture
def book(url: str) -> Iterator[Journal]:
    """A journal of either kind."""
    with contextlib.closing(journal.opened("work", url)) as kept:
        yield kept


def ended(book: Journal, now: datetime, state: State, result: Any = None) -> Operation:
    """A message of the account that ended so."""
    of = {"account": "work", "provider": "acme", "lease": MINUTE, "hide_recipient": False}
    one = intent("send", TextMessage(to=TO, text="x"), **of)
    book.begin([one], now)
    told = None if result is None else recorded(result)
    book.settle([Ending(claim=one.claim, state=state, result=told)], now)
    found = book.find(one.claim)
    assert found is not None
    return found


def kept(book: Journal, last: int) -> list[int]:
    """At which minutes a balance stands in the journal."""
    moments = [NOW + n * MINUTE for n in range(last)]
    found = [book.balance("work", moment) for moment in moments]
    return [n for n, one in enumerate(found) if one and one.seen_at == moments[n]]


# What is noted.


def test_the_last_balance_until_a_moment_is_read_back(book: Journal) -> None:
    """Of that account; at that very moment it counts."""
    assert book.balance("work", NOW) is None
    book.note("work", TEN, NOW)
    book.note("home", Money(1, "IRR"), NOW + MINUTE)
    assert book.balance("work", NOW - MINUTE) is None
    assert WAS == book.balance("work", NOW) == book.balance("work", NOW + 2 * MINUTE)


def test_of_earlier_balances_only_those_are_kept_that_may_be_evidence(book: Journal) -> None:
    """The last before each operation whose end is not known; the rest is struck out."""
    for minute in (0, 1):
        book.note("work", TEN, NOW + minute * MINUTE)
    ended(book, NOW + 2 * MINUTE, State.UNKNOWN)
    for minute in (3, 4, 4):
        book.note("work", TEN, NOW + minute * MINUTE)
    ended(book, NOW + 5 * MINUTE, State.PERFORMED)
    book.note("work", TEN, NOW + 6 * MINUTE)
    assert [1, 6] == kept(book, 9)


@pytest.mark.parametrize("face", FACES)
def test_a_balance_that_is_asked_for_is_noted(face: Any, url: str, book: Journal) -> None:
    """Where the account keeps a journal, and the balance is told all the same where not."""
    with face(Server(), journal="on", journal_url=url) as account:
        money = account.balance()
    found = book.balance("work", datetime.now(UTC))
    assert found is not None
    assert money == found.money
    with face(Server()) as account:
        assert money == account.balance()


# What is told.


def test_the_difference_is_told_beside_what_is_known_to_have_been_charged(book: Journal) -> None:
    """Costs of messages and numbers, less what was paid back; those that tell none are counted."""
    rented = Activation(
        id="1",
        number="+9661",
        service="acme",
        country="SA",
        acquired_at=NOW,
        cost=Money("0.30", "USD"),
    )
    since = [
        ended(book, NOW, State.PERFORMED, Receipt(to=TO, cost=Money("0.05", "USD"))),
        ended(book, NOW, State.PERFORMED, Acquired([rented, rented])),
        ended(book, NOW, State.PERFORMED, Released(activation_id="1", refund=Money("0.1", "USD"))),
        ended(book, NOW, State.PERFORMED, Released(activation_id="1")),
        ended(book, NOW, State.PERFORMED, Receipt(to=TO, cost=Money(5, "IRR"))),
        ended(book, NOW, State.PERFORMED, OtpTicket(to=TO)),
        ended(book, NOW, State.PERFORMED),
        ended(book, NOW, State.UNKNOWN),
        ended(book, NOW, State.REFUSED),
    ]
    assert difference(WAS, Money("9.50", "USD"), since) == (
        "was 10.00 USD at 2026-01-01 00:00:00 UTC, is 9.50 USD now; performed operations since"
        " then with a known cost account for 0.55 USD, 4 have none; other users of the account are"
        " not seen"
    )


def test_where_nothing_was_charged_it_is_nought(book: Journal) -> None:
    """In the currency of the balance."""
    assert "account for 0 USD, 0 have none" in difference(WAS, TEN, [])


@pytest.mark.parametrize(
    ("was", "words"),
    [
        (None, "is 9.50 USD now, and none was noted before"),
        (
            Balance(money=Money(5, "IRR"), seen_at=NOW),
            "was 5 IRR and is 9.50 USD now, which do not compare",
        ),
    ],
)
def test_where_there_is_no_difference_to_tell_it_is_said(was: Balance | None, words: str) -> None:
    """No balance before it, or one of another currency."""
    assert words == difference(was, Money("9.50", "USD"), [])


def test_results_are_read_as_they_are_written() -> None:
    """The words of the one are those of the other."""
    assert {"cost", "id", "batch_id"} == {*json.loads(recorded(Receipt(to=TO)))}
    assert {"refund"} == {*json.loads(recorded(Released(activation_id="1")))}
