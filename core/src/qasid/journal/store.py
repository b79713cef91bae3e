"""`Journal`: the operations, written down and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from qasid.journal import balances, schema
from qasid.journal.balances import Balance
from qasid.journal.database import Database
from qasid.journal.records import OVER, Ending, Intent, Operation, Standing, State, digest
from qasid.journal.shelf import Shelf
from qasid.values import Money

__all__ = ["Journal"]

T = TypeVar("T")
Row: TypeAlias = Any  # a mapping by the names of the columns, SQLAlchemy's or ours

_INSERT: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_PAGE: Final = 1_000  # rows that are read at a time, so that nobody who writes waits for a reader
_op: Final = schema.operation.c
_MEMBERS: Final = [_op[field.name] for field in attrs.fields(Operation)]


class Journal:
    """A journal. Threads may share it, and processes the database behind it.

    Opened when first used. Every method may raise `JournalUnavailable`.
    """

    def __init__(self, account: str, url: str | None, *, durable: bool) -> None:
        self._database = Database(account, url, durable=durable)
        self._key: bytes | None = None
        self.shelf = Shelf(self._database)  # where a book of rentals has its home

    @property
    def address(self) -> object:
        """Where it is. Equal addresses are of one journal; it may hold a password."""
        return self._database.address

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    def begin(self, intents: Sequence[Intent], now: datetime) -> list[Standing | None]:
        """Write down what is about to be tried, all in one transaction.

        None for each that is now the caller's to try; else what stands under its reference. What
        was refused may be tried again.
        """
        return self._transact(lambda run, key: _begin(run, key, intents, now))

    def standing(self, intents: Sequence[Intent], now: datetime) -> list[Standing | None]:
        """What stands under the references of these, of which none is begun.

        None for each that `begin` would let its caller try.
        """
        return self._transact(lambda run, key: _looked_up(run, key, intents, now))

    def settle(self, endings: Sequence[Ending], now: datetime) -> int:
        """Write down what became of tries; gives how many of them the journal still had."""
        rows = [_ended(ending, now) for ending in endings]
        change = sa.update(schema.operation).where(_op.claim == sa.bindparam("of"))
        return self._transact(lambda run, _: run.execute(change, rows).rowcount)

    def find(self, identity: str) -> Operation | None:
        """The operation of that id, if there is one."""
        wanted = sa.select(*_MEMBERS).where(_op.id == identity)
        row = self._transact(lambda run, _: run.execute(wanted).mappings().first())
        return None if row is None else _operation(row)

    def operations(
        self,
        now: datetime,
        *,
        account: str | None = None,
        state: State | None = None,
        since: datetime | None = None,
    ) -> Iterator[Operation]:
        """The operations, oldest first, as they are to be read `now`; a page at a time."""
        wanted = _chosen(now, account, state, since)
        after: list[Any] = []
        while rows := self._page(wanted.where(*after)):
            yield from (_operation(row).at(now) for row in rows)
            last = sa.tuple_(sa.literal(rows[-1]["created_at"], schema.Moment), rows[-1]["id"])
            after = [sa.tuple_(_op.created_at, _op.id) > last]

    def resolve(self, operation: Operation, *, by: str, now: datetime) -> bool:
        """Write down state and result of an operation whose end was not known; whether it was so.

        `by` tells who found it out. The error that it had ended with is kept.
        """
        change = (
            sa.update(schema.operation)
            .where(_op.id == operation.id, _open_to_question(now))
            .values(state=operation.state.value, result=operation.result)
            .values(settled_by=by, updated_at=now)
        )
        return self._transact(lambda run, _: run.execute(change).rowcount) == 1

    def prune(self, account: str | None, before: datetime) -> int:
        """Delete what came to a known end before that moment; gives how many."""
        old = [_op.state.in_([state.value for state in OVER]), _op.updated_at < before]
        mine = [] if account is None else [_op.account == account]
        strike = sa.delete(schema.operation).where(*old, *mine)
        return self._transact(lambda run, _: run.execute(strike).rowcount)

    def note(self, account: str, money: Money, now: datetime) -> None:
        """Write down what the account has left."""
        self._database.transact(lambda run: balances.note(run, account, money, now))

    def balance(self, account: str, until: datetime) -> Balance | None:
        """The last balance of the account that was written down until that moment."""
        return self._database.transact(lambda run: balances.before(run, account, until))

    def _page(self, wanted: sa.Select[Any]) -> Sequence[Any]:
        return self._transact(lambda run, _: run.execute(wanted.limit(_PAGE)).mappings().all())

    def _transact(self, act: Callable[[sa.Connection, bytes], T]) -> T:
        return self._database.transact(lambda run: act(run, self._key_of(run)))

    def _key_of(self, run: sa.Connection) -> bytes:
        if self._key is None:
            wanted = sa.select(schema.meta.c.value).where(schema.meta.c.name == "key")
            self._key = bytes.fromhex(run.execute(wanted).scalar_one())
        return self._key


def _begin(
    run: sa.Connection, key: bytes, intents: Sequence[Intent], now: datetime
) -> list[Standing | None]:
    given = [_row(key, one, now, place) for place, one in enumerate(intents)]
    # By reference: two processes that want some of the same rows ask for them in the same order.
    ordered = sorted(given, key=lambda row: row["reference"] or "")
    insert = _INSERT[run.dialect.name](schema.operation).on_conflict_do_nothing()
    run.execute(insert, ordered)
    rows = {row["claim"]: row for row in ordered}
    found = _named(run, ordered)
    return [_standing(run, rows[one.claim], found) for one in intents]


def _looked_up(
    run: sa.Connection, key: bytes, intents: Sequence[Intent], now: datetime
) -> list[Standing | None]:
    rows = [_row(key, one, now, place) for place, one in enumerate(intents)]
    found = _named(run, rows)
    return [_seen(row, found) for row in rows]


def _seen(row: Row, found: dict[tuple[str, str], dict[str, Any]]) -> Standing | None:
    stands = found.get((row["hook"], row["reference"]))
    if stands is None:
        return None
    same = stands["request"] == row["request"]
    free = same and stands["state"] == State.REFUSED.value
    return None if free else Standing(operation=_operation(stands), same=same)


def _named(run: sa.Connection, rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, Any]]:
    """What stands under the references of these rows, kept from others until the end."""
    names = {row["reference"] for row in rows if row["reference"] is not None}
    if not names:
        return {}
    wanted = (
        sa.select(schema.operation)
        .where(_op.hook == rows[0]["hook"], _op.reference.in_(sorted(names)))
        .order_by(_op.reference)
        .with_for_update()
    )
    return {(r["hook"], r["reference"]): dict(r) for r in run.execute(wanted).mappings()}


def _standing(
    run: sa.Connection, row: Row, found: dict[tuple[str, str], dict[str, Any]]
) -> Standing | None:
    stands: Row = found.get((row["hook"], row["reference"]), row)
    if stands["claim"] == row["claim"]:
        return None
    same = stands["request"] == row["request"]
    if same and stands["state"] == State.REFUSED.value:
        again = {**row, "id": stands["id"], "created_at": stands["created_at"]}
        run.execute(sa.update(schema.operation).where(_op.id == stands["id"]).values(again))
        found[row["hook"], row["reference"]] = again
        return None
    return Standing(operation=_operation(stands), same=same)


def _row(key: bytes, intent: Intent, now: datetime, place: int) -> dict[str, Any]:
    """The row of an intent; those of one transaction are listed in the order of their places."""
    hidden = intent.hide_recipient and intent.recipient is not None
    recipient = f"digest:{digest(key, 'recipient', str(intent.recipient))}"
    return {
        "id": intent.claim,
        "claim": intent.claim,
        "hook": intent.hook,
        "reference": intent.reference,
        "account": intent.account,
        "provider": intent.provider,
        "request": digest(key, intent.hook, intent.request),
        "recipient": recipient if hidden else intent.recipient,
        "subject": intent.subject,
        "text_length": None if intent.text is None else len(intent.text),
        "text_digest": None if intent.text is None else digest(key, "text", intent.text),
        "state": State.PENDING.value,
        "created_at": now + timedelta(microseconds=place),
        "updated_at": now,
        "lease_until": now + intent.lease,
        **dict.fromkeys(("result", "error", "code", "settled_by")),
    }


def _ended(ending: Ending, now: datetime) -> dict[str, Any]:
    return {
        "of": ending.claim,
        "state": ending.state.value,
        "updated_at": now,
        "result": ending.result,
        "error": ending.error,
        "code": ending.code,
        "settled_by": "outcome",
    }


def _operation(row: Row) -> Operation:
    members = {column.name: row[column.name] for column in _MEMBERS}
    return Operation(**{**members, "state": State(row["state"])})


def _open_to_question(now: datetime) -> sa.ColumnElement[bool]:
    over = sa.and_(_op.state == State.PENDING.value, _op.lease_until <= now)
    return sa.or_(_op.state == State.UNKNOWN.value, over)


def _chosen(
    now: datetime, account: str | None, state: State | None, since: datetime | None
) -> sa.Select[Any]:
    conditions: list[sa.ColumnElement[bool]] = []
    if account is not None:
        conditions.append(_op.account == account)
    if since is not None:
        conditions.append(_op.created_at >= since)
    if state is not None:
        conditions.append(_in_state(state, now))
    return sa.select(*_MEMBERS).where(*conditions).order_by(_op.created_at, _op.id)


def _in_state(state: State, now: datetime) -> sa.ColumnElement[bool]:
    if state is State.UNKNOWN:
        return _open_to_question(now)
    still = [_op.lease_until > now] if state is State.PENDING else []
    return sa.and_(_op.state == state.value, *still)
