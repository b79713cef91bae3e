"""One account's place in a token store, of which it is the only one to renew at a time."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from qasid.effects import Call, Flow, Sleep, Tick
from qasid.login import AuthorizationCode
from qasid.settings import Resolved
from qasid.tokens import Entry, Grant, Lock, TokenStore, chosen, refusal

__all__ = ["Vault", "vault"]

T = TypeVar("T")

_log = logging.getLogger("qasid")
_PATIENCE: Final = 300.0  # seconds; a renewal with its time-outs and pauses is done long before
_POLL: Final = 0.05  # seconds between two looks at a lock that another holds


class Vault:
    """Where one account's grant is kept. The store is opened when it is first needed.

    `setting` is the refresh token that the account's settings have, if any. A grant of before it
    was put there is passed over.
    """

    def __init__(self, entry: Entry, store: Callable[[], TokenStore], setting: str | None) -> None:
        self.entry = entry
        self._open = store
        self._began_with = "" if setting is None else hashlib.sha256(setting.encode()).hexdigest()

    def __repr__(self) -> str:
        return f"<Vault of {self.entry.account!r}>"

    @functools.cached_property
    def _store(self) -> TokenStore:
        return self._open()

    def load(self) -> Grant | None:
        """What is kept, or None. Blocks. Raises `SettingsError`."""
        found = self._store.load(self.entry)
        if found and self._began_with and found.began_with != self._began_with:
            _log.info("%s: its settings have another refresh token by now", self.entry.account)
            return None
        return found

    def save(self, grant: Grant) -> None:
        """Keep it. Blocks. Raises `SettingsError`."""
        self._store.save(self.entry, attrs.evolve(grant, began_with=self._began_with))

    def forget(self) -> bool:
        """Throw away what is kept; whether there was any. Blocks. Raises `SettingsError`."""
        return self._store.forget(self.entry)

    def ready(self) -> Flow[None]:
        """Raise `SettingsError` now, if the store cannot be used later."""
        return self.alone(_nothing)

    def alone(self, make: Callable[[], Flow[T]]) -> Flow[T]:
        """Run what `make` gives while no other process or thread does. Raises `SettingsError`."""
        lock: Lock = yield Call(lambda: self._store.lock(self.entry))
        try:
            yield from self._locked(lock)
            return (yield from make())
        finally:
            lock.release()  # no effect: it waits for nothing, and must be done whatever comes

    def _locked(self, lock: Lock) -> Flow[None]:
        deadline = (yield Tick()) + _PATIENCE
        while not (yield Call(lock.acquire)):
            if (yield Tick()) >= deadline:
                problem = f"another process has been renewing them for {_PATIENCE:.0f} s"
                raise refusal(self.entry, problem, "find it, and end it")
            yield Sleep(_POLL)


def _nothing() -> Flow[None]:
    yield from ()


def vault(resolved: Resolved, store: TokenStore | None = None) -> Vault | None:
    """Where the account keeps what its owner grants it, or None where it keeps nothing.

    That is: its provider asks no owner, or the option `tokens` is ``none``, or the provider is an
    emulator in this process, which ends with it. Opens nothing.
    """
    provider, choice = resolved.provider, resolved.options.tokens
    if not isinstance(provider, AuthorizationCode) or choice == "none":
        return None
    if store is None and provider.base_url.startswith("emulator://"):
        return None
    entry = Entry(
        account=resolved.account,
        provider=resolved.provider_name,
        base_url=provider.base_url,
        client_id=provider.client_id,
    )
    own = functools.partial(chosen, choice, resolved.account)
    return Vault(entry, own if store is None else lambda: store, provider.refresh_token)
