"""A provider's limits are kept, and nobody who can wait is refused or overtaken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Sleep, Tick
from qasid.errors import Outcome, RateLimited
from qasid.policies.rates import Limiter
from qasid.values import Limit

from .acme import Limited, SharedClock, Strict, operations, played

MINUTE = timedelta(minutes=1)
WIDE = Limit(requests=120, period=MINUTE)
NARROW = Limit(requests=10, period=MINUTE, hooks={"acquire_number"}, burst=1)


@attrs.define
class Desk:
    """A limiter in virtual time: `book` tells the moment that a request is granted."""

    limits: Sequence[Limit]
    max_wait: float = float("inf")
    now: float = 0.0
    limiter: Limiter = attrs.field(
        default=attrs.Factory(lambda self: Limiter(self.limits, max_wait=self.max_wait), True)
    )

    def book(self, hook: str) -> float:
        """The moment of admission; the desk's own time does not move."""
        slept: list[float] = []
        played(self.limiter.admission(hook), lambda effect: self._answer(effect, slept))
        return self.now + sum(slept)

    def hold(self, hook: str, seconds: float) -> None:
        played(self.limiter.hold(hook, seconds), lambda effect: self._answer(effect, []))

    def _answer(self, effect: Any, slept: list[float]) -> float | None:
        if isinstance(effect, Sleep):
            slept.append(effect.seconds)
            return None
        assert Tick() == effect
        return self.now


def most_within(moments: Sequence[float], period: float) -> int:
    """The largest number of moments in any window that is as long as the period."""
    ordered = sorted(moments)
    return max(
        (sum(start <= at < start + period for at in ordered) for start in ordered), default=0
    )


hooks = st.sampled_from(["balance", "offers", "acquire_number"])


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    requests = draw(st.integers(1, 12))
    return Limit(
        requests=requests,
        period=timedelta(seconds=draw(st.floats(0.1, 100.0))),
        hooks=draw(st.sets(hooks, max_size=2)),
        burst=draw(st.integers(1, requests)),
    )


calls = st.lists(
    st.tuples(hooks, st.one_of(st.just(0.0), st.floats(0.0, 30.0))), min_size=1, max_size=60
)


@given(st.lists(limits(), min_size=1, max_size=3), calls)
def test_no_window_of_any_lane_holds_more_than_its_requests(
    lanes: list[Limit], sequence: list[tuple[str, float]]
) -> None:
    """Whatever comes whenever: every limit is kept in every window of its period."""
    desk, granted = Desk(lanes), []
    for hook, pause in sequence:
        desk.now += pause
        granted.append((hook, desk.book(hook)))
    for lane in lanes:
        moments = [at for hook, at in granted if lane.applies_to(hook)]
        assert most_within(moments, lane.period.total_seconds()) <= lane.requests


@given(st.lists(limits(), min_size=1, max_size=3), calls)
def test_requests_of_one_hook_are_granted_in_the_order_of_asking(
    lanes: list[Limit], sequence: list[tuple[str, float]]
) -> None:
    """Nobody is overtaken by a later call of the same hook, nor granted the past."""
    desk, granted = Desk(lanes), dict[str, list[float]]()
    for hook, pause in sequence:
        desk.now += pause
        granted.setdefault(hook, []).append(desk.book(hook))
        assert granted[hook][-1] >= desk.now
    for moments in granted.values():
        assert sorted(moments) == moments


@given(st.integers(1, 100), st.integers(0, 40))
def test_a_long_queue_in_a_narrow_lane_leaves_the_wide_one_free(queue: int, others: int) -> None:
    """Acquisitions that are booked for later do not delay what has no such limit."""
    desk, alone = Desk([WIDE, NARROW]), Desk([WIDE])
    for _ in range(queue):
        desk.book("acquire_number")
    alone.book("balance")  # of the queue, only what goes now is in the way
    mine = [desk.book("balance") for _ in range(others)]
    ideal = [alone.book("balance") for _ in range(others)]
    # A booked moment can push others behind it by one interval of the wide lane, 0.58 s.
    passed = [sum(at > booked for booked in (6.3 * n for n in range(1, queue))) for at in ideal]
    assert all(at <= best + 0.6 * (n + 1) for at, best, n in zip(mine, ideal, passed, strict=True))


def test_a_burst_goes_at_once() -> None:
    """As many as the burst allows, and the next one waits."""
    desk = Desk([Limit(requests=20, period=MINUTE, burst=5)])
    moments = [desk.book("balance") for _ in range(6)]
    assert [0.0] * 5 == moments[:5]
    assert moments[5] > 0.0


def test_without_limits_everything_goes_at_once() -> None:
    """A provider that names no limit is not slowed down."""
    desk = Desk([])
    assert [0.0] * 100 == [desk.book("balance") for _ in range(100)]


def test_after_a_rest_the_whole_burst_is_there_again() -> None:
    """What was not used is there again, and not more of it."""
    desk = Desk([Limit(requests=20, period=MINUTE, burst=5)])
    for _ in range(20):
        desk.book("balance")
    desk.now = 1000.0
    moments = [desk.book("balance") for _ in range(6)]
    assert [1000.0] * 5 == moments[:5]
    assert moments[5] > 1000.0


