"""The traps of MyOnlineSim's document, one test or more each, in the order of their list."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request, Response
from qasid.finding import implemented
from qasid.hookspecs import HOOKS, PAID_HOOKS
from qasid.values import Credential, UnusedCap
from qasid_myonlinesim import MyOnlineSim
from qasid_myonlinesim.emulator import MyOnlineSimEmulator

START: Final = datetime(2024, 8, 1, 12, 0, tzinfo=UTC)
CLIENT: Final = {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}
SETTINGS: Final = {**CLIENT, "refresh_token": "REFRESH_TOKEN"}


@attrs.define
class Wire:
    """Records requests and answers each with the next reply, or all with an emulator.

    Requests for tokens always go to the emulator, and are recorded apart.
    """

    emulator: MyOnlineSimEmulator
    replies: list[Response] = attrs.field(factory=list)
    seen: list[Request] = attrs.field(factory=list)
    tokens: list[Request] = attrs.field(factory=list)

    def handle(self, request: Request) -> Response:
        if request.path == "/oauth/token":
            self.tokens.append(request)
            return self.emulator.handle(request)
        self.seen.append(request)
        return self.replies.pop(0) if self.replies else self.emulator.handle(request)

    def reply(self, status: int, body: Any, **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(Response(status=status, headers=named, body=text.encode()))

    @property
    def asked(self) -> dict[str, Any]:
        """The form of the last request."""
        return self.seen[-1].payload()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def wire(clock: VirtualClock) -> Wire:
    return Wire(MyOnlineSimEmulator(clock=clock.now))


def opened(wire: Wire, clock: VirtualClock, **settings: Any) -> qasid.Account:
    driver = virtual_driver(wire.handle, clock)
    return qasid.connect("myonlinesim", driver=driver, **{**SETTINGS, "max_open": 10, **settings})


@pytest.fixture
def account(wire: Wire, clock: VirtualClock) -> Iterator[qasid.Account]:
    with opened(wire, clock) as account:
        yield account


def rented(**changes: Any) -> qasid.Activation:
    given = {"id": "482913", "number": "+1780750001", "service": "tg", "country": "60"}
    return qasid.Activation(**{"acquired_at": START, **given, **changes})


def number(**changes: Any) -> dict[str, Any]:
    """The printed answer to an order, made valid."""
    return {
        "ok": True,
        "id": "pmbk5ez",
        "number": "178075XX00",
        "number_id": "XXXXXX",
        "country": "60",
        "service": "tg",
        "created_at": "2020-05-02T07:14:38.000000Z",
        "updated_at": "2020-05-02T07:14:38.000000Z",
        "status": "received",
        "is_expired": False,
        **changes,
    }


def refusal(status: str, ok: Any = False, **more: Any) -> dict[str, Any]:
    return {"ok": ok, "status": status, "message": "APPROPRIATE MESSAGE", **more}


PRICES: Final = [
    {"name": "قرقیزستان", "code": "11", "count": 83, "price": 38000},
    {"name": "ویتنام", "code": "10", "count": 4209, "price": 44000},
]


# 1 … 26: the numbers of the list.


@pytest.mark.parametrize("status", [200, 400, 404])
@pytest.mark.parametrize(
    ("word", "kind"),
    [("expired", qasid.NumberExpired), ("number_not_found", qasid.NumberNotFound)],
)
def test_01_the_text_false_is_a_no(
    account: qasid.Account, wire: Wire, status: int, word: str, kind: type[Exception]
) -> None:
    """Where messages are read `ok` is the text "false", which most languages take for true."""
    wire.reply(status, refusal(word, ok="false"))
    with pytest.raises(kind):
        account.fetch_sms(rented())


@pytest.mark.parametrize("ok", ["false", "0", "", 0, 1, None, [], "yes", "TRUE"], ids=repr)
def test_01_nothing_but_true_is_a_yes(account: qasid.Account, wire: Wire, ok: Any) -> None:
    """Neither another truthy value, nor none: what came of it is then not known."""
    wire.reply(200, number(ok=ok))
    with pytest.raises(qasid.ProtocolError) as caught:
        account.acquire_number("tg", "60")
    assert caught.value.outcome is qasid.Outcome.UNKNOWN


def test_01_the_text_true_is_tolerated(account: qasid.Account, wire: Wire) -> None:
    """Who writes the one as a text may write the other so."""
    wire.reply(200, {"ok": "true", "credit": 5, "status": "credit"})
    assert account.balance() == qasid.Money(5, "IRR")


@pytest.mark.parametrize("raw", [True, False])
def test_02_printed_samples_are_no_json_and_are_not_guessed_at(
    clock: VirtualClock, raw: bool
) -> None:
    """A comma after "ok", dots, no brackets: a server cannot mean it."""
    wire = Wire(MyOnlineSimEmulator(clock=clock.now, raw_samples=raw))
    account = opened(wire, clock)
    if not raw:
        assert account.acquire_number("tg", "60").id
        return
    for call in (lambda: account.offers("tg"), lambda: account.acquire_number("tg", "60")):
        with pytest.raises(qasid.ProtocolError, match="is not JSON"):
            call()


def test_03_the_state_is_passed_on_whole_and_not_made_here() -> None:
    """The sample makes it with a generator that can be guessed; the caller makes it."""
    state = "0a1B-_~ &=?/%ی" * 4
    url = MyOnlineSim(**CLIENT).authorize_url(state)
    assert urlsplit(url)._replace(query="").geturl() == "https://myonlinesim.com/oauth/authorize"
    assert parse_qs(urlsplit(url).query, keep_blank_values=True) == {
        "client_id": ["CLIENT_ID"],
        "response_type": ["code"],
        "scope": [""],
        "state": [state],
    }


@pytest.mark.parametrize("status", [200, 400, 403, 404])
def test_04_no_message_is_no_error(account: qasid.Account, wire: Wire, status: int) -> None:
    """It comes as one, with any of the statuses, and means: look again."""
    wire.reply(status, refusal("no_message", ok="false"))
    assert account.fetch_sms(rented()) == []


def test_05_a_message_is_known_by_its_text(account: qasid.Account, wire: Wire) -> None:
    """A new number is "received" as well; without `sms` nothing has come."""
    wire.reply(200, {"ok": True, "status": "received"})
    with pytest.raises(qasid.ProtocolError, match="sms"):
        account.fetch_sms(rented())
    wire.reply(200, {"ok": True, "status": "received", "sms": ""})
    assert account.fetch_sms(rented()) == []


def test_05_a_message_has_no_sender_and_no_time(account: qasid.Account, wire: Wire) -> None:
    """They are not made up, and its number is that of the activation."""
    wire.reply(200, {"ok": True, "status": "received", "sms": "SMS"})
    assert account.fetch_sms(rented()) == [qasid.InboundMessage(text="SMS", to="+1780750001")]


def test_06_later_calls_take_the_number_id(account: qasid.Account, wire: Wire) -> None:
    """The member `id` is of a record, and no call takes it."""
    wire.reply(200, number(id="pmbk5ez", number_id="482913"))
    activation = account.acquire_number("tg", "60")
    assert activation.id == "482913"
    for hook in ("fetch_sms", "release"):
        wire.reply(200, ANSWERS[hook])
        getattr(account, hook)(activation)
        assert wire.asked["number_id"] == "482913"


@pytest.mark.parametrize("word", ["number_not_found", "not_found"])
def test_07_not_found_has_two_names(account: qasid.Account, wire: Wire, word: str) -> None:
    """One when reading, the other when releasing; both are understood in both places."""
    wire.reply(404, refusal(word))
    wire.reply(404, refusal(word))
    with pytest.raises(qasid.NumberNotFound):
        account.fetch_sms(rented())
    with pytest.raises(qasid.NumberNotFound):
        account.release(rented())


def test_08_a_release_is_refused_in_words(account: qasid.Account, wire: Wire) -> None:
    """The status is a sentence; it stands for a number with a message and for another's."""
    activation = account.acquire_number("tg", "60")
    wire.emulator.deliver(activation.id, "4711")
    for refused in (activation, rented(id="1000001")):
        with pytest.raises(qasid.ReleaseRefused) as caught:
            account.release(refused)
        assert caught.value.code == "you cannot ban this number"


