"""What `qasid new-provider` writes is a plugin, of which it says what the contract says."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qasid import finding
from qasid_contract import ProviderContract
from qasid_contract.new_provider import AUTHS, RED_AT_FIRST, command, files
from qasid_contract.running import Status, planned, run


def written(*arguments: object) -> Result:
    """What the command says."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def made(folder: Path, name: str, auth: str) -> Path:
    """A new plugin."""
    assert 0 == written(name, "--auth", auth, "--into", folder).exit_code
    return folder / name


@pytest.mark.parametrize("auth", AUTHS)
def test_a_new_plugin_is_red_where_it_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str
) -> None:
    """Of the whole contract those rules fail that the command lists, in the words that it prints.

    So the balance, and the way in, really work, on each path.
    """
    name = f"red_{auth.replace('-', '_')}"  # of its own, as a module is imported only once
    monkeypatch.syspath_prepend(str(made(tmp_path, name, auth) / "src"))
    contract = _contract_of(name)
    results = [run(contract, rule, path) for rule, path in planned(contract)]
    red = {result.rule.id: result.words for result in results if result.status is Status.FAILED}
    assert [rule for rule, _, _ in RED_AT_FIRST] == list(red), red
    for rule, words, _ in RED_AT_FIRST:
        assert red[rule].startswith(f"AssertionError: {words}")


def _contract_of(name: str) -> type[ProviderContract]:
    kind = "".join(word.capitalize() for word in name.split("_"))
    package = importlib.import_module(f"qasid_{name}")
    emulator = importlib.import_module(f"qasid_{name}.emulator")
    members = {
        "provider": getattr(package, kind),
        "emulator": getattr(emulator, f"{kind}Emulator"),
    }
    return type("New", (ProviderContract,), members)


@pytest.mark.parametrize("auth", AUTHS)
def test_a_new_plugins_own_tests_run(tmp_path: Path, auth: str) -> None:
    """Once it is installed its quirks pass, and its contract is collected."""
    plugin = made(tmp_path, "acme", auth)
    _register(plugin)
    done = _pytest(plugin, "-k", "quirks or DEC-8")
    assert "2 passed" in done, done


def _register(plugin: Path) -> None:
    """Tell of its entry points what an installation would."""
    about = tomllib.loads((plugin / "pyproject.toml").read_text("utf-8"))["project"]
    [(name, target)] = about["entry-points"][finding.PROVIDERS].items()
    metadata = plugin / "src" / "new-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: new\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{finding.PROVIDERS}]\n{name} = {target}\n")


def _pytest(plugin: Path, *arguments: str) -> str:
    path = os.pathsep.join([str(plugin / "src"), *filter(None, sys.path)])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        command, cwd=plugin, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_everything_that_a_plugin_needs_is_written(tmp_path: Path) -> None:
    """Code, emulator, examples, tests, pages, licence and CI, each with the name in its place."""
    plugin = made(tmp_path, "acme", "api-key")
    found = {path.relative_to(plugin).as_posix() for path in plugin.rglob("*") if path.is_file()}
    assert {
        ".github/workflows/ci.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "docs/acme.md",
        "pyproject.toml",
        "src/qasid_acme/__init__.py",
        "src/qasid_acme/emulator.py",
        "src/qasid_acme/examples/documented.json",
        "src/qasid_acme/py.typed",
        "tests/test_contract.py",
        "tests/test_quirks.py",
    } == found


def test_the_distribution_has_its_names_and_entry_points() -> None:
    """One name in every position, as in our own plugins."""
    project: dict[str, Any] = tomllib.loads(files("my_sms", "signed")["pyproject.toml"])["project"]
    assert "qasid-my-sms" == project["name"]
    assert {
        finding.PROVIDERS: {"my_sms": "qasid_my_sms:MySms"},
        finding.EMULATORS: {"my_sms": "qasid_my_sms.emulator:MySmsEmulator"},
    } == project["entry-points"]


def test_the_page_has_the_headings_of_the_house() -> None:
    """As those of our own providers."""
    page = files("acme", "api-key")["docs/acme.md"]
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    house = "Settings, Example, What it can do, Limits, Quirks, Not documented, Sources"
    assert house.split(", ") == headings


@pytest.mark.parametrize("auth", AUTHS)
def test_no_blank_is_left(auth: str) -> None:
    """Every placeholder is filled; a workflow's own expressions stay."""
    texts = files("acme", auth)
    workflow = texts.pop(".github/workflows/ci.yml")
    assert "python-version: ${{ matrix.python }}" in workflow
    assert [] == [path for path, text in texts.items() if "$" in text]


def test_the_steps_are_printed(tmp_path: Path) -> None:
    """What to do next, and what the contract will say until it is done."""
    done = written("acme", "--into", tmp_path)
    assert f"  cd {tmp_path / 'acme'}\n" in done.stdout
    for rule, words, remedy in RED_AT_FIRST:
        assert f"  {rule:7} {words}\n          {remedy}\n" in done.stdout


def test_programs_get_the_steps_as_json(tmp_path: Path) -> None:
    """The folder, the files, and each rule that is red with its words and its remedy."""
    told = json.loads(written("acme", "--into", tmp_path, "--json").stdout)
    assert str(tmp_path / "acme") == told["folder"]
    assert sorted(files("acme", "api-key")) == sorted(told["files"])
    assert list(RED_AT_FIRST) == [tuple(step.values()) for step in told["red"]]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Acme", "no Python identifier in lower case"),
        ("1st", "no Python identifier in lower case"),
        ("my-sms", "no Python identifier in lower case"),
        ("sms_", "no Python identifier in lower case"),
        ("../acme", "no Python identifier in lower case"),
        ("acmé", "no Python identifier in lower case"),
        ("class", "no Python identifier in lower case"),
        ("a" * 41, "no Python identifier in lower case"),
        ("sandbox", "is installed already"),
        ("contract", "a package qasid_contract already"),
        ("money", "would be called Money"),
        ("none", "would be called None"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, why: str) -> None:
    """With the argument's name, the reason and exit code 2; nothing is written."""
    done = written(name, "--into", tmp_path)
    assert 2 == done.exit_code
    assert "Invalid value for 'NAME'" in done.stderr
    assert why in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """Whatever is in it."""
    (tmp_path / "acme").mkdir()
    done = written("acme", "--into", tmp_path)
    assert (2, []) == (done.exit_code, list((tmp_path / "acme").iterdir()))
    assert "Invalid value for 'NAME': the folder" in done.stderr


def test_the_target_must_be_there(tmp_path: Path) -> None:
    """A misspelt folder is not made."""
    done = written("acme", "--into", tmp_path / "elsewhere")
    assert 2 == done.exit_code
    assert "Invalid value for '--into'" in done.stderr


def test_where_nothing_can_be_written_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is not the fault of the output."""

    def full(**where: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    done = written("acme", "--into", tmp_path)
    assert 2 == done.exit_code
    assert "Invalid value for '--into': nothing can be written there: No space left" in done.stderr


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    """The kinds that there are are named."""
    done = written("acme", "--auth", "basic", "--into", tmp_path)
    assert 2 == done.exit_code
    assert "'api-key', 'bearer', 'oauth2', 'signed'" in done.stderr
