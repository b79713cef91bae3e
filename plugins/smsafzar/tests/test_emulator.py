"""The emulator keeps what SMSAfzar's manual says, to the letter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.effects import Request, Response
from qasid.values import Money
from qasid_smsafzar.emulator import SMSAfzarEmulator

START: Final = datetime(2026, 2, 4, 3, 0, 0, 250_000, tzinfo=UTC)
PRINTED: Final = 1770177035  # 2026-02-04T03:50:35Z
LOGIN: Final = {
    "userName": "YourUserName",
    "password": "YourPassword",
    "domain": "sms.smsafzar",
}
ONE: Final = {"senderNumber": "10001000", "recipientNumber": "09100000000", "content": "TEXT"}
BULK: Final = {
    "senderNumbers": ["10001000"],
    "recipientNumbers": ["09100000000", "09100000001"],
    "contents": ["TEXT"],
}
TEMPLATE: Final = {
    "senderNumber": "10001000",
    "recipientNumber": "09100000000",
    "templateId": "TydSt1skQE",
    "parameters": [
        {"name": "code", "value": "123456"},
        {"name": "price", "value": "1,000,000"},
    ],
}
SENDS: Final[dict[str, dict[str, Any]]] = {
    "/messages/send": ONE,
    "/messages/send/bulk": BULK,
    "/messages/send/template": TEMPLATE,
}


def _emulator(**settings: Any) -> SMSAfzarEmulator:
    return SMSAfzarEmulator(clock=lambda: START, **settings)


def _ask(
    emulator: SMSAfzarEmulator,
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str | None = None,
    wait: float = 1.0,
    **more: Any,
) -> Response:
    """Ask a second later than before, so that the limit is of no matter."""
    emulator.advance(timedelta(seconds=wait))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = f"http://127.0.0.1{path}"
    request = Request(method=method, url=url, json=body, **{"headers": headers, **more})
    return emulator.handle(request.encode())


def _token(emulator: SMSAfzarEmulator, **changes: str) -> str:
    response = _ask(emulator, "POST", "/auth/token", {**LOGIN, **changes})
    return str(response.json()["token"])


def _told(response: Response) -> tuple[int, Any]:
    return response.status, response.json() if response.body else None


def _code(response: Response) -> tuple[int, int]:
    return response.status, response.json()["errorCode"]


def _fields(response: Response) -> list[str]:
    assert _code(response) == (400, 1001)
    return [item["field"] for item in response.json()["validationErrors"]]


def _error(code: int, text: str, *fields: tuple[str, str]) -> dict[str, Any]:
    listed = [{"field": name, "errorMessage": words} for name, words in fields]
    more = {"validationErrors": listed} if listed else {}
    return {"errorCode": code, "errorMessage": text, **more}


# The login.


def test_the_login_of_the_samples_gets_the_printed_token() -> None:
    """One member, and no word of how long it lives."""
    response = _ask(_emulator(), "POST", "/auth/token", LOGIN)
    assert response.header("Content-Type") == "application/json; charset=utf-8"
    assert _told(response) == (200, {"token": "ltQZ6Yr3s-x5EZ2jg...."})


def test_no_token_comes_twice_and_older_ones_stay_good() -> None:
    """Whether a new one ends the old is not documented."""
    emulator = _emulator()
    tokens = [_token(emulator) for _ in range(5)]
    assert len(set(tokens)) == 5
    statuses = [_ask(emulator, "GET", "/account/balance", token=one).status for one in tokens]
    assert statuses == [200] * 5


def test_short_names_and_passwords_are_refused_field_by_field() -> None:
    """The printed answer: names in capitals, texts that begin with a full stop."""
    body = {"userName": "short", "password": "short", "domain": "sms.smsafzar"}
    assert _told(_ask(_emulator(), "POST", "/auth/token", body)) == (
        400,
        _error(
            1001,
            ".مقادیر پارامترهای ارسالی معتبر نمی باشند",
            ("UserName", ".حداقل طول فیلد [ نام کاربری ] 6 کاراکتر می باشد"),
            ("Password", ".حداقل طول فیلد [ کلمه عبور ] 8 کاراکتر می باشد"),
        ),
    )


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"json": None}, ["UserName", "Password", "Domain"]),
        ({"json": []}, ["UserName", "Password", "Domain"]),
        ({"json": {**LOGIN, "userName": 1234567}}, ["UserName"]),
        ({"json": {**LOGIN, "domain": ""}}, ["Domain"]),
        ({"json": None, "form": LOGIN}, ["UserName", "Password", "Domain"]),
    ],
)
def test_what_is_missing_or_no_json_is_refused_likewise(
    more: dict[str, Any], fields: list[str]
) -> None:
    """A form is no login: the manual asks for JSON."""
    request = Request(method="POST", url="http://127.0.0.1/auth/token", **more)
    assert _fields(_emulator().handle(request.encode())) == fields


@pytest.mark.parametrize(
    "changed",
    [{"userName": "Somebody"}, {"password": "AnotherPassword"}, {"domain": "sms.example"}],
)
def test_wrong_names_passwords_and_domains_are_401(changed: dict[str, str]) -> None:
    """One printed answer for all three."""
    response = _ask(_emulator(), "POST", "/auth/token", {**LOGIN, **changed})
    assert _told(response) == (401, _error(401, ".خطای احراز هویت رخ داده است"))


@pytest.mark.parametrize(
    ("name", "status", "code", "words"),
    [
        ("NoService", 403, 1004, ".مجوز دسترسی به سرویس برای حساب کاربری تعریف نشده است"),
        ("NoLoginMethod", 403, 1005, ".مجوز دسترسی به متد برای حساب کاربری تعریف نشده است"),
        ("NoLoginAddress", 403, 1006, ".آدرس آی پی جهت دسترسی به سرویس معتبر نمی باشد"),
        ("Inactive", 403, 1010, ".حساب کاربر غیر فعال می باشد"),
        ("Expired", 403, 1011, ".حساب کاربر در تاریخ: 1403/01/01 منقضی شده است"),
        ("LoginFails", 500, 1000011011, "خطایی در سرور رخ داده است. | شناسه خطا : 1000011011"),
    ],
)
def test_names_that_stand_for_each_printed_refusal(
    name: str, status: int, code: int, words: str
) -> None:
    """With the password and domain of the samples; a wrong password is 401 all the same."""
    emulator = _emulator()
    assert _told(_ask(emulator, "POST", "/auth/token", {**LOGIN, "userName": name})) == (
        status,
        _error(code, words),
    )
    wrong = {**LOGIN, "userName": name, "password": "AnotherPassword"}
    assert _code(_ask(emulator, "POST", "/auth/token", wrong)) == (401, 401)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("NoMethod", (403, 1005)), ("NoAddress", (403, 1006)), ("MethodsFail", (500, 1000011011))],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/messages/send"),
        ("DELETE", "/messages/send/scheduled/1"),
        ("POST", "/messages/status"),
        ("GET", "/messages/received/recent?count=1"),
        ("GET", "/account/balance"),
    ],
)
def test_names_that_are_let_in_and_get_no_further(
    name: str, expected: tuple[int, int], method: str, path: str
) -> None:
    """For the refusals of the other methods."""
    emulator = _emulator()
    token = _token(emulator, userName=name)
    assert _code(_ask(emulator, method, path, token=token)) == expected


@pytest.mark.parametrize(
    "header", [None, "", "ltQZ6Yr3s-x5EZ2jg....", "Basic ltQZ6Yr3s-x5EZ2jg....", "Bearer other"]
)
@pytest.mark.parametrize("path", ["/account/balance", "/messages/received/recent?count=0"])
def test_nothing_but_the_login_is_open(header: str | None, path: str) -> None:
    """The token is looked at before the values."""
    emulator = _emulator()
    _token(emulator)
    headers = {} if header is None else {"Authorization": header}
    response = _ask(emulator, "GET", path, headers=headers)
    assert _told(response) == (401, _error(401, ".خطای احراز هویت رخ داده است"))


@pytest.mark.parametrize(
    ("lifetime", "alive", "over"),
    [(None, 7 * 86_400 - 1, 1), (timedelta(hours=1), 3_599, 1)],
)
def test_a_token_lives_seven_days_or_as_the_panel_is_set(
    lifetime: timedelta | None, alive: int, over: int
) -> None:
    """Then it is a 401."""
    emulator = _emulator() if lifetime is None else _emulator(token_lifetime=lifetime)
    token = _token(emulator)
    before = _ask(emulator, "GET", "/account/balance", token=token, wait=alive)
    after = _ask(emulator, "GET", "/account/balance", token=token, wait=over)
    assert [before.status, after.status] == [200, 401]


# The limit.


def test_the_sixth_request_of_a_second_is_429() -> None:
    """The printed answer, slips of the pen and all. No Retry-After is documented."""
    emulator = _emulator()
    ask = [_ask(emulator, "POST", "/auth/token", LOGIN, wait=0) for _ in range(6)]
    assert [one.status for one in ask] == [200] * 5 + [429]
    words = (
        "تعداد درخواست های ارسالی بیش ار حد مجاز می باشد. "
        "[ حداکثر تعداد درخواست ها در هر ثانیه 5 عدد می باشد. ]"
    )
    assert _told(ask[-1]) == (429, _error(429, words))
    assert ask[-1].header("Retry-After") is None


def test_the_limit_counts_any_second_and_every_call() -> None:
    """Five within 0.9 seconds, and the sixth a second after the first of them."""
    emulator = _emulator()
    token = _token(emulator)
    waits = (0.1, 0.2, 0.2, 0.4, 0.05, 0.05)
    statuses = [
        _ask(emulator, "GET", "/account/balance", token=token, wait=wait).status for wait in waits
    ]
    assert statuses == [200, 200, 200, 200, 429, 200]


def test_a_retry_after_is_sent_where_it_is_set() -> None:
    """It is not documented, so it is a setting."""
    emulator = _emulator(retry_after=3)
    for _ in range(6):
        response = _ask(emulator, "POST", "/auth/token", LOGIN, wait=0)
    assert response.header("Retry-After") == "3"


# Sending.


def test_a_message_goes_and_is_paid_for() -> None:
    """Two ids come back, named as other calls name them; a message costs the setting's price."""
    emulator = _emulator(price=Decimal(700))
    answer = _ask(emulator, "POST", "/messages/send", ONE, token=_token(emulator)).json()
    assert sorted(answer) == ["batchId", "sentMessageId"]
    (item,) = emulator.outbox()
    assert (item.to, item.text, item.sender) == ("+989100000000", "TEXT", "10001000")
    assert emulator.balance() == Money(1_250_000 - 700, "IRR")


