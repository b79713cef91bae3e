"""Carry requests with `aiohttp`, with the same bytes and the same errors as the sync transport."""

from __future__ import annotations

import asyncio
import selectors
import weakref
from typing import Any, Final

import aiohttp
from yarl import URL

from qasid.drivers.connection import (
    CONNECT_TIMEOUT,
    IDLE_TIMEOUT,
    MAX_BODY,
    POOL_SIZE,
    TIMEOUT,
    Endpoint,
    header_lines,
    written,
)
from qasid.effects import Request, Response
from qasid.errors import ProviderError, QasidError

__all__ = ["AiohttpTransport"]

_LINE: Final = 65_536  # bytes, as http.client has it
_BURST: Final = 16  # requests
_SWITCHING: Final = 101  # the one status below 200 after which no other answer comes


class AiohttpTransport:
    """One account's connections, for one event loop. Any number of tasks may send.

    `connect_timeout` seconds for each attempt to connect; `timeout` seconds for the whole answer,
    counted from when there is a connection, however slowly it trickles; at most `max_body` bytes
    of a body are read; at most `pool_size` requests are under way at once, and one more waits up
    to `timeout` seconds for its turn and its connection. A connection that was not used for
    `idle_timeout` seconds is not used again.

    The connections and the parser are aiohttp's. Its session is not used: it does for each request
    what can be done once, and its task that writes the body costs a round of the event loop.

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
        self._pool: _Pool | None = None
        self._outbox = _Outbox()
        self._closed = False

    async def send(self, request: Request) -> Response:
        """Give the reply, a redirect too. Raises `ConnectFailed`, `NoAnswer`, `ProtocolError`."""
        encoded = request.encode()
        target = self._endpoint.target(encoded)
        data = written(encoded.method, target, header_lines(encoded), encoded.content)
        connection = await self._connected()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(connection, encoded.method, data)
        except ProviderError as error:
            failure = error
        except Exception as error:
            failure = self._endpoint.unanswered(error)
        # Out here it drags along neither the exceptions nor the frames that hold the request.
        raise failure.with_traceback(None)

    async def warm(self) -> None:
        """Open a connection, if none is idle. Raises `ConnectFailed`."""
        (await self._connected()).release()

    async def close(self) -> None:
        """Give the connections back."""
        self._closed = True
        if self._pool is not None:
            await self._pool.close()
            await asyncio.sleep(0)  # the loop closes the sockets in its next round

    async def _connected(self) -> Any:
        """A connection for one request, to be released or closed."""
        if self._closed:
            raise QasidError("the account is closed")
        self._pool = self._pool or self._opened()  # here, as it wants a running loop
        try:
            return await self._pool.connection()
        except Exception as error:
            failure = self._endpoint.unreached(error)
        raise failure

    async def _exchange(self, connection: Any, method: str, data: bytes) -> Response:
        try:
            connection.protocol.set_response_params(
                skip_payload=method == "HEAD",
                read_until_eof=True,
                max_line_size=_LINE,
                max_field_size=_LINE,
            )
            self._outbox.add(connection.transport, data)
            response = await self._reply(connection.protocol)
        except BaseException:
            connection.close()
            raise
        connection.release()
        return response

    async def _reply(self, protocol: Any) -> Response:
        head, content = await protocol.read()
        while head.code < 200 and head.code != _SWITCHING:
            head, content = await protocol.read()
        body = await self._body(content)
        return Response(status=head.code, headers=_pairs(head.raw_headers), body=body)

    async def _body(self, content: aiohttp.StreamReader) -> bytes:
        body = b""
        while not content.at_eof():
            body += await content.read(self._max_body + 1 - len(body))
            if len(body) > self._max_body:
                raise self._endpoint.too_long(self._max_body)
        return body

    def _opened(self) -> _Pool:
        limits = aiohttp.ClientTimeout(connect=self._timeout, sock_connect=self._connect_timeout)
        return _Pool(self._endpoint, limits, self._pool_size, self._idle_timeout)


class _Pool:
    """aiohttp's connections to one endpoint, each for one request at a time."""

    def __init__(
        self, endpoint: Endpoint, limits: aiohttp.ClientTimeout, size: int, idle_timeout: float
    ) -> None:
        self._limits = limits
        self._connector = aiohttp.TCPConnector(limit=size, keepalive_timeout=idle_timeout)
        # It is never sent, but says to whom a connection is wanted.
        self._caller = aiohttp.ClientRequest(
            "GET",
            URL(endpoint.origin),
            loop=asyncio.get_running_loop(),
            proxy=URL(endpoint.proxy) if endpoint.proxy else None,
            ssl=endpoint.tls or True,
        )
        self._used: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    async def connection(self) -> Any:
        """One that is alive, as far as can be known."""
        while True:
            connection: Any = await self._connector.connect(self._caller, [], self._limits)
            if connection.transport not in self._used:
                self._used.add(connection.transport)
                return connection
            if not _has_more(connection):
                return connection
            connection.close()

    async def close(self) -> None:
        """Close them, also those that a slow server keeps from sending, or from saying goodbye."""
        for transport in list(self._used):
            transport.abort()
        await self._connector.close()


class _Outbox:
    """Writes the requests of many tasks in bursts.

    A write may cost more than its own time: where it wakes a server, or a proxy, on this machine,
    that takes the processor from us, and our code out of its cache. In bursts, 64 tasks then take a
    fifth less CPU. Were these longer, the answers would come in bursts too, and each would wait for
    the work of all.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def add(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write it before the event loop waits again."""
        self._waiting.append((transport, data))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._empty)
        elif len(self._waiting) == _BURST:
            self._empty()

    def _empty(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():  # some loops raise, and the others would not leave
                transport.write(data)


def _has_more(connection: Any) -> bool:
    """Whether an idle connection has something to say: its end, or an answer to no question.

    The loop is told of it as well, but only once it runs.
    """
    unread: bool = connection.protocol.should_close
    return unread or _is_readable(connection.transport.get_extra_info("socket"))


def _is_readable(connection: Any) -> bool:
    with _Selector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))


#: It needs no system call to be made, and knows any number of files where the system can.
_Selector: Final = getattr(selectors, "PollSelector", selectors.SelectSelector)


def _pairs(raw: aiohttp.typedefs.RawHeaders) -> tuple[tuple[str, str], ...]:
    return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])
