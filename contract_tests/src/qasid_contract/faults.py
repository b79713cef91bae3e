"""What can go wrong between an account and its provider, on either path."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from qasid.effects import Request, Response
from qasid.errors import ConnectFailed, NoAnswer, ProtocolError, ProviderError

__all__ = [
    "BY_NAME",
    "FLOOD",
    "NOT_REACHED",
    "NO_ANSWER",
    "REDIRECT",
    "SERVER_FAULTS",
    "TOO_MANY",
    "UNREADABLE",
    "Fault",
]


@attrs.frozen(kw_only=True)
class Fault:
    """One way to fail. `performed` says that the provider does what is asked all the same.

    A fault is a reply (`response`); or no whole answer comes. Plugged, that is the `error` that a
    transport would make of it; over a socket the server sends `cut`, a reply that breaks off, or
    nothing at all, and closes the connection, after `delay` seconds of the machine's clock.
    """

    name: str
    performed: bool = False
    response: Response | None = None
    error: type[ProviderError] | None = None
    cut: Response | None = None
    delay: float = 0.0

    def plugged(self, request: Request, handle: Callable[[Request], Response]) -> Response:
        """Fail at one request without a socket."""
        if self.performed:
            handle(request)
        if self.response is None:
            raise (self.error or NoAnswer)(f"fault: {self.name}")
        return self.response

    def served(self, request: Request, handle: Callable[[Request], Response]) -> Response:
        """Fail at one request over a socket. A `ConnectionError` closes the connection."""
        if self.performed:
            handle(request)
        if self.delay:
            threading.Event().wait(self.delay)
        reply = self.response or self.cut
        if reply is None:
            raise ConnectionAbortedError(self.name)
        return reply


def _reply(
    name: str, status: int, body: bytes = b"", *, performed: bool = True, **headers: str
) -> Fault:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Fault(
        name=name, performed=performed, response=Response(status=status, headers=named, body=body)
    )


_JSON: Final = "application/json"

UNREADABLE: Final = (
    _reply(
        "a page of HTML with status 200",
        200,
        b"<html><body>Welcome</body></html>",
        Content_Type="text/html",
    ),
    _reply("an empty body with status 200", 200),
    _reply("half of a JSON object", 200, b'{"success": true, "da', Content_Type=_JSON),
    _reply("a JSON text instead of an object", 200, b'"ok"', Content_Type=_JSON),
    _reply("a JSON null", 200, b"null", Content_Type=_JSON),
    _reply("an empty JSON object", 200, b"{}", Content_Type=_JSON),
    _reply("invalid UTF-8", 200, b'{"message": "\xff\xfe\xc3"}', Content_Type=_JSON),
    _reply("JSON that is nested too deep", 200, b"[" * 200_000, Content_Type=_JSON),
)
SERVER_FAULTS: Final = tuple(
    _reply(f"status {status}", status, body)
    for status, body in ((500, b""), (502, b"<html>Bad gateway</html>"), (503, b"{}"))
)
TOO_MANY: Final = (
    _reply("status 429 with Retry-After", 429, performed=False, Retry_After="7"),
    _reply("status 429 without Retry-After", 429, performed=False),
)
REDIRECT: Final = _reply(
    "a redirect to another host", 302, performed=False, Location="https://elsewhere.example/"
)
NOT_REACHED: Final = Fault(name="the connection is refused", error=ConnectFailed)
NO_ANSWER: Final = (
    Fault(name="closed before the answer", performed=True, error=NoAnswer),
    Fault(
        name="a body that is cut",
        performed=True,
        error=NoAnswer,
        cut=Response(status=200, headers={"Content-Length": "5000"}, body=b'{"a": '),
    ),
    Fault(name="an answer that comes too late", performed=True, error=NoAnswer, delay=0.6),
)
FLOOD: Final = Fault(
    name="a body of 50 MB",
    performed=True,
    error=ProtocolError,
    cut=Response(status=200, headers={"Content-Length": str(50_000_000)}, body=b" " * 2_000_000),
)

BY_NAME: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for fault in (*UNREADABLE, *SERVER_FAULTS, *TOO_MANY, REDIRECT, NOT_REACHED, *NO_ANSWER, FLOOD)
}
