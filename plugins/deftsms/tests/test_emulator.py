"""The emulator keeps what DeftSMS's document says, whichever client asks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.effects import Request, Response
from qasid.values import Money
from qasid_deftsms.emulator import DeftSMSEmulator

START: Final = datetime(2024, 8, 1, 12, 0, 0, 250_000, tzinfo=UTC)
USER: Final = "your-username-key-here"
KEY: Final = b"your-secret-key-here"
HOST: Final = "https://deftsms.ir/api"
SIMPLE: Final = "/sms/send/simple"
ONE: Final = {"number": "09120000000", "message": "test"}
TWO: Final = ["09123456789", "09367894561"]
HEADER: Final = b'{"typ":"JWT","alg":"HS256"}'


def _emulator(**settings: Any) -> DeftSMSEmulator:
    return DeftSMSEmulator(clock=lambda: START, **settings)


# A client that owes nothing to Qasid: the steps of the PHP sample, and those of RFC 7515.


def _url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _php(data: bytes) -> bytes:
    return base64.b64encode(data)


Writer = Callable[[bytes], bytes]
WRITERS: Final[list[Writer]] = [
    _php,
    _url,
    base64.urlsafe_b64encode,
    lambda data: base64.b64encode(data).rstrip(b"="),
]


def _token(
    payload: Any,
    write: Writer = _php,
    header: bytes = HEADER,
    key: bytes = KEY,
    digest: Any = "sha256",
) -> str:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    text = write(header) + b"." + write(body)
    return (text + b"." + write(hmac.new(key, text, digest).digest())).decode()


def _ask(emulator: DeftSMSEmulator, path: str, payload: Any, **changes: Any) -> Response:
    form = {"username": USER, "token": _token(payload), **changes}
    return emulator.handle(Request(method="POST", url=HOST + path, form=form).encode())


def _told(response: Response) -> tuple[int, Any]:
    return response.status, response.json()["code"]


def _gone(emulator: DeftSMSEmulator) -> list[tuple[str, str]]:
    return [(item.to, item.text) for item in emulator.outbox()]


# What is printed.

GOOD: Final = (
    '{"success": true, "error": false, "status": "success", "code": 200, "messages": [],'
    ' "data": null, "total": 0}'
)


def test_a_send_is_answered_as_printed() -> None:
    """Members, order and types; the text has gone."""
    emulator = _emulator()
    response = _ask(emulator, SIMPLE, ONE)
    assert (200, GOOD) == (response.status, response.body.decode())
    assert [("09120000000", "test")] == _gone(emulator)


def test_replies_are_utf8_json_stamped_by_the_emulators_own_clock() -> None:
    """The media type names the charset, and `advance` moves the stamp."""
    emulator = _emulator()
    emulator.advance(timedelta(hours=1))
    response = _ask(emulator, SIMPLE, ONE)
    assert "application/json; charset=utf-8" == response.header("Content-Type")
    assert START + timedelta(hours=1) == response.received_at


def test_the_credit_is_that_of_the_page() -> None:
    """A text: "125000"."""
    response = _ask(_emulator(), "/sms/credit", {"username": USER})
    assert GOOD.replace("null", '"125000"') == response.body.decode()


def test_a_raw_credit_is_printed_to_the_letter() -> None:
    """With the comment behind the amount, which makes it invalid JSON."""
    response = _ask(_emulator(raw_samples=True), "/sms/credit", {"username": USER})
    printed = """\
{
"success": true,
"error": false,
"status": "success",
"code": 200,
"messages": [],
"data": "125000", // مانده اعتبار به ریال
"total": 0
}"""
    assert printed == response.body.decode()


def test_the_printed_message_is_in_the_inbox() -> None:
    """Number, text and moment."""
    body = _ask(_emulator(), "/sms/inbox", []).json()
    message = {
        "number": "09123456789",
        "message": "متن پیامک",
        "dateCreated": "2024-01-15 14:30:00",
    }
    assert ([message], 1) == (body["data"], body["total"])


@given(text=st.text())
def test_a_text_adds_no_comment_to_a_raw_inbox(text: str) -> None:
    """Whatever it says, it is read as it was."""
    emulator = _emulator(raw_samples=True)
    emulator.deliver("inbox", text)
    assert text == _ask(emulator, "/sms/inbox", {}).json()["data"][0]["message"]


# How parameters may come.


@pytest.mark.parametrize("carrier", ["form", "multipart", "query"])
def test_parameters_come_in_a_form_multipart_or_the_address(carrier: str) -> None:
    """Of a POST."""
    emulator = _emulator()
    given: dict[str, Any] = {carrier: {"username": USER, "token": _token(ONE)}}
    request = Request(method="POST", url=HOST + SIMPLE, **given).encode()
    assert (200, 200) == _told(emulator.handle(request))
    assert [("09120000000", "test")] == _gone(emulator)


def test_a_get_sends_as_well() -> None:
    """GET or POST, says the page of every call."""
    emulator = _emulator()
    query = {"username": USER, "token": _token(ONE)}
    request = Request(method="GET", url=HOST + SIMPLE, query=query).encode()
    assert (200, 200) == _told(emulator.handle(request))
    assert [("09120000000", "test")] == _gone(emulator)


def test_parameters_may_be_partly_in_the_address() -> None:
    """And those of the body go before them."""
    url = f"{HOST}{SIMPLE}?username={USER}&token=wrong"
    request = Request(method="POST", url=url, form={"token": _token(ONE)}).encode()
    assert (200, 200) == _told(_emulator().handle(request))


def test_json_is_no_form() -> None:
    """No such body is documented."""
    body = {"username": USER, "token": _token(ONE)}
    request = Request(method="POST", url=HOST + SIMPLE, json=body).encode()
    assert (200, 400) == _told(_emulator().handle(request))


def test_a_bare_plus_in_a_form_arrives_as_a_space() -> None:
    """So the signature fails, and only for a token that has one."""
    plus = _token({**ONE, "message": "~~~؟?>>>>"})
    assert "+" in plus
    for token, code in ((plus, 401), (quote(plus, safe=""), 200)):
        content = f"username={USER}&token={token}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = Request(method="POST", url=HOST + SIMPLE, headers=headers, content=content)
        assert (200, code) == _told(_emulator().handle(request))


def test_the_base_may_be_left_out() -> None:
    """A client's base address may be that of this emulator alone."""
    form = {"username": USER, "token": _token(ONE)}
    request = Request(method="POST", url=f"http://127.0.0.1{SIMPLE}", form=form).encode()
    assert (200, 200) == _told(_emulator().handle(request))


