"""The memory of a stream of many messages to DeftSMS, which takes them by the hundred.

    python -m benchmarks.bulk sync|async MESSAGES

The environment says where the account is. Prints its figures as JSON: the peak of the process in
MiB, and what of that came after the first thousand.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Final

import qasid
from benchmarks.message import TEXT
from benchmarks.turn import peak

__all__ = ["figures"]

READY: Final = 1_000  # messages, after which the client is ready


def messages(count: int) -> Iterator[qasid.TextMessage]:
    """One text to so many mobiles."""
    return (qasid.TextMessage(to=f"+98912{number:07}", text=TEXT) for number in range(count))


def blocking(count: int) -> Iterator[float]:
    with qasid.connect("deftsms") as account:
        for part in (READY, count):
            for receipt in account.send_stream(messages(part)):
                checked(receipt)
            yield peak()


async def awaited(count: int) -> list[float]:
    peaks = []
    async with qasid.connect_async("deftsms") as account:
        for part in (READY, count):
            async for receipt in account.send_stream(messages(part)):
                checked(receipt)
            peaks.append(peak())
    return peaks


def checked(receipt: qasid.Receipt) -> None:
    if not receipt.accepted:
        raise RuntimeError("not all were accepted")


def figures(kind: str, count: int) -> dict[str, float]:
    """All of it, by name."""
    ready, end = blocking(count) if kind == "sync" else asyncio.run(awaited(count))
    return {"size": count, "memory": end, "growth": end - ready}


if __name__ == "__main__":
    print(json.dumps(figures(sys.argv[1], int(sys.argv[2]))))
