"""SMSArab's limits are kept: its emulator, which counts strictly, refuses nobody."""

from __future__ import annotations

import asyncio
import selectors
from itertools import pairwise
from typing import Any, Final

import attrs
import pytest

from qasid import AsyncAccount, Rentals, connect, connect_async
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request, Response
from qasid.errors import RateLimited
from qasid_smsarab.emulator import SMSArabEmulator

SETTINGS: Final[dict[str, Any]] = {"api_key": "YOUR_API_KEY", "max_wait": 3600, "max_open": 100}


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock leaps to the next alarm, instead of waiting for it."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Leaping(clock))
        self._virtual = clock

    def time(self) -> float:
        return self._virtual.tick()


class _Leaping(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(None if timeout is None else 0)
        if timeout and not ready:
            self._clock.sleep(timeout)
        return ready


@attrs.define(eq=False)
class Watched:
    """The emulator, and what it answered when."""

    clock: VirtualClock = attrs.field(factory=VirtualClock)
    emulator: SMSArabEmulator = attrs.field(
        default=attrs.Factory(lambda self: SMSArabEmulator(clock=self.clock.now), takes_self=True)
    )
    statuses: list[int] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)

    def handle(self, request: Request) -> Response:
        response = self.emulator.handle(request)
        self.statuses.append(response.status)
        self.times.append(self.clock.seconds)
        return response


def test_2000_tasks_that_share_an_account_meet_no_429() -> None:
    """All are served in their order, and use more than five sixths of the allowance."""
    server = Watched()
    done: list[int] = []

    async def call(account: AsyncAccount, number: int) -> None:
        await account.balance()
        done.append(number)

    async def everybody() -> None:
        driver = AsyncDriver(AsyncPlug(Plug(server.handle, server.clock.now)))
        async with connect_async("smsarab", driver=driver, **SETTINGS) as account:
            await asyncio.gather(*(call(account, number) for number in range(2000)))

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        runner.run(everybody())
    assert [200] * 2000 == server.statuses
    assert list(range(2000)) == done
    assert server.clock.seconds < 2000 / 120 * 60 / (5 / 6)


def test_acquisitions_keep_to_ten_a_minute_and_leave_the_rest_free() -> None:
    """Both limits hold, of the document's two lanes."""
    server, book = Watched(), Rentals()
    driver = virtual_driver(server.handle, server.clock)
    with connect("smsarab", driver=driver, rentals=book, **SETTINGS) as account:
        for _ in range(15):
            account.acquire_number("telegram", "SA")
            account.balance()
    book.close()
    assert {200, 201} == set(server.statuses)
    acquired = [
        at for at, status in zip(server.times, server.statuses, strict=True) if status == 201
    ]
    assert all(later - earlier > 6.0 for earlier, later in pairwise(acquired))


def test_without_patience_a_call_is_refused_by_us_and_not_by_the_provider() -> None:
    """`max_wait=0` sends what may go now, and nothing else."""
    server, book = Watched(), Rentals()
    driver = virtual_driver(server.handle, server.clock)
    hasty = {**SETTINGS, "max_wait": 0}
    with connect("smsarab", driver=driver, rentals=book, **hasty) as account:
        for _ in range(12):  # the burst: a tenth of 120
            account.balance()
        with pytest.raises(RateLimited, match="over max_wait"):
            account.balance()
    book.close()
    assert [200] * 12 == server.statuses
