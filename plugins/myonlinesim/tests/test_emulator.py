"""The emulator keeps what MyOnlineSim's documentation page says, to the letter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.effects import Request, Response
from qasid.values import Money
from qasid_myonlinesim.emulator import MyOnlineSimEmulator

START: Final = datetime(2020, 5, 2, 7, 14, 38, tzinfo=UTC)  # as in the samples
HOME: Final = "http://127.0.0.1:8000"
HEADERS: Final = {"Authorization": "Bearer ACCESS_TOKEN", "Accept": "application/json"}
CLIENT: Final = {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}
BY_CODE: Final = {"grant_type": "authorization_code", **CLIENT, "code": "AUTH_CODE"}
REFRESH: Final = {
    "grant_type": "refresh_token",
    "refresh_token": "REFRESH_TOKEN",
    **CLIENT,
    "scope": "",
}
ORDER: Final = {"service_code": "tg", "country_code": "60"}
SEVERAL: Final = {"services": "tg,ig", "country": "60"}


def _emulator(**settings: Any) -> MyOnlineSimEmulator:
    return MyOnlineSimEmulator(clock=lambda: START, **settings)


def _ask(
    emulator: MyOnlineSimEmulator,
    path: str,
    form: dict[str, Any] | None = None,
    method: str = "POST",
    **more: Any,
) -> Response:
    given = {"headers": HEADERS, "form": form, **more}
    return emulator.handle(Request(method=method, url=f"{HOME}{path}", **given).encode())


def _rent(emulator: MyOnlineSimEmulator, **order: str) -> dict[str, Any]:
    body = _ask(emulator, "/api/number/get", {**ORDER, **order}).json()
    assert isinstance(body, dict)
    return body


def _look(emulator: MyOnlineSimEmulator, number: dict[str, Any]) -> Response:
    form = {"service_code": number["service"], "country_code": number["country"]}
    return _ask(emulator, "/api/number/sms", {**form, "number_id": number["number_id"]})


def _ban(emulator: MyOnlineSimEmulator, number: dict[str, Any], is_ban: str = "0") -> Response:
    form = {"service_code": number["service"], "is_ban": is_ban}
    return _ask(emulator, "/api/number/ban", {**form, "number_id": number["number_id"]})


def _said(response: Response) -> tuple[int, Any, Any]:
    body = json.loads(response.body)
    return response.status, body["ok"], body["status"]


# OAuth2: the browser's step.

AUTHORIZE: Final = "/oauth/authorize?client_id=CLIENT_ID&response_type=code"


def _visit(emulator: MyOnlineSimEmulator, address: str) -> Response:
    return _ask(emulator, address, method="GET", headers={})


def _query(response: Response) -> dict[str, list[str]]:
    return parse_qs(urlsplit(response.header("Location") or "").query)


@pytest.mark.parametrize("scope", ["&scope", "&scope=", ""])
def test_the_owner_is_sent_back_with_a_code_and_the_state(scope: str) -> None:
    """To the registered callback; the bare `scope` of the page is as good as an empty one."""
    response = _visit(_emulator(), f"{AUTHORIZE}{scope}&state=a%20b%26c")
    assert 302 == response.status
    assert (response.header("Location") or "").startswith("http://127.0.0.1:8765/callback?")
    assert {"code": ["AUTH_CODE_2"], "state": ["a b&c"]} == _query(response)


def test_without_a_state_none_comes_back() -> None:
    """It is the client's own affair."""
    assert {"code"} == set(_query(_visit(_emulator(), AUTHORIZE)))


@pytest.mark.parametrize("other", ["http://127.0.0.1:9/x", "https://elsewhere.example/"])
def test_a_redirect_uri_is_not_looked_at(other: str) -> None:
    """None is documented: the registered one is used."""
    response = _visit(_emulator(), f"{AUTHORIZE}&redirect_uri={other}")
    assert (response.header("Location") or "").startswith("http://127.0.0.1:8765/callback?code=")


