"""What a stream of a million messages costs in memory: threads and tasks, without a network.

The transport accepts every batch at once, so that nothing but Qasid is seen. The peak of the
process is read when a thousand messages are sent, which is a ready client, and again at the end.

    python benchmarks/bulk.py [messages]
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import qasid
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.sync import SyncDriver
from qasid.effects import Request, Response

MESSAGES = 1_000_000
READY = 1_000
ACCOUNT: dict[str, Any] = {"username": "user", "secret_key": "k" * 32}
REPLY = Response(
    status=200,
    body=b'{"success":true,"status":"success","error":false,"code":200,"data":null}',
)


class Willing:
    """Accepts whatever comes."""

    def send(self, request: Request) -> Response:
        """Encode it as a transport would."""
        request.encode()
        return REPLY

    def close(self) -> None:
        """Nothing to give back."""


class AsyncWilling:
    """The same for tasks, which a loop may run in between."""

    async def send(self, request: Request) -> Response:
        """Encode it as a transport would."""
        request.encode()
        await asyncio.sleep(0)
        return REPLY

    async def close(self) -> None:
        """Nothing to give back."""


def messages(count: int) -> Iterator[qasid.TextMessage]:
    """One text to so many mobiles."""
    for number in range(count):
        yield qasid.TextMessage(to=f"+98912{number:07}", text="Your parcel is here.")


def peak() -> int:
    """The most that this process has had in memory, in KiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform != "darwin" else used // 1024


def threads(count: int) -> Iterator[int]:
    """Peaks of a sync stream."""
    with qasid.connect("deftsms", driver=SyncDriver(Willing()), **ACCOUNT) as account:
        for part in (READY, count):
            assert all(receipt.accepted for receipt in account.send_stream(messages(part)))
            yield peak()


async def _tasks(count: int) -> list[int]:
    peaks = []
    driver = AsyncDriver(AsyncWilling())
    async with qasid.connect_async("deftsms", driver=driver, **ACCOUNT) as account:
        for part in (READY, count):
            async with account.send_stream(messages(part)) as stream:
                async for receipt in stream:
                    assert receipt.accepted
            peaks.append(peak())
    return peaks


def tasks(count: int) -> Iterator[int]:
    """Peaks of an async stream."""
    yield from asyncio.run(_tasks(count))


def main() -> None:
    """Measure each kind in a process of its own, and print a line for it."""
    if len(sys.argv) == 3:
        began = time.process_time()
        ready, end = {"threads": threads, "tasks": tasks}[sys.argv[2]](int(sys.argv[1]))
        print(json.dumps([ready, end, time.process_time() - began]))
        return
    count = int(sys.argv[1]) if len(sys.argv) == 2 else MESSAGES
    for kind in ("threads", "tasks"):
        ran = [sys.executable, __file__, str(count), kind]
        ready, end, cpu = json.loads(subprocess.check_output(ran))
        print(
            f"{kind}: {count:,} messages, {ready / 1024:.1f} MiB ready,"
            f" + {(end - ready) / 1024:.1f} MiB, {cpu / count * 1e6:.0f} µs of CPU each"
        )


if __name__ == "__main__":
    main()