@pytest.mark.parametrize("path", ["/", "/sms", "/sms/send/simple/", "/sms/send/Simple", "/nowhere"])
def test_an_unknown_path_is_404(path: str) -> None:
    """In the status too, as a server does of itself."""
    assert (404, 404) == _told(_ask(_emulator(), path, ONE))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "PATCH"])
def test_another_method_is_405(method: str) -> None:
    """Not documented."""
    assert 405 == _emulator().handle(Request(method=method, url=HOST + SIMPLE).encode()).status


# The token.


@pytest.mark.parametrize("write", WRITERS)
@given(
    payload=st.fixed_dictionaries(
        {"number": st.just("09120000000"), "message": st.text(min_size=1)}
    )
)
def test_a_token_is_verified_as_it_came(write: Writer, payload: dict[str, str]) -> None:
    """Either alphabet, with padding or without: the signature is over the text as sent."""
    emulator = _emulator()
    assert (200, 200) == _told(_ask(emulator, SIMPLE, payload, token=_token(payload, write)))
    assert [("09120000000", payload["message"])] == _gone(emulator)


@pytest.mark.parametrize(
    "header",
    [b'{"alg":"HS256","typ":"JWT"}', b'{ "alg" : "HS256" }', b'{"alg":"HS256","kid":"1"}'],
)
def test_the_order_and_spacing_of_a_header_do_not_matter(header: bytes) -> None:
    """Only its algorithm does."""
    assert (200, 200) == _told(_ask(_emulator(), SIMPLE, ONE, token=_token(ONE, header=header)))


