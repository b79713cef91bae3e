"""`Account` and `AsyncAccount`: the same operations, two thin faces."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

from qasid import settings as configuration
from qasid.drivers.sync import SyncDriver
from qasid.effects import Flow, Request
from qasid.errors import ProviderError, QasidError
from qasid.operations import GONE, Message, Operations, Sending
from qasid.policies.passage import Attempt
from qasid.rentals import Fallback, Rentals
from qasid.settings import Resolved, resolve
from qasid.values import (
    Acquired,
    Activation,
    Cancelled,
    Credential,
    DeliveryReport,
    InboundMessage,
    InboxQuery,
    Money,
    NumberOrder,
    Offer,
    OtpOrder,
    OtpTicket,
    OtpVerdict,
    ProviderInfo,
    Receipt,
    Released,
    ReleaseReason,
)

if TYPE_CHECKING:
    from qasid.drivers.aio import AsyncDriver
    from qasid.drivers.plug import Plug
    from qasid.journal.records import Answer, Operation
    from qasid.streams import AsyncStream, Progress, Stream
    from qasid.tokens import TokenStore
    from qasid.vault import Vault
    from qasid.watching import AsyncWatch, Watch
    from qasid.watching.lookout import Notice
    from qasid.webhooks import Inbox

__all__ = ["Account", "AsyncAccount", "connect", "connect_async"]

_EMULATOR: Final = "emulator://"


def connect(
    name: str,
    *,
    rentals: Rentals | None = None,
    driver: SyncDriver | None = None,
    wrappers: Iterable[object] = (),
    listeners: Iterable[object] = (),
    token_store: TokenStore | None = None,
    **settings: Any,
) -> Account:
    """Open an account by its name in ``qasid.toml``, or by its provider's name.

    `settings` are the provider's fields and the `Options`; what is not given comes from the
    environment and from ``qasid.toml``. `rentals` is the book that the renting budget is kept by:
    unless given, that in the account's journal if it keeps one, and else one in memory, or that of
    the user where the provider has an `unused_cap`. `wrappers` are pluggy plugins put around this
    account's hooks, and `listeners` are told what becomes of its acts: see `qasid.events`. `driver`
    takes the place of the network, in tests; then tokens are kept in `token_store` alone, which
    else takes the place of the one that the option `tokens` says. Where no account has the name, it
    may be that of a route.

    Nothing is sent. Raises `SettingsError`, `ProviderNotFound`, `PluginError`.
    """
    opening: dict[str, Any] = {"rentals": rentals, "driver": driver, "wrappers": wrappers}
    opening["token_store"] = token_store
    if _is_route(name):
        from qasid.routing import connect_route

        return connect_route(name, listeners=listeners, **opening, **settings)
    resolved = resolve(name, settings)
    operations = _operations(resolved, rentals, driver, wrappers, listeners, token_store)
    return Account(operations, driver or _driver(resolved))


def connect_async(
    name: str,
    *,
    rentals: Rentals | None = None,
    driver: AsyncDriver | None = None,
    wrappers: Iterable[object] = (),
    listeners: Iterable[object] = (),
    token_store: TokenStore | None = None,
    **settings: Any,
) -> AsyncAccount:
    """Open an account as `connect` does, for use within one event loop.

    Over the network it needs the extra ``qasid[async]``.
    """
    opening: dict[str, Any] = {"rentals": rentals, "driver": driver, "wrappers": wrappers}
    opening["token_store"] = token_store
    if _is_route(name):
        from qasid.routing import connect_route_async

        return connect_route_async(name, listeners=listeners, **opening, **settings)
    resolved = resolve(name, settings)
    operations = _operations(resolved, rentals, driver, wrappers, listeners, token_store)
    return AsyncAccount(operations, driver or _async_driver(resolved))


def _is_route(name: str) -> bool:
    return name in configuration.routes() and name not in configuration.accounts()


def _vault(resolved: Resolved, driver: object, store: TokenStore | None) -> Vault | None:
    """None where what is talked to is not the provider: its tokens must not get among real ones."""
    strange = driver is not None and store is None
    if strange or not hasattr(resolved.provider, "authorize_url"):
        return None
    from qasid.vault import vault  # late: few providers have a login

    return vault(resolved, store)


def _operations(
    resolved: Resolved,
    rentals: Rentals | None,
    driver: object,
    wrappers: Iterable[object],
    listeners: Iterable[object],
    store: TokenStore | None,
) -> Operations:
    return Operations(
        resolved,
        rentals,
        wrappers,
        listeners,
        _vault(resolved, driver, store),
        shared=_counted_for_all(resolved, driver),
        inherits=isinstance(rentals, Fallback) or _is_real(resolved, driver),
    )


def _counted_for_all(resolved: Resolved, driver: object) -> bool:
    """Whether what is rented has to be counted over all processes: the provider does so too."""
    return _is_real(resolved, driver) and resolved.provider.info.unused_cap is not None


def _is_real(resolved: Resolved, driver: object) -> bool:
    """Whether it is the provider itself that is talked to, and no test's server."""
    return driver is None and resolved.provider.base_url.startswith("https:")


