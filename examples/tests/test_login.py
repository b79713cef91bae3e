"""Both example applications, over HTTP: who knows the code is logged in, and nobody else."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from .sites import APPLICATIONS, DOMAIN, Site, environment, opened
from .visitor import Page, Visitor

REJECTED: Final = "This code is not right, or no longer. Ask for another one."
_serial: Final = itertools.count(1_000)


@pytest.fixture(scope="module", params=APPLICATIONS)
def application(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def site(application: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests; they do not meet, as each has its own numbers and addresses."""
    with opened(application, tmp_path_factory.mktemp(application)) as site:
        yield site


def new_number() -> str:
    return f"+98912111{next(_serial)}"


def new_visitor(site: Site) -> Visitor:
    """Somebody at an address of their own."""
    return Visitor(site.url, f"203.0.{next(_serial) % 256}.{next(_serial) % 256}")


@pytest.fixture
def number() -> str:
    return new_number()


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return new_visitor(site)


def wrong(code: str) -> str:
    """Another code of its length."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


def is_logged_in(page: Page, number: str) -> bool:
    return (page.status, page.path) == (200, "/") and f">{number}</bdi>" in page.text


# Logging in and out.


def test_who_enters_the_code_is_logged_in_until_they_log_out(
    site: Site, visitor: Visitor, number: str
) -> None:
    """A number, a code, the page behind them; and after logging out it is not shown."""
    assert visitor.get("/").path == "/login"
    assert visitor.ask(f"0{number[3:6]} {number[6:]}").path == "/login/code"
    home = visitor.enter(site.phones.code(number))
    assert is_logged_in(home, number)
    assert is_logged_in(visitor.get("/"), number)
    assert visitor.submit(home, "/logout").path == "/login"
    assert visitor.get("/").path == "/login"


def test_digits_of_any_script_are_a_code(site: Site, visitor: Visitor, number: str) -> None:
    """Persian digits, grouped, as a phone may offer them."""
    visitor.ask(number)
    code = site.phones.code(number).translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"))
    assert is_logged_in(visitor.enter(f"{code[:3]} {code[3:]}"), number)


def test_the_text_binds_the_code_to_the_site(site: Site, visitor: Visitor, number: str) -> None:
    """Its last line names the domain of the configuration."""
    visitor.ask(number)
    (text,) = site.phones.texts(number)
    assert text.splitlines()[-1] == f"@{DOMAIN} #{site.phones.code(number)}"


def test_a_phone_can_fill_in_the_forms(site: Site, visitor: Visitor, number: str) -> None:
    """The inputs say that they are for a number, and for a code in figures."""
    asking = visitor.get("/login").forms[0].inputs["number"]
    assert (asking["type"], asking["autocomplete"]) == ("tel", "tel")
    entering = visitor.ask(number).forms[0].inputs["code"]
    assert (entering["inputmode"], entering["autocomplete"]) == ("numeric", "one-time-code")


def test_the_cookie_is_for_the_server_alone(site: Site, visitor: Visitor, number: str) -> None:
    """No script reads the session's cookie, and no other site's post brings it."""
    visitor.ask(number)
    visitor.enter(site.phones.code(number))
    cookies = {cookie.name.removesuffix("id"): cookie for cookie in visitor.session.cookies}
    cookie = cookies["session"]
    assert cookie.has_nonstandard_attr("HttpOnly") or cookie.has_nonstandard_attr("httponly")
    assert "lax" in {str(cookie.get_nonstandard_attr(n)).lower() for n in ("SameSite", "samesite")}


def test_nothing_is_kept_on_the_way(visitor: Visitor, number: str) -> None:
    """Pages that show a number are not stored by browsers and proxies."""
    assert "no-store" in visitor.ask(number).headers["Cache-Control"]


# Codes.


def test_a_wrong_code_is_rejected_and_the_right_one_still_good(
    site: Site, visitor: Visitor, number: str
) -> None:
    """It is asked for again, in an empty field, with the reason kept to ourselves."""
    visitor.ask(number)
    code = site.phones.code(number)
    refused = visitor.enter(wrong(code))
    assert (refused.status, refused.path) == (422, "/login/code")
    assert REJECTED in refused.text
    assert not refused.forms[0].inputs["code"].get("value")
    assert is_logged_in(visitor.submit(refused, "/login/code", code=code), number)


def test_a_code_is_good_once(site: Site, visitor: Visitor, number: str) -> None:
    """After it was used it is as good as any wrong one."""
    visitor.ask(number)
    code = site.phones.code(number)
    visitor.submit(visitor.enter(code), "/logout")
    visitor.ask(number)  # too early for another one
    refused = visitor.enter(code)
    assert refused.status == 422
    assert REJECTED in refused.text
    assert visitor.get("/").path == "/login"


def test_a_code_logs_in_once_however_many_enter_it_at_once(site: Site, number: str) -> None:
    """Of ten browsers at the same moment, over all processes of the server, one is let in."""
    visitors = [new_visitor(site) for _ in range(10)]
    for visitor in visitors:
        visitor.ask(number)  # one code is sent; the others are told to wait, and may enter it
    pages = [visitor.get("/login/code") for visitor in visitors]
    code = site.phones.code(number)
    with ThreadPoolExecutor(10) as pool:
        ends = pool.map(lambda v, p: v.submit(p, "/login/code", code=code), visitors, pages)
        logged_in = [end for end in ends if is_logged_in(end, number)]
    assert len(logged_in) == 1


def test_a_code_is_for_the_number_that_it_was_sent_to(site: Site) -> None:
    """Another number's code logs nobody in."""
    mine, theirs = new_number(), new_number()
    visitor, other = new_visitor(site), new_visitor(site)
    visitor.ask(mine)
    other.ask(theirs)
    if site.phones.code(mine) != site.phones.code(theirs):  # but for one time in a million
        assert visitor.enter(site.phones.code(theirs)).status == 422


