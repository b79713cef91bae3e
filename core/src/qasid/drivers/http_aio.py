"""Carry requests with `aiohttp`, with the same bytes and the same errors as the sync transport."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import aiohttp
from urllib3.util import wait_for_read
from yarl import URL

from qasid.drivers.connection import (
    CONNECT_TIMEOUT,
    IDLE_TIMEOUT,
    MAX_BODY,
    POOL_SIZE,
    TIMEOUT,
    Endpoint,
    header_lines,
)
from qasid.effects import Request, Response
from qasid.errors import ProviderError, QasidError

__all__ = ["AiohttpTransport"]

# Of the send that runs in this task; it has no end until a connection is there.
_deadline: Final[ContextVar[asyncio.Timeout]] = ContextVar("_deadline")

_HEAD: Final = 65_536  # bytes of a line, as http.client has it
_ADDED: Final = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


class AiohttpTransport:
    """One account's connections, for one event loop. Any number of tasks may send.

    `connect_timeout` seconds for each attempt to connect; `timeout` seconds for the whole answer,
    counted from when there is a connection, however slowly it trickles; at most `max_body` bytes
    of a body are read; at most `pool_size` requests are under way at once, and one more waits up
    to `timeout` seconds for its turn and its connection. A connection that was not used for
    `idle_timeout` seconds is not used again.

    Raises `ValueError` for an address that is not safe, see `Endpoint.of`, and for a SOCKS proxy.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        timeout: float = TIMEOUT,
        max_body: int = MAX_BODY,
        pool_size: int = POOL_SIZE,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        self._endpoint = Endpoint.of(base_url)
        if self._endpoint.proxy and not self._endpoint.proxy.startswith("http"):
            raise ValueError("aiohttp speaks to no SOCKS proxy: unset it, or use the sync API")
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._max_body = max_body
        self._pool_size = pool_size
        self._idle_timeout = idle_timeout
        self._connector: _Connector
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(self, request: Request) -> Response:
        """Give the reply, a redirect too. Raises `ConnectFailed`, `NoAnswer`, `ProtocolError`."""
        if self._closed:
            raise QasidError("the account is closed")
        encoded = request.encode()
        url = self._endpoint.origin + self._endpoint.target(encoded)
        call = _call(encoded, URL(url, encoded=True), header_lines(encoded))
        try:
            async with asyncio.timeout(None) as deadline:
                _deadline.set(deadline)
                return await self._exchange(call)
        except ProviderError as error:
            failure = error
        except Exception as error:
            failure = self._failure(error, reached=deadline.when() is not None)
        # Out here it drags along neither the exceptions nor the frames that hold the request.
        raise failure.with_traceback(None)

    async def close(self) -> None:
        """Give the connections back."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._connector.abort()
            await asyncio.sleep(0)  # the loop closes the sockets in its next round

    async def _exchange(self, call: Mapping[str, Any]) -> Response:
        self._session = self._session or self._opened()  # here, as it wants a running loop
        async with self._session.request(**call) as reply:
            body = await self._body(reply)
            return Response(status=reply.status, headers=_pairs(reply.raw_headers), body=body)

    async def _body(self, reply: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        while part := await reply.content.read(self._max_body + 1 - len(body)):
            body += part
            if len(body) > self._max_body:
                reply.close()
                raise self._endpoint.too_long(self._max_body)
        return bytes(body)

    def _failure(self, error: Exception, *, reached: bool) -> ProviderError:
        return self._endpoint.unanswered(error) if reached else self._endpoint.unreached(error)

    def _opened(self) -> aiohttp.ClientSession:
        limits = aiohttp.ClientTimeout(connect=self._timeout, sock_connect=self._connect_timeout)
        self._connector = _Connector(
            self._timeout,
            limit=self._pool_size,
            keepalive_timeout=self._idle_timeout,
            ssl=self._endpoint.tls or True,
        )
        return aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_ADDED,
            timeout=limits,
            proxy=self._endpoint.proxy,
            max_line_size=_HEAD,
            max_field_size=_HEAD,
        )


class _Connector(aiohttp.TCPConnector):
    """Starts the deadline, and gives one request one connection that is alive."""

    def __init__(self, timeout: float, **options: Any) -> None:
        super().__init__(**options)
        self._answer_timeout = timeout
        self._used: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    def abort(self) -> None:
        """Let none go on saying goodbye: with TLS that may take as long as the server likes."""
        for transport in list(self._used):
            transport.abort()

    async def connect(self, *args: Any, **options: Any) -> aiohttp.connector.Connection:
        """A connection, never a second one for the same request.

        aiohttp asks for a second one to repeat a request that was lost with the first; whether it
        may be repeated is decided elsewhere.
        """
        deadline = _deadline.get()
        if deadline.when() is not None:
            raise aiohttp.ServerDisconnectedError
        connection = await self._alive(*args, **options)
        deadline.reschedule(asyncio.get_running_loop().time() + self._answer_timeout)
        return connection

    async def _alive(self, *args: Any, **options: Any) -> aiohttp.connector.Connection:
        while True:
            connection = await super().connect(*args, **options)
            transport: Any = connection.transport
            if transport not in self._used:
                self._used.add(transport)
                return connection
            if not _hung_up(transport):
                return connection
            connection.close()


def _hung_up(transport: asyncio.Transport) -> bool:
    """Whether an idle connection has something to say, which can only be its end.

    The loop is told of it as well, but only once it runs.
    """
    return wait_for_read(transport.get_extra_info("socket"), 0)


def _call(request: Request, url: URL, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": url,
        "headers": headers,
        "data": request.content or None,
        "allow_redirects": False,
        "middlewares": () if "Content-Length" in headers else (_without_length,),
    }


async def _without_length(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Take back the ``Content-Length: 0`` that aiohttp writes for a DELETE."""
    request.headers.popall("Content-Length", None)
    return await handler(request)


def _pairs(raw: aiohttp.typedefs.RawHeaders) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
