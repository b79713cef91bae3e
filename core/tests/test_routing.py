"""A route goes on where that cannot do anything twice, and nowhere else."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qasid import errors
from qasid.account import Account
from qasid.drivers.virtual import virtual_driver
from qasid.effects import Flow, Request, Response
from qasid.errors import (
    BudgetExceeded,
    ConnectFailed,
    InvalidRecipient,
    NoAnswer,
    OtpLimitExceeded,
    Outcome,
    ProviderError,
    ProviderUnavailable,
    QasidError,
    RouteExhausted,
    SettingsError,
    UnsupportedOperation,
)
from qasid.events import PassedOver, event_name
from qasid.hookspecs import hookimpl
from qasid.routing import (
    ByPrefix,
    Cheapest,
    Choice,
    Pinned,
    Route,
    Tolerance,
    Weighted,
)
from qasid.routing.rules import RULES, goes_on, rule_of
from qasid.values import (
    Activation,
    InboxQuery,
    Money,
    NumberOrder,
    OtpOrder,
    Receipt,
    TemplateMessage,
    TextMessage,
)

from .acme import TO, Acme, Server, info, reply
from .routes import FACES, Ear, blocking, operations, servers

both_faces = pytest.mark.parametrize("opened", FACES)

HELLO: Final = TextMessage(to=TO, text="hello")
ERRORS: Final[list[type[QasidError]]] = [
    kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, QasidError)
]


def many(*numbers: str) -> list[TextMessage]:
    """A text to each."""
    return [TextMessage(to=number, text="hello") for number in numbers]


def performed_and(status: int) -> Callable[[Server], Callable[[Request], Response]]:
    """A fault of a server: it does what it is asked, and answers something else."""

    def fault(server: Server) -> Callable[[Request], Response]:
        def handle(request: Request) -> Response:
            server.answer(request)
            return Response(status=status)

        return handle

    return fault


# The table.


def test_every_error_of_the_tree_has_a_row_of_its_own() -> None:
    """A new error is decided on when it is made, and not when it happens."""
    assert set(RULES) == {*ERRORS}


@pytest.mark.parametrize("kind", ERRORS)
def test_no_row_goes_on_for_the_recipient_the_content_or_the_budget(kind: type[QasidError]) -> None:
    """Those are refused by every account, or are no account's business."""
    barred = (errors.InvalidRequest, errors.OtpRejected, errors.BudgetExceeded)
    if issubclass(kind, barred):
        assert not RULES[kind].next_account
        assert not RULES[kind].counts


def test_the_breaker_counts_failures_of_the_provider_alone() -> None:
    """Nothing that an account, a recipient or a text is to blame for."""
    counted = {kind for kind, rule in RULES.items() if rule.counts}
    unavailable = {errors.ProviderUnavailable, errors.ConnectFailed, errors.NoAnswer}
    assert {*unavailable, errors.ProtocolError} == counted


def test_an_error_of_a_strangers_has_the_row_of_its_parent() -> None:
    """A plugin may have errors of its own."""

    class BlockedRecipient(errors.RecipientOptedOut):
        pass

    assert rule_of(BlockedRecipient("no")) is RULES[errors.RecipientOptedOut]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_unknown_outcome_never_goes_on_by_itself(kind: type[QasidError]) -> None:
    """Whatever the error is."""
    if issubclass(kind, ProviderError):
        error = kind("no", outcome=Outcome.UNKNOWN)
        assert not goes_on(error, repeat_unknown=False)
        assert event_name(error) == "on_unknown"


@attrs.frozen(eq=False, kw_only=True)
class Failing(Acme):
    """Its sending and renting raise what a test puts there, before anything is sent or after."""

    raised: ClassVar[list[QasidError]] = []

    @hookimpl
    def send(self, messages: Any) -> Flow[list[Receipt]]:
        yield Request(method="POST", url=f"{self.base_url}/messages", json=[])
        raise self.raised[0]


