"""Accounts are opened by name, rent for the time of a block, and hold nothing afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import pytest

from qasid import finding
from qasid.account import Account, AsyncAccount, connect, connect_async
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.virtual import virtual_driver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Request, Response
from qasid.errors import (
    BudgetExceeded,
    ConnectFailed,
    InsufficientCredit,
    PluginError,
    ProviderNotFound,
    ProviderUnavailable,
    QasidError,
    SettingsError,
)
from qasid.hookspecs import HOOKS, hookimpl
from qasid.rentals import Rentals, user_rentals
from qasid.values import Limit, Money, UnusedCap

from .acme import FACES, KEY, Acme, Server, info, operations, reply
from .test_line import Doubling

both_faces = pytest.mark.parametrize("opened", FACES)
ONE: Final = Money("1.00", "USD")
LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def book() -> Iterator[Rentals]:
    """A book of rentals that a test can look into."""
    made = Rentals()
    yield made
    made.close()


def states(book: Rentals) -> list[str]:
    """The states of all rentals that are not closed."""
    return [rental.state for rental in book.current(now=LONG_AGO)]


# Opening.


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Acme and its emulator are installed."""
    monkeypatch.chdir(tmp_path)  # no qasid.toml
    about = tmp_path / "site" / "qasid_acme-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: qasid-acme\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[qasid.providers]\nacme = {Acme.__module__}:Acme\n"
        f"[qasid.emulators]\nacme = {Server.__module__}:Server\n"
    )
    monkeypatch.syspath_prepend(about.parent)
    finding.forget()
    yield
    monkeypatch.undo()
    finding.forget()


def plugged(server: Server) -> dict[str, Any]:
    return {"driver": virtual_driver(server.handle, server.clock)}


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("cap", "settings", "shared"),
    [
        (UnusedCap(numbers=9, zone="UTC"), {}, True),
        (UnusedCap(numbers=9, zone="UTC"), {"base_url": "http://127.0.0.1:1"}, False),
        (UnusedCap(numbers=9, zone="UTC"), {"base_url": "emulator://acme"}, False),
        (UnusedCap(numbers=9, zone="UTC"), plugged(Server()), False),
        (UnusedCap(numbers=9, zone="UTC"), {"rentals": Rentals()}, False),
        (None, {}, False),
    ],
    ids=["capped", "this machine", "emulator", "driver", "book given", "no cap"],
)
def test_what_a_provider_counts_by_the_day_is_counted_over_all_processes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cap: UnusedCap | None,
    settings: dict[str, Any],
    shared: bool,
) -> None:
    """In the book that the command keeps too; nothing but the real provider gets into it."""
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(Acme, "info", attrs.evolve(Acme.info, unused_cap=cap))
    connect("acme", **settings).close()
    assert shared is (tmp_path / "state" / "rentals.sqlite3").exists()
    with contextlib.closing(user_rentals()) as rentals:
        assert [] == rentals.current(now=LONG_AGO)


@pytest.mark.usefixtures("acme")
def test_an_account_is_opened_by_the_name_of_its_provider(book: Rentals) -> None:
    """Nothing is sent by that."""
    server = Server()
    with connect("acme", api_key="mine", rentals=book, **plugged(server)) as account:
        assert [] == server.asked
        account.balance()
    assert ["mine"] == [request.header("X-Key") for request in server.requests]


@pytest.mark.usefixtures("acme")
def test_an_account_may_be_kept_without_a_book() -> None:
    """Then its budget is kept in memory."""
    with connect("acme", **plugged(Server())) as account:
        assert "n1" == account.acquire_number("acme", "SA").id


@pytest.mark.usefixtures("acme")
def test_an_address_of_an_emulator_needs_no_network(book: Rentals) -> None:
    """It is answered in this process, in both kinds of account."""
    with connect("acme", base_url="emulator://acme", rentals=book) as account:
        assert ONE == account.balance()

    async def ask() -> Money:
        opened = connect_async("acme", base_url="emulator://acme", rentals=book)
        async with opened as account:
            return await account.balance()

    assert ONE == asyncio.run(ask())


@pytest.mark.usefixtures("acme")
def test_an_emulator_that_is_not_installed_is_named(book: Rentals) -> None:
    """With the package to install."""
    with pytest.raises(ProviderNotFound, match="pip install qasid-nothing"):
        connect("acme", base_url="emulator://nothing", rentals=book)


@pytest.mark.usefixtures("acme")
def test_any_other_address_is_reached_over_the_network(book: Rentals) -> None:
    """Where nobody listens, that is what the error says."""
    settings: dict[str, Any] = {
        "base_url": "http://127.0.0.1:1/v1",
        "max_wait": 0.0,
        "rentals": book,
    }
    with connect("acme", **settings) as account, pytest.raises(ConnectFailed):
        account.balance()

    async def ask() -> None:
        async with connect_async("acme", **settings) as account:
            await account.balance()

    with pytest.raises(ConnectFailed):
        asyncio.run(ask())