def test_09_each_call_has_names_of_its_own(account: qasid.Account, wire: Wire) -> None:
    """`service_code` and `country_code`, or `services` and `country`; a ban has no country."""
    activation = account.acquire_number("tg", "60")
    assert wire.asked == {"service_code": "tg", "country_code": "60"}
    account.acquire_numbers(["ig", "tw"], "60")
    assert wire.asked == {"services": "ig,tw", "country": "60"}
    account.fetch_sms(activation)
    assert set(wire.asked) == {"service_code", "country_code", "number_id"}
    account.release(activation)
    assert set(wire.asked) == {"service_code", "is_ban", "number_id"}


def test_10_service_and_country_are_kept_for_each_number(clock: VirtualClock) -> None:
    """Of an order for several, one number may be of another country than was asked for."""
    wire = Wire(MyOnlineSimEmulator(clock=clock.now, strays={"ig": "0"}))
    account = opened(wire, clock)
    found = account.acquire_numbers(["tg", "ig"], "60")
    assert [(one.service, one.country) for one in found] == [("tg", "60"), ("ig", "0")]
    restored = qasid.Activation.load(found[1].dump())
    assert account.fetch_sms(restored) == []
    assert (wire.asked["service_code"], wire.asked["country_code"]) == ("ig", "0")


