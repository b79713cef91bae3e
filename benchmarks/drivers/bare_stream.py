"""The same bytes through asyncio's protocols: whether server and machine could keep up at all."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

from benchmarks.drivers.raw_socket import request
from benchmarks.job import Job


class _Connection(asyncio.Protocol):
    """One request at a time; an answer is short, and comes in one piece over loopback."""

    answered: asyncio.Future[bytes]
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.answered.set_result(data)

    async def exchange(self, data: bytes) -> None:
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        if not (await self.answered).startswith(b"HTTP/1.1 200 "):
            raise RuntimeError("the server did not answer 200")


@contextlib.asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    parts = urlsplit(job.url)
    data, loop = request(job, parts.netloc, parts.path), asyncio.get_running_loop()
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    idle: list[_Connection] = []
    for _ in range(job.workers):
        host, port = parts.hostname or "", parts.port or 0
        idle.append((await loop.create_connection(_Connection, host, port, ssl=tls))[1])

    async def send() -> None:
        connection = idle.pop()
        await connection.exchange(data)
        idle.append(connection)

    yield send
    for connection in idle:
        connection.transport.close()
