"""The emulator keeps what SMSArab's developers page says, to the letter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.effects import Request, Response, segment
from qasid.emulation import Emulator
from qasid.values import Money
from qasid_smsarab.emulator import SMSArabEmulator

START: Final = datetime(2024, 8, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ORDER: Final = {"country_code": "SA", "service_code": "whatsapp"}
KEY: Final = {"X-API-Key": "YOUR_API_KEY"}


def _emulator(**settings: Any) -> SMSArabEmulator:
    return SMSArabEmulator(clock=lambda: START, **settings)


def _ask(
    emulator: Emulator, method: str, path: str, body: Any = None, headers: Any = None
) -> Response:
    request = Request(
        method=method,
        url=f"http://127.0.0.1{path}",
        json=body,
        headers=KEY if headers is None else headers,
    )
    return emulator.handle(request.encode())


def _rent(emulator: Emulator, **order: str) -> str:
    response = _ask(emulator, "POST", "/v1/numbers", {**ORDER, **order})
    return str(json.loads(response.body)["data"]["activation_id"])


def _text(response: Response) -> str:
    return response.body.decode("utf-8")


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _code(response: Response) -> tuple[int, str]:
    return response.status, json.loads(response.body)["error"]["code"]


# What is printed.


def test_services_are_those_of_the_page() -> None:
    """Names, order, Arabic texts and costs, which are JSON numbers."""
    response = _ask(_emulator(), "GET", "/v1/services")
    printed = [
        {
            "country_code": "SA",
            "country_name": "السعودية",
            "available_services": [
                {"service_code": "whatsapp", "service_name": "WhatsApp", "cost": 0.5},
                {"service_code": "telegram", "service_name": "Telegram", "cost": 0.4},
                {"service_code": "facebook", "service_name": "Facebook", "cost": 0.3},
            ],
        },
        {
            "country_code": "EG",
            "country_name": "مصر",
            "available_services": [
                {"service_code": "whatsapp", "service_name": "WhatsApp", "cost": 0.4},
                {"service_code": "google", "service_name": "Google", "cost": 0.3},
            ],
        },
    ]
    assert (200, _compact({"success": True, "data": printed})) == (response.status, _text(response))


def test_the_first_number_is_that_of_the_page() -> None:
    """Status 201, the printed activation id and expiry, whole seconds, a numeric cost."""
    response = _ask(_emulator(), "POST", "/v1/numbers", ORDER)
    expected = {
        "activation_id": "1a2b3c4d5e",
        "phone_number": "+966500000001",
        "country_code": "SA",
        "service_code": "whatsapp",
        "expires_at": "2024-08-01T12:10:00Z",
        "cost": 0.5,
    }
    assert (201, _compact({"success": True, "data": expected})) == (
        response.status,
        _text(response),
    )


def test_replies_are_utf8_json_stamped_by_the_emulators_own_clock() -> None:
    """The media type names the charset, and `advance` moves the stamp."""
    emulator = _emulator()
    emulator.advance(timedelta(hours=1))
    response = _ask(emulator, "GET", "/v1/balance")
    assert "application/json; charset=utf-8" == response.header("Content-Type")
    assert START + timedelta(hours=1) == response.received_at


def test_a_number_waits_until_a_message_comes() -> None:
    """Both printed answers, members in their order."""
    emulator = _emulator()
    _rent(emulator)
    waiting = _ask(emulator, "GET", "/v1/messages/1a2b3c4d5e")
    emulator.advance(timedelta(minutes=5, seconds=30))
    emulator.deliver("1a2b3c4d5e", "Your WhatsApp code is 123-456", "WhatsApp")
    received = _ask(emulator, "GET", "/v1/messages/1a2b3c4d5e")
    message = {
        "sender": "WhatsApp",
        "text": "Your WhatsApp code is 123-456",
        "received_at": "2024-08-01T12:05:30Z",
    }
    nothing = {"status": "WAITING_FOR_MESSAGE", "messages": []}
    something = {"status": "MESSAGES_RECEIVED", "messages": [message]}
    assert _compact({"success": True, "data": nothing}) == _text(waiting)
    assert _compact({"success": True, "data": something}) == _text(received)


def test_messages_are_told_again_oldest_first() -> None:
    """Reading takes nothing away, and there may be several."""
    emulator = _emulator()
    rented = _rent(emulator)
    emulator.deliver(rented, "one")
    emulator.deliver(rented, "two")
    answers = [_ask(emulator, "GET", f"/v1/messages/{rented}").json() for _ in range(2)]
    texts = [[message["text"] for message in answer["data"]["messages"]] for answer in answers]
    assert [["one", "two"], ["one", "two"]] == texts


def test_cancel_answers_with_a_message_and_no_data() -> None:
    """The printed answer, status 200."""
    emulator = _emulator()
    rented = _rent(emulator)
    response = _ask(emulator, "POST", f"/v1/numbers/{rented}/cancel")
    expected = {"success": True, "message": "تم إلغاء تفعيل الرقم بنجاح."}
    assert (200, _compact(expected)) == (response.status, _text(response))


def test_the_balance_is_that_of_the_page() -> None:
    """45.75, a number, and USD."""
    response = _ask(_emulator(), "GET", "/v1/balance")
    expected = {"success": True, "data": {"balance": 45.75, "currency": "USD"}}
    assert (200, _compact(expected)) == (response.status, _text(response))


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "WRONG"}, {"Authorization": "YOUR_API_KEY"}])
@pytest.mark.parametrize(
    "path", ["/v1/balance", "/v1/nowhere", "/v1/balance?X-API-Key=YOUR_API_KEY"]
)
def test_a_wrong_or_missing_key_gives_the_printed_error(path: str, headers: dict[str, str]) -> None:
    """On every path, known or not, and never because the key stands in the address."""
    response = _ask(_emulator(), "GET", path, headers=headers)
    error = {"code": "INVALID_API_KEY", "message": "مفتاح API المقدم غير صالح أو مفقود."}
    assert (401, _compact({"success": False, "error": error})) == (response.status, _text(response))


@pytest.mark.parametrize("status", [404, 200, 409])
def test_no_stock_gives_the_printed_error_with_the_chosen_status(status: int) -> None:
    """Its status is not documented; by default it is 404."""
    emulator = _emulator(no_numbers_status=status) if status != 404 else _emulator()
    emulator.stock("whatsapp", "SA", 0)
    response = _ask(emulator, "POST", "/v1/numbers", ORDER)
    error = {
        "code": "NO_NUMBERS_AVAILABLE",
        "message": "لا توجد أرقام متاحة حالياً لهذه الخدمة في هذه الدولة.",
    }
    assert (status, _compact({"success": False, "error": error})) == (
        response.status,
        _text(response),
    )


RAW: Final = {
    "/v1/services": """\
      ]
    }
    // ... المزيد من الدول
  ]
}""",
    "/v1/messages/1a2b3c4d5e": """\
{
  "success": true,
  "data": {
    "status": "MESSAGES_RECEIVED", // أو "WAITING_FOR_MESSAGE"
    "messages": [
      {
        "sender": "WhatsApp",
        "text": "Your WhatsApp code is 123-456",
        "received_at": "2024-08-01T12:00:00Z"
      }
      // يمكن أن تكون هناك رسائل أخرى
    ]
  }
}""",
    "/v1/balance": """\
{
  "success": true,
  "data": {
    "balance": 45.25,
    "currency": "USD" // أو SAR, EGP, etc.
  }
}""",
}


@pytest.mark.parametrize("path", RAW)
def test_raw_samples_have_the_printed_comments(path: str) -> None:
    """Each where the page has it, which makes the reply invalid JSON."""
    emulator = _emulator(raw_samples=True)
    _ask(emulator, "POST", "/v1/numbers", ORDER)
    emulator.deliver("1a2b3c4d5e", "Your WhatsApp code is 123-456", "WhatsApp")
    assert _text(_ask(emulator, "GET", path)).endswith(RAW[path])


def test_the_raw_error_has_two_comments() -> None:
    """One for the code and one for the message."""
    response = _ask(_emulator(raw_samples=True), "GET", "/v1/balance", headers={})
    printed = """\
{
  "success": false,
  "error": {
    "code": "INVALID_API_KEY", // مثال لرمز الخطأ
    "message": "مفتاح API المقدم غير صالح أو مفقود." // مثال لرسالة الخطأ
  }
}"""
    assert printed == _text(response)


@given(text=st.text())
def test_a_text_cannot_add_comments_to_a_raw_sample(text: str) -> None:
    """Whatever a message says, only the two printed comments are taken away to read it."""
    emulator = _emulator(raw_samples=True)
    _ask(emulator, "POST", "/v1/numbers", ORDER)
    emulator.deliver("1a2b3c4d5e", text)
    raw = _text(_ask(emulator, "GET", "/v1/messages/1a2b3c4d5e"))
    plain = raw.replace(' // أو "WAITING_FOR_MESSAGE"', "", 1)
    head, _, tail = plain.rpartition("\n      // يمكن أن تكون هناك رسائل أخرى")
    assert text == json.loads(head + tail)["data"]["messages"][0]["text"]


# Orders.


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"country_code": "SA"},
        {"service_code": "whatsapp"},
        {"country_code": None, "service_code": "whatsapp"},
        {"country_code": ["SA"], "service_code": {"a": 1}},
        {"country_code": "XX", "service_code": "whatsapp"},
        {"country_code": "SA", "service_code": "google"},
        {"country_code": "sa", "service_code": "whatsapp"},
    ],
)
def test_missing_or_invalid_members_give_400(body: Any) -> None:
    """Nothing is charged; the code is our choice, as none is documented."""
    emulator = _emulator()
    response = _ask(emulator, "POST", "/v1/numbers", body)
    assert (400, "INVALID_REQUEST") == _code(response)
    assert Money("45.75", "USD") == emulator.balance()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/json", b"{"),
        ("application/json", b"\xff"),
        ("application/x-www-form-urlencoded", b"country_code=SA&service_code=whatsapp"),
    ],
)
def test_a_body_that_is_no_json_gives_400(kind: str, content: bytes) -> None:
    """Also a form with the right members: the page asks for JSON."""
    headers = {**KEY, "Content-Type": kind}
    request = Request(method="POST", url="http://h/v1/numbers", headers=headers, content=content)
    assert (400, "INVALID_REQUEST") == _code(_emulator().handle(request))


def test_a_number_costs_its_price() -> None:
    """45.75 - 0.3 = 45.45, exactly."""
    emulator = _emulator()
    _rent(emulator, country_code="EG", service_code="google")
    assert Money("45.45", "USD") == emulator.balance()


def test_too_little_credit_gives_402() -> None:
    """Not documented: the status and code are our choice. Enough to the cent is enough."""
    emulator = _emulator()
    emulator.fund(Money("0.5", "SAR"))
    assert "1a2b3c4d5e" == _rent(emulator)
    emulator.fund(Money("0.49", "SAR"))
    response = _ask(emulator, "POST", "/v1/numbers", ORDER)
    assert (402, "INSUFFICIENT_BALANCE") == _code(response)
    assert Money("0.49", "SAR") == emulator.balance()


def test_stock_runs_out() -> None:
    """Two in stock are two sold."""
    emulator = _emulator()
    emulator.stock("whatsapp", "SA", 2)
    statuses = [_ask(emulator, "POST", "/v1/numbers", ORDER).status for _ in range(3)]
    assert [201, 201, 404] == statuses


def test_stock_may_add_a_service() -> None:
    """It is then in the catalogue of that country, and can be rented."""
    emulator = _emulator()
    emulator.stock("acme", "EG", 1)
    added = {"service_code": "acme", "service_name": "Acme", "cost": Decimal("0.5")}
    services = _ask(emulator, "GET", "/v1/services").json()["data"][1]["available_services"]
    assert added == services[-1]
    assert "1a2b3c4d5e" == _rent(emulator, country_code="EG", service_code="acme")


def test_stock_knows_two_countries() -> None:
    """Another one is refused by name."""
    with pytest.raises(ValueError, match="country must be one of SA, EG"):
        _emulator().stock("acme", "FR", 1)


@pytest.mark.parametrize(("country", "prefix"), [("SA", "+9665"), ("EG", "+2010")])
def test_numbers_are_valid_mobiles_and_ids_ten_characters(country: str, prefix: str) -> None:
    """Each number and each id comes once."""
    emulator = _emulator()
    for _ in range(20):
        _rent(emulator, country_code=country)
        emulator.advance(timedelta(seconds=6))  # 60 / 10 = 6 s between orders
    rented = emulator.activations()
    assert 20 == len({one.number for one in rented}) == len({one.id for one in rented})
    assert {10} == {len(one.id) for one in rented}
    for one in rented:
        assert one.number.startswith(prefix)
        assert phonenumbers.is_valid_number(phonenumbers.parse(one.number))


# After the end.


def test_an_expired_number_keeps_its_state() -> None:
    """No third state is documented, and what came stays readable."""
    emulator = _emulator()
    silent, spoken = _rent(emulator), _rent(emulator)
    emulator.deliver(spoken, "1234")
    emulator.advance(timedelta(hours=1))
    emulator.deliver(silent, "too late")
    answers = [_ask(emulator, "GET", f"/v1/messages/{one}").json() for one in (silent, spoken)]
    states = [answer["data"]["status"] for answer in answers]
    assert ["WAITING_FOR_MESSAGE", "MESSAGES_RECEIVED"] == states


def test_the_life_of_a_number_is_a_setting() -> None:
    """Not documented: ten minutes come from the printed sample."""
    emulator = _emulator(lifetime=timedelta(minutes=20))
    response = _ask(emulator, "POST", "/v1/numbers", ORDER)
    assert "2024-08-01T12:20:00Z" == response.json()["data"]["expires_at"]


@pytest.mark.parametrize(("refund", "left"), [(True, "45.75"), (False, "45.25")])
def test_a_cancelled_number_is_paid_back_as_set(refund: bool, left: str) -> None:
    """Not documented, so it is a setting."""
    emulator = _emulator(refund_on_cancel=refund)
    _ask(emulator, "POST", f"/v1/numbers/{_rent(emulator)}/cancel")
    assert Money(left, "USD") == emulator.balance()


def test_a_cancelled_number_is_not_found() -> None:
    """Neither to read nor to cancel again; a message for it reaches nobody."""
    emulator = _emulator()
    rented = _rent(emulator)
    _ask(emulator, "POST", f"/v1/numbers/{rented}/cancel")
    emulator.deliver(rented, "1234")
    read = _ask(emulator, "GET", f"/v1/messages/{rented}")
    again = _ask(emulator, "POST", f"/v1/numbers/{rented}/cancel")
    assert [(404, "NOT_FOUND")] * 2 == [_code(read), _code(again)]
    assert [("CANCELLED", 0)] == [(one.state, one.messages) for one in emulator.activations()]


def test_a_number_with_a_message_is_cancelled_and_not_paid_back() -> None:
    """Not documented: the page names no condition for cancelling, and no refund."""
    emulator = _emulator()
    rented = _rent(emulator)
    emulator.deliver(rented, "1234")
    assert 200 == _ask(emulator, "POST", f"/v1/numbers/{rented}/cancel").status
    assert Money("45.25", "USD") == emulator.balance()


def test_a_number_with_a_message_may_be_kept_from_cancelling() -> None:
    """Not documented either, as a setting: 409, and nothing is paid back."""
    emulator = _emulator(cancel_after_message=False)
    rented = _rent(emulator)
    emulator.deliver(rented, "1234")
    response = _ask(emulator, "POST", f"/v1/numbers/{rented}/cancel")
    assert (409, "CANNOT_CANCEL") == _code(response)
    assert Money("45.25", "USD") == emulator.balance()


def test_an_expired_number_is_not_cancelled() -> None:
    """Not documented: 410, from the printed second on."""
    emulator = _emulator()
    rented = _rent(emulator)
    emulator.advance(timedelta(minutes=9, seconds=59.75))  # 12:10:00.000
    response = _ask(emulator, "POST", f"/v1/numbers/{rented}/cancel")
    assert (410, "ACTIVATION_EXPIRED") == _code(response)


# Paths.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/services"),
        ("GET", "/v1/services/"),
        ("GET", "//v1/services"),
        ("GET", "/v1/numbers"),
        ("HEAD", "/v1/balance"),
        ("DELETE", "/v1/numbers/1a2b3c4d5e"),
        ("GET", "/v1/numbers/1a2b3c4d5e/cancel"),
        ("POST", "/v1/numbers/0000000000/cancel"),
        ("GET", "/v1/messages/../balance"),
        ("GET", "/v1/messages/..%2Fbalance"),
        ("GET", "/v1/messages/%2e%2e%2fbalance"),
        ("GET", "/"),
    ],
)
def test_what_is_not_there_gives_404(method: str, path: str) -> None:
    """Unknown ids, unknown paths and other verbs alike; nothing is decoded into another path."""
    emulator = _emulator()
    _rent(emulator)
    assert (404, "NOT_FOUND") == _code(_ask(emulator, method, path))


@given(text=st.text(min_size=1).filter(lambda text: text not in {".", ".."}))
def test_an_encoded_id_never_leaves_its_segment(text: str) -> None:
    """Whatever the id, it is an unknown activation and never another resource."""
    response = _ask(_emulator(), "GET", f"/v1/messages/{segment(text)}")
    assert (404, "NOT_FOUND") == _code(response)


# Limits.


def _limits(response: Response) -> tuple[str | None, ...]:
    names = ("Limit", "Remaining", "Reset")
    return tuple(response.header(f"X-RateLimit-{name}") for name in names)


RESET: Final = str(int(START.timestamp()) + 61)  # 12:00:00.25 + 60 s, rounded up


def test_the_121st_request_of_a_minute_is_refused() -> None:
    """With the documented headers, and an error object as body."""
    emulator = _emulator()
    replies = [_ask(emulator, "GET", "/v1/balance") for _ in range(121)]
    assert ("120", "119", RESET) == _limits(replies[0])
    assert ("120", "0", RESET) == _limits(replies[119])
    assert (200, 429) == (replies[119].status, replies[120].status)
    assert ("120", "0", RESET) == _limits(replies[120])
    assert (429, "RATE_LIMITED") == _code(replies[120])


def test_the_eleventh_order_of_a_minute_is_refused() -> None:
    """Its headers show the smaller limit; other requests go on, and nothing is charged."""
    emulator = _emulator()
    replies = [_ask(emulator, "POST", "/v1/numbers", ORDER) for _ in range(11)]
    assert ("10", "9", RESET) == _limits(replies[0])
    assert (429, ("10", "0", RESET)) == (replies[10].status, _limits(replies[10]))
    assert 10 == len(emulator.activations())
    assert ("120", "109", RESET) == _limits(_ask(emulator, "GET", "/v1/balance"))


def test_an_order_is_also_refused_by_the_general_limit() -> None:
    """The headers then show that one."""
    emulator = _emulator()
    for _ in range(120):
        _ask(emulator, "GET", "/v1/balance")
    response = _ask(emulator, "POST", "/v1/numbers", ORDER)
    assert (429, ("120", "0", RESET)) == (response.status, _limits(response))


def test_a_refusal_may_have_no_body() -> None:
    """The page promises an error object "often" only."""
    emulator = _emulator(rate_limit_body=False)
    replies = [_ask(emulator, "POST", "/v1/numbers", ORDER) for _ in range(11)]
    assert (429, b"", ("10", "0", RESET)) == (
        replies[10].status,
        replies[10].body,
        _limits(replies[10]),
    )


def test_wrong_keys_use_up_no_limit() -> None:
    """The limit is per key, so their replies have no such headers."""
    emulator = _emulator()
    replies = [_ask(emulator, "GET", "/v1/balance", headers={}) for _ in range(130)]
    assert {401} == {reply.status for reply in replies}
    assert (None, None, None) == _limits(replies[-1])
    assert 200 == _ask(emulator, "GET", "/v1/balance").status


@given(gaps=st.lists(st.floats(min_value=0, max_value=20), min_size=1, max_size=60))
def test_no_sixty_seconds_hold_more_than_ten_orders(gaps: list[float]) -> None:
    """The window slides; and who waits until Reset after a refusal gets in."""
    emulator = _emulator(lifetime=timedelta(seconds=1))
    served: list[datetime] = []
    for gap in gaps:
        emulator.advance(timedelta(seconds=gap))
        reply = _ask(emulator, "POST", "/v1/numbers", ORDER)
        if reply.status == 429:
            reset = float(reply.header("X-RateLimit-Reset") or "nan")
            emulator.advance(timedelta(seconds=reset - reply.received_at.timestamp()))
            reply = _ask(emulator, "POST", "/v1/numbers", ORDER)
        assert 201 == reply.status
        served.append(reply.received_at)
    minute = timedelta(minutes=1)
    assert all(late - early >= minute for early, late in zip(served, served[10:], strict=False))


# Back doors.


def test_a_failure_answers_instead_of_the_request() -> None:
    """Once, without performing it, stamped by the emulator's clock."""
    emulator = _emulator()
    emulator.fail_next(Response(status=503, body=b"<html>"))
    failed = _ask(emulator, "POST", "/v1/numbers", ORDER)
    assert (503, b"<html>", START) == (failed.status, failed.body, failed.received_at)
    assert () == emulator.activations()
    assert "1a2b3c4d5e" == _rent(emulator)


def test_a_failure_may_come_after_the_act() -> None:
    """The number is rented and paid for all the same."""
    emulator = _emulator()
    emulator.fail_next(Response(status=502), performed=True)
    assert 502 == _ask(emulator, "POST", "/v1/numbers", ORDER).status
    assert ["1a2b3c4d5e"] == [one.id for one in emulator.activations()]
    assert Money("45.25", "USD") == emulator.balance()


def test_the_books_tell_what_was_rented() -> None:
    """With the page's word for the state and the count of messages."""
    emulator = _emulator()
    emulator.deliver(_rent(emulator), "1234")
    _rent(emulator, country_code="EG")
    books = [(one.service, one.country, one.state, one.messages) for one in emulator.activations()]
    expected = [
        ("whatsapp", "SA", "MESSAGES_RECEIVED", 1),
        ("whatsapp", "EG", "WAITING_FOR_MESSAGE", 0),
    ]
    assert expected == books


def test_delivering_to_an_unknown_number_is_a_key_error() -> None:
    """As the protocol of emulators says."""
    with pytest.raises(KeyError):
        _emulator().deliver("0000000000", "1234")


def test_nothing_is_ever_sent() -> None:
    """SMSArab only receives."""
    assert () == _emulator().outbox()
