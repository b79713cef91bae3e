"""Each account has its own plugins, and nothing else answers or listens for it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import pluggy
import pytest

from qasid import finding, hookspecs
from qasid.effects import Flow, Request
from qasid.errors import (
    InvalidRequest,
    Outcome,
    PluginError,
    ProtocolError,
    UnsupportedOperation,
)
from qasid.hookspecs import HOOKS, PAID_HOOKS, hookimpl
from qasid.line import Line
from qasid.settings import Options, Resolved
from qasid.values import Credential, InboundMessage, Money

from .acme import FACES, KEY, Acme, Guarded, Server, blocking

both_faces = pytest.mark.parametrize("opened", FACES)
HOOK = Request(method="POST", url="https://mine.test/hook", json={"text": "hello"})


def line(provider: object, *wrappers: object) -> Line:
    return Line(
        Resolved(account="work", provider_name="acme", provider=provider, options=Options()),
        wrappers,
    )


# Wrappers.


class Doubling:
    """A wrapper that looks at the flow of a hook, and gives another."""

    def __init__(self) -> None:
        self.seen: list[Money] = []

    @hookimpl(wrapper=True)
    def balance(self) -> Generator[None, Flow[Money], Flow[Money]]:
        flow = yield
        return self._doubled(flow)

    def _doubled(self, flow: Flow[Money]) -> Flow[Money]:
        found = yield from flow
        self.seen.append(found)
        return found + found


@both_faces
def test_a_wrapper_sees_and_may_change_what_a_hook_gives(opened: Any) -> None:
    """It is put around the flow."""
    wrapper = Doubling()
    with opened(Server(), Acme(), [wrapper]) as account:
        assert Money("2.00", "USD") == account.balance()
    assert [Money("1.00", "USD")] == wrapper.seen


@both_faces
def test_a_wrapper_may_keep_a_hook_from_being_called(opened: Any) -> None:
    """What it raises instead is raised, and nothing is sent."""

    class Closed:
        @hookimpl(wrapper=True)
        def balance(self) -> Generator[None, Any, Any]:
            yield
            raise InvalidRequest("not on Fridays")

    server = Server()
    with opened(server, Acme(), [Closed()]) as account, pytest.raises(InvalidRequest):
        account.balance()
    assert [] == server.asked


@both_faces
def test_a_wrapper_is_given_the_arguments_that_it_names(opened: Any) -> None:
    """Also the credential, where the provider has one."""
    seen: list[str] = []

    class Curious:
        @hookimpl(wrapper=True)
        def balance(self, credential: Credential) -> Generator[None, Any, Any]:
            seen.append(credential.token)
            return (yield)

    with opened(Server(), Guarded(), [Curious()]) as account:
        account.balance()
    assert ["TOKEN-1"] == seen


@both_faces
def test_a_wrappers_requests_stay_at_home_too(opened: Any) -> None:
    """It cannot carry the account's secrets elsewhere."""

    class Spy:
        @hookimpl(wrapper=True)
        def balance(self) -> Generator[None, Any, Flow[Money]]:
            yield
            return self._told()

        def _told(self) -> Flow[Money]:
            yield Request(method="GET", url="https://evil.test/")
            return Money(0, "USD")

    server = Server()
    with opened(server, Acme(), [Spy()]) as account, pytest.raises(PluginError):
        account.balance()
    assert [] == server.asked


def test_two_accounts_never_see_each_others_plugins() -> None:
    """What is put around one is not put around the other, and each asks its own provider."""
    one, two = Server(), Server(price="9.00 USD")
    wrapper = Doubling()
    with blocking(one, Acme(), [wrapper]) as mine, blocking(two, Acme()) as other:
        assert Money("1.00", "USD") == other.balance()
        assert [] == wrapper.seen
        assert [] == one.asked
        mine.offers()
    assert ["GET /balance"] == two.asked


def test_what_one_provider_cannot_do_is_not_done_by_another() -> None:
    """No other account's provider answers for it."""
    one, two = Server(), Server()
    mine = blocking(one, Guarded())
    with blocking(two, Acme()), mine as account, pytest.raises(UnsupportedOperation):
        account.otp("+989121112233")
    assert [[], []] == [one.asked, two.asked]


# Plugins that are broken.


def test_a_misspelt_hook_is_found_when_the_account_is_opened() -> None:
    """Otherwise it would never be called, and nobody would know."""

    class Misspelt(Acme):
        @hookimpl
        def balanse(self) -> Flow[Money]:
            raise NotImplementedError

    with pytest.raises(PluginError, match="'acme' is broken: unknown hook 'balanse'"):
        line(Misspelt())


