"""Any emulator can be served on a port, faithfully, with its back doors on another one."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import attrs
import pytest

from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Emulator, OutboxItem, utc_now
from qasid.serving import BODY_CAP, DEFAULT_TEXT, EmulatorServer, HttpServer, serve
from qasid.values import Money

START: Final = datetime(2024, 8, 1, 12, tzinfo=UTC)


@attrs.define(kw_only=True, eq=False)
class Mirror:
    """An emulator that tells what it was asked; ``POST /rent`` rents a number."""

    settings: ClassVar[Mapping[str, str]] = {}

    clock: Clock = attrs.field(default=utc_now)
    ahead: timedelta = timedelta()
    credit: Money = attrs.field(factory=lambda: Money("1.50", "USD"))
    shelves: dict[tuple[str, str], int] = attrs.field(factory=dict)
    numbers: list[EmulatedActivation] = attrs.field(factory=list)
    texts: dict[str, list[tuple[str, str]]] = attrs.field(factory=dict)
    failures: list[tuple[Response, bool]] = attrs.field(factory=list)
    asked: list[Request] = attrs.field(factory=list)

    def now(self) -> datetime:
        return self.clock() + self.ahead

    def handle(self, request: Request) -> Response:
        self.asked.append(request)
        if self.failures:
            return attrs.evolve(self.failures.pop()[0], received_at=self.now())
        if request.path == "/rent":
            self.rent(str(len(self.numbers)))
        told = [request.method, request.url, request.headers, (request.content or b"").hex()]
        kind = {"Content-Type": "application/json"}
        body = json.dumps(told).encode()
        return Response(status=200, headers=kind, body=body, received_at=self.now())

    def rent(self, activation_id: str) -> None:
        self.texts[activation_id] = []
        self.numbers.append(
            EmulatedActivation(
                id=activation_id,
                number="+989120000000",
                service="acme",
                country="IR",
                state="waiting",
                acquired_at=self.now(),
            )
        )

    def fund(self, amount: Money) -> None:
        self.credit = amount

    def balance(self) -> Money:
        return self.credit

    def stock(self, service: str, country: str, count: int) -> None:
        if country != "IR":
            raise ValueError("country must be IR")
        self.shelves[service, country] = count

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        self.texts[activation_id].append((sender, text))

    def advance(self, by: timedelta) -> None:
        self.ahead += by

    def outbox(self) -> Sequence[OutboxItem]:
        return [OutboxItem(to="+989120000000", text="سلام", code="12")]

    def activations(self) -> Sequence[EmulatedActivation]:
        return [attrs.evolve(n, messages=len(self.texts.get(n.id, ()))) for n in self.numbers]

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        self.failures.append((response, performed))


@pytest.fixture
def mirror() -> Mirror:
    return Mirror(clock=lambda: START)


@pytest.fixture
def server(mirror: Mirror) -> Iterator[EmulatorServer]:
    with serve(mirror, clock=lambda: START) as running:
        yield running


def test_a_mirror_is_an_emulator(mirror: Mirror) -> None:
    """The type checker agrees that these tests serve what everyone serves."""
    emulator: Emulator = mirror
    assert {} == emulator.settings


def _connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)


def _ask(url: str, method: str, target: str, **more: Any) -> tuple[int, bytes]:
    connection = _connect(url)
    try:
        connection.request(method, target, **more)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def _raw(url: str, sent: bytes) -> bytes:
    """What comes back for these bytes, until the server ends the connection."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as peer:
        peer.sendall(sent)
        return b"".join(iter(lambda: peer.recv(65_536), b""))


