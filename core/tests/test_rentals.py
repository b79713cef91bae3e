"""The book of rentals keeps to its caps, and forgets nothing."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias

import attrs
import pytest

from qasid import database, journal
from qasid.errors import BudgetExceeded, JournalUnavailable, SettingsError
from qasid.rentals import Rentals
from qasid.settings import Options
from qasid.values import Activation, Money, UnusedCap

from . import databases
from .databases import KINDS

Opener: TypeAlias = Callable[[Path | str], Rentals]

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
LIFETIME: Final = 20 * MINUTE
PLENTY: Final = Options(max_open=1_000, max_per_day=1_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a book may be."""
    return tmp_path / "state" / "rentals.db"


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens books, and closes them afterwards."""
    books: list[Rentals] = []

    def _open(place: Path | str) -> Rentals:
        books.append(Rentals(place))
        return books[-1]

    yield _open
    for one in books:
        one.close()


@pytest.fixture(params=["memory", *KINDS])
def rentals(request: pytest.FixtureRequest, opened: Opener, tmp_path: Path) -> Iterator[Rentals]:
    """A book in memory, and in a journal of either kind."""
    if request.param == "memory":
        yield opened(":memory:")
        return
    with (
        databases.database(request.param, tmp_path) as url,
        contextlib.closing(journal.opened("work", url)) as kept,
    ):
        yield Rentals(kept.shelf)


def begin(rentals: Rentals, count: int = 1, **changed: Any) -> list[str]:
    """Ask to rent that many numbers, now and for twenty minutes unless told."""
    usual = {"now": NOW, "lifetime": LIFETIME, "price": None, "options": PLENTY}
    return rentals.begin(changed.pop("account", "work"), "fine", count, **{**usual, **changed})


def refused(rentals: Rentals, count: int = 1, **changed: Any) -> str:
    """The cap that says no."""
    with pytest.raises(BudgetExceeded) as caught:
        begin(rentals, count, **changed)
    return caught.value.cap


def activation(identity: int = 1, **members: Any) -> Activation:
    """An activation of that id."""
    usual = {"number": "+9661", "service": "acme", "country": "SA", "acquired_at": NOW}
    return Activation(**{"id": str(identity), **usual, **members})


def states(rentals: Rentals, now: datetime = NOW) -> list[str]:
    """What is current, as states."""
    return [rental.state for rental in rentals.current(now=now)]


def _run(path: Path, statement: str, *values: str) -> None:
    """Change a book from outside."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


# What becomes of a rental.


def test_a_rental_is_pending_until_it_is_settled(rentals: Rentals) -> None:
    """Then it is open and known by its activation."""
    rows = begin(rentals)
    (asked,) = rentals.current(now=NOW)
    rentals.settle(rows, [activation()])
    (rented,) = rentals.current(now=NOW)
    assert ("pending", None) == (asked.state, asked.activation)
    assert ("open", activation()) == (rented.state, rented.activation)
    both = ("work", "fine", NOW, NOW + LIFETIME)
    assert both == (rented.account, rented.provider, rented.begun_at, rented.ends_at)


def test_a_rental_ends_when_the_provider_says(rentals: Rentals) -> None:
    """Where it says so."""
    end = NOW + 5 * MINUTE
    rentals.settle(begin(rentals), [activation(expires_at=end)])
    assert [end] == [rental.ends_at for rental in rentals.current(now=NOW)]
    assert [] == rentals.current(now=end)


def test_a_day_of_unused_numbers_is_that_of_the_zone(rentals: Rentals) -> None:
    """In Tehran midnight is at 20:30 UTC: yesterday's numbers are forgotten there."""
    cap = UnusedCap(numbers=1, zone="Asia/Tehran")
    begin(rentals, now=NOW.replace(hour=20, minute=29), unused_cap=cap)
    with pytest.raises(BudgetExceeded, match="find out why"):
        begin(rentals, now=NOW.replace(hour=20, minute=29, second=59), unused_cap=cap)
    assert 1 == len(begin(rentals, now=NOW.replace(hour=20, minute=30), unused_cap=cap))


