"""The loopback server: nginx where it is installed, else one of our own, each in its own process.

What nginx cannot do is wait before it answers; that is always our own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks import ROOT
from benchmarks.replies import BODIES, CLOSING, STATUS

__all__ = ["Server", "delayed", "serving"]

OWN: Final = "our own, of asyncio"

_CONFIGURATION: Final = """\
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr crit;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
  access_log off; default_type application/json; tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=1024; listen 127.0.0.1:{tls_port} ssl backlog=1024;
    ssl_certificate {certificate}; ssl_certificate_key {certificate};
    location = {status} {{ stub_status; }}
{locations}
  }}
}}
"""


@attrs.frozen(kw_only=True)
class Server:
    """A running server: its name for the report, its two addresses, and its process."""

    name: str
    plain: str
    tls: str
    pid: int

    def requests(self) -> int:
        """How many there were so far, this one too."""
        with urllib.request.urlopen(self.plain + STATUS) as answer:
            counts = re.search(r"(\d+) (\d+) (\d+)", answer.read().decode())
        assert counts
        return int(counts[3])

    def cpu(self) -> float:
        """Seconds that the process has used; NaN where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serving(folder: Path, certificate: Path) -> contextlib.AbstractContextManager[Server]:
    """A server that answers at once."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    return _nginx(nginx, folder, certificate) if nginx else _own(certificate, 0)


def delayed(certificate: Path, seconds: float) -> contextlib.AbstractContextManager[Server]:
    """A server that answers after so many seconds."""
    return _own(certificate, seconds)


@contextlib.contextmanager
def _nginx(program: str, folder: Path, certificate: Path) -> Iterator[Server]:
    port, tls_port = _free_port(), _free_port()
    places = {"folder": folder, "certificate": certificate, "status": STATUS}
    written = _CONFIGURATION.format(
        port=port, tls_port=tls_port, locations="\n".join(_locations()), **places
    )
    file = folder / "nginx.conf"
    file.write_text(written)
    name = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    command = (program, "-p", str(folder), "-c", str(file))
    with _running(command, name.rpartition(" ")[2].strip(), port, tls_port) as server:
        yield server


def _locations() -> Iterator[str]:
    for start, text in BODIES.items():
        yield f"    location {start} {{ return 200 '{text}'; }}"
        yield f"    location {CLOSING}{start} {{ keepalive_timeout 0; return 200 '{text}'; }}"


@contextlib.contextmanager
def _own(certificate: Path, delay: float) -> Iterator[Server]:
    port, tls_port = _free_port(), _free_port()
    given = (str(port), str(tls_port), str(certificate), str(delay))
    command = (sys.executable, "-m", "benchmarks.own_server", *given)
    with _running(command, OWN, port, tls_port) as server:
        yield server


@contextlib.contextmanager
def _running(command: Sequence[str], name: str, port: int, tls_port: int) -> Iterator[Server]:
    process = subprocess.Popen(command, cwd=ROOT)
    plain, tls = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
    try:
        _await(process, port)
        yield Server(name=name, plain=plain, tls=tls, pid=process.pid)
    finally:
        process.terminate()
        process.wait()


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError("the server ended at once; what it said is above")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError("the server does not listen")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
