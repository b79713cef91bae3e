"""The journal's database: opened, brought up to date, shared, full, locked, or not to be had."""

from __future__ import annotations

import contextlib
import importlib
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import alembic.script
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from qasid import errors, journal
from qasid.errors import JournalUnavailable, SettingsError
from qasid.journal import database, schema, store
from qasid.journal.database import Database
from qasid.journal.records import Ending, Intent, Operation, State, digest, intent
from qasid.journal.store import Journal
from qasid.values import NumberOrder, TextMessage

from . import databases
from .databases import KINDS

Opener: TypeAlias = Callable[..., Journal]

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
LATER: Final = NOW + timedelta(days=1)
TO: Final = "+989121112233"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "state" / "journal.sqlite3"


@pytest.fixture
def opener() -> Iterator[Opener]:
    """Opens journals, and closes them afterwards."""
    with contextlib.ExitStack() as stack:

        def _open(place: Path | str, **options: Any) -> Journal:
            url = place if isinstance(place, str) else f"sqlite:///{place}"
            return stack.enter_context(contextlib.closing(journal.opened("work", url, **options)))

        yield _open


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a journal is, of either kind."""
    with databases.database(request.param, tmp_path) as address:
        yield address


@pytest.fixture
def book(opener: Opener, url: str) -> Journal:
    """A journal of either kind."""
    return opener(url)


@pytest.fixture
def file(opener: Opener, path: Path) -> Journal:
    """A journal in a file."""
    return opener(path)


def intended(reference: str | None = None, text: str = "x", **of: Any) -> Intent:
    """The intent to send one message, for twenty minutes unless told."""
    usual = {"account": "work", "provider": "acme", "lease": 20 * MINUTE, "hide_recipient": False}
    return intent("send", TextMessage(to=TO, text=text, reference=reference), **{**usual, **of})


def begun(book: Journal, *intents: Intent, now: datetime = NOW) -> list[str]:
    """The claims of what is written down."""
    assert [None] * len(intents) == book.begin(intents, now)
    return [one.claim for one in intents]


def ended(book: Journal, state: State, now: datetime = NOW, **of: Any) -> str:
    """An operation that ended so; gives its id."""
    (claim,) = begun(book, intended(**of), now=now)
    assert 1 == book.settle([Ending(claim=claim, state=state)], now)
    return claim


def ids(book: Journal, now: datetime = NOW, **filters: Any) -> list[str]:
    """The ids of what is listed, in order."""
    return [one.id for one in book.operations(now, **filters)]


# What is kept.


def test_an_operation_is_read_back_as_it_was_written(
    book: Journal, opener: Opener, url: str
) -> None:
    """By another journal on the same file, with moments in UTC."""
    (claim,) = begun(book, intended("order-42", text="hello"))
    found = opener(url).find(claim)
    assert found is not None
    assert ("send", "order-42", TO, 5) == (
        found.hook,
        found.reference,
        found.recipient,
        found.text_length,
    )
    assert (NOW, NOW + 20 * MINUTE, 20 * MINUTE) == (
        found.created_at,
        found.lease_until,
        found.lease,
    )
    assert State.PENDING is found.state
    assert opener(url).find("no such id") is None


def test_a_pending_operation_is_unknown_when_its_lease_is_over(book: Journal) -> None:
    """Not a moment earlier, whether read, listed or filtered."""
    (claim,) = begun(book, intended())
    end = NOW + 20 * MINUTE
    for now, state in [(end - timedelta(microseconds=1), State.PENDING), (end, State.UNKNOWN)]:
        (found,) = book.operations(now)
        assert state is found.state
        for wanted in State:
            assert ([claim] if wanted is state else []) == ids(book, now, state=wanted)


def test_operations_are_filtered_by_account_state_and_time(book: Journal) -> None:
    """Oldest first, and any filters together."""
    first = ended(book, State.PERFORMED, NOW)
    second = ended(book, State.UNKNOWN, NOW + MINUTE, account="other")
    third = ended(book, State.REFUSED, NOW + 2 * MINUTE)
    assert [first, second, third] == ids(book)
    assert [first, third] == ids(book, account="work")
    assert [second, third] == ids(book, since=NOW + MINUTE)
    assert [third] == ids(book, state=State.REFUSED, account="work", since=NOW + MINUTE)


def test_a_long_journal_is_read_page_by_page(
    book: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once and in order, also where many began at the same moment; others may write."""
    monkeypatch.setattr(store, "_PAGE", 2)
    claims = [claim for _ in range(5) for claim in begun(book, intended())]
    found = book.operations(NOW)
    seen = [next(found).id, next(found).id]
    late = ended(book, State.PERFORMED, LATER)
    assert [*sorted(claims), late] == seen + [one.id for one in found]


