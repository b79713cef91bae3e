"""The traps of SMSArab's document, one test each, in the order of the list in its docs page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
import pytest

import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request, Response
from qasid.finding import implemented
from qasid.hookspecs import HOOKS, PAID_HOOKS
from qasid_smsarab import SMSArab
from qasid_smsarab.emulator import SMSArabEmulator

KEY = "YOUR_API_KEY"
LATE = datetime(2024, 8, 1, 12, 0, tzinfo=UTC)


@attrs.define
class Wire:
    """Records requests and answers each with the next reply, or all with an emulator."""

    emulator: SMSArabEmulator
    replies: list[Response] = attrs.field(factory=list)
    seen: list[Request] = attrs.field(factory=list)

    def handle(self, request: Request) -> Response:
        self.seen.append(request)
        return self.replies.pop(0) if self.replies else self.emulator.handle(request)

    def reply(self, status: int, body: Any, **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(Response(status=status, headers=named, body=text.encode()))

    @property
    def targets(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.seen]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def wire(clock: VirtualClock) -> Wire:
    return Wire(SMSArabEmulator(clock=clock.now))


@pytest.fixture
def account(wire: Wire, clock: VirtualClock) -> qasid.Account:
    return qasid.connect("smsarab", api_key=KEY, driver=virtual_driver(wire.handle, clock))


def rented(**changes: Any) -> qasid.Activation:
    given = {"id": "1a2b3c4d5e", "number": "+966500000001", "service": "whatsapp", "country": "SA"}
    return qasid.Activation(**{"acquired_at": LATE, **given, **changes})


def refusal(code: str, message: str = "…") -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": message}}


def message(**changes: Any) -> dict[str, Any]:
    given = {"sender": "Acme", "text": "123-456", "received_at": "2024-08-01T12:05:30Z"}
    return {**given, **changes}


def inbox(*messages: object, status: str = "MESSAGES_RECEIVED") -> dict[str, Any]:
    return {"success": True, "data": {"status": status, "messages": list(messages)}}


# 1 … 20: the numbers of the list.


def test_01_every_path_has_the_prefix_v1(account: qasid.Account, wire: Wire) -> None:
    """The headings leave ``/v1`` out; the samples have it, and so have the requests."""
    account.balance()
    account.offers()
    number = account.acquire_number("whatsapp", "SA")
    account.fetch_sms(number)
    account.release(number)
    assert wire.targets == [
        "GET /v1/balance",
        "GET /v1/services",
        "POST /v1/numbers",
        f"GET /v1/messages/{number.id}",
        f"POST /v1/numbers/{number.id}/cancel",
    ]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_02_any_2xx_is_a_success(account: qasid.Account, wire: Wire, status: int) -> None:
    """The table says 201 for an order, the PHP sample accepts 200 alone."""
    data = {
        "activation_id": "1a2b3c4d5e",
        "phone_number": "+9665xxxxxxx",
        "country_code": "SA",
        "service_code": "whatsapp",
        "expires_at": "2024-08-01T12:10:00Z",
        "cost": 0.5,
    }
    wire.reply(status, {"success": True, "data": data})
    number = account.acquire_number("whatsapp", "SA")
    assert number.id == "1a2b3c4d5e"
    assert number.expires_at == datetime(2024, 8, 1, 12, 10, tzinfo=UTC)


def test_03_an_order_is_json_with_two_members(account: qasid.Account, wire: Wire) -> None:
    """The PHP sample has lost its beginning; the curl sample shows the whole body."""
    account.acquire_number("whatsapp", "SA")
    (request,) = wire.seen
    assert request.header("Content-Type") == "application/json"
    assert request.payload() == {"country_code": "SA", "service_code": "whatsapp"}


def test_04_the_code_of_an_error_is_read_although_the_status_is_4xx(
    account: qasid.Account, wire: Wire
) -> None:
    """The Python sample throws the body away at a 4xx."""
    wire.reply(400, refusal("COUNTRY_CLOSED"))
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.acquire_number("whatsapp", "SA")
    assert caught.value.code == "COUNTRY_CLOSED"


def test_05_the_published_comments_are_no_json_and_are_not_guessed_at(clock: VirtualClock) -> None:
    """Four samples have ``//`` comments: who got them could not tell what else is wrong."""
    emulator = SMSArabEmulator(clock=clock.now, raw_samples=True)
    driver = virtual_driver(emulator.handle, clock)
    account = qasid.connect("smsarab", api_key=KEY, driver=driver)
    with pytest.raises(qasid.ProtocolError, match="is not JSON"):
        account.balance()


