"""A small SQLite file of this user's state: threads and processes share it, and damage is survived.

Each transaction is whole on the disk when `transact` returns, or has not happened.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from qasid.errors import SettingsError

__all__ = ["MEMORY", "Database"]

T = TypeVar("T")
Prepare: TypeAlias = Callable[[sqlite3.Connection], object]

MEMORY: Final = ":memory:"

_log = logging.getLogger("qasid")
_PATIENCE: Final = 10.0  # seconds, for another process to end its transaction


class Database:
    """An open file, or with `MEMORY` none. `prepare` makes the tables that are not there yet.

    Raises `SettingsError` where the file cannot be written. A file that is no database is set aside
    under another name, and a new one begun.
    """

    def __init__(self, path: Path | str, prepare: Prepare) -> None:
        self._path = path if path == MEMORY else Path(path)
        self._lock = threading.Lock()
        self._connection = self._opened(prepare)
        self._closing = weakref.finalize(self, self._connection.close)  # also when forgotten

    def close(self) -> None:
        """Close the file."""
        self._closing()

    def transact(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """All of `act` or nothing. Raises `SettingsError` where the file cannot be used any more.

        No generator: one that Ctrl-C leaves behind keeps the lock.
        """
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    return act(self._connection)
            except (sqlite3.Error, UnicodeEncodeError) as error:
                raise _unusable(self._path, error) from None

    def _opened(self, prepare: Prepare) -> sqlite3.Connection:
        try:
            return _connect(self._path, prepare)
        except sqlite3.OperationalError as error:
            raise _unusable(self._path, error) from None
        except sqlite3.DatabaseError:
            _set_aside(Path(self._path))
            return _connect(self._path, prepare)


def _connect(path: Path | str, prepare: Prepare) -> sqlite3.Connection:
    if isinstance(path, Path):
        _make_room(path)
    connection = sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    try:
        # Writable at all? Better known before a number is paid.
        connection.execute("BEGIN IMMEDIATE")
        prepare(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_room(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path | str, error: Exception) -> SettingsError:
    return SettingsError(
        f"{path} cannot be written ({error})",
        account="*",
        field="state directory",
        remedy="make it writable, or name another with QASID_STATE_DIR",
    )


def _set_aside(path: Path) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    try:
        aside = path.rename(path.with_name(f"{path.name}.damaged-{stamp}"))
    except OSError as error:
        raise _unusable(path, error) from None
    _log.warning("%s is no database; it was set aside as %s and a new one begun", path, aside)
