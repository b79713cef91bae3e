"""What an account can do, and what it leaves behind when something goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import attrs
import pytest

from qasid.drivers.plug import Plug
from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual import VirtualClock
from qasid.effects import Flow, Request, Response
from qasid.errors import (
    AuthenticationFailed,
    BudgetExceeded,
    InsufficientCredit,
    InvalidRecipient,
    InvalidRequest,
    NoAnswer,
    NoNumbersAvailable,
    NumberExpired,
    NumberNotFound,
    Outcome,
    PluginError,
    ProtocolError,
    ProviderError,
    ProviderUnavailable,
    ReleaseRefused,
    SettingsError,
    UnsupportedOperation,
    WaitTimeout,
)
from qasid.hookspecs import HOOKS, hookimpl
from qasid.rentals import Rentals
from qasid.values import (
    Acquired,
    Activation,
    Cancelled,
    DeliveryReport,
    DeliveryState,
    InboundMessage,
    InboxQuery,
    Limit,
    Money,
    NumberOrder,
    Offer,
    OtpTicket,
    OtpVerdict,
    Receipt,
    Released,
    ReleaseReason,
    TemplateMessage,
    TextMessage,
    UnusedCap,
)

from .acme import (
    FACES,
    HOME,
    KEY,
    TO,
    Acme,
    Guarded,
    Server,
    asked,
    blocking,
    info,
    operations,
    reply,
)

both_faces = pytest.mark.parametrize("opened", FACES)

LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
START: Final = VirtualClock().now()
HELLO: Final = TextMessage(to=TO, text="hello")
RENTED: Final = Activation(
    id="n1", number="+999000000001", service="acme", country="SA", acquired_at=START
)


@pytest.fixture
def book() -> Iterator[Rentals]:
    """A book of rentals that a test can look into."""
    made = Rentals()
    yield made
    made.close()


def states(book: Rentals) -> list[str]:
    """The states of all rentals that are not closed."""
    return [rental.state for rental in book.current(now=LONG_AGO)]


def text(said: str, *, at: datetime | None = None, sender: str | None = None) -> dict[str, Any]:
    """A message in the server's words."""
    return {"text": said, "sender": sender, "at": at and at.isoformat()}


# Reading.


@both_faces
def test_the_balance_is_money(opened: Any) -> None:
    """In the provider's currency."""
    with opened(Server()) as account:
        assert Money("1.00", "USD") == account.balance()


@both_faces
def test_offers_are_listed_for_a_service_and_a_country(opened: Any) -> None:
    """Both are told to the provider."""
    server = Server()
    with opened(server) as account:
        offer = Offer(service="shop", country="SA", price=Money("0.50", "USD"), account="work")
        assert [offer] == account.offers("shop", "SA")
    assert {"service": "shop", "country": "SA"} == server.requests[0].params()


@both_faces
def test_messages_of_a_number_and_of_the_inbox_are_listed(opened: Any) -> None:
    """One operation for both."""
    server = Server(messages=[text("hello", at=START, sender="Shop")])
    message = InboundMessage(text="hello", sender="Shop", received_at=START)
    with opened(server) as account:
        assert [message] == account.fetch_sms(RENTED)
        assert [message] == account.fetch_sms(InboxQuery())
    assert ["GET /numbers/n1", "GET /inbox"] == server.asked


@both_faces
@pytest.mark.parametrize(
    ("hook", "call"),
    [
        ("balance", lambda account: account.balance()),
        ("offers", lambda account: account.offers()),
        ("acquire_number", lambda account: account.acquire_number("acme", "SA")),
        ("fetch_sms", lambda account: account.fetch_sms(RENTED)),
        ("release", lambda account: account.release(RENTED)),
        ("send", lambda account: account.send(HELLO)),
        ("otp", lambda account: account.otp(TO)),
        ("verify_otp", lambda account: account.verify_otp(TO, "1")),
        ("delivery_status", lambda account: account.delivery_status([Receipt(to=TO, id="m")])),
    ],
)
@pytest.mark.parametrize("given", [None, "text", [None], {"a": 1}, (7,)], ids=str)
def test_a_hook_that_gives_a_wrong_type_is_the_plugins_fault(
    opened: Any, hook: str, call: Callable[[Any], Any], given: Any
) -> None:
    """What an application gets is what the types say."""

    def odd(self: Acme) -> Flow[Any]:
        yield from ()
        return given

    provider = type("Odd", (Acme,), {hook: hookimpl(odd)})()
    with opened(Server(), provider) as account, pytest.raises(PluginError, match="a hook gave a"):
        call(account)


# Renting.


@both_faces
def test_a_number_is_rented_and_written_down(opened: Any, book: Rentals) -> None:
    """One request, one open rental."""
    server = Server()
    with opened(server, rentals=book) as account:
        activation = account.acquire_number("shop", "SA")
        (rental,) = book.current(now=LONG_AGO)
    assert ("n1", "shop", "SA") == (activation.id, activation.service, activation.country)
    assert ("open", activation, "work", "acme") == (
        rental.state,
        rental.activation,
        rental.account,
        rental.provider,
    )
    assert ["POST /numbers"] == server.asked


@both_faces
def test_several_numbers_are_rented_in_one_order(opened: Any, book: Rentals) -> None:
    """One for each service, each written down."""
    with opened(Server(), rentals=book) as account:
        found = account.acquire_numbers(["shop", "bank"], "SA")
        assert ["shop", "bank"] == [activation.service for activation in found]
        assert ["open", "open"] == states(book)


