"""What costs money is written down before it is tried; a reference lets it be done once."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import pytest

from qasid import errors
from qasid.drivers.virtual import VirtualClock
from qasid.effects import Call, Flow, Request
from qasid.errors import (
    InsufficientCredit,
    JournalUnavailable,
    NoAnswer,
    Outcome,
    ProviderError,
    ReferenceConflict,
    SettingsError,
)
from qasid.hookspecs import hookimpl
from qasid.journal import opened
from qasid.journal.records import Ending, Operation, State, intent
from qasid.journal.store import Journal
from qasid.policies.journal import lease
from qasid.settings import Options
from qasid.values import (
    Acquired,
    Activation,
    Money,
    NumberOrder,
    OtpOrder,
    Receipt,
    TemplateMessage,
    TextMessage,
)

from .acme import FACES, TO, Acme, Server, asked, info, operations, reply

OTHER: Final = "+989121112244"
TEXT: Final = "the secret words of this text"
CODE: Final = "73910462"
LATER: Final = datetime(2030, 1, 1, tzinfo=UTC)
LEASE: Final = lease(Options())
COST: Final = Money("0.05", "USD")

Open = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the journal is."""
    return f"sqlite:///{tmp_path}/journal.sqlite3"


@pytest.fixture
def book(url: str) -> Iterator[Journal]:
    """The same journal, as another process would open it."""
    with contextlib.closing(opened("work", url)) as journal:
        yield journal


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, url: str) -> Open:
    """Opens an account of either kind whose journal is strict, unless told."""

    def _open(server: Server, *args: Any, **options: Any) -> AbstractContextManager[Any]:
        usual = {"journal": "strict", "journal_url": url}
        return request.param(server, *args, **{**usual, **options})

    return _open


def text(reference: str | None = "order-42", **members: Any) -> TextMessage:
    """One message."""
    return TextMessage(**{"to": TO, "text": TEXT, "reference": reference, **members})


def read(book: Journal, now: datetime = LATER, **filters: Any) -> list[Operation]:
    """What stands in the journal, as it is to be read long after all leases."""
    return list(book.operations(now, **filters))


def elsewhere(book: Journal, message: TextMessage, ahead: timedelta = timedelta(0)) -> str:
    """Another process begins to send that message now; gives its claim."""
    of = {"account": "work", "provider": "acme", "lease": LEASE, "hide_recipient": False}
    begun = intent("send", message, **of)
    assert [None] == book.begin([begun], datetime.now(UTC) + ahead)
    return begun.claim


# A reference.


def test_a_reference_is_sent_once_and_gives_the_same_receipt_again(face: Open) -> None:
    """Also to another account object, as it would in another process; no request is made."""
    server = Server()
    with face(server) as account:
        first = account.send(text())
        again = account.send(text())
    with face(server) as account:
        third = account.send(text())
    assert first == again == third
    assert [TO] == server.acts
    assert 1 == len(server.requests)


def test_another_request_under_the_reference_is_a_conflict(face: Open) -> None:
    """It names the reference and the record, and nothing is sent."""
    server = Server()
    with face(server) as account:
        account.send(text())
        for other in (text(text="x"), text(to=OTHER), TemplateMessage(to=TO, template="t")):
            asked = attrs.evolve(other, reference="order-42")
            with pytest.raises(ReferenceConflict, match="'order-42'") as caught:
                account.send(asked)
            assert Outcome.NOT_PERFORMED is caught.value.outcome
    assert [TO] == server.acts


def test_a_conflict_is_told_while_the_other_is_under_way(face: Open, book: Journal) -> None:
    """There is nothing to wait for."""
    server = Server()
    elsewhere(book, text(text="x"))
    with face(server) as account, pytest.raises(ReferenceConflict):
        account.send(text())
    assert 0.0 == server.clock.seconds


def test_one_reference_may_stand_for_acts_of_several_kinds(face: Open) -> None:
    """`order-42` may be a text and a code."""
    server = Server()
    with face(server) as account:
        account.send(text())
        account.otp(TO, reference="order-42")
        account.acquire_number("acme", "SA", reference="order-42")
    assert [TO, "otp", "acme"] == server.acts


