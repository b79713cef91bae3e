"""What waiting costs: memory for each number, CPU for each look, and how late looks are.

Ten thousand numbers wait at one account, so that 5,000 looks come due in a second. The requests are
taken away: first each look gives nothing at once, then a transport answers with the same bytes.
What the same looks cost in a plain loop with the same pauses is told beside it, and the difference
is the scheduling. CPU is that of this process. Lateness is counted from the moment that a look is
due (when the number was last seen, and its interval) to when it begins, without first looks.

    python benchmarks/waiting.py [numbers] [seconds of each run]

Prints one line of JSON for each figure.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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

NUMBERS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
RATE = 5_000  # looks that come due in a second
REPLY = Response(status=200, body=b'{"messages": []}')


@attrs.frozen(eq=False, kw_only=True)
class Provider:
    """It has messages to be asked for, and nothing else."""

    info = ProviderInfo(
        title="Bench",
        contract="1.0",
        homepage="https://bench.test",
        support={"fetch_sms": Support.full()},
        poll_interval=timedelta(seconds=NUMBERS / RATE),
    )
    base_url: str = "https://bench.test"

    @hookimpl
    def fetch_sms(self, inbox: Activation) -> Flow[list[InboundMessage]]:
        """Ask for them."""
        reply = yield Request(method="GET", url=f"{self.base_url}/numbers/{inbox.id}")
        return [InboundMessage(text=text) for text in take(reply.json(), "messages", list)]


class Fixed:
    """A transport that answers the same at once."""

    def send(self, request: Request) -> Response:
        """Give it."""
        return REPLY

    def close(self) -> None:
        """Nothing to give back."""


class AsyncFixed:
    """The same to be awaited."""

    async def send(self, request: Request) -> Response:
        """Give it."""
        return REPLY

    async def close(self) -> None:
        """Nothing to give back."""


class Noting(Operations):
    """Operations that note how late each look is, and give nothing if they are not to ask."""

    def __init__(self, *, asks: bool) -> None:
        resolved = Resolved(
            account="bench", provider_name="bench", provider=Provider(), options=Options()
        )
        super().__init__(resolved)
        self.asks = asks
        self.interval = self.info.poll_interval.total_seconds()
        self.ended: dict[str, float] = {}
        self.late: list[float] = []
        self.looks = 0

    def fetch(self, inbox: Any) -> Flow[list[InboundMessage]]:
        """Read messages."""
        began = time.monotonic()
        if (last := self.ended.get(inbox.id)) is not None:
            self.late.append(began - last - self.interval)
        found = (yield from super().fetch(inbox)) if self.asks else []
        self.looks += 1
        self.ended[inbox.id] = time.monotonic()
        return found


class Bare(Noting):
    """Operations that note nothing."""

    def fetch(self, inbox: Any) -> Flow[list[InboundMessage]]:
        """Read messages."""
        self.looks += 1
        if not self.asks:
            return []
        return (yield from Operations.fetch(self, inbox))


def numbers(count: int) -> list[Activation]:
    """As many activations as that, which live for an hour."""
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


def told(what: str, **figures: Any) -> None:
    """Print one line."""
    rounded = {key: round(v, 3) if isinstance(v, float) else v for key, v in figures.items()}
    print(json.dumps({"what": what, **rounded}), flush=True)


def percentile(values: list[float], share: float) -> float:
    """The value that so many of them do not pass."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# Running a watch for some seconds.


def blocking(operations: Operations, rented: list[Activation], until: Callable[[], bool]) -> None:
    """Watch with threads, the numbers coming in evenly over one interval."""
    account = Account(operations, SyncDriver(Fixed()))
    watch = account.watch(endless=True)
    reader = threading.Thread(target=lambda: [*watch])
    reader.start()
    for step in steps(rented):
        watch.add(*step)
        time.sleep(0.02)
    while not until():
        time.sleep(0.1)
    watch.close()
    reader.join()


async def awaited(
    operations: Operations, rented: list[Activation], until: Callable[[], bool]
) -> None:
    """Watch with tasks."""
    account = AsyncAccount(operations, AsyncDriver(AsyncFixed()))
    watch = account.watch(endless=True)

    async def read() -> None:
        async for _ in watch:
            pass

    reader = asyncio.create_task(read())
    for step in steps(rented):
        watch.add(*step)
        await asyncio.sleep(0.02)
    while not until():  # noqa: ASYNC110, it is asked now and then, as in the other
        await asyncio.sleep(0.1)
    await watch.close()
    await reader


