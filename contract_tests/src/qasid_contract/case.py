"""One run of one rule: a fresh emulator, a clock, a wire that remembers, and faults for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

from qasid import account as accounts
from qasid import values
from qasid.drivers.plug import Plug
from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual import VirtualClock
from qasid.effects import Request, Response
from qasid.emulation import Emulator
from qasid.finding import implemented
from qasid.hookspecs import HOOKS
from qasid.operations import Operations
from qasid.serving import HttpServer
from qasid.settings import Options, Resolved
from qasid_contract.contract import ProviderContract
from qasid_contract.examples import Effort
from qasid_contract.faults import Fault
from qasid_contract.rulebook import Path

__all__ = ["CODE_TEXT", "TEXT", "Case"]

#: Texts that no log, repr or error may show.
TEXT: Final = "Qasid-contract: the quick brown fox"
CODE_TEXT: Final = "رمز التحقق الخاص بك هو ٤٧١١٠٨"

_OPTIONS: Final = Options(max_open=1000, max_per_day=1000, max_wait=86_400.0)


@attrs.define(eq=False)
class Wire:
    """What goes between the account and the emulator, every request in its wire form.

    `sent` are the same requests as they left the account, which alone knows whether they are safe.
    `login` are method and path of the request that let the account in, where that is not the act.
    """

    emulator: Emulator
    requests: list[Request] = attrs.field(factory=list)
    sent: list[Request] = attrs.field(factory=list)
    fault: Fault | None = None
    login: tuple[str, str] | None = None

    def handle(self, request: Request) -> Response:
        """Note the request; answer it, or fail at it for as long as a fault is armed."""
        self.sent.append(request)
        self.requests.append(request)
        if self.fault is None:
            return self.emulator.handle(request)
        return self.fault.plugged(request, self.emulator.handle)

    def served(self, request: Request) -> Response:
        """The same over a socket, where a fault is a real one."""
        self.requests.append(request)
        if self.fault is None:
            return self.emulator.handle(request)
        return self.fault.served(request, self.emulator.handle)

    def forget(self) -> None:
        """Begin to note anew."""
        self.requests.clear()
        self.sent.clear()

    @property
    def unsafe(self) -> int:
        """How many requests that may change something have left the account.

        One for a token is none: whatever became of it, the act was not performed by it.
        """
        return sum(not r.safe and (r.method, r.path) != self.login for r in self.sent)


class Case:
    """What a rule works with. Nothing in it is shared with another rule's run."""

    def __init__(
        self,
        contract: type[ProviderContract],
        path: Path = Path.PLUGGED,
        effort: Effort | None = None,
        carrier: str = "requests",
    ) -> None:
        self.carrier = carrier
        self.contract = contract
        self.effort = effort or Effort()
        self.path = path
        self.provider: Any = contract.provider
        self.info: values.ProviderInfo = contract.provider.info
        self.implemented = implemented(contract.provider)
        self.clock = VirtualClock()
        self.emulator: Emulator = contract.emulator(clock=self.clock.now)
        self.wire = Wire(self.emulator)
        self._closing = contextlib.ExitStack()
        self._hanging_up = contextlib.ExitStack()
        self._closing.callback(self._hanging_up.close)
        self._url: str | None = None

    def __enter__(self) -> Case:
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.close()

    def afresh(self) -> Iterator[Case]:
        """A new case for each way to the emulator: over a socket, one for each HTTP library."""
        carriers = ("requests",) if self.path is Path.PLUGGED else ("requests", "aiohttp")
        for carrier in carriers:
            with Case(self.contract, self.path, self.effort, carrier) as case:
                yield case

    # The account.

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The settings that get in, at the address where this case's emulator answers."""
        return {**self.emulator.settings, **self._address(), **changes}

    def _address(self) -> dict[str, str]:
        return {} if self.path is Path.PLUGGED else {"base_url": self._served()}

    def account(self, **changes: Any) -> accounts.Account:
        """A new account with the emulator's settings; `changes` are settings too."""
        provider = self.provider(**self.settings(**changes))
        return self.account_of(provider)

    def account_of(self, provider: Any, *wrappers: object) -> accounts.Account:
        """An account of an instance that is there already, with pluggy plugins around it."""
        resolved = Resolved(
            account="contract", provider_name="contract", provider=provider, options=_OPTIONS
        )
        opened = accounts.Account(
            Operations(resolved, wrappers=wrappers), self._driver(provider.base_url)
        )
        self._closing.callback(opened.close)
        return opened

    def _driver(self, base_url: str) -> Any:
        if self.path is Path.PLUGGED:
            return SyncDriver(Plug(self.wire.handle, self.clock.now), self.clock)
        from qasid_contract.sockets import over_socket

        return over_socket(base_url, self.clock, self.wire.sent, self.carrier)

    def _served(self) -> str:
        if self._url is None:
            self._url = self.listening(self.wire.served)
        return self._url

    def listening(self, handle: Callable[[Request], Response]) -> str:
        """The address of a new server on this machine, which is there until `hang_up`."""
        server = HttpServer(0, handle)
        self._hanging_up.callback(server.close)
        return server.url

    def hang_up(self) -> None:
        """Close every server: nobody listens at those addresses any more."""
        self._hanging_up.close()
        self._url = None

    # What the hooks are called with.

    def offered(self, account: accounts.Account) -> tuple[str, str]:
        """A service and a country that can be rented."""
        if "offers" not in self.implemented:
            self.emulator.stock(*self.contract.offer, 1000)
            return self.contract.offer
        found = next(offer for offer in self.listed(account) if offer.stock != 0)
        return found.service, found.country

    def listed(self, account: accounts.Account) -> list[values.Offer]:
        """All offers; those of the contract's service where `offers` cannot tell them all."""
        named = self.contract.offer is not ProviderContract.offer
        if named and self.info.supports("offers").level is values.SupportLevel.PARTIAL:
            return account.offers(self.contract.offer[0])
        return account.offers()

    def text(self, text: str = TEXT) -> values.TextMessage:
        """A message that the provider can send."""
        return values.TextMessage(to=self.contract.recipient, text=text)

    def message(self) -> values.TextMessage | values.TemplateMessage:
        """A message that the provider can send: the contract's own, or a plain text."""
        return self.contract.sample_message or self.text()

    def recipients(self, count: int) -> list[str]:
        """So many different numbers like the contract's recipient, up to 9,000 of them."""
        return [f"{self.contract.recipient[:-4]}{last}" for last in range(1000, 1000 + count)]

    def fund(self) -> None:
        """Let the account's credit cover everything."""
        self.emulator.fund(values.Money(10**9, self.emulator.balance().currency))

    def prepared(self, hook: str, account: accounts.Account) -> Callable[[], Any]:
        """The hook with arguments that fit, and what must be there before it done already.

        The account is let in first, so that the next request is the hook's own.
        """
        if "authenticate" in self.implemented and hook != "authenticate":
            account.authenticate()
            self.wire.login = (self.wire.sent[-1].method, self.wire.sent[-1].path)
        prepare: Callable[[accounts.Account], Callable[[], Any]] = getattr(self, f"_{hook}")
        ready = prepare(account)
        self.wire.forget()
        return ready

    def perform(self, hook: str) -> Any:
        """Call a hook once on a new account and give its result."""
        return self.prepared(hook, self.account())()

    def _authenticate(self, account: accounts.Account) -> Callable[[], Any]:
        return account.authenticate

    def _balance(self, account: accounts.Account) -> Callable[[], Any]:
        return account.balance

    def _offers(self, account: accounts.Account) -> Callable[[], Any]:
        return lambda: self.listed(account)

    def _acquire_number(self, account: accounts.Account) -> Callable[[], Any]:
        service, country = self.offered(account)
        return lambda: account.acquire_number(service, country)

    def _fetch_sms(self, account: accounts.Account) -> Callable[[], Any]:
        inbox: values.Activation | values.InboxQuery = values.InboxQuery()
        if "acquire_number" in self.implemented:
            inbox = self.rented(account)
            self.emulator.deliver(inbox.id, CODE_TEXT)
        return lambda: account.fetch_sms(inbox)

    def _release(self, account: accounts.Account) -> Callable[[], Any]:
        activation = self.rented(account)
        return lambda: account.release(activation)

    def _send(self, account: accounts.Account) -> Callable[[], Any]:
        return lambda: account.send(self.message())

    def _cancel_scheduled(self, account: accounts.Account) -> Callable[[], Any]:
        receipt = self.scheduled(account)
        return lambda: account.cancel_scheduled(receipt.batch_id or "")

    def _otp(self, account: accounts.Account) -> Callable[[], Any]:
        return lambda: account.otp(self.contract.recipient)

    def _verify_otp(self, account: accounts.Account) -> Callable[[], Any]:
        code = self.issued(account)
        return lambda: account.verify_otp(self.contract.recipient, code)

    def _delivery_status(self, account: accounts.Account) -> Callable[[], Any]:
        receipts = account.send_many([self.message()])
        return lambda: account.delivery_status(receipts)

    def bare_calls(self, account: accounts.Account) -> Mapping[str, Callable[[], Any]]:
        """Each operation called as it stands, with nothing prepared: for what is not there."""
        to, now = self.contract.recipient, self.clock.now()
        service, country = self.contract.offer
        number = values.Activation(
            id="1", number=to, service=service, country=country, acquired_at=now
        )
        return {
            "authenticate": account.authenticate,
            "balance": account.balance,
            "offers": account.offers,
            "acquire_number": lambda: account.acquire_number(service, country),
            "fetch_sms": lambda: account.fetch_sms(number),
            "release": lambda: account.release(number),
            "send": lambda: account.send(self.text()),
            "cancel_scheduled": lambda: account.cancel_scheduled("1"),
            "otp": lambda: account.otp(to),
            "verify_otp": lambda: account.verify_otp(to, "471108"),
            "delivery_status": lambda: account.delivery_status([values.Receipt(to=to, id="1")]),
            "parse_webhook": lambda: account.parse_webhook(Request(method="POST", url="/")),
        }

    def rented(self, account: accounts.Account) -> values.Activation:
        """A number, rented just now."""
        return account.acquire_number(*self.offered(account))

    def scheduled(self, account: accounts.Account) -> values.Receipt:
        """The receipt of a message that goes in two hours."""
        at = self.clock.now() + timedelta(hours=2)
        receipt = account.send(attrs.evolve(self.message(), send_at=at))
        assert receipt.batch_id, "the receipt of a scheduled message has no batch_id"
        return receipt

    def issued(self, account: accounts.Account) -> str:
        """A code that was sent to the recipient just now, as the emulator's outbox shows it."""
        account.otp(self.contract.recipient)
        code = self.emulator.outbox()[-1].code
        assert code is not None, "the emulator's outbox does not tell the code"
        return code

    def asking_hooks(self) -> Sequence[str]:
        """The implemented hooks that send requests."""
        return [hook for hook in HOOKS_THAT_ASK if hook in self.implemented]

    @contextlib.contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Let every request fail for the time of a block."""
        self.wire.fault = fault
        try:
            yield
        finally:
            self.wire.fault = None

    def advance(self, by: timedelta) -> None:
        """Let time pass for the account and the emulator alike."""
        self.clock.sleep(by.total_seconds())


#: The hooks that send requests.
HOOKS_THAT_ASK: Final = tuple(hook for hook in HOOKS if hook != "parse_webhook")