def test_what_was_refused_may_be_tried_again_under_its_reference(face: Open, book: Journal) -> None:
    """It was not performed; the second try succeeds and takes the place of the first."""
    server = Server(faults=[reply(402)])
    with face(server) as account:
        with pytest.raises(InsufficientCredit):
            account.send(text())
        (refused,) = read(book)
        account.send(text())
        account.send(text())
    (performed,) = read(book)
    assert (State.REFUSED, "InsufficientCredit") == (refused.state, refused.error)
    assert (refused.id, State.PERFORMED, None) == (performed.id, performed.state, performed.error)
    assert [TO] == server.acts


def test_an_unknown_outcome_is_raised_again_and_never_repeated(face: Open, book: Journal) -> None:
    """The class that was recorded, its code and its outcome; no request is made."""
    lost = NoAnswer("cut", code="E-7")
    server = Server(faults=[lost])
    with face(server) as account:
        for _ in range(3):
            with pytest.raises(NoAnswer) as caught:
                account.send(text())
    assert (Outcome.UNKNOWN, "E-7") == (caught.value.outcome, caught.value.code)
    assert 1 == len(server.requests)
    assert [(State.UNKNOWN, "NoAnswer", "E-7")] == [(o.state, o.error, o.code) for o in read(book)]


def test_an_error_that_is_not_of_the_tree_is_raised_again_as_its_root(
    face: Open, book: Journal
) -> None:
    """A recorded name alone cannot bring back a plugin's own class."""
    ending = Ending(claim=elsewhere(book, text()), state=State.UNKNOWN, error="Odd", code="7")
    book.settle([ending], datetime.now(UTC))
    with (
        face(Server()) as account,
        pytest.raises(ProviderError, match="see: qasid journal list") as caught,
    ):
        account.send(text())
    assert (ProviderError, "7") == (type(caught.value), caught.value.code)


def test_a_code_that_cannot_be_printed_is_kept_so_that_it_can(face: Open, book: Journal) -> None:
    """A provider's word is not let loose on a terminal."""
    server = Server(faults=[NoAnswer("cut", code="e\x1b1")])
    with face(server) as account, pytest.raises(NoAnswer):
        account.send(text())
    assert [r"'e\x1b1'"] == [o.code for o in read(book)]


def test_a_ticket_is_given_again_without_its_code(face: Open) -> None:
    """Nothing is sent a second time, and no journal has the code."""
    server = Server()
    with face(server) as account:
        first = account.otp(TO, reference="login-1")
        again = account.otp(TO, reference="login-1")
    assert "0042" == first.code
    assert attrs.evolve(first, code=None) == again
    assert ["otp"] == server.acts


def test_a_number_is_rented_once_under_a_reference(face: Open) -> None:
    """The same activation is given again, without a request and without touching the budget."""
    server = Server()
    with face(server, max_open=1) as account:
        first = account.acquire_number("acme", "SA", reference="n", max_price="1.00 USD")
        again = account.acquire_number("acme", "SA", reference="n", max_price="1.0 USD")
    assert first == again
    assert ["acme"] == server.acts


@attrs.frozen(eq=False, kw_only=True)
class Halves(Acme):
    """It rents the first service; a text goes at a price, and to `OTHER` nobody knows whether."""

    info: ClassVar = info(max_batch=3)

    @hookimpl
    def acquire_number(self, order: NumberOrder) -> Flow[Sequence[Activation]]:
        rented = yield from Acme.acquire_number(self, order)
        left = {name: errors.NoNumbersAvailable("none", code="N") for name in order.services[1:]}
        return Acquired(rented[:1], left)

    @hookimpl
    def send(self, messages: Sequence[Any]) -> Flow[Sequence[Receipt]]:
        yield from asked(self, "POST", "/messages", json=[message.to for message in messages])
        lost, no = errors.NoAnswer("?"), errors.InvalidRecipient("no", code="R")
        receipts = {
            OTHER: Receipt(to=OTHER, id="m7", error=lost),
            TO: Receipt(to=TO, id="m8", batch_id="b", cost=COST),
        }
        return [receipts.get(m.to, Receipt(to=m.to, error=no)) for m in messages]


