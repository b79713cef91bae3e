"""The same bytes through a plain socket: what this machine can do at most."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from benchmarks.job import Job


def request(job: Job, host: str, path: str) -> bytes:
    """The whole request."""
    fields = {"Host": host, **job.headers, "Content-Length": str(len(job.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n{job.body}".encode()


def exchange(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    answer = connection.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    if b" 200 " not in head[:13]:
        raise RuntimeError("the server did not answer 200")


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    parts = urlsplit(job.url)
    data = request(job, parts.netloc, parts.path)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0))
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = context.wrap_socket(connection, server_hostname=parts.hostname)
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield lambda: exchange(connection, data)
