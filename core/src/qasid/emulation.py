"""What an emulator owes us: the provider's other half, written from its document alone.

An emulator is pure state. `handle` answers requests as the provider's server would; everything else
is a *back door*, which no request can reach, for tests and for `qasid emulate`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Protocol, TypeAlias

import attrs

from qasid.effects import Request, Response
from qasid.values import Money

__all__ = ["Clock", "EmulatedActivation", "Emulator", "Failures", "OutboxItem", "utc_now"]

Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class EmulatedActivation:
    """A rented number as the emulator's books show it. `state` is the emulator's own word."""

    id: str
    number: str
    service: str
    country: str
    state: str
    acquired_at: datetime
    messages: int = 0


@attrs.frozen(kw_only=True)
class OutboxItem:
    """A message or code that the emulator would have sent to a phone."""

    to: str
    text: str = attrs.field(repr=False)
    code: str | None = attrs.field(default=None, repr=False)
    sender: str | None = None


@attrs.define
class Failures:
    """What `Emulator.fail_next` has arranged, for the requests to come, in its order."""

    _arranged: deque[tuple[Response, bool]] = attrs.field(init=False, factory=deque)

    def arrange(self, response: Response, performed: bool) -> None:
        """Answer one more request with `response`, after doing what it asks or instead of it."""
        self._arranged.append((response, performed))

    def answer(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        """What `answer` says to the request, unless another reply has been arranged."""
        if not self._arranged:
            return answer(request)
        response, performed = self._arranged.popleft()
        if performed:
            answer(request)
        return response


class Emulator(Protocol):
    """A provider's server in memory. It is given a clock and keeps every quirk of the document.

    `settings` gets a provider in. `handle` takes a request as it came over the wire (see
    `Request.encode`). Emulators never import the provider that they answer, nor are imported by it.
    """

    settings: ClassVar[Mapping[str, str]]

    def __init__(self, *, clock: Clock = utc_now) -> None: ...

    def handle(self, request: Request) -> Response:
        """Answer one request as the provider would."""

    def fund(self, amount: Money) -> None:
        """Set the account's credit."""

    def balance(self) -> Money:
        """What the account's credit is."""

    def stock(self, service: str, country: str, count: int) -> None:
        """Set how many numbers are left."""

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        """Let a message come in for a rented number. Raises KeyError for an unknown one."""

    def advance(self, by: timedelta) -> None:
        """Let the emulator's own time pass."""

    def outbox(self) -> Sequence[OutboxItem]:
        """What would have been sent to phones, oldest first."""

    def activations(self) -> Sequence[EmulatedActivation]:
        """Every number ever rented, oldest first."""

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        """Answer the next request with `response`, after doing what it asks or instead of it."""
