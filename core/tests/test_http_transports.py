"""Both real transports over real sockets: what one promises, the other promises too."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

import attrs
import pytest
import requests
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qasid.drivers.connection import Endpoint
from qasid.drivers.http_aio import AiohttpTransport
from qasid.drivers.http_sync import RequestsTransport
from qasid.effects import Request, Response, segment
from qasid.errors import (
    ConnectFailed,
    InvalidRequest,
    NoAnswer,
    Outcome,
    PluginError,
    ProtocolError,
    ProviderError,
    QasidError,
)

from .loopback import (
    Act,
    Connection,
    Loopback,
    drip,
    flood,
    hang_up,
    raw,
    reply,
    reset,
    serving,
    silence,
)

SECRET = "s3cret-k3y"
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

Step: TypeAlias = Request | Callable[[], object]


class Carry(Protocol):
    """Send requests through one transport and do, in between, what else is named.

    Gives what each request came to: a reply or an error.
    """

    def __call__(self, base_url: str, *steps: Step, **limits: Any) -> list[Any]: ...


def carry_sync(base_url: str, *steps: Step, **limits: Any) -> list[Any]:
    transport, outcomes = RequestsTransport(base_url, **limits), []
    for step in steps:
        try:
            outcomes.append(transport.send(step) if isinstance(step, Request) else step())
        except ProviderError as error:
            outcomes.append(error)
    transport.close()
    return [outcome for outcome in outcomes if outcome is not None]


def carry_async(base_url: str, *steps: Step, **limits: Any) -> list[Any]:
    async def main() -> list[Any]:
        transport, outcomes = AiohttpTransport(base_url, **limits), []
        for step in steps:
            try:
                outcomes.append(await transport.send(step) if isinstance(step, Request) else step())
            except ProviderError as error:
                outcomes.append(error)
        await transport.close()
        return [outcome for outcome in outcomes if outcome is not None]

    return asyncio.run(main())


CARRIERS: dict[str, Carry] = {"requests": carry_sync, "aiohttp": carry_async}


@pytest.fixture(params=CARRIERS)
def carry(request: pytest.FixtureRequest) -> Carry:
    return CARRIERS[request.param]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *AUTHORITIES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """A socket that nobody closed warns when it is collected, and a warning is an error."""
    yield
    gc.collect()


@attrs.frozen
class Trust:
    """An authority; `server` has its certificate for this machine, `other` for another."""

    authority: Path
    server: ssl.SSLContext
    other: ssl.SSLContext


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("trust") / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    contexts = []
    for names in (("localhost", "127.0.0.1"), ("other.example",)):
        contexts.append(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
        authority.issue_cert(*names).configure_cert(contexts[-1])
    return Trust(path, *contexts)


@pytest.fixture
def trusted(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> Trust:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trust.authority))
    return trust


def post(server: Loopback, path: str = "/send") -> Request:
    return Request(
        method="POST",
        url=server.url + path,
        query={"key": SECRET},
        headers={"Authorization": SECRET},
        json={"to": SECRET},
    )


def get(server: Loopback, path: str = "/balance") -> Request:
    return Request(method="GET", url=server.url + path)


def failure(carry: Carry, request: Request, **limits: Any) -> ProviderError:
    (error,) = carry(request.origin, request, **limits)
    assert isinstance(error, ProviderError)
    return error


# The bytes on the wire.

REQUESTS: dict[str, dict[str, Any]] = {
    "get": {"method": "GET"},
    "get with a query": {"method": "GET", "query": [("a", "1"), ("b", "x y"), ("a", "2")]},
    "get with a text that is not ASCII": {"method": "GET", "query": {"متن": "سلام دنیا"}},
    "get without a path": {"method": "GET", "path": ""},
    "get of a path that wants out": {"method": "GET", "path": "/a/" + segment("../balance")},
    "get of dots": {"method": "GET", "path": "/a/../b/./c//d"},
    "get of every legal character": {"method": "GET", "path": "/-._~!$&'()*+,;=:@%25?/?%20"},
    "post json": {"method": "POST", "json": {"to": "+989121112233", "text": "سلام"}},
    "post form": {"method": "POST", "form": {"to": "1", "text": "سلام & بدرود"}},
    "post multipart": {"method": "POST", "multipart": {"text": "سلام\r\n", "to": "1"}},
    "post nothing": {"method": "POST"},
    "put json": {"method": "PUT", "json": {}},
    "delete": {"method": "DELETE"},
    "delete json": {"method": "DELETE", "json": {"id": 1}},
    "headers in their own case and order": {
        "method": "POST",
        "headers": [("x-key", "k"), ("Accept", "text/plain"), ("AUTHORIZATION", "Bearer t")],
    },
    "a header that is sent anyway": {"method": "GET", "headers": {"User-Agent": "mine/1"}},
}


def made(server: Loopback, method: str, path: str = "/p", **parts: Any) -> Request:
    return Request(method=method, url=server.url + path, **parts)


def as_written(request: Request) -> bytes:
    """The bytes of an encoded request, put together by hand."""
    target = request.url.split("/", 3)[3:]
    lines = [f"{request.method} /{''.join(target)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in dict(request.headers).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (request.content or b"")


@pytest.mark.parametrize("parts", REQUESTS.values(), ids=REQUESTS)
def test_the_wire_carries_the_encoded_request_and_nothing_else(
    carry: Carry, parts: dict[str, Any]
) -> None:
    """Nothing is added, dropped, normalised or put in another order."""
    with serving() as server:
        request = made(server, **parts)
        carry(server.url, request)
        assert [as_written(request.encode())] == server.requests


@pytest.mark.parametrize("parts", REQUESTS.values(), ids=REQUESTS)
def test_both_transports_put_the_same_bytes_on_the_wire(parts: dict[str, Any]) -> None:
    """A provider's server cannot tell them apart."""
    with serving() as server:
        for carry in CARRIERS.values():
            carry(server.url, made(server, **parts))
        first, second = server.requests
        assert first == second


