"""An account with a journal has its book of rentals there: counted over all, moved once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import pytest
import sqlalchemy as sa

from qasid import connect, finding, journal
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.errors import (
    BudgetExceeded,
    InsufficientCredit,
    JournalUnavailable,
    Outcome,
    SettingsError,
)
from qasid.journal import database
from qasid.rentals import Fallback, Home, Inheriting, Rental, Rentals, Run, move, user_rentals
from qasid.settings import Options
from qasid.values import Activation, Money

from . import renter
from .acme import FACES, Acme, Server, reply
from .databases import KINDS
from .databases import database as made

T = TypeVar("T")
Open = Callable[..., AbstractContextManager[Any]]

NOW: Final = renter.NOW
THEN: Final = VirtualClock().now()  # in the time of a virtual driver
MINUTE: Final = timedelta(minutes=1)
LIFETIME: Final = 20 * MINUTE
PLENTY: Final = Options(max_open=1_000, max_per_day=1_000)
RENTER: Final = [sys.executable, renter.__file__]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the journal is."""
    with made(request.param, tmp_path) as address:
        yield address


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Open:
    """Opens an account of either kind."""
    return request.param


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder, in which nothing is."""
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@contextlib.contextmanager
def shelf(url: str, **options: Any) -> Iterator[Home]:
    """A journal as a home, as another process would open it."""
    with contextlib.closing(journal.opened("work", url, **options)) as kept:
        yield kept.shelf


def read(url: str, now: datetime = NOW) -> list[Rental]:
    """What the journal's book has."""
    with shelf(url) as home:
        return Rentals(home).current(now=now)


def activation(identity: int) -> Activation:
    """A number that was rented."""
    return Activation(
        id=str(identity), number="+9661", service="acme", country="SA", acquired_at=NOW
    )


def begin(rentals: Rentals, count: int = 1, account: str = "work") -> list[str]:
    """Ask to rent that many numbers."""
    given: dict[str, Any] = {"lifetime": LIFETIME, "price": Money(1, "USD"), "options": PLENTY}
    return rentals.begin(account, "fine", count, now=NOW, **given)


def known(rentals: list[Rental]) -> list[tuple[str, str | None]]:
    """Each rental's state, and its activation's id, in an order of its own."""
    found = [(one.state, one.activation.id if one.activation else None) for one in rentals]
    return sorted(found, key=str)


# One budget for all.


