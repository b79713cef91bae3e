"""A provider's requests go to the provider alone, and its failures say what became of the act."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.effects import Effect, Flow, Request, Response
from qasid.errors import (
    AuthenticationFailed,
    ConnectFailed,
    InsufficientCredit,
    InvalidRequest,
    NoAnswer,
    Outcome,
    PluginError,
    ProtocolError,
    ProviderError,
    ProviderUnavailable,
    QasidError,
    RateLimited,
)
from qasid.fields import secret
from qasid.hookspecs import hookimpl
from qasid.policies.passage import Attempt, at_home, judgement, through
from qasid.policies.redaction import redact
from qasid.values import Credential, Money, Receipt, TextMessage

from .acme import FACES, HOME, KEY, TO, Acme, Guarded, Server, blocking, played, reply

both_faces = pytest.mark.parametrize("opened", FACES)
HELLO = TextMessage(to=TO, text="hello")
UNKNOWN, NOT_PERFORMED = Outcome.UNKNOWN, Outcome.NOT_PERFORMED


# What became of the act.


def ended(
    error: Exception, sent: Sequence[str], *, at: type[ProviderError] | None = None
) -> QasidError:
    """What comes of a flow that fails so after those requests; the last of them fails with `at`."""
    attempt = Attempt()

    def flow() -> Flow[None]:
        for method in sent:
            yield Request(method=method, url=HOME)
        raise error

    def send(request: Request) -> Flow[Response]:
        attempt.begin()
        return (yield from attempt.send(request))

    def answer(effect: Effect) -> Response:
        if at is not None:
            raise at("the network's")
        return Response(status=200)

    with pytest.raises(QasidError) as caught:
        played(judged(through(flow(), send), attempt), answer)
    return caught.value


def judged(flow: Flow[None], attempt: Attempt) -> Flow[None]:
    try:
        return (yield from flow)
    except Exception as error:
        failure = judgement(error, attempt, lambda error: None)
    raise failure


@pytest.mark.parametrize(
    ("kind", "sent", "outcome"),
    [
        # Nothing that changes anything had gone.
        (InsufficientCredit, [], NOT_PERFORMED),
        (ProtocolError, [], NOT_PERFORMED),
        (ProtocolError, ["GET"], NOT_PERFORMED),
        (ProviderUnavailable, ["GET", "GET"], NOT_PERFORMED),
        (NoAnswer, ["GET"], NOT_PERFORMED),
        # One request went, and this is what was said to it.
        (InsufficientCredit, ["POST"], NOT_PERFORMED),
        (RateLimited, ["POST"], NOT_PERFORMED),
        (InsufficientCredit, ["GET", "POST"], NOT_PERFORMED),
        (ProviderUnavailable, ["POST"], UNKNOWN),
        (ProtocolError, ["POST"], UNKNOWN),
        (ProtocolError, ["GET", "DELETE"], UNKNOWN),
        # This was said to another request, later.
        (InsufficientCredit, ["POST", "POST"], UNKNOWN),
        (InsufficientCredit, ["POST", "GET"], UNKNOWN),
        (RateLimited, ["PUT", "GET", "GET"], UNKNOWN),
    ],
)
def test_the_outcome_follows_from_the_refusal_and_from_what_had_been_sent(
    kind: type[ProviderError], sent: list[str], outcome: Outcome
) -> None:
    """A plugin need not know it."""
    error = ended(kind("no"), sent)
    assert isinstance(error, kind)
    assert outcome is error.outcome


@pytest.mark.parametrize(
    ("kind", "sent", "outcome"),
    [
        (ConnectFailed, ["POST"], NOT_PERFORMED),
        (ConnectFailed, ["GET"], NOT_PERFORMED),
        (NoAnswer, ["POST"], UNKNOWN),
        (NoAnswer, ["GET"], NOT_PERFORMED),
        (ProtocolError, ["POST"], UNKNOWN),
    ],
)
def test_the_outcome_follows_from_what_the_network_says(
    kind: type[ProviderError], sent: list[str], outcome: Outcome
) -> None:
    """What never arrived was not performed; what was not answered may have been."""
    error = ended(KeyError(), sent, at=kind)
    assert isinstance(error, kind)
    assert outcome is error.outcome


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [([], NOT_PERFORMED), (["GET"], NOT_PERFORMED), (["POST"], UNKNOWN)],
)
def test_a_plugins_own_mistake_is_a_protocol_error(sent: list[str], outcome: Outcome) -> None:
    """Its kind and place are told, its text is not, as it may hold anything."""
    error = ended(KeyError("a secret"), sent)
    assert isinstance(error, ProtocolError)
    assert outcome is error.outcome
    assert "KeyError at core.tests.test_passage:" in str(error)
    assert "secret" not in "".join(traceback.format_exception(error))


def test_an_outcome_that_the_plugin_knows_is_kept() -> None:
    """Some documents say of an error that nothing was done."""
    error = ended(ProviderUnavailable("busy", outcome=NOT_PERFORMED), ["POST"])
    assert isinstance(error, ProviderUnavailable)
    assert NOT_PERFORMED is error.outcome


def test_a_plugin_may_handle_what_the_network_says() -> None:
    """Errors are thrown into the flow at the request that they are about."""

    def flow() -> Flow[str]:
        try:
            yield Request(method="GET", url=HOME)
        except ConnectFailed:
            return "handled"
        return "not reached"

    def refuse(effect: Effect) -> None:
        raise ConnectFailed("no")

    assert "handled" == played(through(flow(), Attempt().send), refuse)


def test_a_flow_that_is_closed_closes_the_plugins_flow() -> None:
    """Its `finally` runs."""
    done: list[bool] = []

    def flow() -> Flow[None]:
        try:
            yield Request(method="GET", url=HOME)
        finally:
            done.append(True)

    running = through(flow(), Attempt().send)
    next(running)
    running.close()
    assert [True] == done


# Where requests go.


@pytest.mark.parametrize(
    "url",
    [
        "https://api.acme.test/v1",
        "https://api.acme.test/v1/",
        "https://api.acme.test/v1/balance?to=https://evil.test/..",
        "https://API.acme.test/v1/balance",
        "https://api.acme.test/v1/..balance/a..b/...",
    ],
)
def test_requests_to_the_providers_own_address_pass(url: str) -> None:
    """At the base address and below it."""
    request = Request(method="GET", url=url)
    assert request is at_home(request, HOME)


ASTRAY = [
    "https://evil.test/v1/balance",
    "http://api.acme.test/v1/balance",
    "https://api.acme.test:8443/v1/balance",
    "https://api.acme.test@evil.test/v1/balance",
    "https://someone@api.acme.test/v1/balance",
    "//api.acme.test/v1/balance",
    "/v1/balance",
    "https://api.acme.test/balance",
    "https://api.acme.test/v10/balance",
    "https://api.acme.test/",
    "https://api.acme.test",
    "https://api.acme.test/v1/../admin",
    "https://api.acme.test/v1/./balance",
    "https://api.acme.test/v1/..",
    "https://api.acme.test/v1/%2e%2E/admin",
    "https://api.acme.test/v1/.%2e/admin",
]


@both_faces
@pytest.mark.parametrize("url", ASTRAY)
def test_requests_to_anywhere_else_are_not_sent(opened: Any, url: str) -> None:
    """Another server, another path, or a way out of it: the plugin is to blame."""

    class Stray(Acme):
        @hookimpl
        def balance(self) -> Flow[Money]:
            yield Request(method="GET", url=url, headers={"X-Key": self.api_key})
            return Money(0, "USD")

    server = Server()
    with opened(server, Stray()) as account, pytest.raises(PluginError, match="asks for a"):
        account.balance()
    assert [] == server.asked


def test_a_provider_may_live_at_the_root_of_its_server() -> None:
    """Then every path is below it."""
    request = Request(method="GET", url="https://api.acme.test/balance")
    assert request is at_home(request, "https://api.acme.test")


def test_the_error_does_not_show_the_address_that_was_asked_for() -> None:
    """Some providers want their key in it."""
    request = Request(method="GET", url=f"https://{KEY}@evil.test/{KEY}?key={KEY}")
    with pytest.raises(PluginError) as caught:
        at_home(request, HOME)
    assert KEY not in str(caught.value)


@both_faces
def test_a_flow_may_yield_requests_only(opened: Any) -> None:
    """Anything else is the plugin's fault, and nothing is sent."""

    class Odd(Acme):
        @hookimpl
        def balance(self) -> Flow[Money]:
            yield "GET /balance"  # type: ignore[misc]
            return Money(0, "USD")

    server = Server()
    with opened(server, Odd()) as account, pytest.raises(PluginError, match="not str"):
        account.balance()
    assert [] == server.asked


