"""The emulator keeps what MrOTP's help page says, to the letter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.effects import Request, Response
from qasid.emulation import Emulator
from qasid.values import Money
from qasid_mrotp.emulator import KEYS, MrOTPEmulator

START: Final = datetime(2024, 8, 1, 12, 0, 0, 250_000, tzinfo=UTC)
KEY: Final = "your api Key"
A, B = "09121112233", "09121113344"
OWN: Final = {"mobile": A, "OTP": "4321", "validTime": "1", "type": "SMS"}
MADE: Final = {"mobile": B, "length": "5", "validTime": "1", "type": "SMS"}
FILLED: Final = {"mobile": A, "patternId": "2", "params": "علي;محمدي"}
FUNCTIONS: Final = {
    "setOTP": OWN,
    "setRandomOTP": MADE,
    "verifyOTP": {"mobile": A, "OTP": "4321"},
    "sendPatternSMS": FILLED,
    "getCredit": {},
    "getUSSD": {},
}


def _emulator(**settings: Any) -> MrOTPEmulator:
    return MrOTPEmulator(clock=lambda: START, **settings)


def _ask(
    emulator: Emulator, function: str, fields: Any = None, *, key: str = KEY, **more: Any
) -> Response:
    given = {"apiKey": key, **(FUNCTIONS[function] if fields is None else fields), **more}
    url = f"https://my.mrotp.ir/api/OTP/v1/{function}"
    return emulator.handle(Request(method="POST", url=url, multipart=given).encode())


def _body(response: Response) -> dict[str, Any]:
    assert response.status == 200
    body: dict[str, Any] = json.loads(response.body)
    return body


def _code(response: Response) -> int:
    return int(_body(response)["code"])


# What is printed.


def test_a_code_of_ones_own_is_answered_as_printed() -> None:
    """Without the quotes that the print lacks, character by character; with them by default."""
    printed = (
        "{\n"
        '"code": 10236,\n'
        '"USSD": *500*1234567#,\n'
        '"message": "OTP(4321) Successfully registered for mobile number 09121112233'
        ' for 1 minutes."\n'
        "}"
    )
    assert printed == _ask(_emulator(raw_ussd=True), "setOTP").body.decode()
    quoted = printed.replace("*500*1234567#", '"*500*1234567#"')
    assert quoted == _ask(_emulator(), "setOTP").body.decode()


def test_a_made_code_is_answered_as_printed() -> None:
    """Its number is 101, and the first code of five digits is 53398."""
    printed = (
        "{\n"
        '"code": 101,\n'
        '"OTP": 53398,\n'
        '"USSD": *500*1234567#,\n'
        '"message": "OTP(53398) Successfully registered for mobile number 09121113344'
        ' for 1 minutes."\n'
        "}"
    )
    assert printed == _ask(_emulator(raw_ussd=True), "setRandomOTP").body.decode()


def test_a_right_code_is_answered_as_printed() -> None:
    """But that the message has the number that was asked about: the print has another there."""
    emulator = _emulator()
    _ask(emulator, "setOTP", mobile=B)
    expected = {
        "code": 1315,
        "OTP": 4321,
        "mobile": B,
        "accept": "YES",
        "message": f"OTP(4321) Successfully verify for mobile number {B}.",
    }
    assert expected == _body(_ask(emulator, "verifyOTP", mobile=B))


def test_a_template_is_answered_as_printed() -> None:
    """A tracking code above 1,000."""
    printed = '{\n"code": 1315,\n"message": "SMS pattern sent Successfully."\n}'
    assert printed == _ask(_emulator(), "sendPatternSMS").body.decode()


def test_the_credit_is_answered_as_printed() -> None:
    """A text, in rial."""
    printed = (
        "{\n"
        '"code": 1,\n'
        '"credit": "329263930",\n'
        '"message": "موجودي حساب شما 329263930 ريال ميباشد."\n'
        "}"
    )
    assert printed == _ask(_emulator(), "getCredit").body.decode()


def test_the_ussd_code_is_answered_as_printed() -> None:
    """Alone, without a `code`; the page has a second one in use."""
    printed = '{\n"USSD": *500*1234567#\n}'
    assert printed == _ask(_emulator(raw_ussd=True), "getUSSD").body.decode()
    other = _emulator(ussd="*6655*100200300#")
    assert {"USSD": "*6655*100200300#"} == _body(_ask(other, "getUSSD"))


def test_replies_are_utf8_json_stamped_by_the_emulators_own_clock() -> None:
    """The media type names the charset, and `advance` moves the stamp."""
    emulator = _emulator()
    emulator.advance(timedelta(hours=1))
    response = _ask(emulator, "getCredit")
    assert "application/json; charset=utf-8" == response.header("Content-Type")
    assert START + timedelta(hours=1) == response.received_at


def test_the_numbers_of_successes_grow() -> None:
    """Each function counts by itself."""
    emulator = _emulator()
    for count in range(3):
        assert 10236 + count == _code(_ask(emulator, "setOTP"))
        assert 101 + count == _code(_ask(emulator, "setRandomOTP"))
        assert 1315 + count == _code(_ask(emulator, "sendPatternSMS"))
        assert 1315 + count == _code(_ask(emulator, "verifyOTP"))


# How requests come.


@pytest.mark.parametrize("way", ["form", "multipart"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_forms_and_multipart_bodies_are_read(function: str, way: str) -> None:
    """PHP reads both."""
    fields: Any = {"apiKey": KEY, **FUNCTIONS[function]}
    url = f"http://127.0.0.1:8000/api/OTP/v1/{function}"
    request = Request(method="POST", url=url, **{way: fields})
    body = _body(_emulator().handle(request.encode()))
    assert body.get("code", 0) not in {-1, -2, -3, -4}


def test_a_key_that_is_no_field_of_a_body_is_not_seen() -> None:
    """Neither in JSON, nor in the query, nor in a header; nor in the body of a GET."""
    url, fields = "https://my.mrotp.ir/api/OTP/v1/getCredit", {"apiKey": KEY}
    requests = [
        Request(method="POST", url=url, json=fields),
        Request(method="POST", url=url, query=fields),
        Request(method="GET", url=url, query=fields),
        Request(method="GET", url=url, form=fields),
        Request(method="POST", url=url, headers=fields, form={}),
        Request(method="POST", url=url),
    ]
    emulator = _emulator()
    answers = [emulator.handle(request.encode()) for request in requests]
    assert [-1] * len(requests) == [_code(answer) for answer in answers]


@pytest.mark.parametrize("path", ["/setOTP", "/api/OTP/v1/setOTP"])
def test_functions_stand_at_the_documents_path_and_at_the_root(path: str) -> None:
    """The root is for addresses without a path, such as that of a port."""
    request = Request(
        method="POST", url=f"http://127.0.0.1:8000{path}", form={"apiKey": KEY, **OWN}
    )
    assert 10236 == _code(_emulator().handle(request.encode()))


@pytest.mark.parametrize(
    "path",
    ["/", "/api/OTP/v1/", "/api/OTP/v1/setotp", "/api/OTP/v2/setOTP", "/setOTP/", "//setOTP"],
)
def test_other_paths_are_not_there(path: str) -> None:
    """Names are as printed, capitals and all."""
    request = Request(method="POST", url=f"https://my.mrotp.ir{path}", form={"apiKey": KEY, **OWN})
    assert 404 == _emulator().handle(request.encode()).status


# Errors.


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("key", ["another", "", *KEYS])
def test_every_function_asks_for_the_key_first(function: str, key: str) -> None:
    """The accounts in trouble have an error each, whatever they ask."""
    emulator = _emulator()
    nothing: dict[str, str] = {}
    assert KEYS.get(key, -1) == _code(_ask(emulator, function, nothing, key=key))
    assert emulator.outbox() == ()


@pytest.mark.parametrize("function", ["setOTP", "setRandomOTP", "verifyOTP", "sendPatternSMS"])
@pytest.mark.parametrize(
    "mobile", ["", "9121112233", "+989121112233", "00989121112233", "0912111223", "091211122333"]
)
def test_mobiles_have_eleven_digits(function: str, mobile: str) -> None:
    """The printed form, 09121112233, and no other."""
    assert -2 == _code(_ask(_emulator(), function, mobile=mobile))


@pytest.mark.parametrize(
    ("otp", "code"),
    [
        ("", -3),
        ("43x1", -3),
        ("4321.0", -3),
        ("-4321", -3),
        ("۴۳۲۱", -3),
        ("12", -16),
        ("123456789", -16),
        ("0012", -16),
        ("123", 10236),
        ("12345678", 10236),
    ],
)
def test_codes_are_numbers_of_three_to_eight_digits(otp: str, code: int) -> None:
    """An Integer, says the table: 0012 is 12."""
    assert code == _code(_ask(_emulator(), "setOTP", OTP=otp))


def test_zeros_in_front_are_lost() -> None:
    """Who registers 0123 has registered 123, and that is what the user gets."""
    emulator = _emulator()
    assert "OTP(123) " in _body(_ask(emulator, "setOTP", OTP="0123"))["message"]
    assert "123" == emulator.outbox()[-1].code
    assert "YES" == _body(_ask(emulator, "verifyOTP", OTP="123"))["accept"]
    assert "YES" == _body(_ask(emulator, "verifyOTP", OTP="0123"))["accept"]


@pytest.mark.parametrize("length", ["", "x", "2", "9", "-3"])
def test_a_length_that_is_not_made_is_an_error(length: str) -> None:
    """Three to eight."""
    assert -16 == _code(_ask(_emulator(), "setRandomOTP", length=length))


@given(st.integers(3, 8), st.integers(1, 5))
def test_made_codes_have_the_length_and_lose_their_zeros_in_the_answer(
    length: int, count: int
) -> None:
    """The phone has all digits, the answer a number."""
    emulator = _emulator()
    for _ in range(count):
        number = _body(_ask(emulator, "setRandomOTP", length=str(length)))["OTP"]
        shown = emulator.outbox()[-1].code or ""
        assert (length, number) == (len(shown), int(shown))


def test_a_code_of_six_digits_begins_with_zero_at_first() -> None:
    """So that whoever forgets it finds out; a setting turns it off."""
    for zeros, code in ((True, "053398"), (False, "753398")):
        emulator = _emulator(leading_zeros=zeros)
        _ask(emulator, "setRandomOTP", length="6")
        assert code == emulator.outbox()[-1].code


@pytest.mark.parametrize("function", ["setOTP", "setRandomOTP"])
@pytest.mark.parametrize(
    ("minutes", "good"),
    [("", False), ("0", False), ("1", True), ("1440", True), ("1441", False), ("1.5", False)],
)
def test_lifetimes_are_1_to_1440_minutes(function: str, minutes: str, good: bool) -> None:
    """Whole ones."""
    assert good is (-4 != _code(_ask(_emulator(), function, validTime=minutes)))


def test_a_type_that_is_not_there_is_ussd() -> None:
    """Not documented, so a setting: the printed samples have none. Another word is an error."""
    without = {name: value for name, value in OWN.items() if name != "type"}
    emulator = _emulator()
    assert 10236 == _code(_ask(emulator, "setOTP", without))
    assert emulator.outbox() == ()
    assert "4321" == emulator.dial(A, "*500*1234567#")
    other = _emulator(default_type="SMS")
    _ask(other, "setOTP", without)
    assert ["4321"] == [item.code for item in other.outbox()]
    assert -10 == _code(_ask(other, "setOTP", type="sms"))


@pytest.mark.parametrize("function", ["setOTP", "setRandomOTP", "sendPatternSMS"])
def test_a_referral_is_never_valid(function: str) -> None:
    """The error is all that is known of it."""
    emulator = _emulator()
    assert -15 == _code(_ask(emulator, function, ReferralId="1"))
    assert emulator.outbox() == ()


# Verification.


def test_a_code_is_good_until_its_end() -> None:
    """And not at it."""
    emulator = _emulator()
    _ask(emulator, "setOTP")
    emulator.advance(timedelta(seconds=59))
    assert "YES" == _body(_ask(emulator, "verifyOTP"))["accept"]
    emulator.advance(timedelta(seconds=1))
    assert -12 == _code(_ask(emulator, "verifyOTP"))


@pytest.mark.parametrize("asked", [{"OTP": "4322"}, {"mobile": B}])
def test_a_wrong_code_or_number_gets_no_and_an_error(asked: dict[str, str]) -> None:
    """With the members of a yes."""
    emulator = _emulator()
    _ask(emulator, "setOTP")
    body = _body(_ask(emulator, "verifyOTP", **asked))
    assert (-12, "NO") == (body["code"], body["accept"])
    assert ["code", "OTP", "mobile", "accept", "message"] == list(body)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"key": "another"}, -1), ({"mobile": "x"}, -2), ({"OTP": "x"}, -3), ({"OTP": "1"}, -16)],
)
def test_no_is_said_for_every_other_fault_too(changes: dict[str, str], code: int) -> None:
    """As the page says: where other information is invalid."""
    body = _body(_ask(_emulator(), "verifyOTP", **changes))
    assert (code, "NO") == (body["code"], body["accept"])
    assert ["code", "accept", "message"] == list(body)


def test_codes_may_be_used_again_unless_told_otherwise() -> None:
    """Not documented: the page asks that a code is there and not too old, and no more."""
    for single, second in ((False, "YES"), (True, "NO")):
        emulator = _emulator(single_use=single)
        _ask(emulator, "setOTP")
        _ask(emulator, "verifyOTP", OTP="9999")  # a wrong one uses nothing up
        answers = [_body(_ask(emulator, "verifyOTP"))["accept"] for _ in range(2)]
        assert ["YES", second] == answers


def test_the_newest_code_replaces_the_older_unless_told_otherwise() -> None:
    """Not documented either."""
    for kept, older in ((False, "NO"), (True, "YES")):
        emulator = _emulator(keep_older=kept)
        _ask(emulator, "setOTP", OTP="1111")
        _ask(emulator, "setOTP", OTP="2222")
        answers = [
            _body(_ask(emulator, "verifyOTP", OTP=otp))["accept"] for otp in ("1111", "2222")
        ]
        assert [older, "YES"] == answers


# Channels.


@pytest.mark.parametrize("kind", ["SMS", "VOICE"])
def test_codes_go_to_the_phone(kind: str) -> None:
    """With their digits; there is nothing to dial for."""
    emulator = _emulator()
    _ask(emulator, "setOTP", type=kind)
    (item,) = emulator.outbox()
    assert (A, "4321") == (item.to, item.code)
    assert "4321" in item.text
    assert emulator.dial(A, "*500*1234567#") is None


def test_a_ussd_code_waits_to_be_dialled_for() -> None:
    """By the phone that it is for, at the code in use, until its end; nothing is sent."""
    emulator = _emulator()
    _ask(emulator, "setRandomOTP", type="USSD", length="6")
    assert emulator.outbox() == ()
    assert "053398" == emulator.dial(B, "*500*1234567#")
    assert emulator.dial(B, "*6655*100200300#") is None
    assert emulator.dial(A, "*500*1234567#") is None
    emulator.advance(timedelta(minutes=1))
    assert emulator.dial(B, "*500*1234567#") is None


def test_the_code_to_dial_may_be_told_for_ussd_alone() -> None:
    """Not documented: the page has it in the answer of both functions, whatever the type."""
    for always in (True, False):
        emulator = _emulator(ussd_always=always)
        told = {k: "USSD" in _body(_ask(emulator, "setOTP", type=k)) for k in ("SMS", "USSD")}
        assert {"SMS": always, "USSD": True} == told


def test_who_texts_11_gets_no_messages_with_codes_until_they_text_12() -> None:
    """From the sender of codes: templates, calls and dialling go on."""
    emulator = _emulator()
    emulator.text_in(A, "11")
    assert -14 == _code(_ask(emulator, "setOTP"))
    assert emulator.outbox() == ()
    assert 0 < _code(_ask(emulator, "setOTP", type="VOICE"))
    assert 0 < _code(_ask(emulator, "setOTP", type="USSD"))
    assert 0 < _code(_ask(emulator, "sendPatternSMS"))
    emulator.text_in(A, "hello")
    assert -14 == _code(_ask(emulator, "setOTP"))
    emulator.text_in(A, "12")
    assert 0 < _code(_ask(emulator, "setOTP"))


@pytest.mark.parametrize(
    ("function", "kind", "code"),
    [("setOTP", "SMS", -22), ("setOTP", "VOICE", -23), ("sendPatternSMS", "SMS", -22)],
)
def test_a_silent_operator_may_have_sent_it(function: str, kind: str, code: int) -> None:
    """Charged for and gone, unless told otherwise. USSD needs no such operator."""
    for sent in (True, False):
        emulator = _emulator(silent_is_sent=sent)
        answer = _ask(emulator, function, mobile="09120000022", type=kind)
        assert code == _code(answer)
        assert sent is bool(emulator.outbox())
        assert sent is (emulator.balance() < Money(329_263_930, "IRR"))
        assert 0 < _code(_ask(emulator, "setOTP", mobile="09120000022", type="USSD"))


# Templates.


def test_values_take_their_places() -> None:
    """The page's own template, and its example of two values; places are filled at once."""
    emulator = _emulator()
    _ask(emulator, "sendPatternSMS", patternId="1", params="علي;{2};1315")
    _ask(emulator, "sendPatternSMS", patternId="2", params="علي;محمدي")
    assert [
        "علي {2} گرامي سفارش شما با کد پيگيري 1315 تحويل اداره پست گرديد.",
        "علي محمدي گرامي خوش آمديد.",
    ] == [item.text for item in emulator.outbox()]
    assert [None, None] == [item.code for item in emulator.outbox()]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"patternId": "4711"}, -17),
        ({"patternId": ""}, -17),
        ({"patternId": "x"}, -17),
        ({"patternId": "3"}, -19),
        ({"patternId": "4"}, -18),
        ({"params": "علي"}, -18),
        ({"params": "علي;محمدي;x"}, -18),
        ({"params": "علي;محمدي;"}, -18),
        ({"params": ""}, -18),
        ({"params": f"{'م' * 16};x"}, -21),
        ({"params": f"{'م' * 15};www.a.ir"}, -24),
        ({"params": "x;http://a.ir"}, -24),
        ({"params": "x;example.ir"}, -24),
    ],
)
def test_templates_are_refused_for_many_reasons(changes: dict[str, str], code: int) -> None:
    """And cost nothing then."""
    emulator = _emulator()
    assert code == _code(_ask(emulator, "sendPatternSMS", **changes))
    assert emulator.outbox() == ()
    assert Money(329_263_930, "IRR") == emulator.balance()


