"""What emulators share."""

from __future__ import annotations

import attrs

from qasid.effects import Request, Response
from qasid.emulation import Failures

REQUEST = Request(method="POST", url="https://api.acme.example/messages")


@attrs.define
class Answering:
    """Says 200 to each request, and counts them."""

    count: int = 0

    def __call__(self, request: Request) -> Response:
        self.count += 1
        return Response(status=200)


def test_arranged_failures_come_in_their_order_and_then_no_more() -> None:
    """One that is performed is done all the same; the other is not even heard of."""
    failures, answering = Failures(), Answering()
    failures.arrange(Response(status=500), performed=True)
    failures.arrange(Response(status=503), performed=False)
    seen = [(failures.answer(REQUEST, answering).status, answering.count) for _ in range(3)]
    assert [(500, 1), (503, 1), (200, 2)] == seen