def test_threads_and_processes_never_pass_the_cap(url: str) -> None:
    """3 threads with journals of their own and 3 processes ask 60 times for 30 numbers."""
    command = [*RENTER, "race", url, "30", "10"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]
    rented: list[bool] = []
    gate = threading.Barrier(4)

    def race() -> None:
        with shelf(url) as home:
            Rentals(home).current(now=NOW)
            gate.wait()
            rented.extend([renter.begun(Rentals(home), 30) for _ in range(10)])

    threads = [threading.Thread(target=race) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert ["ready\n"] * 3 == [process.stdout.readline() for process in processes if process.stdout]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    gate.wait()
    for thread in threads:
        thread.join()
    told = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert 30 == sum(told) + sum(rented)
    assert ["pending"] * 30 == [rental.state for rental in read(url)]


def test_threads_that_share_a_journal_never_pass_the_cap(url: str) -> None:
    """As those of one account do."""
    rented: list[bool] = []
    with shelf(url) as home:
        rentals = Rentals(home)
        threads = [
            threading.Thread(target=lambda: rented.append(renter.begun(rentals, 5)))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (20, 5) == (len(rented), sum(rented))


@pytest.mark.services
def test_a_server_that_isolates_more_passes_no_cap_either(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is counted is what stands there when the lock is had, not what stood there before."""
    if url.startswith("sqlite"):
        return
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as run:
        name = engine.url.database
        level = "SET default_transaction_isolation = 'repeatable read'"
        run.exec_driver_sql(f"ALTER DATABASE {name} {level}")
    engine.dispose()
    test_threads_and_processes_never_pass_the_cap(url)


# The account.


def test_an_account_with_a_journal_counts_in_it(face: Open, url: str, state: Path) -> None:
    """So do others with the same name, wherever they are; nothing is in the user's folder."""
    options = {"journal": "on", "journal_url": url, "max_open": 1}
    server = Server()
    with face(server, **options) as one, face(server, **options) as other:
        rented = one.acquire_number("acme", "SA")
        with pytest.raises(BudgetExceeded, match="max_open"):
            other.acquire_number("acme", "SA")
        assert [("open", rented.id)] == known(read(url, server.clock.now()))
        other.release(rented)
        assert [] == read(url, server.clock.now())
        assert "n2" == one.acquire_number("acme", "SA").id
    assert not state.exists()


def test_a_book_that_is_given_is_used_all_the_same(face: Open, url: str) -> None:
    """As without a journal."""
    book = Rentals()
    with face(Server(), rentals=book, journal="strict", journal_url=url) as account:
        account.acquire_number("acme", "SA")
        assert 1 == len(book.current(now=THEN))
    assert [] == read(url, THEN)


def test_a_fallback_is_for_accounts_without_a_journal(face: Open, url: str) -> None:
    """One that keeps a journal leaves it alone."""
    for options, kept in (({}, 0), ({"journal": "on", "journal_url": url}, 1)):
        book = Fallback()
        with face(Server(), rentals=book, **options) as account:
            account.acquire_number("acme", "SA")
            assert 1 - kept == len(book.current(now=THEN))
            assert kept == len(read(url, THEN))
        book.close()


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """The address of a journal that is a folder."""
    return {"journal_url": f"sqlite:///{tmp_path}"}


@pytest.mark.parametrize("mode", ["on", "strict"])
def test_nothing_is_rented_where_it_cannot_be_counted(
    face: Open, broken: dict[str, str], mode: str
) -> None:
    """Not even a price is asked for; a text is sent where the mode lets it."""
    server = Server()
    with face(server, journal=mode, **broken) as account:
        with pytest.raises(JournalUnavailable, match="counts what may be rented") as caught:
            account.acquire_number("acme", "SA", max_price=Money(1, "USD"))
        assert Outcome.NOT_PERFORMED is caught.value.outcome
        assert [] == server.requests


def test_where_the_book_is_elsewhere_mode_on_rents_without_a_record(
    face: Open, broken: dict[str, str]
) -> None:
    """The budget can be counted."""
    server = Server()
    with (
        contextlib.closing(Rentals()) as book,
        face(server, rentals=book, journal="on", **broken) as account,
    ):
        account.acquire_number("acme", "SA")
    assert ["acme"] == server.acts


@attrs.define
class Failing:
    """A home that fails so many times after the first so many transactions."""

    home: Home
    good: int
    bad: int

    def transact(self, act: Callable[[Run], T]) -> T:
        self.good -= 1
        if self.good < 0 < self.bad:
            self.bad -= 1
            raise JournalUnavailable("gone")
        return self.home.transact(act)

    def close(self) -> None:
        """Nothing of its own."""


@pytest.mark.parametrize(("bad", "state", "seconds"), [(4, "open", 7.5), (5, "pending", 7.5)])
def test_what_was_rented_is_written_down_when_the_journal_comes_back(
    face: Open, url: str, caplog: pytest.LogCaptureFixture, bad: int, state: str, seconds: float
) -> None:
    """It is tried for 7.5 s; the number is the caller's in any case."""
    server = Server()
    with shelf(url) as home:
        book = Rentals(Failing(home, good=1, bad=bad))
        with face(server, rentals=book) as account:
            assert "n1" == account.acquire_number("acme", "SA").id
    assert [state] == [rental.state for rental in read(url, THEN)]
    assert seconds == server.clock.seconds
    assert (state == "pending") == ("1 rented, but not written down: gone" in caplog.text)


def test_what_was_not_rented_may_go_on_to_count_but_its_error_is_told(
    face: Open, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """That of the journal is in the log."""
    server = Server(faults=[reply(402)])
    with shelf(url) as home:
        book = Rentals(Failing(home, good=1, bad=9))
        with face(server, rentals=book) as account, pytest.raises(InsufficientCredit):
            account.acquire_number("acme", "SA")
    assert "1 not rented, but counted: gone" in caplog.text
    assert ["pending"] == [rental.state for rental in read(url, THEN)]


# What is done twice, as after a lost connection.


@attrs.frozen
class Twice:
    """A home that does everything twice, and tells what came of the second."""

    home: Home

    def transact(self, act: Callable[[Run], T]) -> T:
        self.home.transact(act)
        return self.home.transact(act)

    def close(self) -> None:
        """Nothing of its own."""


def test_what_is_done_again_after_its_commit_is_done_once(url: str) -> None:
    """Asking, and writing down a number more than was asked for; a cap is not passed by it."""
    with shelf(url) as home:
        rentals = Rentals(Twice(home))
        claims = rentals.begin(
            "work",
            "fine",
            2,
            now=NOW,
            lifetime=LIFETIME,
            price=None,
            options=Options(max_open=2),
        )
        assert 2 == len(rentals.current(now=NOW))
        rentals.settle(claims, [activation(n) for n in range(3)])
        assert [("open", str(n)) for n in range(3)] == known(rentals.current(now=NOW))
        rentals.cancel(claims)
        assert 1 == len(rentals.current(now=NOW))


# What was in the user's file.


def fill(book: Rentals) -> None:
    """Of `work` an open, a kept, a closed and a pending one; and one of another account."""
    book.settle(begin(book, 3), [activation(1), activation(2), activation(3)])
    book.mark("work", "2", "kept")
    book.mark("work", "3", "closed")
    book.use("work", "1")
    begin(book)
    begin(book, account="home")


ALL: Final = [("kept", "2"), ("open", "1"), ("pending", None)]


def inherit(url: str, account: str = "work", now: datetime = NOW) -> Rentals:
    """Use the book in the journal once, as an account does."""
    with shelf(url) as home:
        rentals = Rentals(Inheriting(home, account, lambda: now))
        rentals.current(now=now)
        return rentals


def counted(url: str) -> int:
    """How many rows of the account the journal has, closed ones too."""
    with shelf(url) as home:
        query = "SELECT count(*) AS number FROM rental WHERE account = 'work'"
        (row,) = home.transact(lambda run: run.execute(query, {}))
        return int(row["number"])


def left(account: str = "work") -> list[tuple[str, str | None]]:
    """What the user's file still has of that account."""
    with contextlib.closing(user_rentals()) as book:
        return known(book.current(now=NOW, account=account))


def test_what_an_account_has_in_the_users_file_moves_into_its_journal(url: str) -> None:
    """All of it, and nothing of another's; what is pending is left until its end is known."""
    with contextlib.closing(user_rentals()) as book:
        fill(book)
    inherit(url)
    assert ALL == known(read(url))
    assert 4 == counted(url)
    assert [("pending", None)] == left()
    assert [("pending", None)] == left("home")
    inherit(url, now=NOW + LIFETIME)
    assert [] == left()
    assert 4 == counted(url)


def test_it_counts_there(url: str) -> None:
    """Two are open; what was given back still counts for the day."""
    with contextlib.closing(user_rentals()) as book:
        fill(book)
    with shelf(url) as home:
        rentals = Rentals(Inheriting(home, "work", lambda: NOW))
        of: dict[str, Any] = {"now": NOW, "lifetime": LIFETIME, "price": Money(1, "USD")}
        for cap, options in [
            ("max_open", Options(max_open=2)),
            ("max_per_day", Options(max_open=9, max_per_day=4)),
            ("max_spend", Options(max_open=9, max_spend=Money(4, "USD"))),
        ]:
            with pytest.raises(BudgetExceeded, match=cap):
                rentals.begin("work", "fine", 1, options=options, **of)


def test_what_a_process_settles_in_the_file_later_is_taken_over(url: str) -> None:
    """It began before the journal was kept, or is of an earlier version."""
    with contextlib.closing(user_rentals()) as book:
        claims = begin(book)
        inherit(url)
        book.settle(claims, [activation(1)])
        inherit(url)
        assert [("open", "1")] == known(read(url))
        assert 1 == counted(url)


def test_what_the_journal_knows_is_not_made_older_again(url: str) -> None:
    """It is moved, and the process is killed; meanwhile the number is given back."""
    with contextlib.closing(user_rentals()) as book:
        book.settle(begin(book), [activation(1)])
        with shelf(url) as home:
            with pytest.raises(KeyboardInterrupt):
                move("work", Dying(book._home, 2, after=False), home, NOW)
            Rentals(home).mark("work", "1", "closed")
    inherit(url)
    assert ([], 1) == (read(url), counted(url))


def test_a_row_of_an_earlier_version_is_listed_and_moved_once(url: str, state: Path) -> None:
    """It has no claim when it is written."""
    with contextlib.closing(user_rentals()) as book:
        begin(book)
        book._home.transact(lambda run: run.execute("UPDATE rental SET claim = NULL", {}))
        assert 1 == len(book.current(now=NOW))
        for _ in range(2):
            with shelf(url) as home:
                move("work", book._home, home, NOW)
    assert [("pending", None)] == known(read(url))


def test_where_there_is_no_file_none_is_made(url: str, state: Path) -> None:
    """The state folder may be one that cannot be written."""
    inherit(url)
    assert not (state / "rentals.sqlite3").exists()


def test_a_file_that_cannot_be_read_stops_renting(url: str, state: Path) -> None:
    """What it has is not counted; when it can be read again all is well."""
    (state / "rentals.sqlite3").mkdir(parents=True)
    with shelf(url) as home:
        rentals = Rentals(Inheriting(home, "work"))
        with pytest.raises(SettingsError, match="QASID_STATE_DIR"):
            begin(rentals)
        (state / "rentals.sqlite3").rmdir()
        begin(rentals)
        rentals.close()


@attrs.define
class Dying:
    """A home whose n-th transaction is the end, before or after it is done."""

    home: Home
    left: int
    after: bool

    def transact(self, act: Callable[[Run], T]) -> T:
        self.left -= 1
        if not self.left and not self.after:
            raise KeyboardInterrupt
        given = self.home.transact(act)
        if not self.left:
            raise KeyboardInterrupt
        return given

    def close(self) -> None:
        """Nothing of its own."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_move_that_is_cut_off_is_gone_on_with(url: str, step: int, after: bool) -> None:
    """Before and after each of its three transactions; nothing is lost, nothing there twice."""
    with contextlib.closing(user_rentals()) as book, shelf(url) as home:
        fill(book)
        source = Dying(book._home, {1: 1, 2: 9, 3: 2}[step], after)
        target = Dying(home, 1 if step == 2 else 9, after)
        with pytest.raises(KeyboardInterrupt):
            move("work", source, target, NOW)
        both = {*known(book.current(now=NOW, account="work")), *known(read(url))}
        assert {*ALL} == both
    inherit(url)
    assert ALL == known(read(url))
    assert 4 == counted(url)


def test_a_process_killed_at_any_step_of_a_move_loses_nothing(url: str) -> None:
    """Each that comes after it goes on; the last comes to its end."""
    with contextlib.closing(user_rentals()) as book:
        fill(book)
    inherit(url, account="nobody")  # the schema is there
    command = [*RENTER, "walk", url]
    walked = subprocess.run(command, capture_output=True, check=True, timeout=120)
    codes = [int(line) for line in walked.stdout.splitlines()]
    assert [-9] * (len(codes) - 1) + [0] == codes
    assert len(codes) > 20
    assert ALL == known(read(url))
    assert 4 == counted(url)


def test_many_that_move_at_once_move_it_once(url: str) -> None:
    """Each with connections of its own."""
    with contextlib.closing(user_rentals()) as book:
        book.settle(begin(book, 40), [activation(n) for n in range(40)])
    gate = threading.Barrier(6)

    def race() -> None:
        gate.wait()
        inherit(url)

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (40, 40, []) == (len(read(url)), counted(url), left())


@pytest.fixture
def _acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Acme is installed."""
    monkeypatch.chdir(tmp_path)
    about = tmp_path / "site" / "qasid_acme-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: qasid-acme\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[qasid.providers]\nacme = {Acme.__module__}:Acme\n")
    monkeypatch.syspath_prepend(about.parent)
    finding.forget()
    yield
    monkeypatch.undo()
    finding.forget()


@pytest.mark.usefixtures("_acme")
@pytest.mark.parametrize(
    ("given", "moved"),
    [
        ({}, True),
        ({"base_url": "http://127.0.0.1:1"}, False),
        ({"base_url": "http://127.0.0.1:1", "rentals": "fallback"}, True),
        ({"driver": virtual_driver(Server().handle, VirtualClock())}, False),
    ],
    ids=["real", "this machine", "the command", "driver"],
)
def test_only_what_talks_to_the_provider_itself_takes_the_users_rentals(
    tmp_path: Path, given: dict[str, Any], moved: bool
) -> None:
    """A test with a journal of its own must not take real numbers away; the command is the user."""
    url = f"sqlite:///{tmp_path}/journal.sqlite3"
    with contextlib.closing(user_rentals()) as book:
        book.settle(begin(book, account="acme"), [activation(1)])
    fallback = Fallback() if "rentals" in given else None
    with connect("acme", journal="on", journal_url=url, **{**given, "rentals": fallback}) as one:
        one._operations.rentals.current(now=NOW)
    assert ([] if moved else [("open", "1")]) == left("acme")
    if fallback is not None:
        fallback.close()


# An old journal.


def test_a_journal_of_the_first_version_is_brought_up_to_date_in_place(url: str) -> None:
    """Made by the first migration itself; its operations stay, and rentals come to it."""
    engine = database._engine("work", database._parsed("work", url), False)
    with pytest.MonkeyPatch.context() as patch, engine.begin() as run:
        patch.setattr("alembic.command.upgrade", first_version(run))
        database._upgrade(run)
        run.exec_driver_sql(_OPERATION)
    engine.dispose()
    with contextlib.closing(journal.opened("work", url)) as kept:
        assert ["a"] == [one.id for one in kept.operations(NOW)]
        begin(Rentals(kept.shelf))
    assert [("pending", None)] == known(read(url))


_OPERATION: Final = (
    "INSERT INTO operation (id, claim, hook, account, provider, request, state, created_at,"
    " updated_at, lease_until) VALUES ('a', 'a', 'send', 'work', 'fine', 'x', 'performed',"
    " '2026-01-01 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00')"
)


def first_version(run: sa.Connection) -> Callable[[Any, str], None]:
    """An upgrade that goes no further."""
    from alembic import command

    real = command.upgrade
    return lambda config, _: real(config, "v1")