@pytest.mark.parametrize(
    ("reason", "is_ban"),
    [({}, "0"), ({"reason": "unused"}, "0"), ({"reason": "unusable"}, "1")],
)
def test_11_only_an_unusable_number_is_reported(
    account: qasid.Account, wire: Wire, reason: dict[str, str], is_ban: str
) -> None:
    """1 tells the provider that the number is bad; a plain cancel is 0."""
    given = {key: qasid.ReleaseReason(value) for key, value in reason.items()}
    account.release(account.acquire_number("tg", "60"), **given)
    assert wire.asked["is_ban"] == is_ban


def test_12_a_number_tells_no_price(account: qasid.Account) -> None:
    """What it cost is not made up from the list."""
    assert account.acquire_number("tg", "60").cost is None


def test_12_a_cap_on_the_price_asks_the_list(account: qasid.Account, wire: Wire) -> None:
    """Before the order, for each of its services."""
    with pytest.raises(qasid.BudgetExceeded, match="max_price"):
        account.acquire_numbers(["tg", "ig"], "60", max_price="49999 IRR")
    assert [request.path for request in wire.seen] == ["/api/number/prices"] * 2


@pytest.mark.parametrize("status", [200, 400, 403])
def test_13_try_again_later_is_an_empty_stock(
    account: qasid.Account, wire: Wire, status: int
) -> None:
    """Not an empty account, and no waiting time; its `error` is an object, not one of OAuth."""
    wire.reply(status, refusal("try_again_later", error={}))
    with pytest.raises(qasid.NoNumbersAvailable) as caught:
        account.acquire_number("tg", "60")
    assert caught.value.retry_after is None
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED
    assert len(wire.seen) == 1


def post(body: dict[str, Any], form: bool = False) -> Request:
    url = "https://client.example/hook/LONG_SECRET"
    sent = {"form": body} if form else {"json": body}
    return Request(method="POST", url=url, **sent).encode()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ok", "form"),
    [(True, False), ("true", False), ("1", False), ("true", True), ("1", True)],
)
def test_14_a_webhook_tells_no_number(account: qasid.Account, ok: Any, form: bool) -> None:
    """JSON or a form, it has the members of a look for messages, and those say not for whom."""
    found = account.parse_webhook(post({"ok": ok, "status": "received", "sms": "SMS"}, form))
    assert found == [qasid.InboundMessage(text="SMS")]


@pytest.mark.parametrize("word", ["no_message", "expired", "number_not_found"])
def test_14_a_webhook_without_a_message_is_empty(account: qasid.Account, word: str) -> None:
    """That such things are posted is not documented; they are no reason to answer 500."""
    assert account.parse_webhook(post(refusal(word, ok="false"))) == []


@pytest.mark.parametrize(
    "body", [{}, {"ok": True}, {"ok": True, "sms": 5}, {"ok": "0", "sms": "SMS"}, {"ok": 1}]
)
def test_14_a_strange_post_is_an_error(account: qasid.Account, body: dict[str, Any]) -> None:
    """Anybody may post to an address that has become known."""
    with pytest.raises(qasid.ProtocolError):
        account.parse_webhook(post(body))


def test_15_all_numbers_share_one_look_in_twenty_seconds(
    account: qasid.Account, wire: Wire, clock: VirtualClock
) -> None:
    """A loop for each number would have the account blocked; three looks take two pauses."""
    found = account.acquire_numbers(["tg"], "60") + account.acquire_numbers(["ig"], "60")
    for activation in [*found, found[0]]:
        assert account.fetch_sms(activation) == []
    assert 40 <= clock.seconds < 45


def test_15_a_block_is_waited_out(account: qasid.Account, wire: Wire, clock: VirtualClock) -> None:
    """A client beside this one looked too; the provider's wait is obeyed, and then it answers."""
    activation = account.acquire_number("tg", "60")
    form = {"service_code": "tg", "country_code": "60", "number_id": activation.id}
    other = Request(
        method="POST",
        url="https://myonlinesim.com/api/number/sms",
        headers={"Authorization": "Bearer ACCESS_TOKEN", "Accept": "application/json"},
        form=form,
    )
    wire.emulator.handle(other.encode())
    assert account.fetch_sms(activation) == []
    assert 60 <= clock.seconds < 62


