"""An ASGI application that answers posts: 200 when a message is on the disk, never before."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol, TypeAlias

import attrs

from qasid.effects import Request
from qasid.emulation import Clock, utc_now
from qasid.errors import ProtocolError, QasidError, SettingsError
from qasid.values import Activation
from qasid.webhooks.inbox import DAY, Hook, Inbox, Item, Received

__all__ = ["BODY_CAP", "Application", "Receiver"]

_Event: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Event]]
_Send: TypeAlias = Callable[[_Event], Awaitable[None]]

BODY_CAP: Final = 64 * 1024  # bytes of a post's body; more gets 413

_DRAIN: Final = 16 * BODY_CAP  # read and thrown away, so that the client comes to read its 413
_log = logging.getLogger("qasid")


class Receiver(Protocol):
    """What reads posts: an `Account`."""

    def parse_webhook(self, request: Request) -> Sequence[Item]:
        """Read a post."""

    def receive_webhook(self, request: Request, activation: Activation) -> Sequence[Item]:
        """Read a post to the address of that number."""


def _nobody(received: Sequence[Received]) -> None:
    """Nobody is told."""


@attrs.frozen(eq=False)
class Application:
    """An ASGI application: POST to a path of the `inbox`, and the account reads what came.

    `accounts` are known by their names. What came longer than `keep` ago is purged now, and with
    each post. `arrived` is told, in some thread, what is new and stored.

    | status | |
    |---|---|
    | 200 | it is stored, or was before, or held nothing |
    | 400 | the account's provider posts no such thing |
    | 404, 405 | no path of ours, or one whose time is over; no POST |
    | 413 | the body is over `body_cap` bytes |
    | 503 | it could not be stored or read now: the provider is to try again |
    """

    inbox: Inbox
    accounts: Mapping[str, Receiver]
    keep: timedelta = attrs.field(default=DAY, kw_only=True)
    body_cap: int = attrs.field(default=BODY_CAP, kw_only=True)
    arrived: Callable[[Sequence[Received]], object] = attrs.field(default=_nobody, kw_only=True)
    clock: Clock = attrs.field(default=utc_now, kw_only=True)

    def __attrs_post_init__(self) -> None:
        self._purge()

    def _purge(self) -> None:
        self.inbox.purge(now=self.clock(), keep=self.keep)

    async def __call__(self, scope: _Event, receive: _Receive, send: _Send) -> None:
        """Answer one request. Raises `QasidError` for what is none of HTTP."""
        if scope["type"] != "http":
            raise QasidError(f"webhooks come by HTTP, not by {scope['type']!r}")
        status = await self._status(scope, receive)
        if status is not None:
            await _answer(send, status)

    async def _status(self, scope: _Event, receive: _Receive) -> int | None:
        if scope["method"] != "POST":
            return 405
        find = functools.partial(self.inbox.find, scope["path"], now=self.clock())
        try:
            hook = await asyncio.to_thread(find)
        except SettingsError as error:
            return _failed(error)
        return 404 if hook is None else await self._of(hook, scope, receive)

    async def _of(self, hook: Hook, scope: _Event, receive: _Receive) -> int | None:
        try:
            body = await _body(scope, receive, self.body_cap)
        except ConnectionError:
            return None
        if body is None:
            return 413
        return await asyncio.to_thread(self._take, hook, _request(scope, body))

    def _take(self, hook: Hook, request: Request) -> int:
        try:
            self._purge()
            items = self._read(hook, request)
            new = self.inbox.store(hook, request.content or b"", items, now=self.clock())
        except ProtocolError:
            _log.warning("webhook %d: its provider posts no such thing", hook.id)
            return 400
        except (QasidError, KeyError) as error:
            return _failed(error)
        if new:
            self.arrived(new)
        return 200

    def _read(self, hook: Hook, request: Request) -> Sequence[Item]:
        account = self.accounts[hook.account]
        if hook.activation is None:
            return account.parse_webhook(request)
        return account.receive_webhook(request, hook.activation)


def _failed(error: Exception) -> int:
    _log.error("a webhook could not be taken in: %s", type(error).__name__)
    return 503


def _request(scope: _Event, body: bytes) -> Request:
    """What came, but for its path, which is a secret."""
    query = scope["query_string"].decode("latin-1")
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    ]
    url = f"/hook?{query}" if query else "/hook"
    return Request(method="POST", url=url, headers=headers, content=body)


async def _body(scope: _Event, receive: _Receive, cap: int) -> bytes | None:
    """The body, or None where it is over the cap. Raises ConnectionError where the client left."""
    if _declared(scope) > _DRAIN:
        return None
    body, size, more = bytearray(), 0, True
    while more and size <= _DRAIN:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionAbortedError
        piece, more = event.get("body", b""), event.get("more_body", False)
        size += len(piece)
        body += piece if size <= cap else b""
    return bytes(body) if size <= cap else None


def _declared(scope: _Event) -> int:
    found = [value for name, value in scope["headers"] if name.lower() == b"content-length"]
    return int(found[0]) if found and found[0].isdigit() else 0


async def _answer(send: _Send, status: int) -> None:
    more = {405: [(b"allow", b"POST")], 413: [(b"connection", b"close")]}.get(status, [])
    headers = [(b"cache-control", b"no-store"), (b"content-length", b"0"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
