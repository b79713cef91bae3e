"""The same wire over a real loopback socket, by either driver with its own HTTP library."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, TypeVar

import attrs

from qasid.drivers.aio import AsyncDriver, AsyncTransport
from qasid.drivers.sync import Clock, SyncDriver, Transport
from qasid.effects import Flow, Request, Response

__all__ = ["Awaited", "over_socket"]

T = TypeVar("T")

#: Seconds. The faults that come too late take longer than this.
_TIMEOUT = 0.4


@attrs.frozen
class _Stamped:
    """A real transport that notes what it sends, and stamps replies with the case's own time."""

    inner: Transport
    clock: Clock
    sent: list[Request]

    def send(self, request: Request) -> Response:
        self.sent.append(request)
        return attrs.evolve(self.inner.send(request), received_at=self.clock.now())

    def close(self) -> None:
        self.inner.close()


@attrs.frozen
class _AsyncStamped:
    """The same for an async one."""

    inner: AsyncTransport
    clock: Clock
    sent: list[Request]

    async def send(self, request: Request) -> Response:
        self.sent.append(request)
        return attrs.evolve(await self.inner.send(request), received_at=self.clock.now())

    async def close(self) -> None:
        await self.inner.close()


@attrs.frozen
class _AsyncClock:
    """The case's clock for the async driver, whose waiting takes no time either."""

    inner: Clock

    def now(self) -> datetime:
        return self.inner.now()

    def tick(self) -> float:
        return self.inner.tick()

    async def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)


class Awaited:
    """The async driver behind the sync one's face: each flow is run to its end."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._loop = asyncio.Runner()
        self._driver = driver

    def run(self, flow: Flow[T]) -> T:
        """Run `flow` to its end and give its result."""
        return self._loop.run(self._driver.run(flow))

    def close(self) -> None:
        """Give the connections back."""
        self._loop.run(self._driver.close())
        self._loop.close()


def over_socket(base_url: str, clock: Clock, sent: list[Request], carrier: str) -> Any:
    """A driver in a hurry, with the library that `carrier` names; `sent` gets what it sends."""
    if carrier == "aiohttp":
        from qasid.drivers.http_aio import AiohttpTransport

        slow = _AsyncStamped(AiohttpTransport(base_url, timeout=_TIMEOUT), clock, sent)
        return Awaited(AsyncDriver(slow, _AsyncClock(clock)))
    from qasid.drivers.http_sync import RequestsTransport

    return SyncDriver(_Stamped(RequestsTransport(base_url, timeout=_TIMEOUT), clock, sent), clock)
