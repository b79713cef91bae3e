"""`Route` and `AsyncRoute`: several accounts, used as one."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from qasid.account import Account, AsyncAccount, connect, connect_async
from qasid.drivers.sync import SyncDriver
from qasid.effects import Flow
from qasid.errors import ProviderNotFound
from qasid.events import Listeners
from qasid.operations import Message
from qasid.policies.passage import Attempt
from qasid.routing.breaker import Breaker, Tolerance
from qasid.routing.bulk import Tell
from qasid.routing.flows import Explanation, Order, Routing
from qasid.routing.health import Health
from qasid.routing.members import Member
from qasid.routing.policies import Failover, Policy
from qasid.routing.switch import AsyncSwitch, Switch
from qasid.routing.tables import refusal, table_of
from qasid.values import (
    Acquired,
    Cancelled,
    DeliveryReport,
    InboundMessage,
    NumberOrder,
    OtpOrder,
    OtpTicket,
    OtpVerdict,
    Receipt,
)

if TYPE_CHECKING:
    from qasid.streams import AsyncStream, Progress, Stream

__all__ = ["AsyncRoute", "Route", "connect_route", "connect_route_async"]

T = TypeVar("T")
A = TypeVar("A", Account, AsyncAccount)


class Route(Account):
    """Several accounts, used as one `Account` is. Threads may share it.

    What costs money (`send`, `send_many`, `send_stream`, `otp`, `acquire_number`,
    `acquire_numbers`, `rent`) goes by the first account in the order of `policy` that does it. The
    next one is asked **only** where the outcome is *not performed* and the reason is neither the
    recipient, nor the content, nor the budget: see `qasid.routing.rules`. After the last one it
    raises `RouteExhausted`. What belongs to a receipt, a ticket or an activation goes to its
    account.

    `repeat_unknown=True` of those calls goes on after an unknown outcome, too. **It risks that the
    message is sent, or the number bought, twice**: use it where that is better than not at all.

    `balance`, `authenticate`, `parse_webhook`, `provider` and `info` are an account's, and raise
    `UnsupportedOperation`: ask one of `accounts`. With `close_accounts`, closing the route closes
    them. `listeners` are told of fallbacks and breakers. Raises `SettingsError`, `PluginError`.
    """

    def __init__(
        self,
        name: str,
        accounts: Iterable[Account],
        policy: Policy | None = None,
        *,
        tolerance: Tolerance | None = None,
        listeners: Iterable[object] = (),
        close_accounts: bool = False,
    ) -> None:
        self._accounts = _by_name(name, accounts)
        self._routing = _routing(name, self._accounts, policy, tolerance, listeners)
        self._closes_accounts = close_accounts
        drivers = {key: account._driver for key, account in self._accounts.items()}
        switch = Switch({key: driver.transport for key, driver in drivers.items()})
        operations: Any = self._routing
        super().__init__(operations, attrs.evolve(next(iter(drivers.values())), transport=switch))

    def __repr__(self) -> str:
        return _shown(self)

    @property
    def accounts(self) -> Mapping[str, Account]:
        """The accounts by name, in order."""
        return self._accounts

    def with_driver(self, driver: SyncDriver) -> Self:
        """The same route over another driver, which is to be made from this one's."""
        other = copy.copy(self)
        other._driver = driver
        return other

    def close(self) -> None:
        """Close the accounts, if that is this route's."""
        for account in self._accounts.values() if self._closes_accounts else ():
            account.close()

    def explain(self, order: Order) -> Explanation:
        """Which accounts would be asked, in order, and why. Sends nothing."""
        return self._driver.run(self._routing.explain(order))

    def health(self) -> Mapping[str, Health]:
        """How each account has been doing, as far as this object has seen. Sends nothing."""
        return self._driver.run(self._routing.health())

    def note_reports(
        self, reports: Iterable[DeliveryReport | InboundMessage], *, account: str
    ) -> None:
        """Note reports that an account's `parse_webhook` gave, for `health`. Sends nothing.

        Those of `delivery_status` are noted already, and messages among them are left out. Raises
        `SettingsError` for an account that is none of this route's.
        """
        self._driver.run(self._routing.note_reports(reports, account))

    def send(self, message: Message, *, repeat_unknown: bool = False) -> Receipt:
        """Send one message by the first account that does it. Raises `RouteExhausted`.

        `repeat_unknown` risks that it is sent twice.
        """
        return self._driver.run(self._routing.send(message, repeat_unknown=repeat_unknown))

    def send_many(
        self,
        messages: Iterable[Message],
        *,
        tell: Tell | None = None,
        repeat_unknown: bool = False,
    ) -> list[Receipt]:
        """Send messages, each by the first account that does it; one receipt each, in order.

        `tell` is called with receipts as they become final, batch by batch. `repeat_unknown` risks
        that some messages are sent twice.
        """
        flow = self._routing.send_many(messages, tell, repeat_unknown=repeat_unknown)
        return self._driver.run(flow)

    def send_stream(
        self,
        messages: Iterable[Message],
        *,
        concurrency: int | None = None,
        ordered: bool = False,
        tell: Tell | None = None,
        progress: Callable[[Progress], object] | None = None,
        repeat_unknown: bool = False,
    ) -> Stream:
        """Send messages of any number, each by the first account that does it: see `Stream`.

        `concurrency` is without a number as much as suits each of the accounts. `repeat_unknown`
        risks that some messages are sent twice.
        """
        given: dict[str, Any] = {"tell": tell, "progress": progress}
        given |= {"concurrency": concurrency, "ordered": ordered}
        return self._stream(self._routing.sending(repeat_unknown=repeat_unknown), messages, given)

    def _acquisition(
        self,
        services: Iterable[str],
        country: str,
        options: dict[str, Any],
        attempts: list[Attempt] | None = None,
    ) -> Flow[Acquired]:
        return _acquisition(self._routing, services, country, attempts, **options)

    def otp(self, to: str, *, repeat_unknown: bool = False, **options: Any) -> OtpTicket:
        """Send a one-time password by the first account that does it.

        `repeat_unknown` risks that two codes are sent, of which the second alone is known here.
        """
        order = OtpOrder(to=to, **options)
        return self._driver.run(self._routing.otp(order, repeat_unknown=repeat_unknown))

    def verify_otp(self, to: str, code: str, *, account: str | None = None) -> OtpVerdict:
        """Whether the code is right, by the account of its ticket.

        It is remembered by this object for the last 10,000 recipients; elsewhere `account` tells.
        Raises `SettingsError` where it is neither told nor known, and several could be meant.
        """
        return self._driver.run(self._routing.verify_otp(to, code, account))

    def cancel_scheduled(self, batch_id: str, *, account: str | None = None) -> Cancelled:
        """Take back what was scheduled; `account` is that of its receipt.

        Raises as `verify_otp`.
        """
        return self._driver.run(self._routing.cancel_scheduled(batch_id, account))


