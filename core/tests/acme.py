"""Acme: a provider that does everything, its server, and accounts there in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Protocol, TypeAlias, TypeVar

import attrs

from qasid import errors
from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Effect, Flow, Request, Response, segment
from qasid.fields import base_url, secret
from qasid.hookspecs import HOOKS, hookimpl
from qasid.operations import Operations
from qasid.reading import retry_after, take
from qasid.rentals import Rentals
from qasid.settings import Options, Resolved
from qasid.tokens import TokenStore
from qasid.values import (
    Activation,
    Cancelled,
    Credential,
    DeliveryReport,
    DeliveryState,
    InboundMessage,
    InboxQuery,
    Limit,
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
    Support,
    TemplateMessage,
    TextMessage,
)
from qasid.vault import vault

T = TypeVar("T")

KEY: Final = "KEY-0f1e2d3c"
_OWN_KEY: Final = attrs.Factory(lambda: KEY)  # a plain default would be public
HOME: Final = "https://api.acme.test/v1"
TO: Final = "+989121112233"

_REFUSALS: Final = {
    401: errors.AuthenticationFailed,
    402: errors.InsufficientCredit,
    403: errors.PermissionDenied,
    404: errors.NumberNotFound,
    409: errors.ReleaseRefused,
    410: errors.NumberExpired,
    422: errors.InvalidRequest,
    429: errors.RateLimited,
    503: errors.NoNumbersAvailable,
}


def info(hooks: Iterable[str] = HOOKS, **changes: Any) -> ProviderInfo:
    """What Acme says of itself."""
    support = dict.fromkeys(hooks, Support.full())
    about = {"title": "Acme", "contract": "1.0", "homepage": HOME, "support": support}
    return ProviderInfo(**{**about, "max_batch": 2, **changes})


# The provider.


def asked(provider: Any, method: str, path: str, token: str = "", **request: Any) -> Flow[Any]:
    """Send one request of Acme's and read its reply."""
    headers = {"Authorization": f"Bearer {token}"} if token else {"X-Key": provider.api_key}
    url = f"{provider.base_url}{path}"
    response: Response = yield Request(method=method, url=url, headers=headers, **request)
    if not response.ok:
        kind = _REFUSALS.get(response.status, errors.ProviderUnavailable)
        wait = retry_after(response)
        raise kind(f"Acme said {response.status}", retry_after=wait, response=response)
    return response.json()