def test_what_began_together_is_listed_in_the_order_given(book: Journal) -> None:
    """With references or without."""
    claims = begun(book, *(intended(name) for name in ("b", None, "a", None)))
    assert claims == ids(book)


def test_what_came_to_a_known_end_is_pruned_and_nothing_else(book: Journal) -> None:
    """Pending and unknown stay however old they are; so does what is younger, or another's."""
    for state in State:
        (claim,) = begun(book, intended())
        book.settle([Ending(claim=claim, state=state)], NOW)
    other = ended(book, State.PERFORMED, account="other")
    young = ended(book, State.PERFORMED, LATER)
    assert 2 == book.prune("work", NOW + MINUTE)
    assert {State.PENDING, State.UNKNOWN} == {
        o.state for o in book.operations(NOW) if o.id not in {other, young}
    }
    assert 1 == book.prune(None, NOW + MINUTE)
    assert young in ids(book)
    assert other not in ids(book)


def test_only_what_is_unknown_is_resolved(book: Journal) -> None:
    """A lease that is over will do; the error stays, and who found it out is noted."""
    known = {state: ended(book, state) for state in (State.PERFORMED, State.REFUSED, State.UNKNOWN)}
    (pending,) = begun(book, intended())
    for identity, now, yes in [
        (known[State.PERFORMED], LATER, False),
        (known[State.REFUSED], LATER, False),
        (pending, NOW, False),
        (pending, LATER, True),
        (known[State.UNKNOWN], NOW, True),
    ]:
        found = book.find(identity)
        assert found is not None
        changed = _as(found, State.PERFORMED)
        assert yes is book.resolve(changed, by="person", now=now)
    assert "person" == book.find(pending).settled_by  # type: ignore[union-attr]


def _as(operation: Operation, state: State) -> Operation:
    import attrs

    return attrs.evolve(operation, state=state)


def test_an_end_that_comes_too_late_for_its_claim_changes_nothing(book: Journal) -> None:
    """Somebody said that it was refused, and another try has begun under the reference."""
    (first,) = begun(book, intended("r"))
    found = book.find(first)
    assert found is not None
    book.resolve(_as(found, State.REFUSED), by="person", now=LATER)
    (second,) = begun(book, intended("r"), now=LATER)
    assert 0 == book.settle([Ending(claim=first, state=State.PERFORMED)], LATER)
    assert 1 == book.settle([Ending(claim=second, state=State.UNKNOWN)], LATER)
    assert [(first, State.UNKNOWN)] == [(o.id, o.state) for o in book.operations(LATER)]


def test_beginning_twice_with_one_claim_is_beginning_once(book: Journal) -> None:
    """As when a connection was lost after a commit, and the same is done again."""
    plain, named = intended(), intended("r")
    for _ in range(2):
        assert [None, None] == book.begin([plain, named], NOW)
    assert 2 == len(ids(book))


