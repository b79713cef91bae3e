"""Read an HTTP reply from a socket: by `http.client`, but for the shape that most replies have.

A short reply that comes in one piece, with a plain ``Content-Length`` and nothing else that frames
or packs its body, is read by one regular expression, in a quarter of the time. Whatever is unusual
about it, be it a line that only looks odd, is left to `http.client` and urllib3.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from typing import TYPE_CHECKING, Any, Final

import attrs
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.util.response import assert_header_parsing

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Reply", "in_time", "plain", "received"]

_PIECE: Final = 16_384  # bytes: a record of TLS, and more than a short reply has

_HEAD: Final = re.compile(
    rb"HTTP/1\.1 ([2-5]\d\d)(?: ([^\r\n\0]*))?\r\n"
    rb"((?:[\w!#$%&'*+.^`|~-]+:[^\r\n\0]*\r\n){1,100})\r\n",
    re.ASCII,
)
_FIELD: Final = re.compile(r"([^:\n]+):[ \t]*([^\r]*?)[ \t]*\r\n")
#: With one of these there is more to a body than its bytes.
_FRAMING: Final = ("Transfer-Encoding", "Content-Encoding", "Upgrade")
_SWITCHING: Final = 101  # to another protocol than HTTP
_BODILESS: Final = frozenset({b"204", b"304"})


@attrs.frozen
class Reply:
    """A reply, its body unpacked. `last` says that its connection must not be used again."""

    status: int
    reason: str
    headers: HTTPHeaderDict
    body: bytes
    last: bool = False


def received(connection: socket.socket, method: str, timeout: float, most: int) -> Reply:
    """The reply to a request of that method, whole within `timeout` seconds.

    Of a body that is longer than `most` bytes, one more than that is given. Raises what sockets,
    `http.client` and urllib3 raise: then the connection is of no use any more.
    """
    end = time.monotonic() + timeout
    first = connection.recv(_PIECE)
    reply = None if method == "HEAD" else plain(first)
    return reply or _by_http_client(_Pieces(connection, first, end), method, most)


def in_time(connection: socket.socket, method: str) -> http.client.HTTPResponse:
    """What `http.client` reads a proxy's answer by: all of it within the socket's own time-out."""
    pieces: Any = _Pieces(connection, b"", time.monotonic() + (connection.gettimeout() or 0))
    return _Response(pieces, method=method)


def plain(data: bytes) -> Reply | None:
    """The reply that `data` is, if it is whole and of the common shape."""
    found = _HEAD.match(data)
    if found is None or found[1] in _BODILESS:
        return None
    headers = HTTPHeaderDict(_FIELD.findall(found[3].decode("latin-1")))
    body, reason = data[found.end() :], (found[2] or b"").decode("latin-1").strip()
    return Reply(int(found[1]), reason, headers, body) if _is_plain(headers, body) else None


def _is_plain(headers: HTTPHeaderDict, body: bytes) -> bool:
    return (
        headers.get("Content-Length") == str(len(body))
        and headers.get("Connection", "keep-alive").lower() == "keep-alive"
        and not any(name in headers for name in _FRAMING)
    )


def _by_http_client(pieces: Any, method: str, most: int) -> Reply:
    found = _Response(pieces, method=method)
    found.begin()
    assert_header_parsing(found.headers)
    headers = HTTPHeaderDict((name, text.strip(" \t")) for name, text in found.headers.items())
    reply = HTTPResponse(found, headers, found.status, preload_content=False, request_method=method)
    body = reply.read(most + 1, decode_content=True)
    last = found.will_close or not found.isclosed() or found.status == _SWITCHING
    return Reply(found.status, found.reason, headers, body, last)


class _Response(http.client.HTTPResponse):
    def begin(self) -> None:
        """Read the head; http.client takes 103 (early hints) for the answer itself."""
        super().begin()
        while 101 < self.status < 200:
            self.headers = None  # type: ignore[assignment]
            super().begin()


@attrs.frozen
class _Pieces:
    """What `http.client` takes for a socket: what came `first`, and then what comes until `end`."""

    connection: socket.socket
    first: bytes
    end: float

    def makefile(self, mode: str) -> io.BufferedReader:
        """What comes, as a file."""
        return _WholeLines(_TimedReader(self))


class _WholeLines(io.BufferedReader):
    """http.client takes the end of the connection, where a header should be, for a blank line."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n"):
            raise http.client.HTTPException
        return line


class _TimedReader(io.RawIOBase):
    def __init__(self, pieces: _Pieces) -> None:
        self._pieces = pieces
        self._first = io.BytesIO(pieces.first)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        return self._first.readinto(buffer) or self._received(buffer)

    def _received(self, buffer: WriteableBuffer) -> int:
        left = self._pieces.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._pieces.connection.settimeout(left)
        return self._pieces.connection.recv_into(buffer)