@pytest.mark.parametrize(
    "header",
    [
        b'{"typ":"JWT","alg":"none"}',
        b'{"typ":"JWT","alg":"hs256"}',
        b'{"typ":"JWT","alg":"HS512"}',
        b'{"typ":"JWT","alg":null}',
        b'{"typ":"JWT"}',
        b'"HS256"',
        b"[]",
        b"{",
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_another_algorithm_is_refused_although_the_signature_fits(header: bytes) -> None:
    """HS256 exactly."""
    emulator = _emulator()
    assert (200, 401) == _told(_ask(emulator, SIMPLE, ONE, token=_token(ONE, header=header)))
    assert [] == _gone(emulator)


def test_an_unsigned_token_is_refused() -> None:
    """With ``none`` and an empty signature, or with HS256 and one."""
    for header in (HEADER, b'{"typ":"JWT","alg":"none"}'):
        token = f"{_url(header).decode()}.{_url(json.dumps(ONE).encode()).decode()}."
        assert (200, 401) == _told(_ask(_emulator(), SIMPLE, ONE, token=token))


def test_a_signature_of_another_hash_is_refused() -> None:
    """Whatever the header says."""
    token = _token(ONE, digest=hashlib.sha512)
    assert (200, 401) == _told(_ask(_emulator(), SIMPLE, ONE, token=token))


@given(place=st.integers(min_value=0), letter=st.sampled_from("Aa0_-+/=. ب"))
def test_a_token_with_one_letter_changed_is_refused(place: int, letter: str) -> None:
    """Unless it means the same bytes, as the last letter of a part may."""
    token = _token(ONE)
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    code = _told(_ask(_emulator(), SIMPLE, ONE, token=changed))[1]
    same_seal = changed.rpartition(".")[0] == token.rpartition(".")[0] and _means(changed, token)
    assert (200 if same_seal else 401) == code


def _means(changed: str, token: str) -> bool:
    """Whether two signatures are the same bytes."""
    bare = [text.rpartition(".")[2].rstrip("=").translate(_STANDARD) for text in (changed, token)]
    try:
        one, other = [base64.b64decode(text + "=", validate=True) for text in bare]
    except ValueError:
        return False
    return one == other


_STANDARD: Final = str.maketrans("-_", "+/")


@pytest.mark.parametrize("token", ["a", "a.b", "a.b.c", "a.b.c.d", "..", "ب.ب.ب"])
def test_what_is_no_token_is_refused(token: str) -> None:
    """As any that is not signed."""
    assert (200, 401) == _told(_ask(_emulator(), SIMPLE, ONE, token=token))


@pytest.mark.parametrize("changes", [{"username": "somebody"}, {"token": _token(ONE, key=b"x")}])
def test_a_wrong_account_or_key_is_refused(changes: dict[str, str]) -> None:
    """Code 401 is ours: no error is documented."""
    emulator = _emulator()
    assert (200, 401) == _told(_ask(emulator, SIMPLE, ONE, **changes))
    assert [] == _gone(emulator)


@pytest.mark.parametrize("changes", [{"username": ""}, {"token": ""}])
def test_both_parameters_are_required(changes: dict[str, str]) -> None:
    """Those of the call do nothing beside the token."""
    assert (200, 400) == _told(_ask(_emulator(), SIMPLE, ONE, **changes))
    beside = Request(method="POST", url=HOST + SIMPLE, form={"username": USER, **ONE}).encode()
    assert (200, 400) == _told(_emulator().handle(beside))


def test_the_same_token_sends_again() -> None:
    """It has no expiry and no nonce."""
    emulator = _emulator()
    for _ in range(2):
        assert (200, 200) == _told(_ask(emulator, SIMPLE, ONE))
    assert 2 == len(_gone(emulator))


def test_a_member_that_a_call_does_not_have_is_not_looked_at() -> None:
    """Such as `exp`, and a schedule at the call that has none: tokens are bound to no call."""
    emulator = _emulator()
    payload = {**ONE, "scheduleDateTime": "2030-01-01 00:00:00", "exp": 1}
    assert (200, 200) == _told(_ask(emulator, SIMPLE, payload))
    assert [("09120000000", "test")] == _gone(emulator)


# Sending.


def test_a_group_gets_one_text() -> None:
    """Each number of the list."""
    emulator = _emulator()
    assert (200, 200) == _told(_ask(emulator, "/sms/send/group", {"numbers": TWO, "message": "a"}))
    assert [(number, "a") for number in TWO] == _gone(emulator)


def test_peers_get_a_text_each() -> None:
    """The n-th number the n-th text."""
    emulator = _emulator()
    payload = {"numbers": TWO, "messages": ["سلام", "b"]}
    assert (200, 200) == _told(_ask(emulator, "/sms/send/peer", payload))
    assert [*zip(TWO, ["سلام", "b"], strict=True)] == _gone(emulator)


@pytest.mark.parametrize("path", ["/sms/send/group", "/sms/send/peer"])
@pytest.mark.parametrize(("count", "code"), [(100, 200), (101, 400)])
def test_a_hundred_is_the_most(path: str, count: int, code: int) -> None:
    """Printed of groups; of peer to peer it is not documented. Nothing of more is sent."""
    emulator = _emulator()
    numbers = [f"0912000{n:04d}" for n in range(count)]
    payload = {"numbers": numbers, "message": "a", "messages": ["a"] * count}
    assert (200, code) == _told(_ask(emulator, path, payload))
    assert (count if code == 200 else 0) == len(_gone(emulator))


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        (SIMPLE, {}),
        (SIMPLE, []),
        (SIMPLE, "x"),
        (SIMPLE, {"number": "09120000000"}),
        (SIMPLE, {"number": "09120000000", "message": ""}),
        (SIMPLE, {"number": "09120000000", "message": 7}),
        (SIMPLE, {"number": 9120000000, "message": "a"}),
        (SIMPLE, {"number": "+989120000000", "message": "a"}),
        (SIMPLE, {"Number": "09120000000", "message": "a"}),
        ("/sms/send/group", {"numbers": [], "message": "a"}),
        ("/sms/send/group", {"numbers": "09120000000", "message": "a"}),
        ("/sms/send/group", {"numbers": ["09120000000", "x"], "message": "a"}),
        ("/sms/send/group", {"numbers": ["09120000000", None], "message": "a"}),
        ("/sms/send/peer", {"numbers": TWO, "messages": ["a"]}),
        ("/sms/send/peer", {"numbers": TWO[:1], "messages": ["a", "b"]}),
        ("/sms/send/peer", {"numbers": TWO, "message": "a"}),
        ("/sms/send/simple/schedule", ONE),
        ("/sms/send/simple/schedule", {**ONE, "scheduledatetime": "2024-08-01 16:30:00"}),
        ("/sms/send/simple/schedule", {**ONE, "scheduleDateTime": "2024-08-01"}),
        ("/sms/send/simple/schedule", {**ONE, "scheduleDateTime": "2024-08-01T16:30:00"}),
        ("/sms/send/simple/schedule", {**ONE, "scheduleDateTime": "2024-02-30 16:30:00"}),
        ("/sms/send/simple/schedule", {**ONE, "scheduleDateTime": "0001-01-01 00:00:00"}),
        ("/sms/send/simple/schedule", {**ONE, "scheduleDateTime": 1722511800}),
    ],
)
def test_what_is_missing_or_wrong_is_refused_whole(path: str, payload: Any) -> None:
    """Code 400 and a text in `messages`, which are ours; nothing is sent and nothing charged."""
    emulator = _emulator()
    response = _ask(emulator, path, payload)
    assert _told(response) in {(200, 400), (200, 401)}
    body = response.json()
    assert [False, True, "error", None, 0] == [
        body[name] for name in ("success", "error", "status", "data", "total")
    ]
    assert 1 == len(body["messages"])
    emulator.advance(timedelta(days=9999))
    assert ([], Money(125_000, "IRR")) == (_gone(emulator), emulator.balance())


