"""The book of rentals: what is open, what was paid, and so what the budget still allows.

A rental is written *before* the request, in one transaction with the counts that allow it, and
settled after it; a crash between the two leaves it `pending`, never forgotten. In memory by
default; with a path it is a small SQLite file that processes share.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs

from qasid.database import MEMORY, Database
from qasid.errors import BudgetExceeded
from qasid.settings import Options, state_folder
from qasid.values import Activation, Money, UnusedCap

__all__ = ["Rental", "Rentals", "user_rentals"]

_log = logging.getLogger("qasid")
_DAY: Final = timedelta(days=1)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS rental (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    provider TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'open', 'kept', 'closed')),
    begun_at REAL NOT NULL,
    ends_at REAL NOT NULL,
    activation_id TEXT,
    activation TEXT,
    amount TEXT,
    currency TEXT,
    used INTEGER NOT NULL DEFAULT 0
)
"""
_HAS_USED: Final = "SELECT 1 FROM pragma_table_info('rental') WHERE name = 'used'"
_ADD_USED: Final = "ALTER TABLE rental ADD COLUMN used INTEGER NOT NULL DEFAULT 0"

_INSERT: Final = """
INSERT INTO rental (account, provider, state, begun_at, ends_at, amount, currency)
VALUES (?, ?, 'pending', ?, ?, ?, ?)
"""
_COPY: Final = """
INSERT INTO rental (account, provider, state, begun_at, ends_at, amount, currency)
SELECT account, provider, state, begun_at, ends_at, amount, currency FROM rental WHERE id = ?
"""
_FILL: Final = """
UPDATE rental SET state = 'open', activation_id = ?, activation = ?, amount = coalesce(?, amount),
    currency = coalesce(?, currency), ends_at = coalesce(?, ends_at)
WHERE id = ?
"""
_USE: Final = "UPDATE rental SET used = 1 WHERE account = ? AND activation_id = ?"
_MARK: Final = "UPDATE rental SET state = ? WHERE account = ? AND activation_id = ?"
_DELETE: Final = "DELETE FROM rental WHERE id = ?"
_CURRENT: Final = """
SELECT * FROM rental
WHERE state != 'closed' AND ends_at > ? AND ? IN ('', account) ORDER BY id
"""
_WAITING: Final = "state IN ('pending', 'open') AND ends_at > ?"
_RECENT: Final = "begun_at > ?"


@attrs.frozen(kw_only=True)
class Rental:
    """One number that is, or may be, rented.

    `state` is `pending` (asked for; whether it was rented is not known yet, or never became known),
    `open`, or `kept` (the provider refused to take it back). Moments are UTC.
    """

    account: str
    provider: str
    state: str
    begun_at: datetime
    ends_at: datetime
    activation: Activation | None = None


class Rentals:
    """The rentals of any number of accounts. Threads and processes may share a file.

    Raises `SettingsError` where the file cannot be written. A file that is no database is set aside
    under another name, and a new one begun.
    """

    def __init__(self, path: Path | str = MEMORY) -> None:
        self._database = Database(path, _prepare)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def begin(
        self,
        account: str,
        provider: str,
        count: int,
        *,
        now: datetime,
        lifetime: timedelta,
        price: Money | None,
        options: Options,
        unused_cap: UnusedCap | None = None,
    ) -> list[int]:
        """Write down `count` rentals that are about to be asked for; give their row numbers.

        Raises `BudgetExceeded` where the account's caps, or the provider's, do not allow them.
        """

        def add(run: sqlite3.Connection) -> list[int]:
            _check_caps(run, account, count, now, price, options)
            if unused_cap is not None:
                _check_unused(run, account, count, now, unused_cap)
            begun, end = now.timestamp(), (now + lifetime).timestamp()
            values = (account, provider, begun, end, *_columns(price))
            return [run.execute(_INSERT, values).lastrowid or 0 for _ in range(count)]

        return self._database.transact(add)

    def cancel(self, rows: Sequence[int]) -> None:
        """Strike out what was not performed."""
        self._database.transact(lambda run: _delete(run, rows))

    def settle(
        self, rows: Sequence[int], activations: Sequence[Activation], unknown: int = 0
    ) -> None:
        """Write down what was rented; of the rest, all but `unknown` ones are struck out."""

        def fill(run: sqlite3.Connection) -> None:
            more = [_copy(run, rows[0]) for _ in activations[len(rows) :]]
            for row, activation in zip([*rows, *more], activations, strict=False):
                _fill(run, row, activation)
            _delete(run, rows[len(activations) + unknown :])

        self._database.transact(fill)

    def mark(self, account: str, activation_id: str, state: str) -> None:
        """Note that a number was given back (`closed`) or that the provider kept it (`kept`)."""
        self._database.transact(lambda run: run.execute(_MARK, (state, account, activation_id)))

    def use(self, account: str, activation_id: str) -> None:
        """Note that a number has had a message."""
        self._database.transact(lambda run: run.execute(_USE, (account, activation_id)))

    def current(self, *, now: datetime, account: str | None = None) -> list[Rental]:
        """Every rental that is not closed and whose time is not over, oldest first."""
        values = (now.timestamp(), account or "")
        rows = self._database.transact(lambda run: run.execute(_CURRENT, values).fetchall())
        return [_rental(row) for row in rows]