def test_a_bare_domain_may_be_no_link() -> None:
    """Not documented, so a setting."""
    emulator = _emulator(domains_are_links=False)
    assert 1315 == _code(_ask(emulator, "sendPatternSMS", params="x;example.ir"))


@pytest.mark.parametrize(("places", "code"), [(0, 1315), (10, 1315), (11, -18)])
def test_a_template_has_up_to_ten_places(places: int, code: int) -> None:
    """{0} to {9}; a text without any takes no values."""
    emulator = _emulator()
    emulator.template(5, " ".join(f"{{{place}}}" for place in range(places)))
    params = ";".join("abcdefghijk"[:places])
    assert code == _code(_ask(emulator, "sendPatternSMS", patternId="5", params=params))


def test_a_template_waits_to_be_approved() -> None:
    """By the panel's admin."""
    emulator = _emulator()
    emulator.template(5, "{0} {1}", approved=False)
    assert -19 == _code(_ask(emulator, "sendPatternSMS", patternId="5"))
    emulator.template(5, "{0} {1}")
    assert 1315 == _code(_ask(emulator, "sendPatternSMS", patternId="5"))


# Money.


def test_codes_and_templates_are_charged_for_and_questions_are_not() -> None:
    """What they cost is not documented; asking for the USSD code is free, says the page."""
    emulator = _emulator(price=500)
    for function in FUNCTIONS:
        _ask(emulator, function)
    assert Money(329_263_930 - 3 * 500, "IRR") == emulator.balance()
    assert "329262430" == _body(_ask(emulator, "getCredit"))["credit"]


