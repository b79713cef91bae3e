"""Whose turn it is: nobody too early, nobody passed over, the youngest first where all are late."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from qasid.drivers.virtual import VirtualClock
from qasid.values import Activation, InboundMessage
from qasid.watching.schedule import SLOT, Calendar, Entry, Schedule

START = VirtualClock().now()


def entry(name: str, interval: float = 5.0, ends: float = math.inf) -> Entry:
    """A number to put into a schedule."""
    activation = Activation(
        id=name, number="+999000000001", service="acme", country="SA", acquired_at=START
    )
    return Entry(activation, interval, ends)


def names(entries: list[Entry]) -> list[str]:
    return [item.activation.id for item in entries]


def drained(schedule: Schedule, now: float) -> list[str]:
    """Who is due, in order, each looked at now."""
    found: list[Entry] = []
    while schedule.ripe(now):
        found.append(schedule.take())
    for item in found:
        schedule.put_back(item, now)
    return names(found)


def text(word: str, **told: object) -> InboundMessage:
    return InboundMessage(text=word, **told)  # type: ignore[arg-type]


# By example.


def test_who_is_due_comes_in_the_order_of_due_times() -> None:
    """Whatever the order is in which they were put back."""
    schedule = Schedule()
    for at, item in enumerate((entry("slow", 60.0), entry("quick", 5.0), entry("middle", 30.0))):
        schedule.add(item, float(at))
    drained(schedule, 3.0)
    assert not schedule.ripe(7.9)
    assert 8.0 <= schedule.next() < 8.0 + SLOT
    assert ["quick", "middle", "slow"] == drained(schedule, 100.0)


def test_the_youngest_takes_turns_with_who_has_waited_longest() -> None:
    """Of those that were never looked at; nobody is passed over for ever."""
    schedule = Schedule()
    for name in "ab":
        schedule.add(entry(name), 0.0)
    drained(schedule, 0.0)  # due at 5
    for at, name in enumerate("cdefg"):
        schedule.add(entry(name), 3.0 + at)
    assert ["g", "c", "f", "d", "e", "b", "a"] == drained(schedule, 10.0)


def test_a_number_that_never_ends_is_never_over() -> None:
    """Nor has the schedule anything to wake up for."""
    schedule = Schedule()
    assert math.inf == schedule.next()
    schedule.add(entry("a"), 0.0)
    drained(schedule, 0.0)
    assert [] == schedule.over(1e9)


def test_at_its_end_a_number_is_due_once_more() -> None:
    """Though its interval is not over: what came last is not lost."""
    schedule, last = Schedule(), entry("last", interval=60.0, ends=70.0)
    schedule.add(last, 0.0)
    drained(schedule, 0.0)
    drained(schedule, 60.0)
    assert schedule.ripe(70.0 + SLOT)


def test_who_waits_beyond_its_end_is_over() -> None:
    """A moment later, as its last look may be late; but not while it is looked at."""
    schedule = Schedule()
    waiting, busy, away = (entry(name, ends=10.0) for name in ("waiting", "busy", "away"))
    for item in (away, busy, waiting):
        schedule.add(item, 0.0)
    busy.busy, away.waits = True, False
    assert [] == schedule.over(14.9)
    assert [waiting] == schedule.over(15.1)
    assert [] == schedule.over(99.0)


@pytest.mark.parametrize("looked", [False, True])
def test_who_was_taken_away_has_no_turn(looked: bool) -> None:
    """Wherever in the queue it was."""
    schedule = Schedule()
    entries = [entry(name) for name in "abcde"]
    for item in entries:
        schedule.add(item, 0.0)
    if looked:
        drained(schedule, 0.0)
    for item in (entries[0], entries[2], entries[4]):
        item.waits = False
    assert {"b", "d"} == {name for name in drained(schedule, 10.0) if name in "bd"}
    found = drained(schedule, 20.0)
    assert {"b", "d"} == set(found) - {"c"}


def test_the_line_is_who_would_come() -> None:
    """And asking for it changes nothing."""
    schedule = Schedule()
    for name in "ab":
        schedule.add(entry(name), 0.0)
    drained(schedule, 0.0)
    for name in "cde":
        schedule.add(entry(name), 6.0)
    assert schedule.ripe(6.0)
    told = names([*schedule.line()])
    assert told == names([*schedule.line()]) == drained(schedule, 6.0)


def test_calendars_give_slots_in_order() -> None:
    """An entry is in the first slot that does not come before its moment."""
    calendar = Calendar()
    items = {at: entry(str(at)) for at in (0.05, 1.0, 0.01, 0.5)}
    for at, item in items.items():
        calendar.put(at, item)
    assert ["0.01", "0.05"] == names([*calendar.pop(0.1)])
    assert pytest.approx(0.5, abs=SLOT) == calendar.first
    assert ["0.5", "1.0"] == names([*calendar.pop(2.0)])
    assert math.inf == calendar.first


# What was seen.


def test_a_message_is_news_once() -> None:
    """Known by its id, or without one by all but the number that it is to."""
    waiting = entry("a")
    first, same = text("4711", id="m1"), text("other words", id="m1")
    assert [first] == waiting.news([first])
    assert [] == waiting.news([])
    assert [] == waiting.news([same])
    plain = text("4711", sender="Acme")
    assert [plain] == waiting.news([plain])
    assert [] == waiting.news([attrs.evolve(plain, to="+999000000001")])
    later = attrs.evolve(plain, received_at=START)
    assert [later] == waiting.news([plain, later])


def test_what_is_remembered_of_a_number_is_bounded() -> None:
    """The oldest is forgotten, and never what was in the last look."""
    waiting = entry("a")
    many = [text(str(n)) for n in range(1500)]
    assert many == waiting.news(many)
    assert [] == waiting.news(many)
    assert [text("new")] == waiting.news([text("new")])
    assert [text("0")] == waiting.news([text("0")])
    assert [] == waiting.news(many[-900:])


# By a simple model.


class Turns(RuleBasedStateMachine):
    """A schedule, and a list of who waits since when."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule()
        self.now = 0.0
        self.waiting: dict[Entry, tuple[bool, float]] = {}  # looked at before, due
        self.out: list[Entry] = []
        self.in_turn = True
        self.count = 0

    def due(self) -> list[Entry]:
        """Whose slot has come."""
        return [
            item
            for item, (looked, at) in self.waiting.items()
            if not looked or math.ceil(at / SLOT) * SLOT <= self.now
        ]

    @rule(interval=st.floats(0.1, 20.0))
    def add(self, interval: float) -> None:
        self.count += 1
        item = entry(f"n{self.count}", interval)
        self.schedule.add(item, self.now)
        self.waiting[item] = (False, self.now)

    @rule(seconds=st.floats(0.0, 10.0))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def take_away(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from([*self.waiting]))
        item.waits = False
        del self.waiting[item]

    @precondition(lambda self: self.due())
    @rule()
    def take(self) -> None:
        due = self.due()
        assert self.schedule.ripe(self.now)
        item = self.schedule.take()
        new = [one for one in due if not self.waiting[one][0]]
        longest = min(math.ceil(self.waiting[one][1] / SLOT) for one in due)
        waited_longest = math.ceil(self.waiting[item][1] / SLOT) == longest
        assert item in due
        assert waited_longest or item is new[-1]
        assert waited_longest or self.in_turn  # never two of the youngest one after the other
        self.in_turn = waited_longest
        del self.waiting[item]
        self.out.append(item)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        item = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.schedule.put_back(item, self.now)
        self.waiting[item] = (True, self.now + item.interval)

    @invariant()
    def ripe_when_anybody_is_due(self) -> None:
        assert bool(self.due()) == self.schedule.ripe(self.now)

    @invariant()
    def the_next_moment_is_not_too_late(self) -> None:
        looked = [at for known, at in self.waiting.values() if known]
        if looked and not self.due():
            assert self.now < self.schedule.next() <= min(looked) + SLOT + 1e-6


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
