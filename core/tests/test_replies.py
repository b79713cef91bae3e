"""A reply is the same however it comes: in one piece, which has a shorter way, or in several."""

from __future__ import annotations

import http.client
import itertools
import math
from collections.abc import Iterable
from typing import Any

import attrs
import pytest
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from qasid.drivers.replies import Reply, plain, received

REFUSALS = (http.client.HTTPException, urllib3.exceptions.HTTPError, TimeoutError)


@attrs.define
class Pieces:
    """A connection on which these pieces come, and then its end."""

    left: list[bytes]

    def recv(self, most: int) -> bytes:
        return self.left.pop(0) if self.left else b""

    def recv_into(self, buffer: memoryview) -> int:
        piece = self.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def settimeout(self, seconds: float) -> None:
        pass


def read(*pieces: bytes, method: str = "POST", most: int = 1_000) -> Any:
    """What a reply is read as; a failure by that it is one."""
    connection: Any = Pieces([*pieces])
    try:
        reply = received(connection, method, math.inf, most)
    except REFUSALS:
        return "no reply"
    return attrs.evolve(reply, headers=[*reply.headers.items()])  # type: ignore[arg-type]


FINE = ("HTTP/1.1 200 OK", "HTTP/1.1 201", "HTTP/1.1 404 Not Found ")
BARE = ("HTTP/1.1 204 No Content", "HTTP/1.1 304 -", "HTTP/1.1 100 Continue")
FOREIGN = ("HTTP/1.0 200 OK", "HTTP/1.1 99", "HTTP/1.1  200 OK", "HTTP/2 200", "ICY 200 OK", "")
STARTS = (*FINE, *BARE, *FOREIGN)
FRAMING = ("Content-Length", "content-length", "Connection", "Transfer-Encoding", "Upgrade")
NAMES = (*FRAMING, "Content-Encoding", "X-a", "x-A", "Set-Cookie", "X a", "", "é")
COLONS = (":", ": ", " : ", ":\t")
LENGTHS = ("0", "2", "02", "+2", "9", "2, 2", "")
WORDS = ("keep-alive", "Keep-Alive", "close", "chunked", "gzip", "a:b", "é")
ODDITIES = (" x ", "\tx", "x\x00y", "x\ny", "x\ry", "x\r\n folded")
FIELDS = [*map("".join, itertools.product(NAMES, COLONS, (*LENGTHS, *WORDS, *ODDITIES)))]
BODIES = (b"ok", b"", b"o", b"ok!", b"2\r\nok\r\n0\r\n\r\n")
LENGTH = "Content-Length: 2"


def written(start: str = FINE[0], fields: Iterable[str] = (LENGTH,), body: bytes = b"ok") -> bytes:
    return "\r\n".join([start, *fields, "", ""]).encode() + body


ONE_ODDITY = [
    *(written(start, body=body) for start in STARTS for body in BODIES),
    *(written(fields=[LENGTH, field]) for field in FIELDS),
    *(written(fields=[field]) for field in FIELDS),
]


@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_no_oddity_alone_makes_a_difference(method: str) -> None:
    """The first piece of two is never whole, so that one is read by http.client alone."""
    for data in ONE_ODDITY:
        assert read(data, method=method) == read(data[:9], data[9:], method=method)


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """Replies of every shape, most of which nobody would send."""
    fields = st.lists(st.sampled_from([LENGTH, *FIELDS]), max_size=4)
    start, body = draw(st.sampled_from(STARTS)), draw(st.sampled_from(BODIES))
    return written(start, draw(fields), body)


@given(replies(), st.sampled_from(["POST", "GET", "HEAD"]), st.integers(1, 20))
def test_pieces_make_no_difference(data: bytes, method: str, cut: int) -> None:
    """Wherever the first one ends."""
    assert read(data, method=method) == read(data[:cut], data[cut:], method=method)


HEAD = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n"


@pytest.mark.parametrize(
    "more", ["", "Connection: keep-alive\r\n", "X-Long: " + "x" * 9_000 + "\r\n"]
)
def test_the_usual_reply_is_read_at_a_glance(more: str) -> None:
    """Those of nginx, Apache and PHP, that is."""
    found = plain(f"{HEAD}{more}\r\nok".encode())
    assert isinstance(found, Reply)
    assert (200, "OK", b"ok", False) == (found.status, found.reason, found.body, found.last)


UNUSUAL = {
    "closes": "Connection: close\r\n",
    "in chunks": "Transfer-Encoding: chunked\r\n",
    "two lengths": "Content-Length: 2\r\n",
    "packed": "Content-Encoding: gzip\r\n",
    "another protocol": "Upgrade: h2c\r\n",
    "folded": "X: a\r\n b\r\n",
    "a zero": "X: \0\r\n",
}


@pytest.mark.parametrize("more", UNUSUAL.values(), ids=UNUSUAL)
def test_the_unusual_reply_is_not(more: str) -> None:
    """http.client knows what becomes of it."""
    assert plain(f"{HEAD}{more}\r\nok".encode()) is None


@pytest.mark.parametrize(
    "data", [written(fields=[LENGTH, "Connection: close"]), written(fields=[])]
)
def test_the_last_reply_of_a_connection_says_so(data: bytes) -> None:
    """By a header, or as it ends with the connection."""
    assert [True, False] == [read(data).last, read(written()).last]


def test_a_body_of_more_than_the_cap_has_one_byte_more() -> None:
    """Which the caller can see."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789"
    assert 5 == len(read(data[:9], data[9:], most=4).body)