@pytest.mark.parametrize("function", ["setOTP", "setRandomOTP", "sendPatternSMS"])
def test_without_credit_nothing_goes(function: str) -> None:
    """The last rial may be spent."""
    emulator = _emulator(price=500)
    emulator.fund(Money(999, "IRR"))
    assert 0 < _code(_ask(emulator, function))
    assert -7 == _code(_ask(emulator, function))
    assert (1, Money(499, "IRR")) == (len(emulator.outbox()), emulator.balance())


@pytest.mark.parametrize("amount", [Money("0.5", "IRR"), Money(5, "USD")])
def test_the_credit_is_in_whole_rials(amount: Money) -> None:
    """Another cannot be set."""
    with pytest.raises(ValueError, match="whole rials"):
        _emulator().fund(amount)


# Back doors.


def test_a_failure_answers_instead_of_the_request() -> None:
    """Once, without performing it, stamped by the emulator's clock."""
    emulator = _emulator()
    emulator.fail_next(Response(status=503, body=b"<html>"))
    failed = _ask(emulator, "setOTP")
    assert (503, b"<html>", START) == (failed.status, failed.body, failed.received_at)
    assert emulator.outbox() == ()
    assert 10236 == _code(_ask(emulator, "setOTP"))


def test_a_failure_may_come_after_the_act() -> None:
    """The code is sent and paid for all the same."""
    emulator = _emulator()
    emulator.fail_next(Response(status=502), performed=True)
    assert 502 == _ask(emulator, "setOTP").status
    assert ["4321"] == [item.code for item in emulator.outbox()]
    assert Money(329_262_930, "IRR") == emulator.balance()


def test_nothing_is_ever_rented() -> None:
    """So there are no numbers for a message to come to."""
    emulator = _emulator()
    emulator.stock("acme", "IR", 5)
    assert emulator.activations() == ()
    with pytest.raises(KeyError):
        emulator.deliver("1", "1234")