@pytest.mark.parametrize(
    ("status", "body", "headers", "wait"),
    [
        (429, "", {}, 60),
        (429, "<html>", {"Retry_After": "13"}, 13),
        (403, "<html>", {}, 60),
        (403, {"message": "Forbidden"}, {"Retry_After": "7"}, 7),
    ],
)
def test_15_a_block_has_several_looks(
    wire: Wire, clock: VirtualClock, status: int, body: Any, headers: dict[str, str], wait: int
) -> None:
    """How it shows is not documented: 429, or a 403 to a look for messages; a minute at most."""
    account = opened(wire, clock, max_wait=0)
    wire.reply(status, body, **headers)
    with pytest.raises(qasid.RateLimited) as caught:
        account.fetch_sms(rented())
    assert caught.value.retry_after == timedelta(seconds=wait)


def test_16_a_number_lives_fifteen_minutes(account: qasid.Account, clock: VirtualClock) -> None:
    """From when it was made; then waiting is over."""
    activation = account.acquire_number("tg", "60")
    assert activation.expires_at == START + timedelta(minutes=15)
    with pytest.raises(qasid.NumberExpired):
        account.wait_for_sms(activation, timeout=3600)
    assert 900 <= clock.seconds < 925
    with pytest.raises(qasid.NumberExpired):
        account.release(activation)


@pytest.mark.parametrize(
    "changes", [{"created_at": None}, {"created_at": "soon"}, {"created_at": "9999-12-31T23:59Z"}]
)
def test_16_a_strange_date_loses_no_number(
    account: qasid.Account, wire: Wire, changes: dict[str, Any]
) -> None:
    """It is paid for: its life is then counted from the answer."""
    wire.reply(200, number(**changes))
    assert account.acquire_number("tg", "60").expires_at == START + timedelta(minutes=15)


def test_17_the_core_is_told_of_the_daily_cap(wire: Wire, clock: VirtualClock) -> None:
    """More than 50 numbers a day without a message block the account: the 46th is not ordered."""
    assert MyOnlineSim.info.unused_cap == UnusedCap(numbers=45, zone="Asia/Tehran")
    wire.emulator.fund(qasid.Money(10**9, "IRR"))
    account = opened(wire, clock, max_open=100, max_per_day=100)
    for _ in range(45):
        account.acquire_number("tg", "10")
    with pytest.raises(qasid.BudgetExceeded, match="unused_cap"):
        account.acquire_number("tg", "10")
    assert len(wire.emulator.activations()) == 45
    assert account.balance().amount > 0  # it is not blocked


def test_17_a_blocked_account_is_not_permitted(account: qasid.Account, wire: Wire) -> None:
    """The form of it is not documented; a 403 with anything in it is taken for one."""
    wire.reply(403, {"ok": False, "status": "blocked"})
    with pytest.raises(qasid.PermissionDenied):
        account.acquire_number("tg", "60")
    wire.reply(403, "<html>")
    with pytest.raises(qasid.PermissionDenied):
        account.balance()


def test_18_a_price_list_has_no_ok(account: qasid.Account, wire: Wire) -> None:
    """It is the list itself."""
    wire.reply(200, PRICES)
    first, _ = account.offers("tg")
    assert first == qasid.Offer(
        service="tg",
        country="11",
        price=qasid.Money(38000, "IRR"),
        stock=83,
        country_name="قرقیزستان",
        account="myonlinesim",
    )


@pytest.mark.parametrize(
    "body", [{"data": PRICES}, {"ok": True, "data": PRICES}, {"0": PRICES[0], "3": PRICES[1]}]
)
def test_18_a_price_list_may_be_wrapped(
    account: qasid.Account, wire: Wire, body: dict[str, Any]
) -> None:
    """In `data`, as in the later API, or as the object that PHP makes of a list with gaps."""
    wire.reply(200, body)
    assert [offer.country for offer in account.offers("tg")] == ["11", "10"]


@pytest.mark.parametrize("body", [{}, {"11": 5}, {"a": PRICES[0]}, {"ok": False, "data": PRICES}])
def test_18_anything_else_is_no_price_list(
    account: qasid.Account, wire: Wire, body: dict[str, Any]
) -> None:
    """An empty object is not "nothing to rent"."""
    wire.reply(200, body)
    with pytest.raises(qasid.ProtocolError):
        account.offers("tg")


def test_19_codes_are_texts_and_amounts_are_numbers(account: qasid.Account, wire: Wire) -> None:
    """A code is never converted, and one that comes as a number is none."""
    for wrong in ({"code": 11}, {"count": "83"}, {"price": "38000"}):
        wire.reply(200, [{**PRICES[0], **wrong}])
        with pytest.raises(qasid.ProtocolError):
            account.offers("tg")
    wire.reply(200, [{**PRICES[0], "code": "007"}])
    assert account.offers("tg")[0].country == "007"


