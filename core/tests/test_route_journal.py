"""One reference is done once over all the accounts of a route, whichever of them is asked.

With SQLite, and with PostgreSQL (`nox -s services`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from qasid.account import Account
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request, Response
from qasid.errors import (
    ConnectFailed,
    InvalidRecipient,
    JournalUnavailable,
    NoAnswer,
    Outcome,
    ProviderUnavailable,
    ReferenceConflict,
    RouteExhausted,
    SettingsError,
)
from qasid.journal import opened
from qasid.journal.records import State, intent
from qasid.journal.results import performed
from qasid.journal.store import Journal
from qasid.routing import ByPrefix, Cheapest, Pinned, Route, Tolerance
from qasid.values import Receipt, TextMessage

from .acme import TO, Server, reply
from .databases import KINDS, database
from .routes import FACES, Ear, blocking, operations, servers

ORDER: Final = TextMessage(to=TO, text="hello", reference="order-42")
B_FIRST: Final = ByPrefix({"+98": ["b", "a"]})
EAGER: Final = Tolerance(failures=1)

Open = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the journal of both accounts is."""
    with database(request.param, tmp_path) as address:
        yield address


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, url: str) -> Open:
    """Opens a route of either kind, as another process would, whose accounts share a journal."""

    def _open(found: dict[str, Server], *args: Any, **options: Any) -> AbstractContextManager[Any]:
        settings = {"journal": "on", "journal_url": url}
        return request.param(found, *args, **{"settings": settings, **options})

    return _open


@pytest.fixture
def book(url: str) -> Iterator[Journal]:
    """The same journal."""
    with contextlib.closing(opened("a", url)) as journal:
        yield journal


def asked(found: dict[str, Server]) -> tuple[int, ...]:
    """How many requests each server had."""
    return tuple(len(server.requests) for server in found.values())


def fail(server: Server) -> Callable[[Request], Response]:
    """It does what it is asked, and answers 500."""

    def handle(request: Request) -> Response:
        server.answer(request)
        return Response(status=500)

    return handle


# One message.


def test_what_the_second_account_sent_is_given_again_by_whichever_is_asked(
    face: Open, book: Journal
) -> None:
    """In another process, in another order, and with another breaker open: nothing more is sent."""
    found = servers("a", "b")
    found["a"].faults.append(reply(402))
    with face(found) as route:
        first = route.send(ORDER)
        assert first == route.send(ORDER)
    for policy in (None, B_FIRST, Pinned("a"), Pinned("b")):
        with face(found, policy) as route:
            assert first == route.send(ORDER)
    assert Receipt(to=TO, id="m1", account="b") == first
    assert (1, 1) == asked(found)
    (row,) = book.operations(found["a"].clock.now())
    assert (State.PERFORMED, "b", None) == (row.state, row.account, row.error)


def test_what_the_first_account_may_have_sent_is_not_sent_by_the_second(face: Open) -> None:
    """Neither now nor later, whoever comes first: its unknown outcome is told each time."""
    found = servers("a", "b")
    found["a"].faults.append(fail(found["a"]))
    for policy in (None, None, B_FIRST, Pinned("b")):
        with (
            face(found, policy, tolerance=EAGER) as route,
            pytest.raises(ProviderUnavailable) as caught,
        ):
            route.send(ORDER)
        assert Outcome.UNKNOWN is caught.value.outcome
    assert ([TO], []) == (found["a"].acts, found["b"].acts)
    assert (1, 0) == asked(found)


def test_an_outcome_from_the_journal_is_no_news_of_a_provider(face: Open) -> None:
    """It opens no breaker, closes none, and is counted for nobody."""
    found = servers("a", "b")
    found["a"].faults.append(NoAnswer("cut"))
    with face(found, tolerance=EAGER) as route:
        for _ in range(3):
            with pytest.raises(NoAnswer):
                route.send(ORDER)
        told = {choice.account: choice.because for choice in route.explain(ORDER).choices}
        found["a"].clock.sleep(30)
        with pytest.raises(NoAnswer):
            route.send(ORDER)
        assert "as a probe" in str(route.explain(ORDER))
    assert {"b": "number 2 in order", "a": "breaker open for another 30 s"} == told


