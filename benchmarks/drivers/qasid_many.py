"""`Account.send_many` of one text to 10,000 mobiles, which DeftSMS takes by the hundred."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

import qasid
from benchmarks.drivers.qasid_sync import account
from benchmarks.job import Job
from benchmarks.message import TEXT

MESSAGES: Final = 10_000


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    numbers = [f"+98912{place:07}" for place in range(MESSAGES)]

    def send() -> None:
        messages = (qasid.TextMessage(to=number, text=TEXT) for number in numbers)
        if any(receipt.error for receipt in connected.send_many(messages)):
            raise RuntimeError("not all were accepted")

    with qasid.connect("deftsms", **account(job)) as connected:
        yield send