def _door(server: EmulatorServer, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    content = None if body is None else json.dumps(body)
    status, answer = _ask(server.control_url, method, path, body=content)
    return status, json.loads(answer)


# What goes through.


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_passes_with_its_body(
    server: EmulatorServer, mirror: Mirror, method: str
) -> None:
    """The emulator decides what it serves, not the adapter."""
    status, answer = _ask(server.url, method, "/v1/x?a=1", body=b"\x00\xff")
    told = json.loads(answer)
    assert (200, [method, f"{server.url}/v1/x?a=1", "00ff"]) == (status, [*told[:2], told[3]])


def test_head_has_the_length_and_no_body(server: EmulatorServer, mirror: Mirror) -> None:
    """And the connection can be used for the next request."""
    connection = _connect(server.url)
    connection.request("HEAD", "/v1/x")
    reply = connection.getresponse()
    assert b"" == reply.read()
    assert 0 < int(reply.headers["Content-Length"])
    connection.request("GET", "/v1/x")
    assert 200 == connection.getresponse().status
    connection.close()


@pytest.mark.parametrize(
    "target",
    ["/v1/messages/..%2Fbalance", "//v1//x", "/v1/../x", "/%41%zz", "/x?q=%D8%B3+a&q=&r", "/a;b=c"],
)
def test_the_address_is_handed_through_untouched(
    server: EmulatorServer, mirror: Mirror, target: str
) -> None:
    """Nothing is decoded, resolved or merged."""
    request = f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    _raw(server.url, request.encode())
    assert [f"{server.url}{target}"] == [asked.url for asked in mirror.asked]


@pytest.mark.parametrize(
    ("target", "path"), [("http://api.example.com/v1/x", "/v1/x"), ("*", "/*")]
)
def test_the_other_forms_of_a_target_have_a_path(
    server: EmulatorServer, mirror: Mirror, target: str, path: str
) -> None:
    """A whole address, as a client sends it to its proxy, and the asterisk."""
    request = f"OPTIONS {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    _raw(server.url, request.encode())
    assert [path] == [asked.path for asked in mirror.asked]


def test_headers_come_in_their_order_and_spelling(server: EmulatorServer, mirror: Mirror) -> None:
    """Also when a name comes twice."""
    sent = "GET /x HTTP/1.1\r\nhost: h\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\nConnection: close\r\n\r\n"
    _raw(server.url, sent.encode())
    headers = (("host", "h"), ("X-B", "1"), ("x-a", "2"), ("X-B", "3"), ("Connection", "close"))
    assert [headers] == [asked.headers for asked in mirror.asked]


def test_a_chunked_body_arrives_whole(server: EmulatorServer, mirror: Mirror) -> None:
    """Sizes in hexadecimal, with extensions and trailers."""
    chunks = b"A;x=1\r\n0123456789\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n"
    head = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
    _raw(server.url, head + b"Connection: close\r\n\r\n" + chunks)
    assert [b"0123456789!"] == [asked.content for asked in mirror.asked]


def test_http_client_may_send_in_chunks(server: EmulatorServer, mirror: Mirror) -> None:
    """A body without a known length, on a connection that is used again."""
    connection = _connect(server.url)
    for expected in (b"onetwo", b"onetwo"):
        connection.request("POST", "/x", body=iter([b"one", b"two"]), encode_chunked=True)
        connection.getresponse().read()
        assert expected == mirror.asked[-1].content
    connection.close()


def test_the_body_is_asked_for_with_100_continue(server: EmulatorServer, mirror: Mirror) -> None:
    """As curl and PHP wait for it before they send a larger body."""
    parts = urlsplit(server.url)
    head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as peer:
        peer.sendall(head)
        assert peer.recv(1024).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert [] == mirror.asked
        peer.sendall(b"ok")
        assert peer.recv(1024).startswith(b"HTTP/1.1 200 OK\r\n")
    assert [b"ok"] == [asked.content for asked in mirror.asked]


def _curl(url: str, body: bytes) -> bytes:
    command = ["curl", "-sS", "--noproxy", "*", "-H", "Expect: 100-continue"]
    command += ["--expect100-timeout", "60", "--data-binary", "@-", url]
    done = subprocess.run(command, input=body, capture_output=True, timeout=30, check=True)
    return done.stdout


def _plain(url: str, body: bytes) -> bytes:
    return _ask(url, "POST", "/x", body=body)[1]


@pytest.mark.parametrize("size", [0, 3, 100_000, BODY_CAP])
def test_another_client_sees_no_difference(
    server: EmulatorServer, mirror: Mirror, size: int
) -> None:
    """Neither curl, where it is installed (it waits for 100 Continue), nor Python's own client."""
    post: Callable[[str, bytes], bytes] = _curl if shutil.which("curl") else _plain
    answer = json.loads(post(f"{server.url}/x", b"s" * size))
    assert ["POST", f"{server.url}/x", (b"s" * size).hex()] == [answer[0], answer[1], answer[3]]


# What comes back.


def test_a_reply_is_the_emulators_own(server: EmulatorServer, mirror: Mirror) -> None:
    """Its status, also an unknown one, its headers in order, its bytes."""
    headers = [("X-B", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Date", "never")]
    mirror.fail_next(Response(status=599, headers=headers, body=b"\xff\x00"))
    got = _raw(server.url, b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    head = "HTTP/1.1 599 \r\nX-B: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nDate: never\r\n"
    rest = "Connection: close\r\nContent-Length: 2\r\n\r\n"
    assert f"{head}{rest}".encode() + b"\xff\x00" == got


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_neither_body_nor_length(
    server: EmulatorServer, mirror: Mirror, status: int
) -> None:
    """As HTTP asks; the connection stays in step."""
    mirror.fail_next(Response(status=status, body=b"ignored"))
    connection = _connect(server.url)
    connection.request("GET", "/x")
    reply = connection.getresponse()
    assert (status, b"", None) == (reply.status, reply.read(), reply.headers["Content-Length"])
    connection.request("GET", "/x")
    assert 200 == connection.getresponse().status
    connection.close()


def test_an_emulator_may_cut_its_reply_short(server: EmulatorServer, mirror: Mirror) -> None:
    """A length that is too large stays as it is, and the connection ends."""
    mirror.fail_next(Response(status=200, headers={"Content-Length": "9"}, body=b"half"))
    with pytest.raises(http.client.IncompleteRead) as caught:
        _ask(server.url, "GET", "/x")
    assert b"half" == caught.value.partial


def test_an_emulator_may_frame_its_reply_itself(server: EmulatorServer, mirror: Mirror) -> None:
    """In chunks that it wrote."""
    chunks = b"2\r\nok\r\n0\r\n\r\n"
    mirror.fail_next(Response(status=200, headers={"Transfer-Encoding": "chunked"}, body=chunks))
    assert (200, b"ok") == _ask(server.url, "GET", "/x")


def test_an_emulator_may_end_the_connection(server: EmulatorServer, mirror: Mirror) -> None:
    """By saying so in its headers."""
    mirror.fail_next(Response(status=200, headers={"Connection": "close"}, body=b"bye"))
    assert _raw(server.url, b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n").endswith(b"\r\n\r\nbye")


def test_a_connection_is_kept_alive(server: EmulatorServer, mirror: Mirror) -> None:
    """Many requests go over one socket."""
    connection = _connect(server.url)
    sockets = []
    for _ in range(20):
        connection.request("POST", "/x", body=b"1")
        connection.getresponse().read()
        sockets.append(connection.sock)
    assert 1 == len(set(sockets))
    connection.close()


def test_fifty_requests_at_once_are_all_answered(server: EmulatorServer, mirror: Mirror) -> None:
    """One after the other reaches the emulator: none is lost, no number is rented twice."""
    with ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(lambda _: _ask(server.url, "POST", "/rent"), range(50)))
    assert {200} == {status for status, _ in replies}
    assert [str(index) for index in range(50)] == [number.id for number in mirror.numbers]


# What is refused.


def test_a_body_over_the_cap_gets_413(server: EmulatorServer, mirror: Mirror) -> None:
    """The client comes to read it, and the emulator sees nothing."""
    assert 413 == _ask(server.url, "POST", "/x", body=b"s" * (BODY_CAP + 1))[0]
    assert [] == mirror.asked


def test_a_body_without_end_is_not_read_to_its_end(server: EmulatorServer, mirror: Mirror) -> None:
    """After sixteen times the cap the answer comes all the same."""
    parts = urlsplit(server.url)
    head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999999\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as peer:
        peer.sendall(head + b"s" * (16 * BODY_CAP + 1))
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(1024).startswith(b"HTTP/1.1 413 ")
    assert [] == mirror.asked


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (b"Content-Length: -5", b"", b"400"),
        (b"Content-Length: x", b"", b"400"),
        (b"Transfer-Encoding: gzip", b"", b"501"),
        (b"Transfer-Encoding: chunked", b"-5\r\n", b"400"),
        (b"Transfer-Encoding: chunked", b"0x5\r\n", b"400"),
        (b"Transfer-Encoding: chunked", b"1\r\nab\r\n", b"400"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    server: EmulatorServer, mirror: Mirror, headers: bytes, body: bytes, status: bytes
) -> None:
    """With a status and an end of the connection; the emulator sees nothing."""
    got = _raw(server.url, b"POST /x HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n\r\n" + body)
    assert [b"HTTP/1.1", status] == got.split()[:2]
    assert [] == mirror.asked


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: 5\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n5",
    ],
)
def test_half_a_request_never_reaches_the_emulator(
    server: EmulatorServer, mirror: Mirror, sent: bytes
) -> None:
    """A client that leaves in the middle of a body has asked for nothing."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as peer:
        peer.sendall(b"POST /x HTTP/1.1\r\nHost: h\r\n" + sent)
        peer.shutdown(socket.SHUT_WR)
        assert b"" == peer.recv(1024)
    assert [] == mirror.asked


# Open and closed.


def test_only_this_machine_is_served(server: EmulatorServer) -> None:
    """Both addresses are on the loopback interface, on two ports."""
    urls = [urlsplit(url) for url in (server.url, server.control_url)]
    assert ["127.0.0.1", "127.0.0.1"] == [url.hostname for url in urls]
    assert 2 == len({url.port for url in urls})


def test_a_port_can_be_asked_for(mirror: Mirror) -> None:
    """And is free again once the server is closed; a second server cannot have it before."""
    with serve(mirror) as first:
        port = urlsplit(first.url).port or 0
        with pytest.raises(OSError, match="in use"):
            serve(mirror, port=port)
    with serve(mirror, port=port) as second:
        assert first.url == second.url


def test_closing_ends_connections_that_are_kept_alive(mirror: Mirror) -> None:
    """Nothing is answered afterwards, no thread stays, and closing again does nothing."""
    before = set(threading.enumerate())
    server = serve(mirror)
    kept = [_connect(url) for url in (server.url, server.control_url)]
    for connection in kept:
        connection.request("GET", "/balance")
        connection.getresponse().read()
    server.close()
    server.close()
    assert set() == set(threading.enumerate()) - before
    for connection in kept:
        assert connection.sock is not None
        assert b"" == connection.sock.recv(1)
        connection.close()


def test_nothing_is_written_to_the_terminal(
    server: EmulatorServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither for requests, which hold keys, nor for broken ones."""
    _ask(server.url, "GET", "/x?key=secret")
    _raw(server.url, b"nonsense\r\n\r\n")
    assert ("", "") == capfd.readouterr()


# Messages by themselves.


def test_a_number_gets_its_message_after_a_while(mirror: Mirror) -> None:
    """Not before, once, and in Persian with Persian digits."""
    with serve(mirror, deliver_after=timedelta(seconds=5), clock=lambda: START) as server:
        _ask(server.url, "POST", "/rent")
        _door(server, "POST", "/advance", {"seconds": 4.999})
        _ask(server.url, "GET", "/x")
        assert [] == mirror.texts["0"]
        _door(server, "POST", "/advance", {"seconds": 0.001})
        for _ in range(2):
            _ask(server.url, "GET", "/x")
    assert [("Acme", DEFAULT_TEXT)] == mirror.texts["0"]
    assert "۱۲۳۴۵۶" in DEFAULT_TEXT


def test_the_message_is_there_when_the_request_is_handled(mirror: Mirror) -> None:
    """The first look after its time finds it."""
    with serve(mirror, deliver_after=timedelta(0), text="1234", clock=lambda: START) as server:
        _ask(server.url, "POST", "/rent")
        assert [] == mirror.texts["0"]
        _ask(server.url, "GET", "/x")
        assert [("Acme", "1234")] == mirror.texts["0"]


def test_the_emulators_own_time_counts(mirror: Mirror) -> None:
    """Also when it runs ahead of the clock since before it was served."""
    mirror.advance(timedelta(hours=1))
    with serve(mirror, deliver_after=timedelta(seconds=5), clock=lambda: START) as server:
        _ask(server.url, "POST", "/rent")
        _ask(server.url, "GET", "/x")
        assert [] == mirror.texts["0"]
        _door(server, "POST", "/advance", {"seconds": 5})
        assert 1 == _door(server, "GET", "/activations")[1][0]["messages"]


def test_a_number_that_has_a_message_gets_no_other(mirror: Mirror) -> None:
    """What was delivered by hand stands alone."""
    with serve(mirror, deliver_after=timedelta(seconds=5), clock=lambda: START) as server:
        _ask(server.url, "POST", "/rent")
        _door(server, "POST", "/deliver", {"activation_id": "0", "text": "mine"})
        _door(server, "POST", "/advance", {"seconds": 60})
        _ask(server.url, "GET", "/x")
    assert [("Acme", "mine")] == mirror.texts["0"]


def test_a_number_that_is_forgotten_does_no_harm(mirror: Mirror) -> None:
    """An emulator may know no more of a number that was given back."""
    with serve(mirror, deliver_after=timedelta(0), clock=lambda: START) as server:
        _ask(server.url, "POST", "/rent")
        mirror.texts.clear()
        assert 200 == _ask(server.url, "GET", "/x")[0]


# The back doors.


def test_a_message_can_be_delivered(server: EmulatorServer, mirror: Mirror) -> None:
    """With a sender or without."""
    mirror.rent("a")
    assert (200, {"ok": True}) == _door(
        server, "POST", "/deliver", {"activation_id": "a", "text": "۱۲", "sender": "Bank"}
    )
    _door(server, "POST", "/deliver", {"activation_id": "a", "text": "34"})
    assert [("Bank", "۱۲"), ("Acme", "34")] == mirror.texts["a"]


def test_an_unknown_number_gives_404(server: EmulatorServer) -> None:
    """And names it."""
    body = {"activation_id": "nobody", "text": "1"}
    assert (404, {"error": "'nobody' is not known"}) == _door(server, "POST", "/deliver", body)


def test_time_can_be_advanced(server: EmulatorServer, mirror: Mirror) -> None:
    """By seconds and parts of seconds."""
    assert (200, {"ok": True}) == _door(server, "POST", "/advance", {"seconds": 90.5})
    assert timedelta(seconds=90.5) == mirror.ahead


@pytest.mark.parametrize("amount", [45.75, "45.75"], ids=["number", "text"])
def test_credit_can_be_set(server: EmulatorServer, mirror: Mirror, amount: Any) -> None:
    """From a number or a text, exactly; and it is told as a text."""
    _door(server, "POST", "/fund", {"amount": amount, "currency": "SAR"})
    assert Money("45.75", "SAR") == mirror.credit
    expected = (200, {"amount": "45.75", "currency": "SAR"})
    assert expected == _door(server, "GET", "/balance")


def test_stock_can_be_set(server: EmulatorServer, mirror: Mirror) -> None:
    """For a service in a country."""
    _door(server, "POST", "/stock", {"service": "acme", "country": "IR", "count": 0})
    assert {("acme", "IR"): 0} == mirror.shelves


@pytest.mark.parametrize(
    ("body", "content"), [("<html>", b"<html>"), ({"cost": 0.5}, b'{"cost": 0.5}'), ("", b"")]
)
def test_the_next_request_can_be_made_to_fail(
    server: EmulatorServer, mirror: Mirror, body: Any, content: bytes
) -> None:
    """With a text as it is, or JSON."""
    _door(server, "POST", "/fail_next", {"status": 503, "body": body})
    assert (503, content) == _ask(server.url, "GET", "/x")
    assert 200 == _ask(server.url, "GET", "/x")[0]


def test_a_failure_may_have_headers_and_come_after_the_act(
    server: EmulatorServer, mirror: Mirror
) -> None:
    """Both are handed to the emulator."""
    order = {"status": 429, "body": "", "headers": {"Retry-After": "3"}, "performed": True}
    _door(server, "POST", "/fail_next", order)
    response, performed = mirror.failures[0]
    assert (429, "3", True) == (response.status, response.header("Retry-After"), performed)


def test_the_books_can_be_read(server: EmulatorServer, mirror: Mirror) -> None:
    """Activations with moments in ISO 8601, and what was sent."""
    mirror.rent("a")
    number = {
        "id": "a",
        "number": "+989120000000",
        "service": "acme",
        "country": "IR",
        "state": "waiting",
        "acquired_at": "2024-08-01T12:00:00+00:00",
        "messages": 0,
    }
    sent = {"to": "+989120000000", "text": "سلام", "code": "12", "sender": None}
    assert (200, [number]) == _door(server, "GET", "/activations")
    assert (200, [sent]) == _door(server, "GET", "/outbox")


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/deliver", {"text": "1"}, "'activation_id' is missing, not a text"),
        ("/deliver", {"activation_id": 5, "text": "1"}, "'activation_id' is a whole number"),
        ("/deliver", {"activation_id": "a", "text": "1", "sender": 1}, "'sender' is a whole"),
        ("/deliver", [], "the body is not a JSON object"),
        ("/advance", {"seconds": "5"}, "'seconds' is a text, not a number"),
        ("/advance", {"seconds": -1}, "'seconds' must be between 0 and 1000000000"),
        ("/advance", {"seconds": 1e30}, "'seconds' must be between 0 and 1000000000"),
        ("/fund", {"currency": "USD"}, "'amount' is missing, not a number"),
        ("/fund", {"amount": "much", "currency": "USD"}, "an amount is a decimal number"),
        ("/fund", {"amount": 5, "currency": "usd"}, "a currency is three capital letters"),
        ("/stock", {"service": "a", "country": "IR", "count": 1.5}, "'count' is a number"),
        ("/stock", {"service": "a", "country": "XX", "count": 1}, "country must be IR"),
        ("/fail_next", {"status": 503}, "'body' is missing"),
        ("/fail_next", {"status": 100, "body": ""}, "'status' must be between 200 and 599"),
        ("/fail_next", {"status": 503, "body": "", "performed": 1}, "'performed' is a whole"),
        ("/fail_next", {"status": 503, "body": "", "headers": {"a": 1}}, "'headers' must be"),
        ("/fail_next", {"status": 503, "body": "", "headers": {"a": "b\r\nc"}}, "'headers' must"),
    ],
)
def test_a_wrong_member_is_named(server: EmulatorServer, path: str, body: Any, error: str) -> None:
    """With status 400, and nothing is done."""
    status, answer = _door(server, "POST", path, body)
    assert (400, error) == (status, answer["error"][: len(error)])


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b"[" * 100_000], ids=["cut", "no text", "too deep"]
)
def test_a_door_takes_json_only(server: EmulatorServer, content: bytes) -> None:
    """Whatever cannot be read as JSON gives 400."""
    status, answer = _ask(server.control_url, "POST", "/advance", body=content)
    assert (400, {"error": "the body is not JSON"}) == (status, json.loads(answer))


