"""One credential for each account: asked for when needed, once, and renewed in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.sync import SyncDriver, SystemClock
from qasid.effects import Flow, Request, Response
from qasid.errors import (
    AuthenticationFailed,
    NoAnswer,
    Outcome,
    PluginError,
    ProviderError,
    ProviderUnavailable,
    UnsupportedOperation,
)
from qasid.hookspecs import hookimpl
from qasid.values import Credential, Money, TextMessage

from .acme import FACES, HOME, KEY, TO, Acme, Guarded, Server, blocking, operations, reply

both_faces = pytest.mark.parametrize("opened", FACES)
HELLO = TextMessage(to=TO, text="hello")
ONE = Money("1.00", "USD")


def tokens(server: Server) -> list[str | None]:
    """The token of each request but those for a token."""
    wanted = [request for request in server.requests if not request.path.endswith("/token")]
    return [(request.header("Authorization") or "").removeprefix("Bearer ") for request in wanted]


@both_faces
def test_a_key_needs_no_authentication(opened: Any) -> None:
    """A provider whose hooks name no credential spends no request on one."""
    server = Server()
    with opened(server, Acme()) as account:
        account.balance()
    assert ["GET /balance"] == server.asked


@both_faces
def test_one_token_serves_many_calls(opened: Any) -> None:
    """It is asked for when it is first needed, and then kept."""
    server = Server()
    with opened(server, Guarded()) as account:
        assert [] == server.asked
        for _ in range(5):
            account.balance()
    assert ["POST /token", *["GET /balance"] * 5] == server.asked
    assert ["TOKEN-1"] * 5 == tokens(server)


@both_faces
def test_authenticate_gives_the_credential_that_calls_use(opened: Any) -> None:
    """It is obtained once, whoever asks for it."""
    server = Server()
    with opened(server, Guarded()) as account:
        assert "TOKEN-1" == account.authenticate().token
        account.balance()
    assert ["POST /token", "GET /balance"] == server.asked


@both_faces
def test_authenticate_is_unsupported_where_there_is_no_token(opened: Any) -> None:
    """Nothing is sent for it either."""
    server = Server()
    with opened(server, Acme()) as account, pytest.raises(UnsupportedOperation):
        account.authenticate()
    assert [] == server.asked


@pytest.mark.parametrize(
    ("life", "kept", "renewed"),
    [(3600, 3539.9, 3540.0), (60, 53.9, 54.0), (30, 26.9, 27.0), (1, 0.89, 0.9)],
)
def test_a_token_is_renewed_before_it_ends(life: int, kept: float, renewed: float) -> None:
    """A minute before its end, or a tenth of a short life before it."""
    server = Server(life=life)
    with blocking(server, Guarded()) as account:
        for moment in (0.0, kept, renewed):
            server.clock.seconds = moment
            account.balance()
    assert ["TOKEN-1", "TOKEN-1", "TOKEN-2"] == tokens(server)


def test_a_token_without_an_end_is_kept() -> None:
    """Where the provider names no end, only a refusal ends it."""
    server = Server(life=None)
    with blocking(server, Guarded()) as account:
        account.balance()
        server.clock.seconds = 1e9
        account.balance()
    assert 1 == server.tokens


def test_a_token_that_is_over_when_it_comes_is_used_once() -> None:
    """An absurd life asks for a token with each call, and for no more than that."""
    server = Server(life=-5)
    with blocking(server, Guarded()) as account:
        account.balance()
        account.balance()
    assert ["TOKEN-1", "TOKEN-2"] == tokens(server)


@both_faces
def test_a_refused_token_is_renewed_once_and_the_call_repeated(opened: Any) -> None:
    """A provider may end a token early; the caller does not notice."""
    server = Server(faults=[None, reply(401)])
    with opened(server, Guarded()) as account:
        assert ONE == account.balance()
    assert ["TOKEN-1", "TOKEN-2"] == tokens(server)


@both_faces
def test_a_paid_call_is_repeated_too_as_it_was_refused(opened: Any) -> None:
    """Nobody is texted twice by it."""
    server = Server(faults=[None, reply(401)])
    with opened(server, Guarded()) as account:
        account.send(HELLO)
    assert [TO] == server.acts


@both_faces
def test_a_second_refusal_is_raised(opened: Any) -> None:
    """One new token for a call, not more."""
    server = Server(faults=[None, reply(401), None, reply(401)])
    with opened(server, Guarded()) as account, pytest.raises(AuthenticationFailed):
        account.balance()
    assert 2 == server.tokens


@both_faces
def test_a_refusal_that_may_come_after_the_act_is_not_repeated(opened: Any) -> None:
    """A plugin that calls the outcome unknown is believed."""

    class Doubtful(Guarded):
        @hookimpl
        def balance(self, credential: Credential) -> Flow[Money]:
            yield Request(method="POST", url=f"{HOME}/balance")
            raise AuthenticationFailed("who are you?", outcome=Outcome.UNKNOWN)

    server = Server()
    with opened(server, Doubtful()) as account, pytest.raises(AuthenticationFailed):
        account.balance()
    assert ["POST /token", "POST /balance"] == server.asked


@both_faces
@pytest.mark.parametrize(
    ("fault", "kind"),
    [(401, AuthenticationFailed), (500, ProviderUnavailable), (None, NoAnswer)],
)
def test_without_a_token_the_act_was_not_performed(
    opened: Any, fault: int | None, kind: type[ProviderError]
) -> None:
    """Whatever becomes of the token, nothing was bought."""
    server = Server()
    server.faults.extend(reply(fault) if fault else NoAnswer("cut") for _ in range(3))
    with opened(server, Unsafe()) as account, pytest.raises(kind) as caught:
        account.send(HELLO)
    assert Outcome.NOT_PERFORMED is caught.value.outcome
    assert [] == tokens(server)


@attrs.frozen(eq=False, kw_only=True)
class Unsafe(Guarded):
    """Its tokens must not be asked for twice."""

    @hookimpl
    def authenticate(self) -> Flow[Credential]:
        response = yield Request(method="POST", url=f"{self.base_url}/token")
        if response.status == 401:
            raise AuthenticationFailed("no")
        if not response.ok:
            raise ProviderUnavailable("no")
        return Credential(token="T")


@both_faces
def test_a_provider_is_told_the_credential_that_ended(opened: Any) -> None:
    """Its refresh token gets the next one."""
    told: list[Credential | None] = []

    class Refreshing(Guarded):
        @hookimpl
        def authenticate(  # type: ignore[override]
            self, credential: Credential | None
        ) -> Flow[Credential]:
            told.append(credential)
            return (yield from Guarded.authenticate(self))

    server = Server(faults=[None, reply(401)])
    with opened(server, Refreshing()) as account:
        account.balance()
    assert [None, "TOKEN-1"] == [credential and credential.token for credential in told]


@both_faces
def test_a_credential_of_a_wrong_type_is_the_plugins_fault_each_time(opened: Any) -> None:
    """The next call asks again, and does not wait for what never comes."""

    class Vague(Guarded):
        @hookimpl
        def authenticate(self) -> Flow[Credential]:
            yield from ()
            return "TOKEN"  # type: ignore[return-value]

    with opened(Server(), Vague()) as account:
        for _ in range(2):
            with pytest.raises(PluginError, match="authenticate gave a str"):
                account.balance()


@both_faces
def test_a_wrapper_may_name_a_credential_where_there_is_none(opened: Any) -> None:
    """It is given None, and nothing is asked for."""
    seen: list[object] = []

    class Curious:
        @hookimpl(wrapper=True)
        def balance(self, credential: Credential) -> Generator[None, Any, Any]:
            seen.append(credential)
            return (yield)

    server = Server()
    with opened(server, Acme(), [Curious()]) as account:
        account.balance()
    assert [None] == seen
    assert ["GET /balance"] == server.asked


# One at a time.


class Counting(SystemClock):
    """A clock that can be waited for until it was read so often."""

    def __init__(self) -> None:
        self._read = threading.Semaphore(0)

    def now(self) -> datetime:  # type: ignore[override]
        self._read.release()
        return datetime.now(UTC)

    def readings(self, count: int) -> None:
        for _ in range(count):
            assert self._read.acquire(timeout=30)


def crowd(server: Server, size: int, first: Callable[[Request], Response]) -> list[object]:
    """What so many threads get that all ask for a token while the first waits for its own."""
    clock = Counting()

    def token(request: Request) -> Response:
        clock.readings(size)  # each thread reads it before it looks for a credential
        return first(request)

    server.faults.append(token)
    made = operations(Guarded())
    account = Account(made, SyncDriver(Plug(server.handle), clock))

    def call(_: int) -> object:
        try:
            return account.balance()
        except BaseException as error:
            return type(error)

    with ThreadPoolExecutor(size) as pool:
        results = list(pool.map(call, range(size)))
    made.rentals.close()
    return results


def test_50_threads_ask_for_one_token() -> None:
    """One asks and 49 wait for what it gets."""
    server = Server()
    assert [ONE] * 50 == crowd(server, 50, server.answer)
    assert 1 == server.asked.count("POST /token")


def test_50_threads_get_the_error_of_the_one_that_asked() -> None:
    """A key that is refused is not tried 50 times."""
    server = Server()
    assert [AuthenticationFailed] * 50 == crowd(server, 50, lambda request: reply(401))
    assert ["POST /token"] == server.asked


def test_a_thread_that_is_interrupted_leaves_the_asking_to_another() -> None:
    """The interrupt is its own; the others get their answer."""

    def interrupted(request: Request) -> Response:
        raise KeyboardInterrupt

    server = Server()
    results = crowd(server, 20, interrupted)
    assert [ONE] * 19 == [result for result in results if result == ONE]
    assert 1 == results.count(KeyboardInterrupt)
    assert 2 == server.asked.count("POST /token")


@attrs.define(eq=False)
class Gate:
    """A transport whose first request is answered when `open` is set."""

    server: Server
    open: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def send(self, request: Request) -> Response:
        first = not self.server.requests
        response = self.server.handle(request)
        if first:
            await self.open.wait()
        return response

    async def close(self) -> None:
        """Nothing to give back."""


def gathered(server: Server, size: int, *, cancel: bool = False) -> list[Any]:
    """What so many tasks get that all ask for a token while the first waits for its own."""
    made = operations(Guarded())

    async def everybody() -> list[Any]:
        gate = Gate(server)
        account = AsyncAccount(made, AsyncDriver(gate))
        tasks = [asyncio.create_task(account.balance()) for _ in range(size)]
        for _ in range(10):  # the first comes to its request, and the others to wait for it
            await asyncio.sleep(0)
        if cancel:
            tasks[0].cancel()
        gate.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(asyncio.wait_for(everybody(), 60))
    made.rentals.close()
    return results


def test_200_tasks_ask_for_one_token() -> None:
    """One asks and 199 wait for what it gets, within one event loop."""
    server = Server()
    assert [ONE] * 200 == gathered(server, 200)
    assert 1 == server.asked.count("POST /token")


def test_200_tasks_get_the_error_of_the_one_that_asked() -> None:
    """A key that is refused is not tried 200 times."""
    server = Server(faults=[reply(401)])
    assert {AuthenticationFailed} == {type(result) for result in gathered(server, 200)}
    assert ["POST /token"] == server.asked


def test_a_task_that_is_cancelled_leaves_the_asking_to_another() -> None:
    """The cancellation is its own; the others get their answer."""
    server = Server()
    first, *others = gathered(server, 200, cancel=True)
    assert isinstance(first, asyncio.CancelledError)
    assert [ONE] * 199 == others
    assert 2 == server.asked.count("POST /token")


def test_a_task_that_waits_can_be_cancelled_alone() -> None:
    """The one that asks, and those that wait with it, go on."""
    server, made = Server(), operations(Guarded())

    async def everybody() -> list[Any]:
        gate = Gate(server)
        account = AsyncAccount(made, AsyncDriver(gate))
        tasks = [asyncio.create_task(account.balance()) for _ in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(everybody())
    made.rentals.close()
    assert isinstance(second, asyncio.CancelledError)
    assert [ONE, ONE] == [first, third]


def test_a_key_does_not_show_in_a_refusal() -> None:
    """Neither in the text nor in the reply, whatever the provider sends back."""
    server = Server(faults=[reply(401, f"no such key: {KEY}".encode())])
    with blocking(server, Guarded()) as account, pytest.raises(AuthenticationFailed) as caught:
        account.balance()
    assert b"no such key: [secret]" == getattr(caught.value.response, "body", None)


def test_plugs_hand_requests_on_at_once() -> None:
    """The async plug is the sync one, awaited."""
    plug = AsyncPlug(Plug(Server().handle))
    response = asyncio.run(plug.send(Request(method="GET", url=f"{HOME}/balance")))
    assert "1.00 USD" == response.json()