@given(
    segments=st.lists(st.text(min_size=1).filter(lambda s: s not in {".", ".."}), max_size=3),
    query=st.dictionaries(st.text(), st.text(), max_size=3),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_text_makes_the_transports_differ(segments: list[str], query: dict[str, str]) -> None:
    """Whatever stands in a path or a query, both send it alike."""
    path = "/" + "/".join(quote(s.encode("utf-8", "replace"), safe="") for s in segments)
    query = {_sendable(name): _sendable(value) for name, value in query.items()}
    with serving() as server:
        for carry in CARRIERS.values():
            carry(server.url, made(server, "GET", path, query=query))
        first, second = server.requests
        assert first == second


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("path", ["/a b", "/سلام", "/%2f", "/%zz", "/a#b", "/[x]", "/a\nb"])
def test_an_address_that_a_library_would_rewrite_is_refused(carry: Carry, path: str) -> None:
    """It never leaves, so both do the same."""
    with serving() as server:
        error = failure(carry, get(server, path))
        assert (InvalidRequest, 0) == (type(error), server.accepted)


@pytest.mark.parametrize("value", ["سلام", "a\r\nX-Other: b", "\x00"])
def test_a_header_that_no_two_libraries_encode_alike_is_refused(carry: Carry, value: str) -> None:
    """Also a line break, which would make two headers of one."""
    with serving() as server:
        error = failure(carry, made(server, "GET", headers={"X-Key": value}))
        assert (InvalidRequest, Outcome.NOT_PERFORMED, 0) == (
            type(error),
            error.outcome,
            server.accepted,
        )


@pytest.mark.parametrize("name", ["", "X Key", "X:Key", "سلام", "X\r\nY"])
def test_a_header_whose_name_is_none_is_refused(carry: Carry, name: str) -> None:
    """It would be read as another one, or as several."""
    with serving() as server:
        error = failure(carry, made(server, "GET", headers={name: "x"}))
        assert (InvalidRequest, 0) == (type(error), server.accepted)


@pytest.mark.parametrize("method", ["", "GET /x HTTP/1.1\r\nA:", "G T"])
def test_a_method_that_is_no_word_is_refused(carry: Carry, method: str) -> None:
    """It could hold a whole request."""
    with serving() as server:
        error = failure(carry, made(server, method))
        assert (InvalidRequest, 0) == (type(error), server.accepted)


def test_a_request_to_another_origin_does_not_leave(carry: Carry) -> None:
    """It would hand the account's key to a stranger."""
    with serving() as server, pytest.raises(PluginError, match=r"https://elsewhere\.example"):
        carry(server.url, Request(method="GET", url="https://elsewhere.example/"))


# The reply.


def test_the_reply_is_what_came(carry: Carry) -> None:
    """Status, headers as they were written, also twice, and body; the time is aware UTC."""
    with serving(reply(b'{"a":1}', "201 Created", "X-a: 1", "X-a: 2")) as server:
        (response,) = carry(server.url, get(server))
    assert (
        Response(
            status=201,
            headers=[("Content-Length", "7"), ("X-a", "1"), ("X-a", "2")],
            body=b'{"a":1}',
            received_at=response.received_at,
        )
        == response
    )
    assert response.received_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - response.received_at) < timedelta(seconds=30)


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PACKED = gzip.compress(b"ok")
READABLE = {
    "of known length": raw(WHOLE),
    "in chunks": raw(CHUNKED + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\nTrailer: t\r\n\r\n"),
    "until the end": raw(b"HTTP/1.1 200 OK\r\n\r\nok", then_close=True),
    "of an old server": raw(b"HTTP/1.0 200 OK\r\n\r\nok", then_close=True),
    "and then closed": raw(
        WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), then_close=True
    ),
    "after 100": raw(b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE),
    "after two of 103": raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 2 + WHOLE),
    "without a reason": raw(WHOLE.replace(b" OK", b"")),
    "after a long header": reply(b"ok", "200 OK", "X-Long: " + "x" * 20_000),
    "packed all the same": reply(PACKED, "200 OK", "Content-Encoding: gzip"),
    "in small pieces": drip(WHOLE, 0.001),
}
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"