def test_an_order_in_part_is_given_again_with_its_failures(face: Open) -> None:
    """Each as it was."""
    server = Server()
    with face(server, Halves()) as account:
        first = account.acquire_numbers(["acme", "other"], "SA", reference="n")
        again = account.acquire_numbers(["acme", "other"], "SA", reference="n")
    assert first == again
    failure = again.failures["other"]
    assert (errors.NoNumbersAvailable, "N") == (type(failure), failure.code)
    assert Outcome.NOT_PERFORMED is failure.outcome


def test_without_a_journal_a_reference_is_refused(face: Open) -> None:
    """It is never silently ignored, in any act; a bulk is refused whole."""
    server = Server()
    with face(server, journal="off") as account:
        acts: list[Callable[[], Any]] = [
            lambda: account.send(text()),
            lambda: account.send_many([text(None), text()]),
            lambda: account.otp(TO, reference="r"),
            lambda: account.acquire_number("acme", "SA", reference="r"),
        ]
        for act in acts:
            with pytest.raises(SettingsError, match=r'reference.*set journal = "on" or "strict"'):
                act()
    assert [] == server.requests


@pytest.mark.parametrize("reference", ["", "x" * 201, "a\nb", "\ud800", 42])
@pytest.mark.parametrize(
    "make",
    [
        lambda **r: TextMessage(to=TO, text="x", **r),
        lambda **r: TemplateMessage(to=TO, template="t", **r),
        lambda **r: OtpOrder(to=TO, **r),
        lambda **r: NumberOrder(services="acme", country="SA", **r),
    ],
    ids=["text", "template", "otp", "number"],
)
def test_a_reference_is_a_printable_text(make: Callable[..., Any], reference: Any) -> None:
    """Of 1 to 200 characters."""
    with pytest.raises(ValueError, match="reference must be a text of 1 to 200 printable"):
        make(reference=reference)
    assert "x" * 200 == make(reference="x" * 200).reference


# Another process.


@attrs.define
class Eventful(VirtualClock):
    """A clock at whose `at`-th sleep something happens elsewhere."""

    at: int = 3
    then: Callable[[], object] = lambda: None
    slept: int = 0

    def sleep(self, seconds: float) -> None:
        VirtualClock.sleep(self, seconds)
        self.slept += seconds > 0.09  # an event loop takes many shorter ones
        if self.slept == self.at:
            self.then()


def test_while_another_is_at_it_the_call_waits_and_gets_its_result(
    face: Open, book: Journal
) -> None:
    """Looking again from time to time; nothing is sent by this one."""
    from qasid.journal.results import performed

    clock = Eventful()
    server = Server(clock=clock)
    claim = elsewhere(book, text())
    ending = performed(claim, Receipt(to=TO, id="m1", cost=COST))
    clock.then = lambda: book.settle([ending], clock.now())
    with face(server) as account:
        assert Receipt(to=TO, id="m1", cost=COST, account="work") == account.send(text())
    assert [] == server.requests
    assert 0 < clock.seconds < 2


def test_when_the_other_was_refused_the_waiting_call_tries(face: Open, book: Journal) -> None:
    """It was not performed, and somebody still wants it."""
    from qasid.journal.results import failed

    clock = Eventful()
    server = Server(clock=clock)
    claim = elsewhere(book, text())
    ending = failed(claim, InsufficientCredit("no"), State.REFUSED)
    clock.then = lambda: book.settle([ending], clock.now())
    with face(server) as account:
        account.send(text())
    assert [TO] == server.acts


def test_what_a_crash_left_is_unknown_when_its_lease_is_over(face: Open, book: Journal) -> None:
    """Nobody can be at it any more: it is said, and never repeated."""
    server = Server()
    elsewhere(book, text())
    with face(server) as account:
        with pytest.raises(NoAnswer, match="tried before") as caught:
            account.send(text())
        assert Outcome.UNKNOWN is caught.value.outcome
    assert LEASE.total_seconds() == pytest.approx(server.clock.seconds, abs=2)
    assert [] == server.requests


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=-1)])
def test_a_clock_that_was_set_changes_the_waiting_by_nothing_worse_than_less_of_it(
    face: Open, book: Journal, ahead: timedelta
) -> None:
    """Set back by a day, the call waits for a lease and not for a day; it never sends twice."""
    server = Server()
    elsewhere(book, text(), ahead)
    with face(server) as account, pytest.raises(NoAnswer):
        account.send(text())
    assert server.clock.seconds <= LEASE.total_seconds() + 2
    assert [] == server.requests


