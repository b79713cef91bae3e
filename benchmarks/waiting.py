"""What waiting costs: memory for each number, CPU for each look, and how late looks are.

Numbers wait at one account, so that 5,000 looks come due in a second. The requests are taken away:
each look gives nothing at once. What the same looks cost in a plain loop, with a pause after as
many as come due together, is subtracted; the rest is the scheduling. (With a transport that gives
fixed bytes that difference has the same number of instructions, and more noise: it is one of sums
that are five times as large.) Lateness is counted from the moment that a look is due, an interval
after the last one, to when it begins. Memory is what is in use beside the activations, after two
looks at each.

    python -m benchmarks.waiting sync|async NUMBERS [SECONDS]

Prints its figures as JSON: those of so many seconds, or without them the memory.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.sync import SyncDriver
from qasid.effects import Flow, Request, Response
from qasid.hookspecs import hookimpl
from qasid.operations import Operations
from qasid.reading import take
from qasid.settings import Options, Resolved
from qasid.values import Activation, InboundMessage, ProviderInfo, Support
from qasid.watching.schedule import SLOT

__all__ = ["looking", "memory"]

RATE: Final = 5_000  # looks that come due in a second
REPLY: Final = Response(status=200, body=b'{"messages": []}')


@attrs.frozen(eq=False, kw_only=True)
class Provider:
    """It has messages to be asked for, and nothing else."""

    info: ProviderInfo
    base_url: str = "https://bench.test"

    @classmethod
    def of(cls, numbers: int) -> Provider:
        """One that wishes for pauses of which so many numbers make the rate."""
        info = ProviderInfo(
            title="Bench",
            contract="1.0",
            homepage="https://bench.test",
            support={"fetch_sms": Support.full()},
            poll_interval=timedelta(seconds=numbers / RATE),
        )
        return cls(info=info)

    @hookimpl
    def fetch_sms(self, inbox: Activation) -> Flow[list[InboundMessage]]:
        reply = yield Request(method="GET", url=f"{self.base_url}/numbers/{inbox.id}")
        return [InboundMessage(text=text) for text in take(reply.json(), "messages", list)]


class Fixed:
    """A transport that answers the same at once."""

    def send(self, request: Request) -> Response:
        return REPLY

    def close(self) -> None:
        pass


class AsyncFixed:
    """The same to be awaited."""

    async def send(self, request: Request) -> Response:
        return REPLY

    async def close(self) -> None:
        pass


class Asking(Operations):
    """Operations that count their looks."""

    def __init__(self, numbers: int) -> None:
        provider = Provider.of(numbers)
        settings = Resolved(
            account="bench", provider_name="bench", provider=provider, options=Options()
        )
        super().__init__(settings)
        self.looks = 0

    def fetch(self, inbox: Any) -> Flow[list[InboundMessage]]:
        self.looks += 1
        return (yield from super().fetch(inbox))


class Noting(Asking):
    """Operations that do not ask, but note how many seconds late each look is."""

    def __init__(self, numbers: int) -> None:
        super().__init__(numbers)
        self.interval = numbers / RATE
        self.ended: dict[str, float] = {}
        self.late: list[float] = []

    def fetch(self, inbox: Any) -> Flow[list[InboundMessage]]:
        now = time.monotonic()
        if (last := self.ended.get(inbox.id)) is not None:
            self.late.append(now - last - self.interval)
        self.looks += 1
        self.ended[inbox.id] = now
        return []
        yield  # it is a flow like any other


def activations(count: int) -> list[Activation]:
    """As many as that, which live for an hour."""
    now = datetime.now(UTC)
    return [
        Activation(
            id=f"{n:08}",
            number=f"+9990{n:08}",
            service="acme",
            country="SA",
            acquired_at=now,
            expires_at=now + timedelta(hours=1),
            account="bench",
        )
        for n in range(count)
    ]


# Running a watch for some seconds.


def watched(
    kind: str, operations: Operations, rented: list[Activation], over: Callable[[], bool]
) -> None:
    """Let them wait until it is over; that is asked ten times a second, once all have come."""
    if kind == "sync":
        blocking(operations, rented, over)
    else:
        asyncio.run(awaited(operations, rented, over))


def blocking(operations: Operations, rented: list[Activation], over: Callable[[], bool]) -> None:
    watch = Account(operations, SyncDriver(Fixed())).watch(endless=True)
    reader = threading.Thread(target=lambda: [*watch])
    reader.start()
    for step in steps(rented):
        watch.add(*step)
        time.sleep(0.02)
    while not over():
        time.sleep(0.1)
    watch.close()
    reader.join()


async def awaited(
    operations: Operations, rented: list[Activation], over: Callable[[], bool]
) -> None:
    watch = AsyncAccount(operations, AsyncDriver(AsyncFixed())).watch(endless=True)

    async def read() -> None:
        async for _ in watch:
            pass

    reader = asyncio.create_task(read())
    for step in steps(rented):
        watch.add(*step)
        await asyncio.sleep(0.02)
    while not over():  # noqa: ASYNC110, it is asked now and then, as in the other
        await asyncio.sleep(0.1)
    await watch.close()
    await reader


def steps(rented: list[Activation]) -> list[list[Activation]]:
    """They come in as they will be looked at: so many every 20 ms."""
    size = RATE // 50
    return [rented[start : start + size] for start in range(0, len(rented), size)]


# What is measured.


def looking(kind: str, numbers: int, seconds: float) -> dict[str, float]:
    """The share of a core that the scheduling takes, and the lateness in ms that 99 % keep to."""
    operations, marks = Noting(numbers), list[tuple[float, float, int]]()

    def over() -> bool:
        marks.append((time.monotonic(), time.process_time(), operations.looks))
        return marks[-1][0] - marks[0][0] > seconds

    watched(kind, operations, activations(numbers), over)
    (_, cpu, looks), (_, cpu_then, looks_then) = marks[0], marks[-1]
    scheduling = (cpu_then - cpu) / (looks_then - looks) - alone(kind, numbers, seconds)
    return {"scheduling": scheduling * RATE, "lateness": percentile(operations.late, 0.99) * 1e3}


def alone(kind: str, numbers: int, seconds: float) -> float:
    """Seconds of CPU of one look in a plain loop, with a pause after as many as in a slot."""
    operations, rented, size = Noting(numbers), activations(numbers), int(RATE * SLOT)
    sync, awaiting = SyncDriver(Fixed()), AsyncDriver(AsyncFixed())

    async def loop() -> float:
        began, at = time.process_time(), time.monotonic()
        ends = at + seconds
        while at < ends:
            start = operations.looks % numbers
            for activation in rented[start : start + size]:
                if kind == "sync":
                    sync.run(operations.fetch(activation))
                else:
                    await awaiting.run(operations.fetch(activation))
            at += SLOT
            await asyncio.sleep(max(0.0, at - time.monotonic()))
        return (time.process_time() - began) / operations.looks

    return asyncio.run(loop())


def percentile(values: list[float], share: float) -> float:
    """The value that so many of them do not pass."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def memory(kind: str, numbers: int) -> float:
    """KiB for each number beside its activation."""
    operations, rented, found = Asking(numbers), activations(numbers), list[int]()
    gc.collect()
    tracemalloc.start()

    def over() -> bool:
        if operations.looks < 2 * numbers:
            return False
        gc.collect()
        found.append(tracemalloc.get_traced_memory()[0])
        return True

    watched(kind, operations, rented, over)
    tracemalloc.stop()
    return found[0] / numbers / 1024


def main(kind: str, numbers: int, seconds: float = 0) -> None:
    figures = looking(kind, numbers, seconds) if seconds else {"memory": memory(kind, numbers)}
    print(json.dumps({"size": numbers, **figures}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:]))
