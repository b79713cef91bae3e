"""`Verifier` and `AsyncVerifier`: the same verification, two thin faces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Generic, Self, TypeVar

import attrs

from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.sync import SyncDriver
from qasid.errors import SettingsError
from qasid.events import Listeners
from qasid.journal.database import Database
from qasid.operations import Operations
from qasid.otp.digests import Digests
from qasid.otp.flows import Issued, Path, Step, Text, Verification
from qasid.otp.rules import Rules
from qasid.otp.store import Store
from qasid.routing.flows import Routing
from qasid.routing.switch import AsyncSwitch, Switch
from qasid.values import OtpVerdict

__all__ = ["AsyncVerifier", "Verifier"]

A = TypeVar("A", Account, AsyncAccount)


class _Face(Generic[A]):
    """What both kinds of verifier are made of."""

    _switch: ClassVar[Any]

    def __init__(
        self,
        account: A,
        *,
        key: str | bytes,
        text: Text | None = None,
        channel: str | None = None,
        then: Iterable[Step] = (),
        rules: Rules | None = None,
        database: str | None = None,
        listeners: Iterable[object] = (),
    ) -> None:
        first = Step(account=account, text=text, channel=channel)
        paths = [_path(at, step, account) for at, step in enumerate([first, *then])]
        self._rules = rules or Rules()
        self._database = Database("verifier", database or _address(account), durable=False)
        self._verification = Verification(
            paths=paths,
            rules=self._rules,
            digests=Digests(key),
            store=Store(self._database, self._rules),
            listeners=Listeners(listeners),
        )
        transports = {path.via: path.step.account._driver.transport for path in paths}
        self._driver: Any = attrs.evolve(account._driver, transport=self._switch(transports))

    @property
    def rules(self) -> Rules:
        """What this verifier allows."""
        return self._rules


def _path(at: int, step: Step, account: Any) -> Path:
    account = account if step.account is None else step.account
    operations: Operations | Routing = account._operations
    missing = [hook for hook in _needed(step) if not operations.can(hook)]
    if missing:
        problem = f"{account.name!r} has no {missing[0]}"
        remedy = (
            "give a text, in which codes are sent that are made here"
            if step.text is None and operations.can("send")
            else "use an account that has it"
        )
        raise SettingsError(problem, account="verifier", field=f"step {at}", remedy=remedy)
    return Path(step=attrs.evolve(step, account=account), via=f"{at}", operations=operations)


def _needed(step: Step) -> tuple[str, ...]:
    if step.text is None:
        return "otp", "verify_otp"
    if step.channel is not None:
        raise SettingsError(
            "is only for codes that the provider makes",
            account="verifier",
            field="channel",
            remedy="leave out channel or text",
        )
    return ("send",)


def _address(account: Any) -> str | None:
    """The journal of the account; of a route, that of its first one."""
    operations = account._operations
    if isinstance(operations, Routing):
        operations = next(iter(operations.members.values())).operations
    address: str | None = operations.options.journal_url
    return address


class Verifier(_Face[Account]):
    """One-time passwords over an account or a route. Threads may share it; a context manager.

    Each code is good once, for one recipient and one `purpose`, until it ends or another one is
    issued. With a `text` (`CodeText` or `CodeTemplate`) codes are made here and sent by the
    account; without one the provider makes and holds them, which needs its `otp` and `verify_otp`;
    `channel` is then the provider's. `then` are further steps: who asks again while a code is still
    good gets the next one by the next step, and a step that surely did not send it is followed by
    the next one at once.

    `key` (16 bytes or more, the same wherever this runs, never in the database) is what digests of
    codes, recipients and callers are made with; with another key all that is kept is forgotten.
    `rules` are the limits. They are counted in `database` (SQLite or PostgreSQL, written as
    `journal_url` is), by default the account's journal, or that of this user. `listeners` are told
    of fallbacks and paused prefixes. The account stays open when this is closed. Raises
    `SettingsError`.
    """

    _switch = Switch
    _driver: SyncDriver

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def issue(self, to: str, *, purpose: str, caller: str | None = None) -> Issued:
        """Send a code to a number (E.164, or what `e164` reads), for a purpose such as ``login``.

        `caller` is whoever asks, as the limits count them: give the address that the request came
        from; an IPv6 one counts for its /64. Raises `OtpLimitExceeded` and `InvalidRecipient`
        before anything is sent, and what the account raises. After an unknown outcome the code is
        good if it arrives, and the cooldown holds.
        """
        return self._driver.run(self._verification.issue(to, purpose, caller))

    def verify(self, to: str, code: str, *, purpose: str) -> OtpVerdict:
        """Whether it is the code that `to` was sent for that purpose. A wrong one is no error.

        Digits of any script will do, and blanks and dashes between them. The verdict's `reason` is
        a `Reason`. What was not sent, is over, used, or guessed at too often is rejected without
        being compared.
        """
        return self._driver.run(self._verification.verify(to, code, purpose))


class AsyncVerifier(_Face[AsyncAccount]):
    """A `Verifier` over an `AsyncAccount` or `AsyncRoute`, in one event loop."""

    _switch = AsyncSwitch
    _driver: AsyncDriver

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """See `Verifier.close`."""
        self._database.close()

    async def issue(self, to: str, *, purpose: str, caller: str | None = None) -> Issued:
        """See `Verifier.issue`."""
        return await self._driver.run(self._verification.issue(to, purpose, caller))

    async def verify(self, to: str, code: str, *, purpose: str) -> OtpVerdict:
        """See `Verifier.verify`."""
        return await self._driver.run(self._verification.verify(to, code, purpose))
