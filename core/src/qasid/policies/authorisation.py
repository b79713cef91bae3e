"""One credential for each account: kept, renewed in time, and by one flow at a time.

With a vault, it is so for all processes of the machine, and outlives them.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeGuard, TypeVar

from qasid.effects import Call, Flow, Now, Wait, Whole
from qasid.errors import AuthenticationFailed, Outcome, ProviderError, SettingsError
from qasid.values import Credential

if TYPE_CHECKING:
    from qasid.grants import Grant
    from qasid.vault import Vault

__all__ = ["Credentials"]

T = TypeVar("T")

_log = logging.getLogger("qasid")
_EARLY: Final = timedelta(minutes=1)


class Credentials:
    """The credential of one account. `renew` makes the flow that obtains the next one.

    `vault` is where it is kept between processes, as its refresh token is worth keeping.
    """

    def __init__(
        self, renew: Callable[[Credential | None], Flow[Credential]], vault: Vault | None = None
    ) -> None:
        self._renew = renew
        self._vault = vault
        self._lock = threading.Lock()
        self._current: Grant | None = None
        self._apart = False  # whether the current one is not in the vault
        self._made = 0  # how often it was renewed here
        self._renewal: Future[Credential | None] | None = None

    def run(self, make: Callable[[Credential], Flow[T]]) -> Flow[T]:
        """Run what `make` gives with a credential; again with another, if it is refused.

        That is one which another process has left in the vault, and in the end a new one.
        """
        now = yield Now()
        credential, last = self._at_hand(now) or (yield from self._beforehand(now)), False
        while True:
            try:
                return (yield from make(credential))
            except AuthenticationFailed as error:
                if last or error.outcome is not Outcome.NOT_PERFORMED:
                    raise
            made = self._made
            credential = yield from self._beforehand((yield Now()), refused=credential)
            last = self._vault is None or self._made > made

    def _at_hand(self, now: datetime) -> Credential | None:
        """What most often is there: then nobody is asked, and nobody waited for."""
        grant = self._current
        return None if grant is None or grant.due(now) else grant.credential

    def _beforehand(self, now: datetime, refused: Credential | None = None) -> Flow[Credential]:
        try:
            return (yield from self._obtain(now, refused))
        except ProviderError as error:
            error.outcome = Outcome.NOT_PERFORMED  # whatever became of the token, not the act
            raise

    def obtain(self) -> Flow[Credential]:
        """A valid credential, asked for by whoever comes first."""
        return (yield from self._obtain((yield Now()), None))

    def _obtain(self, now: datetime, refused: Credential | None) -> Flow[Credential]:
        while True:
            with self._lock:
                current = self._current
                if current and current.credential is not refused and not current.due(now):
                    return current.credential
                renewal, first = self._renewal, self._renewal is None
                if renewal is None:
                    renewal = self._renewal = Future()
            if first:
                return (yield from self._lead(renewal, refused))
            told: Credential | None = yield Wait(renewal)
            if told is not None:
                return told
            now = yield Now()

    def _lead(
        self, renewal: Future[Credential | None], refused: Credential | None
    ) -> Flow[Credential]:
        try:
            credential = yield from self._next(refused)
        except Exception as error:
            self._settle(renewal)
            renewal.set_exception(error)
            raise
        except BaseException:  # interrupted: let the next one try
            self._settle(renewal)
            renewal.set_result(None)
            raise
        self._settle(renewal)
        renewal.set_result(credential)
        return credential

    def _settle(self, renewal: Future[Credential | None]) -> None:
        with self._lock:
            self._renewal = None

    def _next(self, refused: Credential | None) -> Flow[Credential]:
        vault = self._vault
        if vault is None:
            return (yield from self._renewed(self._current))
        grant = yield from self._newest(vault)
        if _usable(grant, (yield Now()), refused):
            return self._taken(grant)
        return (yield from vault.alone(functools.partial(self._turn, vault, refused)))

    def _newest(self, vault: Vault) -> Flow[Grant | None]:
        """What to renew: what the vault has, unless it could not take what is here."""
        if self._apart:
            return self._current
        found: Grant | None = yield Call(vault.load)
        return found

    def _turn(self, vault: Vault, refused: Credential | None) -> Flow[Credential]:
        """Nobody else renews now. Somebody may just have; else do it, and not by halves."""
        grant = yield from self._newest(vault)
        if _usable(grant, (yield Now()), refused):
            return self._taken(grant)
        renewed: Credential = yield Whole(self._renewed(grant))
        return renewed

    def _taken(self, grant: Grant) -> Credential:
        with self._lock:
            self._current = grant
        return grant.credential

    def _renewed(self, old: Grant | None) -> Flow[Credential]:
        try:
            credential = yield from self._renew(None if old is None else old.credential)
        except AuthenticationFailed:
            self._apart = False  # it is void: perhaps the vault will have a better one
            raise
        self._made += 1
        problem = yield from self.keep(credential)
        if problem is not None:
            _log.error("%r: the new tokens are in this process alone: %s", self._vault, problem)
        return credential

    def keep(self, credential: Credential) -> Flow[SettingsError | None]:
        """Use this one from now on, after it is in the vault. Gives why it could not be put there.

        One without a refresh token is good for this process alone.
        """
        from qasid.grants import Grant  # late, as below: many accounts have no token

        renew_at = _renewal_time(credential, (yield Now()))
        grant = Grant(credential=credential, renew_at=renew_at)
        self._apart, problem = self._vault is not None, None
        if self._vault is not None and credential.refresh_token:
            problem = yield Call(functools.partial(_save, self._vault, grant))
            self._apart = problem is not None
        self._taken(grant)
        return problem

    def forget(self) -> None:
        """Use what is here no longer."""
        with self._lock:
            self._current, self._apart = None, False


def _save(vault: Vault, grant: Grant) -> SettingsError | None:
    """Why it could not be saved, if so: what came is not lost by that."""
    try:
        vault.save(grant)
    except SettingsError as error:
        return error
    except Exception as error:  # a store of somebody else's
        from qasid.tokens import refusal

        return refusal(vault.entry, f"the store failed ({type(error).__name__})", "mend it")
    return None


def _usable(grant: Grant | None, now: datetime, refused: Credential | None) -> TypeGuard[Grant]:
    """Whether it is there, not due, and not the one that was refused, read back."""
    if grant is None or grant.due(now):
        return False
    return refused is None or grant.credential.token != refused.token


def _renewal_time(credential: Credential, now: datetime) -> datetime | None:
    """A minute before the end, or a tenth of a short life before it."""
    if credential.expires_at is None:
        return None
    return credential.expires_at - min(_EARLY, (credential.expires_at - now) / 10)
