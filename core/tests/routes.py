"""Routes over Acme's servers in virtual time, and an ear for what they tell."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.events import listens
from qasid.operations import Operations
from qasid.routing import AsyncRoute, Route
from qasid.settings import Options, Resolved

from .acme import Acme, Awaited, Server


def servers(*names: str, **made: Server) -> dict[str, Server]:
    """Servers by the names of their accounts, all in one time."""
    clock = VirtualClock()
    found = {**{name: Server() for name in names}, **made}
    for server in found.values():
        server.clock = clock
    return found


def operations(
    name: str, provider: Any = None, listeners: Iterable[object] = (), **options: Any
) -> Operations:
    """An account that fails at once, where it would have to wait."""
    resolved = Resolved(
        account=name,
        provider_name="acme",
        provider=provider or Acme(),
        options=Options(max_wait=0, **options),
    )
    return Operations(resolved, listeners=listeners)


@contextlib.contextmanager
def blocking(
    found: Mapping[str, Server],
    policy: Any = None,
    *,
    providers: Mapping[str, Any] | None = None,
    listeners: Iterable[object] = (),
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[Route]:
    """A `Route` over these servers; `settings` are the options of each account."""
    accounts = [
        Account(
            operations(name, (providers or {}).get(name), listeners, **(settings or {})),
            virtual_driver(server.handle, server.clock),
        )
        for name, server in found.items()
    ]
    with Route(
        "alerts", accounts, policy, listeners=listeners, close_accounts=True, **options
    ) as route:
        yield route


@contextlib.contextmanager
def awaited(
    found: Mapping[str, Server],
    policy: Any = None,
    *,
    providers: Mapping[str, Any] | None = None,
    listeners: Iterable[object] = (),
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[Awaited]:
    """An `AsyncRoute` over these servers, whose coroutines are run to their end."""
    clock = next(iter(found.values())).clock
    accounts = [
        AsyncAccount(
            operations(name, (providers or {}).get(name), listeners, **(settings or {})),
            AsyncDriver(AsyncPlug(Plug(server.handle))),
        )
        for name, server in found.items()
    ]
    route = AsyncRoute(
        "alerts", accounts, policy, listeners=listeners, close_accounts=True, **options
    )
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        yield Awaited(route, runner)
        runner.run(route.close())


FACES: Final = (blocking, awaited)


@attrs.frozen(eq=False)
class Ear:
    """Hears every event, as ``name`` and the event."""

    heard: list[tuple[str, Any]] = attrs.field(factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the events, in order."""
        return [name for name, _ in self.heard]

    def only(self, name: str) -> Any:
        """The one event of that name."""
        (event,) = (event for heard, event in self.heard if heard == name)
        return event

    @listens
    def on_performed(self, event: Any) -> None:
        self.heard.append(("on_performed", event))

    @listens
    def on_refused(self, event: Any) -> None:
        self.heard.append(("on_refused", event))

    @listens
    def on_unknown(self, event: Any) -> None:
        self.heard.append(("on_unknown", event))

    @listens
    def on_fallback(self, event: Any) -> None:
        self.heard.append(("on_fallback", event))

    @listens
    def on_breaker(self, event: Any) -> None:
        self.heard.append(("on_breaker", event))

    @listens
    def on_low_balance(self, event: Any) -> None:
        self.heard.append(("on_low_balance", event))

    @listens
    def on_prefix_paused(self, event: Any) -> None:
        self.heard.append(("on_prefix_paused", event))