@pytest.mark.parametrize("act", READABLE.values(), ids=READABLE)
def test_a_reply_is_read_in_every_form_that_http_has(carry: Carry, act: Act) -> None:
    """Its body is whole, and the next request gets an answer of its own."""
    with serving(act, reply(b"next")) as server:
        responses = carry(server.url, get(server), get(server))
    assert [b"ok", b"next"] == [r.body for r in responses]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_reply_without_a_body_is_whole(carry: Carry, status: str) -> None:
    """And its connection is used again."""
    with serving(raw(f"HTTP/1.1 {status}\r\n\r\n".encode())) as server:
        responses = carry(server.url, get(server), get(server))
        assert ([b"", b""], 1) == ([r.body for r in responses], server.accepted)


def test_a_switch_of_protocols_is_a_reply(carry: Carry) -> None:
    """Nobody asked for it, and no other one comes; its connection speaks HTTP no more."""
    with serving(raw(SWITCHED), reply(b"next")) as server:
        first, second = carry(server.url, get(server), get(server))
        assert (101, b"", b"next", 2) == (
            first.status,
            first.body,
            second.body,
            server.accepted,
        )


def test_the_reply_to_head_has_no_body(carry: Carry) -> None:
    """Its length is that of a body which is not sent."""
    head = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    with serving(head, reply(b"next")) as server:
        first, second = carry(server.url, made(server, "HEAD"), get(server))
        assert (b"", b"next", 1) == (first.body, second.body, server.accepted)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_reply_like_any_other(carry: Carry, status: int) -> None:
    """Neither the request nor its key goes anywhere else."""
    with serving() as elsewhere:
        act = reply(b"", f"{status} Moved", f"Location: {elsewhere.url}/x")
        with serving(act) as server:
            (response,) = carry(server.url, post(server))
            assert (status, 1, 0) == (response.status, len(server.requests), elsewhere.accepted)


def test_a_cookie_is_not_sent_back(carry: Carry) -> None:
    """The second request is as if there had been no first."""
    with serving(reply(b"", "200 OK", "Set-Cookie: a=b; Path=/")) as server:
        carry(server.url.replace("127.0.0.1", "localhost"), *([get_local(server)] * 2))
        first, second = server.requests
        assert first == second


def get_local(server: Loopback) -> Request:
    return Request(method="GET", url=f"http://localhost:{server.port}/")


# Failures.


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
        return port


def told(error: ProviderError) -> tuple[type[ProviderError], str]:
    return type(error), str(error)


def test_a_refused_connection_is_never_reached(carry: Carry) -> None:
    """Not performed, with the place in the message."""
    place = f"127.0.0.1:{free_port()}"
    error = failure(carry, Request(method="POST", url=f"http://{place}/"))
    assert (ConnectFailed, f"{place} refused the connection") == told(error)
    assert Outcome.NOT_PERFORMED == error.outcome


def test_a_name_that_cannot_be_resolved_is_never_reached(carry: Carry) -> None:
    """The top level `invalid` is reserved for names that do not exist."""
    error = failure(carry, Request(method="POST", url="https://nowhere.invalid/"))
    assert (ConnectFailed, "nowhere.invalid:443 has a name that cannot be resolved") == told(error)


def test_a_handshake_that_takes_too_long_is_never_reached(carry: Carry) -> None:
    """A server that does not speak TLS, and waits."""
    with serving() as server:
        url = server.url.replace("http:", "https:")
        error = failure(carry, Request(method="POST", url=url), connect_timeout=0.2)
    assert (
        ConnectFailed,
        f"127.0.0.1:{server.port} let us wait too long for a connection",
    ) == told(error)