@pytest.mark.parametrize(
    "number",
    ["09100000000", "9100000000", "00989100000000", "+989100000000", "989100000000"],
)
def test_recipients_are_written_in_five_ways(number: str) -> None:
    """All of them are the same phone."""
    emulator = _emulator()
    body = {**ONE, "recipientNumber": number}
    assert _ask(emulator, "POST", "/messages/send", body, token=_token(emulator)).status == 200
    assert [item.to for item in emulator.outbox()] == ["+989100000000"]


@pytest.mark.parametrize("number", ["1000", "10001000", "009810001000", "+9810001000", "981000"])
def test_senders_are_written_in_four_ways(number: str) -> None:
    """Whose line it is is not looked at: what is said then is not documented."""
    emulator = _emulator()
    body = {**ONE, "senderNumber": number}
    assert _ask(emulator, "POST", "/messages/send", body, token=_token(emulator)).status == 200


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"recipientNumber": "0912000000"}, ["RecipientNumber"]),
        ({"recipientNumber": "+442079460958"}, ["RecipientNumber"]),
        ({"recipientNumber": ["09120000000"]}, ["RecipientNumber"]),
        ({"senderNumber": ""}, ["SenderNumber"]),
        ({"senderNumber": None, "content": None}, ["SenderNumber", "Content"]),
        ({"senderNumber": "Acme"}, ["SenderNumber"]),
        ({"content": ""}, ["Content"]),
        ({"sendTimestamp": int(START.timestamp())}, ["SendTimestamp"]),
        ({"sendTimestamp": str(PRINTED)}, ["SendTimestamp"]),
        ({"sendTimestamp": PRINTED + 0.5}, ["SendTimestamp"]),
        ({"sendTimestamp": True}, ["SendTimestamp"]),
        ({"sendTimestamp": PRINTED * 1000}, ["SendTimestamp"]),
    ],
)
def test_values_that_are_not_right_are_named(changed: dict[str, Any], fields: list[str]) -> None:
    """Nothing is sent or charged; milliseconds are no moment that there is."""
    emulator = _emulator()
    response = _ask(emulator, "POST", "/messages/send", {**ONE, **changed}, token=_token(emulator))
    assert _fields(response) == fields
    assert emulator.outbox() == ()
    assert emulator.balance() == Money(1_250_000, "IRR")


