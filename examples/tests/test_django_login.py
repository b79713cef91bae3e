"""What is Django's in its example: users, and servers that fork."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from .sites import DJANGO, Site, environment, opened
from .visitor import Visitor

_serial: Final = itertools.count(1_000)

#: In a parent that has used its verifier, and in a child of it.
FORKED: Final = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
import django
django.setup()
from login.verification import verifier
ours = verifier()
assert verifier() is ours
ours.issue("+989121112233", purpose="login")
child = os.fork()
if not child:
    theirs = verifier()
    right = theirs is not ours and theirs is verifier()
    theirs.issue("+989121112234", purpose="login")
    os._exit(0 if right else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert verifier() is ours
ours.issue("+989121112235", purpose="login")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened("django", tmp_path_factory.mktemp("django")) as site:
        yield site


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return Visitor(site.url, f"203.0.113.{next(_serial) % 256}")


@pytest.fixture
def number() -> str:
    return f"+98912333{next(_serial)}"


def users(site: Site, statement: str, *values: object) -> list[Any]:
    """Ask Django's own database."""
    with contextlib.closing(sqlite3.connect(site.folder / "users.sqlite3")) as run, run:
        return run.execute(statement, values).fetchall()


def add_user(site: Site, number: str, *, active: bool) -> None:
    columns = (
        "username, is_active, password, first_name, last_name, email, is_superuser, is_staff,"
        " date_joined"
    )
    given = (number, active, "!", "", "", "", False, False, "2026-01-01")
    users(site, f"INSERT INTO auth_user ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *given)


def test_whoever_verifies_a_number_becomes_its_user(
    site: Site, visitor: Visitor, number: str
) -> None:
    """Not before it is verified, and with no password that anybody could know."""
    found = "SELECT is_active, substr(password, 1, 1) FROM auth_user WHERE username = ?"
    visitor.ask(number)
    assert users(site, found, number) == []
    assert visitor.enter(site.phones.code(number)).path == "/"
    assert users(site, found, number) == [(1, "!")]


def test_a_user_is_found_again(site: Site, visitor: Visitor, number: str) -> None:
    """One number is one user."""
    add_user(site, number, active=True)
    visitor.ask(number)
    assert visitor.enter(site.phones.code(number)).path == "/"
    found = "SELECT last_login IS NOT NULL FROM auth_user WHERE username = ?"
    assert users(site, found, number) == [(1,)]


def test_a_user_who_was_shut_out_stays_out(site: Site, visitor: Visitor, number: str) -> None:
    """With the right code too, and with the sentence for every rejected one."""
    add_user(site, number, active=False)
    visitor.ask(number)
    refused = visitor.enter(site.phones.code(number))
    assert refused.status == 422
    assert "This code is not right" in refused.text
    assert visitor.get("/").path == "/login"


def test_no_connection_is_shared_over_a_fork(tmp_path: Path) -> None:
    """A child has a verifier of its own, and its parent's goes on."""
    command = [sys.executable, "-W", "error", "-c", FORKED, str(DJANGO)]
    told = environment(tmp_path, "emulator://sandbox")
    ended = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
