"""Carry requests with `requests`, at half of what a bare `Session.post` costs."""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.util import Retry
from urllib3.util.response import assert_header_parsing

from qasid.drivers.connection import (
    CONNECT_TIMEOUT,
    MAX_BODY,
    POOL_SIZE,
    TIMEOUT,
    Endpoint,
    header_lines,
)
from qasid.effects import Request, Response
from qasid.errors import ProviderError, QasidError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["RequestsTransport"]

# The path and query of the request that this thread sends. urllib3 is shown "/" instead: it would
# rewrite the percent-encoding, and write both to its log, keys and all.
_target: Final[ContextVar[str]] = ContextVar("_target")


class RequestsTransport:
    """One account's connections. Any number of threads may send.

    `connect_timeout` seconds for each attempt to connect; `timeout` seconds for the whole answer,
    counted from when the request has been sent, however slowly it trickles; at most `max_body`
    bytes of a body are read; at most `pool_size` requests are under way at once, and one more
    waits up to `timeout` seconds for its turn.

    `session` is there for hooks and for adapters of your own. What it knows of redirects, cookies,
    proxies, retries and certificates is not used.

    Raises `ValueError` for an address that is not safe, see `Endpoint.of`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        timeout: float = TIMEOUT,
        max_body: int = MAX_BODY,
        pool_size: int = POOL_SIZE,
    ) -> None:
        self._endpoint = Endpoint.of(base_url)
        self._timeouts = (connect_timeout, timeout)
        self._turns = threading.BoundedSemaphore(pool_size)
        self._closed = False
        self.session = _Session()
        self.session.trust_env = False
        self.session.adapters.clear()
        self.session.mount(self._endpoint.origin, _Adapter(self._endpoint, pool_size, max_body))

    def send(self, request: Request) -> Response:
        """Give the reply, a redirect too. Raises `ConnectFailed`, `NoAnswer`, `ProtocolError`."""
        if self._closed:
            raise QasidError("the account is closed")
        prepared = self._prepared(request.encode())
        if not self._turns.acquire(timeout=self._timeouts[1]):
            raise self._endpoint.unreached(TimeoutError())
        try:
            return self._exchange(prepared)
        finally:
            self._turns.release()

    def close(self) -> None:
        """Give the connections back."""
        self._closed = True
        self.session.close()

    def _prepared(self, request: Request) -> requests.PreparedRequest:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = self._endpoint.origin + self._endpoint.target(request)
        prepared.headers = header_lines(request)  # type: ignore[assignment]
        prepared.body = request.content or None
        prepared.hooks = self.session.hooks
        return prepared

    def _exchange(self, prepared: requests.PreparedRequest) -> Response:
        try:
            reply = self.session.send(
                prepared, timeout=self._timeouts, allow_redirects=False, proxies={}, verify=True
            )
            return Response(
                status=reply.status_code, headers=tuple(reply.headers.items()), body=reply.content
            )
        except ProviderError as error:
            failure = error
        except Exception as error:  # whatever it is, the request may have been read
            failure = self._endpoint.unanswered(error)
        # Out here it drags along neither the exceptions nor the frames that hold the request.
        raise failure.with_traceback(None)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is a reply like any other, and the key does not follow it."""


class _Adapter(HTTPAdapter):
    """The stock adapter with its pool found once, and the body read at once.

    Only the steps of `HTTPAdapter.send` are replaced, so what patches that method goes on working.
    """

    def __init__(self, endpoint: Endpoint, pool_size: int, max_body: int) -> None:
        super().__init__(1, pool_size, max_retries=Retry(False))
        self._endpoint = endpoint
        self._max_body = max_body
        self._pool = _pool(self, endpoint)

    def get_connection_with_tls_context(self, *_: object, **__: object) -> HTTPConnectionPool:
        return self._pool

    def cert_verify(self, *_: object) -> None:
        """Nothing: with a file named here urllib3 would read it again for every connection."""

    def request_url(self, request: requests.PreparedRequest, proxies: object) -> str:
        _target.set(str(request.url)[len(self._endpoint.origin) :])
        return "/"

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        reply = requests.Response()
        reply.status_code, reply.reason, reply.headers = resp.status, resp.reason, resp.headers
        reply.url, reply.request = str(req.url), req
        reply.raw = io.BytesIO(self._body(resp))
        return reply

    def _body(self, resp: Any) -> bytes:
        body: bytes = resp.read(self._max_body + 1, decode_content=True)
        if len(body) > self._max_body:
            resp.close()
            raise self._endpoint.too_long(self._max_body)
        return body


def _pool(adapter: HTTPAdapter, endpoint: Endpoint) -> HTTPConnectionPool:
    manager: Any = adapter.poolmanager
    if endpoint.proxy:
        own_tls = {"proxy_ssl_context": endpoint.tls} if endpoint.proxy.startswith("http") else {}
        manager = adapter.proxy_manager_for(endpoint.proxy, **own_tls)
    pool: HTTPConnectionPool = manager.connection_from_url(
        endpoint.origin, pool_kwargs={"ssl_context": endpoint.tls}
    )
    pool.ConnectionCls = _watched(pool.ConnectionCls, endpoint)
    return pool


def _watched(kind: Any, endpoint: Endpoint) -> Any:
    class Watched(kind):  # type: ignore[misc]
        response_class = _TimedResponse
        _rest = b""  # the body, until the head is written

        def connect(self) -> None:
            try:
                return super().connect()  # type: ignore[no-any-return]
            except Exception as error:
                failure = endpoint.unreached(error)
            raise failure  # an error of ours: urllib3 lets it pass

        def putrequest(self, method: str, url: str, **options: Any) -> None:
            super().putrequest(method, _target.get(), **options)

        def request(self, method: str, url: str, body: Any = None, *args: Any, **more: Any) -> None:
            self._rest = body or b""
            super().request(method, url, None, *args, **more)

        def send(self, data: bytes) -> None:
            """Head and body together: http.client's two writes cost the system twice the work."""
            data, self._rest = data + self._rest, b""
            super().send(data)

    return Watched


class _TimedResponse(http.client.HTTPResponse):
    """A reply that must be there, to its last byte, before the socket's time-out has passed."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = _WholeLines(_TimedReader(sock, self.fp.detach()))

    def begin(self) -> None:
        """Read the head; http.client takes 103 (early hints) for the answer itself."""
        super().begin()
        while 101 < self.status < 200:
            self.headers = None  # type: ignore[assignment]
            super().begin()
        assert_header_parsing(self.headers)


class _WholeLines(io.BufferedReader):
    """http.client takes the end of the connection, where a header should be, for a blank line."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n"):
            raise http.client.HTTPException
        return line


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._end = time.monotonic() + (sock.gettimeout() or 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
