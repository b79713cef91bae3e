"""Serve any emulator on a port of this machine, with its back doors on another.

What is handed to the emulator is what came: the address with its percent-encoding, all headers in
their order, the body whole. The back doors cannot be reached through the emulated address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from socketserver import TCPServer
from typing import Any, Final, Self, TypeAlias

import attrs

from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Emulator, utc_now
from qasid.errors import ProtocolError
from qasid.reading import take
from qasid.values import Money

__all__ = ["BODY_CAP", "DEFAULT_TEXT", "EmulatorServer", "HttpServer", "serve"]

BODY_CAP: Final = 1024 * 1024  # bytes of a request's body; more gets 413
DEFAULT_TEXT: Final = "کد تأیید شما: ۱۲۳۴۵۶"  # clients must read Persian digits too

_DRAIN: Final = 16 * BODY_CAP  # read and thrown away, so that the client comes to read its 413
_PIECE: Final = 64 * 1024
_LINE: Final = 4096
_FAREWELL: Final = 1.0  # seconds for an answer that is being written when everything closes
_NO_BODY: Final = frozenset({204, 304})
_MOST_SECONDS: Final = 1_000_000_000  # some 31 years: no clock leaves the calendar

_Handle: TypeAlias = Callable[[Request], Response]
_Socket: TypeAlias = socket.socket | tuple[bytes, socket.socket]


def serve(
    emulator: Emulator,
    *,
    port: int = 0,
    deliver_after: timedelta | None = None,
    text: str = DEFAULT_TEXT,
    clock: Clock = utc_now,
) -> EmulatorServer:
    """Serve `emulator` on 127.0.0.1 until the result is closed. Port 0 is any free one.

    With `deliver_after`, a number without a message gets `text` that long after it was acquired,
    in the emulator's time. `clock` is the one that the emulator was given. Raises OSError where
    the port is taken.
    """
    stage = _Stage(emulator, deliver_after, text, clock)
    front = HttpServer(port, stage.handle)
    back = HttpServer(0, stage.control)
    return EmulatorServer(front, back)


@attrs.frozen(eq=False)
class EmulatorServer:
    """A served emulator. A context manager: leaving it closes both ports and all connections."""

    _front: HttpServer
    _back: HttpServer

    @property
    def url(self) -> str:
        """The emulated address, such as ``http://127.0.0.1:40123``."""
        return self._front.url

    @property
    def control_url(self) -> str:
        """The address of the back doors."""
        return self._back.url

    def close(self) -> None:
        """Close everything and return when no request is being answered any more."""
        self._front.close()
        self._back.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


# The emulator behind its lock.


@attrs.define(eq=False)
class _Stage:
    emulator: Emulator
    deliver_after: timedelta | None
    text: str
    clock: Clock
    _lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    _served: set[str] = attrs.field(init=False, factory=set)
    _ahead: timedelta = attrs.field(init=False, default=timedelta())

    def handle(self, request: Request) -> Response:
        with self._lock:
            self._deliver_due()
            response = self.emulator.handle(request)
            # Each reply bears the emulator's time, so each tells how far that is ahead of `clock`.
            self._ahead = response.received_at - self.clock()
            return response

    def control(self, request: Request) -> Response:
        with self._lock:
            self._deliver_due()
            return _knock(self, request)

    def advance(self, by: timedelta) -> None:
        self.emulator.advance(by)
        self._ahead += by

    def _deliver_due(self) -> None:
        if self.deliver_after is None:
            return
        due = self.clock() + self._ahead - self.deliver_after
        for activation in self.emulator.activations():
            if activation.acquired_at <= due and activation.id not in self._served:
                self._served.add(activation.id)
                self._deliver_first(activation)

    def _deliver_first(self, activation: EmulatedActivation) -> None:
        with contextlib.suppress(KeyError):  # an emulator may have forgotten a number given back
            if not activation.messages:
                self.emulator.deliver(activation.id, self.text)


# The back doors. Each takes the stage and the members of a JSON body, and gives what is answered.


def _deliver(stage: _Stage, body: Mapping[str, Any]) -> None:
    sender = take(body, "sender", str, None)
    given = {} if sender is None else {"sender": sender}
    stage.emulator.deliver(take(body, "activation_id", str), take(body, "text", str), **given)


def _advance(stage: _Stage, body: Mapping[str, Any]) -> None:
    seconds = take(body, "seconds", Decimal)
    if not 0 <= seconds <= _MOST_SECONDS:
        raise ValueError(f"'seconds' must be between 0 and {_MOST_SECONDS}")
    stage.advance(timedelta(seconds=float(seconds)))


