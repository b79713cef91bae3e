"""What `import qasid` gives, and what it costs."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import Any, Final

import pytest

import qasid

NAMES: Final[list[str]] = getattr(qasid, "__all__")  # noqa: B009, made when it is asked for
HOMES: Final = (
    "qasid.account",
    "qasid.errors",
    "qasid.rentals",
    "qasid.routing",
    "qasid.streams",
    "qasid.values",
    "qasid.watching",
)
HEAVY: Final = frozenset(
    {
        "aiohttp",
        "alembic",
        "attr",
        "attrs",
        "click",
        "jwt",
        "phonenumbers",
        "pluggy",
        "psycopg",
        "requests",
        "rich",
        "sqlalchemy",
        "stevedore",
        "urllib3",
    }
)
#: What an account without a journal, and without a login, has no use for.
SELDOM: Final = frozenset(
    {
        "qasid.grants",
        "qasid.journal.records",
        "qasid.journal.resolution",
        "qasid.journal.results",
        "qasid.login",
        "qasid.policies.claims",
        "qasid.tokens",
        "qasid.vault",
    }
)


def _imported(code: str) -> set[str]:
    """The top-level names of all modules that a new interpreter imports for that code."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    unmeasured = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    ran = subprocess.run(command, env=unmeasured, capture_output=True, text=True, check=True)
    lines = ran.stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def test_import_qasid_imports_nothing_heavy_and_no_plugin() -> None:
    """Only the versions are read."""
    found = _imported("import qasid")
    tops = {name.partition(".")[0] for name in found}
    assert "qasid" in found
    assert {"qasid", "qasid._version"} == {name for name in found if name.startswith("qasid")}
    assert set() == tops & HEAVY


@pytest.mark.parametrize("name", ["Money", "QasidError"])
def test_a_value_or_an_error_needs_neither_the_network_nor_pluggy(name: str) -> None:
    """What is light by itself stays so."""
    tops = {found.partition(".")[0] for found in _imported(f"from qasid import {name}")}
    assert set() == tops & (HEAVY - {"attr", "attrs"})


def test_the_public_names_are_those_of_their_modules_and_the_versions() -> None:
    """Not one more, not one less, each once, in order."""
    homes = {name for home in HOMES for name in importlib.import_module(home).__all__}
    assert sorted({*homes, "CONTRACT_VERSION", "__version__"}) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name: str) -> None:
    """It is what its module has under that name."""
    homes = map(importlib.import_module, (*HOMES, "qasid._version"))
    names = {"__version__": "VERSION"}
    owners = [home for home in homes if hasattr(home, names.get(name, name))]
    assert getattr(owners[0], names.get(name, name)) is getattr(qasid, name)


def test_dir_shows_every_public_name() -> None:
    """So that completion works before anything is used."""
    assert set(NAMES) <= set(dir(qasid))


@pytest.mark.parametrize("name", ["unheard_of", "_private", "__wrapped__"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    """It names the module and what was asked for."""
    with pytest.raises(AttributeError, match=f"'qasid' has no attribute '{name}'"):
        getattr(qasid, name)


def test_a_star_import_gives_the_public_names() -> None:
    """All of them, and nothing that is not public."""
    space: dict[str, Any] = {}
    exec("from qasid import *", space)
    assert set(NAMES) == space.keys() - {"__builtins__"}


def test_an_account_needs_nothing_that_it_does_not_use() -> None:
    """No database where there is no journal, and no event loop for one that blocks."""
    found = _imported("import qasid; qasid.connect('sandbox')")
    tops = {name.partition(".")[0] for name in found}
    assert "qasid_sandbox" in tops
    assert set() == tops & {"alembic", "asyncio", "psycopg", "sqlalchemy", "sqlite3"}
    assert set() == found & SELDOM
    assert sys.platform != "linux" or "platformdirs" not in tops


def test_an_event_loop_needs_no_second_http_library() -> None:
    """It would be two megabytes of each process."""
    tops = {name.partition(".")[0] for name in _imported("import qasid.drivers.http_aio")}
    assert set() == tops & {"requests", "urllib3"}


@pytest.mark.parametrize(
    "module", ["settings", "rentals", "line", "operations", "finding", "journal"]
)
def test_any_module_may_be_imported_first(module: str) -> None:
    """The package gives names on demand, and is not in the way of its own modules."""
    assert f"qasid.{module}" in _imported(f"import qasid.{module}")
