"""`Watch` and `AsyncWatch`: the same lookout, with threads or with tasks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref
from collections.abc import Iterable
from typing import Any, Self

from qasid.drivers.aio import AsyncDriver
from qasid.drivers.sync import SyncDriver
from qasid.values import Activation, InboundMessage
from qasid.watching.lanes import Forecast
from qasid.watching.lookout import Arrival, Lookout
from qasid.webhooks.inbox import Received

__all__ = ["AsyncWatch", "Watch"]


class _Face:
    """What both kinds of watch do without waiting."""

    def __init__(
        self, operations: Any, driver: Any, activations: Iterable[Activation], **settings: Any
    ) -> None:
        self._driver = driver
        self._workers: int = operations.pool_size
        self._lookout = Lookout(operations, driver.clock.tick, **settings)
        weakref.finalize(self, self._lookout.forget)  # who has lost it wants no more looks
        self.add(*activations)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {len(self)} numbers>"

    def __len__(self) -> int:
        """How many numbers wait."""
        return len(self._lookout)

    def __bool__(self) -> bool:
        return True

    def add(self, *activations: Activation, webhook: bool | None = None) -> None:
        """Let more numbers wait; each is looked at soon. One that waits already stays as it is.

        With `webhook` its messages are posted to you, so it is looked at every `webhook_interval`
        only; unless told, that is so where the watch has an inbox. Raises `UnsupportedOperation`
        where the number's provider cannot be asked for messages.
        """
        clock = self._driver.clock
        self._lookout.add(activations, clock.tick(), clock.now(), webhook)

    def remove(self, activation: Activation) -> None:
        """Look at it no more. Nothing more of it is found, and nobody is told."""
        self._lookout.remove(activation)

    def notice(self, activation: Activation, messages: Iterable[InboundMessage]) -> None:
        """Tell of messages that came another way, such as those of `receive_webhook`.

        They are yielded unless they were already, and from now on the number is looked at every
        `webhook_interval` only. Any thread may call it.
        """
        self._lookout.notice(activation, messages)

    def arrived(self, received: Iterable[Received]) -> None:
        """Do so for what webhooks brought: it may be the `arrived` of a webhook `Application`."""
        self._lookout.arrived(received)

    def forecast(self) -> Forecast:
        """How often each number is looked at, and which will end before anybody looks."""
        return self._lookout.forecast(self._driver.clock.tick())


class Watch(_Face):
    """Iterate over it for `Arrival`s: each message once, as it comes. Threads may share it.

    It looks from the first iteration on, in threads of its own, until it is closed, at the end of a
    ``with`` block or when nobody holds it any more.
    """

    _driver: SyncDriver

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._threads: list[threading.Thread] = []
        self._beginning = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Arrival:
        self._begin()
        arrival = self._driver.run(self._lookout.next())
        if arrival is None:
            raise StopIteration
        return arrival

    def _begin(self) -> None:
        with self._beginning:
            for _ in range(self._workers - len(self._threads)):
                within = contextvars.copy_context().run
                work = self._driver.run, self._lookout.work()
                thread = threading.Thread(target=within, args=work, daemon=True)
                thread.start()
                self._threads.append(thread)

    def close(self) -> None:
        """Look no more. Returns when the looks that are on their way have come to their end."""
        self._lookout.close()
        with self._beginning:  # whoever reads in another thread may be about to begin with some
            begun = [*self._threads]
        for thread in begun:
            if thread is not threading.current_thread():
                thread.join()


class AsyncWatch(_Face):
    """Iterate over it with ``async for``, as over a `Watch`; for the tasks of one event loop."""

    _driver: AsyncDriver

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Arrival:
        self._begin()
        arrival = await self._driver.run(self._lookout.next())
        if arrival is None:
            raise StopAsyncIteration
        return arrival

    def _begin(self) -> None:
        for _ in range(self._workers - len(self._tasks)):
            work = self._driver.run(self._lookout.work())
            self._tasks.append(asyncio.ensure_future(work))

    async def close(self) -> None:
        """Look no more. Looks that are on their way are broken off."""
        self._lookout.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
