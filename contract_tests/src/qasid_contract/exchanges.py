"""A provider's documented exchanges: its document's samples, as data beside the provider.

The format is told in `qasid_contract.rules.wire`, and by `examples.schema.json`.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from qasid.effects import Request, Response
from qasid.values import (
    Activation,
    InboxQuery,
    Money,
    NumberOrder,
    OtpOrder,
    Receipt,
    ReleaseReason,
    TemplateMessage,
    TextMessage,
)
from qasid_contract.case import Case
from qasid_contract.contract import ProviderContract

__all__ = ["Example", "Replay", "examples_of"]


@attrs.frozen(kw_only=True)
class Example:
    """One exchange as the document shows it. `call` None: the provider has no use for it."""

    name: str
    hook: str
    documented: bool | str
    source: str
    request: Mapping[str, Any]
    response: Mapping[str, Any] | None
    outcome: str
    given: Sequence[tuple[str, Mapping[str, Any]]] = ()
    call: Mapping[str, Any] | None = None
    note: str = ""

    @property
    def body(self) -> Any:
        """The documented body as JSON, made valid where need be; None where there is none."""
        response = self.response or {}
        return response.get("normalised", response.get("body"))


def examples_of(contract: type[ProviderContract]) -> list[Example]:
    """The examples of every JSON file in the contract's package of them."""
    name = contract.examples or _usual_package(contract.provider)
    found = importlib.util.find_spec(name) if name else None
    if found is None or found.submodule_search_locations is None:
        return []
    files = [f for f in importlib.resources.files(name).iterdir() if f.name.endswith(".json")]
    texts = [file.read_text("utf-8") for file in sorted(files, key=lambda file: file.name)]
    return [Example(**item) for text in texts for item in json.loads(text)]


def _usual_package(provider: type) -> str:
    package = sys.modules[provider.__module__].__package__
    return f"{package}.examples" if package else ""


_FORM: Final = re.compile(r"\$\{([^.}]+)((?:\.[^.}]+)*)\}")


@attrs.define
class Replay:
    """Puts the requests of examples to an emulator, and remembers what it answered."""

    case: Case
    examples: Mapping[str, Example]
    replies: dict[str, Any] = attrs.field(factory=dict)

    def prepare(self, example: Example) -> None:
        """Open the back doors that the example names."""
        for door, arguments in example.given:
            self._doors[door](**self.filled(arguments))

    @property
    def _doors(self) -> Mapping[str, Any]:
        emulator = self.case.emulator
        return {
            "exchange": self._exchange,
            "advance": lambda seconds: self.case.advance(timedelta(seconds=seconds)),
            "fund": lambda amount, currency: emulator.fund(Money(amount, currency)),
            "deliver": emulator.deliver,
            "stock": emulator.stock,
        }

    def _exchange(self, name: str, times: int = 1) -> None:
        for _ in range(times):
            reply = self.ask(self.examples[name])
        self.replies[name] = json.loads(reply.body or b"null")

    def ask(self, example: Example) -> Response:
        """What the emulator answers to an example's request."""
        return self.case.emulator.handle(self.request(example).encode())

    def request(self, example: Example) -> Request:
        """An example's request, below the provider's own address."""
        asked = self.filled(example.request)
        base = self.case.provider(**self.case.settings()).base_url
        return Request(
            method=asked["method"],
            url=f"{base}{asked['path']}",
            query=asked.get("query"),
            headers=asked.get("headers"),
            json=asked.get("body"),
            form=asked.get("form"),
            multipart=asked.get("multipart"),
        )

    def arguments(self, example: Example) -> dict[str, Any]:
        """The hook's arguments, but for its credential, as the example's `call` tells them."""
        call = self.filled(example.call)
        make = _ARGUMENTS.get(example.hook)
        return dict(call) if make is None else make(self.case, call)

    def filled(self, value: Any) -> Any:
        """The value with each ``${name.member}`` taken from the reply to that exchange."""
        if isinstance(value, str):
            return _FORM.sub(lambda found: str(self._reply(found[1], found[2])), value)
        if isinstance(value, Mapping):
            return {name: self.filled(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        return value

    def _reply(self, name: str, path: str) -> Any:
        found = self.replies[name]
        for part in path.split(".")[1:]:
            found = found[int(part) if isinstance(found, list) else part]
        return found


# From JSON to a hook's arguments.


def _activation(case: Case, call: Mapping[str, Any]) -> Activation:
    service, country = case.contract.offer
    return Activation(
        id=call["activation_id"],
        number=call.get("number", case.contract.recipient),
        service=call.get("service", service),
        country=call.get("country", country),
        acquired_at=case.clock.now(),
        extra=call.get("extra", {}),
    )


def _inbox(case: Case, call: Mapping[str, Any]) -> Activation | InboxQuery:
    return _activation(case, call) if "activation_id" in call else InboxQuery(**call)


def _message(item: Mapping[str, Any]) -> TextMessage | TemplateMessage:
    kind: type[TextMessage | TemplateMessage] = TextMessage if "text" in item else TemplateMessage
    if "send_at" in item:
        item = {**item, "send_at": datetime.fromisoformat(item["send_at"])}
    return kind(**item)


def _otp_order(call: Mapping[str, Any]) -> OtpOrder:
    if "lifetime" in call:
        call = {**call, "lifetime": timedelta(seconds=call["lifetime"])}
    return OtpOrder(**call)


_ARGUMENTS: Final[Mapping[str, Callable[[Case, Mapping[str, Any]], dict[str, Any]]]] = {
    "offers": lambda case, call: {"service": None, "country": None, **call},
    "acquire_number": lambda case, call: {"order": NumberOrder(**call)},
    "fetch_sms": lambda case, call: {"inbox": _inbox(case, call)},
    "release": lambda case, call: {
        "activation": _activation(case, call),
        "reason": ReleaseReason(call.get("reason", "unused")),
    },
    "send": lambda case, call: {"messages": [_message(item) for item in call["messages"]]},
    "cancel_scheduled": lambda case, call: {"batch_id": call["batch_id"]},
    "otp": lambda case, call: {"order": _otp_order(call)},
    "delivery_status": lambda case, call: {
        "receipts": [Receipt(to=case.contract.recipient, id=one) for one in call["ids"]]
    },
}