@both_faces
@pytest.mark.parametrize("cap", ["max_open", "max_per_day"])
def test_a_budget_that_is_used_up_refuses_before_any_request(opened: Any, cap: str) -> None:
    """The error names the cap."""
    server = Server()
    caps = {"max_open": 9, "max_per_day": 9, cap: 1}
    with opened(server, **caps) as account:
        account.acquire_number("acme", "SA")
        with pytest.raises(BudgetExceeded) as caught:
            account.acquire_number("acme", "SA")
    assert cap == caught.value.cap
    assert ["POST /numbers"] == server.asked


@both_faces
def test_a_price_over_max_price_is_not_paid(opened: Any, book: Rentals) -> None:
    """Offers are read, and nothing is rented or written down."""
    server = Server()
    with opened(server, rentals=book) as account:
        with pytest.raises(BudgetExceeded, match=r"0\.50 USD, more than 0\.49 USD") as caught:
            account.acquire_number("acme", "SA", max_price=Money("0.49", "USD"))
        assert [] == states(book)
    assert "max_price" == caught.value.cap
    assert ["GET /offers"] == server.asked


@both_faces
def test_a_price_that_is_max_price_is_paid(opened: Any) -> None:
    """The cap itself is allowed, and each service has its own price."""
    server = Server()
    with opened(server) as account:
        account.acquire_numbers(["shop", "bank"], "SA", max_price=Money("0.50", "USD"))
    assert ["GET /offers", "GET /offers", "POST /numbers"] == server.asked


@both_faces
def test_max_spend_is_kept_over_several_acquisitions(opened: Any) -> None:
    """1.20 USD buys two numbers at 0.50."""
    server = Server()
    with opened(server, max_open=9, max_spend=Money("1.20", "USD")) as account:
        account.acquire_numbers(["shop", "bank"], "SA")
        with pytest.raises(BudgetExceeded) as caught:
            account.acquire_number("acme", "SA")
    assert "max_spend" == caught.value.cap
    assert ["shop", "bank"] == server.acts


@both_faces
def test_without_a_known_price_no_cap_on_money_can_be_kept(opened: Any) -> None:
    """So nothing is rented; the error names the cap that asked for it."""
    for cap, options, order in (
        ("max_price", {}, {"max_price": Money(1, "USD")}),
        ("max_spend", {"max_spend": Money(1, "USD")}, {}),
    ):
        server = Server(faults=[reply(200, b'{"offers": []}')])
        with opened(server, **options) as account, pytest.raises(BudgetExceeded) as caught:
            account.acquire_number("acme", "SA", **order)
        assert cap == caught.value.cap
        assert [] == server.acts


@both_faces
def test_prices_and_caps_of_several_currencies_are_refused(opened: Any) -> None:
    """Five rials are not five dollars."""
    server = Server()
    with opened(server) as account, pytest.raises(BudgetExceeded, match="several currencies"):
        account.acquire_number("acme", "SA", max_price=Money(5, "IRR"))
    assert [] == server.acts


@both_faces
def test_a_cap_on_money_needs_a_provider_that_tells_prices(opened: Any) -> None:
    """Else nothing is sent."""
    server = Server()
    with opened(server, Guarded()) as account, pytest.raises(UnsupportedOperation, match="offers"):
        account.acquire_number("acme", "SA", max_price=Money(1, "USD"))
    assert [] == server.asked


@both_faces
def test_what_was_not_performed_is_struck_out(opened: Any, book: Rentals) -> None:
    """A refusal takes nothing from the budget."""
    with opened(Server(faults=[reply(402)]), rentals=book) as account:
        with pytest.raises(InsufficientCredit):
            account.acquire_number("acme", "SA")
        assert [] == states(book)


@both_faces
def test_what_may_have_been_performed_stays_pending(opened: Any, book: Rentals) -> None:
    """It counts for the budget, as it may have been paid."""
    with opened(Server(faults=[NoAnswer("cut")]), rentals=book) as account:
        with pytest.raises(NoAnswer):
            account.acquire_number("acme", "SA")
        assert ["pending"] == states(book)


@both_faces
def test_no_number_where_one_was_due_is_unknown(opened: Any, book: Rentals) -> None:
    """An empty answer to an order says nothing."""
    with opened(Server(faults=[reply(200, b'{"numbers": []}')]), rentals=book) as account:
        with pytest.raises(ProtocolError) as caught:
            account.acquire_number("acme", "SA")
        assert ["pending"] == states(book)
    assert Outcome.UNKNOWN is caught.value.outcome


@both_faces
def test_a_token_that_is_refused_leaves_nothing_pending(opened: Any, book: Rentals) -> None:
    """Nor does one that cannot be renewed after it was refused."""
    server = Server(faults=[None, reply(401), reply(500), reply(500), reply(500)])
    with opened(server, Guarded(), rentals=book) as account:
        with pytest.raises(ProviderUnavailable):
            account.acquire_number("acme", "SA")
        assert [] == states(book)


class Stepwise(Acme):
    """It asks for the rules before it rents, and for details after it."""

    @hookimpl
    def acquire_number(self, order: NumberOrder) -> Flow[Sequence[Activation]]:
        yield from asked(self, "GET", "/rules")
        found = yield from Acme.acquire_number(self, order)
        yield from asked(self, "GET", "/details")
        return found