def _driver(resolved: Resolved) -> SyncDriver:
    plug = _plug(resolved)
    if plug is not None:
        return SyncDriver(plug)
    from qasid.drivers.http_sync import RequestsTransport  # late: requests takes long to import

    return SyncDriver(RequestsTransport(resolved.provider.base_url, **_transport(resolved)))


def _async_driver(resolved: Resolved) -> AsyncDriver:
    from qasid.drivers.aio import AsyncDriver  # late: asyncio is large, and few processes use both

    plug = _plug(resolved)
    if plug is not None:
        from qasid.drivers.plug import AsyncPlug

        return AsyncDriver(AsyncPlug(plug))
    try:
        from qasid.drivers.http_aio import AiohttpTransport
    except ImportError:
        raise QasidError('aiohttp is not installed; run: pip install "qasid[async]"') from None
    return AsyncDriver(AiohttpTransport(resolved.provider.base_url, **_transport(resolved)))


def _plug(resolved: Resolved) -> Plug | None:
    address: str = resolved.provider.base_url
    if not address.startswith(_EMULATOR):
        return None
    from qasid import finding
    from qasid.drivers.plug import Plug

    return Plug(finding.emulator(address.removeprefix(_EMULATOR))().handle)


def _transport(resolved: Resolved) -> dict[str, Any]:
    options = resolved.options
    return {
        "connect_timeout": options.connect_timeout,
        "timeout": options.timeout,
        "max_body": options.max_body,
        "pool_size": options.pool_size,
        "idle_timeout": options.idle_timeout,
    }


class _Face:
    """What both kinds of account show without asking anybody."""

    def __init__(self, operations: Operations, driver: Any) -> None:
        self._operations = operations
        self._driver = driver

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, provider {self.provider_name!r}>"

    @property
    def name(self) -> str:
        """The account's name."""
        return self._operations.name

    @property
    def provider_name(self) -> str:
        """The name of the account's provider."""
        return self._operations.line.provider_name

    @property
    def provider(self) -> Any:
        """The provider itself, with its settings. Its `repr` tells no secret."""
        return self._operations.line.provider

    @property
    def info(self) -> ProviderInfo:
        """What the provider says of itself."""
        return self._operations.info

    @property
    def vault(self) -> Vault | None:
        """Where the tokens are kept that the account's owner granted, or None."""
        return self._operations.line.vault

    def authorize_url(self, state: str) -> str:
        """The address where the account's owner lets you in. Sends nothing.

        The browser comes back to the registered address with `state`, which nobody must be able to
        guess, and a code. Raises `UnsupportedOperation` where the settings alone let you in.
        """
        return self._operations.line.authorize_url(state)

    def _acquisition(
        self,
        services: Iterable[str],
        country: str,
        options: dict[str, Any],
        attempts: list[Attempt] | None = None,
    ) -> Flow[Acquired]:
        order = NumberOrder(services=services, country=country, **options)
        return self._operations.acquire(order, attempts)

    def parse_webhook(self, request: Request) -> list[InboundMessage | DeliveryReport]:
        """Read what the provider posted to you. Sends nothing. Raises `ProtocolError`."""
        return self._operations.parse_webhook(request)

    def can(self, hook: str) -> bool:
        """Whether the provider has that hook; of a route, whether any of its accounts has."""
        return self._operations.can(hook)

    def require(self, hook: str) -> None:
        """Raise `UnsupportedOperation` unless the provider has that hook. Sends nothing."""
        self._operations.line.require(hook)