def test_unused_numbers_are_counted_across_processes(path: Path) -> None:
    """And a used one is seen by all of them."""
    cap = UnusedCap(numbers=1, zone="UTC")
    with contextlib.closing(Rentals(path)) as one, contextlib.closing(Rentals(path)) as other:
        one.settle(begin(one, unused_cap=cap), [activation()])
        with pytest.raises(BudgetExceeded, match="unused_cap"):
            begin(other, unused_cap=cap)
        other.use("work", "1")
        assert 1 == len(begin(one, unused_cap=cap))


def test_a_book_of_an_earlier_version_is_read_on(path: Path) -> None:
    """What it lacks is added, and nothing of it is lost."""
    with contextlib.closing(Rentals(path)) as rentals:
        begin(rentals)
    _run(path, "DROP INDEX rental_claim")
    for column in ("used", "claim"):
        _run(path, f"ALTER TABLE rental DROP COLUMN {column}")
    with contextlib.closing(Rentals(path)) as rentals:
        assert ["pending"] == states(rentals)
        rentals.use("work", "1")


def test_what_was_not_performed_is_struck_out(rentals: Rentals) -> None:
    """As if it had not been asked for."""
    rentals.cancel(begin(rentals, 2))
    assert [] == rentals.current(now=NOW)
    assert 1 == len(begin(rentals, options=Options(max_per_day=1)))


def test_what_was_asked_for_and_not_rented_is_struck_out(rentals: Rentals) -> None:
    """Where there were fewer numbers than orders."""
    rentals.settle(begin(rentals, 3), [activation()])
    assert ["open"] == states(rentals)


def test_a_number_that_was_given_back_is_no_longer_current(rentals: Rentals) -> None:
    """One that the provider kept is, and is marked so."""
    rentals.settle(begin(rentals, 3), [activation(1), activation(2), activation(3)])
    rentals.mark("work", "1", "closed")
    rentals.mark("work", "2", "kept")
    rentals.mark("other", "3", "closed")
    assert ["kept", "open"] == states(rentals)


def test_what_is_current_can_be_asked_for_one_account(rentals: Rentals) -> None:
    """Oldest first; all of them unless told."""
    begin(rentals, account="work")
    begin(rentals, account="home")
    everything = [rental.account for rental in rentals.current(now=NOW)]
    assert ["work", "home"] == everything
    assert ["home"] == [one.account for one in rentals.current(now=NOW, account="home")]


def test_a_rental_whose_time_is_over_is_not_current(rentals: Rentals) -> None:
    """Neither an open one nor one that never became known."""
    begin(rentals)
    assert ["pending"] == states(rentals, NOW + LIFETIME - MINUTE)
    assert [] == states(rentals, NOW + LIFETIME)


# Caps.


def test_no_more_are_open_at_once_than_allowed(rentals: Rentals) -> None:
    """Pending ones count; it says how many there would be and what to do."""
    options = Options(max_open=2)
    begin(rentals, options=options)
    assert "max_open" == refused(rentals, 2, options=options)
    with pytest.raises(BudgetExceeded, match=r"would make 3 open activations, and 2 are allowed"):
        begin(rentals, 2, options=options)
    assert 1 == len(begin(rentals, options=options))


@pytest.mark.parametrize("state", ["closed", "kept"])
def test_what_is_no_longer_waited_for_is_not_open(rentals: Rentals, state: str) -> None:
    """So there is room for another."""
    options = Options(max_open=1)
    rentals.settle(begin(rentals, options=options), [activation()])
    rentals.mark("work", "1", state)
    assert 1 == len(begin(rentals, options=options))


def test_an_expired_rental_is_not_open(rentals: Rentals) -> None:
    """From the moment on at which it ends."""
    options = Options(max_open=1)
    begin(rentals, options=options)
    assert "max_open" == refused(rentals, options=options, now=NOW + LIFETIME - MINUTE)
    assert 1 == len(begin(rentals, options=options, now=NOW + LIFETIME))


