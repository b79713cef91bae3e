"""A visit to the provider: what comes back is looked at twice before a code is believed."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import attrs
import pytest

from qasid.effects import Request
from qasid.errors import AuthenticationFailed, InvalidRequest
from qasid.login import AuthorizationCode, Visit, callback
from qasid_myonlinesim import MyOnlineSim

from .acme import Acme, Guarded
from .granting import Granting

HOST: Final = "127.0.0.1:8765"


@pytest.fixture
def visit() -> Visit:
    return Visit()


def came(visit: Visit, query: Any, host: str = HOST, **changes: Any) -> tuple[int, str]:
    """What the browser is shown when it comes with that query."""
    query = urlencode(query)
    asked = Request(method="GET", url=f"{callback()}?{query}", headers={"Host": host})
    shown = visit.answer(attrs.evolve(asked, **changes))
    assert visit.state not in shown.body.decode()
    assert "CODE" not in shown.body.decode()
    return shown.status, shown.body.decode()


def test_the_code_comes_with_the_state(visit: Visit) -> None:
    """The browser is told that it may go."""
    status, words = came(visit, {"code": "CODE", "state": visit.state})
    assert (200, "CODE") == (status, visit.code.result(0))
    assert "close this window" in words


def test_a_page_is_kept_by_nobody_and_leads_nowhere(visit: Visit) -> None:
    """The address that it stands at holds the code."""
    asked = Request(method="GET", url=f"{callback()}?code=C", headers={"Host": HOST})
    shown = visit.answer(asked)
    assert ("no-store", "no-referrer") == tuple(
        map(shown.header, ("Cache-Control", "Referrer-Policy"))
    )
    assert not {b"href", b"src", b"script"} & {*shown.body.split()}


def test_no_two_visits_have_the_same_state() -> None:
    """Of 256 bits, which do not show."""
    states = {Visit().state for _ in range(1000)}
    assert 1000 == len(states)
    assert {43} == {len(state) for state in states}
    assert (visit := Visit()).state not in repr(visit)


@pytest.mark.parametrize("state", [None, "", "x", "سلام", "\ud7ff" * 43])
def test_another_state_is_refused_and_the_visit_goes_on(visit: Visit, state: str | None) -> None:
    """Somebody sent the browser here with a code of their own; the owner's still counts."""
    other = {} if state is None else {"state": state}
    assert 400 == came(visit, {"code": "FOREIGN", **other})[0]
    assert 400 == came(visit, {"error": "access_denied", **other})[0]
    assert not visit.code.done()
    assert ["state: it is not" in stray for stray in visit.strays] == [True, True]
    assert 200 == came(visit, {"code": "CODE", "state": visit.state})[0]
    assert "CODE" == visit.code.result(0)


@pytest.mark.parametrize("name", ["code", "state", "error"])
def test_a_member_that_is_there_twice_is_refused(visit: Visit, name: str) -> None:
    """Which of the two was meant nobody knows."""
    query = [("code", "CODE"), ("state", visit.state), (name, "x"), (name, "y")]
    assert (400, False) == (came(visit, query)[0], visit.code.done())


def test_members_that_nobody_knows_are_passed_over(visit: Visit) -> None:
    """As OAuth asks."""
    query = [("code", "CODE"), ("state", visit.state), ("scope", "a"), ("scope", "b")]
    assert 200 == came(visit, query)[0]


@pytest.mark.parametrize("code", [{}, {"code": ""}])
def test_a_visit_without_a_code_is_refused(visit: Visit, code: dict[str, str]) -> None:
    """And goes on."""
    assert (400, False) == (came(visit, {"state": visit.state, **code})[0], visit.code.done())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("access_denied", "did not say yes (access_denied)"),
        ("server_error", "(server_error)"),
        ("<b>\r\nX", "(bX)"),
    ],
)
def test_a_no_ends_the_visit(visit: Visit, error: str, words: str) -> None:
    """It is the owner's, or the provider's, whose own text is not repeated."""
    told = {"error": error, "error_description": "CODE", "state": visit.state}
    status, shown = came(visit, told)
    assert (200, True) == (status, "did not let Qasid in" in shown)
    with pytest.raises(AuthenticationFailed) as caught:
        visit.code.result(0)
    assert words in str(caught.value)


@pytest.mark.parametrize("second", [{"code": "SECOND"}, {"error": "access_denied"}])
def test_a_visit_ends_once(visit: Visit, second: dict[str, str]) -> None:
    """A browser that comes again changes nothing."""
    came(visit, {"code": "CODE", "state": visit.state})
    assert 409 == came(visit, {**second, "state": visit.state})[0]
    assert "CODE" == visit.code.result(0)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"headers": {"Host": "evil.example"}}, 421),
        ({"headers": {"Host": "127.0.0.1:1"}}, 421),
        ({"headers": {"Host": "127.0.0.1"}}, 421),
        ({"headers": {}}, 421),
        ({"url": f"http://{HOST}/"}, 404),
        ({"url": f"http://{HOST}/favicon.ico"}, 404),
        ({"url": f"http://{HOST}/callback/../callback"}, 404),
        ({"method": "POST"}, 405),
        ({"method": "HEAD"}, 405),
    ],
    ids=str,
)
def test_whoever_comes_otherwise_is_turned_away(
    visit: Visit, changes: dict[str, Any], status: int
) -> None:
    """Also with the right state, as by a name that leads here: the visit goes on."""
    query = urlencode({"code": "CODE", "state": visit.state})
    asked = Request(method="GET", url=f"{callback()}?{query}", headers={"Host": HOST})
    if "url" in changes:
        changes = {"url": f"{changes['url']}?{query}"}
    assert status == visit.answer(attrs.evolve(asked, **changes)).status
    assert not visit.code.done()


def test_the_other_name_of_this_machine_will_do(visit: Visit) -> None:
    """Where that is what is registered."""
    assert 200 == came(visit, {"code": "CODE", "state": visit.state}, host="localhost:8765")[0]


# By hand.


@pytest.mark.parametrize("around", ["{}", "  {}\n", "{}#fragment"])
def test_an_address_may_be_copied_by_hand(visit: Visit, around: str) -> None:
    """Of whatever host, as the browser may be on another machine."""
    query = urlencode({"code": "CODE+/=", "state": visit.state})
    address = f"https://elsewhere.example/back?{query}"
    assert "CODE+/=" == visit.read(around.format(address))


@pytest.mark.parametrize(
    "address",
    ["", "CODE", "http://[", "http://x/?code=a\nb", "\x00", "?" * 20_000, "\udcff", "http://x/?"],
    ids=ascii,
)
def test_what_is_no_such_address_is_refused(visit: Visit, address: str) -> None:
    """Nothing of it is shown."""
    with pytest.raises(InvalidRequest) as caught:
        visit.read(f"{address}")
    assert not address or address not in str(caught.value)


def test_only_what_asks_an_owner_has_a_login() -> None:
    """It is told by what a provider has."""
    settings: dict[str, Any] = {"client_id": "C", "client_secret": "S"}
    providers = [Granting(), MyOnlineSim(**settings), Acme(), Guarded()]
    asks = [isinstance(provider, AuthorizationCode) for provider in providers]
    assert [True, True, False, False] == asks