@pytest.mark.parametrize("outcome", ["performed", "unknown", "refused"])
def test_where_every_breaker_is_open_the_record_is_told_all_the_same(
    face: Open, outcome: str
) -> None:
    """Not that nobody did it, where somebody did, or may have."""
    found = servers("a", "b")
    faults = {"performed": None, "unknown": NoAnswer("cut"), "refused": ConnectFailed("down")}
    found["a"].faults.extend([faults[outcome], ConnectFailed("down")])
    found["b"].faults.extend([ConnectFailed("down")] * 2)
    with face(found, tolerance=EAGER) as route:
        with contextlib.suppress(NoAnswer, RouteExhausted):
            route.send(ORDER)
        for _ in range(2):
            with contextlib.suppress(RouteExhausted):
                route.send(attrs.evolve(ORDER, reference=None))
        before = asked(found)
        kinds: dict[str, Any] = {"unknown": NoAnswer, "refused": RouteExhausted}
        if outcome == "performed":
            assert route.send(ORDER).account == "a"
            assert route.send_many([ORDER])[0].account == "a"
        else:
            with pytest.raises(kinds[outcome]):
                route.send(ORDER)
            assert type(route.send_many([ORDER])[0].error) is kinds[outcome]
    assert before == asked(found)


def test_another_message_under_the_reference_is_an_error_whoever_sent_it(face: Open) -> None:
    """And no account is asked."""
    found = servers("a", "b")
    found["a"].faults.append(reply(402))
    with face(found) as route:
        route.send(ORDER)
        for other in (attrs.evolve(ORDER, text="x"), attrs.evolve(ORDER, to="+989121112244")):
            with pytest.raises(ReferenceConflict, match="'order-42'"):
                route.send(other)
            assert isinstance(route.send_many([other])[0].error, ReferenceConflict)
    assert (1, 1) == asked(found)


def test_the_recipients_fault_may_be_tried_again_and_goes_on_nowhere(face: Open) -> None:
    """A refusal is recorded, and bars nobody."""
    found = servers("a", "b")
    found["a"].faults.append(reply(422))
    with face(found) as route:
        with contextlib.suppress(Exception):
            route.send(ORDER)
        assert route.send(ORDER).account == "a"
    assert (2, 0) == asked(found)


@attrs.define
class Eventful(VirtualClock):
    """A clock at whose second sleep something happens elsewhere."""

    then: Callable[[], object] = lambda: None
    slept: int = 0

    def sleep(self, seconds: float) -> None:
        VirtualClock.sleep(self, seconds)
        self.slept += 1
        if self.slept == 2:
            self.then()


@attrs.define
class Elsewhere:
    """Another process that begins to send the order by the account `a`, and ends it later."""

    book: Journal
    claim: str

    @classmethod
    def begins(cls, book: Journal, now: datetime) -> Elsewhere:
        of = {"account": "a", "provider": "acme", "hide_recipient": False}
        begun = intent("send", ORDER, lease=timedelta(minutes=1), **of)
        assert [None] == book.begin([begun], now)
        return cls(book, begun.claim)

    def ends(self, now: datetime) -> None:
        self.book.settle([performed(self.claim, Receipt(to=TO, id="m7"))], now)


@pytest.mark.parametrize("lost", [False, True], ids=["ends", "is lost"])
@pytest.mark.parametrize("bulk", [False, True], ids=["one", "many"])
@pytest.mark.parametrize("down", [False, True], ids=["b is up", "all breakers open"])
def test_what_another_process_is_at_is_waited_for_by_all_accounts(
    url: str, book: Journal, down: bool, bulk: bool, lost: bool
) -> None:
    """Its end is the route's too; where it never comes, the outcome is unknown."""
    clock, faults = Eventful(), [ConnectFailed("down")] if down else []
    found = {name: Server(clock=clock, faults=[*faults]) for name in "ab"}
    settings = {"journal": "on", "journal_url": url}
    with blocking(found, B_FIRST, settings=settings, tolerance=EAGER) as route:
        if down:
            with pytest.raises(RouteExhausted):
                route.send(attrs.evolve(ORDER, reference=None))
        before, other = asked(found), Elsewhere.begins(book, clock.now())
        if not lost:
            clock.then = lambda: other.ends(clock.now())
        if bulk:
            (given,) = route.send_many([ORDER])
        else:
            given = _sent(route)
    assert before == asked(found)
    if lost:
        assert Outcome.UNKNOWN is given.outcome
        assert 60 <= clock.seconds < 63
    else:
        assert ("m7", "a") == (given.id, given.account)
        assert clock.seconds < 3


def _sent(route: Route) -> Receipt:
    try:
        return route.send(ORDER)
    except NoAnswer as error:
        return Receipt(to=TO, error=error)


# Codes and numbers.


