"""The book of rentals: what is open, what was paid, and so what the budget still allows.

A rental is written *before* the request, in one transaction with the counts that allow it, and
settled after it; a crash between the two leaves it `pending`, never forgotten. In memory by
default; with a path it is a small SQLite file that processes share. An account that keeps a journal
has its rentals in the journal's database. The statements are the same in each of these homes.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

import attrs

from qasid.errors import BudgetExceeded
from qasid.settings import Options, state_folder
from qasid.values import Activation, Money, UnusedCap

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Rental", "Rentals", "user_rentals"]

T = TypeVar("T")
Row: TypeAlias = Any  # a mapping by the names of the columns

_log = logging.getLogger("qasid")
_DAY: Final = timedelta(days=1)
_FILE: Final = "rentals.sqlite3"
_MEMORY: Final = ":memory:"
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
    used INTEGER NOT NULL DEFAULT 0,
    claim TEXT
)
"""
# What books of earlier versions lack.
_ADDED: Final = {"used": "INTEGER NOT NULL DEFAULT 0", "claim": "TEXT"}
_HAS: Final = "SELECT 1 FROM pragma_table_info('rental') WHERE name = ?"
_BY_CLAIM: Final = "CREATE UNIQUE INDEX IF NOT EXISTS rental_claim ON rental (claim)"
_CLAIM: Final = "UPDATE rental SET claim = lower(hex(randomblob(8))) WHERE claim IS NULL"

# What is run in any home, with `:name` for values. A row is known by its claim, so that whatever is
# done twice, as when a server was lost after its commit, is done once.
_KNOWN: Final = "SELECT 1 FROM rental WHERE claim = :claim"
_INSERT: Final = """
INSERT INTO rental (claim, account, provider, state, begun_at, ends_at, amount, currency)
VALUES (:claim, :account, :provider, 'pending', :begun_at, :ends_at, :amount, :currency)
"""
_COPY: Final = """
INSERT INTO rental (claim, account, provider, state, begun_at, ends_at, amount, currency)
SELECT :copy, account, provider, state, begun_at, ends_at, amount, currency FROM rental
WHERE claim = :claim
ON CONFLICT (claim) DO NOTHING
"""
_FILL: Final = """
UPDATE rental SET state = 'open', activation_id = :activation_id, activation = :activation,
    amount = coalesce(:amount, amount), currency = coalesce(:currency, currency),
    ends_at = coalesce(:ends_at, ends_at)
WHERE claim = :claim
"""
_USE: Final = "UPDATE rental SET used = 1 WHERE account = :account AND activation_id = :id"
_MARK: Final = "UPDATE rental SET state = :state WHERE account = :account AND activation_id = :id"
_DELETE: Final = "DELETE FROM rental WHERE claim = :claim"
_CURRENT: Final = """
SELECT * FROM rental
WHERE state != 'closed' AND ends_at > :now AND :account IN ('', account) ORDER BY id
"""
_OPEN: Final = """
SELECT count(*) AS number FROM rental
WHERE account = :account AND state IN ('pending', 'open') AND ends_at > :now
"""
_RECENT: Final = """
SELECT count(*) AS number FROM rental WHERE account = :account AND begun_at > :since
"""
_UNUSED: Final = """
SELECT count(*) AS number, sum(used) AS used FROM rental
WHERE account = :account AND begun_at >= :since
"""
_SPENT: Final = """
SELECT amount FROM rental
WHERE account = :account AND begun_at > :since AND currency = :currency
"""

# How rows are moved. One that a process which began it may still settle where it was is left there
# too, and what became of it is taken over later.
_OF_ACCOUNT: Final = "SELECT * FROM rental WHERE account = :account ORDER BY id"
_TAKE: Final = """
INSERT INTO rental (claim, account, provider, state, begun_at, ends_at, activation_id, activation,
    amount, currency, used)
VALUES (:claim, :account, :provider, :state, :begun_at, :ends_at, :activation_id, :activation,
    :amount, :currency, :used)
ON CONFLICT (claim) DO UPDATE SET state = excluded.state, ends_at = excluded.ends_at,
    activation_id = excluded.activation_id, activation = excluded.activation,
    amount = excluded.amount, currency = excluded.currency, used = rental.used | excluded.used
WHERE rental.state = 'pending' OR excluded.state = 'closed'
"""
_GIVE: Final = """
DELETE FROM rental
WHERE claim = :claim AND state = :state AND (state != 'pending' OR ends_at <= :now)
"""


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


class Run(Protocol):
    """A transaction in a home."""

    def execute(self, sql: str, values: Mapping[str, Any]) -> Sequence[Row]:
        """Run one statement; the rows that it gives, as mappings."""

    def serialise(self, account: str) -> None:
        """Let no other transaction do this for that account until this one ends."""


class Home(Protocol):
    """Where a book is kept: a file of this user, memory, or the database of a journal."""

    def transact(self, act: Callable[[Run], T]) -> T:
        """All of `act` or nothing; it may be done twice. Raises where the home cannot be used."""

    def close(self) -> None:
        """Give back what was opened."""