def test_the_callback_is_a_setting_and_may_have_a_query() -> None:
    """The code is then added to it."""
    emulator = _emulator(callback="https://client.example/back?a=1")
    location = _visit(emulator, AUTHORIZE).header("Location")
    assert "https://client.example/back?a=1&code=AUTH_CODE_2" == location


def test_an_owner_may_say_no() -> None:
    """Not documented: as OAuth has it, with the state and no code."""
    response = _visit(_emulator(approves=False), f"{AUTHORIZE}&state=s")
    assert {"error": ["access_denied"], "state": ["s"]} == _query(response)


@pytest.mark.parametrize(
    ("address", "status", "error"),
    [
        ("/oauth/authorize?client_id=OTHER&response_type=code", 401, "invalid_client"),
        ("/oauth/authorize", 401, "invalid_client"),
        ("/oauth/authorize?client_id=CLIENT_ID", 400, "unsupported_grant_type"),
    ],
)
def test_a_wrong_visit_is_not_sent_on(address: str, status: int, error: str) -> None:
    """An unknown client has no callback."""
    response = _visit(_emulator(), address)
    assert (status, error) == (response.status, response.json()["error"])
    assert response.header("Location") is None


# OAuth2: tokens.


def test_a_code_gets_the_tokens_of_the_page() -> None:
    """A bearer token for three months, and a refresh token."""
    response = _ask(_emulator(), "/oauth/token", BY_CODE)
    expected = {
        "token_type": "Bearer",
        "expires_in": 7776000,
        "access_token": "ACCESS_TOKEN_2",
        "refresh_token": "REFRESH_TOKEN_2",
    }
    assert (200, expected) == (response.status, response.json())
    assert "no-store" == response.header("Cache-Control")


def test_a_code_works_once() -> None:
    """Also one that a visit has brought."""
    emulator = _emulator()
    (code,) = _query(_visit(emulator, AUTHORIZE))["code"]
    answers = [_ask(emulator, "/oauth/token", {**BY_CODE, "code": code}) for _ in range(2)]
    assert [200, 400] == [answer.status for answer in answers]
    assert "invalid_grant" == answers[1].json()["error"]


def test_a_code_of_a_visit_lives_ten_minutes() -> None:
    """Not documented: the most that OAuth recommends."""
    emulator = _emulator()
    (code,) = _query(_visit(emulator, AUTHORIZE))["code"]
    emulator.advance(timedelta(minutes=10))
    assert 400 == _ask(emulator, "/oauth/token", {**BY_CODE, "code": code}).status


@pytest.mark.parametrize("kind", ["form", "multipart", "json"])
def test_tokens_are_given_for_any_encoding(kind: str) -> None:
    """The samples send a form."""
    encoded: dict[str, Any] = {kind: REFRESH}
    response = _ask(_emulator(), "/oauth/token", **encoded)
    assert (200, "ACCESS_TOKEN_2") == (response.status, response.json()["access_token"])


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"client_secret": "OTHER"}, 401, "invalid_client"),
        ({"client_id": "OTHER"}, 401, "invalid_client"),
        ({"refresh_token": ""}, 400, "invalid_request"),
        ({"refresh_token": "OTHER"}, 400, "invalid_grant"),
        ({"refresh_token": "ACCESS_TOKEN"}, 400, "invalid_grant"),
    ],
)
def test_a_wrong_request_for_tokens_is_refused_as_oauth_does(
    changes: dict[str, str], status: int, error: str
) -> None:
    """Not documented: RFC 6749, section 5.2."""
    response = _ask(_emulator(), "/oauth/token", {**REFRESH, **changes})
    body = response.json()
    assert (status, error) == (response.status, body["error"])
    assert {"error", "error_description", "message"} == set(body)


@pytest.mark.parametrize(
    ("mode", "told", "old_works"),
    [
        ("same", "REFRESH_TOKEN", True),
        ("rotated", "REFRESH_TOKEN_2", False),
        ("absent", None, True),
    ],
)
def test_a_refresh_token_has_three_ways(mode: Any, told: str | None, old_works: bool) -> None:
    """The page has it live for three years; servers of its make rotate it."""
    emulator = _emulator(refresh_mode=mode)
    body = _ask(emulator, "/oauth/token", REFRESH).json()
    assert told == body.get("refresh_token")
    assert old_works is (_ask(emulator, "/oauth/token", REFRESH).status == 200)
    if told:
        again = _ask(emulator, "/oauth/token", {**REFRESH, "refresh_token": told})
        assert 200 == again.status