@pytest.mark.parametrize(
    ("senders", "recipients", "contents", "expected"),
    [
        (["1001"], ["09100000001", "09100000002"], ["a"], [("1001", 1, "a"), ("1001", 2, "a")]),
        (["1001", "1002"], ["09100000001"], ["a"], [("1001", 1, "a"), ("1002", 1, "a")]),
        (["1001"], ["09100000001"], ["a", "b"], [("1001", 1, "a"), ("1001", 1, "b")]),
        (["1001", "1002"], ["09100000001"], ["a", "b"], [("1001", 1, "a"), ("1002", 1, "b")]),
        (
            ["1001", "1002"],
            ["09100000001", "09100000002"],
            ["a", "b"],
            [("1001", 1, "a"), ("1002", 2, "b")],
        ),
    ],
)
def test_the_modes_of_a_bulk(
    senders: list[str],
    recipients: list[str],
    contents: list[str],
    expected: list[tuple[str, int, str]],
) -> None:
    """An array of one counts for all; the others are read side by side."""
    emulator = _emulator()
    body = {"senderNumbers": senders, "recipientNumbers": recipients, "contents": contents}
    answer = _ask(emulator, "POST", "/messages/send/bulk", body, token=_token(emulator)).json()
    gone = [(item.sender, int(item.to[-1]), item.text) for item in emulator.outbox()]
    assert gone == expected
    assert len(answer["sentMessageIdes"]) == len(expected)


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"recipientNumbers": "09100000000"}, ["RecipientNumbers"]),
        ({"recipientNumbers": []}, ["RecipientNumbers"]),
        ({"recipientNumbers": ["09100000000", 7]}, ["RecipientNumbers"]),
        ({"contents": ["a"] * 101}, ["Contents"]),
        ({"senderNumbers": ["1001"] * 101, "contents": []}, ["SenderNumbers", "Contents"]),
        ({"contents": ["a", "b", "c"]}, ["RecipientNumbers"]),
        ({"sendTimestamp": 1}, ["SendTimestamp"]),
    ],
)
def test_a_bulk_that_does_not_fit_is_refused_whole(
    changed: dict[str, Any], fields: list[str]
) -> None:
    """Arrays of two and three cannot be paired, and a hundred is the most."""
    emulator = _emulator()
    response = _ask(
        emulator, "POST", "/messages/send/bulk", {**BULK, **changed}, token=_token(emulator)
    )
    assert _fields(response) == fields
    assert emulator.outbox() == ()