def test_after_too_many_guesses_the_right_code_is_rejected(
    site: Site, visitor: Visitor, number: str
) -> None:
    """And nothing tells that it would have been right."""
    visitor.ask(number)
    code = site.phones.code(number)
    guesses = [visitor.enter(wrong(code)) for _ in range(5)]
    guesses.append(visitor.enter(code))
    assert [page.status for page in guesses] == [422] * 6
    assert all(REJECTED in page.text for page in guesses)


def test_what_is_no_code_is_told_the_same(visitor: Visitor, number: str) -> None:
    """One sentence for every code that is rejected."""
    visitor.ask(number)
    refused = visitor.enter("my code")
    assert refused.status == 422
    assert REJECTED in refused.text


def test_without_a_number_no_code_is_asked_for(visitor: Visitor) -> None:
    """The page for the code leads back to the one for the number."""
    assert visitor.get("/login/code").path == "/login"


# Limits.


def test_who_asks_again_too_soon_is_told_when(site: Site, visitor: Visitor, number: str) -> None:
    """429 with Retry-After; no second text, and the first code is good."""
    sent = visitor.ask(number)
    refused = visitor.submit(sent, "/login")  # the button for another code
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "again in" in refused.text
    assert len(site.phones.texts(number)) == 1
    assert '<a href="/login/code">' in refused.text
    assert is_logged_in(visitor.enter(site.phones.code(number)), number)


def test_one_address_asks_for_so_many_codes_and_others_go_on(site: Site) -> None:
    """Twenty an hour. Whatever it says about itself: what our proxy adds is what counts."""
    visitor, numbers, answers = new_visitor(site), [new_number() for _ in range(21)], []
    for at, number in enumerate(numbers):
        visitor.pretend(f"198.51.100.{at}")
        answers.append(visitor.ask(number))
    assert [page.status for page in answers] == [200] * 20 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 60
    assert site.phones.texts(numbers[-1]) == []
    assert new_visitor(site).ask(numbers[-1]).status == 200


