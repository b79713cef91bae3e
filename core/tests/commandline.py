"""The command `qasid`, run in this process or as one of its own, and servers for it to talk to."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import pytest

from qasid import finding
from qasid.cli import main
from qasid.effects import Request, Response
from qasid.serving import EmulatorServer, serve
from qasid_smsarab.emulator import SMSArabEmulator

KEY: Final = SMSArabEmulator.settings["api_key"]

ACQUIRE: Final = "POST /v1/numbers"
CANCEL: Final = "POST /v1/numbers/.*/cancel"
LOOK: Final = "GET /v1/messages/.*"
OFFERS: Final = "GET /v1/services"

# A test may add variables of its own; these it never inherits.
_FOREIGN: Final = re.compile(
    r"(QASID|PYTHON|XDG)_?|.*_PROXY$|.*_CA_BUNDLE$|SSL_CERT_", re.IGNORECASE
)

Cue: TypeAlias = Callable[[Response], Response]


def settle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home, a working directory and an environment that no one has configured."""
    for name in filter(_FOREIGN.match, [*os.environ]):
        monkeypatch.delenv(name)
    for variable, folder in [("HOME", "home"), ("XDG_CONFIG_HOME", "config"), ("TMPDIR", "tmp")]:
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@attrs.frozen
class Ended:
    """A command that has ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What it wrote with ``--json``, which is one line."""
        (line,) = self.out.splitlines()
        return json.loads(line)


def _sound(ended: Ended) -> Ended:
    """What is true of every command: it never shows a traceback, nor a key on stderr."""
    assert "Traceback" not in ended.err
    assert KEY not in ended.err
    return ended


@attrs.frozen
class Command:
    """`qasid` in this process."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ended:
        code = main(arguments)
        return _sound(Ended(code, *self.capsys.readouterr()))


@attrs.define
class Process:
    """`qasid` as a process of its own."""

    popen: subprocess.Popen[str]
    heard: str = ""

    def hear(self, words: str) -> str:
        """Read stderr until a line has these words; give that line."""
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.heard += line
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}: {self.heard}")

    def ended(self) -> Ended:
        """Wait for its end."""
        code = self.popen.wait()
        out, err = (pipe.read() if pipe else "" for pipe in (self.popen.stdout, self.popen.stderr))
        return _sound(Ended(code, out, self.heard + err))


@contextlib.contextmanager
def process(*arguments: str, **streams: Any) -> Iterator[Process]:
    """A process that is gone after the `with`; one that hangs is killed after a minute."""
    told = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "qasid.cli", *arguments]
    with subprocess.Popen(command, text=True, **{**told, **streams}) as popen:
        watchdog = threading.Timer(60, popen.kill)
        watchdog.start()
        try:
            yield Process(popen)
        finally:
            watchdog.cancel()
            popen.kill()


def in_shell(redirection: str, *arguments: str) -> Ended:
    """Run it by a shell, with a redirection such as ``>&-``."""
    command = shlex.join([sys.executable, "-m", "qasid.cli", *arguments])
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} {redirection}"], capture_output=True, text=True, timeout=60
    )
    return _sound(Ended(done.returncode, done.stdout, done.stderr))


# SMSArab, as far as a test has it misbehave.


@attrs.define(kw_only=True, eq=False)
class Staged(SMSArabEmulator):
    """Knows what it was `asked`; an answer passes the cue of its request before it leaves."""

    asked: list[str] = attrs.field(factory=list)
    cues: dict[str, Cue] = attrs.field(factory=dict)

    def handle(self, request: Request) -> Response:
        line = f"{request.method} {request.path}"
        self.asked.append(line)
        response = SMSArabEmulator.handle(self, request)
        cues = (cue for pattern, cue in self.cues.items() if re.fullmatch(pattern, line))
        return next(cues, lambda unchanged: unchanged)(response)

    def states(self) -> list[str]:
        """The state of every number ever rented."""
        return [activation.state for activation in self.activations()]


@attrs.frozen
class Gate:
    """A cue that holds the answer back: `came` once there is one, until `go`."""

    came: threading.Event = attrs.field(factory=threading.Event)
    go: threading.Event = attrs.field(factory=threading.Event)

    def __call__(self, response: Response) -> Response:
        self.came.set()
        self.go.wait(30)
        return response


def signalling(number: signal.Signals, status: int | None = None) -> Cue:
    """A cue that sends this process a signal before the answer, whose status may be another."""

    def cue(response: Response) -> Response:
        os.kill(os.getpid(), number)
        return response if status is None else Response(status=status)

    return cue


def answering(status: int, body: bytes = b"{}") -> Cue:
    """A cue that answers something else than what was done."""
    return lambda response: Response(status=status, body=body)


@contextlib.contextmanager
def served(
    monkeypatch: pytest.MonkeyPatch, emulator: Any = None, **options: Any
) -> Iterator[EmulatorServer]:
    """SMSArab's emulator on a port, and an environment in which it is the one account."""
    with serve(emulator or Staged(), **options) as server:
        monkeypatch.setenv("QASID_SMSARAB_BASE_URL", server.url)
        monkeypatch.setenv("QASID_SMSARAB_API_KEY", KEY)
        yield server


AT_ONCE: Final = timedelta(0)


# Plugins that are not installed otherwise.


def install(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    distribution: str,
    entry: str,
    source: str = "",
    *,
    group: str = finding.PROVIDERS,
) -> None:
    """Put a distribution on the path, here and for processes: one entry point and one module."""
    module = entry.partition(" = ")[2].partition(":")[0]
    info = folder / f"{distribution.replace('-', '_')}-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
    if source:
        (folder / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delitem(sys.modules, module, raising=False)
    finding.forget()


def lines(text: str) -> Sequence[str]:
    """The lines of a table, each with its columns one space apart."""
    return [" ".join(line.split()) for line in text.splitlines()]
