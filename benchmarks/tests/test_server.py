"""The loopback server of our own: what it answers, and what it counts."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from benchmarks.authority import issued
from benchmarks.replies import CLOSING, body
from benchmarks.server import Server, delayed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Our own, that does not wait."""
    with delayed(issued(tmp_path_factory.mktemp("server")).certificate, 0) as running:
        yield running


def answer(server: Server, path: str) -> bytes:
    """What a POST to that path gets."""
    with urllib.request.urlopen(f"{server.plain}{path}", data=b"a=b") as got:
        return got.read()


def test_the_path_decides_the_answer(server: Server) -> None:
    """The longest beginning that fits: ippanel's is not that of the others below /api."""
    assert 1001373 == json.loads(answer(server, "/api/v1/sms/send"))["data"]["message_id"]
    assert 1 == json.loads(answer(server, "/api/SendSMS/SendSMS"))["RetStatus"]
    assert body("/deftsms") == answer(server, f"{CLOSING}/deftsms/sms/send/simple").decode()


def test_an_unknown_path_is_no_success(server: Server) -> None:
    """A driver that was turned to the wrong place fails."""
    with pytest.raises(urllib.error.HTTPError, match="404"):
        answer(server, "/nobody")


def test_requests_are_counted(server: Server) -> None:
    """The question itself too."""
    before = server.requests()
    answer(server, "/deftsms")
    assert 2 == server.requests() - before