class Rentals:
    """The rentals of any number of accounts. Threads and processes may share a file.

    Raises `SettingsError` where the file cannot be written. A file that is no database is set aside
    under another name, and a new one begun. Of an account with a journal it raises
    `JournalUnavailable` instead.
    """

    def __init__(self, place: Path | str | Home = _MEMORY) -> None:
        self._home = _home(place)

    def close(self) -> None:
        """Close the file."""
        self._home.close()

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
    ) -> list[str]:
        """Write down `count` rentals that are about to be asked for; give a claim for each.

        Raises `BudgetExceeded` where the account's caps, or the provider's, do not allow them.
        """
        times = {"begun_at": now.timestamp(), "ends_at": (now + lifetime).timestamp()}
        values = {"account": account, "provider": provider, **times, **_columns(price)}
        claims = _claims(count)

        def add(run: Run) -> None:
            run.serialise(account)
            if _known(run, claims):
                return
            _check_caps(run, account, count, now, price, options)
            if unused_cap is not None:
                _check_unused(run, account, count, now, unused_cap)
            _each(run, _INSERT, claims, values)

        self._home.transact(add)
        return claims

    def cancel(self, claims: Sequence[str]) -> None:
        """Strike out what was not performed."""
        self._home.transact(lambda run: _each(run, _DELETE, claims))

    def settle(
        self, claims: Sequence[str], activations: Sequence[Activation], unknown: int = 0
    ) -> None:
        """Write down what was rented; of the rest, all but `unknown` ones are struck out."""
        more = _claims(len(activations) - len(claims))

        def fill(run: Run) -> None:
            for copy in more:  # numbers more than were asked for: they are paid, and not lost
                run.execute(_COPY, {"copy": copy, "claim": claims[0]})
            for claim, activation in zip([*claims, *more], activations, strict=False):
                run.execute(_FILL, {"claim": claim, **_filled(activation)})
            _each(run, _DELETE, claims[len(activations) + unknown :])

        self._home.transact(fill)

    def mark(self, account: str, activation_id: str, state: str) -> None:
        """Note that a number was given back (`closed`) or that the provider kept it (`kept`)."""
        values = {"account": account, "id": activation_id, "state": state}
        self._home.transact(lambda run: run.execute(_MARK, values))

    def use(self, account: str, activation_id: str) -> None:
        """Note that a number has had a message."""
        values = {"account": account, "id": activation_id}
        self._home.transact(lambda run: run.execute(_USE, values))

    def current(self, *, now: datetime, account: str | None = None) -> list[Rental]:
        """Every rental that is not closed and whose time is not over, oldest first."""
        return [*self.by_claim(now=now, account=account).values()]

    def by_claim(self, *, now: datetime, account: str | None = None) -> dict[str, Rental]:
        """What is `current`, each by what it is known by in whatever book it may be."""
        values = {"now": now.timestamp(), "account": account or ""}
        rows = self._home.transact(lambda run: run.execute(_CURRENT, values))
        # One that an earlier version added a moment ago has no claim yet.
        return {row["claim"] or f"row {row['id']}": _rental(row) for row in rows}


class Fallback(Rentals):
    """A book for accounts that keep no journal: one that does has its rentals there."""


def user_rentals() -> Rentals:
    """The book of this user, in the state folder, which the command `qasid` keeps too."""
    return Rentals(_user_file())


def user_fallback() -> Fallback:
    """The same book, as the command `qasid` opens accounts with it."""
    return Fallback(_user_file())


def _user_file() -> Path:
    return state_folder() / _FILE


# Homes.


def _home(place: Path | str | Home) -> Home:
    if place == _MEMORY:
        return _Memory()
    return _File(place) if isinstance(place, Path | str) else place


class _File:
    """A file of this user, or memory."""

    def __init__(self, path: Path | str) -> None:
        from qasid.database import Database  # late: SQLite is large, and few accounts rent

        self._database = Database(path, _prepare)

    def transact(self, act: Callable[[Run], T]) -> T:
        return self._database.transact(lambda connection: act(_FileRun(connection)))

    def close(self) -> None:
        self._database.close()