def test_an_access_token_lives_three_months_and_a_refresh_token_three_years() -> None:
    """Then the browser's step is due again."""
    emulator = _emulator()
    emulator.advance(timedelta(days=90) - timedelta(seconds=1))
    assert 200 == _ask(emulator, "/api/user/credit").status
    emulator.advance(timedelta(seconds=1))
    assert 401 == _ask(emulator, "/api/user/credit").status
    emulator.advance(timedelta(days=3 * 365 - 90) - timedelta(seconds=1))
    assert 200 == _ask(emulator, "/oauth/token", REFRESH).status
    emulator.advance(timedelta(seconds=1))
    assert "invalid_grant" == _ask(emulator, "/oauth/token", REFRESH).json()["error"]


@pytest.mark.parametrize(("revoke", "status"), [(False, 200), (True, 401)])
def test_a_renewal_may_end_older_tokens(revoke: bool, status: int) -> None:
    """Not documented; by default they live on."""
    emulator = _emulator(revoke_on_refresh=revoke)
    _ask(emulator, "/oauth/token", REFRESH)
    assert status == _ask(emulator, "/api/user/credit").status


# Who is let in.


@pytest.mark.parametrize("shown", ["Bearer OTHER", "Bearer + ACCESS_TOKEN", "ACCESS_TOKEN", ""])
def test_without_a_token_it_is_401(shown: str) -> None:
    """For who asks for JSON."""
    response = _ask(_emulator(), "/api/user/credit", headers={**HEADERS, "Authorization": shown})
    assert (401, {"message": "Unauthenticated."}) == (response.status, response.json())


@pytest.mark.parametrize("accept", [{}, {"Accept": "*/*"}, {"Accept": "text/html"}])
def test_without_accept_a_wrong_token_is_sent_to_the_login(accept: dict[str, str]) -> None:
    """Not documented. The page behind it is HTML, with status 200."""
    emulator = _emulator()
    response = _ask(emulator, "/api/user/credit", headers=accept)
    assert (302, f"{HOME}/login") == (response.status, response.header("Location"))
    page = _visit(emulator, "/login")
    assert (200, b"<!DOCTYPE") == (page.status, page.body[:9])


def test_with_a_token_accept_is_not_needed() -> None:
    """Only a refusal depends on it."""
    response = _ask(
        _emulator(), "/api/user/credit", headers={"Authorization": "Bearer ACCESS_TOKEN"}
    )
    assert 200 == response.status


@pytest.mark.parametrize("path", ["/api/user/credit", "/api/number/prices", "/oauth/token"])
def test_a_get_is_refused(path: str) -> None:
    """Every call is a POST, the reading ones too."""
    response = _ask(_emulator(), path, method="GET")
    assert (405, "POST") == (response.status, response.header("Allow"))


@pytest.mark.parametrize("path", ["/api/v1/user/credit", "/user/credit", "/api/number/sms/"])
def test_other_paths_are_not_there(path: str) -> None:
    """The later API is not served."""
    assert 404 == _ask(_emulator(), path).status


# What is printed.


def test_the_credit_is_that_of_the_page() -> None:
    """A million rials."""
    response = _ask(_emulator(), "/api/user/credit", {})
    assert (200, {"ok": True, "credit": 1000000, "status": "credit"}) == (
        response.status,
        response.json(),
    )
    assert "application/json; charset=utf-8" == response.header("Content-Type")