@attrs.frozen(eq=False, kw_only=True)
class Acme:
    """It gets in with a key."""

    info: ClassVar = info(set(HOOKS) - {"authenticate"})

    api_key: str = secret(default=_OWN_KEY)
    base_url: str = base_url(HOME)

    @hookimpl
    def balance(self) -> Flow[Money]:
        return _money((yield from asked(self, "GET", "/balance")))

    @hookimpl
    def offers(self, service: str | None, country: str | None) -> Flow[Sequence[Offer]]:
        query = {"service": service or "", "country": country or ""}
        data = yield from asked(self, "GET", "/offers", query=query)
        return [
            Offer(service=item["service"], country=item["country"], price=_money(item["price"]))
            for item in take(data, "offers", list)
        ]

    @hookimpl
    def acquire_number(self, order: NumberOrder) -> Flow[Sequence[Activation]]:
        body = {"services": order.services, "country": order.country}
        data = yield from asked(self, "POST", "/numbers", json=body)
        return [_activation(item) for item in take(data, "numbers", list)]

    @hookimpl
    def fetch_sms(self, inbox: Activation | InboxQuery) -> Flow[Sequence[InboundMessage]]:
        path = f"/numbers/{segment(inbox.id)}" if isinstance(inbox, Activation) else "/inbox"
        data = yield from asked(self, "GET", path)
        return [
            InboundMessage(text=item["text"], sender=item["sender"], received_at=_at(item["at"]))
            for item in take(data, "messages", list)
        ]

    @hookimpl
    def release(self, activation: Activation, reason: ReleaseReason) -> Flow[Released]:
        path = f"/numbers/{segment(activation.id)}/release"
        yield from asked(self, "POST", path, json={"reason": reason.value})
        return Released(activation_id=activation.id)

    @hookimpl
    def send(self, messages: Sequence[TextMessage | TemplateMessage]) -> Flow[Sequence[Receipt]]:
        body = [message.to for message in messages]
        data = yield from asked(self, "POST", "/messages", json=body)
        return [Receipt(to=item["to"], id=item["id"]) for item in take(data, "receipts", list)]

    @hookimpl
    def cancel_scheduled(self, batch_id: str) -> Flow[Cancelled]:
        yield from asked(self, "POST", f"/batches/{segment(batch_id)}/cancel")
        return Cancelled(batch_id=batch_id)

    @hookimpl
    def otp(self, order: OtpOrder) -> Flow[OtpTicket]:
        data = yield from asked(self, "POST", "/otp", json={"to": order.to, "code": order.code})
        return OtpTicket(to=order.to, code=take(data, "code", str))

    @hookimpl
    def verify_otp(self, to: str, code: str) -> Flow[OtpVerdict]:
        body = {"to": to, "code": code}
        data = yield from asked(self, "POST", "/otp/verify", json=body, safe=True)
        return OtpVerdict(accepted=take(data, "accepted", bool))

    @hookimpl
    def delivery_status(self, receipts: Sequence[Receipt]) -> Flow[Sequence[DeliveryReport]]:
        body = [receipt.id for receipt in receipts]
        data = yield from asked(self, "POST", "/status", json=body, safe=True)
        return [
            DeliveryReport(receipt_id=id_, state=DeliveryState.DELIVERED)
            for id_ in take(data, "delivered", list)
        ]

    @hookimpl
    def parse_webhook(self, request: Request) -> Sequence[InboundMessage | DeliveryReport]:
        return [InboundMessage(text=take(request.payload(), "text", str))]


@attrs.frozen(eq=False, kw_only=True)
class Guarded:
    """It gets in with a token, which its key opens."""

    info: ClassVar = info({"authenticate", "balance", "send", "acquire_number"})

    api_key: str = secret(default=_OWN_KEY)
    base_url: str = base_url(HOME)

    @hookimpl
    def authenticate(self) -> Flow[Credential]:
        response = yield Request(
            method="POST", url=f"{self.base_url}/token", headers={"X-Key": self.api_key}, safe=True
        )
        if response.status == 401:
            raise errors.AuthenticationFailed("the key is not accepted", response=response)
        if not response.ok:
            raise errors.ProviderUnavailable("no token today", response=response)
        data = response.json()
        life = take(data, "life", int, None)
        end = None if life is None else response.received_at + timedelta(seconds=life)
        return Credential(token=take(data, "token", str), expires_at=end)

    @hookimpl
    def balance(self, credential: Credential) -> Flow[Money]:
        return _money((yield from asked(self, "GET", "/balance", credential.token)))

    @hookimpl
    def send(
        self, messages: Sequence[TextMessage | TemplateMessage], credential: Credential
    ) -> Flow[Sequence[Receipt]]:
        body = [message.to for message in messages]
        data = yield from asked(self, "POST", "/messages", credential.token, json=body)
        return [Receipt(to=item["to"], id=item["id"]) for item in data["receipts"]]

    @hookimpl
    def acquire_number(
        self, order: NumberOrder, credential: Credential
    ) -> Flow[Sequence[Activation]]:
        body = {"services": order.services, "country": order.country}
        data = yield from asked(self, "POST", "/numbers", credential.token, json=body)
        return [_activation(item) for item in take(data, "numbers", list)]


def _money(data: Any) -> Money:
    return Money.parse(take({"money": data}, "money", str))


def _at(text: str | None) -> datetime | None:
    return text and datetime.fromisoformat(text)  # type: ignore[return-value]


def _activation(item: Any) -> Activation:
    return Activation(
        id=take(item, "id", str),
        number="+999000000001",
        service=take(item, "service", str),
        country="SA",
        acquired_at=datetime.fromisoformat(item["at"]),
        expires_at=_at(item.get("until")),
    )


