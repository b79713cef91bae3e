"""What a send costs: `RequestsTransport.send` against a bare `requests.Session.post`.

CPU time of this process alone; the server is another one and answers 200 bytes. The two take turns
within one run, as absolute times differ from machine to machine; what counts is the ratio. Then
the same for a new TLS connection with every send.

    python benchmarks/transport.py [sends in each of the seven rounds]
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import requests
import trustme
from certifi import where

from qasid.drivers.http_sync import RequestsTransport
from qasid.effects import Request

ROUNDS = 7
MESSAGE = {"to": "+989121112233", "text": "Your code is 123456"}
BODY = b'{"data":"' + b"x" * 189 + b'"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(BODY)
REPLY = HEAD + b"\r\n" + BODY
LAST_REPLY = HEAD + b"Connection: close\r\n\r\n" + BODY


def serve(ready: Connection, certificate: str | None) -> None:
    """Answer every request on a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ready.send(listener.getsockname()[1])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certificate else None
    if context and certificate:
        context.load_cert_chain(certificate)
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=answer, args=(accepted, context), daemon=True).start()


def answer(accepted: socket.socket, context: ssl.SSLContext | None) -> None:
    with context.wrap_socket(accepted, server_side=True) if context else accepted as connection:
        while request := connection.recv(65_536):
            while not (request.endswith(b"}") or not request):
                request += connection.recv(65_536)
            connection.sendall(LAST_REPLY if context else REPLY)
            if context:
                return


def started(certificate: str | None = None) -> int:
    """The port of a new server in another process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, certificate), daemon=True
    )
    process.start()
    port: int = ours.recv()
    return port


def cpu(send: Callable[[], object], count: int) -> float:
    """Microseconds of this process for one send."""
    before = time.process_time()
    for _ in range(count):
        send()
    return (time.process_time() - before) / count * 1e6


def compare(title: str, url: str, count: int) -> None:
    session, transport = requests.Session(), RequestsTransport(url)
    request = Request(method="POST", url=f"{url}/send", json=MESSAGE)
    sends: dict[str, Callable[[], object]] = {
        "requests.Session.post": lambda: session.post(f"{url}/send", json=MESSAGE).content,
        "RequestsTransport.send": lambda: transport.send(request).body,
    }
    for send in sends.values():  # the first send opens the connection
        send()
    rounds = [{name: cpu(send, count) for name, send in sends.items()} for _ in range(ROUNDS)]
    bare, ours = (statistics.median(r[name] for r in rounds) for name in sends)
    print(f"{title}: bare {bare:.0f} µs, ours {ours:.0f} µs, ratio {ours / bare:.2f}")
    session.close()
    transport.close()


def trust(folder: Path) -> str:
    """A certificate for this machine, whose authority stands among all those of certifi."""
    authority = trustme.CA()
    bundle = folder / "authorities.pem"
    bundle.write_bytes(Path(where()).read_bytes() + authority.cert_pem.bytes())
    os.environ["REQUESTS_CA_BUNDLE"] = str(bundle)
    certificate = folder / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return str(certificate)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    compare("pooled connection", f"http://127.0.0.1:{started()}", count)
    with tempfile.TemporaryDirectory() as folder:
        port = started(trust(Path(folder)))
        compare("new TLS connection", f"https://127.0.0.1:{port}", max(count // 20, 1))


if __name__ == "__main__":
    main()
