"""A wire that remembers, and accounts on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request, Response
from qasid_smsafzar.emulator import SMSAfzarEmulator


@attrs.define
class Wire:
    """Records requests and answers each with the next reply, or all with an emulator.

    A reply that is an error is raised, as a transport would.
    """

    emulator: SMSAfzarEmulator
    replies: list[Response | qasid.ProviderError | None] = attrs.field(factory=list)
    seen: list[Request] = attrs.field(factory=list)

    def handle(self, request: Request) -> Response:
        self.seen.append(request)
        reply = self.replies.pop(0) if self.replies else None
        if isinstance(reply, qasid.ProviderError):
            raise reply
        return reply or self.emulator.handle(request)

    def reply(self, status: int, body: Any = "", **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(Response(status=status, headers=named, body=text.encode()))

    def pass_on(self, count: int = 1) -> None:
        """Let the emulator answer so many requests before the next reply."""
        self.replies += [None] * count

    def refuse(self, status: int, code: int, *fields: str) -> None:
        listed = [{"field": name, "errorMessage": "…"} for name in fields]
        more = {"validationErrors": listed} if listed else {}
        self.reply(status, {"errorCode": code, "errorMessage": "…", **more})

    @property
    def targets(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.seen]

    @property
    def logins(self) -> int:
        return self.targets.count("POST /auth/token")

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of all requests but logins."""
        return [one.payload() for one in self.seen if one.path != "/auth/token"]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def wire(clock: VirtualClock) -> Wire:
    return Wire(SMSAfzarEmulator(clock=clock.now))


@pytest.fixture
def connect(wire: Wire, clock: VirtualClock) -> Callable[..., qasid.Account]:
    """Opens an account on the wire; settings are added to those that get in."""

    def opened(**settings: Any) -> qasid.Account:
        driver = virtual_driver(wire.handle, clock)
        return qasid.connect("smsafzar", driver=driver, **{**wire.emulator.settings, **settings})

    return opened


@pytest.fixture
def account(connect: Callable[..., qasid.Account], wire: Wire) -> qasid.Account:
    """An account that is let in already, so that the next request is a hook's own."""
    opened = connect()
    opened.authenticate()
    wire.seen.clear()
    return opened