def made(kind: type[QasidError]) -> QasidError:
    """An error of that class."""
    if kind is SettingsError:
        return SettingsError("bad", account="a", field="f", remedy="mend it")
    if kind is OtpLimitExceeded:
        return OtpLimitExceeded("no", limit="cooldown", retry_after=timedelta(seconds=60))
    return BudgetExceeded("no", cap="max_open") if kind is BudgetExceeded else kind("no")


@both_faces
@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("kind", ERRORS)
def test_the_table_holds_for_a_message(
    opened: Any, kind: type[QasidError], outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Next account, breaker and event are as the row says, for each class and each outcome."""
    error = made(kind)
    if isinstance(error, ProviderError):
        error.outcome = outcome
    monkeypatch.setattr(Failing, "raised", [error])
    ear, found, rule = Ear(), servers("a", "b"), RULES[kind]
    with opened(
        found,
        providers={"a": Failing()},
        listeners=[ear],
        tolerance=Tolerance(failures=1),
    ) as route:
        unknown = isinstance(error, ProviderError) and outcome is Outcome.UNKNOWN
        if rule.next_account and not unknown:
            assert route.send(HELLO).account == "b"
        else:
            with pytest.raises(kind) as caught:
                route.send(HELLO)
            assert caught.value is error
        assert ("breaker open" in str(route.explain(HELLO))) is rule.counts
    assert ("on_fallback" in ear.names) is (rule.next_account and not unknown)
    assert ear.names[0] == event_name(error)


# Failover.


@both_faces
def test_the_first_account_sends_and_the_next_is_left_alone(opened: Any) -> None:
    """A fallback is for failures."""
    ear, found = Ear(), servers("a", "b")
    with opened(found, listeners=[ear]) as route:
        assert Receipt(to=TO, id="m1", account="a") == route.send(HELLO)
    assert ([TO], []) == (found["a"].acts, found["b"].acts)
    assert ["on_performed"] == ear.names


@both_faces
def test_a_provider_that_is_not_reached_is_passed_over_and_it_is_told(opened: Any) -> None:
    """The event is there although it was sent, so that nobody finds out months later."""
    ear, found = Ear(), servers("a", "b")
    found["a"].faults.append(ConnectFailed("no route to host"))
    with opened(found, listeners=[ear]) as route:
        assert route.send(HELLO).account == "b"
    event = ear.only("on_fallback")
    assert (PassedOver("a", "ConnectFailed"),) == event.passed_over
    assert ("alerts", "send", "b", 1) == (event.route, event.operation, event.account, event.count)
    assert ["on_refused", "on_performed", "on_fallback"] == ear.names


@both_faces
@pytest.mark.parametrize("fault", [NoAnswer("cut"), reply(500), reply(200, b"<html>")])
def test_an_unknown_outcome_stops_there_and_is_reported(opened: Any, fault: Any) -> None:
    """The message may have gone."""
    ear, found = Ear(), servers("a", "b")
    found["a"].faults.append(fault)
    with opened(found, listeners=[ear]) as route, pytest.raises(ProviderError) as caught:
        route.send(HELLO)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert [] == found["b"].requests
    assert ["on_unknown"] == ear.names


@both_faces
def test_an_unknown_outcome_goes_on_where_the_call_says_so(opened: Any) -> None:
    """That risks two messages, and here there are two."""
    found = servers("a", "b")
    found["a"].faults.append(performed_and(500)(found["a"]))
    with opened(found) as route:
        assert route.send(HELLO, repeat_unknown=True).account == "b"
    assert ([TO], [TO]) == (found["a"].acts, found["b"].acts)


@both_faces
def test_the_recipients_fault_asks_no_other_account(opened: Any) -> None:
    """It would be refused again, and billed by some."""
    found = servers("a", "b")
    with opened(found) as route, pytest.raises(InvalidRecipient):
        route.send(TextMessage(to="nobody", text="hello"))
    assert [] == found["a"].requests + found["b"].requests


@both_faces
def test_every_account_down_is_one_error_that_tells_of_each(opened: Any) -> None:
    """Not performed, with what each said, and the least time to wait."""
    found = servers("a", "b")
    found["a"].faults.append(reply(429, Retry_After="30"))
    found["b"].faults.append(ConnectFailed("down"))
    with opened(found) as route, pytest.raises(RouteExhausted) as caught:
        route.send(HELLO)
    error = caught.value
    assert error.outcome is Outcome.NOT_PERFORMED
    assert {"a": "RateLimited", "b": "ConnectFailed"} == {
        account: type(failure).__name__ for account, failure in error.failures.items()
    }
    assert "(a: RateLimited; b: ConnectFailed)" in str(error)
    assert error.retry_after is not None
    assert error.retry_after.total_seconds() == 30


@both_faces
def test_after_an_unknown_that_was_repeated_the_end_is_unknown(opened: Any) -> None:
    """Though the last account surely did not."""
    found = servers("a", "b")
    found["a"].faults.append(NoAnswer("cut"))
    found["b"].faults.append(ConnectFailed("down"))
    with opened(found) as route, pytest.raises(RouteExhausted) as caught:
        route.send(HELLO, repeat_unknown=True)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.retry_after is None


FAULTS: Final[dict[str, Callable[[Server], Any]]] = {
    "none": lambda server: None,
    "not reached": lambda server: ConnectFailed("down"),
    "no answer, not done": lambda server: NoAnswer("cut"),
    "done, then 500": performed_and(500),
    "done, then garbage": performed_and(200),
    "401": lambda server: reply(401),
    "402": lambda server: reply(402),
    "422": lambda server: reply(422),
    "429": lambda server: reply(429),
    "500": lambda server: reply(500),
}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(sorted(FAULTS)), max_size=4), min_size=1, max_size=4),
    st.booleans(),
)
def test_no_message_is_performed_by_two_accounts_unless_that_was_opted_for(
    faults: list[list[str]], at_once: bool
) -> None:
    """Whatever goes wrong at whichever account, for one message and for many."""
    found = servers(*(f"n{at}" for at in range(len(faults))))
    for server, names in zip(found.values(), faults, strict=True):
        server.faults.extend(FAULTS[name](server) for name in names)
    numbers = [f"+98912111223{at}" for at in range(4)]
    with blocking(found, Weighted({"n0": 1})) as route:
        if at_once:
            route.send_many(many(*numbers))
        for message in () if at_once else many(*numbers):
            with contextlib.suppress(QasidError):
                route.send(message)
    acts = [to for server in found.values() for to in server.acts]
    assert len(set(acts)) == len(acts)


# Many.


@both_faces
def test_each_of_many_messages_goes_its_own_way(opened: Any) -> None:
    """In rounds: what one account refused goes to the next; the receipts are in order."""
    ear, found = Ear(), servers("a", "b")
    found["a"].faults.extend([None, ConnectFailed("down")])
    with opened(found, listeners=[ear]) as route:
        receipts = route.send_many(many(TO, "nobody", "+989121112234", "+989121112235"))
    assert ["a", None, "a", "b"] == [receipt.account for receipt in receipts]
    assert isinstance(receipts[1].error, InvalidRecipient)
    assert (1, "b") == (ear.only("on_fallback").count, ear.only("on_fallback").account)


@both_faces
def test_of_many_messages_the_unknown_ones_stay_where_they_are(opened: Any) -> None:
    """Only those that were not performed go on."""
    found = servers("a", "b")
    found["a"].faults.extend([reply(500), ConnectFailed("down")])
    with opened(found) as route:
        receipts = route.send_many(many(*(f"+98912111223{at}" for at in range(4))))
    outcomes = [receipt.outcome for receipt in receipts]
    assert [Outcome.UNKNOWN, Outcome.UNKNOWN, None, None] == outcomes
    assert 2 == len(found["b"].acts)


@both_faces
def test_of_many_messages_the_unknown_ones_go_on_where_the_call_says_so(opened: Any) -> None:
    """As for one."""
    found = servers("a", "b")
    found["a"].faults.append(reply(500))
    with opened(found) as route:
        receipts = route.send_many(many(TO), repeat_unknown=True)
    assert "b" == receipts[0].account


@both_faces
def test_of_many_messages_those_that_nobody_sent_say_so(opened: Any) -> None:
    """With what each account said, also where a breaker was open."""
    found = servers("a", "b")
    found["a"].faults.extend([ConnectFailed("down")] * 2)
    found["b"].faults.extend([ConnectFailed("down")] * 2)
    with opened(found, tolerance=Tolerance(failures=1)) as route:
        first, second = route.send_many(many(TO)) + route.send_many(many(TO))
    assert isinstance(first.error, RouteExhausted)
    assert isinstance(second.error, RouteExhausted)
    assert "(a: ConnectFailed; b: ConnectFailed)" in str(first.error)
    assert "(a: breaker open; b: breaker open)" in str(second.error)
    assert second.error.retry_after is not None
    assert 1 == len(found["a"].requests) == len(found["b"].requests)


@both_faces
def test_no_messages_are_no_receipts(opened: Any) -> None:
    """And nothing is sent; but where no account can send at all, that is refused."""
    with opened(servers("a")) as route:
        assert [] == route.send_many([])
    refused = pytest.raises(UnsupportedOperation)
    with opened(servers("a"), providers={"a": Deaf()}) as route, refused:
        route.send_many([])


@both_faces
def test_of_many_messages_each_receipt_is_told_once_when_it_is_final(opened: Any) -> None:
    """What another account is still asked for is not: refused, then sent, then lost."""
    told: list[list[str | None]] = []
    found = servers("a", "b")
    found["a"].faults.extend([ConnectFailed("down"), None])
    found["b"].faults.append(ConnectFailed("down"))
    with opened(found) as route:
        given = route.send_many(
            many(TO, "nobody", "+989121112234", "+989121112235"),
            tell=lambda receipts: told.append([receipt.account for receipt in receipts]),
        )
    assert [[None], ["a"], [None, None]] == told
    errors_of = [type(receipt.error).__name__ for receipt in given]
    assert ["RouteExhausted", "InvalidRecipient", "RouteExhausted", "NoneType"] == errors_of


@both_faces
def test_a_batch_that_another_account_is_asked_for_tells_nothing_yet(opened: Any) -> None:
    """Until that one has it."""
    told: list[str | None] = []
    found = servers("a", "b")
    found["a"].faults.append(ConnectFailed("down"))
    with opened(found) as route:
        route.send_many(many(TO), tell=lambda receipts: told.append(receipts[0].account))
    assert ["b"] == told


@both_faces
def test_a_bulk_refused_for_its_content_tells_nothing_of_the_provider(opened: Any) -> None:
    """The breaker stays closed, however often."""
    found = servers("a")
    found["a"].faults.extend([reply(422)] * 3)
    with opened(found, tolerance=Tolerance(failures=1)) as route:
        for _ in range(3):
            assert isinstance(route.send_many(many(TO))[0].error, errors.InvalidRequest)
        assert route.send(HELLO).accepted


# Breakers.


@both_faces
def test_an_account_that_keeps_failing_is_left_alone_and_tried_again(opened: Any) -> None:
    """Three failures open it for 30 s; then one call is the probe, which closes it."""
    ear, found = Ear(), servers("a", "b")
    found["a"].faults.extend([ConnectFailed("down")] * 3)
    with opened(found, listeners=[ear], tolerance=Tolerance(failures=3)) as route:
        for _ in range(5):
            assert route.send(HELLO).account == "b"
        assert 3 == len(found["a"].requests)
        found["a"].clock.sleep(29)
        assert route.send(HELLO).account == "b"
        found["a"].clock.sleep(1)
        assert "one call at a time" in str(route.explain(HELLO))
        assert route.send(HELLO).account == "a"
    moved = [event for name, event in ear.heard if name == "on_breaker"]
    assert ["open", "half-open", "closed"] == [event.state for event in moved]
    assert 30 == moved[0].open_for.total_seconds()
    assert [None, None] == [event.open_for for event in moved[1:]]
    assert ("alerts", "a") == (moved[0].route, moved[0].account)


@both_faces
def test_a_fallback_for_an_open_breaker_is_told_too(opened: Any) -> None:
    """Each of them, not only the one that opened it."""
    ear, found = Ear(), servers("a", "b")
    found["a"].faults.append(ConnectFailed("down"))
    with opened(found, listeners=[ear], tolerance=Tolerance(failures=1)) as route:
        route.send(HELLO)
        route.send(HELLO)
    told = [event.passed_over for name, event in ear.heard if name == "on_fallback"]
    assert [(PassedOver("a", "ConnectFailed"),), (PassedOver("a", "breaker open"),)] == told


@both_faces
def test_a_refusal_leaves_the_probe_to_the_next_call(opened: Any) -> None:
    """It tells nothing of whether the provider is well."""
    found = servers("a")
    found["a"].faults.extend([ConnectFailed("down"), reply(422)])
    with opened(found, tolerance=Tolerance(failures=1)) as route:
        with pytest.raises(RouteExhausted):
            route.send(HELLO)
        found["a"].clock.sleep(30)
        with pytest.raises(errors.InvalidRequest):
            route.send(HELLO)
        assert route.send(HELLO).accepted


def test_an_interrupted_probe_is_given_back() -> None:
    """Ctrl-C in the middle of it leaves nobody waiting for an answer that will not come."""
    found = servers("a")
    found["a"].faults.extend([ConnectFailed("down"), KeyboardInterrupt()])
    with blocking(found, tolerance=Tolerance(failures=1)) as route:
        with pytest.raises(RouteExhausted):
            route.send(HELLO)
        found["a"].clock.sleep(30)
        with pytest.raises(KeyboardInterrupt):
            route.send(HELLO)
        assert route.send(HELLO).accepted


# Who is asked.


@attrs.frozen(eq=False, kw_only=True)
class Texts:
    """A provider that can send and nothing else."""

    info: ClassVar = info({"send"})
    api_key: str = "public"
    base_url: str = Acme().base_url

    @hookimpl
    def send(self, messages: Any) -> Flow[list[Receipt]]:
        response = yield Request(
            method="POST", url=f"{self.base_url}/messages", json=[m.to for m in messages]
        )
        return [Receipt(to=item["to"], id=item["id"]) for item in response.json()["receipts"]]


@attrs.frozen(eq=False, kw_only=True)
class Deaf:
    """A provider that tells its balance and nothing else."""

    info: ClassVar = info({"balance"})
    base_url: str = Acme().base_url

    @hookimpl
    def balance(self) -> Flow[Money]:
        raise AssertionError
        yield


@both_faces
def test_an_account_that_cannot_is_no_candidate(opened: Any) -> None:
    """That is decided before anything is sent, and it is no fallback."""
    ear, found = Ear(), servers("a", "b")
    with opened(found, providers={"a": Texts()}, listeners=[ear]) as route:
        assert route.otp(TO).account == "b"
        assert (
            Choice("b", True, "number 2 in order"),
            Choice("a", False, "its provider has no otp"),
        ) == route.explain(OtpOrder(to=TO)).choices
    assert [] == found["a"].requests
    assert "on_fallback" not in ear.names


@both_faces
@pytest.mark.parametrize(
    "call",
    [
        lambda route: route.otp(TO),
        lambda route: route.acquire_number("shop", "SA"),
        lambda route: route.offers(),
        lambda route: route.fetch_sms(InboxQuery()),
        lambda route: route.cancel_scheduled("b1"),
        lambda route: route.verify_otp(TO, "0042"),
        lambda route: route.delivery_status([Receipt(to=TO, id="m1")]),
        lambda route: route.delivery_status([Receipt(to=TO, id="m1", account="a")]),
    ],
    ids=["otp", "rent", "offers", "inbox", "cancel", "verify", "status", "its own status"],
)
def test_what_no_account_can_do_is_refused(opened: Any, call: Callable[[Any], Any]) -> None:
    """Nothing is sent."""
    found = servers("a")
    with opened(found, providers={"a": Texts()}) as route, pytest.raises(UnsupportedOperation):
        call(route)
    assert [] == found["a"].requests


@both_faces
def test_what_is_an_accounts_alone_is_refused_with_the_remedy(opened: Any) -> None:
    """Balances of several currencies do not add up, and a webhook does not say whose it is."""
    calls: list[Callable[[Any], Any]] = [
        lambda route: route.balance(),
        lambda route: route.authenticate(),
        lambda route: route.authorize_url("STATE"),
        lambda route: route.exchange_code("CODE"),
        lambda route: route.logout(),
        lambda route: route.vault,
        lambda route: route.parse_webhook(Request(method="POST", url="https://x.test/")),
        lambda route: route.provider,
        lambda route: route.provider_name,
        lambda route: route.info,
    ]
    with opened(servers("a", "b")) as route:
        for call in calls:
            with pytest.raises(UnsupportedOperation, match=r"ask its accounts.*a, b"):
                call(route)
        assert ["a", "b"] == list(route.accounts)
        assert "accounts a, b>" in repr(route)


@both_faces
def test_a_prefix_leads_to_its_accounts(opened: Any) -> None:
    """The longest one decides, for one message and for each of many."""
    policy = ByPrefix({"+98912": "b", "+98": ["a"], "+966": "b"})
    found = servers("a", "b")
    with opened(found, policy) as route:
        receipts = route.send_many(many(TO, "+989351112233", "+966501234567"))
        assert route.send(HELLO).account == "b"
    assert ["b", "a", "b"] == [receipt.account for receipt in receipts]


@both_faces
def test_a_number_that_no_account_takes_is_refused(opened: Any) -> None:
    """With `otherwise` there may be nobody left."""
    found = servers("a")
    foreign = TextMessage(to="+966501234567", text="hello")
    refused = pytest.raises(InvalidRecipient, match="no account of the route 'alerts' takes")
    with opened(found, ByPrefix({"+98912": "a"}, otherwise=())) as route:
        assert isinstance(route.send_many([foreign])[0].error, InvalidRecipient)
        with refused:
            route.send(foreign)
    assert [] == found["a"].requests


@both_faces
def test_a_pinned_account_is_the_only_one(opened: Any) -> None:
    """Also when it fails."""
    found = servers("a", "b")
    found["b"].faults.append(ConnectFailed("down"))
    with opened(found, Pinned("b")) as route:
        with pytest.raises(RouteExhausted):
            route.send(HELLO)
        assert route.send(HELLO).account == "b"
    assert [] == found["a"].requests


# Numbers.


@both_faces
def test_a_number_is_rented_where_it_is_cheapest_and_stays_there(opened: Any) -> None:
    """Its messages, and its release, are asked of the account that rented it."""
    found = servers(a=Server(price="0.70 USD"), b=Server(price="0.50 USD"))
    with opened(found, Cheapest()) as route:
        activation = route.acquire_number("shop", "SA", max_price="0.60 USD")
        assert "b" == activation.account
        found["b"].messages.append({"text": "1234", "sender": None, "at": None})
        assert "1234" == route.wait_for_sms(activation).code
        assert 1 == len(route.fetch_sms(activation))
        heard: list[Any] = []
        route.follow_sms(activation, heard.append, timeout=1)
        assert 1 == len(heard)
        kept = Activation.load(activation.dump())
        assert kept.id == route.release(kept).activation_id
    assert ["GET /offers"] == found["a"].asked


@both_faces
def test_prices_that_cannot_be_had_come_last(opened: Any) -> None:
    """Of an account that fails to tell, that has none, that is left alone, or in other money."""
    found = servers(
        failing=Server(faults=[reply(403)]),
        mixed=Server(faults=[reply(body=b'{"offers": []}')]),
        dear=Server(price="0.70 USD"),
        foreign=Server(price="0.10 SAR"),
    )
    found["dear"].faults.extend([None, reply(503)])
    found["foreign"].faults.extend([None, reply(503)])
    with opened(found, Cheapest()) as route:
        assert "failing" == route.acquire_number("shop", "SA").account
    assert ["GET /offers", "POST /numbers"] == found["dear"].asked == found["foreign"].asked


@both_faces
def test_renting_leaves_an_account_alone_whose_breaker_is_open(opened: Any) -> None:
    """It is not even asked for prices."""
    found = servers("a", "b")
    found["a"].faults.append(ConnectFailed("down"))
    with opened(found, Cheapest(), tolerance=Tolerance(failures=1)) as route:
        assert "b" == route.send(HELLO).account
        assert "b" == route.acquire_numbers(["shop", "mail"], "SA")[0].account
    assert ["POST /messages"] == found["a"].asked


@both_faces
def test_a_budget_is_not_got_around_by_another_account(opened: Any) -> None:
    """A cap of the first account ends it."""
    found = servers("a", "b")
    with opened(found) as route, pytest.raises(BudgetExceeded):
        route.acquire_number("shop", "SA", max_price="0.10 USD")
    assert [] == found["a"].acts + found["b"].acts


@both_faces
def test_a_number_that_may_have_been_bought_is_not_bought_again(opened: Any) -> None:
    """Unless the call says so."""
    found = servers("a", "b")
    found["a"].faults.append(reply(500))
    with opened(found) as route:
        with pytest.raises(ProviderUnavailable) as caught:
            route.acquire_number("shop", "SA")
        assert caught.value.outcome is Outcome.UNKNOWN
        found["a"].faults.append(reply(500))
        with route.rent("shop", "SA", repeat_unknown=True) as activation:
            assert "b" == activation.account
    assert ["POST /numbers", "POST /numbers/n1/release"] == found["b"].asked


@both_faces
def test_an_order_is_explained_without_asking_for_prices(opened: Any) -> None:
    """They cost requests, so they are not known."""
    found = servers("a", "b")
    with opened(found, Cheapest()) as route:
        explanation = route.explain(NumberOrder(services="shop", country="SA"))
    assert ["price not known"] * 2 == [choice.because for choice in explanation.choices]
    assert "acquire_number" == explanation.operation
    assert [] == found["a"].requests


@both_faces
def test_the_offers_of_all_accounts_say_whose_they_are(opened: Any) -> None:
    """In the order of the accounts."""
    found = servers(a=Server(price="0.70 USD"), b=Server(price="0.50 USD"))
    with opened(found) as route:
        offers = route.offers("shop", "SA")
    prices = [("a", Money("0.70", "USD")), ("b", Money("0.50", "USD"))]
    assert prices == [(offer.account, offer.price) for offer in offers]


# What belongs to an account.


@both_faces
def test_what_is_posted_for_a_number_is_read_by_its_account(opened: Any) -> None:
    """The activation tells whose it is."""
    posted = Request(
        method="POST",
        url="https://x.test/",
        headers={"Content-Type": "application/json"},
        content=b'{"text": "1234"}',
    )
    with opened(servers("a", "b")) as route:
        activation = route.acquire_number("shop", "SA")
        (message,) = route.receive_webhook(posted, activation)
    assert ("1234", activation.number) == (message.text, message.to)


@both_faces
def test_a_code_is_verified_where_it_was_sent_by(opened: Any) -> None:
    """The route remembers it, in any form of the number."""
    found = servers("a", "b")
    found["a"].faults.append(ConnectFailed("down"))
    with opened(found) as route:
        assert "b" == route.otp("09121112233").account
        assert route.verify_otp("0912 111 2233", "0042")
        assert route.verify_otp(TO, "0042", account="b")
    assert ["POST /otp"] == found["a"].asked


@both_faces
def test_a_code_of_another_process_needs_its_account(opened: Any) -> None:
    """Asking the wrong one would use up an attempt, and say that the code is wrong."""
    found = servers("a", "b")
    with opened(found) as route:
        with pytest.raises(SettingsError, match=r"'account': is not told.*name one of: a, b"):
            route.verify_otp(TO, "0042")
        with pytest.raises(SettingsError, match="'c' is none of this route's"):
            route.verify_otp(TO, "0042", account="c")
    assert [] == found["a"].requests + found["b"].requests


@both_faces
def test_where_one_account_can_it_need_not_be_told(opened: Any) -> None:
    """The other one only sends."""
    found = servers("a", "b")
    with opened(found, providers={"a": Texts()}) as route:
        assert route.verify_otp(TO, "0042")
        assert "b1" == route.cancel_scheduled("b1").batch_id
        assert [] == route.fetch_sms(InboxQuery())
        route.follow_sms(InboxQuery(), print, timeout=1)


@both_faces
def test_what_was_scheduled_is_taken_back_where_it_was_scheduled(opened: Any) -> None:
    """The receipt tells."""
    found = servers("a", "b")
    with opened(found) as route:
        assert "b1" == route.cancel_scheduled("b1", account="b").batch_id
    assert ["POST /batches/b1/cancel"] == found["b"].asked


@both_faces
def test_reports_come_in_the_order_of_the_receipts(opened: Any) -> None:
    """One question to each account, though two of them gave the same id."""
    found = servers("a", "b")
    receipts = [
        Receipt(to=TO, id=id_, account=name)
        for id_, name in [("m1", "b"), ("m1", "a"), ("m2", "b"), ("m3", "a")]
    ]
    with opened(found) as route:
        assert ["m1", "m1", "m2", "m3"] == [r.receipt_id for r in route.delivery_status(receipts)]
        assert [] == route.delivery_status([])
    assert (1, 1) == (len(found["a"].requests), len(found["b"].requests))


def test_a_route_forgets_the_oldest_code_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it does not grow for ever."""
    monkeypatch.setattr("qasid.routing.flows._REMEMBERED", 1)
    with blocking(servers("a", "b")) as route:
        route.otp(TO)
        route.otp("+989121112234")
        assert route.verify_otp("+989121112234", "0042")
        with pytest.raises(SettingsError):
            route.verify_otp(TO, "0042")


# Explaining.


@both_faces
def test_a_decision_is_explained_and_nothing_is_sent(opened: Any) -> None:
    """Each account in order, with the reason."""
    found = servers("a", "b", "c")
    found["b"].faults.append(ConnectFailed("down"))
    with opened(found, tolerance=Tolerance(failures=1), providers={"c": Texts()}) as route:
        before = str(route.explain(TemplateMessage(to=TO, template="welcome")))
        found["a"].faults.append(reply(402))
        route.send(HELLO)
        after = route.explain(HELLO)
    assert before == "\n".join(
        f"asked {name}: number {at} in order" for at, name in enumerate("abc", 1)
    )
    assert (
        Choice("a", True, "number 1 in order"),
        Choice("c", True, "number 3 in order"),
        Choice("b", False, "breaker open for another 30 s"),
    ) == after.choices
    assert ("alerts", "send") == (after.route, after.operation)
    assert 2 == len(found["a"].requests) + len(found["b"].requests)


@both_faces
def test_explaining_draws_nothing(opened: Any) -> None:
    """The next call goes where it would have gone, and the likeliest is named first."""
    drawn: list[float] = [0.99]
    with opened(servers("a", "b"), Weighted({"a": 3, "b": 1}, random=drawn.pop)) as route:
        told = route.explain(HELLO).choices
        assert [("a", "weight 3 of 4"), ("b", "weight 1 of 4")] == [
            (choice.account, choice.because) for choice in told
        ]
        assert 1 == len(drawn)


# The faces.


def test_a_route_over_another_driver_is_the_same_route() -> None:
    """As the command line does it, to let signals in."""
    found = servers("a")
    with blocking(found) as route:
        seen: list[Request] = []

        @attrs.frozen
        class Seen:
            inner: Any

            def send(self, request: Request) -> Response:
                seen.append(request)
                return self.inner.send(request)

            def close(self) -> None:
                self.inner.close()

        other = route.with_driver(
            attrs.evolve(route.driver, transport=Seen(route.driver.transport))
        )
        assert other.send(HELLO).accepted
        other.driver.close()
        assert route.send(HELLO).accepted
    assert 1 == len(seen)
    assert not seen[0].safe


def test_closing_a_route_leaves_accounts_that_are_not_its_own() -> None:
    """Whoever opened them closes them."""
    server = Server()
    account = Account(operations("a"), virtual_driver(server.handle, server.clock))
    with Route("one", [account]) as route:
        assert route.send(HELLO).accepted
    assert account.acquire_number("shop", "SA").account == "a"
    account.close()