PRINTED: Final = [
    {"name": "قرقیزستان", "code": "11", "count": 83, "price": 38000},
    {"name": "ویتنام", "code": "10", "count": 4209, "price": 44000},
    {"name": "مالزی", "code": "7", "count": 4110, "price": 46000},
]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("prices", {"service_code": "tg"}),
        ("prices_for_multiple_services", {"services": "tw,ig"}),
    ],
)
def test_the_prices_are_those_of_the_page(path: str, form: dict[str, str]) -> None:
    """A list without `ok`; the country of the sample number follows where the page has dots."""
    body = _ask(_emulator(), f"/api/number/{path}", form).json()
    assert PRINTED == body[:3]
    assert ["60"] == [entry["code"] for entry in body[3:]]


def test_prices_of_several_may_add_up() -> None:
    """Not documented: the sample is the same as for one. The stock is that of the rarest."""
    emulator = _emulator(prices_add_up=True)
    emulator.stock("ig", "11", 5)
    first = _ask(emulator, "/api/number/prices_for_multiple_services", {"services": "tw,ig"}).json()
    assert {**PRINTED[0], "count": 5, "price": 76000} == first[0]


def test_an_unknown_service_has_no_prices() -> None:
    """Not documented."""
    assert [] == _ask(_emulator(), "/api/number/prices", {"service_code": "acme"}).json()


def test_the_first_number_is_that_of_the_page() -> None:
    """Members in their order; two ids; microseconds; "received" although no message is there."""
    response = _ask(_emulator(), "/api/number/get", ORDER)
    expected = {
        "ok": True,
        "id": "pmbk5ez",
        "number": "1780750001",
        "number_id": "482913",
        "country": "60",
        "service": "tg",
        "created_at": "2020-05-02T07:14:38.000000Z",
        "updated_at": "2020-05-02T07:14:38.000000Z",
        "status": "received",
        "is_expired": False,
    }
    assert (200, list(expected.items())) == (response.status, list(response.json().items()))


def test_the_two_numbers_of_the_page_are_of_two_countries() -> None:
    """With the setting for it: one was asked for."""
    emulator = _emulator(strays={"ig": "0"})
    first, second = _ask(emulator, "/api/number/multiple_services", SEVERAL).json()
    assert ("pmbk5ez", "60", "tg") == (first["id"], first["country"], first["service"])
    assert ("pmbk5et", "0", "ig") == (second["id"], second["country"], second["service"])
    assert ["178075", "483075"] == [item["number"][:6] for item in (first, second)]


RAW_NUMBER: Final = (
    '{"ok",true, "id": "pmbk5ez", "number": "1780750001", "number_id": "482913", "country": "60", '
    '"service": "tg", "created_at": "2020-05-02T07:14:38.000000Z", '
    '"updated_at": "2020-05-02T07:14:38.000000Z", "status": "received", "is_expired": false }'
)


def test_raw_samples_are_as_printed() -> None:
    """A comma after "ok", a comma too many, dots, and no brackets around the prices."""
    emulator = _emulator(raw_samples=True)
    one = _ask(emulator, "/api/number/get", ORDER).body.decode()
    assert f"{RAW_NUMBER} ..." == one
    several = _ask(_emulator(raw_samples=True), "/api/number/multiple_services", SEVERAL)
    text = several.body.decode()
    assert text.startswith(f'[ {RAW_NUMBER}, {{"ok",true, "id": "pmbk5et"')
    assert text.endswith('"is_expired": false }, ] ...')
    prices = _ask(emulator, "/api/number/prices", {"service_code": "tg"}).body.decode()
    printed = (
        '{ "name": "قرقیزستان", "code": "11", "count": 83, "price": 38000 }, { "name": "ویتنام"'
    )
    assert prices.startswith(printed)
    assert prices.endswith("}, ...")
    assert 1_000_000 - 50_000 == _ask(emulator, "/api/user/credit", {}).json()["credit"]


@pytest.mark.parametrize("kind", ["form", "multipart", "json"])
def test_calls_take_any_encoding(kind: str) -> None:
    """Which one the server wants is not written; a code in JSON may be a number."""
    order: Any = {"service_code": "tg", "country_code": 60 if kind == "json" else "60"}
    encoded: dict[str, Any] = {kind: order}
    response = _ask(_emulator(), "/api/number/get", **encoded)
    assert (200, "60") == (response.status, response.json()["country"])


