"""The server of $Name in memory, written from its document alone: the provider is not imported.

Where the document is silent a comment says "not documented".
"""

from __future__ import annotations

${emulator_imports}import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

import attrs
from qasid.effects import Request, Response
from qasid.emulation import Clock, EmulatedActivation, Failures, OutboxItem, utc_now
from qasid.values import Money

__all__ = ["${Name}Emulator"]

_JSON: Final = {"Content-Type": "application/json"}


class _Refused(Exception):
    """A request is answered with a status and a few words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@attrs.define(eq=False, kw_only=True)
class ${Name}Emulator:
    """The server of $Name, for one account with 100.00 USD."""

${emulator_fields}
    clock: Clock = utc_now
    _ahead: timedelta = attrs.field(init=False, default=timedelta())
    _credit: Money = attrs.field(init=False, default=Money("100.00", "USD"))
    _failures: Failures = attrs.field(init=False, factory=Failures)

    def _now(self) -> datetime:
        return self.clock() + self._ahead

    # The front: what the network sees.

    def handle(self, request: Request) -> Response:
        """Answer one request, or fail at it as `fail_next` says."""
        return self._failures.answer(request, self._answer)

    def _answer(self, request: Request) -> Response:
        try:
            return self._reply(200, self._route(request))
        except _Refused as refused:
            return self._reply(refused.status, {"error": str(refused)})

    def _reply(self, status: int, body: object) -> Response:
        text = json.dumps(body, ensure_ascii=False, default=_number)
        return Response(status=status, headers=_JSON, body=text.encode(), received_at=self._now())

${emulator_door}
    def _money(self, amount: Decimal) -> dict[str, Any]:
        return {"amount": amount, "currency": self._credit.currency}

    # The back doors.

    def fund(self, amount: Money) -> None:
        """Set the account's credit."""
        self._credit = amount

    def balance(self) -> Money:
        """What the account's credit is."""
        return self._credit

    def stock(self, service: str, country: str, count: int) -> None:
        """Does nothing: there are no numbers."""

    def deliver(self, activation_id: str, text: str, sender: str = "Acme") -> None:
        """Raises KeyError: there are no numbers."""
        raise KeyError(activation_id)

    def advance(self, by: timedelta) -> None:
        """Let the emulator's own time pass."""
        self._ahead += by

    def outbox(self) -> Sequence[OutboxItem]:
        """Always empty: nothing is sent."""
        return ()

    def activations(self) -> Sequence[EmulatedActivation]:
        """Always empty: there are no numbers."""
        return ()

    def fail_next(self, response: Response, *, performed: bool = False) -> None:
        """Answer the next request with `response`, after doing what it asks or instead of it."""
        self._failures.arrange(response, performed)


def _number(value: Decimal) -> int | float:
    """As a JSON number; a whole one exactly, however long."""
    return int(value) if value == int(value) else float(value)
