"""Run a flow as a coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, assert_never

import attrs

from qasid.effects import Call, Effect, Flow, Now, Request, Response, Sleep, Tick, Wait

__all__ = ["AsyncDriver", "AsyncTransport"]

T = TypeVar("T")


class AsyncTransport(Protocol):
    """Carries any number of requests at once within one event loop."""

    async def send(self, request: Request) -> Response:
        """Give the reply. Raises `ConnectFailed`, `NoAnswer`, `ProtocolError`."""

    async def close(self) -> None:
        """Give the connections back."""


@attrs.frozen(eq=False)
class AsyncDriver:
    """Performs effects by awaiting; blocking calls run in a thread."""

    transport: AsyncTransport

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
                return await asyncio.sleep(effect.seconds)
            case Now():
                return datetime.now(UTC)
            case Tick():
                return asyncio.get_running_loop().time()
            case Call():
                return await _to_its_end(effect.function)
            case Wait():
                # Shielded: when this task is cancelled, the others go on waiting.
                return await asyncio.shield(asyncio.wrap_future(effect.future))
        assert_never(effect)

    async def close(self) -> None:
        """Give the connections back."""
        await self.transport.close()


async def _to_its_end(function: Callable[[], T]) -> T:
    """Run it in a thread. As that cannot be stopped, wait for its end when cancelled, too."""
    running = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
