"""``qasid route``, and routes where a command takes an account."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from qasid.cli.exits import NO

from .acme import TO
from .commandline import Command, lines, settle

TOML: Final = """
[accounts.work]
provider = "sandbox"
delay = 0
[routes.alerts]
accounts = ["work", "sandbox"]
[routes.local]
accounts = ["work", "sandbox"]
policy = "prefix"
prefixes = { "+98912" = "sandbox" }
otherwise = []
"""


@pytest.fixture
def qasid(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """The command, with two routes."""
    settle(monkeypatch, tmp_path)
    Path("qasid.toml").write_text(TOML)
    return Command(capsys)


def test_routes_are_listed(qasid: Command) -> None:
    """With policy and accounts, for people and for programs."""
    assert [
        "NAME POLICY ACCOUNTS",
        "alerts failover work, sandbox",
        "local prefix work, sandbox",
    ] == lines(qasid("route", "list").out)
    found = qasid("route", "list", "--json").data
    assert {"name": "alerts", "policy": "failover", "accounts": ["work", "sandbox"]} == found[0]


def test_no_route_is_said(qasid: Command) -> None:
    """And how to make one."""
    Path("qasid.toml").unlink()
    ended = qasid("route", "list")
    assert (0, "") == (ended.code, ended.out)
    assert "[routes.NAME]" in ended.err


def test_a_decision_is_explained(qasid: Command) -> None:
    """In the order of the accounts, and nothing is sent."""
    ended = qasid("route", "explain", "local", "--to", "0912 111 2233")
    assert ["asked sandbox for +98912", "skipped work not for +98912"] == lines(ended.out)
    found = qasid("route", "explain", "alerts", "--to", TO, "--json").data
    choice = found["choices"][0]
    assert ("work", True, "number 1 in order") == tuple(
        choice[key] for key in ("account", "takes", "because")
    )
    assert 0 == choice["health"]["acts"]


def test_a_recipient_whom_nobody_takes_is_a_no(qasid: Command) -> None:
    """The exit code says so, and each account why."""
    ended = qasid("route", "explain", "local", "--to", "+966501234567")
    assert NO == ended.code
    assert ["skipped work not for all other numbers"] == lines(ended.out)[:1]


def test_a_route_that_is_not_there_is_an_error(qasid: Command) -> None:
    """As an account that is not there."""
    ended = qasid("route", "explain", "alarms", "--to", TO)
    assert 4 == ended.code
    assert "there are: alerts, local" in ended.err


def test_a_message_is_sent_by_a_route(qasid: Command) -> None:
    """Where a command takes an account, it takes a route."""
    ended = qasid("send", TO, "hello", "--account", "alerts", "--json")
    assert (0, "work") == (ended.code, ended.data["account"])


def test_a_number_is_rented_by_a_route(qasid: Command) -> None:
    """Its message, and whether it is to be released, are asked where it was rented."""
    ended = qasid("rent", "acme", "SA", "--account", "alerts", "--timeout", "60")
    assert (0, 6) == (ended.code, len(ended.out.strip()))
    assert "the number has had a message" in ended.err


def test_a_balance_is_an_accounts(qasid: Command) -> None:
    """The error says whom to ask."""
    ended = qasid("balance", "--account", "alerts")
    assert 6 == ended.code
    assert "ask its accounts" in ended.err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("qasid route explain l", "local"),
        ("qasid send --account al", "alerts"),
    ],
)
def test_names_of_routes_are_completed(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, words: str, found: str
) -> None:
    """Where a route, or an account, is asked for."""
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    monkeypatch.setenv("_QASID_COMPLETE", "bash_complete")
    assert [f"plain,{found}"] == lines(qasid().out)