def test_a_scheduled_text_goes_at_that_time_of_tehran() -> None:
    """16:30 there is 13:00 UTC; it is paid for at once."""
    emulator = _emulator()
    payload = {"numbers": TWO, "message": "a", "scheduleDateTime": "2024-08-01 16:30:00"}
    assert (200, 200) == _told(_ask(emulator, "/sms/send/group/schedule", payload))
    emulator.advance(timedelta(minutes=59, seconds=59))
    assert ([], Money(124_800, "IRR")) == (_gone(emulator), emulator.balance())
    emulator.advance(timedelta(seconds=1))
    assert TWO == [number for number, _ in _gone(emulator)]


def test_what_is_due_first_goes_first() -> None:
    """Whenever it was asked for."""
    emulator = _emulator()
    later = {**ONE, "message": "later", "scheduleDateTime": "2024-08-01 16:30:00"}
    _ask(emulator, "/sms/send/simple/schedule", later)
    _ask(emulator, SIMPLE, ONE)
    emulator.advance(timedelta(days=1))
    assert ["test", "later"] == [text for _, text in _gone(emulator)]


@pytest.mark.parametrize(("refuse", "code", "gone"), [(False, 200, 1), (True, 400, 0)])
def test_a_moment_that_is_over_is_a_setting(refuse: bool, code: int, gone: int) -> None:
    """Not documented: it goes at once, or is refused."""
    emulator = _emulator(refuse_past=refuse)
    payload = {**ONE, "scheduleDateTime": "2024-03-21 14:30:00"}
    assert (200, code) == _told(_ask(emulator, "/sms/send/simple/schedule", payload))
    assert gone == len(_gone(emulator))


