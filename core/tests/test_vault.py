"""What an owner granted: found again, renewed once by whoever comes first, never lost."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from qasid.account import AsyncAccount, connect, connect_async
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.virtual import virtual_driver
from qasid.effects import Flow, Request, Response
from qasid.errors import (
    AuthenticationFailed,
    ConnectFailed,
    PluginError,
    ProtocolError,
    ProviderUnavailable,
    SettingsError,
    UnsupportedOperation,
)
from qasid.hookspecs import hookimpl
from qasid.routing import Route
from qasid.settings import Options, Resolved
from qasid.tokens import Entry, Grant
from qasid.values import Credential, Money, Offer
from qasid.vault import vault

from .acme import FACES, Acme, Server, blocking, operations
from .granting import ENTRY, Authority, Granting, MemoryStore

both_faces = pytest.mark.parametrize("opened", FACES)
ONE: Final = Money("1.00", "USD")


@pytest.fixture
def server() -> Authority:
    return Authority()


@pytest.fixture
def store(server: Authority) -> MemoryStore:
    """It notes what is saved among what the server is asked."""
    return MemoryStore(server.events)


def loose(server: Authority, store: MemoryStore, number: int = 0) -> None:
    """A login of another process."""
    server.made = number
    store.grants[ENTRY] = server.grant(number)
    server.valid = {f"R-{number}"}


# Found again.


@both_faces
def test_what_is_kept_is_used_without_asking(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """A new process asks for no token while the old one is good."""
    store.grants[ENTRY] = server.grant()
    with opened(server, Granting(), store=store) as account:
        assert [ONE, ONE] == [account.balance(), account.balance()]
    assert ["GET /balance"] * 2 == server.events


@both_faces
def test_what_is_renewed_is_saved_before_it_is_used(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """The old refresh token is void by then: a crash from now on loses nothing."""
    with opened(server, Granting(refresh_token="R-0"), store=store) as account:
        account.balance()
    assert ["POST /token", "save A-1", "GET /balance"] == server.events
    assert "R-1" == store.grants[ENTRY].credential.refresh_token


@pytest.mark.parametrize(("left", "renewals"), [(61.0, 0), (60.0, 1), (-86_400.0, 1)])
def test_what_is_kept_is_renewed_a_minute_before_it_ends(
    server: Authority, store: MemoryStore, left: float, renewals: int
) -> None:
    """By the moment that was written down with it; also long after that."""
    store.grants[ENTRY] = server.grant(life=left)
    with blocking(server, Granting(), store=store) as account:
        account.balance()
    assert renewals == server.renewals


@pytest.mark.parametrize("skew", [-86_400.0, 86_400.0])
def test_a_clock_that_is_wrong_costs_one_renewal(
    server: Authority, store: MemoryStore, skew: float
) -> None:
    """A clock behind learns from the refusal; one ahead renews what was still good."""
    store.grants[ENTRY] = server.grant(life=3600)
    server.made, server.valid = 1 if skew < 0 else 0, {"R-0"}
    server.clock.seconds += skew
    with blocking(server, Granting(), store=store) as account:
        assert ONE == account.balance()
        assert ONE == account.balance()
    assert 1 == server.renewals


def test_a_short_life_is_good_in_the_next_process_too(
    server: Authority, store: MemoryStore
) -> None:
    """Though it ends within the minute."""
    server.life = 50
    for _ in range(3):
        with blocking(server, Granting(refresh_token="R-0"), store=store) as account:
            account.balance()
    assert 1 == server.renewals


# Once for all processes.


@both_faces
def test_a_refused_token_is_replaced_by_a_newer_one_that_is_kept(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """Another process has renewed it: nothing is asked for."""
    loose(server, store)
    with opened(server, Granting(), store=store) as account:
        account.balance()
        loose(server, store, number=5)
        assert ONE == account.balance()
    assert 0 == server.renewals


@both_faces
def test_a_refused_token_is_renewed_by_the_refresh_token_that_is_kept(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """As the one that is here was used up by another process."""
    loose(server, store)
    with opened(server, Granting(), store=store) as account:
        account.balance()
        server.made, server.valid = 5, {"R-4"}
        store.grants[ENTRY] = server.grant(4)
        assert ONE == account.balance()
    assert (1, 6) == (server.renewals, server.made)


@both_faces
def test_whoever_waits_for_the_lock_takes_what_was_renewed_meanwhile(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """So many processes renew once."""
    store.grants[ENTRY] = server.grant(life=-1)
    store.busy, store.meanwhile = 3, lambda: loose(server, store, number=1)
    with opened(server, Granting(), store=store) as account:
        assert ONE == account.balance()
    assert (0, 0) == (server.renewals, store.busy)
    assert not store.locked.locked()


@both_faces
def test_a_lock_that_is_never_free_ends_in_an_error(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """After five minutes; no refresh token is spent."""
    store.busy = float("inf")
    with (
        opened(server, Granting(refresh_token="R-0"), store=store) as account,
        pytest.raises(SettingsError, match="has been renewing them for 300 s"),
    ):
        account.balance()
    assert [] == server.events
    assert 300 <= server.clock.seconds < 301


def test_threads_of_one_account_renew_once(server: Authority, store: MemoryStore) -> None:
    """One goes to the vault, and the others wait for what it brings."""
    with blocking(server, Granting(refresh_token="R-0"), store=store) as account:
        threads = [threading.Thread(target=account.balance) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (1, 20) == (server.renewals, server.events.count("GET /balance"))


class Selling(Granting):
    """It has offers, of which there are none."""

    @hookimpl
    def offers(self, credential: Credential) -> Flow[list[Offer]]:
        yield from self.balance(credential)
        return []


def test_an_account_of_a_route_renews_its_own(server: Authority, store: MemoryStore) -> None:
    """Its requests go to its own provider, those for tokens as well."""
    with blocking(server, Selling(refresh_token="R-0"), store=store) as account:
        assert [] == Route("several", [account]).offers()
    assert ["POST /token", "save A-1", "GET /balance"] == server.events


# Never lost.


@both_faces
def test_a_renewal_that_cannot_be_saved_is_used_all_the_same(
    opened: Any, server: Authority, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    """And said loudly, without a secret. The next one is made with it, and saved."""
    store.full = True
    with opened(server, Granting(refresh_token="R-0"), store=store) as account:
        assert [ONE, ONE] == [account.balance(), account.balance()]
        (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
        assert "in this process alone" in record.getMessage()
        assert not {"A-1", "R-1"} & {*record.getMessage().split()}
        store.full, server.made = False, 10
        assert ONE == account.balance()
    assert "R-11" == store.grants[ENTRY].credential.refresh_token


def test_a_store_that_breaks_its_promise_loses_nothing(
    server: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """One of somebody else's may fail in any way; what it says is not repeated."""

    class Odd(MemoryStore):
        def save(self, entry: Entry, grant: Grant) -> None:
            raise KeyError(grant.credential.token)

    with blocking(server, Granting(refresh_token="R-0"), store=Odd()) as account:
        assert [ONE, ONE] == [account.balance(), account.balance()]
    assert "the store failed (KeyError)" in caplog.text
    assert "A-1" not in caplog.text