# Many at once.


def test_a_bulk_is_written_as_one_row_for_each_message(face: Open, book: Journal) -> None:
    """And the receipts are theirs."""
    server = Server()
    messages = [text(f"r{n}", to=f"+98912111{n:04d}") for n in range(2000, 2005)]
    with face(server) as account:
        first = account.send_many(messages)
        assert first == account.send_many(messages)
    assert {m.to for m in messages} == {o.recipient for o in read(book)}
    assert [message.to for message in messages] == server.acts


def test_what_is_recorded_of_a_bulk_is_left_out_of_the_request(face: Open) -> None:
    """Recorded ones, a conflict and new ones each get what is theirs."""
    server = Server()
    with face(server, Halves()) as account:
        account.send(text("a"))
        found = account.send_many([text("a"), text("a", text="x"), text("b")])
    assert [None, ReferenceConflict, None] == [r.error and type(r.error) for r in found]
    assert [json.dumps([TO]).replace(" ", "").encode()] * 2 == [r.content for r in server.requests]


def test_one_reference_twice_in_a_bulk_is_sent_once(face: Open) -> None:
    """Both get the receipt; a different text under it does not."""
    server = Server()
    with face(server, Halves()) as account:
        found = account.send_many([text("a"), text("a"), text("a", text="x")])
    sent = Receipt(to=TO, id="m8", batch_id="b", cost=COST, account="work")
    assert found[0] == found[1] == sent
    assert isinstance(found[2].error, ReferenceConflict)
    assert 1 == len(server.requests)


def test_each_receipt_of_a_bulk_is_recorded_as_it_is(face: Open, book: Journal) -> None:
    """Refused and unknown ones too; what is known of an unknown one is kept."""
    server = Server()
    with face(server, Halves()) as account:
        account.send_many([text("a"), text("b", to=OTHER), text("c", to="+989121112255")])
        (again,) = account.send_many([text("b", to=OTHER)])
    found = {o.reference: (o.state, o.error, o.code) for o in read(book)}
    assert {
        "a": (State.PERFORMED, None, None),
        "b": (State.UNKNOWN, "NoAnswer", None),
        "c": (State.REFUSED, "InvalidRecipient", "R"),
    } == found
    assert Outcome.UNKNOWN is again.outcome
    assert 1 == len(server.requests)


def test_a_failed_request_leaves_what_was_recorded_before_it(face: Open) -> None:
    """Its error is that of the messages it was for, and of no other."""
    server = Server(faults=[None, NoAnswer("cut")])
    with face(server, Halves()) as account:
        first = account.send(text("a"))
        found = account.send_many([text("a"), text("b")])
    assert first == found[0]
    assert isinstance(found[1].error, NoAnswer)


def test_two_that_want_each_others_references_both_come_to_an_end(
    face: Open, book: Journal
) -> None:
    """What can be sent is, before anything is waited for."""
    from qasid.journal.results import performed

    clock = Eventful(at=1)
    server = Server(clock=clock)
    claim = elsewhere(book, text("a"))

    def then() -> None:
        assert State.PERFORMED is next(o for o in read(book) if o.reference == "b").state
        book.settle([performed(claim, Receipt(to=TO, id="m1"))], clock.now())

    clock.then = then
    with face(server, Halves()) as account:
        found = account.send_many([text("a"), text("b")])
    assert ["m1", "m8"] == [receipt.id for receipt in found]


# What is written down.


def test_every_act_that_costs_money_and_every_release_is_recorded(
    face: Open, book: Journal
) -> None:
    """With what it was for; questions are not."""
    server = Server()
    with face(server) as account:
        account.balance()
        account.send(text(None))
        account.send(TemplateMessage(to=OTHER, template="welcome", values={"code": CODE}))
        activation = account.acquire_number("acme", "SA")
        account.fetch_sms(activation)
        account.release(activation)
        account.otp(TO, code=CODE)
    found = {(o.hook, o.recipient, o.subject, o.text_length, o.state) for o in read(book)}
    assert {
        ("send", TO, None, len(TEXT), State.PERFORMED),
        ("send", OTHER, "welcome", 20, State.PERFORMED),
        ("acquire_number", None, "acme SA", None, State.PERFORMED),
        ("release", None, activation.id, None, State.PERFORMED),
        ("otp", TO, None, len(CODE), State.PERFORMED),
    } == found
    assert {"outcome"} == {o.settled_by for o in read(book)}


