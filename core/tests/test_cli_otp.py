"""`qasid otp`: codes within limits, over all commands of a user."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from qasid import errors
from qasid.cli.exits import EXIT_CODES, NO
from qasid.codes import find_code
from qasid_deftsms.emulator import DeftSMSEmulator
from qasid_sandbox.emulator import SandboxEmulator

from .acme import TO
from .commandline import Command, settle

TEXT: Final = ["--text", "Your code is {code}."]


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


def code(sandbox: SandboxEmulator) -> str:
    """The code that the phone was sent last."""
    return find_code(sandbox.outbox()[-1].text) or ""


@pytest.mark.parametrize("how", [TEXT, [], ["--template", "login"], ["--channel", "voice"]])
def test_a_code_is_sent_and_verified_once(
    qasid: Command, sandbox: SandboxEmulator, how: list[str]
) -> None:
    """By two commands; what is printed is no code."""
    sent = qasid("otp", "send", TO, *how)
    assert (0, "") == (sent.code, sent.out)
    right = code(sandbox)
    assert right
    assert right not in sent.err
    ended = [qasid("otp", "verify", TO, right) for _ in range(2)]
    assert [(0, "accepted\n"), (NO, "rejected\n")] == [(it.code, it.out) for it in ended]


def test_the_segments_of_a_text_are_said(qasid: Command, sandbox: SandboxEmulator) -> None:
    """With the line that binds it to a site."""
    ended = qasid("otp", "send", TO, "--text", "رمز {code}", "--domain", "example.com")
    assert "The text takes 1 SMS (UCS-2).\n" in ended.err
    assert sandbox.outbox()[-1].text.endswith(f"\n@example.com #{code(sandbox)}")


def test_what_was_issued_is_json_without_the_code(qasid: Command, sandbox: SandboxEmulator) -> None:
    """With all else that there is to know."""
    ended = qasid("otp", "send", TO, "--purpose", "payment", "--json", *TEXT)
    assert ("payment", TO, 0) == tuple(ended.data[key] for key in ("purpose", "to", "step"))
    assert code(sandbox) not in ended.out


@pytest.mark.usefixtures("sandbox")
def test_limits_hold_over_commands(qasid: Command) -> None:
    """With an exit code of their own."""
    qasid("otp", "send", TO, *TEXT)
    ended = qasid("otp", "send", TO, "--purpose", "payment", *TEXT)
    assert EXIT_CODES[errors.OtpLimitExceeded] == ended.code
    assert "error: OtpLimitExceeded: cooldown: this recipient was sent a code just now" in ended.err


@pytest.mark.usefixtures("sandbox")
def test_guesses_are_counted_over_commands(qasid: Command, sandbox: SandboxEmulator) -> None:
    """Five, and then no more, with the reason for programs."""
    qasid("otp", "send", TO, *TEXT)
    wrong = f"{(int(code(sandbox)) + 1) % 1_000_000:06}"
    told = [qasid("otp", "verify", TO, wrong, "--json").data["reason"] for _ in range(6)]
    assert ["wrong"] * 5 + ["too many guesses"] == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--direct", "--text", "{code}"], "--text does not go with --direct"),
        (["--direct", "--caller", "x"], "--caller does not go with --direct"),
        (["--code", "1234"], "--code goes with --direct"),
        (["--reference", "x"], "--reference goes with --direct"),
        (["--text", "no place"], "text has no {code}"),
        (["--text", "{code}", "--domain", "x"], "domain must be a name"),
        (["--text", "{code}", "--length", "3"], "length must be between 4 and 10"),
        (["--domain", "example.com"], "--domain goes with --text"),
    ],
)
def test_what_does_not_go_together_is_a_wrong_use(
    qasid: Command, sandbox: SandboxEmulator, words: list[str], told: str
) -> None:
    """Before anything is sent."""
    ended = qasid("otp", "send", TO, *words)
    assert (2, True) == (ended.code, told in ended.err)
    assert [] == sandbox.outbox()


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch) -> str:
    """An account that has neither `otp` nor `verify_otp`."""
    for name, value in {**DeftSMSEmulator.settings, "base_url": "emulator://deftsms"}.items():
        monkeypatch.setenv(f"QASID_DEFTSMS_{name.upper()}", value)
    return "deftsms"


def test_an_account_that_only_sends_needs_a_text(qasid: Command, sending: str) -> None:
    """To send; none to verify."""
    ended = qasid("otp", "send", TO, "-a", sending)
    assert EXIT_CODES[errors.SettingsError] == ended.code
    assert "'deftsms' has no otp; give a text, in which codes are sent" in ended.err
    assert 0 == qasid("otp", "send", TO, "-a", sending, *TEXT).code
    assert "rejected\n" == qasid("otp", "verify", TO, "1", "-a", sending).out


def test_without_sqlalchemy_the_remedy_is_told(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And `--direct` goes without it."""
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    for name in [name for name in sys.modules if name.startswith("qasid.otp")]:
        monkeypatch.delitem(sys.modules, name)
    ended = qasid("otp", "send", TO)
    assert EXIT_CODES[errors.SettingsError] == ended.code
    assert 'run: pip install "qasid[journal]"; or use --direct' in ended.err
    assert 0 == qasid("otp", "send", TO, "--direct").code


def test_the_key_is_not_in_the_database(qasid: Command, tmp_path: Path) -> None:
    """They are two files of the state folder."""
    qasid("otp", "send", TO, *TEXT)
    folder = tmp_path / "state" / "qasid"
    key = (folder / "otp.key").read_text()
    assert key.encode() not in (folder / "journal.sqlite3").read_bytes()