def test_a_code_is_sent_once_and_verified_where_it_was_sent(face: Open) -> None:
    """By the second account; another process learns that from the journal."""
    found = servers("a", "b")
    found["a"].faults.append(reply(402))
    with face(found) as route:
        assert "b" == route.otp(TO, reference="login-1").account
    with face(found) as route:
        ticket = route.otp("09121112233", reference="login-1")
        assert ("b", None) == (ticket.account, ticket.code)
        assert route.verify_otp(TO, "0042")
        with pytest.raises(ReferenceConflict):
            route.otp("+989121112244", reference="login-1")
    assert ["POST /otp"] == found["a"].asked
    assert ["POST /otp", "POST /otp/verify"] == found["b"].asked


def test_a_number_is_rented_once_by_whichever_account(face: Open) -> None:
    """It is the same activation for each that asks, and not dearer elsewhere."""
    found = servers(a=Server(price="0.50 USD"), b=Server(price="0.70 USD"))
    found["a"].faults.extend([None, reply(503)])
    with face(found, Cheapest()) as route:
        first = route.acquire_number("acme", "SA", reference="n")
    for policy in (None, Cheapest()):
        with face(found, policy) as route:
            assert first == route.acquire_number("acme", "SA", reference="n")
    assert ("b", []) == (first.account, found["a"].acts)
    assert ["acme"] == found["b"].acts


def test_a_number_that_may_have_been_rented_is_not_rented_elsewhere(face: Open) -> None:
    """Neither is a code sent."""
    found = servers("a", "b")
    found["a"].faults.extend([NoAnswer("cut")] * 2)
    acts: list[Callable[[Any], Any]] = [
        lambda route: route.acquire_number("acme", "SA", reference="r"),
        lambda route: route.otp(TO, reference="r"),
    ]
    for act in acts:
        for policy in (None, Pinned("b")):
            with face(found, policy) as route, pytest.raises(NoAnswer):
                act(route)
    assert (2, 0) == asked(found)


# Many.


def numbered(*numbers: int) -> list[TextMessage]:
    """A message for each, under a reference of its own."""
    return [
        TextMessage(to=f"+98912111{n:04}", text="hello", reference=f"order-{n}") for n in numbers
    ]


def test_of_many_each_is_sent_once_by_whichever_account(face: Open) -> None:
    """The same list again, by another order of accounts, sends what is left and no more."""
    found = servers("a", "b")
    found["a"].faults.extend([None, reply(402)])
    with face(found) as route:
        first = route.send_many(numbered(1, 2, 3, 4))
    with face(found, B_FIRST) as route:
        told: list[list[str | None]] = []
        plain = [TextMessage(to="+989121112233", text="hello")]
        again = route.send_many(
            [*numbered(3), *plain, *numbered(1, 2, 5, 4)],
            tell=lambda receipts: told.append([receipt.account for receipt in receipts]),
        )
    assert ["a", "a", "b", "b"] == [receipt.account for receipt in first]
    assert ["b", "b", "a", "a", "b", "b"] == [receipt.account for receipt in again]
    assert [first[at] for at in (2, 0, 1, 3)] == [again[at] for at in (0, 2, 3, 5)]
    assert [["b", "a", "a", "b"], ["b", "b"]] == told
    acts = found["a"].acts + found["b"].acts
    assert len(set(acts)) == len(acts) == 6


def test_a_list_that_is_recorded_hides_no_failure(face: Open) -> None:
    """What was sent before does not count as a success of an account that is down now."""
    found = servers("a", "b")
    with face(found) as route:
        route.send_many(numbered(1, 2, 3))
    found["a"].faults.append(ConnectFailed("down"))
    with face(found, tolerance=EAGER) as route:
        accounts = [receipt.account for receipt in route.send_many(numbered(1, 2, 3, 4))]
        assert "breaker open" in str(route.explain(ORDER))
    assert ["a", "a", "a", "b"] == accounts


def test_of_many_the_unknown_ones_are_not_sent_by_another_account(face: Open) -> None:
    """Asked for again, they are as they were."""
    found = servers("a", "b")
    found["a"].faults.append(fail(found["a"]))
    for policy in (None, B_FIRST):
        with face(found, policy) as route:
            receipts = route.send_many(numbered(1, 2))
            outcomes = [receipt.outcome for receipt in receipts]
            assert [Outcome.UNKNOWN] * 2 == outcomes
    assert (1, 0) == asked(found)


def test_one_reference_twice_in_a_list_is_one_message(face: Open) -> None:
    """Also where the first account refuses it."""
    found = servers("a", "b")
    found["a"].faults.extend([reply(402)] * 2)
    with face(found) as route:
        receipts = route.send_many([*numbered(1), *numbered(1)])
    assert receipts[0] == receipts[1]
    assert 1 == len(found["a"].acts + found["b"].acts)


