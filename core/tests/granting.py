"""A provider whose owner lets us in, with a server that rotates refresh tokens, and a store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import attrs

from qasid.drivers.virtual import VirtualClock
from qasid.effects import Flow, Request, Response
from qasid.errors import AuthenticationFailed, ProviderUnavailable, SettingsError
from qasid.fields import base_url, secret
from qasid.hookspecs import hookimpl
from qasid.reading import filled, take
from qasid.tokens import Entry, Grant
from qasid.values import Credential, Money

from .acme import HOME, info

ENTRY: Final = Entry(account="work", provider="acme", base_url=HOME, client_id="CLIENT")


@attrs.frozen(eq=False, kw_only=True)
class Granting:
    """It gets in by what its owner granted."""

    info: ClassVar = info({"authenticate", "balance"})

    client_id: str = "CLIENT"
    refresh_token: str | None = secret(default=None)
    base_url: str = base_url(HOME)

    def authorize_url(self, state: str) -> str:
        return f"{self.base_url}/authorize?{urlencode({'state': state})}"

    def exchange_code(self, code: str) -> Flow[Credential]:
        return self._granted({"code": code})

    @hookimpl
    def authenticate(self, credential: Credential | None) -> Flow[Credential]:
        old = (credential and credential.refresh_token) or self.refresh_token
        if not old:
            raise AuthenticationFailed("nobody is logged in; run: qasid login acme")
        return (yield from self._granted({"refresh_token": old}))

    def _granted(self, form: dict[str, str]) -> Flow[Credential]:
        response = yield Request(method="POST", url=f"{self.base_url}/token", form=form)
        if response.status == 400:
            raise AuthenticationFailed("it is void; run: qasid login acme", response=response)
        if not response.ok:
            raise ProviderUnavailable("not now", response=response)
        data = response.json()
        return Credential(
            token=filled(data, "token"),
            expires_at=response.received_at + timedelta(seconds=take(data, "life", int)),
            refresh_token=take(data, "refresh", str, None),
        )

    @hookimpl
    def balance(self, credential: Credential) -> Flow[Money]:
        headers = {"Authorization": credential.token}
        response = yield Request(method="GET", url=f"{self.base_url}/balance", headers=headers)
        if response.status == 401:
            raise AuthenticationFailed("no", response=response)
        return Money.parse(response.json()["money"])


@attrs.define(eq=False)
class Authority:
    """Its server: it takes the newest access token alone, and each refresh token once.

    `events` are what it was asked, in order; a cue is called before the answer to ``POST /token``.
    """

    clock: VirtualClock = attrs.field(factory=VirtualClock)
    events: list[str] = attrs.field(factory=list)
    cue: Callable[[], None] = lambda: None
    life: int = 3600
    renews: bool = True
    made: int = 0
    valid: set[str] = attrs.field(factory=lambda: {"CODE", "R-0"})

    @property
    def token(self) -> str:
        """The access token that is good now."""
        return f"A-{self.made}"

    @property
    def renewals(self) -> int:
        """How often it was asked for a token."""
        return self.events.count("POST /token")

    def handle(self, request: Request) -> Response:
        """Answer a call, or a request for tokens."""
        self.events.append(f"{request.method} {request.path.removeprefix('/v1')}")
        if request.method == "GET":
            fine = request.header("Authorization") == self.token
            return Response(status=200 if fine else 401, body=b'{"money": "1.00 USD"}')
        self.cue()
        (given,) = request.payload().values()
        if given not in self.valid:
            return Response(status=400, body=json.dumps({"was": given}).encode())
        return self._granted(given)

    def _granted(self, given: str) -> Response:
        self.made += 1
        self.valid.remove(given)
        self.valid.add(f"R-{self.made}")
        body: dict[str, Any] = {"token": self.token, "life": self.life}
        body |= {"refresh": f"R-{self.made}"} if self.renews else {}
        return Response(status=200, body=json.dumps(body).encode())

    def grant(self, number: int = 0, life: float | None = None) -> Grant:
        """The tokens of that number, as a store has them; without an end unless told."""
        end = None if life is None else self.clock.now() + timedelta(seconds=life)
        credential = Credential(token=f"A-{number}", refresh_token=f"R-{number}", expires_at=end)
        return Grant(credential=credential, renew_at=end and end - timedelta(minutes=1))


@attrs.define(eq=False)
class MemoryStore:
    """A store that notes in `events` what is saved; `full`, it saves nothing.

    Its lock is `busy` so often before it can be taken.
    """

    events: list[str] = attrs.field(factory=list)
    grants: dict[Entry, Grant] = attrs.field(factory=dict)
    full: bool = False
    busy: float = 0
    meanwhile: Callable[[], None] = lambda: None
    locked: threading.Lock = attrs.field(factory=threading.Lock)

    def load(self, entry: Entry) -> Grant | None:
        return self.grants.get(entry)

    def save(self, entry: Entry, grant: Grant) -> None:
        if self.full:
            raise SettingsError("is full", account=entry.account, field="tokens", remedy="empty it")
        assert self.locked.locked()
        self.events.append(f"save {grant.credential.token}")
        self.grants[entry] = grant

    def forget(self, entry: Entry) -> bool:
        return self.grants.pop(entry, None) is not None

    def lock(self, entry: Entry) -> MemoryStore:
        return self

    def acquire(self) -> bool:
        if self.busy > 0:
            self.busy -= 1
            self.meanwhile()
            return False
        return self.locked.acquire(blocking=False)

    def release(self) -> None:
        if self.locked.locked():
            self.locked.release()