@both_faces
@pytest.mark.parametrize("given", [None, Money(1, "USD"), iter([])], ids=["None", "Money", "iter"])
def test_a_hook_must_return_a_flow(opened: Any, given: Any) -> None:
    """A value, or nothing, is the plugin's fault."""

    class Hasty(Acme):
        @hookimpl
        def balance(self) -> Flow[Money]:
            return given

    server = Server()
    with opened(server, Hasty()) as account, pytest.raises(PluginError, match="must return a flow"):
        account.balance()
    assert [] == server.asked


@both_faces
def test_a_hook_that_fails_before_its_flow_is_judged_too(opened: Any) -> None:
    """The call itself is within what is judged."""

    class Broken(Acme):
        @hookimpl
        def balance(self) -> Flow[Money]:
            raise KeyError("a secret")

    with opened(Server(), Broken()) as account, pytest.raises(ProtocolError) as caught:
        account.balance()
    assert NOT_PERFORMED is caught.value.outcome


# What errors show.


def shown(error: BaseException) -> str:
    """All that a log or an error tracker would show of an error."""
    behind = [error.__cause__, error.__context__]
    told = [
        str(error),
        repr(error),
        repr(vars(error)),
        *traceback.format_exception(error),
        *map(repr, behind),
    ]
    response = getattr(error, "response", None)
    return "\n".join([*told, repr(response and (response.headers, response.body))])


