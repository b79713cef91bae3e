"""Streams of both kinds for tests: turned by hand, over servers that answer when they are let."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import attrs

from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Request, Response
from qasid.streams import AsyncStream
from qasid.values import Receipt, TextMessage

from .acme import Server, operations

#: Real seconds after which a test that should not wait has failed.
PATIENCE: Final = 30


def phone(number: int) -> str:
    """A recipient that is no other's."""
    return f"+98912{number:07}"


def numbered(count: int, start: int = 1111000) -> list[TextMessage]:
    """So many texts, each to a recipient of its own."""
    return [TextMessage(to=phone(start + n), text="hello") for n in range(count)]


def phones(found: Iterable[TextMessage | Receipt]) -> list[str]:
    """The recipients, in order."""
    return [item.to for item in found]


@attrs.frozen(eq=False)
class Turned:
    """An `AsyncStream` to be used as if it was a `Stream`."""

    stream: AsyncStream
    runner: asyncio.Runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __enter__(self) -> Turned:
        self.runner.run(self.stream.__aenter__())
        return self

    def __exit__(self, *exc: Any) -> None:
        self.runner.run(self.stream.__aexit__(*exc))

    def close(self) -> None:
        """Close it."""
        self.runner.run(self.stream.close())

    def __iter__(self) -> Iterator[Receipt]:
        receipts: Any = self.stream.__aiter__()

        async def _next() -> Receipt:
            return await anext(receipts)

        try:
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    yield self.runner.run(_next())
        finally:
            self.runner.run(receipts.aclose())


@attrs.frozen
class Streaming:
    """An `AsyncAccount` whose streams are turned."""

    account: AsyncAccount
    runner: asyncio.Runner

    def send_stream(self, messages: Any, **options: Any) -> Turned:
        """See `AsyncAccount.send_stream`."""
        return Turned(self.account.send_stream(messages, **options), self.runner)


Handle = Callable[[Request], Response]


@attrs.frozen(eq=False)
class Wire:
    """A transport for threads. `slow` requests wait until they are let."""

    server: Server
    slow: Callable[[Request], bool]
    let: threading.Event = attrs.field(factory=threading.Event)
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def send(self, request: Request) -> Response:
        """Give the reply."""
        request = request.encode()
        if self.slow(request):
            assert self.let.wait(PATIENCE)
        with self.lock:
            return self.server.handle(request)

    def close(self) -> None:
        """Nothing to give back."""


@attrs.frozen(eq=False)
class AsyncWire:
    """The same for tasks: slow is an answer after 30 seconds of virtual time."""

    wire: Wire

    async def send(self, request: Request) -> Response:
        """Give the reply."""
        request = request.encode()
        if self.wire.slow(request):
            await asyncio.sleep(30)
        return self.wire.server.handle(request)

    async def close(self) -> None:
        """Nothing to give back."""


def _never(request: Request) -> bool:
    return False


@contextlib.contextmanager
def threaded(
    server: Server,
    provider: Any = None,
    slow: Callable[[Request], bool] = _never,
    let: threading.Event | None = None,
    **options: Any,
) -> Iterator[Account]:
    """An `Account` in virtual time."""
    made = operations(provider, **options)
    wire = Wire(server, slow, let or threading.Event())
    with Account(made, SyncDriver(wire, server.clock)) as account:
        yield account
        wire.let.set()


@contextlib.contextmanager
def tasked(
    server: Server,
    provider: Any = None,
    slow: Callable[[Request], bool] = _never,
    let: threading.Event | None = None,
    **options: Any,
) -> Iterator[Streaming]:
    """An `AsyncAccount` in virtual time."""
    made = operations(provider, **options)
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        account = AsyncAccount(made, AsyncDriver(AsyncWire(Wire(server, slow))))
        yield Streaming(account, runner)
        runner.run(account.close())


FACES: Final = (threaded, tasked)