def test_a_text_costs_its_price_and_no_credit_is_402() -> None:
    """Neither is documented. A group is paid whole or not at all."""
    emulator = _emulator(price=Decimal("250.5"))
    emulator.fund(Money("501", "IRR"))
    three = {"numbers": [*TWO, "09151234567"], "message": "a"}
    assert (200, 402) == _told(_ask(emulator, "/sms/send/group", three))
    two = {"numbers": TWO, "message": "a"}
    assert (200, 200) == _told(_ask(emulator, "/sms/send/group", two))
    assert (Money(0, "IRR"), 2) == (emulator.balance(), len(_gone(emulator)))


def test_an_errors_status_is_a_setting() -> None:
    """Not documented: 200, or its code."""
    assert (400, 400) == _told(_ask(_emulator(errors_have_status=True), SIMPLE, {}))


def test_which_numbers_are_reached_is_a_setting() -> None:
    """Samples have 09 and nine digits; nothing is said of other forms."""
    emulator = _emulator(number_form=r"(\+98|0)9[0-9]{9}")
    assert (200, 200) == _told(_ask(emulator, SIMPLE, {**ONE, "number": "+989120000000"}))


def test_paths_are_settings() -> None:
    """But for the one that is printed."""
    emulator = _emulator(path_credit="/account/credit")
    assert (200, 200) == _told(_ask(emulator, "/account/credit", {"username": USER}))
    assert (404, 404) == _told(_ask(emulator, "/sms/credit", {"username": USER}))


# Asking.


@pytest.mark.parametrize("payload", [{}, [], {"username": ""}, {"username": "somebody"}])
def test_the_credit_wants_the_name_in_the_payload_too(payload: Any) -> None:
    """It is required there; what another name does is not documented."""
    assert (200, 400) == _told(_ask(_emulator(), "/sms/credit", payload))


