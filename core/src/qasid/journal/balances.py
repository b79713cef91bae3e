"""The balances that accounts showed: evidence, and no proof, of what was charged.

Others may use the account, and providers charge late and pay back. So nothing is decided by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import attrs
import sqlalchemy as sa

from qasid.journal import schema
from qasid.journal.records import Operation, State
from qasid.values import Money

__all__ = ["Balance", "before", "difference", "note"]

_balance = schema.balance.c
_op = schema.operation.c
_SIGNS: Final = {"cost": 1, "refund": -1}


@attrs.frozen(kw_only=True)
class Balance:
    """What an account had left at a moment of UTC."""

    money: Money
    seen_at: datetime


def note(run: sa.Connection, account: str, money: Money, now: datetime) -> None:
    """Write down a balance. Of those before it, only what may be evidence still is kept."""
    old = sa.or_(_balance.seen_at == now, sa.and_(_balance.seen_at < now, ~_needed()))
    run.execute(sa.delete(schema.balance).where(_balance.account == account, old))
    row = {"account": account, "seen_at": now, "amount": str(money.amount)}
    run.execute(sa.insert(schema.balance).values({**row, "currency": money.currency}))


def _needed() -> sa.Exists:
    """Something began after it whose end is not known."""
    unsettled = _op.state.in_([State.PENDING.value, State.UNKNOWN.value])
    later = [_op.account == _balance.account, _op.created_at >= _balance.seen_at]
    return sa.exists().where(*later, unsettled)


def before(run: sa.Connection, account: str, moment: datetime) -> Balance | None:
    """The last balance that the account showed until then, if it did."""
    mine = [_balance.account == account, _balance.seen_at <= moment]
    newest = _balance.seen_at.desc()
    wanted = sa.select(schema.balance).where(*mine).order_by(newest).limit(1)
    row = run.execute(wanted).mappings().first()
    if row is None:
        return None
    return Balance(money=Money(row["amount"], row["currency"]), seen_at=row["seen_at"])


def difference(was: Balance | None, now: Money, since: Iterable[Operation]) -> str:
    """What became of a balance, in words, and what is known to have been charged `since`."""
    if was is None:
        return f"is {now} now, and none was noted before"
    if was.money.currency != now.currency:
        return f"was {was.money} and is {now} now, which do not compare"
    charges = [_charge(one, now.currency) for one in since if one.state is State.PERFORMED]
    known = sum((charge for charge in charges if charge is not None), Decimal(0))
    return (
        f"was {was.money} at {was.seen_at:%Y-%m-%d %H:%M:%S} UTC, is {now} now;"
        " performed operations since then with a known cost account for"
        f" {Money(known, now.currency)}, {charges.count(None)} have none;"
        " other users of the account are not seen"
    )


def _charge(one: Operation, currency: str) -> Decimal | None:
    """What one operation cost, or less than nothing if it paid back; None where it is not known."""
    parts = _parts(json.loads(one.result or "{}"))
    if not parts or any(money is None or money.currency != currency for _, money in parts):
        return None
    return sum((sign * money.amount for sign, money in parts if money), Decimal(0))


def _parts(result: Any) -> list[tuple[int, Money | None]]:
    """The amounts of a result, as `qasid.journal.results` writes it, each with its sign."""
    named = [(sign, result[name]) for name, sign in _SIGNS.items() if name in result]
    parts = [(sign, None if text is None else Money.parse(text)) for sign, text in named]
    costs = [one["cost"] for one in result.get("activations", ())]
    return parts + [(1, None if cost is None else Money(**cost)) for cost in costs]
