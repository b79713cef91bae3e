"""The hook specifications: the whole surface that a provider extends.

A provider is an attrs class whose fields are its settings and whose methods, marked `@hookimpl`,
are some of the hooks below. Each hook but `parse_webhook` returns a *flow*: a generator that yields
`Request`s to the provider's own `base_url`, is sent a `Response` for each, and returns the result.
Connections, time-outs, limits, retries and logging belong to whoever drives the flow.

A hook may leave out arguments that it does not use. One that names `credential` is given a valid
`Credential`: the core calls `authenticate` for it, keeps it, and renews it before it ends and once
after `AuthenticationFailed`.

Say no by raising an error of `qasid.errors`; the class tells that it was *not performed*. For a
reply that cannot be read raise `ProtocolError` (`qasid.reading.take` does), and for a fault on the
provider's side `ProviderUnavailable`: the core then judges by what had been sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pluggy

from qasid.effects import Flow, Request
from qasid.values import (
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
    Receipt,
    Released,
    ReleaseReason,
    TemplateMessage,
    TextMessage,
)

__all__ = ["HOOKS", "PAID_HOOKS", "hookimpl"]

PROJECT: Final = "qasid"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec(firstresult=True)
def authenticate(credential: Credential | None) -> Flow[Credential]:
    """Obtain a token. Only for providers that hand one out.

    `credential` is the one that has run out, or None at first. Mark the request `safe=True` unless
    asking twice does harm, as where refresh tokens rotate.
    Raises `AuthenticationFailed` where the settings do not get in.
    """


@hookspec(firstresult=True)
def balance(credential: Credential) -> Flow[Money]:
    """Tell the account's credit, in the currency that the provider names or documents."""


@hookspec(firstresult=True)
def offers(
    service: str | None, country: str | None, credential: Credential
) -> Flow[Sequence[Offer]]:
    """List what can be rented, with prices and, where the provider tells, stock.

    `service` and `country` are the provider's own codes; None is all. An unknown one gives an empty
    list where the provider does not object.
    """


@hookspec(firstresult=True)
def acquire_number(order: NumberOrder, credential: Credential) -> Flow[Sequence[Activation]]:
    """Rent a number for each of `order.services`. *Paid*: the request must not be `safe`.

    Where some services got a number and others none, give `Acquired` with the failures of the rest.
    Put whatever the later calls need into `Activation.extra`; `acquired_at` is the response's
    `received_at`. `order.max_price` is there for providers that can be told it; the core compares
    it with `offers` beforehand in any case.
    Raises `NoNumbersAvailable`, `InsufficientCredit`, `InvalidRequest` where nothing was rented.
    """


@hookspec(firstresult=True)
def fetch_sms(
    inbox: Activation | InboxQuery, credential: Credential
) -> Flow[Sequence[InboundMessage]]:
    """Read the messages of a rented number, or a page of the account's own inbox; oldest first.

    No message yet is an empty list and no error. A provider that knows only one of the two raises
    `InvalidRequest` for the other, before any request, and says so in `info.support`.
    Raises `NumberExpired`, `NumberNotFound`.
    """


@hookspec(firstresult=True)
def release(
    activation: Activation, reason: ReleaseReason, credential: Credential
) -> Flow[Released]:
    """Give a rented number back before its time.

    `reason` is `UNUSED` for a plain cancel and `UNUSABLE` to report the number to the provider.
    Raises `ReleaseRefused`, `NumberExpired`, `NumberNotFound`.
    """


@hookspec(firstresult=True)
def send(
    messages: Sequence[TextMessage | TemplateMessage], credential: Credential
) -> Flow[Sequence[Receipt]]:
    """Send up to `info.max_batch` messages. *Paid*. Give one `Receipt` for each, in order.

    What the provider cannot say (a schedule, a sender, a template) is `InvalidRequest` before the
    request. A refusal of the whole batch is raised; one of a single message is its receipt's error.
    A success that cannot be read further is *accepted without an id*, never a failure. `send_at` is
    in UTC, and later than now: the core has seen to that.
    """


@hookspec(firstresult=True)
def cancel_scheduled(batch_id: str, credential: Credential) -> Flow[Cancelled]:
    """Take back what was scheduled under a receipt's `batch_id`, before its moment.

    Raises `InvalidRequest` where nothing is scheduled under it, or it is too late.
    """


@hookspec(firstresult=True)
def otp(order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
    """Send a one-time password. *Paid*. Codes are text: a leading zero is a digit.

    With `order.code` that code is sent, else one of `order.length` digits is made.
    """


@hookspec(firstresult=True)
def verify_otp(to: str, code: str, credential: Credential) -> Flow[OtpVerdict]:
    """Ask the provider whether `code` is the one that `to` was sent.

    A wrong, expired or used code is a verdict. An error means that nothing is known of the code.
    """


@hookspec(firstresult=True)
def delivery_status(
    receipts: Sequence[Receipt], credential: Credential
) -> Flow[Sequence[DeliveryReport]]:
    """Tell where the messages are, in the order of `receipts`, each of which has an `id`."""


@hookspec(firstresult=True)
def parse_webhook(request: Request) -> Sequence[InboundMessage | DeliveryReport]:
    """Read what the provider posted to us. Pure: no flow, no requests.

    Raises `ProtocolError` for anything that the provider would not send.
    """


#: Every hook, in the order of the documents and of the support matrix.
HOOKS: Final = (
    "authenticate",
    "balance",
    "offers",
    "acquire_number",
    "fetch_sms",
    "release",
    "send",
    "cancel_scheduled",
    "otp",
    "verify_otp",
    "delivery_status",
    "parse_webhook",
)

#: What costs money, and so is never repeated after an unknown outcome.
PAID_HOOKS: Final = frozenset({"acquire_number", "send", "otp"})