def test_digests_of_two_journals_do_not_compare(opener: Opener, tmp_path: Path) -> None:
    """Each has a key of its own; within one, equal texts have equal digests."""
    one, other = opener(tmp_path / "a.sqlite3"), opener(tmp_path / "b.sqlite3")
    for book in (one, one, other):
        begun(book, intended())
    found = [o.text_digest for book in (one, other) for o in book.operations(NOW)]
    assert found[0] == found[1] != found[2]
    assert digest(b"k", "text", "x") != digest(b"k", "recipient", "x")


def test_a_subject_that_cannot_be_printed_is_written_so_that_it_can(book: Journal) -> None:
    """A terminal is not at the mercy of a service's name."""
    order = NumberOrder(services="ac\x1bme", country="SA")
    of = {"account": "work", "provider": "acme", "lease": MINUTE, "hide_recipient": False}
    begun(book, intent("acquire_number", order, **of))
    assert [r"'ac\x1bme SA'"] == [o.subject for o in book.operations(NOW)]


# Two at once.


def test_of_many_that_begin_one_reference_at_once_one_gets_it(opener: Opener, url: str) -> None:
    """The others are told that it is pending."""
    gate = threading.Barrier(8)
    found: list[Any] = []

    def begin() -> None:
        book = opener(url)
        gate.wait()
        found.extend(book.begin([intended("r"), intended("q")], NOW))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (2, 14) == (found.count(None), len([one for one in found if one and one.same]))


