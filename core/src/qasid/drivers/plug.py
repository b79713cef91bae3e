"""Transports that reach an emulator in this process: no socket."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import attrs

from qasid.effects import Request, Response
from qasid.emulation import utc_now

__all__ = ["AsyncPlug", "Plug"]


@attrs.frozen(eq=False)
class Plug:
    """Hands each request, as it would cross the wire, to `handle`, one at a time."""

    handle: Callable[[Request], Response]
    now: Callable[[], datetime] = utc_now
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def send(self, request: Request) -> Response:
        """Give the reply of `handle`, stamped with the time."""
        with self._lock:
            return attrs.evolve(self.handle(request.encode()), received_at=self.now())

    def close(self) -> None:
        """Nothing to give back."""


@attrs.frozen(eq=False)
class AsyncPlug:
    """A `Plug` for the async driver."""

    plug: Plug

    async def send(self, request: Request) -> Response:
        """Give the reply of `handle`, stamped with the time."""
        return self.plug.send(request)

    async def close(self) -> None:
        """Nothing to give back."""
