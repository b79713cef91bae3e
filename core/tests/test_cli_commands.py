"""Other distributions may add commands to `qasid`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qasid import errors, finding
from qasid.cli import running
from qasid.cli.exits import EXIT_CODES

from .commandline import Command, install, settle

SOURCE = """
import click

@click.command()
@click.argument("name")
def greet(name):
    "Say hello."
    click.echo(f"hello {name}")

value = 5
"""


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    settle(monkeypatch, tmp_path)
    yield
    finding.forget()


def test_a_command_of_another_distribution_is_one_of_ours(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed, helped with, and run."""
    entry = "greet = greeting:greet"
    install(monkeypatch, tmp_path / "site", "greeting", entry, SOURCE, group=finding.COMMANDS)
    assert (0, "hello you\n") == (qasid("greet", "you").code, qasid("greet", "you").out)
    assert "Say hello." in qasid("--help").out


def test_one_that_is_no_command_is_the_plugins_fault(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says whose when it is run, and breaks nothing else."""
    entry = "greet = greeting:value"
    install(monkeypatch, tmp_path / "site", "greeting", entry, SOURCE, group=finding.COMMANDS)
    assert "(is broken)" in qasid("--help").out
    ended = qasid("greet", "--loudly", "you")
    assert EXIT_CODES[errors.PluginError] == ended.code
    assert "'greet' of greeting 2.0" in ended.err


def test_a_command_of_ours_that_is_not_installed_names_its_package(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who read of it in the documentation know what to do."""
    monkeypatch.setitem(running._ELSEWHERE, "fly", "qasid-wings")
    ended = qasid("fly", "away")
    assert 2 == ended.code
    assert "fly is not installed; try: pip install qasid-wings" in ended.err
