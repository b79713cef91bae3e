"""How an owner lets us in: the address, the code, and what renews it afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Flow, Request, Response
from qasid.fields import is_secret
from qasid.values import Credential
from qasid_myonlinesim import MyOnlineSim
from qasid_myonlinesim.emulator import MyOnlineSimEmulator

CLIENT: Final[dict[str, Any]] = {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}
START: Final = datetime(2024, 8, 1, 12, 0, tzinfo=UTC)
TOKENS: Final = {
    "token_type": "Bearer",
    "expires_in": 7776000,
    "access_token": "ACCESS_TOKEN_2",
    "refresh_token": "REFRESH_TOKEN_2",
}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def emulator(clock: VirtualClock) -> MyOnlineSimEmulator:
    return MyOnlineSimEmulator(clock=clock.now)


def _provider(**settings: Any) -> MyOnlineSim:
    return MyOnlineSim(**{**CLIENT, **settings})


def _answered(flow: Flow[Credential], status: int, body: Any, **headers: str) -> Credential:
    """What a flow makes of one answer."""
    text = body if isinstance(body, str) else json.dumps(body)
    reply = Response(status=status, headers=headers, body=text.encode(), received_at=START)
    next(flow)
    with pytest.raises(StopIteration) as caught:
        flow.send(reply)
    credential: Credential = caught.value.value
    return credential


def test_an_owner_lets_us_in(emulator: MyOnlineSimEmulator, clock: VirtualClock) -> None:
    """From the address to the first call, by a code that works once."""
    provider, driver = _provider(), virtual_driver(emulator.handle, clock)
    visit = Request(method="GET", url=provider.authorize_url("STATE")).encode()
    back = urlsplit(emulator.handle(visit).header("Location") or "")
    assert {"code": ["AUTH_CODE_2"], "state": ["STATE"]} == parse_qs(back.query)
    credential = driver.run(provider.exchange_code("AUTH_CODE_2"))
    assert START + timedelta(days=90) == credential.expires_at
    assert "REFRESH_TOKEN_3" == credential.refresh_token
    settings = {**CLIENT, "refresh_token": credential.refresh_token, "driver": driver}
    with qasid.connect("myonlinesim", **settings) as account:
        assert qasid.Money(1_000_000, "IRR") == account.balance()
    with pytest.raises(qasid.AuthenticationFailed, match="qasid login myonlinesim"):
        driver.run(provider.exchange_code("AUTH_CODE_2"))


def test_a_code_is_changed_by_a_form() -> None:
    """Of four members; no `redirect_uri`, and nothing in the address."""
    request: Any = next(_provider().exchange_code("AUTH_CODE"))
    assert ("POST", "https://myonlinesim.com/oauth/token") == (request.method, request.url)
    expected = {"grant_type": "authorization_code", **CLIENT, "code": "AUTH_CODE"}
    assert expected == dict(request.form)
    assert not request.safe


def test_a_code_must_bring_a_refresh_token() -> None:
    """Without one there would be nothing to keep."""
    body = {key: value for key, value in TOKENS.items() if key != "refresh_token"}
    flow = _provider().exchange_code("AUTH_CODE")
    next(flow)
    with pytest.raises(qasid.ProtocolError, match="refresh_token"):
        flow.send(Response(status=200, body=json.dumps(body).encode()))


def test_without_a_refresh_token_the_remedy_is_told(
    emulator: MyOnlineSimEmulator, clock: VirtualClock
) -> None:
    """Nothing is sent."""
    driver = virtual_driver(emulator.handle, clock)
    emulator.fail_next(Response(status=500))
    with (
        qasid.connect("myonlinesim", driver=driver, **CLIENT) as account,
        pytest.raises(qasid.AuthenticationFailed, match="run: qasid login myonlinesim"),
    ):
        account.balance()
    assert 500 == emulator.handle(Request(method="GET", url="http://127.0.0.1/").encode()).status


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, "invalid_grant"), (401, "invalid_grant"), (401, "invalid_request"), (200, "anything")],
)
def test_a_void_refresh_token_tells_the_remedy(status: int, error: str) -> None:
    """Expired, revoked or rotated: servers of this make have several words for it."""
    flow = _provider(refresh_token="VOID").authenticate(None)
    next(flow)
    with pytest.raises(qasid.AuthenticationFailed, match="run: qasid login myonlinesim") as caught:
        flow.send(Response(status=status, body=json.dumps({"error": error}).encode()))
    assert error == caught.value.code
    assert qasid.Outcome.NOT_PERFORMED is caught.value.outcome


def test_a_refresh_token_of_three_years_ago_tells_the_remedy(
    emulator: MyOnlineSimEmulator, clock: VirtualClock
) -> None:
    """Then the browser's step is due again."""
    clock.sleep(timedelta(days=3 * 365).total_seconds())
    settings = {**CLIENT, "refresh_token": "REFRESH_TOKEN"}
    driver = virtual_driver(emulator.handle, clock)
    with (
        qasid.connect("myonlinesim", driver=driver, **settings) as account,
        pytest.raises(qasid.AuthenticationFailed, match="run: qasid login myonlinesim"),
    ):
        account.balance()


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
def test_a_wrong_client_is_told_apart(error: str) -> None:
    """Another login would not help."""
    flow = _provider(refresh_token="REFRESH_TOKEN").authenticate(None)
    next(flow)
    with pytest.raises(qasid.AuthenticationFailed, match="client_id or client_secret") as caught:
        flow.send(Response(status=401, body=json.dumps({"error": error}).encode()))
    assert "login" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "", qasid.AuthenticationFailed),
        (302, "", qasid.ProtocolError),
        (403, "<html>", qasid.PermissionDenied),
        (404, "<html>", qasid.InvalidRequest),
        (429, "", qasid.RateLimited),
        (500, '{"error": "invalid_grant"}', qasid.ProviderUnavailable),
        (200, "<html>", qasid.AuthenticationFailed),
        (200, "", qasid.ProtocolError),
        (200, "[]", qasid.ProtocolError),
        (200, "{}", qasid.ProtocolError),
    ],
)
def test_other_answers_are_errors_of_the_tree(
    status: int, body: str, kind: type[Exception]
) -> None:
    """None of them is documented."""
    for flow in (
        _provider().exchange_code("AUTH_CODE"),
        _provider(refresh_token="REFRESH_TOKEN").authenticate(None),
    ):
        next(flow)
        with pytest.raises(kind) as caught:
            flow.send(Response(status=status, body=body.encode()))
        assert type(caught.value) is kind