def test_an_argument_that_no_hook_has_is_found_when_the_account_is_opened() -> None:
    """It could not be given."""

    class Greedy(Acme):
        @hookimpl
        def balance(self, password: str) -> Flow[Money]:  # type: ignore[override]
            raise NotImplementedError

    with pytest.raises(PluginError, match="'acme' is broken"):
        line(Greedy())


def test_a_wrapper_that_is_given_twice_is_found_when_the_account_is_opened() -> None:
    """It would be called once only."""
    wrapper = Doubling()
    with pytest.raises(PluginError, match="already registered"):
        line(Acme(), wrapper, wrapper)


def test_what_opening_an_account_raises_shows_no_key() -> None:
    """A plugin is shown by its `repr`, in which secrets have no place."""

    class Misspelt(Acme):
        @hookimpl
        def balanse(self) -> Flow[Money]:
            raise NotImplementedError

    with pytest.raises(PluginError) as caught:
        line(Misspelt())
    assert KEY not in repr(caught.value)


def test_attributes_that_fail_are_not_read() -> None:
    """Looking for hooks runs nothing of the provider."""

    class Touchy(Acme):
        @property
        def weather(self) -> str:
            raise RuntimeError(self.api_key)

    with blocking(Server(), Touchy()) as account:
        assert Money("1.00", "USD") == account.balance()


# What is not there.


@both_faces
def test_what_a_provider_has_not_is_refused_and_nothing_is_sent(opened: Any) -> None:
    """The error names the operation."""
    server = Server()
    with opened(server, Guarded()) as account:
        calls: dict[str, Callable[[], object]] = {
            "offers": account.offers,
            "fetch_sms": lambda: account.wait_for_sms(None),
            "release": lambda: account.release(None),
            "otp": lambda: account.otp("+989121112233"),
            "verify_otp": lambda: account.verify_otp("+989121112233", "1"),
            "delivery_status": lambda: account.delivery_status([]),
            "parse_webhook": lambda: account.parse_webhook(HOOK),
        }
        for hook, call in calls.items():
            with pytest.raises(UnsupportedOperation, match=f"acme has no {hook};"):
                call()
    assert [] == server.asked


def test_the_error_names_the_installed_providers_that_can() -> None:
    """So that one of them may be chosen."""
    able = ", ".join(finding.providers_with("otp")) or "none"
    with pytest.raises(UnsupportedOperation, match=f"that have: {able}$"):
        line(Guarded()).require("otp")


# Webhooks: the one hook that is no flow.


@both_faces
def test_a_webhook_is_read_and_nothing_is_sent(opened: Any) -> None:
    """It holds all that is needed."""
    server = Server()
    with opened(server) as account:
        assert [InboundMessage(text="hello")] == account.parse_webhook(HOOK.encode())
    assert [] == server.asked


@both_faces
def test_a_webhook_that_the_provider_would_not_send_is_a_protocol_error(opened: Any) -> None:
    """And nothing was performed by reading it."""
    with opened(Server()) as account, pytest.raises(ProtocolError) as caught:
        account.parse_webhook(Request(method="POST", url="https://mine.test/hook").encode())
    assert Outcome.NOT_PERFORMED is caught.value.outcome


@both_faces
def test_a_plugin_that_fails_to_read_a_webhook_shows_nothing_of_it(opened: Any) -> None:
    """Only the kind of its mistake."""

    class Clumsy(Acme):
        @hookimpl
        def parse_webhook(self, request: Request) -> Sequence[Any]:
            raise KeyError(request.payload()["text"])

    with opened(Server(), Clumsy()) as account, pytest.raises(ProtocolError) as caught:
        account.parse_webhook(HOOK.encode())
    assert "KeyError" in str(caught.value)
    assert "hello" not in str(caught.value)
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


@both_faces
@pytest.mark.parametrize("given", [None, "text", [None], [Money(0, "USD")]])
def test_a_webhook_gives_messages_and_reports_only(opened: Any, given: Any) -> None:
    """Anything else is the plugin's fault."""

    class Odd(Acme):
        @hookimpl
        def parse_webhook(self, request: Request) -> Sequence[Any]:
            return given

    with opened(Server(), Odd()) as account, pytest.raises(PluginError, match="a hook gave a"):
        account.parse_webhook(HOOK.encode())


# The table of hooks.


def test_every_hook_is_specified_and_in_the_table() -> None:
    """`HOOKS` is what documents and matrices are made from."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    assert sorted(HOOKS) == sorted(name for name in vars(manager.hook) if name[0] != "_")
    assert PAID_HOOKS <= set(HOOKS)


def test_the_address_of_a_provider_is_a_setting() -> None:
    """Its requests go there, and to no other place."""
    server = Server()
    with blocking(server, Acme(base_url="http://localhost:8080/v1")) as account:
        account.balance()
    assert ["http://localhost:8080"] == [request.origin for request in server.requests]