# Refusals of orders.


def test_an_empty_stock_is_try_again_later() -> None:
    """With an empty `error` object, the only refusal that has one; nothing is charged."""
    emulator = _emulator()
    emulator.stock("tg", "60", 0)
    response = _ask(emulator, "/api/number/get", ORDER)
    assert (400, False, "try_again_later") == _said(response)
    assert {} == response.json()["error"]
    assert Money(1_000_000, "IRR") == emulator.balance()


@pytest.mark.parametrize("order", [{"service_code": "acme"}, {"country_code": "99"}])
def test_what_is_not_on_the_shelf_is_out_of_stock(order: dict[str, str]) -> None:
    """Not documented."""
    response = _ask(_emulator(), "/api/number/get", {**ORDER, **order})
    assert (400, False, "try_again_later") == _said(response)


def test_too_little_credit_is_not_enough_credit() -> None:
    """Enough to the rial is enough."""
    emulator = _emulator()
    emulator.fund(Money(99_999, "IRR"))
    assert _rent(emulator)["ok"]
    response = _ask(emulator, "/api/number/get", ORDER)
    assert (400, False, "not_enough_credit") == _said(response)
    assert Money(49_999, "IRR") == emulator.balance()


INVALID: Final = [
    ("prices", {}),
    ("prices_for_multiple_services", {"services": "a,b,c,d,e,f"}),
    ("prices_for_multiple_services", {"services": ","}),
    ("get", {"service_code": "tg"}),
    ("get", {"services": "tg", "country": "60"}),
    ("multiple_services", {"services": "a,b,c,d,e,f", "country": "60"}),
    ("multiple_services", {"services": "tg,ig", "country_code": "60"}),
    ("multiple_services", {"services": "tg,,ig", "country": "60"}),
    ("sms", {"service_code": "tg", "number_id": "482913"}),
    ("ban", {"service_code": "tg", "number_id": "482913"}),
    ("ban", {"service_code": "tg", "number_id": "482913", "is_ban": "yes"}),
]


@pytest.mark.parametrize("place", range(len(INVALID)))
@pytest.mark.parametrize("status", [400, 422])
def test_what_is_missing_or_too_much_is_refused(place: int, status: int) -> None:
    """How is not documented."""
    path, form = INVALID[place]
    response = _ask(_emulator(invalid_status=status), f"/api/number/{path}", form)
    assert (status, False, "error") == _said(response)


def test_five_services_go_into_one_order() -> None:
    """The most that the page allows, for the prices and so for the order."""
    emulator = _emulator()
    for service in ("a", "b"):
        emulator.stock(service, "11", 1)
    form = {"services": "tg,ig,tw,a,b", "country": "11"}
    assert 5 == len(_ask(emulator, "/api/number/multiple_services", form).json())


@pytest.mark.parametrize(
    ("mode", "status", "said", "left"),
    [
        ("each", 200, [("tg", True), (None, False)], 950_000),
        ("omit", 200, [("tg", True)], 950_000),
        ("none", 400, None, 1_000_000),
    ],
)
def test_an_order_that_fails_in_part_has_three_ways(
    mode: Any, status: int, said: Any, left: int
) -> None:
    """None of them is documented."""
    emulator = _emulator(multiple_failure=mode)
    emulator.stock("ig", "60", 0)
    response = _ask(emulator, "/api/number/multiple_services", SEVERAL)
    assert status == response.status
    body = response.json()
    if said is None:
        assert "try_again_later" == body["status"]
    else:
        assert said == [(item.get("service"), item["ok"]) for item in body]
    assert Money(left, "IRR") == emulator.balance()


@pytest.mark.parametrize("mode", ["each", "omit", "none"])
def test_an_order_that_fails_whole_is_one_refusal(mode: Any) -> None:
    """As for one number."""
    emulator = _emulator(multiple_failure=mode)
    emulator.fund(Money(1, "IRR"))
    response = _ask(emulator, "/api/number/multiple_services", SEVERAL)
    assert (400, False, "not_enough_credit") == _said(response)