@pytest.mark.usefixtures("acme")
def test_without_aiohttp_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, book: Rentals
) -> None:
    """It is not needed for an emulator."""
    monkeypatch.setitem(sys.modules, "qasid.drivers.http_aio", None)
    with pytest.raises(QasidError, match=r"qasid\[async\]"):
        connect_async("acme", rentals=book)
    connect_async("acme", base_url="emulator://acme", rentals=book)


@pytest.mark.usefixtures("acme")
def test_wrappers_are_put_around_the_accounts_hooks(book: Rentals) -> None:
    """Of this account alone."""
    with connect("acme", rentals=book, wrappers=[Doubling()], **plugged(Server())) as account:
        assert Money("2.00", "USD") == account.balance()


@pytest.mark.usefixtures("acme")
def test_settings_and_names_that_are_wrong_are_told_at_once(book: Rentals) -> None:
    """Before anything is sent."""
    with pytest.raises(SettingsError, match="api_key"):
        connect("acme", apikey="mine", rentals=book)
    with pytest.raises(SettingsError, match="max_open"):
        connect("acme", max_open=-1, rentals=book)
    with pytest.raises(ProviderNotFound, match="acmee"):
        connect("acmee", rentals=book)


@pytest.mark.usefixtures("acme")
def test_a_wrapper_with_a_misspelt_hook_is_told_at_once(book: Rentals) -> None:
    """It would never be called."""

    class Misspelt:
        @hookimpl
        def balanse(self) -> None:
            raise NotImplementedError

    with pytest.raises(PluginError, match="balanse"):
        connect("acme", rentals=book, wrappers=[Misspelt()])


@both_faces
def test_an_account_shows_its_names_and_no_secret(opened: Any) -> None:
    """What it is, and whose."""
    with opened(Server()) as account:
        assert ("work", "acme", "Acme") == (account.name, account.provider_name, account.info.title)
        assert f"<{type_name(account)} 'work', provider 'acme'>" == repr(account)
        assert KEY not in repr(account)


def type_name(account: object) -> str:
    return "Account" if isinstance(account, Account) else "AsyncAccount"


# Renting for the time of a block.

RELEASED: Final = ["POST /numbers", "POST /numbers/n1/release"]


@both_faces
def test_a_block_releases_its_number(opened: Any, book: Rentals) -> None:
    """On a normal exit."""
    server = Server()
    with opened(server, rentals=book) as account:
        with account.rent("acme", "SA", callback_url="https://mine.test/hook") as activation:
            assert ["open"] == states(book)
            assert "n1" == activation.id
        assert [] == states(book)
    assert RELEASED == server.asked


@both_faces
@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt(), SystemExit()])
def test_a_block_that_fails_releases_its_number(opened: Any, error: BaseException) -> None:
    """And its own error comes out."""
    server = Server()
    with opened(server) as account, contextlib.ExitStack() as block:
        raised = block.enter_context(pytest.raises(type(error)))
        block.enter_context(account.rent("acme", "SA"))
        raise error
    assert error is raised.value
    assert [] == getattr(error, "__notes__", [])
    assert RELEASED == server.asked


@both_faces
@pytest.mark.parametrize(("status", "left"), [(409, ["kept"]), (404, []), (410, [])])
def test_a_number_that_is_not_to_be_had_back_is_no_failure(
    opened: Any, status: int, left: list[str], book: Rentals
) -> None:
    """The provider keeps it, or it is gone: the block is over all the same."""
    server = Server(faults=[None, reply(status), None, reply(status)])
    with opened(server, rentals=book) as account:
        with account.rent("acme", "SA"):
            pass
        assert left == states(book)
        with pytest.raises(KeyError) as caught, account.rent("acme", "SA"):
            raise KeyError
    assert [] == getattr(caught.value, "__notes__", [])


@both_faces
def test_a_release_that_fails_is_raised_where_nothing_else_was(opened: Any) -> None:
    """The number may still be rented."""
    server = Server(faults=[None, reply(500)])
    with opened(server) as account, contextlib.ExitStack() as block:
        block.enter_context(pytest.raises(ProviderUnavailable))
        block.enter_context(account.rent("acme", "SA"))
    assert RELEASED == server.asked


@both_faces
def test_a_release_that_fails_is_noted_on_the_blocks_own_error(opened: Any) -> None:
    """It does not hide it."""
    server = Server(faults=[None, reply(500)])
    with opened(server) as account, contextlib.ExitStack() as block:
        raised = block.enter_context(pytest.raises(KeyError))
        block.enter_context(account.rent("acme", "SA"))
        raise KeyError
    note = "activation n1 could not be released: ProviderUnavailable: Acme said 500"
    assert [note] == raised.value.__notes__


@both_faces
def test_where_nothing_was_rented_nothing_is_released(opened: Any) -> None:
    """The block is not entered."""
    server = Server(faults=[reply(402)])
    with opened(server) as account, contextlib.ExitStack() as block:
        block.enter_context(pytest.raises(InsufficientCredit))
        block.enter_context(account.rent("acme", "SA"))
    assert ["POST /numbers"] == server.asked


# Cancelling.


