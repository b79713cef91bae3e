"""Programs measured from outside: from the start of the process to its end."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.cases import OURS
from benchmarks.job import Outcome
from benchmarks.message import TEXT, TO

__all__ = ["PROGRAMS", "Program", "distributions", "started"]

_PASS: Final = ("python", "-c", "pass")
_SEND: Final = ("qasid", "send", "--account", "deftsms", TO, TEXT)

# What a person would write who has only requests.
_BARE_SEND: Final = """\
import os, requests
username, url = os.environ["QASID_DEFTSMS_USERNAME"], os.environ["QASID_DEFTSMS_BASE_URL"]
form = {"username": username, "token": "t" * 150}
requests.post(url + "/sms/send/simple", data=form).raise_for_status()
"""


@attrs.frozen(kw_only=True)
class Program:
    """A command of an environment; `crowded` with the 500 distributions on the path."""

    key: str
    command: tuple[str, ...]
    environment: str = OURS
    crowded: bool = False


def _imported(module: str, peer: str) -> Iterator[Program]:
    yield Program(key=f"start: pass, {peer}", command=_PASS, environment=peer)
    command = ("python", "-c", f"import {module}")
    yield Program(key=f"start: import {module}", command=command, environment=peer)


def _plain_and_crowded(name: str, *command: str) -> Iterator[Program]:
    yield Program(key=f"start: {name}", command=command)
    yield Program(key=f"start: {name}, crowded", command=command, crowded=True)


PROGRAMS: Final = (
    *_plain_and_crowded("pass", *_PASS),
    Program(key="start: import qasid", command=("python", "-c", "import qasid")),
    Program(key="start: qasid.connect", command=("python", "-c", "import qasid; qasid.connect")),
    *_imported("apprise", "apprise"),
    *_imported("notifiers", "notifiers"),
    *_imported("twilio.rest", "twilio"),
    *_plain_and_crowded("qasid --version", "qasid", "--version"),
    *_plain_and_crowded("qasid --help", "qasid", "--help"),
    *_plain_and_crowded("qasid providers", "qasid", "providers"),
    Program(
        key="start: apprise --version", command=("apprise", "--version"), environment="apprise"
    ),
    Program(key="start: qasid send", command=_SEND),
    Program(key="start: requests script", command=("python", "-c", _BARE_SEND)),
)


def started(command: Sequence[str], environment: Mapping[str, str]) -> Outcome:
    """Run it to its end, which must be 0. The memory is not told."""
    with tempfile.TemporaryFile() as said:
        before = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command} failed:\n{said.read().decode()}")
    return Outcome(sends=1, cpu=used.ru_utime + used.ru_stime, wall=wall, memory=0)


def distributions(folder: Path, count: int) -> Path:
    """A folder for the path, with so many installed distributions that have nothing to do with us.

    Each has metadata and a script, every tenth also a plugin for somebody.
    """
    for place in range(count):
        info = folder / f"stranger_{place}-1.0.dist-info"
        info.mkdir(parents=True)
        info.joinpath("METADATA").write_text(_METADATA.format(place=place))
        plugin = "" if place % 10 else f"[strangers.plugins]\nplugin{place} = stranger:Plugin\n"
        script = f"[console_scripts]\nstranger{place} = stranger:main\n"
        info.joinpath("entry_points.txt").write_text(script + plugin)
    return folder


_METADATA: Final = "Metadata-Version: 2.1\nName: stranger-{place}\nVersion: 1.0\n" + (
    "Classifier: Topic :: Other\n" * 20
)