def test_a_handshake_that_breaks_is_never_reached(carry: Carry, trusted: Trust) -> None:
    """A server that has no certificate at all."""
    with serving(tls=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)) as server:
        error = failure(carry, post(server))
    assert (ConnectFailed, f"127.0.0.1:{server.port} could not agree with us on TLS") == told(error)


def test_a_trusted_certificate_is_accepted(carry: Carry, trusted: Trust) -> None:
    """The authority comes from the environment."""
    with serving(tls=trusted.server) as server:
        assert [200] == [r.status for r in carry(server.url, post(server))]


def test_a_folder_of_authorities_is_read(
    carry: Carry, trust: Trust, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder without our authority trusts nobody."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path))
    with serving(tls=trust.server) as server:
        assert "not trusted" in str(failure(carry, post(server)))


def test_a_certificate_of_an_unknown_authority_is_never_reached(carry: Carry, trust: Trust) -> None:
    """And no request is sent to see what happens."""
    with serving(tls=trust.server) as server:
        error = failure(carry, post(server))
        assert [] == server.requests
    assert isinstance(error, ConnectFailed)
    assert str(error).startswith(
        f"127.0.0.1:{server.port} has a certificate that is not trusted: unable to get"
    )


def test_a_certificate_of_another_host_is_never_reached(carry: Carry, trusted: Trust) -> None:
    """A trusted authority is not enough: the name must be that of the address."""
    with serving(tls=trusted.other) as server:
        error = failure(carry, post(server))
        assert [] == server.requests
    assert isinstance(error, ConnectFailed)
    assert "is not trusted: IP address mismatch" in str(error)


def deny(connection: Connection) -> bool:
    connection.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    return False


def test_a_proxy_that_refuses_means_never_reached(
    carry: Carry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider has not seen anything; its proxy's password is not shown."""
    with serving(deny) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        error = failure(carry, Request(method="POST", url="https://a.example/x"))
        assert b"CONNECT a.example:443 HTTP/1." in proxy.requests[0]
        assert b"\r\nProxy-Authorization: Basic " in proxy.requests[0]
    place = f"a.example:443 (through the proxy 127.0.0.1:{proxy.port})"
    assert (ConnectFailed, f"{place} could not be reached") == told(error)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_proxy_that_drips_means_never_reached(
    carry: Carry, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """There is as much time for the whole of its answer as for any connection."""
    with serving(drip(answer + b"x" * 1000)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        request = Request(method="POST", url="https://a.example/x")
        started = time.monotonic()
        error = failure(carry, request, connect_timeout=0.3, timeout=0.5)
        assert time.monotonic() - started < 3
    assert (ConnectFailed, Outcome.NOT_PERFORMED) == (type(error), error.outcome)


def test_a_proxy_that_is_not_there_means_never_reached(
    carry: Carry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address may come without a scheme."""
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{free_port()}")
    error = failure(carry, Request(method="POST", url="https://a.example/x"))
    assert (ConnectFailed, True) == (type(error), str(error).endswith("refused the connection"))


def tunnel(port: int) -> Act:
    """Answer CONNECT, and pass the bytes on to that port of this machine."""

    def act(connection: Connection) -> bool:
        with socket.create_connection(("127.0.0.1", port)) as target:
            connection.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(target, connection.socket))
            back.start()
            pump(connection.socket, target)
            back.join()
        return False

    return act


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_a_proxy_sees_no_more_than_the_name(
    carry: Carry, trusted: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request goes through a tunnel, and arrives with the same bytes as without one."""
    request = Request(method="POST", url="https://other.example/send", json={"key": SECRET})
    with serving(tls=trusted.other) as server, serving(tunnel(server.port)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        carry(request.origin, request, request)
        assert [as_written(request.encode())] * 2 == server.requests
        assert 1 == proxy.accepted


def test_this_very_machine_is_reached_without_a_proxy(
    carry: Carry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a plain request to it would leave it."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with serving() as server:
        assert [200] == [r.status for r in carry(server.url, get(server))]


def hints_for_ever(connection: Connection) -> bool:
    """Have always something to say, and never the answer."""
    while not connection.stopping.is_set():
        connection.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
    return False


BROKEN: dict[str, Act] = {
    "hints for ever": hints_for_ever,
    "closed": hang_up,
    "reset": reset,
    "silent": silence,
    "cut body": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", then_close=True),
    "cut chunk": raw(CHUNKED + b"9\r\nok", then_close=True),
    "no last chunk": raw(CHUNKED + b"2\r\nok\r\n", then_close=True),
    "cut header": raw(b"HTTP/1.1 200 OK\r\nContent-Le", then_close=True),
    "cut head": raw(b"HTTP/1.1 200 OK\r\nX: y\r\n", then_close=True),
    "cut after the status": raw(b"HTTP/1.1 200 OK\r\n", then_close=True),
    "no header": raw(b"HTTP/1.1 200 OK\r\nwhat?\r\nContent-Length: 2\r\n\r\nok"),
    "no end of chunks": raw(CHUNKED + b"2\r\nok\r\n0\r\n", then_close=True),
    "body that stops": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
    "dripping head": drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000),
    "dripping body": drip(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000, 0.01),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", then_close=True),
    "no status": raw(b"HTTP/1.1 abc OK\r\n\r\n", then_close=True),
    "endless header": raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, then_close=True),
    "endless headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 5_000 + b"\r\n", then_close=True),
    "no chunk size": raw(CHUNKED + b"zz\r\nok\r\n0\r\n\r\n", then_close=True),
    "two lengths": raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", then_close=True
    ),
    "not packed": reply(b"ok", "200 OK", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("act", BROKEN.values(), ids=BROKEN)
def test_without_a_whole_answer_the_outcome_is_unknown(carry: Carry, act: Act) -> None:
    """The request was read, so the act may be done; it came to the server once, and in time."""
    with serving(act) as server:
        started = time.monotonic()
        error = failure(carry, post(server), timeout=0.3)
        assert time.monotonic() - started < 2
        assert (NoAnswer, Outcome.UNKNOWN, 1) == (type(error), error.outcome, len(server.requests))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("act", [hang_up, reset])
def test_nothing_is_sent_twice_by_a_library(carry: Carry, act: Act, method: str) -> None:
    """Also what HTTP calls idempotent: whether it may be repeated is decided elsewhere."""
    with serving(reply(), act) as server:
        _, error = carry(server.url, get(server), made(server, method))
        assert (NoAnswer, 2) == (type(error), len(server.requests))


CAP = 1_000
LONG = {
    "of known length": reply(bytes(500_000)),
    "in chunks": raw(CHUNKED + b"7a120\r\n" + bytes(500_000) + b"\r\n0\r\n\r\n"),
    "that says less": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 1_001),
    "packed small": reply(gzip.compress(bytes(500_000_000)), "200 OK", "Content-Encoding: gzip"),
    "without an end": flood,
}


@pytest.mark.parametrize("act", LONG.values(), ids=LONG)
def test_a_body_over_the_cap_is_not_read_to_its_end(carry: Carry, act: Act) -> None:
    """Its connection is dropped: the next request opens another one."""
    with serving(act, reply(b"next")) as server:
        error, after = carry(server.url, post(server), get(server), max_body=CAP)
        assert (b"next", 2) == (after.body, server.accepted)
    message = f"127.0.0.1:{server.port} answered with more than 1000 bytes"
    assert (ProtocolError, message) == told(error)


def test_a_body_of_just_the_cap_is_read(carry: Carry) -> None:
    """And leaves its connection in use, in chunks too."""
    chunked = raw(CHUNKED + b"3e8\r\n" + b"x" * CAP + b"\r\n0\r\n\r\n")
    with serving(reply(b"x" * CAP), chunked, reply()) as server:
        carry(server.url, *[get(server)] * 3, max_body=CAP)
        assert 1 == server.accepted


# Connections.


def test_two_requests_use_one_connection(carry: Carry) -> None:
    """To open one costs more than to send on it."""
    with serving() as server:
        carry(server.url, *[post(server)] * 3)
        assert (3, 1) == (len(server.requests), server.accepted)


def test_a_request_leaves_in_one_piece(carry: Carry) -> None:
    """Head and body together: in two packets they take twice the work."""
    body = {"text": "hello"}
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sending = pool.submit(carry, url, Request(method="POST", url=f"{url}/", json=body))
        accepted, _ = listener.accept()
        with accepted:
            first = accepted.recv(65_536)
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            assert [200] == [reply.status for reply in sending.result()]
    assert first.endswith(b'\r\n\r\n{"text":"hello"}')


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_a_connection_that_was_closed_meanwhile_is_not_used(
    carry: Carry, trusted: Trust, secure: bool
) -> None:
    """Its end is noticed in time, also by a loop that has not run since."""
    once = raw(WHOLE, then_close=True)  # and nothing in the head tells of it
    with serving(once, tls=trusted.server if secure else None) as server:
        responses = carry(
            server.url,
            post(server),
            lambda: server.hung_up.acquire(timeout=5) and None,
            post(server),
        )
        assert ([200, 200], 2) == ([r.status for r in responses], server.accepted)


def test_a_connection_is_idle_for_no_longer_than_it_may(carry: Carry) -> None:
    """A server that closes it just when a request comes leaves that one's outcome unknown."""
    with serving() as server:
        carry(server.url, post(server), lambda: time.sleep(0.05), post(server), idle_timeout=60)
        assert 1 == server.accepted
        carry(server.url, post(server), lambda: time.sleep(0.05), post(server), idle_timeout=0.01)
        assert 3 == server.accepted


def test_each_answer_has_the_whole_time(carry: Carry) -> None:
    """Also after one that took most of it."""

    def halting(connection: Connection) -> bool:
        connection.write(WHOLE[:20])
        connection.stopping.wait(0.8)
        return drip(WHOLE[20:], 0.001)(connection)

    def late(connection: Connection) -> bool:
        connection.stopping.wait(0.8)
        return reply()(connection)

    with serving(halting, late) as server:
        responses = carry(server.url, get(server), get(server), timeout=1.3)
        assert ([200, 200], 1) == ([r.status for r in responses], server.accepted)


@pytest.mark.parametrize("pause", [0, 0.05])
def test_an_answer_that_nobody_asked_for_answers_nothing(pause: float) -> None:
    """It comes with the first answer, or later, when the loop reads from an idle connection."""

    def twice(connection: Connection) -> bool:
        connection.write(WHOLE if pause else WHOLE * 2)
        if pause:
            connection.stopping.wait(pause)
            connection.write(WHOLE)
        return True

    async def main(server: Loopback) -> Response:
        transport = AiohttpTransport(server.url)
        await transport.send(post(server))
        await asyncio.sleep(2 * pause)
        response = await transport.send(post(server))
        await transport.close()
        return response

    with serving(twice, reply(b"next")) as server:
        assert b"next" == asyncio.run(main(server)).body
        assert 2 == server.accepted


def test_a_lost_request_leaves_the_next_one_a_new_connection(carry: Carry) -> None:
    """One broken connection is one failure."""
    with serving(reply(), reset, reply(b"next")) as server:
        outcomes = carry(server.url, *[post(server)] * 3)
        assert ([Response, NoAnswer, Response], 3) == (
            [type(o) for o in outcomes],
            len(server.requests),
        )


def test_eight_threads_share_one_transport() -> None:
    """Each gets the answer to its own question, over no more connections than there may be."""
    with serving(echo) as server:
        transport = RequestsTransport(server.url, pool_size=4)
        requests_ = [get(server, f"/{n}") for n in range(200)]
        with ThreadPoolExecutor(8) as threads:
            bodies = [response.body for response in threads.map(transport.send, requests_)]
        transport.close()
        assert [f"/{n}".encode() for n in range(200)] == bodies
        assert server.accepted <= 4


@pytest.mark.parametrize("connections", [4, 64])
def test_sixty_four_tasks_share_one_transport(connections: int) -> None:
    """Each gets the answer to its own question, over no more connections than there may be."""

    async def main(server: Loopback) -> list[bytes]:
        transport = AiohttpTransport(server.url, pool_size=connections)
        bodies = []
        for _ in range(2):  # the second time all connections are there
            sends = [transport.send(get(server, f"/{n}")) for n in range(64)]
            bodies += [response.body for response in await asyncio.gather(*sends)]
        await transport.close()
        return bodies

    with serving(echo) as server:
        assert [f"/{n}".encode() for n in range(64)] * 2 == asyncio.run(main(server))
        assert server.accepted <= connections


def echo(connection: Connection) -> bool:
    """Answer with the path that was asked for."""
    return reply(connection.requested.split(b" ")[1])(connection)


def test_a_request_that_gets_no_turn_was_never_reached() -> None:
    """The only connection is still being opened, for longer than `timeout`."""
    with serving() as server, ThreadPoolExecutor(2) as threads:
        url = server.url.replace("http:", "https:")
        transport = RequestsTransport(url, pool_size=1, timeout=0.1, connect_timeout=0.5)
        sends = [threads.submit(transport.send, Request(method="POST", url=url)) for _ in "ab"]
        assert [ConnectFailed] * 2 == [type(send.exception()) for send in sends]
        assert 1 == server.accepted
        transport.close()


def test_a_cancelled_task_is_cancelled() -> None:
    """It is no failure of the provider; the connection is given up, and the next send works."""

    async def main(server: Loopback) -> Response:
        transport = AiohttpTransport(server.url)
        task = asyncio.create_task(transport.send(post(server)))
        await asyncio.to_thread(server.came.acquire)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        response = await transport.send(get(server))
        await transport.close()
        return response

    with serving(silence, reply()) as server:
        assert 200 == asyncio.run(main(server)).status
        assert 2 == server.accepted


def test_a_server_that_does_not_read_keeps_nobody_from_closing() -> None:
    """What has not left by then is given up, and its outcome is unknown."""

    async def main(listener: socket.socket) -> BaseException:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        transport = AiohttpTransport(url)
        request = Request(method="POST", url=f"{url}/", form={"text": "x" * 20_000_000})
        sending = asyncio.create_task(transport.send(request))
        accepted, _ = await asyncio.to_thread(listener.accept)
        with accepted:
            await asyncio.to_thread(accepted.recv, 1)
            async with asyncio.timeout(5):
                await transport.close()
            (error,) = await asyncio.gather(sending, return_exceptions=True)
            assert isinstance(error, BaseException)
            return error

    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert NoAnswer is type(asyncio.run(main(listener)))


def test_what_has_not_left_when_the_account_is_closed_does_not_leave() -> None:
    """The request was about to be written; nobody is left waiting for its answer."""

    async def main(server: Loopback) -> BaseException | Response:
        transport = AiohttpTransport(server.url)
        await transport.warm()
        sending = asyncio.create_task(transport.send(post(server)))
        closing = asyncio.create_task(transport.close())
        outcome, _ = await asyncio.gather(sending, closing, return_exceptions=True)
        return outcome

    with serving() as server:
        assert NoAnswer is type(asyncio.run(main(server)))
        assert server.hung_up.acquire(timeout=5)
        assert [] == server.requests


def test_an_answer_to_half_a_request_is_an_answer(carry: Carry) -> None:
    """A server that has seen enough says so, and reads no further."""
    read = threading.Event()

    def refuse(listener: socket.socket) -> None:
        accepted, _ = listener.accept()
        with accepted:
            accepted.recv(1_000)
            accepted.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            accepted.shutdown(socket.SHUT_RDWR)
            read.wait(5)  # closed at once, it would be reset before the answer is read

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        refusing = pool.submit(refuse, listener)
        request = Request(method="POST", url=f"{url}/", form={"text": "x" * 20_000_000})
        (answer,) = carry(url, request, timeout=5)
        read.set()
        refusing.result()
    assert isinstance(answer, Response)
    assert (413, b"no") == (answer.status, answer.body)


def test_a_closed_account_sends_nothing() -> None:
    """A mistake of the caller, and no failure of the provider."""
    with serving() as server:
        transport = RequestsTransport(server.url)
        transport.close()
        with pytest.raises(QasidError, match="closed"):
            transport.send(get(server))
        with pytest.raises(QasidError, match="closed"):
            asyncio.run(send_after_close(server))
        assert 0 == server.accepted


async def send_after_close(server: Loopback) -> None:
    transport = AiohttpTransport(server.url)
    await transport.close()
    await transport.send(get(server))


def test_a_warm_transport_has_a_connection() -> None:
    """The first request needs none, and a transport that is warm needs no second one."""
    with serving() as server:
        transport = RequestsTransport(server.url)
        transport.warm()
        transport.warm()
        assert [] == server.requests
        transport.send(get(server))
        assert (1, 1) == (len(server.requests), server.accepted)
        transport.close()
        with pytest.raises(QasidError, match="closed"):
            transport.warm()


def test_a_warm_async_transport_has_a_connection() -> None:
    """The same, within an event loop."""

    async def main(server: Loopback) -> None:
        transport = AiohttpTransport(server.url)
        await transport.warm()
        await transport.warm()
        assert [] == server.requests
        await transport.send(get(server))
        await transport.close()
        with pytest.raises(QasidError, match="closed"):
            await transport.warm()

    with serving() as server:
        asyncio.run(main(server))
        assert (1, 1) == (len(server.requests), server.accepted)


def test_nobody_is_there_to_get_warm_with() -> None:
    """It is told as it would be of a request."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectFailed, match="refused the connection"):
        RequestsTransport(url).warm()
    with pytest.raises(ConnectFailed, match="refused the connection"):
        asyncio.run(AiohttpTransport(url).warm())


def test_a_session_that_was_closed_reaches_nobody() -> None:
    """The request has not left, and the error says so."""
    with serving() as server:
        transport = RequestsTransport(server.url)
        transport.session.close()
        with pytest.raises(ConnectFailed, match="could not be reached"):
            transport.send(get(server))


# Secrets.


TOLD = {**BROKEN, "fine": reply(), "flood": flood}


@pytest.mark.parametrize("act", TOLD.values(), ids=TOLD)
def test_nothing_secret_is_told(carry: Carry, act: Act, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by the error, nor by what it would drag along, nor by any log."""
    caplog.set_level(logging.DEBUG)
    with serving(act) as server:
        (outcome,) = carry(server.url, post(server), timeout=0.2)
    assert SECRET not in caplog.text + str(outcome) + repr(outcome)
    if isinstance(outcome, ProviderError):
        assert (None, None) == (outcome.__cause__, outcome.__context__)
    assert [] == [record for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.mark.parametrize("url", ["http://api.example.com", "http://10.0.0.1", "http://localhost.a"])
def test_plain_http_is_only_for_this_very_machine(url: str) -> None:
    """Anywhere else the account's secrets could be read on the way."""
    for transport in (RequestsTransport, AiohttpTransport):
        with pytest.raises(ValueError, match="use https:// for"):
            transport(url)


@pytest.mark.parametrize(
    "url", ["", "api.example.com", "ftp://a.example", "https://", "https://ä.eu"]
)
def test_an_address_must_name_a_host(url: str) -> None:
    """The message does not repeat it: it may hold a secret."""
    with pytest.raises(ValueError, match="must be https://, a host name in ASCII, and a path"):
        Endpoint.of(url)


def test_an_address_holds_no_password() -> None:
    """Nothing would send it, and much would show it."""
    with pytest.raises(ValueError, match="must not hold a user name or a password"):
        Endpoint.of(f"https://user:{SECRET}@a.example")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8:1", "localhost", "[::1]:8080"])
def test_plain_http_may_reach_an_emulator(host: str) -> None:
    """One that runs on this machine."""
    assert f"http://{host}" == Endpoint.of(f"http://{host}/api").origin


def test_a_message_names_host_and_port() -> None:
    """Also where the address leaves the port out, and where the host is a number."""
    places = ["https://a.example/x", "http://[::1]/x", "http://localhost:8080/x"]
    assert ["a.example:443", "[::1]:80", "localhost:8080"] == [str(Endpoint.of(p)) for p in places]


# The environment.


def test_the_environment_is_read_once(
    carry: Carry, trusted: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the account is opened, and not for every request or connection."""
    with serving(reply(b"", "200 OK", "Connection: close"), tls=trusted.server) as server:

        def change() -> None:
            monkeypatch.delenv("REQUESTS_CA_BUNDLE")
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")

        outcomes = carry(server.url, post(server), change, post(server))
        assert ([200, 200], 2) == ([o.status for o in outcomes], server.accepted)


def test_the_authorities_are_read_once_for_the_whole_process(trusted: Trust) -> None:
    """It takes longer than ten requests."""
    assert Endpoint.of("https://a.example").tls is Endpoint.of("https://b.example").tls


def test_no_authority_is_added_to_those_of_the_environment(carry: Carry, trusted: Trust) -> None:
    """The one in the file is trusted, and those that the libraries bring along are not."""
    with serving(tls=trusted.server) as server:
        carry(server.url, post(server))
        context = Endpoint.of(server.url).tls
        assert context is not None
        assert {"x509": 1, "crl": 0, "x509_ca": 1} == context.cert_store_stats()


def test_authorities_that_cannot_be_read_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before the first request."""
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match=r"authorities in .*none\.pem cannot be read"):
        Endpoint.of("https://a.example")


def test_a_host_may_be_excepted_from_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As NO_PROXY says for every other program."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "b.example")
    hosts = ["https://a.example", "https://b.example"]
    assert ["http://127.0.0.1:1", None] == [Endpoint.of(host).proxy for host in hosts]


def test_aiohttp_says_that_it_speaks_to_no_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first request."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ValueError, match="no SOCKS proxy"):
        AiohttpTransport("https://a.example")


def test_a_netrc_file_is_not_read(
    carry: Carry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its passwords are for other programs."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login user password {SECRET}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving() as server:
        carry(server.url, get(server))
        assert [as_written(get(server).encode())] == server.requests


def test_hooks_of_the_session_see_the_reply() -> None:
    """Tools for requests go on working."""
    seen = []

    def hook(response: requests.Response, **given: Any) -> None:
        seen.append((response.status_code, response.url, response.content))
        assert {} == response.cookies.get_dict()
        assert (10, 30) == given["timeout"]  # as requests has it, for connecting and for reading

    with serving(reply(b"ok")) as server:
        transport = RequestsTransport(server.url)
        transport.session.hooks["response"].append(hook)
        assert b"ok" == transport.send(get(server)).body
        transport.close()
        assert [(200, f"{server.url}/balance", b"ok")] == seen