class AsyncRoute(AsyncAccount):
    """Several accounts, used as one `AsyncAccount` is, in one event loop: see `Route`."""

    def __init__(
        self,
        name: str,
        accounts: Iterable[AsyncAccount],
        policy: Policy | None = None,
        *,
        tolerance: Tolerance | None = None,
        listeners: Iterable[object] = (),
        close_accounts: bool = False,
    ) -> None:
        self._accounts = _by_name(name, accounts)
        self._routing = _routing(name, self._accounts, policy, tolerance, listeners)
        self._closes_accounts = close_accounts
        drivers = {key: account._driver for key, account in self._accounts.items()}
        switch = AsyncSwitch({key: driver.transport for key, driver in drivers.items()})
        operations: Any = self._routing
        super().__init__(operations, attrs.evolve(next(iter(drivers.values())), transport=switch))

    def __repr__(self) -> str:
        return _shown(self)

    @property
    def accounts(self) -> Mapping[str, AsyncAccount]:
        """The accounts by name, in order."""
        return self._accounts

    async def close(self) -> None:
        """See `Route.close`."""
        for account in self._accounts.values() if self._closes_accounts else ():
            await account.close()

    async def explain(self, order: Order) -> Explanation:
        """See `Route.explain`."""
        return await self._driver.run(self._routing.explain(order))

    async def health(self) -> Mapping[str, Health]:
        """See `Route.health`."""
        return await self._driver.run(self._routing.health())

    async def note_reports(
        self, reports: Iterable[DeliveryReport | InboundMessage], *, account: str
    ) -> None:
        """See `Route.note_reports`."""
        await self._driver.run(self._routing.note_reports(reports, account))

    async def send(self, message: Message, *, repeat_unknown: bool = False) -> Receipt:
        """See `Route.send`."""
        return await self._driver.run(self._routing.send(message, repeat_unknown=repeat_unknown))

    async def send_many(
        self,
        messages: Iterable[Message],
        *,
        tell: Tell | None = None,
        repeat_unknown: bool = False,
    ) -> list[Receipt]:
        """See `Route.send_many`; `tell` is a plain function, called in a thread."""
        flow = self._routing.send_many(messages, tell, repeat_unknown=repeat_unknown)
        return await self._driver.run(flow)

    def send_stream(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        *,
        concurrency: int | None = None,
        ordered: bool = False,
        tell: Tell | None = None,
        progress: Callable[[Progress], object] | None = None,
        repeat_unknown: bool = False,
    ) -> AsyncStream:
        """See `Route.send_stream` and `AsyncStream`."""
        given: dict[str, Any] = {"tell": tell, "progress": progress}
        given |= {"concurrency": concurrency, "ordered": ordered}
        return self._stream(self._routing.sending(repeat_unknown=repeat_unknown), messages, given)

    async def otp(self, to: str, *, repeat_unknown: bool = False, **options: Any) -> OtpTicket:
        """See `Route.otp`."""
        order = OtpOrder(to=to, **options)
        return await self._driver.run(self._routing.otp(order, repeat_unknown=repeat_unknown))

    async def verify_otp(self, to: str, code: str, *, account: str | None = None) -> OtpVerdict:
        """See `Route.verify_otp`."""
        return await self._driver.run(self._routing.verify_otp(to, code, account))

    async def cancel_scheduled(self, batch_id: str, *, account: str | None = None) -> Cancelled:
        """See `Route.cancel_scheduled`."""
        return await self._driver.run(self._routing.cancel_scheduled(batch_id, account))

    def _acquisition(
        self,
        services: Iterable[str],
        country: str,
        options: dict[str, Any],
        attempts: list[Attempt] | None = None,
    ) -> Flow[Acquired]:
        return _acquisition(self._routing, services, country, attempts, **options)