@pytest.mark.parametrize(("method", "path"), [("GET", "/deliver"), ("POST", "/x"), ("GET", "/")])
def test_an_unknown_door_gives_404(server: EmulatorServer, method: str, path: str) -> None:
    """And the answer lists those that there are."""
    status, answer = _door(server, method, path)
    assert 404 == status
    assert "POST /deliver" in answer["error"]


def test_no_door_opens_from_the_emulated_address(server: EmulatorServer, mirror: Mirror) -> None:
    """There the emulator answers, whatever the path."""
    body = json.dumps({"amount": 5, "currency": "USD"})
    _ask(server.url, "POST", "/fund", body=body)
    assert ["/fund"] == [asked.path for asked in mirror.asked]
    assert Money("1.50", "USD") == mirror.credit


def test_nobody_but_this_machine_is_listened_to() -> None:
    """Bound to loopback; and who comes from elsewhere all the same is turned away."""
    server = HttpServer(0, lambda request: Response(status=200))
    try:
        assert "127.0.0.1" == server.server_address[0]
        with socket.socket() as peer:
            came = [server.verify_request(peer, (host, 1)) for host in ("127.0.0.1", "192.0.2.1")]
        assert [True, False] == came
    finally:
        server.close()


def test_closing_lets_an_answer_out() -> None:
    """Whoever is being answered gets the whole of it."""
    closed = threading.Event()

    class Closing(HttpServer):
        def server_close(self) -> None:
            super().server_close()
            closed.set()

    def answer(request: Request) -> Response:
        closing.start()
        assert closed.wait(30)
        return Response(status=200, body=b"s" * 100_000)

    server = Closing(0, answer)
    closing = threading.Thread(target=server.close)
    assert (200, b"s" * 100_000) == _ask(server.url, "GET", "/")
    closing.join()