def test_20_every_request_asks_for_json(account: qasid.Account, wire: Wire) -> None:
    """Without `Accept` a dead token is answered by a redirect to a page."""
    account.release(account.acquire_number("tg", "60"))
    account.offers("tg")
    account.balance()
    requests = [*wire.seen, *wire.tokens]
    assert {request.header("Accept") for request in requests} == {"application/json"}


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (401, {"message": "Unauthenticated."}, {}),
        (302, "", {"Location": "https://myonlinesim.com/login"}),
        (200, "\n<!DOCTYPE html><html></html>", {"Content_Type": "text/html"}),
        (400, {"error": "invalid_token"}, {}),
    ],
)
def test_20_a_dead_token_is_renewed_once(
    account: qasid.Account, wire: Wire, status: int, body: Any, headers: dict[str, str]
) -> None:
    """Whichever way it shows: refused, redirected, or with the login page itself."""
    account.authenticate()
    wire.reply(status, body, **headers)
    assert account.balance() == qasid.Money(1_000_000, "IRR")
    assert len(wire.tokens) == 2


def test_20_an_order_that_met_a_page_is_not_repeated(account: qasid.Account, wire: Wire) -> None:
    """Nobody can tell what was done before the page came."""
    wire.reply(200, "<html></html>")
    with pytest.raises(qasid.AuthenticationFailed) as caught:
        account.acquire_number("tg", "60")
    assert caught.value.outcome is qasid.Outcome.UNKNOWN
    assert len(wire.seen) == 1


def test_20_another_redirect_is_no_login(account: qasid.Account, wire: Wire) -> None:
    """The site has moved: `base_url` is wrong, and a new token would not help."""
    wire.reply(301, "", Location="https://www.myonlinesim.com/api/user/credit")
    with pytest.raises(qasid.ProtocolError):
        account.balance()
    assert len(wire.tokens) == 1


def test_21_the_header_has_a_space_and_no_plus(account: qasid.Account, wire: Wire) -> None:
    """The table's "Bearer + access_token" means that one follows the other."""
    account.balance()
    assert wire.seen[0].header("Authorization") == "Bearer ACCESS_TOKEN_2"


def test_22_amounts_are_rials(account: qasid.Account, wire: Wire) -> None:
    """The later API counts tomans, of ten rials each; nothing here does."""
    wire.reply(200, {"ok": True, "credit": 1000000, "status": "credit"})
    assert account.balance() == qasid.Money(Decimal(1000000), "IRR")
    assert {offer.price.currency for offer in account.offers("tg") if offer.price} == {"IRR"}


def test_23_every_call_is_a_post(account: qasid.Account, wire: Wire) -> None:
    """Also those that only ask, which may be repeated all the same; an order may not."""
    activation = account.acquire_number("tg", "60")
    account.balance()
    account.offers("tg")
    account.offers("tg,ig")
    account.fetch_sms(activation)
    account.release(activation)
    assert {request.method for request in wire.seen} == {"POST"}
    assert [request.path.removeprefix("/api/") for request in wire.seen] == [
        "number/get",
        "user/credit",
        "number/prices",
        "number/prices_for_multiple_services",
        "number/sms",
        "number/ban",
    ]


@pytest.mark.parametrize(
    ("mode", "kept"),
    [("same", "REFRESH_TOKEN"), ("rotated", "REFRESH_TOKEN_2"), ("absent", "REFRESH_TOKEN")],
)
def test_24_the_refresh_token_survives(clock: VirtualClock, mode: Any, kept: str) -> None:
    """It stays, or is changed, or is not told: the credential holds the one that is good."""
    wire = Wire(MyOnlineSimEmulator(clock=clock.now, refresh_mode=mode))
    account = opened(wire, clock)
    for _ in range(3):
        credential = account.authenticate()
        clock.sleep(timedelta(days=90).total_seconds())
    assert credential.refresh_token is not None
    assert [request.payload()["refresh_token"] for request in wire.tokens][1] == kept
    assert len(wire.tokens) == 3


def test_24_a_request_for_a_token_is_not_repeated(wire: Wire, clock: VirtualClock) -> None:
    """The old refresh token may be void when no answer comes."""
    request = next(MyOnlineSim(**SETTINGS).authenticate(None))
    assert isinstance(request, Request)
    assert not request.safe
    wire.emulator.fail_next(Response(status=502), performed=True)
    with pytest.raises(qasid.ProviderUnavailable):
        opened(wire, clock).authenticate()
    assert len(wire.tokens) == 1