def _filled(count: int, **settings: Any) -> DeftSMSEmulator:
    emulator = _emulator(**settings)
    for n in range(count):
        emulator.advance(timedelta(seconds=1))
        emulator.deliver("inbox", f"{n}", "09367894561")
    return emulator


def _texts(emulator: DeftSMSEmulator, payload: Any) -> tuple[list[str], int]:
    body = _ask(emulator, "/sms/inbox", payload).json()
    return [message["message"] for message in body["data"]], body["total"]


@pytest.mark.parametrize("payload", [{}, []])
def test_a_page_of_the_inbox_has_ten_unless_told(payload: Any) -> None:
    """An empty payload is ``{}``, or ``[]`` as PHP writes it."""
    assert ([f"{n}" for n in range(11, 1, -1)], 13) == _texts(_filled(12), payload)


def test_an_inbox_is_read_page_by_page() -> None:
    """The total is that of all pages."""
    emulator = _filled(4)
    pages = [_texts(emulator, {"limit": 2, "offset": offset}) for offset in (0, 2, 4, 6)]
    assert [(["3", "2"], 5), (["1", "0"], 5), (["متن پیامک"], 5), ([], 5)] == pages


def test_the_order_and_the_largest_page_are_settings() -> None:
    """Neither is documented."""
    emulator = _filled(3, newest_first=False, largest_page=2)
    assert (["متن پیامک", "0"], 4) == _texts(emulator, {"limit": 9})


def test_both_ends_of_a_period_count() -> None:
    """Not documented. The wall time is that of Tehran, whole seconds."""
    ends = {"startDateTime": "2024-08-01 15:30:02", "endDateTime": "2024-08-01 15:30:03"}
    assert (["2", "1"], 2) == _texts(_filled(5), ends)
    assert (["متن پیامک"], 1) == _texts(_filled(5), {"endDateTime": "2024-08-01 15:30:00"})


@pytest.mark.parametrize(
    "payload",
    [
        {"limit": 0},
        {"limit": "10"},
        {"limit": None},
        {"limit": True},
        {"offset": -1},
        {"offset": 0.5},
        {"startDateTime": "x"},
        {"endDateTime": "1403-13-01 00:00:00"},
    ],
)
def test_what_an_inbox_cannot_read_is_refused(payload: Any) -> None:
    """With 400, which is ours."""
    assert (200, 400) == _told(_ask(_emulator(), "/sms/inbox", payload))


# Back doors.


def test_a_failure_answers_instead_of_the_request() -> None:
    """Once, without performing it, stamped by the emulator's clock."""
    emulator = _emulator()
    emulator.fail_next(Response(status=503, body=b"<html>"))
    failed = _ask(emulator, SIMPLE, ONE)
    assert (503, b"<html>", START) == (failed.status, failed.body, failed.received_at)
    assert [] == _gone(emulator)
    assert (200, 200) == _told(_ask(emulator, SIMPLE, ONE))


def test_a_failure_may_come_after_the_act() -> None:
    """The text has gone and is paid for all the same."""
    emulator = _emulator()
    emulator.fail_next(Response(status=502), performed=True)
    assert 502 == _ask(emulator, SIMPLE, ONE).status
    assert (1, Money(124_900, "IRR")) == (len(_gone(emulator)), emulator.balance())


def test_only_the_inbox_gets_messages() -> None:
    """No number is rented, and none can be stocked."""
    emulator = _emulator()
    with pytest.raises(KeyError):
        emulator.deliver("1", "text")
    with pytest.raises(ValueError, match="rents no numbers"):
        emulator.stock("acme", "IR", 1)
    assert () == emulator.activations()


def test_the_credit_is_in_rials() -> None:
    """Another currency is refused."""
    with pytest.raises(ValueError, match="rials"):
        _emulator().fund(Money(1, "USD"))