# What cannot be promised.

ACTS: Final[list[Callable[..., Any]]] = [
    lambda route, **more: route.send(ORDER, **more),
    lambda route, **more: route.send_many([attrs.evolve(ORDER, reference=None), ORDER], **more),
    lambda route, **more: route.otp(TO, reference="r", **more),
    lambda route, **more: route.acquire_number("acme", "SA", reference="r", **more),
]


@pytest.mark.parametrize("act", ACTS, ids=["send", "send_many", "otp", "acquire_number"])
@pytest.mark.parametrize("kept", ["apart", "by one", "by none"])
def test_a_reference_needs_one_journal_of_all_accounts(
    act: Callable[..., Any], kept: str, tmp_path: Path
) -> None:
    """Else it is refused before anything is asked: one would do what another one did."""
    found = servers("a", "b")
    places = {"apart": ("a", "b"), "by one": ("a", None), "by none": (None, None)}[kept]
    accounts = [
        Account(
            operations(name, None, (), **_kept(tmp_path, place)),
            virtual_driver(server.handle, server.clock),
        )
        for (name, server), place in zip(found.items(), places, strict=True)
    ]
    with (
        Route("alerts", accounts, Cheapest(), close_accounts=True) as route,
        pytest.raises(SettingsError, match=r"a, b do not keep one journal.*same journal_url") as no,
    ):
        act(route)
    assert ("routes.alerts", "reference") == (no.value.account, no.value.field)
    assert (0, 0) == asked(found)


def _kept(folder: Path, place: str | None) -> dict[str, Any]:
    url = f"sqlite:///{folder}/{place}.sqlite3"
    return {"journal": "off"} if place is None else {"journal": "on", "journal_url": url}


def test_a_journal_is_one_however_its_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the folder it is in, or from the root; and one may be strict."""
    monkeypatch.chdir(tmp_path)
    found = servers("a", "b")
    kept: list[dict[str, Any]] = [
        {"journal": "on", "journal_url": "sqlite:///journal.sqlite3"},
        {"journal": "strict", "journal_url": f"sqlite:///{tmp_path}/journal.sqlite3"},
    ]
    accounts = [
        Account(operations(name, **more), virtual_driver(server.handle, server.clock))
        for (name, server), more in zip(found.items(), kept, strict=True)
    ]
    with Route("alerts", accounts, close_accounts=True) as route:
        assert route.send(ORDER) == route.send(ORDER)


def test_an_address_of_sqlites_own_is_taken_as_it_is(tmp_path: Path) -> None:
    """Equal is one journal, and all else is not."""
    uri = f"sqlite:///file:{tmp_path}/journal.sqlite3?uri=true"
    with blocking(servers("a", "b"), settings={"journal": "on", "journal_url": uri}) as route:
        assert route.send(ORDER) == route.send(ORDER)


@pytest.mark.parametrize("act", ACTS, ids=["send", "send_many", "otp", "acquire_number"])
def test_a_reference_and_a_repetition_are_refused_together(
    face: Open, act: Callable[..., Any]
) -> None:
    """The one forbids what the other asks for."""
    found = servers("a", "b")
    with face(found) as route, pytest.raises(SettingsError, match="leave out one of the two") as no:
        act(route, repeat_unknown=True)
    assert ("routes.alerts", "repeat_unknown") == (no.value.account, no.value.field)
    assert (0, 0) == asked(found)


def test_a_journal_that_cannot_be_read_is_no_reason_to_send(tmp_path: Path) -> None:
    """Not by another account either, and each of many says so."""
    broken = tmp_path / "journal.sqlite3"
    broken.write_bytes(b"no database at all" * 99)
    settings = {"journal": "on", "journal_url": f"sqlite:///{broken}"}
    found = servers("a", "b")
    with blocking(found, settings=settings) as route:
        with pytest.raises(JournalUnavailable):
            route.send(ORDER)
        receipts = route.send_many([ORDER, attrs.evolve(ORDER, to="nobody")])
    kinds = [type(receipt.error) for receipt in receipts]
    assert [JournalUnavailable, InvalidRecipient] == kinds
    assert (0, 0) == asked(found)


def test_a_fallback_is_told_once(face: Open) -> None:
    """The recorded receipt is no act, and no event."""
    ear, found = Ear(), servers("a", "b")
    found["a"].faults.append(reply(402))
    with face(found, listeners=[ear]) as route:
        for _ in range(2):
            route.send(ORDER)
            route.send_many([ORDER])
    names = ["on_refused", "on_low_balance", "on_performed", "on_fallback"]
    assert names == ear.names