# Its server.

Fault: TypeAlias = Response | BaseException | Callable[[Request], Response]


def reply(status: int = 200, body: bytes = b"{}", **headers: str) -> Response:
    """A reply to put into `Server.faults`; ``Retry_After`` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers=named, body=body)


def _queue(faults: Iterable[Fault | None]) -> deque[Fault | None]:
    return deque(faults)


@attrs.define
class Server:
    """Acme's other half. `faults` take the place of its next answers; `acts` are what was paid."""

    clock: VirtualClock = attrs.field(factory=VirtualClock)
    faults: deque[Fault | None] = attrs.field(default=(), converter=_queue)
    requests: list[Request] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)
    acts: list[str] = attrs.field(factory=list)
    messages: list[dict[str, Any]] = attrs.field(factory=list)
    price: str = "0.50 USD"
    tokens: int = 0
    life: int | None = 3600
    until: str | None = None

    @property
    def asked(self) -> list[str]:
        """Method and path of each request, in order."""
        return [f"{request.method} /{'/'.join(_way(request))}" for request in self.requests]

    def handle(self, request: Request) -> Response:
        """Answer, as the next fault says or as Acme does."""
        self.requests.append(request)
        self.times.append(self.clock.seconds)
        fault = self.faults.popleft() if self.faults else None
        if isinstance(fault, BaseException):
            raise fault
        if callable(fault):
            return fault(request)
        return fault or self.answer(request)

    def answer(self, request: Request) -> Response:
        """What Acme answers when nothing is wrong."""
        found = self._told if request.method == "GET" else self._done
        return Response(status=200, body=json.dumps(found(request)).encode())

    def _told(self, request: Request) -> Any:
        match _way(request):
            case ["balance"]:
                return "1.00 USD"
            case ["offers"]:
                service = request.params()["service"] or "acme"
                return {"offers": [{"service": service, "country": "SA", "price": self.price}]}
        return {"messages": self.messages}

    def _done(self, request: Request) -> Any:
        match _way(request):
            case ["token"]:
                self.tokens += 1
                return {"token": f"TOKEN-{self.tokens}", "life": self.life}
            case ["numbers"]:
                return {"numbers": [self._rented(s) for s in request.payload()["services"]]}
            case ["messages"]:
                return {"receipts": [self._sent(to) for to in _list(request)]}
            case ["otp"]:
                self.acts.append("otp")
                return {"code": request.payload()["code"] or "0042"}
            case ["otp", "verify"]:
                return {"accepted": request.payload()["code"] == "0042"}
            case ["status"]:
                return {"delivered": _list(request)}
        return {}

    def _rented(self, service: str) -> dict[str, Any]:
        self.acts.append(service)
        at = self.clock.now().isoformat()
        return {"id": f"n{len(self.acts)}", "service": service, "at": at, "until": self.until}

    def _sent(self, to: str) -> dict[str, str]:
        self.acts.append(to)
        return {"to": to, "id": f"m{len(self.acts)}"}


def _way(request: Request) -> list[str]:
    return request.path.removeprefix("/v1").split("/")[1:]


def _list(request: Request) -> list[Any]:
    return json.loads(request.content or b"[]")


# Accounts there.


class Answering(Protocol):
    """A server, and the clock that it and its account go by."""

    clock: VirtualClock

    def handle(self, request: Request) -> Response: ...


def operations(
    provider: Any = None,
    wrappers: Iterable[object] = (),
    rentals: Rentals | None = None,
    listeners: Iterable[object] = (),
    store: TokenStore | None = None,
    name: str = "work",
    **options: Any,
) -> Operations:
    """The operations of an account at that provider, Acme unless told; without a store no vault."""
    provider = provider or Acme()
    resolved = Resolved(
        account=name, provider_name="acme", provider=provider, options=Options(**options)
    )
    kept = vault(resolved, store) if store else None
    return Operations(resolved, rentals, wrappers, listeners, kept)


