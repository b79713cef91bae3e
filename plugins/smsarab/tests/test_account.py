"""SMSArab through the whole of Qasid, with its emulator in the place of the network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import pytest

from qasid import (
    AuthenticationFailed,
    Money,
    Rentals,
    UnsupportedOperation,
    WaitTimeout,
    connect,
    connect_async,
)
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request
from qasid_smsarab.emulator import SMSArabEmulator

PLUGGED: Final[dict[str, Any]] = {
    "base_url": "emulator://smsarab",
    "api_key": "YOUR_API_KEY",
}
CREDIT: Final = Money("45.75", "USD")


@pytest.fixture
def book() -> Iterator[Rentals]:
    """The rentals of one test."""
    made = Rentals()
    yield made
    made.close()


def test_the_installed_emulator_answers_in_this_process(book: Rentals) -> None:
    """No network is needed."""
    with connect("smsarab", rentals=book, **PLUGGED) as account:
        assert CREDIT == account.balance()


def test_the_installed_emulator_answers_the_async_account_too(book: Rentals) -> None:
    """It is the same one."""

    async def ask() -> Money:
        async with connect_async("smsarab", rentals=book, **PLUGGED) as account:
            return await account.balance()

    assert CREDIT == asyncio.run(ask())


def test_a_wrong_key_is_refused_and_not_shown(book: Rentals) -> None:
    """The error is the provider's."""
    with (
        connect("smsarab", rentals=book, **{**PLUGGED, "api_key": "WRONG_KEY"}) as account,
        pytest.raises(AuthenticationFailed) as caught,
    ):
        account.balance()
    assert "WRONG_KEY" not in str(caught.value)


def test_what_smsarab_has_not_is_unsupported(book: Rentals) -> None:
    """It sends nothing."""
    with (
        connect("smsarab", rentals=book, **PLUGGED) as account,
        pytest.raises(UnsupportedOperation, match="smsarab has no otp"),
    ):
        account.otp("+966501234567")


def test_a_number_is_rented_read_and_given_back(book: Rentals) -> None:
    """The code is there as soon as the message is, and the number is not kept."""
    clock = VirtualClock()
    emulator = SMSArabEmulator(clock=clock.now)

    def handle(request: Request) -> Any:
        if request.path.startswith("/v1/messages/") and clock.seconds > 9:
            emulator.deliver(request.path.rpartition("/")[2], "رمز التحقق: ١٢٣٤٥٦")
        return emulator.handle(request)

    driver = virtual_driver(handle, clock)
    settings: dict[str, Any] = {"api_key": "YOUR_API_KEY", "driver": driver, "rentals": book}
    with connect("smsarab", **settings) as account:
        with account.rent("whatsapp", "SA", max_price=Money("0.50", "USD")) as activation:
            assert "123456" == account.wait_for_sms(activation, timeout=60).code
        assert CREDIT - Money("0.5", "USD") == account.balance()
    assert 10.0 == pytest.approx(clock.seconds)


def test_a_number_without_a_message_is_paid_back(book: Rentals) -> None:
    """The wait ends, the block ends, the number is cancelled."""
    clock = VirtualClock()
    emulator = SMSArabEmulator(clock=clock.now)
    driver = virtual_driver(emulator.handle, clock)
    settings: dict[str, Any] = {"api_key": "YOUR_API_KEY", "driver": driver, "rentals": book}
    with connect("smsarab", **settings) as account:
        with pytest.raises(WaitTimeout), account.rent("whatsapp", "SA") as activation:
            account.wait_for_sms(activation, timeout=60)
        assert CREDIT == account.balance()
        assert [] == book.current(now=clock.now())
    assert ["CANCELLED"] == [number.state for number in emulator.activations()]