@attrs.define(eq=False)
class Slow:
    """A transport that tells when an order has come, and answers when it may."""

    server: Server
    come: asyncio.Event = attrs.field(factory=asyncio.Event)
    answer: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def send(self, request: Request) -> Response:
        reply = self.server.handle(request.encode())
        self.come.set()
        await self.answer.wait()
        return reply

    async def close(self) -> None:
        """Nothing to give back."""


async def cancelled(
    account: AsyncAccount, transport: Slow, *, answered: bool = False
) -> asyncio.CancelledError:
    """Cancel a task that rents, when its order has come and perhaps was answered."""
    inside = asyncio.Event()

    async def block() -> None:
        async with account.rent("acme", "SA"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await transport.come.wait()
    if answered:
        transport.answer.set()
        await inside.wait()
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    transport.answer.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


@pytest.mark.parametrize("answered", [True, False])
def test_a_cancelled_block_releases_its_number(answered: bool, book: Rentals) -> None:
    """Also where the order was on its way: it waits for the answer, and gives the number back."""
    server = Server()

    async def run() -> None:
        transport = Slow(server)
        account = AsyncAccount(operations(rentals=book), AsyncDriver(transport))
        await cancelled(account, transport, answered=answered)

    asyncio.run(run())
    assert RELEASED == server.asked
    assert [] == states(book)


def test_a_release_that_fails_is_noted_on_the_cancellation(book: Rentals) -> None:
    """The number is known by its id."""
    server = Server(faults=[None, reply(500)])

    async def run() -> asyncio.CancelledError:
        transport = Slow(server)
        account = AsyncAccount(operations(rentals=book), AsyncDriver(transport))
        return await cancelled(account, transport)

    note = "activation n1 could not be released: ProviderUnavailable: Acme said 500"
    assert [note] == asyncio.run(run()).__notes__
    assert ["open"] == states(book)


def test_a_cancelled_order_that_is_refused_leaves_nothing(book: Rentals) -> None:
    """There is nothing to give back, and nothing to note."""
    server = Server(faults=[reply(402)])

    async def run() -> asyncio.CancelledError:
        transport = Slow(server)
        account = AsyncAccount(operations(rentals=book), AsyncDriver(transport))
        return await cancelled(account, transport)

    assert [] == getattr(asyncio.run(run()), "__notes__", [])
    assert ["POST /numbers"] == server.asked
    assert [] == states(book)


@attrs.frozen(eq=False, kw_only=True)
class Rare(Acme):
    """Acme with one request an hour."""

    info: ClassVar = info(
        set(HOOKS) - {"authenticate"}, limits=(Limit(requests=1, period=timedelta(hours=1)),)
    )


@pytest.mark.parametrize("rent", [True, False])
def test_an_order_that_is_cancelled_before_it_is_sent_is_never_sent(
    rent: bool, book: Rentals
) -> None:
    """It waits for the limits, and leaves at once; the budget is as before."""
    server = Server()
    made = operations(Rare(), rentals=book, max_wait=7200.0)

    async def order(account: AsyncAccount) -> None:
        if not rent:
            await account.acquire_number("acme", "SA")
        async with account.rent("acme", "SA"):
            raise NotImplementedError

    async def run() -> None:
        account = AsyncAccount(made, AsyncDriver(AsyncPlug(Plug(server.handle))))
        await account.balance()
        async with asyncio.timeout(60):
            await order(account)

    runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock))
    with runner, pytest.raises(TimeoutError):
        runner.run(run())
    assert ["GET /balance"] == server.asked
    assert [] == states(book)
    assert server.clock.seconds < 61


def public(kind: type) -> dict[str, list[str]]:
    """The methods of a class, and what each takes."""
    found = inspect.getmembers(kind, inspect.isfunction)
    methods = {name: method for name, method in found if not name.startswith("_")}
    return {name: list(inspect.signature(method).parameters) for name, method in methods.items()}


def test_both_kinds_of_account_have_the_same_methods() -> None:
    """With the same arguments, so that who knows one knows the other."""
    only_in_threads = {"with_driver": ["self", "driver"]}
    assert public(Account) == public(AsyncAccount) | only_in_threads


def test_an_account_over_another_driver_is_the_same_account(book: Rentals) -> None:
    """With the same budget, and another way to the provider."""
    one, two = Server(), Server()
    account = Account(operations(rentals=book, max_open=1), **plugged(one))
    account.acquire_number("acme", "SA")
    other = account.with_driver(**plugged(two))
    assert other.driver is not account.driver
    assert other.provider is account.provider
    assert ONE == other.balance()
    with pytest.raises(BudgetExceeded):
        other.acquire_number("acme", "SA")
    assert ["GET /balance"] == two.asked


def test_an_account_closes_its_own_book_and_leaves_others_open(acme: None, book: Rentals) -> None:
    """A book that was passed in belongs to whoever made it."""
    with connect("acme", api_key=KEY, rentals=book):
        pass
    with connect("acme", api_key=KEY) as own:
        kept = own._operations.rentals
    assert [] == book.current(now=LONG_AGO)
    with pytest.raises(SettingsError, match="closed"):
        kept.current(now=LONG_AGO)