@contextlib.contextmanager
def blocking(server: Answering, *args: Any, **options: Any) -> Iterator[Account]:
    """An `Account` in virtual time."""
    made = operations(*args, **options)
    with Account(made, virtual_driver(server.handle, server.clock)) as account:
        yield account
    made.rentals.close()


@contextlib.contextmanager
def awaited(server: Answering, *args: Any, **options: Any) -> Iterator[Awaited]:
    """An `AsyncAccount` in virtual time, whose coroutines are run to their end."""
    made = operations(*args, **options)
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        account = AsyncAccount(made, AsyncDriver(AsyncPlug(Plug(server.handle))))
        yield Awaited(account, runner)
        runner.run(account.close())
    made.rentals.close()


@attrs.frozen
class Awaited:
    """An `AsyncAccount` to be used as if it was an `Account`."""

    account: AsyncAccount
    runner: asyncio.Runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.account, name)
        if not asyncio.iscoroutinefunction(found):
            return found
        return lambda *args, **options: self.runner.run(found(*args, **options))

    def __repr__(self) -> str:
        return repr(self.account)

    @contextlib.contextmanager
    def rent(self, *args: Any, **options: Any) -> Iterator[Activation]:
        """The block runs outside of the loop."""
        manager = self.account.rent(*args, **options)
        activation = self.runner.run(_entered(manager))
        try:
            yield activation
        except BaseException as error:
            self.runner.run(_left(manager, error))
            raise
        self.runner.run(_left(manager, None))


async def _entered(manager: Any) -> Activation:
    return await manager.__aenter__()


async def _left(manager: Any, error: BaseException | None) -> None:
    try:
        await manager.__aexit__(error and type(error), error, None)
    except BaseException as raised:
        if raised is not error:
            raise


FACES: Final = (blocking, awaited)


# Time.


class SharedClock(VirtualClock):
    """Virtual time for so many threads. It leaps when each of them sleeps or is done."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._awake = threads
        self._alarms: list[float] = []
        self._leapt = threading.Condition()

    def sleep(self, seconds: float) -> None:
        with self._leapt:
            alarm = self.seconds + seconds
            heapq.heappush(self._alarms, alarm)
            self._rest()
            self._leapt.wait_for(lambda: self.seconds >= alarm)

    def done(self) -> None:
        """A thread has come to its end."""
        with self._leapt:
            self._rest()

    def _rest(self) -> None:
        self._awake -= 1
        if self._awake or not self._alarms:
            return
        self.seconds = self._alarms[0]
        while self._alarms and self._alarms[0] <= self.seconds:
            heapq.heappop(self._alarms)
            self._awake += 1
        self._leapt.notify_all()


@attrs.define
class Strict:
    """A server that lets `requests` in any `period` seconds through, and counts what is over."""

    requests: int = 120
    period: float = 60.0
    clock: VirtualClock = attrs.field(factory=VirtualClock)
    times: list[float] = attrs.field(factory=list)
    callers: list[int] = attrs.field(factory=list)
    refused: int = 0

    def handle(self, request: Request) -> Response:
        now = self.clock.seconds
        self.callers.append(int(request.params()["service"]))
        if (
            len([at for at in self.times[-self.requests :] if at > now - self.period])
            >= self.requests
        ):
            self.refused += 1
            return Response(status=429)
        self.times.append(now)
        return Response(status=200, body=b'{"offers": []}')


@attrs.frozen(eq=False, kw_only=True)
class Limited(Acme):
    """Acme with a limit of 120 requests a minute."""

    info: ClassVar = info(limits=(Limit(requests=120, period=timedelta(minutes=1)),))


# Flows without a driver.


def played(flow: Flow[T], answer: Callable[[Effect], Any]) -> T:
    """Run a flow whose effects `answer` performs."""
    try:
        effect = next(flow)
        while True:
            try:
                given = answer(effect)
            except BaseException as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(given)
    except StopIteration as stop:
        result: T = stop.value
        return result