def test_a_gap_between_two_bookings_is_used_where_all_still_conform() -> None:
    """A call takes the first moment that does not push anybody who has booked."""
    lanes = [Limit(requests=6, period=MINUTE, burst=1)]
    desk = Desk(lanes)
    desk.hold("offers", 35.0)
    assert 35.0 == desk.book("offers")
    granted = [desk.book("balance") for _ in range(4)]
    assert [0.0, 10.5, 21.0] == granted[:3]  # 60 s * 1.05 / 6 = 10.5 s apart
    assert 45.5 == granted[3]  # 31.5 would leave only 3.5 s before 35.0


def test_a_wait_over_max_wait_is_refused_without_booking() -> None:
    """Whoever is refused takes no place in the queue, and is told how long it is."""
    desk = Desk([Limit(requests=6, period=MINUTE, burst=1)], max_wait=15.0)
    assert [0.0, 10.5] == [desk.book("balance"), desk.book("balance")]
    for _ in range(3):
        with pytest.raises(RateLimited, match=r"21\.0 s") as caught:
            desk.book("balance")
        assert timedelta(seconds=21) == caught.value.retry_after
        assert Outcome.NOT_PERFORMED is caught.value.outcome
    desk.now = 10.5
    assert 21.0 == desk.book("balance")


def test_a_held_hook_waits_and_the_others_do_not() -> None:
    """What the provider asked for holds for that hook alone."""
    desk = Desk([WIDE])
    desk.hold("balance", 40.0)
    assert 40.0 == desk.book("balance")
    assert 0.0 == desk.book("offers")


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    """Of two answers that ask for patience, the longer one counts."""
    desk = Desk([])
    desk.hold("balance", 40.0)
    desk.hold("balance", 5.0)
    assert 40.0 == desk.book("balance")


def test_a_hold_that_is_over_is_over() -> None:
    """Later calls go at once."""
    desk = Desk([])
    desk.hold("balance", 40.0)
    desk.now = 41.0
    assert 41.0 == desk.book("balance")


def test_the_wait_is_told_without_booking() -> None:
    """As often as it is asked for, also for a hook that is held."""
    limiter = Limiter([NARROW], max_wait=0.0)
    assert [0.0, 0.0] == [limiter.wait("acquire_number", 0.0) for _ in range(2)]
    limiter.book("acquire_number", 0.0)
    assert [6.3, 6.3] == [limiter.wait("acquire_number", 0.0) for _ in range(2)]  # 60 * 1.05 / 10
    assert 0.0 == limiter.wait("balance", 0.0)
    played(limiter.hold("balance", 40.0), lambda effect: 1.0)
    assert 31.0 == limiter.wait("balance", 10.0)


def test_the_pace_of_a_hook_is_that_of_its_narrowest_limit() -> None:
    """As long as it goes on; without a limit there is none."""
    limiter = Limiter([WIDE, NARROW], max_wait=0.0)
    assert 6.3 == limiter.interval("acquire_number")
    assert pytest.approx(63 / 109) == limiter.interval("balance")  # a burst of 12, 109 steady
    assert 0.0 == Limiter([NARROW], max_wait=0.0).interval("balance")


# 120 requests a minute, and many more callers.


def test_200_threads_meet_no_429_and_are_served_in_the_order_of_coming() -> None:
    """Threads that share an account share its limits, fairly."""
    clock = SharedClock(200)
    server = Strict(clock=clock)
    made = operations(Limited(), max_wait=3600.0)
    account = Account(made, virtual_driver(server.handle, clock))
    served: list[int] = []

    def call(number: int) -> None:
        try:
            clock.sleep(number / 1000)  # each comes at a moment of its own
            account.offers(str(number))
            served.append(number)
        finally:
            clock.done()

    threads = [threading.Thread(target=call, args=[number]) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    made.rentals.close()
    assert 0 == server.refused
    assert list(range(200)) == sorted(served)
    assert list(range(200)) == server.callers


def test_2000_tasks_meet_no_429_and_are_served_in_the_order_of_coming() -> None:
    """Tasks that share an account share its limits, fairly."""
    clock = VirtualClock()
    server = Strict(clock=clock)
    made = operations(Limited(), max_wait=3600.0)
    account = AsyncAccount(made, AsyncDriver(AsyncPlug(Plug(server.handle))))

    async def everybody() -> list[Any]:
        return await asyncio.gather(*(account.offers(str(number)) for number in range(2000)))

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        answers = runner.run(everybody())
    made.rentals.close()
    assert 0 == server.refused
    assert [[]] * 2000 == answers
    assert list(range(2000)) == server.callers
    assert all(earlier <= later for earlier, later in pairwise(server.times))


def test_callers_use_more_than_five_sixths_of_the_allowance() -> None:
    """What is kept back for the burst and for the network costs no more than that."""
    desk = Desk([WIDE])
    granted = [desk.book("balance") for _ in range(2000)]
    assert granted[-1] < 2000 / 120 * 60 / (5 / 6)


@given(st.integers(1, 500), st.floats(0.0, 1e7))
def test_a_whole_burst_goes_without_any_patience(burst: int, now: float) -> None:
    """Also by a clock that has run for long, where sums of floats are coarse."""
    desk = Desk([Limit(requests=burst * 2, period=MINUTE, burst=burst)], max_wait=0.0, now=now)
    assert {now} == {desk.book("balance") for _ in range(burst)}
    with pytest.raises(RateLimited):
        desk.book("balance")