def test_24_the_credential_goes_before_the_setting() -> None:
    """What came last is good; the setting may be of before a rotation."""
    old = Credential(token="ACCESS_TOKEN", refresh_token="NEWER")
    request: Any = next(MyOnlineSim(**SETTINGS).authenticate(old))
    assert dict(request.form)["refresh_token"] == "NEWER"
    request = next(MyOnlineSim(**SETTINGS).authenticate(Credential(token="ACCESS_TOKEN")))
    assert dict(request.form)["refresh_token"] == "REFRESH_TOKEN"


def test_25_the_callback_is_optional(account: qasid.Account, wire: Wire) -> None:
    """Its "no" is misspelt as "news" in the tables."""
    account.acquire_number("tg", "60")
    assert "callback" not in wire.asked
    url = "https://client.example/hook/LONG_SECRET?a=1"
    account.acquire_number("tg", "60", callback_url=url)
    assert wire.asked["callback"] == url


@pytest.mark.parametrize("status", [500, 502, 504])
def test_26_an_order_without_an_answer_is_not_repeated(
    account: qasid.Account, wire: Wire, status: int
) -> None:
    """A second one could be a second number."""
    wire.reply(status, "")
    with pytest.raises(qasid.ProviderUnavailable) as caught:
        account.acquire_number("tg", "60")
    assert caught.value.outcome is qasid.Outcome.UNKNOWN
    assert len(wire.seen) == 1


# Orders for several services.


def test_a_part_of_an_order_is_not_lost(account: qasid.Account, wire: Wire) -> None:
    """Each item is judged by its own `ok`; a refusal names no service, so its place tells it."""
    items = [number(), refusal("try_again_later", error={}), number(service="tw", number_id="2")]
    wire.reply(200, items)
    found = account.acquire_numbers(["tg", "ig", "tw"], "60", max_price=None)
    assert [(one.service, one.id) for one in found] == [("tg", "XXXXXX"), ("tw", "2")]
    assert [(s, type(e)) for s, e in found.failures.items()] == [("ig", qasid.NoNumbersAvailable)]
    assert found.failures["ig"].outcome is qasid.Outcome.NOT_PERFORMED


@pytest.mark.parametrize("mode", ["each", "omit"])
def test_what_an_answer_leaves_out_is_told(clock: VirtualClock, mode: Any) -> None:
    """A service that is not spoken of may have been charged; a refused one was not."""
    wire = Wire(MyOnlineSimEmulator(clock=clock.now, multiple_failure=mode))
    wire.emulator.stock("tg", "60", 0)
    found = opened(wire, clock).acquire_numbers(["tg", "ig"], "60")
    assert [one.service for one in found] == ["ig"]
    (failed,) = found.failures.values()
    due = qasid.Outcome.NOT_PERFORMED if mode == "each" else qasid.Outcome.UNKNOWN
    assert (list(found.failures), failed.outcome) == (["tg"], due)


@pytest.mark.parametrize("unread", [None, 5, {"ok": True}, {"ok": "perhaps"}, []])
def test_an_item_that_cannot_be_read_is_unknown(
    account: qasid.Account, wire: Wire, unread: Any
) -> None:
    """The others are there all the same."""
    wire.reply(200, [unread, number()])
    found = account.acquire_numbers(["ig", "tg"], "60")
    assert [one.service for one in found] == ["tg"]
    assert found.failures["ig"].outcome is qasid.Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("body", "kind", "outcome"),
    [
        (refusal("not_enough_credit"), qasid.InsufficientCredit, "NOT_PERFORMED"),
        ([refusal("try_again_later")] * 2, qasid.NoNumbersAvailable, "NOT_PERFORMED"),
        ([refusal("try_again_later"), {}], qasid.ProtocolError, "UNKNOWN"),
        ([], qasid.ProtocolError, "UNKNOWN"),
        ({}, qasid.ProtocolError, "UNKNOWN"),
    ],
)
def test_an_order_of_which_nothing_came_is_an_error(
    account: qasid.Account, wire: Wire, body: Any, kind: type[qasid.ProviderError], outcome: str
) -> None:
    """If anything of it is unclear, all of it is."""
    wire.reply(200, body)
    with pytest.raises(kind) as caught:
        account.acquire_numbers(["tg", "ig"], "60")
    assert caught.value.outcome is qasid.Outcome[outcome]


def test_one_number_instead_of_a_list_is_kept(account: qasid.Account, wire: Wire) -> None:
    """It is paid for."""
    wire.reply(200, number(service="ig"))
    found = account.acquire_numbers(["tg", "ig"], "60")
    assert [one.service for one in found] == ["ig"]
    assert list(found.failures) == ["tg"]