def test_a_hundred_are_sent_in_one_bulk() -> None:
    """In the order of the request."""
    emulator = _emulator()
    numbers = [f"0910000{last:04d}" for last in range(100)]
    body = {**BULK, "recipientNumbers": numbers}
    _ask(emulator, "POST", "/messages/send/bulk", body, token=_token(emulator))
    assert [f"0{item.to[3:]}" for item in emulator.outbox()] == numbers


def test_the_printed_template_is_filled() -> None:
    """Its text is not printed; the emulator's has its two parameters."""
    emulator = _emulator()
    _ask(emulator, "POST", "/messages/send/template", TEMPLATE, token=_token(emulator))
    assert [item.text for item in emulator.outbox()] == ["123456 1,000,000"]


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"templateId": "unknown"}, ["TemplateId"]),
        ({"templateId": ["TydSt1skQE"]}, ["TemplateId"]),
        ({"parameters": None}, ["Parameters"]),
        ({"parameters": {"code": "1", "price": "2"}}, ["Parameters"]),
        ({"parameters": ["1", "2"]}, ["Parameters"]),
        ({"parameters": [{"name": "code", "value": "1"}]}, ["Parameters"]),
        ({"parameters": [{"name": "code", "value": "1" * 101}]}, ["Parameters"]),
        ({"parameters": [{"name": "code", "value": 1}]}, ["Parameters"]),
        ({"senderNumber": None}, ["SenderNumber"]),
    ],
)
def test_a_template_that_does_not_fit_is_refused(
    changed: dict[str, Any], fields: list[str]
) -> None:
    """What comes of a parameter that is missing is not documented."""
    emulator = _emulator()
    response = _ask(
        emulator, "POST", "/messages/send/template", {**TEMPLATE, **changed}, token=_token(emulator)
    )
    assert _fields(response) == fields
    assert emulator.outbox() == ()