def _fund(stage: _Stage, body: Mapping[str, Any]) -> None:
    kind: type = str if isinstance(body.get("amount"), str) else Decimal
    stage.emulator.fund(Money(take(body, "amount", kind), take(body, "currency", str)))


def _stock(stage: _Stage, body: Mapping[str, Any]) -> None:
    service, country = take(body, "service", str), take(body, "country", str)
    stage.emulator.stock(service, country, take(body, "count", int))


def _fail_next(stage: _Stage, body: Mapping[str, Any]) -> None:
    status = take(body, "status", int)
    if not 200 <= status <= 599:
        raise ValueError("'status' must be between 200 and 599")
    headers = _headers(take(body, "headers", dict, {}))
    response = Response(status=status, headers=headers, body=_content(body))
    stage.emulator.fail_next(response, performed=take(body, "performed", bool, False))


def _headers(given: Mapping[str, Any]) -> Mapping[str, str]:
    pairs = [*given.keys(), *given.values()]
    if not all(isinstance(text, str) and text.isprintable() for text in pairs):
        raise ValueError("'headers' must be an object of printable texts")
    return given


def _content(body: Mapping[str, Any]) -> bytes:
    """The member `body`: a text as it is, anything else as JSON."""
    if "body" not in body:
        raise ValueError("'body' is missing")
    content = body["body"]
    return (content if isinstance(content, str) else _dump(content)).encode()


def _balance(stage: _Stage, body: Mapping[str, Any]) -> object:
    balance = stage.emulator.balance()
    return {"amount": f"{balance.amount:f}", "currency": balance.currency}


def _activations(stage: _Stage, body: Mapping[str, Any]) -> object:
    return [attrs.asdict(activation) for activation in stage.emulator.activations()]


def _outbox(stage: _Stage, body: Mapping[str, Any]) -> object:
    return [attrs.asdict(item) for item in stage.emulator.outbox()]


_DOORS: Final[Mapping[str, Callable[[_Stage, Mapping[str, Any]], object]]] = {
    "POST /deliver": _deliver,
    "POST /advance": _advance,
    "POST /fund": _fund,
    "POST /stock": _stock,
    "POST /fail_next": _fail_next,
    "GET /balance": _balance,
    "GET /activations": _activations,
    "GET /outbox": _outbox,
}


def _knock(stage: _Stage, request: Request) -> Response:
    """200 with what the door gives, 400 naming what is wrong, 404 for an unknown door or id."""
    door = _DOORS.get(f"{request.method} {request.path}")
    if door is None:
        return _answer(404, {"error": f"no such door; there are {', '.join(_DOORS)}"})
    try:
        given = door(stage, _members(request.content))
    except KeyError as error:
        return _answer(404, {"error": f"{error} is not known"})
    except (ProtocolError, ValueError) as error:
        return _answer(400, {"error": str(error)})
    return _answer(200, {"ok": True} if given is None else given)


def _members(content: bytes | None) -> Mapping[str, Any]:
    # Whatever its media type says: `curl -d` calls everything a form.
    try:
        members = json.loads(content or b"{}", parse_float=Decimal)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(members, dict):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004  it is the client's value
    return members


def _answer(status: int, content: object) -> Response:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Response(status=status, headers=kind, body=_dump(content).encode())