@pytest.mark.parametrize("status", [200, 400, 404, 409, 500])
def test_06_no_numbers_is_known_by_its_code_whatever_the_status(
    account: qasid.Account, wire: Wire, status: int
) -> None:
    """No status is published for it; 404 would be taken for an unknown activation."""
    wire.reply(status, refusal("NO_NUMBERS_AVAILABLE"))
    with pytest.raises(qasid.NoNumbersAvailable) as caught:
        account.acquire_number("whatsapp", "SA")
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED


def test_07_a_cancel_needs_no_data(account: qasid.Account, wire: Wire) -> None:
    """Its answer has a message beside `success`, and no `data`."""
    wire.reply(200, {"success": True, "message": "تم إلغاء تفعيل الرقم بنجاح."})
    assert account.release(rented()) == qasid.Released(activation_id="1a2b3c4d5e")


def test_08_a_message_that_is_listed_twice_is_one(account: qasid.Account, wire: Wire) -> None:
    """Messages have no ids; sender, text and moment tell them apart, and the moment orders them."""
    late = message(received_at="2024-08-01T12:06:00Z")
    wire.reply(200, inbox(late, message(), message(sender="Globex"), message()))
    found = account.fetch_sms(rented())
    senders = [(one.sender, one.received_at) for one in found]
    early = datetime(2024, 8, 1, 12, 5, 30, tzinfo=UTC)
    assert senders == [
        ("Acme", early),
        ("Globex", early),
        ("Acme", early + timedelta(seconds=30)),
    ]


def test_09_expiry_is_told_by_the_clock(account: qasid.Account, clock: VirtualClock) -> None:
    """An expired activation may stay "waiting" for ever: only `expires_at` decides."""
    number = account.acquire_number("whatsapp", "SA")
    with pytest.raises(qasid.NumberExpired):
        account.wait_for_sms(number, timeout=3600)
    assert 600 <= clock.seconds < 610


@pytest.mark.parametrize(
    ("state", "kind"),
    [("EXPIRED", qasid.NumberExpired), ("ON_HOLIDAY", qasid.ProtocolError)],
)
def test_09_an_undocumented_state_is_never_taken_for_waiting(
    account: qasid.Account, wire: Wire, state: str, kind: type[qasid.ProviderError]
) -> None:
    """Two states are documented; another is read by its name, or reported."""
    wire.reply(200, inbox(status=state))
    with pytest.raises(kind) as caught:
        account.fetch_sms(rented())
    assert caught.value.code == state


def test_10_costs_are_exact(account: qasid.Account, wire: Wire) -> None:
    """They come as JSON fractions; a sum of binary floats would drift."""
    wire.reply(200, '{"success": true, "data": {"balance": 0.1, "currency": "USD"}}')
    assert account.balance().amount * 3 == Decimal("0.3")


def test_11_prices_are_in_the_currency_of_the_settings(wire: Wire, clock: VirtualClock) -> None:
    """A cost has no currency; that of the account is told by its balance alone."""
    wire.emulator.fund(qasid.Money("100", "SAR"))
    driver = virtual_driver(wire.handle, clock)
    account = qasid.connect("smsarab", api_key=KEY, currency="SAR", driver=driver)
    assert account.balance() == qasid.Money("100", "SAR")
    assert account.offers("google", "EG")[0].price == qasid.Money("0.3", "SAR")
    assert account.acquire_number("google", "EG").cost == qasid.Money("0.3", "SAR")


@pytest.mark.parametrize("body", ["", "<html>Bad gateway</html>", "[]", '{"error": "no"}', "null"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, qasid.InvalidRequest),
        (401, qasid.AuthenticationFailed),
        (402, qasid.InsufficientCredit),
        (403, qasid.PermissionDenied),
        (404, qasid.NumberNotFound),
        (409, qasid.ReleaseRefused),
        (410, qasid.ReleaseRefused),
        (418, qasid.InvalidRequest),
        (500, qasid.ProviderUnavailable),
        (503, qasid.ProviderUnavailable),
        (301, qasid.ProtocolError),
    ],
)
def test_12_an_error_without_the_documented_body_is_told_by_its_status(
    account: qasid.Account, wire: Wire, status: int, kind: type[Exception], body: str
) -> None:
    """An error "often" has JSON, so not always."""
    for _ in range(3):
        wire.reply(status, body)
    with pytest.raises(kind) as caught:
        account.release(rented())
    assert type(caught.value) is kind or status == 301


def test_13_both_limits_hold_at_once(clock: VirtualClock, wire: Wire) -> None:
    """120 a minute for all, 10 a minute for orders: the caller waits, and is never refused."""
    driver = virtual_driver(wire.handle, clock)
    account = qasid.connect("smsarab", api_key=KEY, max_open=99, max_per_day=99, driver=driver)
    for _ in range(12):
        account.acquire_number("whatsapp", "SA")
        for _ in range(11):
            account.offers()
    assert len(wire.seen) == 144
    assert clock.seconds >= 60