def user_rentals() -> Rentals:
    """The book of this user, in the state folder, which the command `qasid` keeps too."""
    return Rentals(state_folder() / "rentals.sqlite3")


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(_SCHEMA)
    if not connection.execute(_HAS_USED).fetchone():
        connection.execute(_ADD_USED)


def _check_caps(
    run: sqlite3.Connection,
    account: str,
    count: int,
    now: datetime,
    price: Money | None,
    options: Options,
) -> None:
    yesterday = (now - _DAY).timestamp()
    open_now = _count(run, _WAITING, account, now.timestamp())
    _check_cap("max_open", open_now + count, options.max_open)
    _check_cap("max_per_day", _count(run, _RECENT, account, yesterday) + count, options.max_per_day)
    if options.max_spend is not None and price is not None:
        wanted = Money(price.amount * count, price.currency)
        _check_spend(_spent(run, account, yesterday, price.currency), wanted, options.max_spend)


def _count(run: sqlite3.Connection, condition: str, account: str, moment: float) -> int:
    query = f"SELECT count(*) FROM rental WHERE account = ? AND {condition}"  # noqa: S608, ours
    return int(run.execute(query, (account, moment)).fetchone()[0])


def _check_cap(cap: str, wanted: int, allowed: int) -> None:
    if wanted > allowed:
        what = "open activations" if cap == "max_open" else "acquisitions in 24 hours"
        raise BudgetExceeded(
            f"{cap}: this would make {wanted} {what}, and {allowed} are allowed; release numbers,"
            f" wait, or raise {cap} in the account's settings",
            cap=cap,
        )


def _check_unused(
    run: sqlite3.Connection, account: str, count: int, now: datetime, cap: UnusedCap
) -> None:
    from zoneinfo import ZoneInfo  # late: few providers need it

    local = now.astimezone(ZoneInfo(cap.zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    query = "SELECT count(*), sum(used) FROM rental WHERE account = ? AND begun_at >= ?"
    rented, used = run.execute(query, (account, midnight)).fetchone()
    if rented + count > cap.numbers and not used:
        raise BudgetExceeded(
            f"unused_cap: {rented} numbers were rented today ({cap.zone}) and none has had a"
            f" message; the provider blocks accounts for that, so {cap.numbers} is the end: find"
            " out why no message comes, or wait for tomorrow",
            cap="unused_cap",
        )


def _spent(run: sqlite3.Connection, account: str, since: float, currency: str) -> Money:
    query = f"SELECT amount FROM rental WHERE account = ? AND {_RECENT} AND currency = ?"  # noqa: S608
    rows = run.execute(query, (account, since, currency)).fetchall()
    return Money(sum((Decimal(row["amount"]) for row in rows), Decimal(0)), currency)


def _check_spend(spent: Money, price: Money, cap: Money) -> None:
    if cap.currency != price.currency:
        message = (
            f"max_spend is in {cap.currency} and prices are in {price.currency}; set it in those"
        )
        raise BudgetExceeded(message, cap="max_spend")
    if spent + price > cap:
        raise BudgetExceeded(
            f"max_spend: {price} on top of {spent} in 24 hours would pass {cap}; wait or raise it",
            cap="max_spend",
        )


def _columns(price: Money | None) -> tuple[str | None, str | None]:
    return (None, None) if price is None else (str(price.amount), price.currency)


def _delete(run: sqlite3.Connection, rows: Sequence[int]) -> None:
    run.executemany(_DELETE, [(row,) for row in rows])


def _copy(run: sqlite3.Connection, row: int) -> int:
    """Another row like it, for a number more than was asked for: it is paid, and not lost."""
    return run.execute(_COPY, (row,)).lastrowid or 0


def _fill(run: sqlite3.Connection, row: int, activation: Activation) -> None:
    end = activation.expires_at and activation.expires_at.timestamp()
    run.execute(_FILL, (activation.id, activation.dump(), *_columns(activation.cost), end, row))


def _rental(row: Any) -> Rental:
    return Rental(
        account=row["account"],
        provider=row["provider"],
        state=row["state"],
        begun_at=datetime.fromtimestamp(row["begun_at"], UTC),
        ends_at=datetime.fromtimestamp(row["ends_at"], UTC),
        activation=_activation(row),
    )


def _activation(row: Any) -> Activation | None:
    """What was stored; None where nothing was, or nothing that can be read: the rental is shown."""
    if row["activation"] is None:
        return None
    try:
        return Activation.load(row["activation"])
    except ValueError:
        _log.warning("the stored activation %r cannot be read", row["activation_id"])
        return None
