"""A process that sends two streams: one with no file left for a socket, one with two.

python starved.py threads BASE_URL
python starved.py tasks   BASE_URL
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import qasid
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.http_aio import AiohttpTransport
from qasid.drivers.http_sync import RequestsTransport
from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual import VirtualClock

#: Files that the process may have open.
FILES: Final = 64


class Leaping(VirtualClock):
    """A clock for coroutines that waits for nothing."""

    async def sleep(self, seconds: float) -> None:  # type: ignore[override]
        """Let time pass at once."""
        self.seconds += seconds
        await asyncio.sleep(0)


def starved(base_url: str) -> None:
    """Print what became of the messages, and why. Everything is imported before."""
    with qasid.connect("sandbox", base_url=base_url) as account:
        list(account.send_stream(_messages(9)[:1]))
    driver = SyncDriver(RequestsTransport(base_url), VirtualClock())
    with qasid.connect("sandbox", base_url=base_url, driver=driver, delay=0) as account:
        for number, free in enumerate((0, 2)):
            with full(free):
                found = [*account.send_stream(_messages(number), concurrency=8)]
            _tell(found)


async def _starved(base_url: str) -> None:
    async with qasid.connect_async("sandbox", base_url=base_url) as account:
        _ = [each async for each in account.send_stream(_messages(9)[:1])]
    driver = AsyncDriver(AiohttpTransport(base_url), Leaping())
    async with qasid.connect_async("sandbox", base_url=base_url, driver=driver, delay=0) as account:
        for number, free in enumerate((0, 2)):
            with full(free):
                found = [each async for each in account.send_stream(_messages(number))]
            _tell(found)


def _messages(number: int) -> list[qasid.TextMessage]:
    return [
        qasid.TextMessage(to=f"+9891211{number}{n:04}", text="hello") for n in range(2000, 3000)
    ]


def _tell(found: list[qasid.Receipt]) -> None:
    errors = Counter(
        (type(each.error).__name__, str(each.outcome), str(each.error))
        for each in found
        if each.error
    )
    told = {"receipts": len(found), "errors": [[*key, n] for key, n in errors.items()]}
    sys.stdout.write(f"{json.dumps(told)}\n")


@contextlib.contextmanager
def full(free: int) -> Iterator[None]:
    """All files are open but so many."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    opened = []
    with contextlib.suppress(OSError):
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(free):
        os.close(opened.pop())
    yield
    for each in opened:
        os.close(each)


def starved_in_tasks(base_url: str) -> None:
    """See `starved`."""
    asyncio.run(_starved(base_url))


if __name__ == "__main__":
    commands: dict[str, Callable[[str], None]] = {"threads": starved, "tasks": starved_in_tasks}
    commands[sys.argv[1]](sys.argv[2])