class _Memory:
    """Memory, which is opened when it is first used: every account has it, and few rent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: _File | None = None
        self._closed = False

    def transact(self, act: Callable[[Run], T]) -> T:
        return self._opened().transact(act)

    def _opened(self) -> _File:
        with self._lock:
            if self._file is None:
                self._file = _File(_MEMORY)
            if self._closed:  # nothing is counted any more, also where nothing was before
                self._file.close()
            return self._file

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()


@attrs.frozen
class _FileRun:
    connection: sqlite3.Connection

    def execute(self, sql: str, values: Mapping[str, Any]) -> Sequence[Row]:
        return self.connection.execute(sql, values).fetchall()

    def serialise(self, account: str) -> None:
        """A transaction of a file has its lock from the start."""


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(_SCHEMA)
    for name, kind in _ADDED.items():
        if not connection.execute(_HAS, (name,)).fetchone():
            connection.execute(f"ALTER TABLE rental ADD COLUMN {name} {kind}")
    connection.execute(_BY_CLAIM)
    connection.execute(_CLAIM)


class Inheriting:
    """A home that, when first used, takes in what one account has in this user's file.

    Whatever ends it before it is done, no row is lost and none is there twice: the next that comes
    goes on. Raises `SettingsError` where the file cannot be read, and nothing is counted then.
    """

    def __init__(
        self,
        home: Home,
        account: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._home = home
        self._account = account
        self._clock = clock
        self._lock = threading.Lock()
        self._done = False

    def transact(self, act: Callable[[Run], T]) -> T:
        """As of the home that it is."""
        with self._lock:
            if not self._done:
                self._inherit(_user_file())
                self._done = True
        return self._home.transact(act)

    def close(self) -> None:
        """As of the home that it is."""
        self._home.close()

    def _inherit(self, path: Path) -> None:
        if os.path.exists(path):  # noqa: PTH110, a folder that may not be looked into has none
            with closing(_File(path)) as file:
                move(self._account, file, self._home, self._clock())


def move(account: str, source: Home, target: Home, now: datetime) -> None:
    """Move what an account has from a file to a home. Done again or by several, it is done once."""

    def given(run: Run) -> list[dict[str, Any]]:
        run.execute(_CLAIM, {})  # a process of an earlier version may have added some since
        return [dict(row) for row in run.execute(_OF_ACCOUNT, {"account": account})]

    rows = source.transact(given)
    if rows:
        target.transact(lambda run: _all(run, _TAKE, rows))
        gone = [{**row, "now": now.timestamp()} for row in rows]
        source.transact(lambda run: _all(run, _GIVE, gone))


# Caps.


def _check_caps(
    run: Run,
    account: str,
    count: int,
    now: datetime,
    price: Money | None,
    options: Options,
) -> None:
    of = {"account": account, "now": now.timestamp(), "since": (now - _DAY).timestamp()}
    _check_cap("max_open", _count(run, _OPEN, of) + count, options.max_open)
    _check_cap("max_per_day", _count(run, _RECENT, of) + count, options.max_per_day)
    if options.max_spend is not None and price is not None:
        wanted = Money(price.amount * count, price.currency)
        _check_spend(_spent(run, {**of, "currency": price.currency}), wanted, options.max_spend)


def _count(run: Run, query: str, of: Mapping[str, Any]) -> int:
    (row,) = run.execute(query, of)
    return int(row["number"])


def _check_cap(cap: str, wanted: int, allowed: int) -> None:
    if wanted > allowed:
        what = "open activations" if cap == "max_open" else "acquisitions in 24 hours"
        raise BudgetExceeded(
            f"{cap}: this would make {wanted} {what}, and {allowed} are allowed; release numbers,"
            f" wait, or raise {cap} in the account's settings",
            cap=cap,
        )


def _check_unused(run: Run, account: str, count: int, now: datetime, cap: UnusedCap) -> None:
    from zoneinfo import ZoneInfo  # late: few providers need it

    local = now.astimezone(ZoneInfo(cap.zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    (row,) = run.execute(_UNUSED, {"account": account, "since": midnight})
    rented = row["number"]
    if rented + count > cap.numbers and not row["used"]:
        raise BudgetExceeded(
            f"unused_cap: {rented} numbers were rented today ({cap.zone}) and none has had a"
            f" message; the provider blocks accounts for that, so {cap.numbers} is the end: find"
            " out why no message comes, or wait for tomorrow",
            cap="unused_cap",
        )


def _spent(run: Run, of: Mapping[str, Any]) -> Money:
    rows = run.execute(_SPENT, of)
    return Money(sum((Decimal(row["amount"]) for row in rows), Decimal(0)), of["currency"])


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


# Rows.


def _claims(count: int) -> list[str]:
    return [secrets.token_hex(8) for _ in range(count)]


def _known(run: Run, claims: Sequence[str]) -> bool:
    """Whether they are written down already; all of them are, or none."""
    return any(run.execute(_KNOWN, {"claim": claim}) for claim in claims[:1])


def _each(
    run: Run, sql: str, claims: Sequence[str], values: Mapping[str, Any] | None = None
) -> None:
    _all(run, sql, [{**(values or {}), "claim": claim} for claim in claims])


def _all(run: Run, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        run.execute(sql, row)


def _columns(price: Money | None) -> dict[str, str | None]:
    known = (None, None) if price is None else (str(price.amount), price.currency)
    return dict(zip(("amount", "currency"), known, strict=True))


def _filled(activation: Activation) -> dict[str, Any]:
    end = activation.expires_at and activation.expires_at.timestamp()
    known = {"activation_id": activation.id, "activation": activation.dump(), "ends_at": end}
    return {**known, **_columns(activation.cost)}


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