def test_no_more_are_rented_in_any_day_than_allowed(rentals: Rentals) -> None:
    """In the 24 hours before, not since midnight; also those that were given back."""
    options = Options(max_open=9, max_per_day=2)
    rentals.settle(begin(rentals, options=options), [activation()])
    rentals.mark("work", "1", "closed")
    begin(rentals, options=options, now=NOW + 12 * 60 * MINUTE)
    assert "max_per_day" == refused(rentals, options=options, now=NOW + DAY - MINUTE)
    assert 1 == len(begin(rentals, options=options, now=NOW + DAY))
    assert "max_per_day" == refused(rentals, options=options, now=NOW + DAY)


def test_no_more_is_spent_in_any_day_than_allowed(rentals: Rentals) -> None:
    """What was spent and what would be, for all the numbers of an order."""
    options = Options(max_open=9, max_spend=Money("1.00", "USD"))
    price = Money("0.40", "USD")
    begin(rentals, price=price, options=options)
    assert "max_spend" == refused(rentals, 2, price=price, options=options)
    with pytest.raises(BudgetExceeded, match=r"^max_spend: 0\.80 USD on top of 0\.40 USD"):
        begin(rentals, 2, price=price, options=options)
    assert 1 == len(begin(rentals, price=price, options=options))
    assert 2 == len(begin(rentals, 2, price=price, options=options, now=NOW + DAY))


def test_a_cap_may_be_spent_to_the_last_cent(rentals: Rentals) -> None:
    """Exactly, and no rounding."""
    options = Options(max_open=9, max_spend=Money("0.30", "USD"))
    assert 3 == len(begin(rentals, 3, price=Money("0.10", "USD"), options=options))
    assert "max_spend" == refused(rentals, price=Money("0.01", "USD"), options=options)


def test_what_it_cost_in_the_end_is_what_was_spent(rentals: Rentals) -> None:
    """And not what it was offered for."""
    options = Options(max_open=9, max_spend=Money("1.00", "USD"))
    rows = begin(rentals, price=Money("0.40", "USD"), options=options)
    rentals.settle(rows, [activation(cost=Money("0.70", "USD"))])
    assert "max_spend" == refused(rentals, price=Money("0.40", "USD"), options=options)


def test_the_offer_stands_where_the_cost_is_not_told(rentals: Rentals) -> None:
    """A number is not free because nobody says what it cost."""
    options = Options(max_open=9, max_spend=Money("1.00", "USD"))
    rentals.settle(begin(rentals, price=Money("0.70", "USD"), options=options), [activation()])
    assert "max_spend" == refused(rentals, price=Money("0.40", "USD"), options=options)


def test_a_cap_in_another_currency_says_no(rentals: Rentals) -> None:
    """There is no rate of exchange here."""
    options = Options(max_spend=Money(1_000_000, "IRR"))
    with pytest.raises(BudgetExceeded, match=r"^max_spend is in IRR and prices are in USD"):
        begin(rentals, price=Money("0.01", "USD"), options=options)
    assert "max_spend" == refused(rentals, price=Money("0.01", "USD"), options=options)


def test_without_a_cap_on_money_prices_do_not_matter(rentals: Rentals) -> None:
    """Nor does a cap where no price is known to the book."""
    assert 1 == len(begin(rentals, price=Money(Decimal(10) ** 9, "USD")))
    assert 1 == len(begin(rentals, options=Options(max_open=9, max_spend=Money(0, "USD"))))


def test_accounts_have_caps_of_their_own(rentals: Rentals) -> None:
    """What one rents does not count for another."""
    options = Options(max_open=1, max_per_day=1, max_spend=Money(1, "USD"))
    price = Money(1, "USD")
    begin(rentals, options=options, price=price)
    assert 1 == len(begin(rentals, account="home", options=options, price=price))


def test_a_refused_order_leaves_nothing_behind(rentals: Rentals) -> None:
    """Not even the part of it that would have been allowed."""
    refused(rentals, 3, options=Options(max_open=2))
    assert [] == rentals.current(now=NOW)


# A file.


def test_a_file_is_for_its_user_alone(path: Path, opened: Opener) -> None:
    """And so is its directory, which is made."""
    opened(path)
    assert (0o600, 0o700) == (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777)


