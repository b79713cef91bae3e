"""SQLite or PostgreSQL: opened when first used, brought up to date, and one kind of error."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from qasid.errors import JournalUnavailable, SettingsError
from qasid.journal.schema import REVISIONS
from qasid.journal.turns import Turns
from qasid.settings import state_folder

__all__ = ["Database"]

T = TypeVar("T")

_PATIENCE: Final = 10.0  # seconds, for a connection, and for another process to let go of a lock
_FILE: Final = "journal.sqlite3"
_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
_CONNECT: Final[Mapping[str, dict[str, Any]]] = {
    # Transactions are begun by us: Python's own idea of them leaves out reads and schema changes.
    "sqlite": {"timeout": _PATIENCE, "isolation_level": None},
    "postgresql": {
        "connect_timeout": int(_PATIENCE),
        # Milliseconds, for a server that is gone without a word; where the system can do that.
        "tcp_user_timeout": int(_PATIENCE * 1000),
    },
}
# One thread at a time writes to a file. They queue here, as neither SQLite's own waiting is in turn
# nor that of a pool.
_CONNECTIONS: Final = {"sqlite": 1, "postgresql": 15}
_QUEUE: Final = 30.0  # seconds, for one of them to come free
_WAL: Final = "PRAGMA journal_mode = WAL"
_LOCKS: Final = f"SET lock_timeout = '{_PATIENCE:.0f}s'"
# What is read after a lock was waited for is what stands there then, whatever the server's default.
_ISOLATION: Final = "SET default_transaction_isolation = 'read committed'"
# Of SQLite's, NORMAL with a WAL loses nothing when a process ends, but may when the power fails.
_SETTINGS: Final = {
    ("sqlite", False): (_WAL, "PRAGMA synchronous = NORMAL"),
    ("sqlite", True): (_WAL, "PRAGMA synchronous = FULL"),
    ("postgresql", False): (_LOCKS, _ISOLATION),
    ("postgresql", True): (_LOCKS, _ISOLATION),
}
# Held until the transaction ends: one process at a time brings the schema up to date.
_SCHEMA_LOCK: Final = {"sqlite": "SELECT 1", "postgresql": "SELECT pg_advisory_xact_lock(71830442)"}


class Database:
    """The database of a journal. Threads may share it, and processes the database.

    A process that was forked has connections of its own, and leaves those of the other one alone.

    Raises `SettingsError` for an address that is none, `JournalUnavailable` for all else.
    """

    def __init__(self, account: str, url: str | None, *, durable: bool) -> None:
        self._engine = _engine(account, _own() if url is None else _parsed(account, url), durable)
        self._begin()

    def _begin(self) -> None:
        kind = self._engine.url.get_backend_name()
        self._turns = Turns(_CONNECTIONS[kind], _QUEUE)
        self._lock = threading.Lock()
        self._ready = False
        self._process = os.getpid()
        # Also when it is forgotten.
        self._closing = weakref.finalize(self, _give_back, self._engine, self._process)

    @property
    def address(self) -> sa.URL:
        """Where it is; of a file, whatever folder the process is in."""
        url = self._engine.url
        if url.get_backend_name() != "sqlite" or str(url.database).startswith("file:"):
            return url
        return url.set(database=str(Path(str(url.database)).absolute()))

    def close(self) -> None:
        """Give the connections back."""
        self._closing()

    def transact(self, act: Callable[[sa.Connection], T]) -> T:
        """All of `act` or nothing; once more where the server had closed the connection.

        So `act` must do the same when it is done twice: its first commit may have come through.
        """
        if self._process != os.getpid():
            self._closing.detach()
            self._engine.dispose(close=False)
            self._begin()
        try:
            try:
                return self._once(act)
            except sa.exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            return self._once(act)
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError, UnicodeEncodeError) as error:
            raise _unavailable(self._engine.url, error) from None

    def _once(self, act: Callable[[sa.Connection], T]) -> T:
        if not self._ready:
            with self._lock:
                self._prepare()
        with self._turns.turn(), self._engine.begin() as run:
            return act(run)

    def _prepare(self) -> None:
        _make_room(self._engine.url)
        with self._engine.begin() as run:
            if _revision(run) != REVISIONS[-1]:
                _upgrade(run)
        self._ready = True


def _give_back(engine: sa.Engine, process: int) -> None:
    engine.dispose(close=process == os.getpid())


# Addresses.


def _own() -> sa.URL:
    return sa.URL.create(_DRIVERS["sqlite"], database=str(state_folder() / _FILE))


def _parsed(account: str, text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise _no_address(account, "is no address") from None
    if url.get_backend_name() not in _DRIVERS:
        raise _no_address(account, "is neither SQLite nor PostgreSQL")
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise _no_address(account, "names no file, and a journal must outlive the process")
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _no_address(account: str, problem: str) -> SettingsError:
    remedy = "write sqlite:////FOLDER/FILE or postgresql://USER@HOST/DATABASE"
    return SettingsError(problem, account=account, field="journal_url", remedy=remedy)


def _engine(account: str, url: sa.URL, durable: bool) -> sa.Engine:
    kind = url.get_backend_name()
    pool = {"pool_size": _CONNECTIONS[kind], "max_overflow": 0}
    try:
        engine = sa.create_engine(url, connect_args=_CONNECT[kind], hide_parameters=True, **pool)
    except (ImportError, sa.exc.ArgumentError):  # of which a driver nobody knows is one
        problem, remedy = "its driver is not installed", 'run: pip install "qasid[postgres]"'
        raise SettingsError(problem, account=account, field="journal_url", remedy=remedy) from None
    sa.event.listen(engine, "connect", _tuned(_SETTINGS[kind, durable]))
    if kind == "sqlite":
        # A write lock from the start: asked for after a read, it may be refused without a wait.
        sa.event.listen(engine, "begin", lambda run: run.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _tuned(settings: Iterable[str]) -> Callable[[Any, Any], None]:
    def tune(connection: Any, record: Any) -> None:
        for setting in settings:
            # WAL is refused while another process turns it on, which will do for this one as well,
            # and in a file that cannot be written, which the first write will tell.
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute(setting)
        connection.commit()

    return tune


def _make_room(url: sa.URL) -> None:
    """A folder and a file that no other user can read."""
    if url.get_backend_name() == "sqlite" and not str(url.database).startswith("file:"):
        path = Path(str(url.database))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)


# The schema.


def _revision(run: sa.Connection) -> str | None:
    """The version of the schema; None where there is none yet. Raises for an unknown one."""
    if not sa.inspect(run).has_table("alembic_version"):
        return None
    found = run.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if found is not None and found not in REVISIONS:
        raise JournalUnavailable(
            f"the journal {_shown(run.engine.url)} is of version {found}, which only a newer Qasid"
            " reads; run: pip install --upgrade qasid"
        )
    return None if found is None else str(found)


def _upgrade(run: sa.Connection) -> None:
    from alembic import command  # late: only a new or an old journal needs it
    from alembic.config import Config

    run.exec_driver_sql(_SCHEMA_LOCK[run.dialect.name])
    config = Config(attributes={"connection": run})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    command.upgrade(config, "head")


# Errors.


def _unavailable(url: sa.URL, error: Exception) -> JournalUnavailable:
    """Of an error of the database's own its words alone; SQLAlchemy's would show the statement."""
    cause = (error.orig if isinstance(error, sa.exc.DBAPIError) else None) or error
    words = str(cause).strip().partition("\n")[0]
    return JournalUnavailable(
        f"the journal {_shown(url)} cannot be used ({words}); let it be written, or name another"
        " with journal_url"
    )


def _shown(url: sa.URL) -> str:
    """A file's path, or an address without its password, which may stand in the query too."""
    return url.database or "" if url.get_backend_name() == "sqlite" else str(url.set(query={}))