def test_no_text_and_no_code_is_in_the_file(face: Open, tmp_path: Path) -> None:
    """Neither a given one nor one that the provider told; equal texts have equal digests."""
    with face(Server()) as account:
        account.send_many([text("a"), text("b"), text("c", text=CODE)])
        account.send(TemplateMessage(to=TO, template="t", values={"code": CODE}))
        account.otp(TO, code=CODE)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert TO.encode() in kept
    for secret in (TEXT, "secret words", CODE):
        assert secret.encode() not in kept


def test_recipients_are_digested_where_the_setting_says_so(
    face: Open, book: Journal, tmp_path: Path
) -> None:
    """The same number has the same digest; the receipt of a recorded message still names it."""
    with face(Server(), journal_recipients="digest") as account:
        first = account.send(text("a"))
        assert first == account.send(text("a"))
        account.send(text("b"))
        account.acquire_number("acme", "SA")
    recipients = {o.hook: o.recipient for o in read(book)}
    assert recipients["acquire_number"] is None
    assert str(recipients["send"]).startswith("digest:")
    assert 2 == len({o.recipient for o in read(book)})
    assert TO.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_an_act_that_was_refused_before_any_request_is_refused_in_the_journal(
    face: Open, book: Journal
) -> None:
    """Such as by the budget."""
    with face(Server(), max_open=0) as account, pytest.raises(errors.BudgetExceeded):
        account.acquire_number("acme", "SA")
    assert [(State.REFUSED, "BudgetExceeded")] == [(o.state, o.error) for o in read(book)]


# Interruptions.


@pytest.mark.parametrize(
    ("fault", "state"),
    [(KeyboardInterrupt(), State.UNKNOWN), (errors.ConnectFailed("refused"), State.REFUSED)],
)
def test_an_interrupted_act_is_settled_by_what_had_been_sent(
    url: str, book: Journal, fault: BaseException, state: State
) -> None:
    """With the request on its way nobody knows; that it never left is known."""
    server = Server(faults=[fault] * 3)
    with FACES[0](server, journal="on", journal_url=url) as account, pytest.raises(type(fault)):
        account.send(text())
    assert [(state, type(fault).__name__)] == [(o.state, o.error) for o in read(book)]


def started(url: str, request: TextMessage) -> tuple[Any, Flow[Receipt]]:
    """The operations of an account, and the flow of one `send`."""
    made = operations(journal="strict", journal_url=url)
    return made, made.send(request)


def advanced(flow: Flow[Any], kind: Any, *, perform: bool = False) -> Any:
    """Run it in virtual time up to its first effect of that kind, which is performed or not."""
    clock = VirtualClock()
    effect: Any = next(flow)
    while not isinstance(effect, kind):
        effect = flow.send(clock.now() if type(effect).__name__ == "Now" else clock.tick())
    if perform:
        effect.function()
    return effect


def test_a_flow_that_is_dropped_leaves_its_intent_pending(url: str, book: Journal) -> None:
    """It may ask for nothing more; when its lease is over, its end is unknown."""
    made, flow = started(url, text())
    effect: Any = advanced(flow, Call)
    effect = flow.send(effect.function())
    while not isinstance(effect, Request):
        effect = flow.send(0.0)
    flow.close()
    made.close()
    (left,) = read(book, VirtualClock().now())
    assert State.PENDING is left.state
    assert [State.UNKNOWN] == [o.state for o in read(book)]


def test_a_flow_that_is_dropped_while_it_writes_leaves_what_was_written(
    url: str, book: Journal
) -> None:
    """Its driver is gone."""
    made, flow = started(url, text())
    advanced(flow, Call, perform=True)
    flow.close()
    made.close()
    assert [State.UNKNOWN] == [o.state for o in read(book)]


