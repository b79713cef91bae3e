"""A breaker leaves a failing account alone, lets one call at a time try it, and is not fooled."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual import VirtualClock
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Request, Response
from qasid.errors import ConnectFailed
from qasid.routing import AsyncRoute, Route, Tolerance
from qasid.routing.breaker import Breaker, Permit, State
from qasid.values import TextMessage

from .acme import Server
from .routes import Ear, operations

SENDS: Final = 1000
TWO: Final = Tolerance(failures=2, open_for=10, open_at_most=35)


def tripped(breaker: Breaker, now: float) -> None:
    """Let it fail until it opens."""
    while breaker.state(now) is not State.OPEN:
        permit = breaker.admit(now)
        assert permit is not None
        breaker.fail(permit, now)


def admitted(breaker: Breaker, now: float) -> Permit:
    """A permit, which there must be."""
    permit = breaker.admit(now)
    assert permit is not None
    return permit


def test_failures_in_a_row_open_it() -> None:
    """A success in between begins the count anew."""
    breaker = Breaker(TWO)
    assert breaker.fail(admitted(breaker, 0), 0) is None
    assert breaker.succeed(admitted(breaker, 0), 0) is None
    assert breaker.fail(admitted(breaker, 0), 0) is None
    assert breaker.fail(admitted(breaker, 0), 0) is State.OPEN
    assert breaker.admit(9.9) is None
    assert breaker.wait(4) == 6


def test_half_open_lets_one_call_through_at_a_time() -> None:
    """The next one when the probe is back."""
    breaker = Breaker(TWO)
    tripped(breaker, 0)
    assert breaker.state(10) is State.HALF_OPEN
    probe = admitted(breaker, 10)
    assert probe.probe
    assert breaker.admit(10) is None
    assert breaker.wait(10) == 0
    assert breaker.succeed(probe, 11) is State.CLOSED
    assert not admitted(breaker, 11).probe


def test_a_probe_that_tells_nothing_is_given_back() -> None:
    """The next call is the probe."""
    breaker = Breaker(TWO)
    tripped(breaker, 0)
    breaker.forgo(admitted(breaker, 10))
    assert admitted(breaker, 10).probe


def test_each_failed_probe_doubles_the_time_up_to_its_cap() -> None:
    """10, 20, 35, 35 seconds."""
    breaker, now = Breaker(TWO), 0.0
    tripped(breaker, now)
    times = [breaker.open_for]
    for _ in range(3):
        now += times[-1].total_seconds()
        assert breaker.fail(admitted(breaker, now), now) is State.OPEN
        times.append(breaker.open_for)
    assert [10, 20, 35, 35] == [time.total_seconds() for time in times]


@pytest.mark.parametrize(("calm", "seconds"), [(9.9, 20), (10, 10)])
def test_one_that_opens_again_too_soon_stays_open_longer(calm: float, seconds: float) -> None:
    """Too soon is before it was closed for as long as it was open."""
    breaker = Breaker(TWO)
    tripped(breaker, 0)
    breaker.succeed(admitted(breaker, 10), 10)
    tripped(breaker, 10 + calm)
    assert timedelta(seconds=seconds) == breaker.open_for


def test_what_began_before_it_opened_tells_nothing() -> None:
    """Neither of the time that it is open, nor of the probe."""
    breaker = Breaker(TWO)
    late = [admitted(breaker, 0) for _ in range(4)]
    tripped(breaker, 0)
    assert breaker.fail(late[0], 5) is None
    assert breaker.succeed(late[1], 5) is None
    assert breaker.wait(5) == 5
    admitted(breaker, 10)
    breaker.forgo(late[2])
    assert breaker.fail(late[3], 10) is None
    assert breaker.admit(10) is None


@pytest.mark.parametrize(
    "bad",
    [{"failures": 0}, {"open_for": 0}, {"open_for": -1}, {"open_for": 700}],
    ids=["no failures", "no time", "less than no time", "over its cap"],
)
def test_a_tolerance_that_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(ValueError, match=r"open_|failures"):
        Tolerance(**bad)


class Model(RuleBasedStateMachine):
    """The breaker against one that keeps what happened, and thinks anew each time."""

    permits: Any = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(TWO)
        self.now = 0.0
        self.state = State.CLOSED
        self.era = 0
        self.failures = 0
        self.opened, self.length = 0.0, 0.0
        self.calm = 0.0
        self.probe: Permit | None = None

    def enter(self, state: State) -> None:
        self.state, self.era, self.failures, self.probe = state, self.era + 1, 0, None

    @rule(seconds=st.sampled_from([0, 1, 9, 10, 11, 20, 35]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=permits)
    def admit(self) -> Any:
        if self.state is State.OPEN and self.now >= self.opened + self.length:
            self.enter(State.HALF_OPEN)
        permit = self.breaker.admit(self.now)
        expected = self.state is State.CLOSED or (
            self.state is State.HALF_OPEN and self.probe is None
        )
        assert (permit is not None) is expected
        if permit is not None:
            assert permit.probe is (self.state is State.HALF_OPEN)
            self.probe = permit if permit.probe else None
        return self.era, permit

    @rule(given=consumes(permits))
    def succeed(self, given: tuple[int, Permit | None]) -> None:
        era, permit = given
        if permit is None:
            return
        moved = self.breaker.succeed(permit, self.now)
        if era == self.era:
            self.failures = 0
        closes = era == self.era and self.state is State.HALF_OPEN
        assert moved is (State.CLOSED if closes else None)
        if closes:
            self.calm = self.now + self.length
            self.enter(State.CLOSED)

    @rule(given=consumes(permits))
    def fail(self, given: tuple[int, Permit | None]) -> None:
        era, permit = given
        if permit is None:
            return
        moved = self.breaker.fail(permit, self.now)
        self.failures += era == self.era
        opens = era == self.era and (self.failures == 2 or self.state is State.HALF_OPEN)
        assert moved is (State.OPEN if opens else None)
        if opens:
            again = self.state is State.HALF_OPEN or self.now < self.calm
            self.length = min(35.0, self.length * 2) if again else 10.0
            self.opened = self.now
            self.enter(State.OPEN)

    @rule(given=consumes(permits))
    def forgo(self, given: tuple[int, Permit | None]) -> None:
        era, permit = given
        if permit is not None:
            self.breaker.forgo(permit)
            if era == self.era:
                self.probe = None

    @invariant()
    def they_agree(self) -> None:
        over = self.state is State.OPEN and self.now >= self.opened + self.length
        assert (State.HALF_OPEN if over else self.state) is self.breaker.state(self.now)
        assert 0 <= self.breaker.wait(self.now) <= 35


TestModel = Model.TestCase


# A thousand at once.


@attrs.define
class AllAtOnce:
    """A transport that fails every call, once all of them have come."""

    barrier: threading.Barrier
    asked: int = 0
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def send(self, request: Request) -> Response:
        with self._lock:
            self.asked += 1
        self.barrier.wait(60)
        raise ConnectFailed("down")

    def close(self) -> None:
        pass


def text(number: int) -> TextMessage:
    """A message to a recipient of its own."""
    return TextMessage(to=f"+98912111{number:04}", text="hello")


def check(ear: Ear, server: Server, asked: int) -> None:
    """All were sent once by the second account, and the breaker opened once."""
    assert SENDS == asked == len(set(server.acts)) == len(server.acts)
    assert ["open"] == [event.state for name, event in ear.heard if name == "on_breaker"]
    assert SENDS == ear.names.count("on_fallback")


def test_a_thousand_threads_open_it_once_and_each_message_goes_once() -> None:
    """All were let through before the first one failed; nobody waits, nobody is lost."""
    ear, clock = Ear(), VirtualClock()
    down, server = AllAtOnce(threading.Barrier(SENDS)), Server(clock=clock)
    drivers = [SyncDriver(down, clock), SyncDriver(Plug(server.handle), clock)]
    accounts = [
        Account(operations(name), driver) for name, driver in zip("ab", drivers, strict=True)
    ]
    with (
        Route("alerts", accounts, listeners=[ear], close_accounts=True) as route,
        ThreadPoolExecutor(SENDS) as pool,
    ):
        receipts = list(pool.map(lambda number: route.send(text(number)), range(SENDS)))
        check(ear, server, down.asked)
        assert {"b"} == {receipt.account for receipt in receipts}
        assert "breaker open" in str(route.explain(text(0)))
        assert "b" == route.send(text(SENDS)).account
    assert SENDS == down.asked


def test_a_thousand_tasks_open_it_once_and_each_message_goes_once() -> None:
    """As threads do, in virtual time: each call takes a second to fail."""
    ear, clock, asked = Ear(), VirtualClock(), 0
    server = Server(clock=clock)

    class Slow:
        async def send(self, request: Request) -> Response:
            nonlocal asked
            asked += 1
            await asyncio.sleep(1)
            raise ConnectFailed("down")

        async def close(self) -> None:
            pass

    async def main() -> None:
        transports: list[Any] = [Slow(), AsyncPlug(Plug(server.handle))]
        accounts = [
            AsyncAccount(operations(name), AsyncDriver(transport))
            for name, transport in zip("ab", transports, strict=True)
        ]
        async with AsyncRoute("alerts", accounts, listeners=[ear], close_accounts=True) as route:
            sent = await asyncio.gather(*(route.send(text(number)) for number in range(SENDS)))
            assert {"b"} == {receipt.account for receipt in sent}

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(main())
    check(ear, server, asked)
    assert 1 == clock.seconds
