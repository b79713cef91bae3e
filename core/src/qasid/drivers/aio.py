"""Run a flow as a coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, assert_never, runtime_checkable

import attrs

from qasid.effects import Call, Effect, Flow, Now, Request, Response, Sleep, Tick, Wait, Whole

__all__ = ["AsyncClock", "AsyncDriver", "AsyncTransport", "AsyncWarming", "LoopClock"]

T = TypeVar("T")


class AsyncTransport(Protocol):
    """Carries any number of requests at once within one event loop."""

    async def send(self, request: Request) -> Response:
        """Give the reply. Raises `ConnectFailed`, `NoAnswer`, `ProtocolError`."""

    async def close(self) -> None:
        """Give the connections back."""


@runtime_checkable
class AsyncWarming(Protocol):
    """A transport with connections, of which one can be opened beforehand."""

    async def warm(self) -> None:
        """Have one. Raises `ConnectFailed`."""


class AsyncClock(Protocol):
    """What a driver knows of time."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""

    def tick(self) -> float:
        """Seconds from an unnamed start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return when they have passed."""


class LoopClock:
    """The clock of this machine, and the time of the running event loop."""

    sleep = staticmethod(asyncio.sleep)

    @staticmethod
    def now() -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    @staticmethod
    def tick() -> float:
        """The loop's seconds."""
        return asyncio.get_running_loop().time()


@attrs.frozen(eq=False)
class AsyncDriver:
    """Performs effects by awaiting; blocking calls run in a thread."""

    transport: AsyncTransport
    clock: AsyncClock = attrs.field(factory=LoopClock)

    async def run(self, flow: Flow[T]) -> T:
        """Run `flow` to its end and give its result."""
        try:
            effect = next(flow)
            while True:
                try:
                    given = await self._perform(effect)
                except BaseException as error:  # also a cancellation: the flow may want to tidy up
                    effect = flow.throw(error)
                else:
                    effect = flow.send(given)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Request():
                return await self.transport.send(effect)
            case Sleep():
                return await self.clock.sleep(effect.seconds)
            case Now():
                return self.clock.now()
            case Tick():
                return self.clock.tick()
            case Call():
                return await _to_its_end(asyncio.to_thread(effect.function))
            case Wait():
                # Shielded: when this task is cancelled, the others go on waiting.
                return await asyncio.shield(asyncio.wrap_future(effect.future))
            case Whole():
                return await _to_its_end(self.run(effect.flow))
        assert_never(effect)

    async def warm(self) -> None:
        """Open a connection, if the transport has any. Raises `ConnectFailed`."""
        if isinstance(self.transport, AsyncWarming):
            await self.transport.warm()

    async def close(self) -> None:
        """Give the connections back."""
        await self.transport.close()


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await it; when cancelled, wait for its end all the same: a thread cannot be stopped."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()  # it was looked at: the event loop need not complain
        raise