def _by_name(route: str, accounts: Iterable[A]) -> dict[str, A]:
    found: dict[str, A] = {}
    for account in accounts:
        if isinstance(account, Route | AsyncRoute):
            problem = f"{account.name!r} is a route, and a route leads to accounts alone"
            raise refusal(route, "accounts", problem, "name its accounts instead")
        if account.name in found:
            raise refusal(route, "accounts", f"has {account.name!r} twice", "name it once")
        found[account.name] = account
    if not found:
        raise refusal(route, "accounts", "is empty", "name at least one account")
    return found


def _routing(
    name: str,
    accounts: Mapping[str, Account] | Mapping[str, AsyncAccount],
    policy: Policy | None,
    tolerance: Tolerance | None,
    listeners: Iterable[object],
) -> Routing:
    policy, tolerance = policy or Failover(), tolerance or Tolerance()
    for unknown in sorted(policy.names - accounts.keys()):
        problem = f"names {unknown!r}, which is no account of this route"
        raise refusal(name, policy.field, problem, f"there are: {', '.join(accounts)}")
    told = Listeners(listeners)
    members = [
        Member(
            route=name,
            name=key,
            operations=account._operations,
            breaker=Breaker(tolerance),
            listeners=told,
        )
        for key, account in accounts.items()
    ]
    return Routing(name, members, policy)


def _acquisition(
    routing: Routing,
    services: Iterable[str],
    country: str,
    attempts: list[Attempt] | None,
    *,
    repeat_unknown: bool = False,
    **options: Any,
) -> Flow[Acquired]:
    order = NumberOrder(services=services, country=country, **options)
    return routing.acquire(order, attempts, repeat_unknown=repeat_unknown)


def _shown(route: Route | AsyncRoute) -> str:
    return f"<{type(route).__name__} {route.name!r}, accounts {', '.join(route.accounts)}>"


def connect_route(name: str, **given: Any) -> Route:
    """Open a route by its name in ``qasid.toml``, with all its accounts.

    `given` is as of `connect`, and goes to each account. Nothing is sent. Raises `SettingsError`,
    `ProviderNotFound`, `PluginError`.
    """
    table, given = table_of(name), _shared(given)
    accounts = [_opened(connect, name, member, given) for member in table.accounts]
    return Route(
        name,
        accounts,
        table.policy,
        tolerance=table.tolerance,
        listeners=given["listeners"],
        close_accounts=True,
    )


def connect_route_async(name: str, **given: Any) -> AsyncRoute:
    """Open a route as `connect_route` does, for use within one event loop."""
    table, given = table_of(name), _shared(given)
    accounts = [_opened(connect_async, name, member, given) for member in table.accounts]
    return AsyncRoute(
        name,
        accounts,
        table.policy,
        tolerance=table.tolerance,
        listeners=given["listeners"],
        close_accounts=True,
    )


def _shared(given: dict[str, Any]) -> dict[str, Any]:
    """What each account is opened with; of an iterator, each gets all."""
    several = {key: tuple(given.get(key, ())) for key in ("listeners", "wrappers")}
    return {**given, **several}


def _opened(open_: Callable[..., T], route: str, account: str, given: dict[str, Any]) -> T:
    try:
        return open_(account, **given)
    except ProviderNotFound as error:
        raise refusal(route, "accounts", str(error), "name an account or a provider") from None