# A number's life.


def test_a_number_waits_for_its_message() -> None:
    """The text "false" while it waits; the message and nothing else when it is there."""
    emulator = _emulator()
    number = _rent(emulator)
    assert (400, "false", "no_message") == _said(_look(emulator, number))
    emulator.deliver(number["number_id"], "رمز: ۱۲۳۴")
    emulator.advance(timedelta(seconds=20))
    response = _look(emulator, number)
    assert (200, {"ok": True, "status": "received", "sms": "رمز: ۱۲۳۴"}) == (
        response.status,
        response.json(),
    )


@pytest.mark.parametrize(("first", "shown"), [(False, "two"), (True, "one")])
def test_one_of_several_messages_is_shown(first: bool, shown: str) -> None:
    """Which one is not documented."""
    emulator = _emulator(keep_first_message=first)
    number = _rent(emulator)
    emulator.deliver(number["number_id"], "one")
    emulator.deliver(number["number_id"], "two")
    assert shown == _look(emulator, number).json()["sms"]


def test_a_number_expires_after_fifteen_minutes() -> None:
    """To the second; what comes later is lost, and the two refusals differ in their `ok`."""
    emulator = _emulator()
    number = _rent(emulator)
    emulator.advance(timedelta(minutes=15) - timedelta(seconds=1))
    assert "no_message" == _look(emulator, number).json()["status"]
    emulator.advance(timedelta(seconds=20))
    emulator.deliver(number["number_id"], "too late")
    assert (400, "false", "expired") == _said(_look(emulator, number))
    assert (400, False, "expired") == _said(_ban(emulator, number))


def test_what_was_received_stays() -> None:
    """Also after its time; the page does not say otherwise."""
    emulator = _emulator()
    number = _rent(emulator)
    emulator.deliver(number["number_id"], "one")
    emulator.advance(timedelta(hours=1))
    assert "received" == _look(emulator, number).json()["status"]
    assert (403, False, "you cannot ban this number") == _said(_ban(emulator, number))


@pytest.mark.parametrize("is_ban", ["0", "1"])
@pytest.mark.parametrize(("refund", "left"), [(True, 1_000_000), (False, 950_000)])
def test_a_ban_deletes_and_pays_back_as_set(is_ban: str, refund: bool, left: int) -> None:
    """Whether it pays back is not documented. Afterwards the number is not found, by two names."""
    emulator = _emulator(refund_on_ban=refund)
    number = _rent(emulator)
    assert (200, True, "deleted") == _said(_ban(emulator, number, is_ban))
    assert Money(left, "IRR") == emulator.balance()
    emulator.deliver(number["number_id"], "too late")
    assert (404, "false", "number_not_found") == _said(_look(emulator, number))
    assert (404, False, "not_found") == _said(_ban(emulator, number, is_ban))
    assert Money(left, "IRR") == emulator.balance()


def test_a_number_of_another_account_cannot_be_banned() -> None:
    """Nor read."""
    emulator = _emulator()
    foreign = {"service": "tg", "country": "60", "number_id": "1000001"}
    assert (403, False, "you cannot ban this number") == _said(_ban(emulator, foreign))
    assert (404, "false", "number_not_found") == _said(_look(emulator, foreign))


@pytest.mark.parametrize(
    "changes", [{"service": "ig"}, {"country": "11"}, {"number_id": "pmbk5ez"}]
)
def test_a_look_needs_all_three(changes: dict[str, str]) -> None:
    """And the record's id is not the number's."""
    emulator = _emulator()
    response = _look(emulator, {**_rent(emulator), **changes})
    assert (404, "false", "number_not_found") == _said(response)


# The pace.


def test_a_second_look_within_twenty_seconds_blocks_for_a_minute() -> None:
    """For the account, so also with another number; all calls, and not only looks."""
    emulator = _emulator()
    one, two = _rent(emulator), _rent(emulator, service_code="ig")
    assert 400 == _look(emulator, one).status
    emulator.advance(timedelta(seconds=19.5))
    blocked = _look(emulator, two)
    assert (429, "60") == (blocked.status, blocked.header("Retry-After"))
    emulator.advance(timedelta(seconds=59.5))
    assert (429, "1") == (
        (again := _ask(emulator, "/api/user/credit", {})).status,
        again.header("Retry-After"),
    )
    emulator.advance(timedelta(seconds=0.5))
    assert 400 == _look(emulator, two).status