def test_13_the_reset_header_is_a_moment(account: qasid.Account, wire: Wire) -> None:
    """`X-RateLimit-Reset` is a Unix time, not a duration."""
    at = int((LATE + timedelta(minutes=5)).timestamp())
    wire.reply(429, "", X_RateLimit_Reset=str(at), X_RateLimit_Remaining="0")
    with pytest.raises(qasid.RateLimited) as caught:
        account.balance()
    assert caught.value.retry_after == timedelta(minutes=5)
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED


def test_13_a_retry_after_header_goes_before_it(account: qasid.Account, wire: Wire) -> None:
    """It is not documented, but where it comes it is meant."""
    wire.reply(429, "", X_RateLimit_Reset="4102444800", Retry_After="7")
    wire.reply(200, {"success": True, "data": {"balance": 1, "currency": "USD"}})
    assert account.balance() == qasid.Money(1, "USD")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INSUFFICIENT_BALANCE", qasid.InsufficientCredit),
        ("NO_CREDIT", qasid.InsufficientCredit),
        ("LOW_FUNDS", qasid.InsufficientCredit),
        ("RATE_LIMIT", qasid.RateLimited),
        ("TOO_MANY_NUMBERS", qasid.RateLimited),
        ("SERVICE_NOT_FOUND", qasid.InvalidRequest),
        ("GENERATE_FAILED", qasid.InvalidRequest),
        ("SOMETHING_ELSE", qasid.InvalidRequest),
    ],
)
def test_14_an_undocumented_code_is_read_by_its_name_and_kept(
    wire: Wire, clock: VirtualClock, code: str, kind: type[qasid.ProviderError]
) -> None:
    """Not even that of an empty account is documented, although numbers cost money."""
    driver = virtual_driver(wire.handle, clock)
    account = qasid.connect("smsarab", api_key=KEY, max_wait=0, driver=driver)
    wire.reply(400, refusal(code))
    with pytest.raises(kind) as caught:
        account.acquire_number("whatsapp", "SA")
    assert caught.value.code == code
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED


def test_14_a_name_is_not_guessed_from_a_server_error(account: qasid.Account, wire: Wire) -> None:
    """A 500 says nothing about what was done, whatever it is called."""
    wire.reply(500, refusal("BALANCE_SERVICE_DOWN"))
    with pytest.raises(qasid.ProviderUnavailable) as caught:
        account.acquire_number("whatsapp", "SA")
    assert caught.value.outcome is qasid.Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ACTIVATION_NOT_FOUND", qasid.NumberNotFound),
        ("ACTIVATION_EXPIRED", qasid.NumberExpired),
        ("CANNOT_CANCEL", qasid.InvalidRequest),
    ],
)
def test_14_codes_of_numbers_when_reading(
    account: qasid.Account, wire: Wire, code: str, kind: type[Exception]
) -> None:
    """What a name means depends on what was asked."""
    wire.reply(400, refusal(code))
    with pytest.raises(kind) as caught:
        account.fetch_sms(rented())
    assert type(caught.value) is kind


def test_15_country_codes_are_letters(account: qasid.Account) -> None:
    """SA and EG, where other providers have numbers."""
    assert {offer.country for offer in account.offers()} == {"SA", "EG"}


def test_16_an_order_without_an_answer_is_not_repeated(account: qasid.Account, wire: Wire) -> None:
    """There is no idempotency: a second order could be a second number."""
    wire.reply(502, "")
    with pytest.raises(qasid.ProviderUnavailable) as caught:
        account.acquire_number("whatsapp", "SA")
    assert caught.value.outcome is qasid.Outcome.UNKNOWN
    assert len(wire.seen) == 1


def test_17_a_cancel_has_an_empty_body(account: qasid.Account, wire: Wire) -> None:
    """``Content-Length: 0``, and neither ``null`` nor a type."""
    account.release(account.acquire_number("whatsapp", "SA"))
    request = wire.seen[-1]
    assert request.content == b""
    assert request.header("Content-Length") == "0"
    assert request.header("Content-Type") is None


def test_18_the_provider_is_not_called_a_mock() -> None:
    """The word for its numbers, "virtual", is also the word for "mock": it is a real provider."""
    assert SMSArab.info.title == "SMSArab"
    assert "mock" not in (SMSArab.__doc__ or "")


def test_19_the_other_description_of_numbers_is_refused(account: qasid.Account, wire: Wire) -> None:
    """The API's host describes another API with a text `status` in place of `success`."""
    wire.reply(200, {"status": "success", "data": [{"id": "num_abc123", "is_active": True}]})
    with pytest.raises(qasid.ProtocolError, match="success"):
        account.offers()


