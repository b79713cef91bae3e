"""`aiohttp.ClientSession.post` of the same bytes."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp

from benchmarks.job import Job


@contextlib.asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    # The authority of the loopback server is in the environment, which this context reads.
    tls = ssl.create_default_context() if job.url.startswith("https:") else True
    connector = aiohttp.TCPConnector(limit=max(job.workers, 100), ssl=tls)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def send() -> None:
            async with session.post(job.url, data=job.body, headers=job.headers) as answer:
                answer.raise_for_status()
                await answer.json()

        yield send
