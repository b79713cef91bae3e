"""Carry requests with `requests`, at a fraction of what a bare `Session.post` costs."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import EmptyPoolError, PoolError
from urllib3.util import Timeout

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
from qasid.drivers.replies import Reply, in_time, received
from qasid.effects import Request, Response
from qasid.errors import ProviderError, QasidError

__all__ = ["RequestsTransport"]

T = TypeVar("T")


class RequestsTransport:
    """One account's connections. Any number of threads may send.

    `connect_timeout` seconds for each attempt to connect; `timeout` seconds for the whole answer,
    counted from when the request has been sent, however slowly it trickles; at most `max_body`
    bytes of a body are read; at most `pool_size` requests are under way at once, and one more
    waits up to `timeout` seconds for its turn. A connection that was not used for `idle_timeout`
    seconds is not used again.

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
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        self._endpoint = Endpoint.of(base_url)
        self._timeouts = (connect_timeout, timeout)
        self._closed = False
        bounds = _Bounds(
            connect_timeout=connect_timeout,
            timeout=timeout,
            idle_timeout=idle_timeout,
            max_body=max_body,
        )
        adapter = _Adapter(self._endpoint, bounds, pool_size)
        self._pool = adapter.pool
        self.session = _Session()
        self.session.trust_env = False
        self.session.adapters.clear()
        self.session.mount(self._endpoint.origin, adapter)

    def send(self, request: Request) -> Response:
        """Give the reply, a redirect too. Raises `ConnectFailed`, `NoAnswer`, `ProtocolError`."""
        if self._closed:
            raise QasidError("the account is closed")
        prepared = self._prepared(request.encode())
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

    def warm(self) -> None:
        """Open a connection, if there is none. Raises `ConnectFailed`."""
        if self._closed:
            raise QasidError("the account is closed")
        self._pool.warm()

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


@attrs.frozen(kw_only=True)
class _Bounds:
    connect_timeout: float
    timeout: float
    idle_timeout: float
    max_body: int


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is a reply like any other, and the key does not follow it."""


class _Adapter(HTTPAdapter):
    """The stock adapter with its pool found once, and the body read at once.

    Only the steps of `HTTPAdapter.send` are replaced, so what patches that method goes on working.
    """

    def __init__(self, endpoint: Endpoint, bounds: _Bounds, pool_size: int) -> None:
        super().__init__(1, pool_size, pool_block=True)
        self._endpoint = endpoint
        self.pool = _pool(self, endpoint, bounds)

    def close(self) -> None:
        """Give the connections back; the one that requests has does so when nobody knows it."""
        super().close()
        self.pool.close()

    def get_connection_with_tls_context(self, *_: object, **__: object) -> HTTPConnectionPool:
        return self.pool

    def cert_verify(self, *_: object) -> None:
        """Nothing: with a file named here urllib3 would read it again for every connection."""

    def request_url(self, request: requests.PreparedRequest, proxies: object) -> str:
        """The target as it is: whoever parses it may encode it in another way."""
        return str(request.url)[len(self._endpoint.origin) :]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        reply = requests.Response()
        reply.status_code, reply.reason, reply.headers = resp.status, resp.reason, resp.headers
        reply.url, reply.request = str(req.url), req
        reply.raw = io.BytesIO(resp.body)
        return reply


class _Pool(HTTPConnectionPool):
    """urllib3's pool and connections; requests are written, and replies read, without its detours.

    A request is sent once. Nobody is told of its target, which some providers want their key in.
    """

    endpoint: Endpoint
    bounds: _Bounds

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], **_: object
    ) -> Reply:
        """Send a request and give its reply. Raises `ConnectFailed`, and what sockets raise."""
        data = written(method, url, headers, body)
        return self._with_connection(lambda connection: self._exchange(connection, method, data))

    def warm(self) -> None:
        """Have an open connection. Raises `ConnectFailed`."""
        self._with_connection(lambda connection: None)

    def _with_connection(self, act: Callable[[Any], T]) -> T:
        connection = self._taken()
        try:
            self._open(connection)
            return act(connection)
        except BaseException:  # also an interrupt, which may come before all is encrypted
            connection.close()
            raise
        finally:
            self._put_conn(connection)

    def _taken(self) -> Any:
        """A connection for one request, which may be closed yet."""
        try:
            connection: Any = self._get_conn(self.bounds.timeout)
        except PoolError as error:  # none is free in time, or all are closed
            late = isinstance(error, EmptyPoolError)
            failure = self.endpoint.unreached(TimeoutError() if late else error)
        else:
            return connection
        raise failure

    def _open(self, connection: Any) -> None:
        if not connection.is_closed and self._is_stale(connection):
            connection.close()
        if connection.is_closed:
            self._connect(connection)
        if connection.sock.gettimeout() != self.bounds.timeout:  # to set it is a system call
            connection.sock.settimeout(self.bounds.timeout)

    def _is_stale(self, connection: Any) -> bool:
        idle: float = time.monotonic() - connection.idle_since
        return idle > self.bounds.idle_timeout

    def _connect(self, connection: Any) -> None:
        try:
            connection.response_class = in_time
            if self.proxy is None:
                connection.connect()
            else:
                self._prepare_proxy(connection)
        except Exception as error:
            failure = self.endpoint.unreached(error)
        else:
            connection.idle_since = time.monotonic()
            return
        raise failure  # an error of ours: requests lets it pass

    def _exchange(self, connection: Any, method: str, data: bytes) -> Reply:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sock.sendall(data)  # one that reads no further may have answered before
        reply = received(connection.sock, method, self.bounds.timeout, self.bounds.max_body)
        if len(reply.body) > self.bounds.max_body:
            raise self.endpoint.too_long(self.bounds.max_body)
        if reply.last:
            connection.close()
        connection.idle_since = time.monotonic()
        return reply


def _pool(adapter: HTTPAdapter, endpoint: Endpoint, bounds: _Bounds) -> _Pool:
    manager: Any = adapter.poolmanager
    if endpoint.proxy:
        own_tls = {"proxy_ssl_context": endpoint.tls} if endpoint.proxy.startswith("http") else {}
        manager = adapter.proxy_manager_for(endpoint.proxy, **own_tls)
    kinds = manager.pool_classes_by_scheme.items()
    manager.pool_classes_by_scheme = {name: type("Pool", (_Pool, kind), {}) for name, kind in kinds}
    known = {"ssl_context": endpoint.tls, "timeout": Timeout(connect=bounds.connect_timeout)}
    pool: _Pool = manager.connection_from_url(endpoint.origin, pool_kwargs=known)
    pool.endpoint, pool.bounds = endpoint, bounds
    return pool