def test_without_a_proxy_no_header_tells_who_asks(application: str, tmp_path: Path) -> None:
    """Visitors who come directly cannot choose their address."""
    with opened(application, tmp_path, LOGIN_PROXIES="0") as site:
        asked = [new_visitor(site).ask(new_number()).status for _ in range(21)]
    assert asked == [200] * 20 + [429]


# Numbers.


@pytest.mark.parametrize("typed", ["", "my number", "+98 12", "+12"])
def test_what_is_no_number_is_told_at_its_field(visitor: Visitor, typed: str) -> None:
    """422, and the input itself is marked."""
    refused = visitor.ask(typed)
    assert refused.status == 422
    assert refused.forms[0].inputs["number"]["aria-invalid"] == "true"


def test_other_countries_get_no_codes(site: Site, visitor: Visitor) -> None:
    """Told at the field as well, and nothing is sent."""
    refused = visitor.ask("+49 1512 3456789")
    assert refused.status == 422
    assert refused.forms[0].inputs["number"]["aria-invalid"] == "true"
    assert site.phones.texts("+4915123456789") == []


def test_a_number_that_the_provider_does_not_reach_is_told_at_its_field(visitor: Visitor) -> None:
    """As one that is none."""
    assert visitor.ask("+989121110001").status == 422


# Providers.


def test_after_an_unknown_outcome_the_code_may_arrive(
    site: Site, visitor: Visitor, number: str
) -> None:
    """The page says so and takes the code; nothing is sent again by itself."""
    site.phones.lost |= {number}
    page = visitor.ask(number)
    assert (page.status, page.path) == (200, "/login/code")
    assert "may arrive late" in page.text
    assert len(site.phones.texts(number)) == 1
    assert is_logged_in(visitor.enter(site.phones.code(number)), number)


def test_a_sent_code_is_not_said_to_be_late(visitor: Visitor, number: str) -> None:
    """The words are for an unknown outcome alone."""
    assert "may arrive late" not in visitor.ask(number).text


def test_when_nothing_can_be_sent_a_page_says_so(visitor: Visitor) -> None:
    """The provider wants credit: 503, without a word of the reason."""
    refused = visitor.ask("+989121110003")
    assert refused.status == 503
    assert "at the moment" in refused.text
    assert "redit" not in refused.text


# Other sites, logs and settings.


@pytest.mark.parametrize("path", ["/login", "/login/code", "/logout"])
def test_a_post_that_is_of_no_form_of_ours_does_nothing(
    site: Site, visitor: Visitor, number: str, path: str
) -> None:
    """Another site cannot have codes sent, nor log a visitor in or out."""
    visitor.get("/login")
    for token in ({}, {"token": "x", "csrfmiddlewaretoken": "x" * 64}):
        assert visitor.post(path, {"number": number, "code": "123456", **token}).status == 403
    assert site.phones.texts(number) == []


def test_no_number_code_or_text_is_logged(application: str, tmp_path: Path) -> None:
    """Not by the application, its framework, its server or Qasid, at the loudest level."""
    good, lost = new_number(), new_number()
    with opened(application, tmp_path) as site:
        visitor = new_visitor(site)
        site.phones.lost |= {lost}
        for number in (good, good, lost, "+989121110001", "+989121110003", "+4915123456789"):
            visitor.ask(number)
        visitor.ask(good)
        code = site.phones.code(good)
        visitor.enter(wrong(code))
        visitor.enter(code)
        site.end()
    assert "POST /login/code" in site.log
    for secret in (good, lost, code, wrong(code), "is your code", site.phones.code(lost)):
        assert secret.removeprefix("+98") not in site.log
    for number in ("9121110001", "9121110003", "15123456789"):
        assert number not in site.log


def test_without_a_secret_it_does_not_start(application: str, tmp_path: Path) -> None:
    """It says which variable to set, and how."""
    told = environment(tmp_path, "emulator://sandbox")
    command = [sys.executable, *APPLICATIONS[application](tmp_path, told)]
    silent = told | {"LOGIN_SECRET": ""}
    ended = subprocess.run(command, env=silent, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "set LOGIN_SECRET; make one: python -c" in ended.stderr