def test_interrupted_while_the_intent_is_written_it_is_known_that_nothing_was_sent(
    url: str, book: Journal
) -> None:
    """The record may be there all the same, and is settled."""
    made, flow = started(url, text())
    advanced(flow, Call, perform=True)
    flow.throw(KeyboardInterrupt())
    settling = flow.send(VirtualClock().now())
    assert isinstance(settling, Call)
    settling.function()
    with pytest.raises(KeyboardInterrupt):
        flow.send(None)
    made.close()
    assert [(State.REFUSED, "KeyboardInterrupt")] == [(o.state, o.error) for o in read(book)]


# A journal that cannot be written.


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """The options of an account whose journal is a folder."""
    (tmp_path / "folder").mkdir()
    return {"journal_url": f"sqlite:///{tmp_path}/folder"}


def test_strict_tries_nothing_that_it_cannot_record(face: Open, broken: dict[str, str]) -> None:
    """The error names the journal and the remedy; nothing is sent."""
    server = Server()
    with face(server, **broken) as account:
        acts: list[Callable[[], Any]] = [
            lambda: account.send(text(None)),
            lambda: account.otp(TO),
        ]
        for act in acts:
            with pytest.raises(JournalUnavailable, match=r"folder cannot be used .*journal_url"):
                act()
    assert [] == server.requests


def test_strict_refuses_a_bulk_at_its_first_batch(face: Open, broken: dict[str, str]) -> None:
    """A receipt for each message says that it was not sent."""
    server = Server()
    with face(server, **broken) as account:
        found = account.send_many([text(None)] * 5)
    assert [Outcome.NOT_PERFORMED] * 5 == [receipt.outcome for receipt in found]
    assert "cannot be used" in str(found[0].error)
    assert [] == server.requests


def test_on_warns_and_goes_on(
    face: Open, broken: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """What can be done without a record is; a reference cannot."""
    server = Server()
    with face(server, journal="on", **broken) as account:
        account.send(text(None))
        with pytest.raises(JournalUnavailable):
            account.send(text())
        found = account.send_many([text(None), text()])
    assert [None, Outcome.NOT_PERFORMED] == [receipt.outcome for receipt in found]
    assert [TO, TO] == server.acts
    assert 2 == sum("unrecorded" in record.message for record in caplog.records)
    assert {logging.WARNING} == {record.levelno for record in caplog.records}


@attrs.frozen
class Forgetful:
    """A journal that fails to write down so many outcomes."""

    book: Any
    failures: list[JournalUnavailable]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.book, name)

    def settle(self, *args: Any) -> int:
        if self.failures:
            raise self.failures.pop()
        return self.book.settle(*args)


def test_an_end_of_which_nobody_waits_any_more_is_said(
    url: str, book: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """A person called it refused, and it was pruned: what the provider says is in the log alone."""

    def late(request: Request) -> Any:
        (one,) = book.operations(LATER)
        assert book.resolve(attrs.evolve(one, state=State.REFUSED), by="person", now=LATER)
        assert 1 == book.prune(None, LATER + timedelta(days=1))
        return server.answer(request)

    server = Server(faults=[late])
    with FACES[0](server, journal="strict", journal_url=url) as account:
        account.send(text())
    assert "work: send ended when the journal had given it up" in caplog.messages
    assert [] == read(book)


@pytest.mark.parametrize(("failures", "state"), [(4, State.PERFORMED), (9, State.UNKNOWN)])
def test_an_outcome_that_cannot_be_written_is_tried_for_a_while_and_then_said(
    url: str, book: Journal, caplog: pytest.LogCaptureFixture, failures: int, state: State
) -> None:
    """The caller has the result all the same: it was paid for."""
    server = Server()
    with FACES[0](server, journal="strict", journal_url=url) as account:
        journaling = account._operations.journal
        lost = [JournalUnavailable("gone")] * failures
        journaling.book = Forgetful(journaling.book, lost)
        assert "m1" == account.send(text()).id
    assert [state] == [o.state for o in read(book)]
    said = [r.message for r in caplog.records if "how is not recorded: gone" in r.message]
    assert (state is State.UNKNOWN) == bool(said)
    assert 7.5 == server.clock.seconds
