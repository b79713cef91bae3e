"""A raw HTTP server on this machine that does what it is told, also what no server should do.

It is told by *acts*, one for each request that comes; the last one is repeated. An act gets the
connection and says whether the connection stays open.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

Act: TypeAlias = Callable[["Connection"], bool]

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


@attrs.define(eq=False)
class Connection:
    """One accepted connection and what was last `requested` of it.

    `stopping` is set when the server goes.
    """

    socket: socket.socket
    stopping: threading.Event
    requested: bytes = b""

    def read_request(self) -> bool:
        """Read the next request, head and body as they come; false where the client has gone."""
        head = self._until(b"\r\n\r\n")
        length = _LENGTH.search(head)
        self.requested = head + self._exactly(int(length[1])) if length else head
        return bool(head)

    def write(self, data: bytes) -> None:
        """Send it all."""
        self.socket.sendall(data)

    def _until(self, mark: bytes) -> bytes:
        read = b""
        while not read.endswith(mark):
            if not (byte := self.socket.recv(1)):
                return b""
            read += byte
        return read

    def _exactly(self, count: int) -> bytes:
        read = b""
        while len(read) < count and (part := self.socket.recv(count - len(read))):
            read += part
        return read


@attrs.define(eq=False)
class Loopback:
    """What has come so far: `requests` as raw bytes, and how many connections were `accepted`.

    `port` is where it listens. `came` is released once for each request, `hung_up` once for each
    connection that the server has closed.
    """

    acts: tuple[Act, ...]
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = attrs.field(factory=list)
    accepted: int = 0
    came: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    hung_up: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    _listener: socket.socket = attrs.field(
        factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=128)
    )
    port: int = attrs.field(
        init=False, default=attrs.Factory(lambda self: self._listener.getsockname()[1], True)
    )
    _stopping: threading.Event = attrs.field(factory=threading.Event)
    _threads: list[threading.Thread] = attrs.field(factory=list)
    _open: list[socket.socket] = attrs.field(factory=list)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Accept connections, each in a thread of its own."""
        self._spawn(self._accept)

    def stop(self) -> None:
        """Close everything and wait until it is closed."""
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for opened in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _spawn(self, work: Callable[..., None], *given: socket.socket) -> None:
        thread = threading.Thread(target=work, args=given)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                self.accepted += 1
                self._spawn(self._serve, accepted)

    def _serve(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError), self._secured(accepted) as secured:
            self._open.append(secured)
            connection = Connection(secured, self._stopping)
            while connection.read_request() and self._next(connection)(connection):
                pass
        accepted.close()
        self.hung_up.release()

    def _secured(self, accepted: socket.socket) -> socket.socket:
        return self.tls.wrap_socket(accepted, server_side=True) if self.tls else accepted

    def _next(self, connection: Connection) -> Act:
        with self._lock:
            self.requests.append(connection.requested)
            self.came.release()
            return self.acts[min(len(self.requests), len(self.acts)) - 1]


@contextlib.contextmanager
def serving(*acts: Act, tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """A server that is there for the length of a `with`."""
    server = Loopback(acts or (reply(),), tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()


# What it can be told.


def reply(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> Act:
    """Answer as one should."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(data: bytes, *, then_close: bool = False) -> Act:
    """Answer with exactly these bytes."""

    def act(connection: Connection) -> bool:
        connection.write(data)
        return not then_close

    return act


def hang_up(connection: Connection) -> bool:
    """Close without an answer."""
    return False


def reset(connection: Connection) -> bool:
    """Break the connection off, without the usual goodbye."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def silence(connection: Connection) -> bool:
    """Say nothing until the server stops."""
    connection.stopping.wait()
    return False


def drip(data: bytes, interval: float = 0.05) -> Act:
    """Answer with a byte every `interval` seconds."""

    def act(connection: Connection) -> bool:
        for byte in data:
            connection.write(bytes([byte]))
            if connection.stopping.wait(interval):
                return False
        return True

    return act


def flood(connection: Connection) -> bool:
    """Answer with 50 MB in chunks, as long as they are taken."""
    connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(800):
        connection.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
    connection.write(b"0\r\n\r\n")
    return True
