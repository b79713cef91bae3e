"""`AsyncAccount.send` of the provider DeftSMS."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import qasid
from benchmarks.drivers.qasid_sync import account
from benchmarks.job import Job
from benchmarks.message import TEXT, TO


@contextlib.asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    async with qasid.connect_async("deftsms", **account(job)) as connected:
        yield lambda: connected.send(qasid.TextMessage(to=TO, text=TEXT))
