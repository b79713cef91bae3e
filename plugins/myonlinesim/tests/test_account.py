"""MyOnlineSim through the whole of Qasid, with its emulator in the place of the network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import pytest

from qasid import (
    AuthenticationFailed,
    InboundMessage,
    Money,
    Rentals,
    TextMessage,
    UnsupportedOperation,
    WaitTimeout,
    connect,
    connect_async,
)
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request
from qasid_myonlinesim.emulator import MyOnlineSimEmulator

SETTINGS: Final[dict[str, Any]] = dict(MyOnlineSimEmulator.settings)
PLUGGED: Final = {"base_url": "emulator://myonlinesim", **SETTINGS}
CREDIT: Final = Money(1_000_000, "IRR")


@pytest.fixture
def book() -> Iterator[Rentals]:
    """The rentals of one test."""
    made = Rentals()
    yield made
    made.close()


def test_the_installed_emulator_answers_in_this_process(book: Rentals) -> None:
    """No network is needed."""
    with connect("myonlinesim", rentals=book, **PLUGGED) as account:
        assert CREDIT == account.balance()


def test_the_installed_emulator_answers_the_async_account_too(book: Rentals) -> None:
    """It is the same one."""

    async def ask() -> Money:
        async with connect_async("myonlinesim", rentals=book, **PLUGGED) as account:
            return await account.balance()

    assert CREDIT == asyncio.run(ask())


@pytest.mark.parametrize("field", ["client_id", "client_secret", "refresh_token"])
def test_a_wrong_setting_is_refused_and_not_shown(book: Rentals, field: str) -> None:
    """The error is the provider's."""
    with (
        connect("myonlinesim", rentals=book, **{**PLUGGED, field: "WRONG"}) as account,
        pytest.raises(AuthenticationFailed) as caught,
    ):
        account.balance()
    assert "WRONG" not in str(caught.value)


def test_what_myonlinesim_has_not_is_unsupported(book: Rentals) -> None:
    """It sends nothing."""
    with (
        connect("myonlinesim", rentals=book, **PLUGGED) as account,
        pytest.raises(UnsupportedOperation, match="myonlinesim has no send"),
    ):
        account.send(TextMessage(to="+989121112233", text="Hello"))


def test_a_number_is_rented_and_read_and_then_kept(book: Rentals) -> None:
    """The code is there as soon as the message is; a number with one is not taken back."""
    clock = VirtualClock()
    emulator = MyOnlineSimEmulator(clock=clock.now)

    def handle(request: Request) -> Any:
        if request.path.endswith("/sms") and clock.seconds > 39:
            emulator.deliver(str(request.payload()["number_id"]), "کد تأیید شما: ۱۲۳۴۵۶")
        return emulator.handle(request)

    driver = virtual_driver(handle, clock)
    with connect("myonlinesim", driver=driver, rentals=book, **SETTINGS) as account:
        with account.rent("tg", "11", max_price=Money(38000, "IRR")) as activation:
            assert "123456" == account.wait_for_sms(activation, timeout=120).code
        assert CREDIT - Money(38000, "IRR") == account.balance()
    assert ["received"] == [number.state for number in emulator.activations()]
    assert 40 <= clock.seconds < 45


def test_a_number_without_a_message_is_paid_back(book: Rentals) -> None:
    """The wait ends, the block ends, the number is cancelled."""
    clock = VirtualClock()
    emulator = MyOnlineSimEmulator(clock=clock.now)
    driver = virtual_driver(emulator.handle, clock)
    with connect("myonlinesim", driver=driver, rentals=book, **SETTINGS) as account:
        with pytest.raises(WaitTimeout), account.rent("tg", "11") as activation:
            account.wait_for_sms(activation, timeout=60)
        assert CREDIT == account.balance()
        assert [] == book.current(now=clock.now())
    assert ["deleted"] == [number.state for number in emulator.activations()]


@pytest.mark.parametrize("encoding", ["json", "form"])
def test_what_the_emulator_posts_is_read(book: Rentals, encoding: Any) -> None:
    """In both ways of encoding it."""
    emulator = MyOnlineSimEmulator(webhook_encoding=encoding)
    driver = virtual_driver(emulator.handle, VirtualClock())
    with connect("myonlinesim", driver=driver, rentals=book, **SETTINGS) as account:
        url = "https://client.example/hook/LONG_SECRET"
        emulator.deliver(account.acquire_number("tg", "60", callback_url=url).id, "رمز: ۴۷۱۱")
        (posted,) = emulator.webhooks()
        assert [InboundMessage(text="رمز: ۴۷۱۱")] == account.parse_webhook(posted.encode())
