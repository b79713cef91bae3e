"""Thousands of messages on a line where requests fail, and what their receipts say.

Whichever request fails, and however: no message arrives twice, and none is unaccounted for.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qasid
from qasid import finding
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Request, Response
from qasid.emulation import Emulator
from qasid.phone import e164
from qasid_contract.faults import (
    NO_ANSWER,
    NOT_REACHED,
    REDIRECT,
    SERVER_FAULTS,
    TOO_MANY,
    UNREADABLE,
    Fault,
)

NOT_PERFORMED, UNKNOWN = qasid.Outcome
Message: TypeAlias = qasid.TextMessage | qasid.TemplateMessage

#: Instead of what is asked. None has status 200, which a document may promise to be a success.
_UNDONE: Final = [attrs.evolve(fault, performed=False) for fault in (*SERVER_FAULTS, *NO_ANSWER)]
_REFUSALS: Final = [
    Fault(name=f"status {status}", response=Response(status=status))
    for status in (400, 401, 402, 403)
]
BEFORE: Final = (NOT_REACHED, REDIRECT, *TOO_MANY, *_REFUSALS, *_UNDONE)
#: After what is asked was done.
AFTER: Final = (*NO_ANSWER, *SERVER_FAULTS, *UNREADABLE)

#: Of these, what ends no bulk; they take turns.
TURNS_BEFORE: Final = (NOT_REACHED, TOO_MANY[0], _REFUSALS[0], _UNDONE[2])
TURNS_AFTER: Final = (NO_ANSWER[0], SERVER_FAULTS[0])

#: Later than any clock, as the async driver knows no other one than the machine's.
LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)
CENTURY: Final = timedelta(days=36_525)


# What is sent: the n-th message, to a number that no other has, of one of a few kinds.


def _to(n: int) -> str:
    return f"+98935{n:07d}"


def _text(n: int, kind: int) -> Message:
    """Alike or different, at once or scheduled: requests of every shape."""
    at = None if kind < 2 else LATER + timedelta(minutes=kind // 2)
    return qasid.TextMessage(to=_to(n), text=f"hello {n if kind % 2 else ''}", send_at=at)


def _text_or_template(n: int, kind: int) -> Message:
    if kind != 3:
        return _text(n, kind)
    values = {"code": f"{n}", "price": "12"}
    return qasid.TemplateMessage(to=_to(n), template="TydSt1skQE", values=values)


def _template(n: int, kind: int) -> Message:
    return qasid.TemplateMessage(to=_to(n), template="2", values={"0": f"{kind}", "1": f"{n}"})


MAKERS: Final[Mapping[str, Callable[[int, int], Message]]] = {
    "deftsms": _text,
    "smsafzar": _text_or_template,
    "mrotp": _template,
    "sandbox": _text,
}


def _messages(name: str, kinds: Sequence[int]) -> list[Message]:
    return [MAKERS[name](n, kind) for n, kind in enumerate(kinds)]


# How it is sent: on a line where the n-th request fails as a plan has it, by either driver.


@attrs.define
class Line:
    """The way to an emulator. Requests are counted from 1, repeated ones and logins too."""

    emulator: Emulator
    plan: Callable[[int], Fault | None]
    clock: VirtualClock
    made: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.emulator.settings}

    def handle(self, request: Request) -> Response:
        self.made += 1
        fault = self.plan(self.made)
        if fault is None:
            return self.emulator.handle(request)
        return fault.plugged(request, self.emulator.handle)


def _line(name: str, plan: Callable[[int], Fault | None]) -> Line:
    clock = VirtualClock()
    emulator = finding.emulator(name)(clock=clock.now)
    emulator.fund(qasid.Money(10**9, emulator.balance().currency))
    return Line(emulator, plan, clock)


def blocking(name: str, line: Line, messages: Sequence[Message]) -> list[qasid.Receipt]:
    driver = virtual_driver(line.handle, line.clock)
    with qasid.connect(name, driver=driver, **line.settings) as account:
        return account.send_many(messages)


def awaited(name: str, line: Line, messages: Sequence[Message]) -> list[qasid.Receipt]:
    async def send() -> list[qasid.Receipt]:
        driver = AsyncDriver(AsyncPlug(Plug(line.handle)))
        async with qasid.connect_async(name, driver=driver, **line.settings) as account:
            return await account.send_many(messages)

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(line.clock)) as runner:
        return runner.run(send())


FACES: Final = (blocking, awaited)


# What came of it.


def _accounted(
    line: Line, messages: Sequence[Message], receipts: Sequence[qasid.Receipt]
) -> Counter[qasid.Outcome | None]:
    """How many were accepted (None), not performed and unknown; what each says must be so."""
    assert [message.to for message in messages] == [receipt.to for receipt in receipts]
    line.emulator.advance(CENTURY)
    arrived = Counter(e164(item.to) for item in line.emulator.outbox())
    assert {*arrived} <= {receipt.to for receipt in receipts}
    may_be = {None: {1}, NOT_PERFORMED: {0}, UNKNOWN: {0, 1}}
    for receipt in receipts:
        assert arrived[receipt.to] in may_be[receipt.outcome], receipt
    return Counter(receipt.outcome for receipt in receipts)


def _no_fault(n: int) -> Fault | None:
    return None


def _seventh_and_eleventh(n: int) -> Fault | None:
    """Every seventh request fails before it is done, and every eleventh after that."""
    if n % 7 == 0:
        return TURNS_BEFORE[n // 7 % len(TURNS_BEFORE)]
    return TURNS_AFTER[n // 11 % len(TURNS_AFTER)] if n % 11 == 0 else None


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("name", "count", "requests"),
    [("deftsms", 10_000, 100), ("smsafzar", 10_000, 101), ("mrotp", 1_000, 1_000)],
)
def test_where_nothing_fails_all_of_it_arrives(
    face: Callable[..., list[qasid.Receipt]], name: str, count: int, requests: int
) -> None:
    """In as few requests as the provider takes; SMSAfzar's first one is for a token."""
    line, messages = _line(name, _no_fault), _messages(name, [1] * count)
    receipts = face(name, line, messages)
    assert {None: count} == _accounted(line, messages, receipts)
    assert requests == line.made


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("name", "requests", "accepted", "refused", "unknown"),
    [
        ("deftsms", 107, 8400, 400, 1200),
        ("smsafzar", 108, 8400, 400, 1200),
        ("mrotp", 1077, 840, 38, 122),
    ],
)
def test_where_requests_fail_the_receipts_add_up(
    face: Callable[..., list[qasid.Receipt]],
    name: str,
    requests: int,
    accepted: int,
    refused: int,
    unknown: int,
) -> None:
    """What was not performed by itself is asked for again, and nothing else is."""
    count = accepted + refused + unknown
    line, messages = _line(name, _seventh_and_eleventh), _messages(name, [1] * count)
    told = _accounted(line, messages, face(name, line, messages))
    assert {None: accepted, NOT_PERFORMED: refused, UNKNOWN: unknown} == told
    assert requests == line.made


@settings(deadline=None)  # another process may hold the machine
@given(data=st.data())
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", MAKERS)
def test_whatever_fails_each_receipt_is_true(
    name: str, face: Callable[..., list[qasid.Receipt]], data: st.DataObject
) -> None:
    """Messages of every kind, in requests of every shape, and faults of every kind among them."""
    count = data.draw(st.integers(1, 30 if name == "mrotp" else 330), "count")
    kinds = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=9), "kinds in turn")
    faults = st.dictionaries(st.integers(1, 30), st.sampled_from([*BEFORE, *AFTER]), max_size=12)
    line = _line(name, data.draw(faults, "faults").get)
    messages = _messages(name, [*itertools.islice(itertools.cycle(kinds), count)])
    assert count == _accounted(line, messages, face(name, line, messages)).total()
