"""An ASGI application under uvicorn, in a thread of its own, until the block around it ends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

import click

from qasid.errors import QasidError

__all__ = ["address", "cannot_listen", "is_loopback", "listener", "serving"]


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens, so that whoever connects from now on is served."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise cannot_listen(port, error) from None


def cannot_listen(port: int, error: OSError) -> click.BadParameter:
    """That port is a wrong use of ``--port``."""
    problem = f"nothing can listen on {port}: {error.strerror}"
    return click.BadParameter(problem, param_hint="'--port'")


def address(listening: socket.socket) -> str:
    """Where it listens, as an address for clients of this machine."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def serving(application: Any, listening: socket.socket, ended: threading.Event) -> Iterator[None]:
    """Serve. Where the server ends by itself it sets `ended`, so that the block may end too.

    Raises `QasidError` then, and where uvicorn is not installed.
    """
    server = _server(application)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.run, [listening])
        running.add_done_callback(lambda _: ended.set())
        try:
            yield
        finally:
            server.should_exit = True
    problem = running.exception()
    if problem is not None:
        raise QasidError(f"the server ended: {type(problem).__name__}: {problem}") from problem


def _server(application: Any) -> Any:
    try:
        import uvicorn
    except ImportError:
        raise QasidError('uvicorn is not installed; run: pip install "qasid[webhook]"') from None
    config = uvicorn.Config(
        application,
        http="h11",
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # paths are secrets
        server_header=False,
        proxy_headers=False,
        limit_concurrency=256,  # more gets 503, and comes again
        timeout_graceful_shutdown=10,
    )
    return uvicorn.Server(config)