def test_20_codes_have_separators(account: qasid.Account, wire: Wire) -> None:
    """The sample's text is "… code is 123-456"."""
    number = account.acquire_number("whatsapp", "SA")
    wire.emulator.deliver(number.id, "Your WhatsApp code is 123-456")
    assert account.wait_for_sms(number).code == "123456"


# What cannot be said to this API.


def test_an_id_cannot_leave_its_place(account: qasid.Account, wire: Wire) -> None:
    """It is one segment of a path, whatever is in it."""
    with pytest.raises(qasid.NumberNotFound):
        account.fetch_sms(rented(id="../balance"))
    assert wire.targets == ["GET /v1/messages/..%2Fbalance"]


@pytest.mark.parametrize("bad", ["", ".", ".."])
def test_an_id_that_is_no_segment_is_refused_before_the_wire(
    account: qasid.Account, wire: Wire, bad: str
) -> None:
    """Clients and servers resolve dots even when they are encoded."""
    with pytest.raises(qasid.InvalidRequest):
        account.release(rented(id=bad))
    assert wire.seen == []


@pytest.mark.parametrize(
    "order",
    [
        {"services": ["whatsapp", "google"], "country": "EG"},
        {"services": ["google"], "country": "EG", "callback_url": "https://example.com/x"},
    ],
)
def test_orders_beyond_the_api_are_refused_before_the_wire(
    account: qasid.Account, wire: Wire, order: dict[str, Any]
) -> None:
    """One service each, and no webhooks."""
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.acquire_numbers(**order)
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED
    assert wire.seen == []


def test_there_is_no_inbox_of_the_account(account: qasid.Account, wire: Wire) -> None:
    """Only rented numbers have messages."""
    with pytest.raises(qasid.InvalidRequest, match="Activation"):
        account.fetch_sms(qasid.InboxQuery())
    assert wire.seen == []


# Replies that are not what the document says: each field replaced, one at a time.

WRONG: list[Any] = [None, True, 7, 1.5, "x", [], {}, [1], {"a": 1}]


def _answers() -> dict[str, tuple[dict[str, Any], list[str]]]:
    offer = {"service_code": "acme", "service_name": "Acme", "cost": 0.5}
    country = {"country_code": "SA", "country_name": "السعودية", "available_services": [offer]}
    number = {
        "activation_id": "1a",
        "phone_number": "+966500000001",
        "country_code": "SA",
        "service_code": "acme",
        "expires_at": "2024-08-01T12:10:00Z",
        "cost": 0.5,
    }
    return {
        "balance": ({"success": True, "data": {"balance": 45.75, "currency": "USD"}}, []),
        "offers": ({"success": True, "data": [country]}, ["service_name", "country_name"]),
        "acquire_number": (
            {"success": True, "data": number},
            ["country_code", "service_code", "expires_at", "cost"],
        ),
        "fetch_sms": (inbox(message()), ["sender"]),
    }


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    return [path, *(p for key, item in _items(value) for p in _places(item, (*path, key)))]


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


def _call(account: qasid.Account, hook: str) -> object:
    calls: dict[str, Callable[[], object]] = {
        "balance": account.balance,
        "offers": account.offers,
        "acquire_number": lambda: account.acquire_number("acme", "SA"),
        "fetch_sms": lambda: account.fetch_sms(rented()),
    }
    return calls[hook]()


@pytest.mark.parametrize("new", WRONG, ids=repr)
@pytest.mark.parametrize("hook", _answers())
def test_one_field_at_a_time(account: qasid.Account, wire: Wire, hook: str, new: Any) -> None:
    """A field of another type is an error of the tree, and what was paid for is then unknown."""
    good, optional = _answers()[hook]
    for place in _places(good):
        wire.reply(200, _replaced(good, place, new))
        error = _error_of(account, hook)
        if error is None:
            absent = new is None and place[-1] in optional
            assert absent or _same_kind(good, place, new), place
        else:
            assert (error.outcome is qasid.Outcome.UNKNOWN) is (hook in PAID_HOOKS), place
        account = qasid.connect("smsarab", api_key=KEY, driver=account.driver)


def _error_of(account: qasid.Account, hook: str) -> qasid.ProviderError | None:
    try:
        _call(account, hook)
    except qasid.ProviderError as error:
        return error
    return None


def _same_kind(good: Any, place: tuple[Any, ...], new: Any) -> bool:
    for key in place:
        good = good[key]
    number = (int, float)
    if isinstance(good, number) and not isinstance(good, bool):
        return isinstance(new, number) and not isinstance(new, bool)
    return type(good) is type(new)


def test_support_is_what_is_implemented() -> None:
    """Declared and real capabilities agree, both ways."""
    declared = {hook for hook in HOOKS if SMSArab.info.supports(hook).implemented}
    assert declared == implemented(SMSArab)
