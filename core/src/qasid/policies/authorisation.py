"""One credential for each account: kept, renewed in time, and by one flow at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Final, TypeVar

from qasid.effects import Flow, Now, Wait
from qasid.errors import AuthenticationFailed, Outcome, ProviderError
from qasid.values import Credential

__all__ = ["Credentials"]

T = TypeVar("T")

_EARLY: Final = timedelta(minutes=1)


class Credentials:
    """The credential of one account. `renew` makes the flow that obtains the next one."""

    def __init__(self, renew: Callable[[Credential | None], Flow[Credential]]) -> None:
        self._renew = renew
        self._lock = threading.Lock()
        self._current: Credential | None = None
        self._renew_at: datetime | None = None
        self._renewal: Future[Credential | None] | None = None

    def run(self, make: Callable[[Credential], Flow[T]]) -> Flow[T]:
        """Run what `make` gives with a credential; once more with a new one if it is refused."""
        credential = yield from self._beforehand()
        try:
            return (yield from make(credential))
        except AuthenticationFailed as error:
            if error.outcome is not Outcome.NOT_PERFORMED:
                raise
        return (yield from make((yield from self._beforehand(refused=credential))))

    def _beforehand(self, refused: Credential | None = None) -> Flow[Credential]:
        try:
            return (yield from self.obtain(refused))
        except ProviderError as error:
            error.outcome = Outcome.NOT_PERFORMED  # whatever became of the token, not the act
            raise

    def obtain(self, refused: Credential | None = None) -> Flow[Credential]:
        """A valid credential other than `refused`, asked for by whoever comes first."""
        while True:
            now = yield Now()
            with self._lock:
                if self._current and self._current is not refused and not self._due(now):
                    return self._current
                renewal, first = self._renewal, self._renewal is None
                if renewal is None:
                    renewal = self._renewal = Future()
            if first:
                return (yield from self._lead(renewal))
            told: Credential | None = yield Wait(renewal)
            if told is not None:
                return told

    def _due(self, now: datetime) -> bool:
        return self._renew_at is not None and now >= self._renew_at

    def _lead(self, renewal: Future[Credential | None]) -> Flow[Credential]:
        try:
            credential = yield from self._renew(self._current)
            self._keep(credential, (yield Now()))
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

    def _keep(self, credential: Credential, now: datetime) -> None:
        with self._lock:
            self._current = credential
            self._renew_at = _renewal_time(credential, now)


def _renewal_time(credential: Credential, now: datetime) -> datetime | None:
    """A minute before the end, or a tenth of a short life before it."""
    if credential.expires_at is None:
        return None
    return credential.expires_at - min(_EARLY, (credential.expires_at - now) / 10)