def test_a_yes_with_a_status_of_no_is_unknown(account: qasid.Account, wire: Wire) -> None:
    """The two contradict each other, and money is at stake."""
    wire.reply(400, number())
    with pytest.raises(qasid.ProtocolError) as caught:
        account.acquire_number("tg", "60")
    assert caught.value.outcome is qasid.Outcome.UNKNOWN


@pytest.mark.parametrize("hook", ["balance", "fetch_sms", "release"])
def test_a_success_is_both_a_status_and_an_ok(
    account: qasid.Account, wire: Wire, hook: str
) -> None:
    """Of two that contradict each other neither is believed."""
    wire.reply(400, ANSWERS[hook])
    with pytest.raises(qasid.ProtocolError):
        CALLS[hook](account)


_MEMBERS: Final = st.sampled_from([*number(), "error"])
_VALUES: Final[st.SearchStrategy[Any]] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([])
)
_ITEMS: Final = st.dictionaries(_MEMBERS, _VALUES, max_size=3).map(lambda d: number(**d))


@given(items=st.lists(_ITEMS | _VALUES, max_size=4))
def test_whatever_comes_each_service_is_accounted_for(items: list[Any]) -> None:
    """As a number, as a failure, or in the error that stands for them all."""
    clock = VirtualClock()
    wire = Wire(MyOnlineSimEmulator(clock=clock.now))
    wire.reply(200, items)
    services = ["tg", "ig", "tw"]
    found = _found_or_raised(opened(wire, clock), services)
    if isinstance(found, qasid.ProviderError):
        assert found.outcome is qasid.Outcome.UNKNOWN
    else:
        assert {one.service for one in found} | {*found.failures} >= {*services}
        assert all(one.id and one.number and one.expires_at for one in found)


def _found_or_raised(account: qasid.Account, services: list[str]) -> Any:
    try:
        return account.acquire_numbers(services, "60")
    except qasid.ProviderError as error:
        return error


# Numbers.


@pytest.mark.parametrize(
    ("told", "kept"),
    [("1780750001", "+1780750001"), ("+1780750001", "+1780750001"), ("178075XX00", "178075XX00")],
)
def test_a_number_of_digits_gets_its_plus(
    account: qasid.Account, wire: Wire, told: str, kept: str
) -> None:
    """One that is none, as the printed one, is kept as it came."""
    wire.reply(200, number(number=told))
    assert account.acquire_number("tg", "60").number == kept


# What cannot be said to this API.


UNSAYABLE: Final[dict[str, tuple[str, Callable[[qasid.Account], Any]]]] = {
    "all services": ("give its code, such as 'tg'", lambda account: account.offers()),
    "all of a country": ("service: ", lambda account: account.offers(country="11")),
    "prices of six": ("at most 5", lambda account: account.offers("a,b,c,d,e,f")),
    "prices of nothing": ("services: ", lambda account: account.offers("")),
    "a comma too many": ("services: ", lambda account: account.offers("tg,")),
    "six at once": ("at most 5", lambda account: account.acquire_numbers(list("abcdef"), "60")),
    "one twice": ("twice", lambda account: account.acquire_numbers(["tg", "tg"], "60")),
    "two in one": ("commas", lambda account: account.acquire_number("tg,ig", "60")),
    "an empty address": (
        "callback_url",
        lambda account: account.acquire_number("tg", "60", callback_url=""),
    ),
    "an inbox": ("Activation", lambda account: account.fetch_sms(qasid.InboxQuery())),
}


@pytest.mark.parametrize("name", UNSAYABLE)
def test_what_cannot_be_said_is_refused_before_the_wire(
    wire: Wire, clock: VirtualClock, name: str
) -> None:
    """By name, and with what to do instead."""
    remedy, call = UNSAYABLE[name]
    account = opened(wire, clock, max_open=100)
    with pytest.raises(qasid.InvalidRequest, match=remedy) as caught:
        call(account)
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED
    assert wire.seen == []


def test_several_services_are_priced_together(account: qasid.Account, wire: Wire) -> None:
    """Under the codes that were asked for; what the price is of is not documented."""
    found = account.offers("tw,ig", "11")
    assert [(one.service, one.country) for one in found] == [("tw,ig", "11")]
    assert wire.asked == {"services": "tw,ig"}