def test_a_block_may_have_other_forms() -> None:
    """Not documented: another status, no header, and the other calls left free."""
    emulator = _emulator(block_status=403, block_retry_after=False, block_everything=False)
    number = _rent(emulator)
    _look(emulator, number)
    blocked = _look(emulator, number)
    assert (403, None) == (blocked.status, blocked.header("Retry-After"))
    assert 200 == _ask(emulator, "/api/user/credit", {}).status
    assert 200 == _ban(emulator, number).status


def test_who_is_not_let_in_looks_at_nothing() -> None:
    """A wrong token does not block the account."""
    emulator = _emulator()
    number = _rent(emulator)
    form = {"service_code": "tg", "country_code": "60", "number_id": number["number_id"]}
    _ask(emulator, "/api/number/sms", form, headers={**HEADERS, "Authorization": "Bearer OTHER"})
    assert 400 == _look(emulator, number).status


@given(gaps=st.lists(st.floats(0, 30), max_size=30))
def test_no_two_looks_are_answered_within_twenty_seconds(gaps: list[float]) -> None:
    """However they come; and who waits for as long as the block lasts gets in."""
    emulator = _emulator()
    number = _rent(emulator)
    answered: list[datetime] = []
    for gap in gaps:
        emulator.advance(timedelta(seconds=gap))
        response = _look(emulator, number)
        if response.status == 429:
            emulator.advance(timedelta(seconds=float(response.header("Retry-After") or "nan")))
            response = _look(emulator, number)
        assert 400 == response.status
        answered.append(response.received_at)
    pace = timedelta(seconds=20)
    assert all(late - early >= pace for early, late in pairwise(answered))


# The day.


def _rent_many(emulator: MyOnlineSimEmulator, count: int) -> list[dict[str, Any]]:
    return [_rent(emulator, country_code="10") for _ in range(count)]


def _rich(**settings: Any) -> MyOnlineSimEmulator:
    emulator = _emulator(**settings)
    emulator.fund(Money(10**9, "IRR"))
    return emulator


def test_more_than_fifty_unused_numbers_in_a_day_block_the_account() -> None:
    """Fifty do not. The owner is told by a text, and only the provider's support opens it again."""
    emulator = _rich()
    _rent_many(emulator, 50)
    assert 200 == _ask(emulator, "/api/user/credit", {}).status
    assert () == emulator.outbox()
    _rent_many(emulator, 1)
    assert (403, False, "account_blocked") == _said(_ask(emulator, "/api/user/credit", {}))
    assert 1 == len(emulator.outbox())
    emulator.advance(timedelta(days=7))
    assert 403 == _ask(emulator, "/api/number/get", ORDER).status
    emulator.unblock()
    assert 200 == _ask(emulator, "/api/number/get", ORDER).status


def test_one_message_is_enough() -> None:
    """The page speaks of none that was activated."""
    emulator = _rich()
    (first,) = _rent_many(emulator, 1)
    emulator.deliver(first["number_id"], "4711")
    _rent_many(emulator, 60)
    assert 200 == _ask(emulator, "/api/user/credit", {}).status


def test_a_number_that_was_given_back_counts() -> None:
    """It was received, and not activated."""
    emulator = _rich()
    for number in _rent_many(emulator, 30):
        _ban(emulator, number)
    _rent_many(emulator, 21)
    assert 403 == _ask(emulator, "/api/user/credit", {}).status


def test_a_day_is_one_of_tehran() -> None:
    """07:14:38 UTC was 11:44:38 there, in summer time: midnight is 12:15:22 away."""
    to_midnight = timedelta(hours=12, minutes=15, seconds=22)
    for before, status in ((timedelta(seconds=1), 403), (timedelta(), 200)):
        emulator = _rich()
        _rent_many(emulator, 30)
        emulator.advance(to_midnight - before)
        _rent_many(emulator, 30)
        assert status == _ask(emulator, "/api/user/credit", {}).status


