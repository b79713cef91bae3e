"""Codes, guesses and pauses in the journal's database; each decision in one transaction.

On SQLite a transaction that writes is alone from its start. On PostgreSQL those that let codes out
queue for one lock, and those that compare codes for the row of the recipient.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import attrs
import sqlalchemy as sa

from qasid.journal.database import Database
from qasid.journal.schema import otp_code, otp_guesses, otp_pause
from qasid.otp.limits import Draft, Limits, Refusal
from qasid.otp.rules import Reason, Rules

__all__ = ["Guess", "Held", "Right", "Store"]

_LOCK: Final = {"sqlite": "SELECT 1", "postgresql": "SELECT pg_advisory_xact_lock(71830443)"}
_code: Final = otp_code.c
_guesses: Final = otp_guesses.c


@attrs.frozen(kw_only=True)
class Guess:
    """A code that somebody entered. `token` is of this try alone, `digest_of` by a code's id."""

    token: str
    recipient: str
    purpose: str
    digest_of: Callable[[str], str]


@attrs.frozen
class Right:
    """It was the code, which is spent now."""


@attrs.frozen
class Held:
    """The provider has to be asked: the id here, the account, and the number of the step."""

    id: str
    account: str | None
    step: int


@attrs.frozen(eq=False)
class Store:
    """What verifiers share: threads, processes and machines that have one database.

    `same` compares two digests in constant time. Every method may raise `JournalUnavailable`, and
    does the same when it is done twice: the answer to the first time may have been lost.
    """

    database: Database
    rules: Rules
    same: Callable[[str, str], bool] = hmac.compare_digest

    def admit(
        self, draft: Draft, held: Sequence[bool], at_least: int, now: datetime
    ) -> int | Refusal:
        """Write down a code that is about to be sent, if every limit allows it.

        Gives the number of the step that it goes by: `at_least` that, and the one after that of
        the last code if that is still good. `held` tells of each step whether the provider makes
        and holds the code: what is drafted is then not kept.
        """

        def act(run: sa.Connection) -> int | Refusal:
            run.exec_driver_sql(_LOCK[run.dialect.name])
            known: int | None = run.execute(
                sa.select(_code.step).where(_code.id == draft.id)
            ).scalar()
            if known is not None:
                return known
            self._forget(run, now)
            refusal = Limits(run, self.rules, now).refusal(draft)
            return refusal or self._written(run, draft, held, at_least, now)

        return self.database.transact(act)

    def _written(
        self, run: sa.Connection, draft: Draft, held: Sequence[bool], at_least: int, now: datetime
    ) -> int:
        step = max(at_least, self._next(run, draft, len(held), now))
        life = {"issued_at": now, "expires_at": now + self.rules.lifetime}
        place = {"state": "live", "step": step, "serial": _serial(run, draft.recipient)}
        row = {**attrs.asdict(draft), **life, **place}
        run.execute(sa.insert(otp_code), {**row, "digest": None if held[step] else draft.digest})
        self._count_anew(run, draft.recipient, now)
        return step

    def _next(self, run: sa.Connection, draft: Draft, steps: int, now: datetime) -> int:
        last = _newest(run, draft.recipient, draft.purpose)
        unheard = last is not None and _closed(last, now) is None
        return min(last["step"] + 1, steps - 1) if unheard else 0

    def _count_anew(self, run: sa.Connection, recipient: str, now: datetime) -> None:
        """Have a row that counts guesses, and set back what was counted too long ago."""
        counter = _counter(run, recipient)
        fresh = {"count": 0, "since": now}
        if counter is None:
            run.execute(sa.insert(otp_guesses), {"recipient": recipient, **fresh})
        elif not self._made(counter, now):
            run.execute(_of(recipient).values(fresh))

    def _forget(self, run: sa.Connection, now: datetime) -> None:
        """Delete what no rule asks for any more."""
        old = now - self.rules.memory
        for age in (_code.issued_at, _guesses.since, otp_pause.c.ends_at):
            run.execute(sa.delete(age.table).where(age < old))

    def sent(self, identity: str, account: str | None, step: int, ends: datetime | None) -> None:
        """Note by which account it went, and when it ends if the provider told."""
        values: dict[str, Any] = {"account": account, "step": step}
        values |= {} if ends is None else {"expires_at": ends}
        change = sa.update(otp_code).where(_code.id == identity).values(values)
        self.database.transact(lambda run: run.execute(change))

    def refuse(self, identity: str) -> None:
        """Note that it was surely not sent: it counts for nothing, and the code before is good."""
        change = sa.update(otp_code).where(_code.id == identity).values(state="refused")
        self.database.transact(lambda run: run.execute(change))

    def check(self, guess: Guess, now: datetime) -> Right | Held | Reason:
        """Compare a guess, if it may be: one after the other for a recipient, and counted."""
        return self.database.transact(lambda run: self._check(run, guess, now))

    def _check(self, run: sa.Connection, guess: Guess, now: datetime) -> Right | Held | Reason:
        counter = _counter(run, guess.recipient)
        last = None if counter is None else _newest(run, guess.recipient, guess.purpose)
        if last is None:
            return Reason.NO_CODE
        if last["spent_by"] == guess.token:
            return Right()
        made = self._made(counter, now)
        reason = _closed(last, now) or (
            Reason.TOO_MANY_GUESSES if made >= self.rules.guesses.count else None
        )
        return reason or self._compared(run, guess, last, made, now)

    def _made(self, counter: Any, now: datetime) -> int:
        """How many guesses there were in this period."""
        over = counter["since"] + self.rules.guesses.period <= now
        return 0 if over else int(counter["count"])

    def _compared(
        self, run: sa.Connection, guess: Guess, last: Any, made: int, now: datetime
    ) -> Right | Held | Reason:
        counted = {"count": made + 1, **({} if made else {"since": now})}
        run.execute(_of(guess.recipient).values(counted))
        if last["digest"] is None:
            return Held(last["id"], last["account"], last["step"])
        if not self.same(last["digest"], guess.digest_of(last["id"])):
            return Reason.WRONG
        _spend(run, last["id"], guess, now)
        return Right()

    def spend(self, identity: str, guess: Guess, now: datetime) -> bool:
        """Note that the provider accepted a code that it holds; whether this was the first time."""
        return self.database.transact(lambda run: _spend(run, identity, guess, now))

    def give_back(self, recipient: str) -> None:
        """Take back a guess that was surely not compared."""
        change = _of(recipient).where(_guesses.count > 0).values(count=_guesses.count - 1)
        self.database.transact(lambda run: run.execute(change))


