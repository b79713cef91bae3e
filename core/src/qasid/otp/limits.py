"""Which of the rules says no to a code, by what the database tells. Read before it is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import sqlalchemy as sa

from qasid.journal.schema import otp_code, otp_pause
from qasid.otp.rules import Cap, Conversion, Rules

__all__ = ["Draft", "Limits", "Paused", "Refusal"]

_code: Final = otp_code.c
_SENT: Final = _code.state != "refused"  # or it may have been


@attrs.frozen(kw_only=True)
class Draft:
    """A code that is about to be sent: digests of whom to and of who asks, and of the code."""

    id: str
    recipient: str
    purpose: str
    prefix: str
    caller: str | None
    digest: str | None


@attrs.frozen
class Paused:
    """A prefix that was just paused, and by what figures."""

    recipients: int
    verified: int
    length: timedelta


@attrs.frozen
class Refusal:
    """The limit that says no, and how long it will."""

    limit: str
    wait: timedelta
    paused: Paused | None = None


@attrs.frozen
class Limits:
    """The rules, at one moment of one transaction."""

    run: sa.Connection
    rules: Rules
    now: datetime

    def refusal(self, draft: Draft) -> Refusal | None:
        """The first limit that says no, the strictest kind first."""
        return next(self._refusals(draft), None)

    def _refusals(self, draft: Draft) -> Iterator[Refusal]:
        conversion = self.rules.conversion
        pause = None if conversion is None else self._pause(draft.prefix, conversion)
        if pause is not None:
            yield pause
        yield from self._cooldown(draft.recipient)
        rules = self.rules
        yield from self._caps(
            "per_recipient", rules.per_recipient, _code.recipient, draft.recipient
        )
        if draft.caller is not None:
            yield from self._caps("per_caller", rules.per_caller, _code.caller, draft.caller)
        yield from self._caps("per_prefix", rules.per_prefix, _code.prefix, draft.prefix)
        yield from self._caps("in_all", rules.in_all, sa.true(), sa.true())

    def _cooldown(self, recipient: str) -> Iterator[Refusal]:
        # What was sent in the future is no measure: the clock went back.
        mine = [_SENT, _code.recipient == recipient, _code.issued_at <= self.now]
        last = self.run.execute(sa.select(sa.func.max(_code.issued_at)).where(*mine)).scalar()
        if last is not None and last + self.rules.cooldown > self.now:
            yield Refusal("cooldown", last + self.rules.cooldown - self.now)

    def _caps(
        self, name: str, caps: tuple[Cap, ...], column: sa.ColumnElement[Any], value: Any
    ) -> Iterator[Refusal]:
        for cap in caps:
            # When the oldest of those that fill the cap leaves its period, there is room again.
            filling = (
                sa.select(_code.issued_at)
                .where(_SENT, column == value, _code.issued_at > self.now - cap.period)
                .order_by(_code.issued_at.desc())
                .offset(cap.count - 1)
                .limit(1)
            )
            oldest = self.run.execute(filling).scalar()
            if oldest is not None:
                yield Refusal(name, oldest + cap.period - self.now)

    # The breaker of a prefix.

    def _pause(self, prefix: str, by: Conversion) -> Refusal | None:
        kept = sa.select(otp_pause).where(otp_pause.c.prefix == prefix)
        last: Any = self.run.execute(kept).mappings().first()
        if last is not None and self.now < last["ends_at"]:
            return Refusal("conversion", last["ends_at"] - self.now)
        since = self.now - by.window
        found = self._counted(prefix, since if last is None else max(since, last["ends_at"]), by)
        if found.decided >= by.sample and found.verified < by.least * found.decided:
            return self._begun(prefix, by, last, found)
        room = max(by.room(probing=last is not None), found.enough_for(by.least))
        return Refusal("conversion", by.patience) if found.unverified >= room else None

    def _counted(self, prefix: str, since: datetime, by: Conversion) -> _Counts:
        verified, young = _code.verified_at.is_not(None), _code.issued_at > self.now - by.patience
        kinds = (verified, sa.or_(verified, ~young), sa.and_(~verified, young))
        counts = [sa.func.count(sa.distinct(sa.case((kind, _code.recipient)))) for kind in kinds]
        wanted = sa.select(*counts).where(_SENT, _code.prefix == prefix, _code.issued_at > since)
        return _Counts(*tuple(self.run.execute(wanted).one()))

    def _begun(self, prefix: str, by: Conversion, last: Any, found: _Counts) -> Refusal:
        again = last is not None and self.now - last["ends_at"] < by.longest_pause
        times = last["times"] + 1 if again else 1
        # 2 ** 40 pauses of a microsecond are longer than any that is meant.
        length = min(by.longest_pause, by.pause * 2 ** min(times - 1, 40))
        row = {"prefix": prefix, "times": times, "began_at": self.now, "ends_at": self.now + length}
        self.run.execute(sa.delete(otp_pause).where(otp_pause.c.prefix == prefix))
        self.run.execute(sa.insert(otp_pause), row)
        return Refusal("conversion", length, Paused(found.decided, found.verified, length))


@attrs.frozen
class _Counts:
    """Recipients: those who verified, those who did or had the time to, and those who may yet."""

    verified: int
    decided: int
    waiting: int

    @property
    def unverified(self) -> int:
        """Those who did not, or not yet."""
        return self.decided - self.verified + self.waiting

    def enough_for(self, least: float) -> float:
        """How many may have a code and not verify, as that many did."""
        return self.verified / least if least else float("inf")