def test_a_template_may_have_a_sender_of_its_own() -> None:
    """Then none is needed, and one that is given goes before it."""
    emulator = _emulator(template_senders={"TydSt1skQE": "10009"})
    token = _token(emulator)
    bare = {name: value for name, value in TEMPLATE.items() if name != "senderNumber"}
    for body in (bare, TEMPLATE):
        _ask(emulator, "POST", "/messages/send/template", body, token=token)
    assert [item.sender for item in emulator.outbox()] == ["10009", "10001000"]


@pytest.mark.parametrize("path", SENDS)
def test_without_credit_nothing_goes(path: str) -> None:
    """Status 400; the code is a setting, as none is documented. Enough to the rial is enough."""
    emulator = _emulator(credit_code=1234)
    token = _token(emulator)
    emulator.fund(Money(499, "IRR"))
    assert _code(_ask(emulator, "POST", path, SENDS[path], token=token)) == (400, 1234)
    assert emulator.outbox() == ()
    emulator.fund(Money(1000, "IRR"))
    assert _ask(emulator, "POST", path, SENDS[path], token=token).status == 200


@pytest.mark.parametrize("path", SENDS)
def test_a_success_may_have_no_body(path: str) -> None:
    """None is documented but that of the login."""
    emulator = _emulator(bodies="empty")
    response = _ask(emulator, "POST", path, SENDS[path], token=_token(emulator))
    assert (response.status, response.body) == (200, b"")
    assert len(emulator.outbox()) > 0


@given(content=st.text(min_size=1))
def test_any_text_goes_as_it_came(content: str) -> None:
    """Whatever its letters are."""
    emulator = _emulator()
    body = {**ONE, "content": content}
    assert _ask(emulator, "POST", "/messages/send", body, token=_token(emulator)).status == 200
    assert [item.text for item in emulator.outbox()] == [content]


# Schedules.


@pytest.mark.parametrize("path", SENDS)
def test_what_is_scheduled_goes_at_its_moment(path: str) -> None:
    """Unix seconds of UTC: the printed one is 03:50:35."""
    emulator = _emulator()
    body = {**SENDS[path], "sendTimestamp": PRINTED}
    assert _ask(emulator, "POST", path, body, token=_token(emulator)).status == 200
    moment = datetime(2026, 2, 4, 3, 50, 35, tzinfo=UTC)
    emulator.advance(moment - START - timedelta(seconds=2.1))
    assert emulator.outbox() == ()
    emulator.advance(timedelta(seconds=0.1))
    assert len(emulator.outbox()) > 0


def test_the_outbox_is_in_the_order_of_the_moments() -> None:
    """What was asked for first may go last."""
    emulator = _emulator()
    token = _token(emulator)
    for content, at in (("late", PRINTED), ("now", None), ("soon", PRINTED - 60)):
        body = {**ONE, "content": content, "sendTimestamp": at}
        _ask(emulator, "POST", "/messages/send", body, token=token)
    emulator.advance(timedelta(hours=1))
    assert [item.text for item in emulator.outbox()] == ["now", "soon", "late"]


@pytest.mark.parametrize(("refund", "left"), [(True, 1_250_000), (False, 1_249_000)])
def test_a_batch_is_cancelled_whole_and_paid_back_as_set(refund: bool, left: int) -> None:
    """Whether it is paid back is not documented."""
    emulator = _emulator(refund_on_cancel=refund)
    token = _token(emulator)
    body = {**BULK, "sendTimestamp": PRINTED}
    batch = _ask(emulator, "POST", "/messages/send/bulk", body, token=token).json()["batchId"]
    path = f"/messages/send/scheduled/{batch}"
    assert _ask(emulator, "DELETE", path, token=token).status == 200
    assert _code(_ask(emulator, "DELETE", path, token=token)) == (400, 1106)
    emulator.advance(timedelta(days=1))
    assert emulator.outbox() == ()
    assert emulator.balance() == Money(left, "IRR")


@pytest.mark.parametrize(("before", "status"), [(30, 200), (29, 400), (0, 400), (-1, 400)])
def test_half_a_minute_before_its_moment_it_is_too_late(before: int, status: int) -> None:
    """To the second."""
    emulator = SMSAfzarEmulator(clock=lambda: START.replace(microsecond=0))
    token = _token(emulator)
    body = {**ONE, "sendTimestamp": PRINTED}
    batch = _ask(emulator, "POST", "/messages/send", body, token=token).json()["batchId"]
    wait = 50 * 60 + 35 - 2 - before
    path = f"/messages/send/scheduled/{batch}"
    assert _ask(emulator, "DELETE", path, token=token, wait=wait).status == status