@both_faces
@pytest.mark.parametrize(
    ("before", "left"),
    [
        (["GET /offers"], []),
        (["GET /offers", "GET /rules"], []),
        (["GET /offers", "GET /rules", "POST /numbers"], ["pending"]),
        (["GET /offers", "GET /rules", "POST /numbers", "GET /details"], ["pending"]),
    ],
)
def test_an_interrupt_leaves_pending_what_may_have_been_rented(
    opened: Any, before: list[str], left: list[str], book: Rentals
) -> None:
    """Wherever it comes: before, at, or after the request that pays."""
    server = Server(faults=[*[None] * (len(before) - 1), KeyboardInterrupt()])
    with opened(server, Stepwise(), rentals=book) as account:
        with pytest.raises(KeyboardInterrupt):
            account.acquire_number("acme", "SA", max_price=Money(1, "USD"))
        assert left == states(book)
    assert before == server.asked


def test_an_interrupt_between_two_tries_leaves_nothing_pending(book: Rentals) -> None:
    """The try before it was surely not performed."""

    class Impatient(VirtualClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    server = Server(faults=[reply(429)])
    driver = SyncDriver(Plug(server.handle), Impatient())
    with pytest.raises(KeyboardInterrupt):
        driver.run(operations(rentals=book).acquire(NumberOrder(services="acme", country="SA")))
    assert [] == states(book)


def test_a_flow_that_is_dropped_leaves_its_rental_pending(book: Rentals) -> None:
    """Where no more can be written, nothing is struck out."""
    with blocking(Server(faults=[GeneratorExit()]), Stepwise(), rentals=book) as account:
        with pytest.raises(GeneratorExit):
            account.acquire_number("acme", "SA")
        assert ["pending"] == states(book)


class Full(Rentals):
    """A book whose disk is full once something has been rented."""

    def settle(
        self, claims: Sequence[str], activations: Sequence[Activation], unknown: int = 0
    ) -> None:
        raise SettingsError("is full", account="*", field="state directory", remedy="empty it")

    def mark(self, account: str, activation_id: str, state: str) -> None:
        raise SettingsError("is full", account="*", field="state directory", remedy="empty it")

    def use(self, account: str, activation_id: str) -> None:
        raise SettingsError("is full", account="*", field="state directory", remedy="empty it")


@both_faces
def test_a_number_that_was_paid_is_given_even_if_it_cannot_be_written_down(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so."""
    with opened(Server(), rentals=Full()) as account:
        assert "n1" == account.acquire_number("acme", "SA").id
    assert ["WARNING"] == [record.levelname for record in caplog.records]
    assert "1 rented, but not written down" in caplog.text


@both_faces
def test_a_release_is_told_even_if_it_cannot_be_written_down(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so."""
    with opened(Server(), rentals=Full()) as account:
        assert Released(activation_id="n1") == account.release(RENTED)
    assert ["WARNING"] == [record.levelname for record in caplog.records]
    assert "n1 is closed, but not noted" in caplog.text


@both_faces
def test_what_was_rented_is_given_with_the_failure_of_the_rest(opened: Any, book: Rentals) -> None:
    """A number that is paid is not lost for another's sake, and what is unknown stays pending."""
    failures = {
        "soldout": NoNumbersAvailable("none"),
        "lost": ProtocolError(f"the key is {KEY}"),
    }

    class Partly(Acme):
        @hookimpl
        def acquire_number(self, order: NumberOrder) -> Flow[Sequence[Activation]]:
            found = yield from Acme.acquire_number(self, NumberOrder(services="a", country="SA"))
            return Acquired(found, failures)

    with opened(Server(), Partly(api_key=KEY), rentals=book, max_open=3) as account:
        acquired = account.acquire_numbers(["a", "soldout", "lost"], "SA")
        assert ["open", "pending"] == states(book)
    assert ["n1"] == [activation.id for activation in acquired]
    outcomes = [error.outcome for error in acquired.failures.values()]
    assert [Outcome.NOT_PERFORMED, Outcome.UNKNOWN] == outcomes
    assert "the key is [secret]" == str(acquired.failures["lost"])


# What providers forbid.


class Wary(Acme):
    """Acme, which blocks accounts that use none of their numbers."""

    info: ClassVar = info(
        set(HOOKS) - {"authenticate"}, unused_cap=UnusedCap(numbers=2, zone="Asia/Tehran")
    )


@both_faces
def test_numbers_that_nobody_uses_come_to_an_end(opened: Any) -> None:
    """The provider would block the account: it is told before any request."""
    server = Server()
    with opened(server, Wary(), max_open=9) as account:
        for _ in range(2):
            account.acquire_number("acme", "SA")
        with pytest.raises(BudgetExceeded, match="2 numbers were rented today") as caught:
            account.acquire_number("acme", "SA")
    assert "unused_cap" == caught.value.cap
    assert ["acme", "acme"] == server.acts


@both_faces
def test_a_number_that_had_a_message_opens_the_way_again(opened: Any) -> None:
    """What is used is what the provider wants to see."""
    server = Server(messages=[text("Your code is 471108")])
    with opened(server, Wary(), max_open=9) as account:
        for _ in range(2):
            activation = account.acquire_number("acme", "SA")
        account.fetch_sms(activation)
        assert "n3" == account.acquire_number("acme", "SA").id


@both_faces
def test_a_message_is_given_even_if_it_cannot_be_written_down(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so."""
    server = Server(messages=[text("Your code is 471108")])
    with opened(server, Wary(), rentals=Full()) as account:
        assert 1 == len(account.fetch_sms(RENTED))
    assert "n1 is used, but not noted" in caplog.text


class Naming(Wary):
    """Wary, whose posts may name the number or report on a message."""

    @hookimpl
    def parse_webhook(self, request: Request) -> Sequence[InboundMessage | DeliveryReport]:
        if request.payload()["to"] == "report":
            return [DeliveryReport(receipt_id="m1", state=DeliveryState.DELIVERED)]
        return [InboundMessage(text="hello", to=request.payload()["to"])]


def posted(to: str | None) -> Request:
    """A post to a webhook."""
    return Request(method="POST", url="/", json={"to": to}).encode()


@both_faces
def test_a_post_to_the_address_of_a_number_is_to_that_number(opened: Any) -> None:
    """Unless it names another; a report is of no rented number. Nothing is sent."""
    server = Server()
    with opened(server, Naming()) as account:
        found = [account.receive_webhook(posted(to), RENTED) for to in (None, "+9992", "report")]
    assert [RENTED.number, "+9992", None] == [item.to for (item,) in found]
    assert [] == server.asked


@both_faces
@pytest.mark.parametrize(("to", "allowed"), [(None, True), ("report", False)])
def test_a_number_whose_message_was_posted_is_used(
    opened: Any, to: str | None, allowed: bool
) -> None:
    """A report is no message."""
    with opened(Server(), Naming(), max_open=9) as account:
        for _ in range(2):
            activation = account.acquire_number("acme", "SA")
        account.receive_webhook(posted(to), activation)
        if allowed:
            assert "n3" == account.acquire_number("acme", "SA").id
        else:
            with pytest.raises(BudgetExceeded):
                account.acquire_number("acme", "SA")


@both_faces
def test_a_hook_can_be_asked_for_before_anything_is_done(opened: Any) -> None:
    """Nothing is sent."""
    server = Server()
    with opened(server, Guarded()) as account:
        account.require("balance")
        with pytest.raises(UnsupportedOperation, match="acme has no parse_webhook"):
            account.require("parse_webhook")
    assert [] == server.asked


# Giving back.


@both_faces
def test_a_number_is_given_back_and_struck_off(opened: Any, book: Rentals) -> None:
    """The provider is told why."""
    server = Server()
    with opened(server, rentals=book) as account:
        activation = account.acquire_number("acme", "SA")
        assert Released(activation_id="n1") == account.release(activation, ReleaseReason.UNUSABLE)
        assert [] == states(book)
    assert {"reason": "unusable"} == server.requests[-1].payload()


@both_faces
@pytest.mark.parametrize(
    ("status", "kind", "left"),
    [
        (409, ReleaseRefused, ["kept"]),
        (404, NumberNotFound, []),
        (410, NumberExpired, []),
        (500, ProviderUnavailable, ["open"]),
        (402, InsufficientCredit, ["open"]),
    ],
)
def test_a_failed_release_is_written_down_as_what_it_means(
    opened: Any, status: int, kind: type[ProviderError], left: list[str], book: Rentals
) -> None:
    """Kept by the provider, gone, or still ours."""
    server = Server(faults=[None, reply(status), reply(status), reply(status)])
    with opened(server, rentals=book) as account:
        activation = account.acquire_number("acme", "SA")
        with pytest.raises(kind):
            account.release(activation)
        assert left == states(book)


# Waiting.


def arriving(server: Server, *messages: dict[str, Any]) -> Callable[[Request], Response]:
    """An answer by whose time these messages have come."""

    def handle(request: Request) -> Response:
        server.messages.extend(messages)
        return server.answer(request)

    return handle


@both_faces
def test_a_message_is_looked_for_as_often_as_the_provider_allows(opened: Any) -> None:
    """Every five seconds, where it does not say otherwise."""
    server = Server()
    server.faults.extend([None, None, arriving(server, text("4711"))])
    with opened(server) as account:
        assert "4711" == account.wait_for_sms(RENTED).code
    assert [0.0, 5.0, 10.0] == pytest.approx(server.times)


@both_faces
def test_a_message_that_is_there_is_given_at_once(opened: Any) -> None:
    """Also where there is no time at all."""
    server = Server(messages=[text("4711")])
    with opened(server) as account:
        assert "4711" == account.wait_for_sms(RENTED, timeout=0).text
    assert [0.0] == server.times


@both_faces
def test_of_several_messages_the_newest_that_fits_is_given(opened: Any) -> None:
    """They are listed oldest first."""
    server = Server(messages=[text("one"), text("two"), text("other")])
    with opened(server) as account:
        assert "two" == account.wait_for_sms(RENTED, pattern="one|two").text


@both_faces
@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ({"since": START}, "later"),
        ({"since": START - timedelta(seconds=1)}, "later"),
        ({"sender": "Bank"}, "Bank's"),
        ({"pattern": "^at"}, "at the start"),
        ({"sender": "Shop", "pattern": "start"}, "at the start"),
        ({"since": START, "sender": "Shop"}, "later"),
    ],
)
def test_only_a_message_that_fits_ends_the_waiting(
    opened: Any, wanted: dict[str, Any], given: str
) -> None:
    """After a moment, from a sender, with a pattern, or all of them."""
    server = Server(
        messages=[
            text("at the start", at=START, sender="Shop"),
            text("Bank's", at=START, sender="Bank"),
            text("later", at=START + timedelta(seconds=1), sender="Shop"),
        ]
    )
    with opened(server) as account:
        assert given == account.wait_for_sms(RENTED, timeout=0, **wanted).text


@both_faces
def test_a_message_without_time_or_sender_is_not_ruled_out_by_them(opened: Any) -> None:
    """Providers that tell neither can be waited for too."""
    server = Server(messages=[text("hello")])
    with opened(server) as account:
        assert "hello" == account.wait_for_sms(RENTED, since=START, sender="Shop").text


@both_faces
def test_when_the_time_is_over_it_looks_once_more_and_says_so(opened: Any, book: Rentals) -> None:
    """The number stays rented."""
    server = Server()
    with opened(server, rentals=book) as account:
        activation = account.acquire_number("acme", "SA")
        with pytest.raises(WaitTimeout):
            account.wait_for_sms(activation, timeout=12)
        assert ["open"] == states(book)
    assert [0.0, 5.0, 10.0, 12.0] == pytest.approx(server.times[1:])


@both_faces
@pytest.mark.parametrize(
    ("field", "value"),
    [("timeout", -1), ("timeout", float("nan")), ("pattern", "["), ("pattern", "(?P<x")],
)
def test_a_senseless_wait_is_refused_before_any_request(
    opened: Any, field: str, value: Any
) -> None:
    """The error names the argument."""
    server = Server()
    with opened(server) as account, pytest.raises(SettingsError) as caught:
        account.wait_for_sms(RENTED, **{field: value})
    assert field == caught.value.field
    assert [] == server.asked


@both_faces
def test_a_number_whose_time_is_over_is_looked_at_once(opened: Any) -> None:
    """A message may have come before the end."""
    ended = attrs.evolve(RENTED, expires_at=START)
    server = Server()
    with opened(server) as account, pytest.raises(NumberExpired):
        account.wait_for_sms(ended)
    assert [0.0] == server.times


def test_the_end_of_a_number_ends_the_waiting() -> None:
    """It is no use to look on, whatever the timeout."""
    ending = attrs.evolve(RENTED, expires_at=START + timedelta(seconds=8))
    server = Server()
    with blocking(server) as account, pytest.raises(NumberExpired):
        account.wait_for_sms(ending)
    assert [0.0, 5.0, 10.0] == server.times


@both_faces
def test_the_providers_word_that_a_number_is_over_ends_the_waiting(opened: Any) -> None:
    """Its own clock counts."""
    server = Server(faults=[None, reply(410)])
    with opened(server) as account, pytest.raises(NumberExpired):
        account.wait_for_sms(RENTED)


@both_faces
@pytest.mark.parametrize("fault", [500, 429, None])
def test_a_provider_that_fails_for_a_while_is_waited_for(opened: Any, fault: int | None) -> None:
    """The message may come all the same."""
    server = Server()
    faults = [reply(fault) if fault else NoAnswer("cut") for _ in range(6)]
    server.faults.extend([None, *faults, arriving(server, text("4711"))])
    with opened(server) as account:
        assert "4711" == account.wait_for_sms(RENTED).code


@both_faces
def test_a_provider_that_asks_for_long_patience_is_left_alone(opened: Any) -> None:
    """No look is sent before the time that it named, nor is the waiting over before its own."""
    server = Server(faults=[reply(429, Retry_After="1000")])
    with opened(server, max_wait=1.0) as account, pytest.raises(WaitTimeout):
        account.wait_for_sms(RENTED, timeout=60)
    assert [0.0] == server.times
    assert 60.0 == pytest.approx(server.clock.seconds)


# Following.


@both_faces
def test_each_message_is_told_once(opened: Any) -> None:
    """Those that are there first, then each that comes; one without an id is known by the rest."""
    server = Server(messages=[text("one")])
    server.faults.extend([None, arriving(server, text("two")), arriving(server, text("three"))])
    told: list[str] = []
    with opened(server) as account:
        account.follow_sms(RENTED, lambda message: told.append(message.text), timeout=12)
    assert ["one", "two", "three"] == told
    assert [0.0, 5.0, 10.0, 12.0] == pytest.approx(server.times)


@both_faces
def test_a_message_with_an_id_is_known_by_it(opened: Any) -> None:
    """Two with the same text are two; one that changes is the same."""

    class Numbering(Acme):
        @hookimpl
        def fetch_sms(self, inbox: Activation | InboxQuery) -> Flow[Sequence[InboundMessage]]:
            found = yield from Acme.fetch_sms(self, inbox)
            seen = len(server.times)
            return [
                InboundMessage(text=f"{m.text}, look {seen}", id=f"i{at}")
                for at, m in enumerate(found)
            ]

    server = Server(messages=[text("4711"), text("4711")])
    told: list[str] = []
    with opened(server, Numbering()) as account:
        account.follow_sms(InboxQuery(), lambda message: told.append(message.text), timeout=5)
    assert ["4711, look 1"] * 2 == told
    assert 2 == len(server.times)


def test_a_message_is_told_before_the_next_look() -> None:
    """So an end in the middle loses none; what `tell` raises is that end."""
    server = Server(messages=[text("one"), text("two")])

    def tell(message: InboundMessage) -> None:
        assert [0.0] == server.times
        raise KeyboardInterrupt

    with blocking(server) as account, pytest.raises(KeyboardInterrupt):
        account.follow_sms(RENTED, tell)


@both_faces
@pytest.mark.parametrize("fault", [500, 429, None])
def test_a_failure_that_may_pass_is_told_and_followed_through(
    opened: Any, fault: int | None
) -> None:
    """What comes after it is not lost."""
    server = Server()
    server.faults.extend([reply(fault) if fault else NoAnswer("cut") for _ in range(6)])
    server.faults.append(arriving(server, text("4711")))
    troubles: list[ProviderError] = []
    told: list[str] = []
    with opened(server) as account:
        account.follow_sms(
            RENTED, lambda message: told.append(message.text), trouble=troubles.append, timeout=30
        )
    assert (["4711"], 2) == (told, len(troubles))


@both_faces
def test_following_needs_nobody_to_hear_of_trouble(opened: Any) -> None:
    """It is logged in any case, as it is for `wait_for_sms`."""
    server = Server(faults=[NoAnswer("cut")] * 3)
    with opened(server) as account:
        account.follow_sms(RENTED, lambda message: None, timeout=0)
    assert 3 == len(server.times)


@both_faces
def test_the_end_of_a_number_ends_the_following(opened: Any) -> None:
    """What was there at its end has been told."""
    server = Server(messages=[text("4711")])
    told: list[InboundMessage] = []
    with opened(server) as account, pytest.raises(NumberExpired):
        account.follow_sms(attrs.evolve(RENTED, expires_at=START), told.append)
    assert ["4711"] == [message.text for message in told]


@both_faces
def test_a_senseless_time_to_follow_is_refused_before_any_request(opened: Any) -> None:
    """Less than none."""
    server = Server()
    with opened(server) as account, pytest.raises(SettingsError, match="timeout"):
        account.follow_sms(RENTED, print, timeout=-1)
    assert [] == server.asked


# Sending.


def numbered(count: int) -> list[TextMessage]:
    return [TextMessage(to=f"+98912000000{n}", text="hello") for n in range(count)]


@both_faces
def test_a_message_is_sent_to_a_number_in_any_form(opened: Any) -> None:
    """The provider gets it in E.164."""
    server = Server()
    with opened(server) as account:
        receipt = account.send(TextMessage(to="۰۹۱۲ ۱۱۱ ۲۲۳۳", text="hello"))
        assert Receipt(to=TO, id="m1", account="work") == receipt
        assert account.send(TemplateMessage(to=TO, template="welcome")).accepted
    assert [TO, TO] == server.acts


@both_faces
def test_a_recipient_that_is_no_number_is_refused_before_the_wire(opened: Any) -> None:
    """Nothing is sent."""
    server = Server()
    with opened(server) as account, pytest.raises(InvalidRecipient):
        account.send(TextMessage(to="my friend", text="hello"))
    assert [] == server.asked


class Talkative(Acme):
    """Its receipts tell all that a receipt can."""

    @hookimpl
    def send(self, messages: Sequence[Any]) -> Flow[Sequence[Receipt]]:
        (receipt,) = yield from Acme.send(self, messages)
        return [attrs.evolve(receipt, batch_id="b1", cost=Money("0.05", "USD"))]


@both_faces
def test_a_receipt_tells_all_that_the_provider_told(opened: Any) -> None:
    """And the account beside it."""
    with opened(Server(), Talkative()) as account:
        receipt = account.send(TextMessage(to=TO, text="hello"))
    told = {"to": TO, "id": "m1", "batch_id": "b1", "cost": Money("0.05", "USD")}
    assert {**told, "error": None, "account": "work"} == attrs.asdict(receipt, recurse=False)


class Choosy(Acme):
    """It refuses every number that ends in 1."""

    @hookimpl
    def send(self, messages: Sequence[Any]) -> Flow[Sequence[Receipt]]:
        receipts = yield from Acme.send(self, messages)
        return [
            attrs.evolve(receipt, error=InvalidRecipient("no") if receipt.to[-1] == "1" else None)
            for receipt in receipts
        ]


@both_faces
def test_the_refusal_of_one_message_is_raised(opened: Any) -> None:
    """Where there is one message only, its receipt's error is the operation's."""
    with opened(Server(), Choosy()) as account, pytest.raises(InvalidRecipient):
        account.send(TextMessage(to="+989120000001", text="hello"))


@both_faces
def test_many_messages_go_in_batches_of_the_providers_size(opened: Any) -> None:
    """Five messages in batches of two, and a receipt each, in order."""
    server = Server()
    with opened(server) as account:
        receipts = account.send_many(iter(numbered(5)))
    assert [message.to for message in numbered(5)] == [receipt.to for receipt in receipts]
    assert ["m1", "m2", "m3", "m4", "m5"] == [receipt.id for receipt in receipts]
    assert ["POST /messages"] * 3 == server.asked


@both_faces
def test_no_messages_need_no_request(opened: Any) -> None:
    """And give no receipts."""
    server = Server()
    with opened(server) as account:
        assert [] == account.send_many([])
    assert [] == server.asked


@both_faces
def test_sending_many_needs_a_provider_that_sends(opened: Any) -> None:
    """Also where no recipient is a number."""

    @attrs.frozen(eq=False, kw_only=True)
    class Deaf:
        info: ClassVar = info([])
        base_url: str = HOME

    with opened(Server(), Deaf()) as account, pytest.raises(UnsupportedOperation):
        account.send_many([])


@both_faces
def test_recipients_that_are_no_numbers_keep_their_place(opened: Any) -> None:
    """Each has its refusal, and the others go."""
    bad = TextMessage(to="my friend", text="hello")
    good = numbered(2)
    server = Server()
    with opened(server) as account:
        receipts = account.send_many([bad, good[0], bad, good[1]])
    assert [False, True, False, True] == [receipt.accepted for receipt in receipts]
    assert ["my friend", good[0].to] == [receipt.to for receipt in receipts[:2]]
    assert {Outcome.NOT_PERFORMED, None} == {receipt.outcome for receipt in receipts}
    assert [message.to for message in good] == server.acts


@both_faces
def test_each_batch_is_told_before_the_next_is_sent(opened: Any) -> None:
    """In order, with the receipts of those that no batch had."""
    bad = TextMessage(to="my friend", text="hello")
    good = numbered(3)
    server = Server()
    told: list[tuple[list[str], int]] = []
    with opened(server) as account:
        receipts = account.send_many(
            [good[0], bad, good[1], bad, good[2]],
            tell=lambda found: told.append(([each.to for each in found], len(server.times))),
        )
    assert [
        ([good[0].to, "my friend", good[1].to, "my friend"], 1),
        ([good[2].to], 2),
    ] == told
    assert 5 == len(receipts)


@both_faces
def test_recipients_that_are_no_numbers_need_no_request(opened: Any) -> None:
    """They are told all the same."""
    told: list[list[Receipt]] = []
    server = Server()
    with opened(server) as account:
        receipts = account.send_many([TextMessage(to="x", text="hello")] * 3, tell=told.append)
    assert ([receipts], []) == (told, server.asked)


def test_a_moment_that_passes_while_a_list_is_sent_is_refused() -> None:
    """The batches before it went in time."""
    later = [attrs.evolve(m, send_at=START + timedelta(seconds=50)) for m in numbered(3)]
    server = Server()
    with blocking(server) as account:
        receipts = account.send_many(later, tell=lambda found: server.clock.sleep(60))
    assert [True, True, False] == [receipt.accepted for receipt in receipts]
    assert isinstance(receipts[2].error, InvalidRequest)
    assert 2 == len(server.acts)


def test_what_the_telling_raises_ends_the_sending() -> None:
    """Nothing more is sent."""

    def tell(receipts: list[Receipt]) -> None:
        raise KeyboardInterrupt

    server = Server()
    with blocking(server) as account, pytest.raises(KeyboardInterrupt):
        account.send_many(numbered(5), tell=tell)
    assert [message.to for message in numbered(2)] == server.acts


@both_faces
def test_a_batch_that_fails_does_not_keep_the_others(opened: Any) -> None:
    """Its messages have the error in their receipts."""
    server = Server(faults=[None, reply(500), None])
    with opened(server) as account:
        receipts = account.send_many(numbered(5))
    assert [True, True, False, False, True] == [receipt.accepted for receipt in receipts]
    assert Outcome.UNKNOWN is receipts[2].outcome
    assert isinstance(receipts[3].error, ProviderUnavailable)


@both_faces
@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationFailed), (402, InsufficientCredit)]
)
def test_what_would_refuse_every_batch_stops_the_rest(
    opened: Any, status: int, kind: type[ProviderError]
) -> None:
    """No request is spent on what is known to fail."""
    server = Server(faults=[None, reply(status)])
    with opened(server) as account:
        receipts = account.send_many(numbered(6))
    assert [True, True, *[False] * 4] == [receipt.accepted for receipt in receipts]
    assert {kind} == {type(receipt.error) for receipt in receipts[2:]}
    assert [message.to for message in numbered(6)] == [receipt.to for receipt in receipts]
    assert ["POST /messages"] * 2 == server.asked


@both_faces
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_receipts_tells_nothing_of_any_message(opened: Any, count: int) -> None:
    """Nobody knows which receipt is whose."""

    class Careless(Acme):
        @hookimpl
        def send(self, messages: Sequence[Any]) -> Flow[Sequence[Receipt]]:
            yield from Acme.send(self, messages)
            return [Receipt(to=TO)] * count

    with opened(Server(), Careless()) as account:
        receipts = account.send_many(numbered(2))
    assert [Outcome.UNKNOWN] * 2 == [receipt.outcome for receipt in receipts]
    assert isinstance(receipts[0].error, ProtocolError)


@both_faces
def test_a_plugin_that_breaks_in_the_middle_loses_no_receipt(opened: Any) -> None:
    """What went before is told, and what broke is honestly unknown."""

    class Broken(Acme):
        @hookimpl
        def send(self, messages: Sequence[Any]) -> Flow[Any]:
            receipts = yield from Acme.send(self, messages)
            return receipts if len(server.requests) < 2 else "sent"

    server = Server()
    with opened(server, Broken()) as account:
        receipts = account.send_many(numbered(4))
    assert [True, True, False, False] == [receipt.accepted for receipt in receipts]
    assert [Outcome.UNKNOWN] * 2 == [receipt.outcome for receipt in receipts[2:]]


@both_faces
def test_an_error_in_a_receipt_tells_no_secret(opened: Any) -> None:
    """As little as one that is raised."""

    class Chatty(Acme):
        @hookimpl
        def send(self, messages: Sequence[Any]) -> Flow[Sequence[Receipt]]:
            yield from Acme.send(self, messages)
            return [Receipt(to=m.to, error=ProviderError(f"key {self.api_key}")) for m in messages]

    with opened(Server(), Chatty(api_key=KEY)) as account:
        (receipt,) = account.send_many(numbered(1))
    assert "key [secret]" == str(receipt.error)


@both_faces
def test_a_moment_that_is_over_is_refused_before_the_wire(opened: Any) -> None:
    """What a provider does with it is anybody's guess."""
    late = attrs.evolve(HELLO, send_at=START)
    server = Server()
    with opened(server) as account:
        receipts = account.send_many([late, HELLO])
        with pytest.raises(InvalidRequest, match="send_at is not later than now"):
            account.send(late)
    assert [False, True] == [receipt.accepted for receipt in receipts]
    assert [TO] == server.acts


@both_faces
def test_what_is_scheduled_can_be_taken_back(opened: Any) -> None:
    """By the id of its batch."""
    server = Server()
    with opened(server) as account:
        assert Cancelled(batch_id="b/1") == account.cancel_scheduled("b/1")
    assert ["POST /batches/b%2F1/cancel"] == server.asked


@both_faces
def test_delivery_is_reported_in_the_order_of_the_receipts(opened: Any) -> None:
    """By the provider's ids."""
    receipts = [Receipt(to=TO, id="m2"), Receipt(to=TO, id="m1")]
    with opened(Server()) as account:
        reports = account.delivery_status(receipts)
    delivered = DeliveryState.DELIVERED
    assert [DeliveryReport(receipt_id=id_, state=delivered) for id_ in ("m2", "m1")] == reports


@both_faces
def test_a_receipt_without_an_id_cannot_be_asked_about(opened: Any) -> None:
    """The provider would not know what is meant; nothing is sent."""
    server = Server()
    with opened(server) as account, pytest.raises(InvalidRequest, match="no id"):
        account.delivery_status([Receipt(to=TO, id="m1"), Receipt(to=TO)])
    assert [] == server.asked


@both_faces
def test_no_receipts_need_no_request(opened: Any) -> None:
    """And give no reports."""
    server = Server()
    with opened(server) as account:
        assert [] == account.delivery_status([])
    assert [] == server.asked


# One-time passwords.


@both_faces
def test_a_one_time_password_is_sent_to_a_number_in_any_form(opened: Any) -> None:
    """The code of the provider is text, with its leading zeros."""
    server = Server()
    with opened(server) as account:
        assert OtpTicket(to=TO, code="0042", account="work") == account.otp("09121112233", length=4)
        assert OtpTicket(to=TO, code="0815", account="work") == account.otp(TO, code="0815")
    assert TO == server.requests[0].payload()["to"]


@both_faces
@pytest.mark.parametrize("code", ["0042", "۰۰۴۲", "٠٠٤٢", " 0042 "])
def test_a_code_is_verified_in_digits_of_any_script(opened: Any, code: str) -> None:
    """The provider gets ASCII digits."""
    with opened(Server()) as account:
        assert account.verify_otp("0912 111 2233", code)


@both_faces
def test_a_wrong_code_is_a_verdict(opened: Any) -> None:
    """And no error."""
    with opened(Server()) as account:
        assert OtpVerdict(accepted=False) == account.verify_otp(TO, "1111")


@both_faces
def test_a_code_for_no_number_is_refused_before_the_wire(opened: Any) -> None:
    """For sending and for verifying."""
    server = Server()
    with opened(server) as account:
        with pytest.raises(InvalidRecipient):
            account.otp("friend")
        with pytest.raises(InvalidRecipient):
            account.verify_otp("friend", "1")
    assert [] == server.asked


# What is logged.


def everything(account: Any) -> None:
    """Every operation, as it goes when all is well."""
    account.balance()
    account.offers()
    with account.rent("shop", "SA") as activation:
        account.wait_for_sms(activation)
        account.fetch_sms(activation)
    receipts = account.send_many([TextMessage(to=TO, text="my secret text")])
    account.send(TextMessage(to=TO, text="my secret text"))
    account.delivery_status(receipts)
    account.otp(TO, code="98765")
    account.verify_otp(TO, "98765")
    account.parse_webhook(
        Request(method="POST", url=HOME, json={"text": "my secret text"}).encode()
    )


SECRETS: Final = (KEY, "TOKEN-1", "my secret text", "98765", "4711", TO, RENTED.number)


@both_faces
def test_logs_tell_no_secret_and_no_number(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at DEBUG, and not when things go wrong."""
    caplog.set_level(logging.DEBUG)
    server = Server(messages=[text("code 4711")])
    server.faults.extend([reply(429), NoAnswer(f"{KEY} {TO}"), None, reply(500, KEY.encode())])
    with opened(server) as account:
        everything(account)
    logged = "\n".join(f"{record.getMessage()} {record.args}" for record in caplog.records)
    assert "work balance: GET 200" in logged
    assert "RateLimited; trying again" in logged
    assert [] == [secret for secret in SECRETS if secret in logged]


@both_faces
def test_logs_tell_no_token(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Neither when it comes nor when it is refused."""
    caplog.set_level(logging.DEBUG)
    with opened(Server(faults=[None, reply(401)]), Guarded()) as account:
        account.send(TextMessage(to=TO, text="my secret text"))
    logged = "\n".join(f"{record.getMessage()} {record.args}" for record in caplog.records)
    assert "work authenticate: POST 200" in logged
    assert [] == [secret for secret in SECRETS if secret in logged]


@both_faces
def test_nothing_is_logged_above_debug_when_all_is_well(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A log of an application stays its own."""
    caplog.set_level(logging.DEBUG)
    with opened(Server(messages=[text("code 4711")])) as account:
        everything(account)
    ours = [record for record in caplog.records if record.name.startswith("qasid")]
    assert {"DEBUG"} == {record.levelname for record in ours}


# What all operations have in common.


@both_faces
def test_a_call_that_would_wait_longer_than_max_wait_for_the_limits_is_refused(
    opened: Any,
) -> None:
    """Nothing of it is sent, and so it was not performed."""

    @attrs.frozen(eq=False, kw_only=True)
    class Slow(Acme):
        info: ClassVar = info(
            set(HOOKS) - {"authenticate"},
            limits=(Limit(requests=1, period=timedelta(minutes=1)),),
        )

    server = Server()
    with opened(server, Slow(), max_wait=10.0) as account:
        account.send(HELLO)
        with pytest.raises(ProviderError, match="over max_wait") as caught:
            account.send(HELLO)
    assert Outcome.NOT_PERFORMED is caught.value.outcome
    assert ["POST /messages"] == server.asked