# Back doors.


@pytest.mark.parametrize(
    ("encoding", "payload"),
    [
        ("json", {"ok": True, "status": "received", "sms": "رمز: 12&34"}),
        ("form", {"ok": "1", "status": "received", "sms": "رمز: 12&34"}),
    ],
)
def test_a_message_is_posted_to_its_callback(encoding: Any, payload: dict[str, Any]) -> None:
    """With the members of a look, and no number in it; numbers without a callback: nothing."""
    emulator = _emulator(webhook_encoding=encoding)
    url = "https://client.example/hook/LONG_SECRET"
    asked, silent = _rent(emulator, callback=url), _rent(emulator)
    for number in (asked, silent):
        emulator.deliver(number["number_id"], "رمز: 12&34")
    (posted,) = emulator.webhooks()
    assert ("POST", url, payload) == (posted.method, posted.url, posted.encode().payload())


@pytest.mark.parametrize("amount", [Money("0.5", "IRR"), Money(5, "USD")])
def test_the_credit_is_in_whole_rials(amount: Money) -> None:
    """Another amount is refused."""
    with pytest.raises(ValueError, match="whole rials"):
        _emulator().fund(amount)


def test_stock_may_add_a_service_and_a_country() -> None:
    """At a price of its own; a number that nobody can have."""
    emulator = _emulator()
    emulator.stock("acme", "99", 1)
    entry = {"name": "کشور 99", "code": "99", "count": 1, "price": 50000}
    assert [entry] == _ask(emulator, "/api/number/prices", {"service_code": "acme"}).json()
    assert "999000001" == _rent(emulator, service_code="acme", country_code="99")["number"]


def test_ids_come_once() -> None:
    """Both kinds, and the phone numbers too."""
    emulator = _rich()
    numbers = _rent_many(emulator, 50)
    for key in ("id", "number_id", "number"):
        assert 50 == len({number[key] for number in numbers})
    assert {7} == {len(number["id"]) for number in numbers}
    assert {6} == {len(number["number_id"]) for number in numbers}


def test_the_books_tell_what_was_rented() -> None:
    """By the number's id, with one of four states."""
    emulator = _emulator()
    received, deleted, expired = (_rent(emulator) for _ in range(3))
    emulator.deliver(received["number_id"], "4711")
    _ban(emulator, deleted)
    emulator.advance(timedelta(minutes=15))
    waiting = _rent(emulator, service_code="ig", country_code="11")
    books = emulator.activations()
    assert [n["number_id"] for n in (received, deleted, expired, waiting)] == [b.id for b in books]
    assert ["received", "deleted", "expired", "waiting"] == [book.state for book in books]
    assert [1, 0, 0, 0] == [book.messages for book in books]
    assert ("ig", "11") == (books[3].service, books[3].country)


def test_a_failure_answers_instead_of_the_request() -> None:
    """Once, without performing it, stamped by the emulator's clock."""
    emulator = _emulator()
    emulator.advance(timedelta(hours=1))
    emulator.fail_next(Response(status=503, body=b"<html>"))
    failed = _ask(emulator, "/api/number/get", ORDER)
    assert (503, START + timedelta(hours=1)) == (failed.status, failed.received_at)
    assert () == emulator.activations()
    assert _rent(emulator)["ok"]


def test_a_failure_may_come_after_the_act() -> None:
    """The number is rented and paid for all the same."""
    emulator = _emulator()
    emulator.fail_next(Response(status=502), performed=True)
    assert 502 == _ask(emulator, "/api/number/get", ORDER).status
    assert 1 == len(emulator.activations())
    assert Money(950_000, "IRR") == emulator.balance()


def test_delivering_to_an_unknown_number_is_a_key_error() -> None:
    """As the protocol of emulators says."""
    with pytest.raises(KeyError):
        _emulator().deliver("1000001", "4711")
