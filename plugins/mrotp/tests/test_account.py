"""MrOTP through the whole of Qasid, with its emulator in the place of the network."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from qasid import (
    AuthenticationFailed,
    InvalidRequest,
    Money,
    OtpTicket,
    SettingsError,
    TemplateMessage,
    TextMessage,
    UnsupportedOperation,
    connect,
    connect_async,
)
from qasid_mrotp import MrOTP

PLUGGED: Final[dict[str, Any]] = {"base_url": "emulator://mrotp", "api_key": "your api Key"}
TO: Final = "09121112233"
CREDIT: Final = Money(329_263_930, "IRR")


def test_the_installed_emulator_answers_in_this_process() -> None:
    """No network is needed."""
    with connect("mrotp", **PLUGGED) as account:
        assert CREDIT == account.balance()


def test_the_async_account_sends_and_verifies_too() -> None:
    """With the same provider."""

    async def ask() -> tuple[OtpTicket, bool]:
        async with connect_async("mrotp", **PLUGGED) as account:
            ticket = await account.otp(TO, channel="voice")
            return ticket, (await account.verify_otp(TO, ticket.code or "")).accepted

    ticket, accepted = asyncio.run(ask())
    assert ("+989121112233", True) == (ticket.to, accepted)


def test_a_code_is_nowhere_to_be_seen() -> None:
    """Neither in the ticket's words nor in the provider's is a secret."""
    with connect("mrotp", **PLUGGED) as account:
        ticket = account.otp(TO, code="4321")
    assert "4321" == ticket.code
    assert "4321" not in f"{ticket!r} {ticket}"
    assert "your api Key" not in repr(MrOTP(api_key="your api Key"))


def test_a_wrong_key_is_refused_and_not_shown() -> None:
    """The error is the provider's."""
    with (
        connect("mrotp", **{**PLUGGED, "api_key": "WRONG_KEY"}) as account,
        pytest.raises(AuthenticationFailed) as caught,
    ):
        account.balance()
    assert "WRONG_KEY" not in str(caught.value)


def test_a_template_is_sent_and_a_text_is_not() -> None:
    """There is no call for plain texts."""
    values = {"0": "علي", "1": "محمدي", "2": "1315"}
    with connect("mrotp", **PLUGGED) as account:
        receipt = account.send(TemplateMessage(to=TO, template="1", values=values))
        assert "1315" == receipt.id
        with pytest.raises(InvalidRequest, match="TemplateMessage"):
            account.send(TextMessage(to=TO, text="Hello"))


def test_what_mrotp_has_not_is_unsupported() -> None:
    """It tells no delivery."""
    with (
        connect("mrotp", **PLUGGED) as account,
        pytest.raises(UnsupportedOperation, match="mrotp has no delivery_status"),
    ):
        account.delivery_status([])


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the provider's name; a channel that is none is told by its field."""
    monkeypatch.setenv("QASID_MROTP_API_KEY", "your api Key")
    monkeypatch.setenv("QASID_MROTP_BASE_URL", "emulator://mrotp")
    monkeypatch.setenv("QASID_MROTP_CHANNEL", "ussd")
    with connect("mrotp") as account:
        assert "*500*1234567#" == account.otp(TO).dial
    monkeypatch.setenv("QASID_MROTP_CHANNEL", "fax")
    with pytest.raises(SettingsError, match="'channel': must be sms, ussd or voice"):
        connect("mrotp")