class Talkative(Guarded):
    """It writes every secret into its errors."""

    @hookimpl
    def balance(self, credential: Credential) -> Flow[Money]:
        response = yield Request(method="GET", url=f"{HOME}/balance")
        try:
            return Money.parse(credential.token)
        except ValueError as found:
            told = f"{self.api_key}, {credential.token}"
            error = InvalidRequest(told, code=f"key={self.api_key}", response=response)
            error.add_note(f"the token was {credential.token}")
            raise error from KeyError(credential.token, found)


@both_faces
def test_secrets_are_taken_out_of_all_that_an_error_shows(opened: Any) -> None:
    """Text, notes, reply, and the errors behind it."""
    echo = reply(200, f'{{"key": "{KEY}", "token": "TOKEN-1"}}'.encode(), Location=f"/?k={KEY}")
    server = Server(faults=[None, echo])
    with opened(server, Talkative()) as account, pytest.raises(InvalidRequest) as caught:
        account.balance()
    told = shown(caught.value)
    assert KEY not in told
    assert "TOKEN-1" not in told
    assert "[secret], [secret]" == str(caught.value)
    assert "key=[secret]" == caught.value.code
    assert ["the token was [secret]"] == caught.value.__notes__
    assert b'{"key": "[secret]", "token": "[secret]"}' == getattr(caught.value.response, "body", 0)
    assert "/?k=[secret]" == (caught.value.response or reply()).header("Location")


@both_faces
def test_headers_that_are_secret_by_nature_are_left_out(opened: Any) -> None:
    """Nobody knows what is in a cookie."""
    server = Server(faults=[reply(402, b"", Set_Cookie="sid=1", Authorization="x", Date="today")])
    with opened(server) as account, pytest.raises(InsufficientCredit) as caught:
        account.balance()
    assert (("Date", "today"),) == getattr(caught.value.response, "headers", None)


@both_faces
def test_a_reply_that_brings_a_token_is_not_shown(opened: Any) -> None:
    """The token in it is not known to anybody yet."""

    class Picky(Guarded):
        @hookimpl
        def authenticate(self) -> Flow[Credential]:
            response = yield Request(method="POST", url=f"{HOME}/token", safe=True)
            raise ProtocolError("no end of life", response=response)

    with opened(Server(), Picky()) as account, pytest.raises(ProtocolError) as caught:
        account.balance()
    assert b"[secret]" == getattr(caught.value.response, "body", None)


@both_faces
def test_a_refusal_of_the_key_is_shown(opened: Any) -> None:
    """Its reason may be in there."""
    server = Server(faults=[reply(401, b'{"reason": "expired"}')])
    with opened(server, Guarded()) as account, pytest.raises(AuthenticationFailed) as caught:
        account.balance()
    assert b'{"reason": "expired"}' == getattr(caught.value.response, "body", None)


@given(st.text(min_size=4), st.sampled_from(["as it is", "query", "form", "JSON", "ASCII JSON"]))
def test_a_secret_is_found_in_every_spelling(hidden: str, spelling: str) -> None:
    """As addresses, forms and JSON write it."""
    spell: dict[str, Callable[[str], str]] = {
        "as it is": str,
        "query": lambda text: quote(text, safe="", errors="replace"),
        "form": lambda text: quote_plus(text, errors="replace"),
        "JSON": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
        "ASCII JSON": lambda text: json.dumps(text)[1:-1],
    }
    body = b"<" + spell[spelling](hidden).encode(errors="replace") + b">"
    error = ProviderError("no", response=Response(status=400, body=body))
    redact(error, {hidden})
    assert b"<[secret]>" == getattr(error.response, "body", None)


def test_a_secret_within_another_does_not_save_the_rest_of_it() -> None:
    """The longer one is taken out first."""
    error = QasidError("abc and ab", 7)
    redact(error, {"ab", "abc"})
    assert ("[secret] and [secret]", 7) == error.args


def test_a_public_default_is_no_secret() -> None:
    """Where everybody knows the key, words that happen to be it stay readable."""

    @attrs.frozen(eq=False, kw_only=True)
    class Open(Acme):
        api_key: str = secret(default="acme")

    server = Server(faults=[reply(402, b"acme says no")])
    with blocking(server, Open()) as account, pytest.raises(InsufficientCredit) as caught:
        account.balance()
    assert b"acme says no" == getattr(caught.value.response, "body", None)


@both_faces
def test_the_receipts_of_refused_messages_have_an_outcome(opened: Any) -> None:
    """What a plugin leaves open is unknown, as the request was answered."""

    class Partial(Acme):
        @hookimpl
        def send(self, messages: Sequence[Any]) -> Flow[Sequence[Receipt]]:
            yield Request(method="POST", url=f"{HOME}/messages")
            refused = [ProviderUnavailable("?"), InsufficientCredit("no")]
            return [Receipt(to=TO, error=error) for error in refused]

    with opened(Server(), Partial()) as account:
        receipts = account.send_many([HELLO, HELLO])
    assert [UNKNOWN, NOT_PERFORMED] == [receipt.outcome for receipt in receipts]