# Other refusals.


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, refusal("something_else"), qasid.InvalidRequest),
        (422, {"message": "The given data was invalid.", "errors": {}}, qasid.InvalidRequest),
        (404, {"message": "Not Found."}, qasid.InvalidRequest),
        (400, "oops", qasid.ProtocolError),
        (200, refusal("something_else"), qasid.ProtocolError),
        (500, refusal("try_again_later"), qasid.ProviderUnavailable),
    ],
)
def test_an_undocumented_refusal_is_read_by_its_status(
    account: qasid.Account, wire: Wire, status: int, body: Any, kind: type[Exception]
) -> None:
    """Exact statuses are not documented: the words of `status` go before them."""
    wire.reply(status, body)
    with pytest.raises(kind) as caught:
        account.acquire_number("tg", "60")
    assert type(caught.value) is kind


def test_an_unknown_word_is_kept_as_the_code(account: qasid.Account, wire: Wire) -> None:
    """And the text for people is left to the reply."""
    wire.reply(400, refusal("something_else"))
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.acquire_number("tg", "60")
    assert caught.value.code == "something_else"
    assert "APPROPRIATE" not in str(caught.value)


# Replies that are not what the document says: each field replaced, one at a time.

ANSWERS: Final[dict[str, Any]] = {
    "balance": {"ok": True, "credit": 1000000, "status": "credit"},
    "offers": PRICES[:1],
    "acquire_number": number(),
    "fetch_sms": {"ok": True, "status": "received", "sms": "SMS"},
    "release": {"ok": True, "status": "deleted", "message": "APPROPRIATE MESSAGE"},
}
CALLS: Final[dict[str, Callable[[qasid.Account], Any]]] = {
    "balance": lambda account: account.balance(),
    "offers": lambda account: account.offers("tg"),
    "acquire_number": lambda account: account.acquire_number("tg", "60"),
    "fetch_sms": lambda account: account.fetch_sms(rented()),
    "release": lambda account: account.release(rented()),
}
WRONG: Final[list[Any]] = [None, True, 7, 1.5, "x", [], {}, [1], {"a": 1}]
NEEDED: Final = {"ok", "credit", "code", "count", "price", "number", "number_id", "sms"}


@pytest.mark.parametrize("new", WRONG, ids=repr)
@pytest.mark.parametrize("hook", ANSWERS)
def test_one_field_at_a_time(wire: Wire, clock: VirtualClock, hook: str, new: Any) -> None:
    """What is needed and of another type is an error; of what was paid, then, nothing is known."""
    good = ANSWERS[hook]
    members = good[0] if isinstance(good, list) else good
    for key in members:
        changed = {**members, key: new}
        wire.reply(200, [changed] if isinstance(good, list) else changed)
        account = opened(wire, clock)
        if key not in NEEDED or _alike(key, members[key], new):
            CALLS[hook](account)
            continue
        with pytest.raises(qasid.ProviderError) as caught:
            CALLS[hook](account)
        unknown = hook in PAID_HOOKS or hook == "release"
        assert (caught.value.outcome is qasid.Outcome.UNKNOWN) is unknown, key


def _alike(key: str, good: Any, new: Any) -> bool:
    if isinstance(good, bool):
        return new is good
    amounts = (int, float) if key in {"credit", "price"} else (type(good),)
    return type(new) in amounts


def test_support_is_what_is_implemented() -> None:
    """Declared and real capabilities agree, both ways."""
    declared = {hook for hook in HOOKS if MyOnlineSim.info.supports(hook).implemented}
    assert declared == implemented(MyOnlineSim)


def test_the_limits_are_those_of_the_document() -> None:
    """One look in 20 seconds for the account, and a quarter of an hour for a number."""
    (limit,) = MyOnlineSim.info.limits
    assert (limit.requests, limit.period) == (1, timedelta(seconds=20))
    assert limit.hooks == {"fetch_sms"}
    assert MyOnlineSim.info.poll_interval == timedelta(seconds=20)
    assert MyOnlineSim.info.activation_lifetime == timedelta(minutes=15)


def test_two_looks_are_never_too_close(wire: Wire, clock: VirtualClock) -> None:
    """For as long as a number lives, the provider's server refuses none."""
    account = opened(wire, clock)
    activation = account.acquire_number("tg", "60")
    statuses: list[int] = []
    times: list[float] = []
    answer = wire.emulator.handle

    def noted(request: Request) -> Response:
        response = answer(request)
        if request.path.endswith("/sms"):
            statuses.append(response.status)
            times.append(clock.seconds)
        return response

    watched = account.with_driver(virtual_driver(noted, clock))
    with pytest.raises(qasid.NumberExpired):
        watched.wait_for_sms(activation, timeout=3600)
    assert 429 not in statuses
    assert all(late - early >= 20 for early, late in itertools.pairwise(times))