def test_the_code_of_too_late_is_a_setting() -> None:
    """It is not documented."""
    emulator = _emulator(late_code=1107)
    token = _token(emulator)
    soon = int(START.timestamp()) + 20
    body = {**ONE, "sendTimestamp": soon}
    batch = _ask(emulator, "POST", "/messages/send", body, token=token).json()["batchId"]
    response = _ask(emulator, "DELETE", f"/messages/send/scheduled/{batch}", token=token)
    assert _code(response) == (400, 1107)


@pytest.mark.parametrize("batch", ["unknown", "", "a%2Fb", "%D8%B4"])
def test_an_unknown_batch_is_1106(batch: str) -> None:
    """The printed answer; a message that was not scheduled has a batch, and nothing to cancel."""
    emulator = _emulator()
    token = _token(emulator)
    sent = _ask(emulator, "POST", "/messages/send", ONE, token=token).json()["batchId"]
    words = ".شناسه مجموعه پیام های ارسالی مورد نظر معتبر نمی باشد"
    for one in (batch, sent):
        response = _ask(emulator, "DELETE", f"/messages/send/scheduled/{one}", token=token)
        assert _told(response) == (400, _error(1106, words))


# Reports.


def test_the_printed_ids_are_known_from_the_beginning() -> None:
    """So that the documented request has an answer at once."""
    emulator = _emulator()
    ids = ["e1d20dd8-a346-40e1-95c7-979312682c41", "955fe482-08ad-4b68-872c-037fe176a0b1"]
    body = {"sentMessageIdes": [*ids, "unknown"]}
    answer = _ask(emulator, "POST", "/messages/status", body, token=_token(emulator)).json()
    assert answer == [{"sentMessageId": one, "status": 2} for one in ids]


def test_a_message_waits_is_sent_and_delivered() -> None:
    """The codes are a setting, as are the seconds between the last two."""
    emulator = _emulator(states=(10, 20, 30), delivery_delay=timedelta(seconds=60))
    token = _token(emulator)
    body = {**ONE, "sendTimestamp": PRINTED}
    name = _ask(emulator, "POST", "/messages/send", body, token=token).json()["sentMessageId"]
    codes = []
    for wait in (1, 3600, 60):
        body = {"sentMessageIdes": [name]}
        response = _ask(emulator, "POST", "/messages/status", body, token=token, wait=wait)
        codes.append(response.json()[0]["status"])
    assert codes == [10, 30, 30]
    fresh = _ask(emulator, "POST", "/messages/send", ONE, token=token).json()["sentMessageId"]
    response = _ask(emulator, "POST", "/messages/status", {"sentMessageIdes": [fresh]}, token=token)
    assert response.json()[0]["status"] == 20


def test_more_than_a_hundred_ids_are_refused_without_a_list_of_fields() -> None:
    """The printed answer: the code of invalid values, with a text of its own."""
    emulator = _emulator()
    token = _token(emulator)
    for count, expected in (
        (100, (200, [])),
        (101, (400, _error(1001, ".حداکثر تعداد شناسه های پیام 100 عدد می باشد"))),
    ):
        body = {"sentMessageIdes": [str(number) for number in range(count)]}
        assert _told(_ask(emulator, "POST", "/messages/status", body, token=token)) == expected


@pytest.mark.parametrize("ids", [None, [], "e1d20dd8", [1]])
def test_ids_are_a_list_of_texts(ids: Any) -> None:
    """Under the printed name alone."""
    emulator = _emulator()
    token = _token(emulator)
    for body in ({"sentMessageIdes": ids}, {"sentMessageIds": ["a"]}):
        response = _ask(emulator, "POST", "/messages/status", body, token=token)
        assert _fields(response) == ["SentMessageIdes"]


def test_the_inbox_tells_the_newest() -> None:
    """As many as were asked for, the newest first."""
    emulator = _emulator()
    token = _token(emulator)
    for text in ("one", "two", "three"):
        emulator.deliver("10001000", text, "09121112233")
    first = _ask(emulator, "GET", "/messages/received/recent?count=2", token=token).json()
    second = _ask(emulator, "GET", "/messages/received/recent?count=100", token=token).json()
    assert [one["content"] for one in first] == ["three", "two"]
    assert [one["content"] for one in second] == ["three", "two", "one"]