@pytest.mark.parametrize("ends", [None, "soon", "7776000", 0, -1, 10**40, 1.5, True, []], ids=repr)
def test_a_strange_end_loses_no_token(ends: Any) -> None:
    """The old refresh token may be void already; a token is then used until it is refused."""
    flow = _provider(refresh_token="REFRESH_TOKEN").authenticate(None)
    credential = _answered(flow, 200, {**TOKENS, "expires_in": ends})
    assert "REFRESH_TOKEN_2" == credential.refresh_token
    assert credential.expires_at is None


@pytest.mark.parametrize("told", [None, ""])
def test_the_old_refresh_token_is_kept_where_no_new_one_comes(told: Any) -> None:
    """As OAuth allows."""
    flow = _provider(refresh_token="REFRESH_TOKEN").authenticate(None)
    credential = _answered(flow, 200, {**TOKENS, "refresh_token": told})
    assert "REFRESH_TOKEN" == credential.refresh_token


@pytest.mark.parametrize("token", ["", "a\r\nX-A: b", "توکن", None, 5])
def test_a_token_that_cannot_stand_in_a_header_is_refused(token: Any) -> None:
    """It would end the header, or could not be sent."""
    flow = _provider(refresh_token="REFRESH_TOKEN").authenticate(None)
    next(flow)
    with pytest.raises(qasid.ProtocolError, match="access_token"):
        flow.send(Response(status=200, body=json.dumps({**TOKENS, "access_token": token}).encode()))


def test_the_refresh_token_may_be_left_out_and_the_others_not() -> None:
    """It is a secret, as the client's is; the client's id is none."""
    assert _provider().refresh_token is None
    secret = {field.name for field in attrs.fields(MyOnlineSim) if is_secret(field)}
    assert {"client_secret", "refresh_token"} == secret
    for missing in ("client_id", "client_secret"):
        given = {key: value for key, value in CLIENT.items() if key != missing}
        with pytest.raises(qasid.SettingsError, match=missing):
            qasid.connect("myonlinesim", **given)
    with pytest.raises(qasid.SettingsError, match="client_id"):
        qasid.connect("myonlinesim", **{**CLIENT, "client_id": ""})


def test_nothing_shows_a_secret() -> None:
    """Neither the provider nor a credential."""
    provider = _provider(refresh_token="REFRESH_TOKEN")
    shown = f"{provider!r} {_answered(provider.authenticate(None), 200, TOKENS)!r}"
    for secret in ("CLIENT_SECRET", "REFRESH_TOKEN", "ACCESS_TOKEN"):
        assert secret not in shown