def test_a_process_that_opens_it_while_another_brings_it_up_to_date_waits(
    opener: Opener, url: str
) -> None:
    """The second finds the schema there."""
    first, second = opener(url), opener(url)
    began = threading.Event()

    def upgrade(run: sa.Connection) -> None:
        began.set()
        real(run)

    real = database._upgrade
    found: list[list[str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_upgrade", upgrade)
        thread = threading.Thread(target=lambda: found.append(ids(first)))
        thread.start()
        began.wait(10)
        found.append(ids(second))
        thread.join()
    assert [[], []] == found


# The schema.


def in_a_fork(act: Callable[[], object]) -> int:
    """Do it in a process that is forked here; its exit code."""
    child = os.fork()
    if not child:
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_leaves_the_connections_of_the_other_one_alone(book: Journal) -> None:
    """Both go on with what they have; also where the child gives everything back."""
    begun(book, intended("order-1"))

    def as_a_child_does() -> None:
        begun(book, intended("order-2"))
        book.close()

    assert 0 == in_a_fork(as_a_child_does)
    assert 0 == in_a_fork(book.close)
    begun(book, intended("order-3"))
    assert {"order-1", "order-2", "order-3"} == {it.reference for it in book.operations(NOW)}


def test_what_was_inherited_is_not_used(file: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process knows by its number that it is another one; it closes nothing of the first."""
    begun(file, intended("order-1"))
    engine, number = file._database._engine, os.getpid()
    inherited = [engine.pool]
    monkeypatch.setattr(os, "getpid", lambda: number + 1)
    begun(file, intended("order-2"))
    inherited.append(engine.pool)
    database._give_back(engine, number)
    assert all("Connections in pool: 1 " in pool.status() for pool in inherited)
    for pool in inherited:
        pool.dispose()


def test_the_migrations_make_the_tables_that_are_used(book: Journal, url: str) -> None:
    """And the versions known are those of the migrations."""
    assert [] == ids(book)
    engine = sa.create_engine(url)
    with engine.connect() as run:
        assert [] == compare_metadata(MigrationContext.configure(run), schema.metadata)
    engine.dispose()
    folder = Path(database.__file__).parent / "migrations"
    scripts = alembic.script.ScriptDirectory(str(folder)).walk_revisions()
    assert list(schema.REVISIONS) == [script.revision for script in scripts][::-1]


def test_a_journal_of_a_newer_version_is_refused(file: Journal, opener: Opener, path: Path) -> None:
    """The error names the version and the remedy; the file stays as it is."""
    ended(file, State.PERFORMED)
    file.close()
    with contextlib.closing(sqlite3.connect(path)) as run, run:
        run.execute("UPDATE alembic_version SET version_num = 'v99'")
    with pytest.raises(JournalUnavailable, match=r"version v99.*pip install --upgrade qasid"):
        opener(path).find("x")


def test_a_journal_whose_making_was_cut_off_is_made_again(opener: Opener, path: Path) -> None:
    """The table of versions alone is there."""
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as run, run:
        run.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    assert [] == ids(opener(path))


# The file.


def test_the_journal_is_this_users_alone(file: Journal, path: Path) -> None:
    """File and folder, and what SQLite puts beside the file."""
    begun(file, intended())
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
    assert {0o600} == {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert path.with_name("journal.sqlite3-wal") in {*path.parent.iterdir()}


def test_without_an_address_it_is_in_the_state_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """QASID_STATE_DIR, else that of the user."""
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path / "here"))
    with contextlib.closing(journal.opened("work", None)) as book:
        begun(book, intended())
    assert (tmp_path / "here" / "journal.sqlite3").exists()


@pytest.mark.parametrize(("durable", "mode"), [(False, 1), (True, 2)])
def test_only_strict_waits_for_the_disk(tmp_path: Path, durable: bool, mode: int) -> None:
    """NORMAL loses nothing when a process is killed, FULL nothing when the power fails."""
    made = Database("work", f"sqlite:///{tmp_path}/j.sqlite3", durable=durable)
    with contextlib.closing(made):
        ask = lambda run: run.exec_driver_sql("PRAGMA synchronous").scalar()  # noqa: E731
        assert mode == made.transact(ask)


# Faults.


def unavailable(book: Journal) -> str:
    """What is said when it cannot be written."""
    with pytest.raises(JournalUnavailable) as caught:
        book.begin([intended(text="secret words")], NOW)
    assert "secret" not in str(caught.value)
    assert "INSERT" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_no_journal(opener: Opener, tmp_path: Path) -> None:
    """Nor can one be made below a file."""
    assert "unable to open" in unavailable(opener(tmp_path))
    (tmp_path / "file").touch()
    assert "Errno" in unavailable(opener(tmp_path / "file" / "journal"))


def test_a_file_that_is_no_database_is_left_alone(opener: Opener, tmp_path: Path) -> None:
    """A new one in its place would have forgotten every reference."""
    (tmp_path / "j").write_bytes(b"no database, but long enough to be taken for one" * 20)
    assert "not a database" in unavailable(opener(tmp_path / "j"))
    assert (tmp_path / "j").read_bytes().startswith(b"no database")


def test_a_read_only_journal_cannot_be_used(file: Journal, opener: Opener, path: Path) -> None:
    """It says so before anything is tried."""
    begun(file, intended())
    assert "readonly" in unavailable(opener(f"sqlite:///file:{path}?mode=ro&uri=true"))


def test_a_locked_journal_is_waited_for_and_then_given_up(
    opener: Opener, path: Path, file: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the busy time-out says."""
    begun(file, intended())
    monkeypatch.setitem(database._CONNECT["sqlite"], "timeout", 0.05)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in unavailable(opener(path))
        other.execute("ROLLBACK")
        begun(opener(path), intended())


def test_a_full_disk_is_said_and_what_was_written_stays(opener: Opener, path: Path) -> None:
    """And when there is room again, it goes on."""
    book = opener(path)
    first = begun(book, intended())
    engine = book._database._engine
    quota = lambda connection, _: connection.execute("PRAGMA max_page_count = 1")  # noqa: E731
    sa.event.listen(engine, "connect", quota)
    engine.dispose()
    many = [intended(f"r{n}", text="long" * 100) for n in range(500)]
    with pytest.raises(JournalUnavailable, match="full"):
        book.begin(many, NOW)
    assert first == ids(book)
    sa.event.remove(engine, "connect", quota)
    engine.dispose()
    begun(book, *many)


# PostgreSQL.


@pytest.fixture
def served(opener: Opener, tmp_path: Path) -> Iterator[Journal]:
    """A journal at the server."""
    with databases.database("postgres", tmp_path) as address:
        yield opener(address)


def cut(book: Journal) -> None:
    """Close all its connections at the server, as a restart does."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
    databases.command(end, name=book._database._engine.url.database)


@pytest.mark.services
def test_a_restart_of_the_server_between_two_writes_is_not_noticed(served: Journal) -> None:
    """Between the intent and the outcome too."""
    (claim,) = begun(served, intended("r"))
    cut(served)
    assert 1 == served.settle([Ending(claim=claim, state=State.PERFORMED)], NOW)
    cut(served)
    assert [State.PERFORMED] == [one.state for one in served.operations(NOW)]


@pytest.mark.services
def test_a_restart_within_a_transaction_writes_it_once(served: Journal) -> None:
    """It is done again, whole."""
    one = intended("r")
    cuts = [1]

    def act(run: sa.Connection, key: bytes) -> Any:
        found = store._begin(run, key, [one], NOW)
        if cuts:
            cuts.pop()
            cut(served)
        run.exec_driver_sql("SELECT 1")
        return found

    assert [None] == served._transact(act)
    assert [one.claim] == ids(served)


@pytest.mark.services
def test_a_table_that_somebody_locked_is_waited_for_and_then_given_up(
    served: Journal, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the lock time-out says."""
    begun(served, intended())
    monkeypatch.setitem(database._SETTINGS, ("postgresql", False), ["SET lock_timeout = '50ms'"])
    other = served._database._engine
    with other.connect() as run:
        run.exec_driver_sql("LOCK TABLE operation")
        address = other.url.render_as_string(hide_password=False)
        assert "lock timeout" in unavailable(opener(address))


# Addresses.


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense", "is no address"),
        ("postgresql://host:port/x", "is no address"),
        ("mysql://host/x", "is neither SQLite nor PostgreSQL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql+unheard://host/x", "its driver is not installed"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str, problem: str) -> None:
    """It names the account, the field and the remedy."""
    with pytest.raises(SettingsError, match=f"'work', field 'journal_url': {problem}"):
        journal.opened("work", url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_server_that_is_not_there_is_said_without_its_password(
    opener: Opener, scheme: str
) -> None:
    """Host and database are named."""
    for address in ("someone:hunter2@127.0.0.1:1/app", "127.0.0.1:1/app?password=hunter2"):
        said = unavailable(opener(f"{scheme}://{address}"))
        assert "127.0.0.1:1/app" in said
        assert "hunter2" not in said


def test_a_connection_that_the_server_closed_is_made_anew_once(book: Journal) -> None:
    """As after its restart; what fails again is said."""
    lost = sa.exc.DBAPIError("SELECT", None, Exception("gone"), connection_invalidated=True)
    failures = [lost]

    def act(run: sa.Connection) -> int:
        if failures:
            raise failures.pop()
        return 42

    assert 42 == book._database.transact(act)
    failures.extend([lost, lost])
    with pytest.raises(JournalUnavailable, match="gone"):
        book._database.transact(act)


def test_without_the_extra_the_setting_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found when the account is opened."""
    monkeypatch.setitem(sys.modules, "qasid.journal.store", None)
    with pytest.raises(SettingsError, match=r'pip install "qasid\[journal\]"'):
        journal.opened("work", None)


def test_every_error_of_the_tree_can_be_raised_again() -> None:
    """From its name alone."""
    results = importlib.import_module("qasid.journal.results")
    kinds = [getattr(errors, name) for name in errors.__all__]
    provider_errors = [kind for kind in kinds if issubclass(kind, errors.ProviderError)]
    assert len(provider_errors) > 10
    for kind in provider_errors:
        assert kind is results._kind(kind.__name__)
