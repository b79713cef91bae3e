"""A wire that remembers, and what can be read off a request on it."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import attrs

import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request, Response
from qasid_deftsms.emulator import DeftSMSEmulator

SETTINGS: Final[dict[str, Any]] = {**DeftSMSEmulator.settings}

#: The printed answer to a send.
GOOD: Final[dict[str, Any]] = {
    "success": True,
    "error": False,
    "status": "success",
    "code": 200,
    "messages": [],
    "data": None,
    "total": 0,
}


def bad(code: int, *messages: Any) -> dict[str, Any]:
    """The same mirrored, as no error is printed."""
    mirrored = {"success": False, "error": True, "status": "error"}
    return {**GOOD, **mirrored, "code": code, "messages": [*messages]}


def reply(body: Any, status: int = 200, **headers: str) -> Response:
    """A reply whose body is that text, or that value as JSON."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers=named, body=text.encode())


@attrs.define
class Wire:
    """Records requests, and answers each with the next cue, or by the emulator where it is None."""

    emulator: DeftSMSEmulator
    cues: list[Response | Exception | None] = attrs.field(factory=list)
    seen: list[Request] = attrs.field(factory=list)

    def handle(self, request: Request) -> Response:
        self.seen.append(request)
        cue = self.cues.pop(0) if self.cues else None
        if isinstance(cue, Exception):
            raise cue
        return self.emulator.handle(request) if cue is None else cue

    @property
    def paths(self) -> list[str]:
        """The path of each request, below the base."""
        return [request.path.removeprefix("/api") for request in self.seen]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The payload of each request's token."""
        return [claims(request.payload()["token"]) for request in self.seen]


def claims(token: str) -> Any:
    """What a token holds. No key is needed to read it."""
    part = token.split(".")[1].rstrip("=").replace("+", "-").replace("/", "_")
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def connected(wire: Wire, clock: VirtualClock, **changes: Any) -> qasid.Account:
    """An account whose network is the wire."""
    given = {**SETTINGS, "driver": virtual_driver(wire.handle, clock), **changes}
    return qasid.connect("deftsms", **given)
