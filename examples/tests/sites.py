"""The example applications as processes, each with the server that its README names."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from qasid.codes import find_code
from qasid.effects import Request, Response
from qasid.serving import serve
from qasid_sandbox.emulator import SandboxEmulator

__all__ = ["APPLICATIONS", "DOMAIN", "Site", "environment", "opened"]

EXAMPLES: Final = Path(__file__).parent.parent
DJANGO: Final = EXAMPLES / "django_login"
DOMAIN: Final = "acme.example"
_PATIENCE: Final = 60.0  # seconds, on a busy machine
_LISTENS: Final = re.compile(r"(?:running on|Listening at:) (http://127\.0\.0\.1:\d+)")


class Phones(SandboxEmulator):
    """A sandbox that sends, and loses its answer to, what goes to the numbers in `lost`."""

    lost: frozenset[str] = frozenset()

    def handle(self, request: Request) -> Response:
        answer = super().handle(request)
        body = (request.content or b"").decode()
        lost = request.path == "/messages" and any(number in body for number in self.lost)
        return Response(status=502) if lost else answer

    def texts(self, number: str) -> list[str]:
        return [item.text for item in self.outbox() if item.to == number]

    def code(self, number: str) -> str:
        """The last one that this phone got."""
        code = find_code(self.texts(number)[-1])
        assert code is not None
        return code


@attrs.frozen
class Site:
    """A running application, and the phones that it sends to."""

    url: str
    phones: Phones
    folder: Path
    lines: list[str]
    end: Callable[[], None]

    @property
    def log(self) -> str:
        """All that it has written; complete after `end`."""
        return "".join(self.lines)


def environment(folder: Path, provider: str) -> dict[str, str]:
    """All that the applications are told, and nothing of whoever runs the tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("QASID_")}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "loud",
        "HOME": str(folder),  # where gunicorn has its control socket
        "LOGIN_COUNTRIES": "IR,SA",
        "LOGIN_DOMAIN": DOMAIN,
        "LOGIN_INSECURE": "yes",
        "LOGIN_PROXIES": "1",
        "LOGIN_SECRET": "a secret that is long enough for anybody",
        "LOGIN_USERS": str(folder / "users.sqlite3"),
        "PYTHONPATH": os.pathsep.join([str(folder), str(DJANGO)]),
        "QASID_SANDBOX_BASE_URL": provider,
        "QASID_STATE_DIR": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }


# How each is started. Both log all that can be logged.


def fastapi(folder: Path, told: Mapping[str, str]) -> list[str]:
    """The command for uvicorn."""
    console = {"handlers": {"console": {"class": "logging.StreamHandler"}}}
    root = {"root": {"level": "DEBUG", "handlers": ["console"]}}
    config = folder / "log.json"
    config.write_text(
        json.dumps({"version": 1, "disable_existing_loggers": False, **console, **root})
    )
    application = ["--factory", "fastapi_login.app:create", "--app-dir", str(EXAMPLES)]
    proxies = [] if int(told["LOGIN_PROXIES"]) else ["--no-proxy-headers"]
    return ["-m", "uvicorn", *application, "--port", "0", "--log-config", str(config), *proxies]


def django(folder: Path, told: Mapping[str, str]) -> list[str]:
    """The command for gunicorn, which loads the project once and forks two workers."""
    loud = 'from shop.settings import *\nLOGGING["root"]["level"] = "DEBUG"\n'
    (folder / "loud.py").write_text(loud)
    migrate = [sys.executable, str(DJANGO / "manage.py"), "migrate", "--verbosity", "0"]
    subprocess.run(migrate, env=dict(told), check=True)
    workers = ["--preload", "--workers", "2", "--threads", "4", "--access-logfile", "-"]
    return ["-m", "gunicorn", "shop.wsgi", "--bind", "127.0.0.1:0", *workers]


APPLICATIONS: Final[Mapping[str, Callable[[Path, Mapping[str, str]], list[str]]]] = {
    "fastapi": fastapi,
    "django": django,
}


@contextlib.contextmanager
def opened(name: str, folder: Path, **more: str) -> Iterator[Site]:
    """Start an application and its provider. `more` goes to its environment."""
    phones = Phones()
    with serve(phones) as provider:
        told = environment(folder, provider.url) | more
        command = [sys.executable, *APPLICATIONS[name](folder, told)]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        with process:
            reader = _Reader(process)
            try:
                yield Site(reader.address(), phones, folder, reader.lines, reader.end)
            finally:
                reader.end()


class _Reader(threading.Thread):
    """Reads what a process writes, until it ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self.lines: list[str] = []
        self._process = process
        self._told = threading.Event()
        self._url: str | None = None
        self.start()

    def run(self) -> None:
        for line in self._process.stdout or ():
            self.lines.append(line)
            found: Any = _LISTENS.search(line)
            if found:
                self._url = found[1]
                self._told.set()
        self._told.set()

    def address(self) -> str:
        self._told.wait(_PATIENCE)
        if self._url is None:
            raise RuntimeError(f"it does not come up: {''.join(self.lines)}")
        return self._url

    def end(self) -> None:
        """End the process, and have read all that it wrote."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self.join(_PATIENCE)