def _serial(run: sa.Connection, recipient: str) -> int:
    """The next one of a recipient's codes: in order, also where the clock went back."""
    mine = sa.select(sa.func.max(_code.serial)).where(_code.recipient == recipient)
    return (run.execute(mine).scalar() or 0) + 1


def _counter(run: sa.Connection, recipient: str) -> Any:
    """The row that counts a recipient's guesses, kept from others until the end."""
    mine = sa.select(otp_guesses).where(_guesses.recipient == recipient).with_for_update()
    return run.execute(mine).mappings().first()


def _of(recipient: str) -> sa.Update:
    return sa.update(otp_guesses).where(_guesses.recipient == recipient)


def _newest(run: sa.Connection, recipient: str, purpose: str) -> Any:
    """The newest code of a recipient for a purpose, if it is the one that can be verified.

    A provider holds one code for a number: one for another purpose takes its place.
    """
    mine = sa.select(otp_code).where(_code.recipient == recipient, _code.state != "refused")
    newest = mine.order_by(_code.serial.desc()).limit(1)
    last: Any = run.execute(newest.where(_code.purpose == purpose)).mappings().first()
    if last is None or last["digest"] is not None:
        return last
    held: Any = run.execute(newest.where(_code.digest.is_(None))).mappings().one()
    return last if held["id"] == last["id"] else None


def _closed(last: Any, now: datetime) -> Reason | None:
    if last["state"] != "live":
        return Reason.NO_CODE
    return Reason.EXPIRED if last["expires_at"] <= now else None


def _spend(run: sa.Connection, identity: str, guess: Guess, now: datetime) -> bool:
    unspent = sa.or_(_code.state == "live", _code.spent_by == guess.token)
    values = {"state": "used", "spent_by": guess.token, "verified_at": now}
    spent = sa.update(otp_code).where(_code.id == identity, unspent).values(values)
    if run.execute(spent).rowcount != 1:
        return False
    run.execute(_of(guess.recipient).values(count=0))
    return True
