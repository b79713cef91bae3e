"""DeftSMS through the whole of Qasid, and what `qasid` says of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

import qasid
from qasid.cli import main
from qasid.fields import is_unverified
from qasid_deftsms import DeftSMS
from qasid_deftsms.emulator import DeftSMSEmulator

PLUGGED: Final[dict[str, Any]] = {**DeftSMSEmulator.settings, "base_url": "emulator://deftsms"}
CREDIT: Final = qasid.Money("125000", "IRR")
LOST: Final = [
    "path_send_scheduled",
    "path_group",
    "path_group_scheduled",
    "path_peer_to_peer",
    "path_credit",
    "path_inbox",
]


def test_the_installed_emulator_answers_in_this_process() -> None:
    """No network is needed."""
    with qasid.connect("deftsms", **PLUGGED) as account:
        assert CREDIT == account.balance()


def test_the_installed_emulator_answers_the_async_account_too() -> None:
    """It is the same one."""

    async def ask() -> qasid.Money:
        async with qasid.connect_async("deftsms", **PLUGGED) as account:
            await account.send(qasid.TextMessage(to="09121112233", text="سلام"))
            return await account.balance()

    assert CREDIT - qasid.Money(100, "IRR") == asyncio.run(ask())


def test_a_wrong_key_is_refused_and_not_shown() -> None:
    """The error is the provider's."""
    settings = {**PLUGGED, "secret_key": "WRONG_KEY"}
    with (
        qasid.connect("deftsms", **settings) as account,
        pytest.raises(qasid.AuthenticationFailed) as caught,
    ):
        account.balance()
    assert "WRONG_KEY" not in f"{caught.value} {account!r} {account.provider!r}"


def test_what_deftsms_has_not_is_unsupported() -> None:
    """It rents nothing, makes no codes, and tells nothing of what it sent."""
    with qasid.connect("deftsms", **PLUGGED) as account:
        for ask in (
            lambda: account.acquire_number("acme", "IR"),
            lambda: account.otp("09121112233"),
            lambda: account.delivery_status([]),
            lambda: account.cancel_scheduled("1"),
        ):
            with pytest.raises(qasid.UnsupportedOperation, match="deftsms has no"):
                ask()


def test_the_lost_paths_are_marked_as_unverified() -> None:
    """And nothing else is."""
    assert LOST == [field.name for field in attrs.fields(DeftSMS) if is_unverified(field)]


def test_the_two_halves_have_the_same_paths() -> None:
    """They are settings of the same names, with the same defaults, in either."""
    provider, emulator = DeftSMS(**PLUGGED), DeftSMSEmulator()
    assert [getattr(provider, name) for name in LOST] == [getattr(emulator, n) for n in LOST]


@pytest.mark.parametrize("known", [[], LOST[:2], LOST])
def test_the_doctor_names_the_paths_that_are_left_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    known: list[str],
) -> None:
    """Six are made up until the operator has told them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path))
    for name, value in {**PLUGGED, **dict.fromkeys(known, "/told")}.items():
        monkeypatch.setenv(f"QASID_DEFTSMS_{name.upper()}", value)
    main(["doctor", "--account", "deftsms"])
    lines = capsys.readouterr().out.splitlines()
    told = [name for name in LOST for line in lines if f" {name}: " in line]
    assert [name for name in LOST if name not in known] == told
