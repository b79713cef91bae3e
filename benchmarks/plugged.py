"""Accounts with the transport taken away: a fixed answer, no socket, and a clock that runs.

`encode` is called, as every transport does; what is left is Qasid's own share of a send.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import attrs

import qasid
from benchmarks.replies import BODIES
from qasid.drivers.sync import SyncDriver
from qasid.effects import Request, Response

_TYPE: Final = (("Content-Type", "application/json"),)
_TOKEN: Final = {"token": "t" * 40, "expires_at": "2999-01-01T00:00:00Z"}
_PRICE: Final = {"amount": "0.05", "currency": "USD"}
_SENT: Final = {"status": "accepted", "id": "msg-1", "price": _PRICE}


@attrs.frozen(eq=False)
class Fixed:
    """A transport that gives the same answer to every path but ``/token``."""

    answer: Response

    def send(self, request: Request) -> Response:
        """Give it, once the request has been encoded."""
        return _response(_TOKEN) if request.encode().url.endswith("/token") else self.answer

    def close(self) -> None:
        """Nothing to give back."""


@attrs.frozen(eq=False)
class Jumping:
    """A clock on which a second passes at each look: no limit ever holds a call up."""

    ticks: Iterator[int] = attrs.field(factory=itertools.count)

    def now(self) -> datetime:
        """The same moment, always."""
        return datetime(2026, 1, 1, tzinfo=UTC)

    def tick(self) -> float:
        """One more second."""
        return float(next(self.ticks))

    def sleep(self, seconds: float) -> None:
        """Not at all."""


def sandbox() -> qasid.Account:
    """With a token and a limit: every policy has something to do."""
    return qasid.connect("sandbox", driver=_driver(_response({"results": [_SENT]})))


def deftsms() -> qasid.Account:
    """Without both; instead the provider signs each call."""
    answer = _response(json.loads(BODIES["/deftsms"]))
    return qasid.connect("deftsms", username="acme", secret_key="k" * 40, driver=_driver(answer))


def _driver(answer: Response) -> SyncDriver:
    return SyncDriver(Fixed(answer), Jumping())


def _response(answer: Any) -> Response:
    return Response(status=200, headers=_TYPE, body=json.dumps(answer).encode())
