"""The same wire over a real loopback socket, carried by either HTTP library."""

from __future__ import annotations

import asyncio

import attrs

from qasid.drivers.sync import Clock, Transport
from qasid.effects import Request, Response

__all__ = ["Awaited", "Stamped", "over_socket"]

#: Seconds. The faults that come too late take longer than this.
_TIMEOUT = 0.4


@attrs.frozen
class Stamped:
    """A real transport that notes what it sends, and stamps replies with the case's own time."""

    inner: Transport
    clock: Clock
    sent: list[Request]

    def send(self, request: Request) -> Response:
        """Give the reply."""
        self.sent.append(request)
        return attrs.evolve(self.inner.send(request), received_at=self.clock.now())

    def close(self) -> None:
        """Give the connections back."""
        self.inner.close()


class Awaited:
    """The async transport behind the sync one's face, so that no waiting of a rule takes time."""

    def __init__(self, base_url: str) -> None:
        from qasid.drivers.http_aio import AiohttpTransport

        self._loop = asyncio.Runner()
        self._inner = AiohttpTransport(base_url, timeout=_TIMEOUT)

    def send(self, request: Request) -> Response:
        """Give the reply."""
        return self._loop.run(self._inner.send(request))

    def close(self) -> None:
        """Give the connections back."""
        self._loop.run(self._inner.close())
        self._loop.close()


def over_socket(base_url: str, clock: Clock, sent: list[Request], carrier: str) -> Stamped:
    """A transport in a hurry, by the library that `carrier` names; `sent` gets what it sends."""
    return Stamped(_carried(base_url, carrier), clock, sent)


def _carried(base_url: str, carrier: str) -> Transport:
    if carrier == "aiohttp":
        return Awaited(base_url)
    from qasid.drivers.http_sync import RequestsTransport

    return RequestsTransport(base_url, timeout=_TIMEOUT)
