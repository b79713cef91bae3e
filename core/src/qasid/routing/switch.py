"""How the requests of several accounts go through one driver: each names its account.

A route's flow is run by one ordinary driver, whose transport is a switch: it hands each request to
the transport of the account that it is of. So no driver knows of routes, and whatever is put around
a driver or a transport, such as the signals of the command line, is around a route's too. The
address would not do: two accounts may be at one provider, each with time-outs of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from qasid.drivers.aio import AsyncDriver, AsyncTransport
from qasid.drivers.sync import SyncDriver, Transport
from qasid.effects import Effect, Flow, Request, Response, Whole
from qasid.errors import ConnectFailed
from qasid.policies.passage import relayed
from qasid.routing.health import Watch

__all__ = ["Addressed", "AsyncSwitch", "Switch", "addressed"]

T = TypeVar("T")


@attrs.frozen(kw_only=True, repr=False)
class Addressed(Request):
    """A request, and the name of the account whose transport carries the `original`."""

    account: str
    original: Request


def addressed(account: str, flow: Flow[T], watch: Watch | None = None) -> Flow[T]:
    """Run `flow` with its requests addressed to that account; all other effects are as they are.

    `watch` is told of its requests.
    """
    watch = watch or Watch()

    def relay(effect: Effect) -> Flow[Any]:
        return watch.over(_address(account, effect, watch))

    return relayed(flow, relay)


def _address(account: str, effect: Effect, watch: Watch) -> Effect:
    match effect:
        case Whole():
            return Whole(addressed(account, effect.flow, watch))
        case Request():
            return Addressed(
                method=effect.method,
                url=effect.url,
                safe=effect.safe,
                account=account,
                original=effect,
            )
    return effect


@attrs.frozen(eq=False)
class Switch:
    """The transports of several accounts, by name."""

    transports: Mapping[str, Transport]

    def send(self, request: Request) -> Response:
        """Give the reply, by the transport of the request's account."""
        assert isinstance(request, Addressed)  # noqa: S101, no other comes from a route
        return self.transports[request.account].send(request.original)

    def warm(self) -> None:
        """Open a connection of each account. Raises the first `ConnectFailed` after the last."""
        failures = []
        for transport in self.transports.values():
            try:
                SyncDriver(transport).warm()
            except ConnectFailed as error:
                failures.append(error)
        _raise_first(failures)

    def close(self) -> None:
        """Nothing: each account gives its own connections back."""


@attrs.frozen(eq=False)
class AsyncSwitch:
    """A `Switch` for the async driver."""

    transports: Mapping[str, AsyncTransport]

    async def send(self, request: Request) -> Response:
        """Give the reply, by the transport of the request's account."""
        assert isinstance(request, Addressed)  # noqa: S101, no other comes from a route
        return await self.transports[request.account].send(request.original)

    async def warm(self) -> None:
        """Open a connection of each account. Raises the first `ConnectFailed` after the last."""
        failures = []
        for transport in self.transports.values():
            try:
                await AsyncDriver(transport).warm()
            except ConnectFailed as error:
                failures.append(error)
        _raise_first(failures)

    async def close(self) -> None:
        """Nothing: each account gives its own connections back."""


def _raise_first(failures: Sequence[ConnectFailed]) -> None:
    if failures:
        raise failures[0]