def test_an_inbox_may_be_emptied_by_reading() -> None:
    """Whether it is is not documented."""
    emulator = _emulator(reading_empties=True)
    token = _token(emulator)
    for text in ("one", "two", "three"):
        emulator.deliver("10001000", text)
    path = "/messages/received/recent?count=2"
    texts = [
        [one["content"] for one in _ask(emulator, "GET", path, token=token).json()]
        for _ in range(3)
    ]
    assert texts == [["three", "two"], ["one"], []]


@pytest.mark.parametrize("query", ["", "?count=0", "?count=101", "?count=x", "?count=-1", "?n=5"])
def test_the_count_is_from_1_to_100(query: str) -> None:
    """The printed answer: another case for the field's name, another end for the full stop."""
    emulator = _emulator()
    response = _ask(emulator, "GET", f"/messages/received/recent{query}", token=_token(emulator))
    words = "فیلد [ تعداد ] می بایست یک عدد در بازه ی 1 الی 100 باشد."
    assert _told(response) == (
        400,
        _error(1001, "مقادیر پارامترهای ارسالی معتبر نمی باشند.", ("count", words)),
    )


@pytest.mark.parametrize(
    ("unit", "amount", "body"),
    [
        ("ریال", "1250000", '{"balance": 1250000, "unit": "ریال"}'),
        ("تومان", "1250000", '{"balance": 125000, "unit": "تومان"}'),
        ("تومان", "5", '{"balance": 0.5, "unit": "تومان"}'),
        ("ریال", "12345678901234567", '{"balance": 12345678901234567, "unit": "ریال"}'),
    ],
)
def test_the_balance_has_a_unit(unit: Any, amount: str, body: str) -> None:
    """The members' names are not documented."""
    emulator = _emulator(unit=unit)
    emulator.fund(Money(amount, "IRR"))
    response = _ask(emulator, "GET", "/account/balance", token=_token(emulator))
    assert response.body.decode() == body


# The rest.


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/v1/auth/token", 404),
        ("DELETE", "/messages/send/scheduled", 404),
        ("DELETE", "/messages/send/scheduled/a/b", 404),
        ("GET", "/auth/token", 405),
        ("GET", "/messages/send", 405),
        ("POST", "/messages/received/recent", 405),
        ("GET", "/messages/status", 405),
        ("POST", "/messages/send/scheduled/1", 405),
    ],
)
def test_other_paths_and_verbs_are_not_there(method: str, path: str, status: int) -> None:
    """What is said then is not documented: the usual status, and no body."""
    emulator = _emulator()
    response = _ask(emulator, method, path, token=_token(emulator))
    assert (response.status, response.body) == (status, b"")


def test_it_rents_no_numbers() -> None:
    """Those back doors lead nowhere, and the line is the only one that gets messages."""
    emulator = _emulator()
    emulator.stock("acme", "IR", 5)
    assert emulator.activations() == ()
    with pytest.raises(KeyError):
        emulator.deliver("1a2b3c", "text")
    with pytest.raises(ValueError, match="IRR"):
        emulator.fund(Money(1, "USD"))


@pytest.mark.parametrize("performed", [True, False])
def test_the_next_request_may_fail(performed: bool) -> None:
    """After doing what it asks, or instead of it."""
    emulator = _emulator()
    token = _token(emulator)
    emulator.fail_next(Response(status=502), performed=performed)
    assert _ask(emulator, "POST", "/messages/send", ONE, token=token).status == 502
    assert len(emulator.outbox()) == performed
    assert _ask(emulator, "POST", "/messages/send", ONE, token=token).status == 200


def test_answers_are_stamped_by_its_own_clock() -> None:
    """`advance` moves it, for refusals too."""
    emulator = _emulator()
    response = _ask(emulator, "GET", "/account/balance", wait=3600)
    assert response.received_at == START + timedelta(hours=1)


def test_persian_is_written_as_it_is() -> None:
    """UTF-8 with no escapes, as the samples show it."""
    response = _ask(_emulator(), "GET", "/account/balance")
    assert ".خطای احراز هویت رخ داده است" in response.body.decode()
    assert json.loads(response.body)["errorCode"] == 401