@both_faces
def test_a_new_login_mends_a_process_whose_own_tokens_are_void(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """What could not be saved is given up once it is refused."""
    loose(server, store)
    store.full, server.made = True, 1
    with opened(server, Granting(), store=store) as account:
        account.balance()
        server.made, server.valid = 7, set()
        with pytest.raises(AuthenticationFailed):
            account.balance()
        loose(server, store, number=7)
        assert ONE == account.balance()


class Held:
    """A transport whose answers for tokens wait for `go`; it tells when one is there."""

    def __init__(self, server: Authority) -> None:
        self.server = server
        self.came, self.go = asyncio.Event(), asyncio.Event()

    async def send(self, request: Request) -> Response:
        response = self.server.handle(request.encode())
        if request.path.endswith("/token"):
            self.came.set()
            await self.go.wait()
        return response

    async def close(self) -> None:
        """Nothing to give back."""


@pytest.mark.parametrize("void", [False, True])
def test_a_task_that_is_cancelled_while_it_renews_loses_nothing(
    server: Authority, store: MemoryStore, void: bool
) -> None:
    """The answer is waited for, and saved; the cancellation comes then."""
    made = operations(Granting(refresh_token="VOID" if void else "R-0"), store=store)

    async def cancelled() -> None:
        held = Held(server)
        account = AsyncAccount(made, AsyncDriver(held))
        task = asyncio.create_task(account.balance())
        await asyncio.wait_for(held.came.wait(), 60)
        task.cancel()
        held.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    made.rentals.close()
    assert ["POST /token", *([] if void else ["save A-1"])] == server.events
    assert not store.locked.locked()


@pytest.fixture
def _interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_while_it_renews_loses_nothing(server: Authority, store: MemoryStore) -> None:
    """The answer is waited for, and saved; the interrupt comes then."""
    server.cue = lambda: os.kill(os.getpid(), signal.SIGINT)
    with (
        blocking(server, Granting(refresh_token="R-0"), store=store) as account,
        pytest.raises(KeyboardInterrupt),
    ):
        account.balance()
    assert ["POST /token", "save A-1"] == server.events[:2]
    assert not store.locked.locked()


@both_faces
def test_tokens_without_a_refresh_token_are_not_kept(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """They are good for the process that got them; there is nothing to be lost."""
    server.renews = False
    with opened(server, Granting(refresh_token="R-0"), store=store) as account:
        assert [ONE, ONE] == [account.balance(), account.balance()]
    assert ({}, 1) == (store.grants, server.renewals)


# What the settings have.


def test_the_refresh_token_of_the_settings_is_where_it_begins(
    server: Authority, store: MemoryStore
) -> None:
    """What descends from it is used then, as it may be void."""
    for _ in range(2):
        with blocking(server, Granting(refresh_token="R-0"), store=store) as account:
            account.balance()
        server.made += 1  # every process is refused once
        server.valid |= {"R-1", "R-3"}
    assert 2 == server.renewals


def test_another_refresh_token_in_the_settings_counts(
    server: Authority, store: MemoryStore
) -> None:
    """It was put there after what is kept; without one, what is kept is used again."""
    with blocking(server, Granting(refresh_token="R-0"), store=store) as account:
        account.balance()
    server.valid = {"NEW"}
    with blocking(server, Granting(refresh_token="NEW"), store=store) as account:
        account.balance()
    with blocking(server, Granting(), store=store) as account:
        account.balance()
    assert 2 == server.renewals


# In, and out.


@both_faces
def test_a_code_lets_in_and_what_it_gives_is_kept(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """It is saved, and used from then on."""
    with opened(server, Granting(), store=store) as account:
        assert "/authorize?state=S" in account.authorize_url("S")
        assert "A-1" == account.exchange_code("CODE").token
        account.balance()
    assert ["POST /token", "save A-1", "GET /balance"] == server.events


@both_faces
def test_a_code_that_was_used_tells_the_remedy_and_not_the_code(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """By the name of the account; neither the text nor the reply has the code."""
    with opened(server, Granting(), store=store) as account:
        account.exchange_code("CODE")
        with pytest.raises(AuthenticationFailed, match="run: qasid login work") as caught:
            account.exchange_code("CODE")
    assert b'{"was": "[secret]"}' == getattr(caught.value.response, "body", None)
    assert "A-1" == store.grants[ENTRY].credential.token


def test_a_reply_with_tokens_that_is_no_good_shows_none(store: MemoryStore) -> None:
    """An error that comes of it has the reply, without its body."""

    class Vague(Granting):
        def exchange_code(self, code: str) -> Flow[Credential]:
            response = yield Request(method="POST", url=f"{self.base_url}/token")
            raise ProtocolError("it is odd", response=response)

    with (
        blocking(Server(), Vague(), store=store) as account,
        pytest.raises(ProtocolError) as caught,
    ):
        account.exchange_code("CODE")
    assert b"[secret]" == getattr(caught.value.response, "body", None)


def test_a_code_is_sent_again_only_where_it_never_arrived(store: MemoryStore) -> None:
    """It works once."""
    server = Server(faults=[ConnectFailed("no"), Response(status=503)])
    with (
        blocking(server, Granting(), store=store) as account,
        pytest.raises(ProviderUnavailable, match="not now"),
    ):
        account.exchange_code("CODE")
    assert ["POST /token"] * 2 == server.asked


@both_faces
def test_a_login_that_cannot_be_kept_is_an_error(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """Nobody is told that it went well; where that is known before, the code is not used."""
    with opened(server, Granting(), store=store) as account:
        store.full = True
        with pytest.raises(SettingsError, match="is full"):
            account.exchange_code("CODE")
        store.busy = float("inf")
        with pytest.raises(SettingsError, match="300 s"):
            account.exchange_code("CODE")
    assert 1 == server.renewals


@both_faces
def test_a_login_without_a_vault_is_good_for_its_process(opened: Any, server: Authority) -> None:
    """As for a program that keeps tokens itself."""
    with opened(server, Granting()) as account:
        assert account.vault is None
        account.exchange_code("CODE")
        assert ONE == account.balance()
        assert not account.logout()
        with pytest.raises(AuthenticationFailed, match="nobody is logged in"):
            account.balance()


@both_faces
def test_a_logout_throws_everything_away(
    opened: Any, server: Authority, store: MemoryStore
) -> None:
    """What is kept, and what is here."""
    loose(server, store)
    with opened(server, Granting(), store=store) as account:
        account.balance()
        assert [True, False] == [account.logout(), account.logout()]
        with pytest.raises(AuthenticationFailed, match="run: qasid login work"):
            account.balance()
    assert {} == store.grants


def test_a_logout_by_another_process_is_not_undone(server: Authority, store: MemoryStore) -> None:
    """The token that is here is used to its end, and not renewed."""
    store.grants[ENTRY] = server.grant(life=3600)
    with blocking(server, Granting(), store=store) as account:
        account.balance()
        store.grants.clear()
        account.balance()
        server.clock.seconds += 3600
        with pytest.raises(AuthenticationFailed, match="nobody is logged in"):
            account.balance()
    assert {} == store.grants


@both_faces
def test_a_provider_without_a_login_says_so(opened: Any) -> None:
    """Nothing is sent."""
    server = Server()
    with opened(server, Acme()) as account:
        calls: list[Callable[[], object]] = [
            lambda: account.authorize_url("S"),
            lambda: account.exchange_code("CODE"),
            lambda: account.logout(),
        ]
        for call in calls:
            with pytest.raises(UnsupportedOperation, match="acme has no login"):
                call()
    assert [] == server.asked


def test_a_plugin_that_gives_no_credential_is_at_fault(store: MemoryStore) -> None:
    """It is told which of its functions."""

    class Odd(Granting):
        def exchange_code(self, code: str) -> Flow[Credential]:
            yield from ()
            return "TOKEN"  # type: ignore[return-value]

    with (
        blocking(Server(), Odd(), store=store) as account,
        pytest.raises(PluginError, match="exchange_code gave a str"),
    ):
        account.exchange_code("CODE")


# Which accounts have a vault.


def resolved(provider: Any, **options: Any) -> Resolved:
    return Resolved(
        account="work", provider_name="acme", provider=provider, options=Options(**options)
    )


def test_a_vault_is_for_providers_that_ask_an_owner_alone(store: MemoryStore) -> None:
    """Nor for those of them that end with the process, or if it is not wanted."""
    assert vault(resolved(Acme()), store) is None
    assert vault(resolved(Granting(base_url="emulator://acme"))) is None
    assert vault(resolved(Granting(), tokens="none"), store) is None
    made = vault(resolved(Granting(refresh_token="SECRET")))
    assert "<Vault of 'work'>" == repr(made)
    assert ENTRY == getattr(made, "entry", None)


@pytest.mark.parametrize("settings", [{}, {"tokens": "none"}])
def test_an_account_over_another_driver_keeps_its_tokens_apart(
    server: Authority, store: MemoryStore, settings: dict[str, str]
) -> None:
    """What stands in for the provider must not get among the tokens of the real one."""
    driver = virtual_driver(server.handle, server.clock)
    given: dict[str, Any] = {"client_id": "C", "client_secret": "S", **settings}
    with connect("myonlinesim", driver=driver, **given) as account:
        assert account.vault is None
    with connect("myonlinesim", driver=driver, token_store=store, **given) as account:
        assert (account.vault is None) == bool(settings)
    with connect("myonlinesim", **given) as account:
        assert (account.vault is None) == bool(settings)


def test_an_async_account_has_a_vault_as_well(server: Authority, store: MemoryStore) -> None:
    """Of the same store."""

    async def whether() -> bool:
        driver = AsyncDriver(AsyncPlug(Plug(server.handle)))
        given: dict[str, Any] = {"client_id": "C", "client_secret": "S", "token_store": store}
        async with connect_async("myonlinesim", driver=driver, **given) as account:
            return account.vault is not None

    assert asyncio.run(whether())