def test_a_path_may_be_a_text(path: Path, opened: Opener) -> None:
    """It is treated no less carefully."""
    opened(str(path))
    assert 0o600 == path.stat().st_mode & 0o777


def test_a_rental_outlives_its_process(path: Path) -> None:
    """One that was not settled is pending still, and counts."""
    lost = Rentals(path)
    begin(lost)
    lost.settle(begin(lost), [activation()])
    lost.close()
    found = Rentals(path)
    assert ["pending", "open"] == states(found)
    assert "max_open" == refused(found, options=Options(max_open=2))
    found.close()


def test_two_that_race_do_not_pass_the_cap(path: Path, opened: Opener) -> None:
    """Each with a connection of its own, as two processes have."""
    options = Options(max_open=5, max_per_day=100)
    start = threading.Barrier(4)
    allowed: list[str] = []

    def race(rentals: Rentals) -> None:
        start.wait()
        for _ in range(5):
            try:
                allowed.extend(begin(rentals, options=options))
            except BudgetExceeded:
                continue

    threads = [threading.Thread(target=race, args=(opened(path),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (5, 5) == (len(allowed), len(set(allowed)))
    assert ["pending"] * 5 == states(opened(path))


def test_threads_may_share_a_book(rentals: Rentals) -> None:
    """Without passing the cap."""
    options = Options(max_open=5, max_per_day=100)
    refusals: list[BudgetExceeded] = []

    def ask() -> None:
        try:
            begin(rentals, options=options)
        except BudgetExceeded as error:
            refusals.append(error)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (15, 5) == (len(refusals), len(states(rentals)))


# Damage.


@pytest.mark.parametrize("damage", [b"this is no database" * 100, b"\0" * 4096 + b"x", "cut"])
def test_a_damaged_file_is_set_aside_whole_and_a_new_one_begun(
    path: Path,
    opened: Opener,
    caplog: pytest.LogCaptureFixture,
    damage: bytes | str,
) -> None:
    """Its bytes are found under the other name, which the log tells."""
    first = Rentals(path)
    begin(first, 500, options=PLENTY)
    first.close()
    whole = path.read_bytes()
    content = whole[:100] + b"\xff" * 4_000 if isinstance(damage, str) else damage
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "qasid"):
        rentals = opened(path)
    (aside,) = path.parent.glob("rentals.db.damaged-*")
    assert (content, 0o600) == (aside.read_bytes(), path.stat().st_mode & 0o777)
    assert [True] == [str(aside) in record.message for record in caplog.records]
    assert 1 == len(begin(rentals))


def test_a_file_that_cannot_be_set_aside_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is said."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "not allowed")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(SettingsError, match="cannot be written"):
        Rentals(path)
    assert b"this is no database" * 100 == path.read_bytes()


def test_damage_found_later_stops_renting(path: Path, opened: Opener) -> None:
    """What is not known to be within the caps is not rented."""
    rentals = opened(path)
    _run(path, "DROP TABLE rental")
    with pytest.raises(SettingsError, match="cannot be written"):
        begin(rentals)


@pytest.mark.parametrize("stored", ["{", "{}", "null", '{"id": 7}'])
def test_a_damaged_activation_hides_no_other_rental(
    path: Path, opened: Opener, caplog: pytest.LogCaptureFixture, stored: str
) -> None:
    """It is shown without what cannot be read, and the log says so."""
    rentals = opened(path)
    rentals.settle(begin(rentals, 2), [activation(1), activation(2)])
    _run(path, "UPDATE rental SET activation = ? WHERE id = 1", stored)
    with caplog.at_level(logging.WARNING, "qasid"):
        found = rentals.current(now=NOW)
    assert [None, activation(2)] == [rental.activation for rental in found]
    assert ["the stored activation '1' cannot be read"] == [r.message for r in caplog.records]


def test_an_activation_that_cannot_be_stored_is_an_error_of_the_book(rentals: Rentals) -> None:
    """It stays pending, so that the number counts."""
    rows = begin(rentals)
    with pytest.raises((SettingsError, JournalUnavailable), match="surrogates not allowed"):
        rentals.settle(rows, [activation(id="\ud83d")])
    assert ["pending"] == states(rentals)


@pytest.mark.parametrize("place", ["file/rentals.db", "file/state/rentals.db", "directory"])
def test_a_file_that_cannot_be_written_is_a_settings_error(tmp_path: Path, place: str) -> None:
    """Below a regular file, or where a directory is; it says how to name another."""
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    with pytest.raises(SettingsError) as caught:
        Rentals(tmp_path / place)
    remedy = "make it writable, or name another with QASID_STATE_DIR"
    assert ("state directory", remedy) == (caught.value.field, caught.value.remedy)
    assert str(tmp_path / place) in str(caught.value)


def test_a_book_that_another_process_holds_is_a_settings_error(
    path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some patience, at work as at opening; when it is let go all is well."""
    monkeypatch.setattr(database, "_PATIENCE", 0.0)
    rentals = opened(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SettingsError, match="database is locked"):
        begin(rentals)
    with pytest.raises(SettingsError, match="database is locked"):
        Rentals(path)
    other.execute("ROLLBACK")
    other.close()
    assert 1 == len(begin(rentals))


def test_a_closed_book_says_so(path: Path) -> None:
    """And not that all is well."""
    rentals = Rentals(path)
    rentals.close()
    with pytest.raises(SettingsError, match="closed database"):
        begin(rentals)


@pytest.mark.parametrize("used", [True, False])
def test_a_closed_book_in_memory_takes_nothing(opened: Opener, used: bool) -> None:
    """What it had is gone, so that nothing it allowed would be counted right."""
    rentals = opened(":memory:")
    if used:
        begin(rentals)
    rentals.close()
    with pytest.raises(SettingsError, match="closed database"):
        begin(rentals)


def test_a_number_more_than_was_asked_for_is_written_down_too(rentals: Rentals) -> None:
    """It is paid, so it is not lost, and it counts."""
    rows = begin(rentals)
    rentals.settle(rows, [activation(1), activation(2)])
    assert ["1", "2"] == [r.activation.id for r in rentals.current(now=NOW) if r.activation]
    assert "max_open" == refused(rentals, 1, options=Options(max_open=2))


def test_a_book_that_nobody_closes_is_closed() -> None:
    """An account that is dropped without closing leaves no open file, and no warning."""
    forgotten = Rentals()
    begin(forgotten)
    connection = forgotten._home._file._database._connection  # type: ignore[attr-defined]
    del forgotten
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


# Interrupted.

_THE_BOOK: Final = {"qasid.rentals", "qasid.database"}


@attrs.define
class Striking:
    """A profiler that interrupts at the n-th call or return in the book and its with-blocks.

    A call in C does not count, its return does: Python looks for signals after such a call, and
    never between a `with`'s last line and the `__exit__` that follows.
    """

    left: int

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        caller: FrameType | None = frame
        while caller and caller.f_globals.get("__name__") == "contextlib":
            caller = caller.f_back
        if event != "c_call" and caller and caller.f_globals.get("__name__") in _THE_BOOK:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def interrupted(rentals: Rentals, nth: int) -> bool:
    """Whether there was an n-th call or return in writing two rentals, at which it was stopped."""
    before = sys.getprofile()
    sys.setprofile(Striking(nth))
    try:
        begin(rentals, 2)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
    return False


def seen_by_another_thread(rentals: Rentals) -> list[str] | None:
    """What is current, as states; None where the book is locked."""
    found: list[list[str]] = []
    other = threading.Thread(target=lambda: found.append(states(rentals)), daemon=True)
    other.start()
    other.join(timeout=2)
    return found[0] if found else None


def test_a_book_that_was_interrupted_anywhere_can_still_be_used() -> None:
    """Ctrl-C in the middle of a call leaves neither a lock behind nor half of what was written."""
    seen = []
    for nth in itertools.count(1):
        rentals = Rentals()
        assert [] == states(rentals)  # open: what is struck while it opens is closed when collected
        struck = interrupted(rentals, nth)
        seen.append(seen_by_another_thread(rentals))
        if not struck:
            break
    both = ["pending", "pending"]
    assert ([], both) == (seen[0], seen[-1])
    assert all(states in ([], both) for states in seen)
