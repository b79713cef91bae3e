"""A small loopback server of asyncio, where nginx is not installed or cannot wait.

It answers as `replies` says, each time after `delay` seconds.

    python -m benchmarks.own_server PORT TLS_PORT CERTIFICATE DELAY
"""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from typing import Final

from benchmarks.replies import CLOSING, STATUS, body

_LENGTH: Final = re.compile(rb"\r\nContent-Length: *(\d+)\r\n", re.IGNORECASE)
_BACKLOG: Final = 1024


class Answering(asyncio.Protocol):
    """One connection. The count of requests is that of all, as nginx has it."""

    requests = 0

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._end()) is not None:
            request, self._read = self._read[:end], self._read[end:]
            Answering.requests += 1
            self._answer(request.split(b" ", 2)[1].partition(b"?")[0].decode())

    def _end(self) -> int | None:
        """Where the first request ends, if all of it is there."""
        head = self._read.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(self._read, 0, head)
        end = head + (int(length[1]) if length else 0)
        return end if head > 3 and len(self._read) >= end else None

    def _answer(self, path: str) -> None:
        if self._delay and path != STATUS:
            asyncio.get_running_loop().call_later(self._delay, self._write, path)
        else:
            self._write(path)

    def _write(self, path: str) -> None:
        text = self._status() if path == STATUS else body(path)
        head = f"HTTP/1.1 {404 if text is None else 200} OK\r\nContent-Type: application/json\r\n"
        closing = "Connection: close\r\n" if path.startswith(CLOSING) else ""
        content = f"{head}{closing}Content-Length: {len(text or '')}\r\n\r\n{text or ''}"
        self._transport.write(content.encode())
        if closing:
            self._transport.close()

    def _status(self) -> str:
        return f"server accepts handled requests\n 0 0 {self.requests}\n"


async def serve(port: int, tls_port: int, certificate: str, delay: float) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    for place, tls in ((port, None), (tls_port, context)):
        await loop.create_server(
            lambda: Answering(delay), "127.0.0.1", place, ssl=tls, backlog=_BACKLOG
        )
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, first, second, file, seconds = sys.argv
    asyncio.run(serve(int(first), int(second), file, float(seconds)))
