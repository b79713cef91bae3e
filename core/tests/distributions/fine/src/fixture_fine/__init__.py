"""A provider with which nothing is wrong, and that has a setting of every kind."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

import attrs

from qasid.effects import Flow, Request, Response
from qasid.fields import base_url, secret
from qasid.hookspecs import hookimpl
from qasid.values import Money, ProviderInfo, Support


def _no_letters(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value.isalpha():
        raise ValueError(f"{value!r} is all letters")


@attrs.frozen(eq=False, kw_only=True)
class Fine:
    """Tell a balance."""

    info: ClassVar = ProviderInfo(
        title="Fine",
        contract="1.0",
        homepage="https://fine.example",
        support={"balance": Support.full()},
    )

    api_key: str = secret()
    base_url: str = base_url("https://fine.example/v1")
    sender: str = "Fine"
    retries: int = 3
    price: float = 0.5
    strict: bool = True
    lifetime: timedelta = timedelta(minutes=2)
    channel: Literal["sms", "voice"] = "sms"
    domain: str | None = None
    word: str = attrs.field(default="a1", validator=_no_letters)
    extras: tuple[str, ...] = ()
    second: int = attrs.field(default=2)

    @second.validator
    def _second(self, attribute: attrs.Attribute[int], value: int) -> None:
        if value == self.retries:
            raise ValueError("second is another number than retries")

    def __attrs_post_init__(self) -> None:
        if self.sender == self.api_key:
            raise ValueError(f"{self.api_key} is a secret, and no sender")

    @hookimpl
    def balance(self) -> Flow[Money]:
        """Tell the credit."""
        response: Response = yield Request(method="GET", url=f"{self.base_url}/balance")
        return Money.parse(response.json())


class FineEmulator:
    """Always the same answer."""

    settings: ClassVar = {"api_key": "fine-key"}

    def handle(self, request: Request) -> Response:
        """Tell five dollars."""
        return Response(status=200, body=b'"5.00 USD"')
