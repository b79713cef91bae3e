"""The command and the sandbox; and distributions made for these tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from qasid import finding
from qasid.serving import serve
from qasid_sandbox.emulator import SandboxEmulator

from .commandline import Command

DISTRIBUTIONS: Final = Path(__file__).parent / "distributions"


# The command.


@pytest.fixture
def qasid(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, in this process."""
    return Command(capsys)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxEmulator]:
    """A sandbox whose books outlive one command."""
    emulator = SandboxEmulator()
    with serve(emulator) as server:
        monkeypatch.setenv("QASID_SANDBOX_BASE_URL", server.url)
        yield emulator


# Distributions, installed as any other: see the folder `distributions`.


def install(place: Path, *names: str) -> None:
    """Let pip build and install distributions of that folder, all in one call."""
    folders = [str(DISTRIBUTIONS / name) for name in names]
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet", "--upgrade"]
    alone = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([*pip, *alone, "--target", str(place), *folders], check=True)


@pytest.fixture(scope="session")
def installed_distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which all were installed, but for the two that are one."""
    place = tmp_path_factory.mktemp("installed")
    names = sorted(path.parent.name for path in DISTRIBUTIONS.glob("*/pyproject.toml"))
    install(place, *(name for name in names if not name.startswith("returning_")))
    return place


@pytest.fixture
def distributions(installed_distributions: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """They are on the path of this test, and of no other."""
    monkeypatch.syspath_prepend(installed_distributions)
    finding.forget()
    yield installed_distributions
    monkeypatch.undo()
    finding.forget()