class Account(_Face):
    """One account at one provider. Threads may share it; use it as a context manager.

    Every method raises `ProviderError`s, whose `outcome` says whether the act was performed, and
    `UnsupportedOperation` where the provider has no such thing. What costs money (`acquire_number`,
    `send`, `otp`) is never repeated after an unknown outcome.
    """

    _driver: SyncDriver

    @property
    def driver(self) -> SyncDriver:
        """What runs this account's flows."""
        return self._driver

    def with_driver(self, driver: SyncDriver) -> Account:
        """The same account, with its limits and budget, over another driver."""
        return Account(self._operations, driver)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def warm(self) -> None:
        """Open a connection, so that the next call need not: with TLS that takes three messages.

        It may be used for the option `idle_timeout`, in seconds. Of a route, each account opens
        one. No request is sent. Raises `ConnectFailed`.
        """
        self._driver.warm()

    def close(self) -> None:
        """Give the connections back."""
        self._driver.close()
        self._operations.close()

    def authenticate(self) -> Credential:
        """Obtain a credential, where the provider hands one out. Other calls do so themselves."""
        return self._driver.run(self._operations.authenticate())

    def exchange_code(self, code: str) -> Credential:
        """Change the code that the owner's browser brought, after its `state` was compared.

        The tokens are kept in the vault, and used from now on. Raises `AuthenticationFailed` for a
        code that was used before or is too old, and `SettingsError` where they cannot be kept.
        """
        return self._driver.run(self._operations.exchange_code(code))

    def logout(self) -> bool:
        """Throw away the tokens that the owner granted; whether there were any in the vault.

        The provider is not told. Other processes use the access token that they have to its end.
        """
        return self._driver.run(self._operations.logout())

    def balance(self) -> Money:
        """The account's credit."""
        return self._driver.run(self._operations.balance())

    def offers(self, service: str | None = None, country: str | None = None) -> list[Offer]:
        """What can be rented: services by country, in the provider's codes, with prices."""
        return self._driver.run(self._operations.offers(service, country))

    def acquire_number(self, service: str, country: str, **options: Any) -> Activation:
        """Rent one number for a service in a country; `options` as of `NumberOrder`.

        Raises `BudgetExceeded` before anything is sent, `NoNumbersAvailable`, `InsufficientCredit`.
        """
        return self.acquire_numbers([service], country, **options)[0]

    def acquire_numbers(self, services: Iterable[str], country: str, **options: Any) -> Acquired:
        """Rent one number for each service, in one request where the provider can.

        Where some services got a number and others none, `failures` of the result tells why.
        """
        return self._driver.run(self._acquisition(services, country, options))

    def fetch_sms(self, inbox: Activation | InboxQuery) -> list[InboundMessage]:
        """The messages of a rented number, or a page of the account's own inbox; oldest first."""
        return self._driver.run(self._operations.fetch(inbox))

    def wait_for_sms(
        self,
        activation: Activation,
        *,
        since: datetime | None = None,
        sender: str | None = None,
        pattern: str | None = None,
        timeout: float = 300.0,
    ) -> InboundMessage:
        """Wait for a message, looking as often as the provider's limits allow.

        Of the messages that came after `since` (UTC), from exactly `sender` and with `pattern` (a
        regular expression) in the text, the newest. Raises `WaitTimeout` after `timeout` seconds,
        and `NumberExpired`; the number is not released by that.
        """
        flow = self._operations.wait(
            activation, since=since, sender=sender, pattern=pattern, timeout=timeout
        )
        return self._driver.run(flow)

    def follow_sms(
        self,
        inbox: Activation | InboxQuery,
        tell: Callable[[InboundMessage], object],
        *,
        trouble: Callable[[ProviderError], object] | None = None,
        timeout: float = math.inf,
    ) -> None:
        """Call `tell` with each message once, those that are there first, for `timeout` seconds.

        It looks as often as the provider's limits allow. Two messages are the same if their ids
        are, or without an id all else. Of a page of the account's own inbox, what comes and goes
        between two looks is missed: ask for a page that is long enough. A failure that may pass is
        told to `trouble`, and it looks again. Raises `NumberExpired` at the end of the number.
        """
        flow = self._operations.follow(inbox, tell, trouble=trouble, timeout=timeout)
        self._driver.run(flow)

    def watch(
        self,
        activations: Iterable[Activation] = (),
        *,
        inbox: Inbox | None = None,
        webhook_interval: float = 60.0,
        endless: bool = False,
        trouble: Notice | None = None,
        gone: Notice | None = None,
    ) -> Watch:
        """Wait for the messages of any number of activations: iterate over what it gives.

        Each message is yielded once, as an `Arrival` that tells its activation. A number is looked
        at every `info.poll_interval`, within the provider's limits, until its `expires_at`. Of what
        is posted, `inbox` is read every second; its numbers are looked at every `webhook_interval`
        seconds only. It ends when no number waits any more, or if it is `endless` when it is
        closed.

        A failure that may pass is told to `trouble`, and the number is looked at again. One that
        expires, or that the provider does not know or refuses to be asked for, leaves, which is
        told to `gone`. Both are called with the activation and the error, by whoever iterates.
        Raises `UnsupportedOperation`; iterating raises `AuthenticationFailed`, `PermissionDenied`.
        """
        settings: dict[str, Any] = {"inbox": inbox, "webhook_interval": webhook_interval}
        settings |= {"endless": endless, "trouble": trouble, "gone": gone}
        from qasid.watching import Watch

        return Watch(self._operations, self._driver, activations, **settings)

    def receive_webhook(
        self, request: Request, activation: Activation
    ) -> list[InboundMessage | DeliveryReport]:
        """Read what was posted to the callback address that `activation` has for itself.

        As `parse_webhook`; a message that names no number is to that of the activation, which is
        noted to have had one. Sends nothing. Raises `ProtocolError`.
        """
        return self._driver.run(self._operations.receive(request, activation))

    def release(
        self, activation: Activation, reason: ReleaseReason = ReleaseReason.UNUSED
    ) -> Released:
        """Give a number back. Raises `ReleaseRefused`, `NumberExpired`, `NumberNotFound`."""
        return self._driver.run(self._operations.release(activation, reason))

    @contextlib.contextmanager
    def rent(self, service: str, country: str, **options: Any) -> Iterator[Activation]:
        """Rent a number for the time of a `with` block, and release it on any exit."""
        activation = self.acquire_number(service, country, **options)
        try:
            yield activation
        except BaseException as error:
            with _noted(error, activation):
                self.release(activation)
            raise
        with contextlib.suppress(*GONE):
            self.release(activation)

    def send(self, message: Message) -> Receipt:
        """Send one message. Raises its refusal."""
        return self._driver.run(self._operations.send(message))

    def send_many(
        self,
        messages: Iterable[Message],
        *,
        tell: Callable[[list[Receipt]], object] | None = None,
    ) -> list[Receipt]:
        """Send messages in the provider's batches. One receipt each, in order, refused or not.

        `tell` is called after each batch with its receipts, before the next one is sent: so an end
        in the middle loses none. What it raises is raised, and nothing more is sent.
        """
        return self._driver.run(self._operations.send_many(messages, tell))

    def send_stream(
        self,
        messages: Iterable[Message],
        *,
        concurrency: int | None = None,
        ordered: bool = False,
        tell: Callable[[list[Receipt]], object] | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Stream:
        """Send messages of any number while they are taken from their source: see `Stream`.

        The provider's batches are sent `concurrency` at once: without a number as many as its
        limits can use, at the most 8 and never more than `pool_size`. Receipts come as they are
        there, each as one of `send_many`, or with `ordered` in the order of the messages. `tell` is
        called with the receipts of each batch before they are given, and `progress` after it; what
        they raise is raised, and nothing more is sent. Raises `SettingsError`.
        """
        given: dict[str, Any] = {"tell": tell, "progress": progress}
        given |= {"concurrency": concurrency, "ordered": ordered}
        return self._stream(self._operations.sending(), messages, given)

    def _stream(
        self, sending: Sending, messages: Iterable[Message], given: dict[str, Any]
    ) -> Stream:
        from qasid.streams import Stream  # late: most accounts never need it

        return Stream(messages, sending, self._driver, **given)

    def cancel_scheduled(self, batch_id: str) -> Cancelled:
        """Take back what was scheduled under a receipt's `batch_id`. Raises `InvalidRequest`."""
        return self._driver.run(self._operations.cancel_scheduled(batch_id))

    def otp(self, to: str, **options: Any) -> OtpTicket:
        """Send a one-time password; `options` as of `OtpOrder` (`code`, `length`, …)."""
        return self._driver.run(self._operations.otp(OtpOrder(to=to, **options)))

    def verify_otp(self, to: str, code: str) -> OtpVerdict:
        """Whether `code` is the one that `to` was sent. A wrong one is a verdict, not an error."""
        return self._driver.run(self._operations.verify_otp(to, code))

    def delivery_status(self, receipts: Sequence[Receipt]) -> list[DeliveryReport]:
        """Where the messages are, in order."""
        return self._driver.run(self._operations.delivery_status(receipts))

    def inquire(self, operation: Operation, activations: Iterable[Activation] = ()) -> Answer:
        """Ask the provider what became of an operation of the journal whose end is not known.

        `activations` are numbers that may be what it rented or gave back. Only questions are sent.
        """
        return self._driver.run(self._operations.inquire(operation, activations))


class AsyncAccount(_Face):
    """One account at one provider, for one event loop; an async context manager.

    Each method is the coroutine of the same method of `Account`.
    """

    _driver: AsyncDriver

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def warm(self) -> None:
        """See `Account.warm`."""
        await self._driver.warm()

    async def close(self) -> None:
        """Give the connections back."""
        await self._driver.close()
        self._operations.close()

    async def authenticate(self) -> Credential:
        """See `Account.authenticate`."""
        return await self._driver.run(self._operations.authenticate())

    async def exchange_code(self, code: str) -> Credential:
        """See `Account.exchange_code`."""
        return await self._driver.run(self._operations.exchange_code(code))

    async def logout(self) -> bool:
        """See `Account.logout`."""
        return await self._driver.run(self._operations.logout())

    async def balance(self) -> Money:
        """See `Account.balance`."""
        return await self._driver.run(self._operations.balance())

    async def offers(self, service: str | None = None, country: str | None = None) -> list[Offer]:
        """See `Account.offers`."""
        return await self._driver.run(self._operations.offers(service, country))

    async def acquire_number(self, service: str, country: str, **options: Any) -> Activation:
        """See `Account.acquire_number`."""
        return (await self.acquire_numbers([service], country, **options))[0]

    async def acquire_numbers(
        self, services: Iterable[str], country: str, **options: Any
    ) -> Acquired:
        """See `Account.acquire_numbers`."""
        return await self._driver.run(self._acquisition(services, country, options))

    async def fetch_sms(self, inbox: Activation | InboxQuery) -> list[InboundMessage]:
        """See `Account.fetch_sms`."""
        return await self._driver.run(self._operations.fetch(inbox))

    async def wait_for_sms(
        self,
        activation: Activation,
        *,
        since: datetime | None = None,
        sender: str | None = None,
        pattern: str | None = None,
        timeout: float = 300.0,  # noqa: ASYNC109, part of what is asked for, not of how it is awaited
    ) -> InboundMessage:
        """See `Account.wait_for_sms`."""
        flow = self._operations.wait(
            activation, since=since, sender=sender, pattern=pattern, timeout=timeout
        )
        return await self._driver.run(flow)

    async def follow_sms(
        self,
        inbox: Activation | InboxQuery,
        tell: Callable[[InboundMessage], object],
        *,
        trouble: Callable[[ProviderError], object] | None = None,
        timeout: float = math.inf,  # noqa: ASYNC109, as of `wait_for_sms`
    ) -> None:
        """See `Account.follow_sms`; the functions are plain ones, called in a thread."""
        flow = self._operations.follow(inbox, tell, trouble=trouble, timeout=timeout)
        await self._driver.run(flow)

    def watch(
        self,
        activations: Iterable[Activation] = (),
        *,
        inbox: Inbox | None = None,
        webhook_interval: float = 60.0,
        endless: bool = False,
        trouble: Notice | None = None,
        gone: Notice | None = None,
    ) -> AsyncWatch:
        """See `Account.watch`; iterate with ``async for``. It is called within the event loop."""
        settings: dict[str, Any] = {"inbox": inbox, "webhook_interval": webhook_interval}
        settings |= {"endless": endless, "trouble": trouble, "gone": gone}
        from qasid.watching import AsyncWatch

        return AsyncWatch(self._operations, self._driver, activations, **settings)

    async def receive_webhook(
        self, request: Request, activation: Activation
    ) -> list[InboundMessage | DeliveryReport]:
        """See `Account.receive_webhook`."""
        return await self._driver.run(self._operations.receive(request, activation))

    async def release(
        self, activation: Activation, reason: ReleaseReason = ReleaseReason.UNUSED
    ) -> Released:
        """See `Account.release`."""
        return await self._driver.run(self._operations.release(activation, reason))

    @contextlib.asynccontextmanager
    async def rent(self, service: str, country: str, **options: Any) -> AsyncIterator[Activation]:
        """Rent a number for the time of an `async with` block, and release it on any exit."""
        activation = await self._acquired(service, country, options)
        try:
            yield activation
        except BaseException as error:
            with _noted(error, activation):
                await self.release(activation)
            raise
        with contextlib.suppress(*GONE):
            await self.release(activation)

    async def _acquired(self, service: str, country: str, options: dict[str, Any]) -> Activation:
        """Rent; when cancelled with the order on its way, wait for the answer and release."""
        import asyncio  # late, as above

        attempts: list[Attempt] = []
        acquisition = self._acquisition([service], country, options, attempts)
        asked = asyncio.ensure_future(self._driver.run(acquisition))
        try:
            return (await asyncio.shield(asked))[0]
        except asyncio.CancelledError as error:
            if not any(attempt.unsafe for attempt in attempts):
                asked.cancel()
            with contextlib.suppress(QasidError):  # nothing was rented
                (activation,) = await asked
                with _noted(error, activation):
                    await self.release(activation)
            raise

    async def send(self, message: Message) -> Receipt:
        """See `Account.send`."""
        return await self._driver.run(self._operations.send(message))

    async def send_many(
        self,
        messages: Iterable[Message],
        *,
        tell: Callable[[list[Receipt]], object] | None = None,
    ) -> list[Receipt]:
        """See `Account.send_many`; `tell` is a plain function, called in a thread."""
        return await self._driver.run(self._operations.send_many(messages, tell))

    def send_stream(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        *,
        concurrency: int | None = None,
        ordered: bool = False,
        tell: Callable[[list[Receipt]], object] | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> AsyncStream:
        """See `Account.send_stream` and `AsyncStream`; for ``async for``, and not to be awaited."""
        given: dict[str, Any] = {"tell": tell, "progress": progress}
        given |= {"concurrency": concurrency, "ordered": ordered}
        return self._stream(self._operations.sending(), messages, given)

    def _stream(
        self,
        sending: Sending,
        messages: Iterable[Message] | AsyncIterable[Message],
        given: dict[str, Any],
    ) -> AsyncStream:
        from qasid.streams import AsyncStream  # late: most accounts never need it

        return AsyncStream(messages, sending, self._driver, **given)

    async def cancel_scheduled(self, batch_id: str) -> Cancelled:
        """See `Account.cancel_scheduled`."""
        return await self._driver.run(self._operations.cancel_scheduled(batch_id))

    async def otp(self, to: str, **options: Any) -> OtpTicket:
        """See `Account.otp`."""
        return await self._driver.run(self._operations.otp(OtpOrder(to=to, **options)))

    async def verify_otp(self, to: str, code: str) -> OtpVerdict:
        """See `Account.verify_otp`."""
        return await self._driver.run(self._operations.verify_otp(to, code))

    async def delivery_status(self, receipts: Sequence[Receipt]) -> list[DeliveryReport]:
        """See `Account.delivery_status`."""
        return await self._driver.run(self._operations.delivery_status(receipts))

    async def inquire(self, operation: Operation, activations: Iterable[Activation] = ()) -> Answer:
        """See `Account.inquire`."""
        return await self._driver.run(self._operations.inquire(operation, activations))


@contextlib.contextmanager
def _noted(error: BaseException, activation: Activation) -> Iterator[None]:
    """A failure to release does not hide the error that led to it; it is noted on it."""
    try:
        yield
    except GONE:
        pass
    except QasidError as failure:
        kind = type(failure).__name__
        error.add_note(f"activation {activation.id} could not be released: {kind}: {failure}")