def steps(rented: list[Activation]) -> list[list[Activation]]:
    """They come in as they will be looked at: so many every 20 ms."""
    size = RATE // 50
    return [rented[start : start + size] for start in range(0, len(rented), size)]


def run(kind: str, operations: Noting) -> tuple[int, float, float]:
    """Looks, CPU seconds and seconds of the run, from when all numbers have come."""
    marks: list[tuple[float, float, int]] = []

    def over() -> bool:
        marks.append((time.monotonic(), time.process_time(), operations.looks))
        return marks[-1][0] - marks[0][0] > SECONDS

    if kind == "sync":
        blocking(operations, numbers(NUMBERS), over)
    else:
        asyncio.run(awaited(operations, numbers(NUMBERS), over))
    (began, cpu, looks), (ended, cpu_then, looks_then) = marks[0], marks[-1]
    return looks_then - looks, cpu_then - cpu, ended - began


# What is measured.


def cpu(kind: str, *, asks: bool) -> None:
    """CPU for each look, and of that what the schedule adds to the look itself."""
    looks, spent, seconds = run(kind, Bare(asks=asks))
    whole, alone = spent / looks * 1e6, alone_in_steps(kind, Bare(asks=asks))
    told(
        f"{kind}: CPU, {'a fixed reply' if asks else 'no request'}",
        microseconds_a_look=whole,
        without_schedule=alone,
        scheduling=whole - alone,
        scheduling_percent_of_a_core=(whole - alone) * looks / seconds / 1e4,
        looks_a_second=looks / seconds,
    )


def alone_in_steps(kind: str, operations: Bare) -> float:
    """Microseconds of CPU of one look in a plain loop, with a pause after as many as in a slot."""
    rented, size = numbers(NUMBERS), int(RATE * SLOT)
    sync, awaiting = SyncDriver(Fixed()), AsyncDriver(AsyncFixed())

    async def go() -> float:
        began, at = time.process_time(), time.monotonic()
        ends = at + SECONDS
        while at < ends:
            start = operations.looks % NUMBERS
            for number in rented[start : start + size]:
                if kind == "sync":
                    sync.run(operations.fetch(number))
                else:
                    await awaiting.run(operations.fetch(number))
            at += SLOT
            await asyncio.sleep(max(0.0, at - time.monotonic()))
        return (time.process_time() - began) / operations.looks * 1e6

    return asyncio.run(go())


def lateness(kind: str) -> None:
    """How late looks are, in milliseconds."""
    operations = Noting(asks=False)
    looks, _, seconds = run(kind, operations)
    late = [value * 1000 for value in operations.late]
    told(
        f"{kind}: lateness in milliseconds",
        p50=percentile(late, 0.5),
        p99=percentile(late, 0.99),
        worst=max(late),
        early=min(late),
        looks_a_second=looks / seconds,
    )


def resident() -> int:
    """Bytes of this process that are in memory."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def looked_twice(operations: Noting, found: list[int], *, tracing: bool) -> bool:
    """Whether each number was looked at twice; then the bytes in use are put into `found`."""
    if operations.looks < 2 * NUMBERS:
        return False
    gc.collect()
    found.append(tracemalloc.get_traced_memory()[0] if tracing else resident())
    return True


def memory(kind: str) -> None:
    """Bytes for each number, without and with the activation itself, after two looks at each."""
    for tracing in (True, False):
        gc.collect()
        operations = Bare(asks=True)
        before = (0, 0) if tracing else (resident(), 0)
        if tracing:
            tracemalloc.start()
        rented = numbers(NUMBERS)
        mine = tracemalloc.get_traced_memory()[0] if tracing else resident()
        found: list[int] = []
        over = functools.partial(looked_twice, operations, found, tracing=tracing)
        if kind == "sync":
            blocking(operations, rented, over)
        else:
            asyncio.run(awaited(operations, rented, over))
        tracemalloc.stop()
        told(
            f"{kind}: bytes a number, {'tracemalloc' if tracing else 'resident'}",
            waiting=(found[0] - mine) / NUMBERS,
            with_its_activation=(found[0] - before[0]) / NUMBERS,
        )


if __name__ == "__main__":
    for face in ("sync", "async"):
        memory(face)
        cpu(face, asks=False)
        cpu(face, asks=True)
        lateness(face)
