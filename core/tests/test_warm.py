"""A connection may be opened before the first call needs one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.http_aio import AiohttpTransport
from qasid.drivers.http_sync import RequestsTransport
from qasid.drivers.sync import SyncDriver
from qasid.errors import ConnectFailed
from qasid.routing import AsyncRoute, Route

from .acme import FACES, Acme, Server, operations
from .loopback import Loopback, serving

Warm = Callable[[Sequence[str]], None]


def warm_sync(urls: Sequence[str]) -> None:
    """Warm one account, or a route of several."""
    with ExitStack() as stack:
        accounts = [_account(str(place), url) for place, url in enumerate(urls)]
        for account in accounts:
            stack.enter_context(account)
        (Route("alerts", accounts) if len(accounts) > 1 else accounts[0]).warm()


def _account(name: str, url: str) -> Account:
    return Account(operations(Acme(base_url=url), name=name), SyncDriver(RequestsTransport(url)))


def warm_async(urls: Sequence[str]) -> None:
    """The same, within an event loop."""

    async def main() -> None:
        accounts = [_async_account(str(place), url) for place, url in enumerate(urls)]
        try:
            await (AsyncRoute("alerts", accounts) if len(accounts) > 1 else accounts[0]).warm()
        finally:
            for account in accounts:
                await account.close()

    asyncio.run(main())


def _async_account(name: str, url: str) -> AsyncAccount:
    driver = AsyncDriver(AiohttpTransport(url))
    return AsyncAccount(operations(Acme(base_url=url), name=name), driver)


faces = pytest.mark.parametrize("warm", [warm_sync, warm_async])


def seen(server: Loopback, connections: int) -> tuple[int, int]:
    """How many connections and requests came, when so many connections have ended."""
    for _ in range(connections):
        assert server.hung_up.acquire(timeout=5)
    return server.accepted, len(server.requests)


@faces
def test_an_account_opens_a_connection_and_sends_nothing(warm: Warm) -> None:
    """What it would send could cost something."""
    with serving() as server:
        warm([server.url])
        assert (1, 0) == seen(server, 1)


@faces
def test_a_route_opens_one_for_each_account(warm: Warm) -> None:
    """Also after one that cannot be reached, which it tells in the end."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with serving() as first, serving() as last:
        warm([first.url, last.url])
        with pytest.raises(ConnectFailed, match="refused"):
            warm([first.url, nowhere, last.url])
        assert [(2, 0)] * 2 == [seen(first, 2), seen(last, 2)]


@pytest.mark.parametrize("opened", FACES)
def test_what_has_no_connections_is_always_warm(opened: Any) -> None:
    """An emulator in this process."""
    server = Server()
    with opened(server) as account:
        account.warm()
    assert [] == server.requests