def _dump(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else float(str(value))


# HTTP.


class HttpServer(ThreadingHTTPServer):
    """One port of 127.0.0.1; serves from the moment it is made. A thread for each connection.

    `handle` answers each request; a `ConnectionError` that it raises closes the connection instead.
    """

    daemon_threads = True  # whoever forgets to close can still leave the interpreter
    request_queue_size = 128  # the default, 5, makes the sixth of a burst wait for a second

    def __init__(self, port: int, handle: _Handle) -> None:
        self.answer = handle
        self._connections: dict[_Socket, threading.Thread] = {}
        super().__init__(("127.0.0.1", port), _Connection)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._loop = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._loop.start()

    def server_bind(self) -> None:
        """Bind the port."""
        TCPServer.server_bind(self)  # HTTPServer's own would look up the name of the host

    def verify_request(self, request: _Socket, client_address: Any) -> bool:
        """Let in nobody but this machine, whatever its network does with the address."""
        return ipaddress.ip_address(client_address[0]).is_loopback

    def process_request(self, request: _Socket, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        # As the mixin's, but known by its socket: `close` ends connections that are kept alive.
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: _Socket) -> None:
        """Forget a connection that has ended."""
        super().shutdown_request(request)
        self._connections.pop(request, None)

    def close(self) -> None:
        """Close everything and return when no request is being answered any more."""
        self.shutdown()
        self._loop.join()
        self.server_close()
        for connection, thread in self._connections.copy().items():
            _end(connection, socket.SHUT_RD)
            thread.join(_FAREWELL)
            _end(connection, socket.SHUT_RDWR)
            thread.join()


def _end(connection: _Socket, how: int) -> None:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        connection.shutdown(how)  # type: ignore[union-attr]


class _Unreadable(Exception):
    """The body of a request cannot be read: the status to answer with, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Connection(BaseHTTPRequestHandler):
    """One connection, with any number of requests after each other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpServer

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client may leave when it likes
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parent's name
        """Write nothing: requests hold keys."""

    def _serve(self) -> None:
        try:
            body = _body(self.rfile, self.headers)
        except _Unreadable as error:
            self.close_connection = True  # where the next request begins is not known
            self._write(Response(status=error.status, body=f"{error}\n".encode()))
        else:
            self._write(self.server.answer(self._request(body)))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve

    def _request(self, body: bytes) -> Request:
        target = self.requestline.split()[1]  # `self.path` has lost doubled slashes
        if not target.startswith("http://"):
            target = f"{self.server.url}{'' if target.startswith('/') else '/'}{target}"
        return Request(method=self.command, url=target, headers=self.headers.items(), content=body)

    def _write(self, response: Response) -> None:
        """Head and body in one piece: one packet, and nothing for Nagle to wait for."""
        if self._ends(response):
            self.close_connection = True
        status = f"{response.status} {self.responses.get(response.status, ('',))[0]}"
        head = [f"{name}: {value}" for name, value in (*response.headers, *self._rest(response))]
        body = b"" if self._bodiless(response) else response.body
        self.wfile.write("\r\n".join([f"HTTP/1.1 {status}", *head, "", ""]).encode() + body)

    def _ends(self, response: Response) -> bool:
        """Whether the emulator wants an end: it says so, or cuts its reply short on purpose."""
        length = str(len(response.body))
        said = (response.header("Connection") or "").lower()
        return said == "close" or response.header("Content-Length") not in {None, length}

    def _rest(self, response: Response) -> Iterator[tuple[str, str]]:
        """The headers that a reply needs and the emulator left out."""
        if response.header("Date") is None:
            yield "Date", self.date_time_string()
        if response.header("Connection") is None:
            yield "Connection", "close" if self.close_connection else "keep-alive"
        framed = response.header("Content-Length") or response.header("Transfer-Encoding")
        if not framed and response.status not in _NO_BODY:
            yield "Content-Length", str(len(response.body))

    def _bodiless(self, response: Response) -> bool:
        return self.command == "HEAD" or response.status in _NO_BODY


def _body(stream: BufferedIOBase, headers: Message) -> bytes:
    """The whole body, unchunked. Raises `_Unreadable`, and ConnectionError where it is cut."""
    body, size = bytearray(), 0
    for piece in _pieces(stream, headers):
        size += len(piece)
        if size <= BODY_CAP:
            body += piece
        elif size > _DRAIN:
            break
    if size > BODY_CAP:
        raise _Unreadable(413, f"the body is over {BODY_CAP} bytes")
    return bytes(body)


def _pieces(stream: BufferedIOBase, headers: Message) -> Iterator[bytes]:
    coding = headers.get("Transfer-Encoding")
    if coding is None:
        yield from _exactly(stream, _size(headers.get("Content-Length", "0"), 10))
    elif coding.strip().lower() == "chunked":
        yield from _chunks(stream)
    else:
        raise _Unreadable(501, "the only transfer coding here is chunked")


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    while size := _size(_line(stream).split(";")[0], 16):
        yield from _exactly(stream, size)
        if _line(stream):
            raise _Unreadable(400, "a chunk is longer than it says")
    while _line(stream):
        """Trailers are read past."""


def _line(stream: BufferedIOBase) -> str:
    line = stream.readline(_LINE)
    if not line.endswith(b"\n"):
        raise ConnectionAbortedError("a line of the body was cut, or has no end")
    return line.decode("latin-1").rstrip("\r\n")


def _size(text: str, base: int) -> int:
    if not re.fullmatch(r"[0-9]{1,15}" if base == 10 else r"[0-9a-fA-F]{1,12}", text.strip()):
        raise _Unreadable(400, "the size of the body is not a number")
    return int(text, base)


def _exactly(stream: BufferedIOBase, size: int) -> Iterator[bytes]:
    while size:
        piece = stream.read(min(size, _PIECE))
        if not piece:
            raise ConnectionAbortedError("the body ended early")
        size -= len(piece)
        yield piece
