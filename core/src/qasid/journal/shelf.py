"""The database of a journal as the home of a book of rentals: see `qasid.rentals`."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs
import sqlalchemy as sa

from qasid.journal.database import Database
from qasid.rentals import Run

__all__ = ["Shelf"]

T = TypeVar("T")

# SQLite lets one process write at a time. Of PostgreSQL's locks this one ends with the transaction.
_LOCK: Final = {
    "sqlite": sa.text("SELECT 1"),
    "postgresql": sa.text("SELECT pg_advisory_xact_lock(71830443, :account)"),
}


@attrs.frozen
class Shelf:
    """It is open as long as the journal is. Raises `JournalUnavailable`."""

    _database: Database

    def transact(self, act: Callable[[Run], T]) -> T:
        """See `qasid.rentals.Home.transact`."""
        return self._database.transact(lambda connection: act(_Run(connection)))

    def close(self) -> None:
        """Whoever opened the journal closes it."""


@attrs.frozen
class _Run:
    connection: sa.Connection

    def execute(self, sql: str, values: Mapping[str, Any]) -> Sequence[Any]:
        result = self.connection.execute(sa.text(sql), values)
        return result.mappings().all() if result.returns_rows else []

    def serialise(self, account: str) -> None:
        lock = _LOCK[self.connection.dialect.name]
        self.connection.execute(lock, {"account": _number(account)})


def _number(account: str) -> int:
    """32 bits with a sign. Two accounts with one number wait for each other, and no more."""
    return zlib.crc32(account.encode()) - 2**31
