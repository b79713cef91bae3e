"""$Name: what it does, in one line.

API         https://api.$host.example, paths under /v1, JSON
Auth        $auth
Money       decimal amounts with their currency
Limits      60 requests a minute
Not there   what its document does not offer

Facts are those of the provider's document, read on $today. What that document does not say is
marked *[not documented]* at its line.
"""

from __future__ import annotations

${provider_imports}from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

import attrs
from qasid import errors
from qasid.effects import Flow, Request, Response
from qasid.fields import base_url, secret
from qasid.hookspecs import hookimpl
from qasid.reading import $reading
from qasid.values import $values

__all__ = ["$Name"]

# Four of these are still to be written, here and in the emulator; take out what $Name cannot do.
_SUPPORT: Final = {
${support}    "balance": Support.full(),
    "offers": Support.full(),
    "acquire_number": Support.full(),
    "fetch_sms": Support.full(),
    "release": Support.full(),
}

_REFUSALS: Final[Mapping[int, type[errors.ProviderError]]] = {
    401: errors.AuthenticationFailed,
    402: errors.InsufficientCredit,
    403: errors.PermissionDenied,
}


@attrs.frozen(eq=False, kw_only=True)
class $Name:
    """What a user of $Name should know about its settings."""

    info: ClassVar = ProviderInfo(
        title="$Name",
        contract="$contract",
        homepage="https://$host.example",
        support=_SUPPORT,
        limits=(Limit(requests=60, period=timedelta(minutes=1)),),
        sources=(Source("$Name API", "https://$host.example/docs", "$today"),),
    )

${provider_fields}    base_url: str = base_url("https://api.$host.example")

${provider_hooks}

# How it says no: 429 first, then the status.


def _read(response: Response) -> Response:
    """The same reply, unless it is a refusal."""
    if response.status == 429:
        raise errors.RateLimited("$Name: too many requests", retry_after=retry_after(response))
    if not response.ok:
        raise _refusal(response)
    return response


def _refusal(response: Response) -> errors.ProviderError:
    unknown = errors.ProviderUnavailable if response.status >= 500 else errors.InvalidRequest
    kind = _REFUSALS.get(response.status, unknown)
    return kind(f"$Name answered {response.status}", response=response)


# How its answers are read.


def _money(data: object) -> Money:
    try:
        return Money(take(data, "amount", Decimal), take(data, "currency", str))
    except ValueError:
        raise errors.ProtocolError("'currency' is not a code of ISO 4217") from None
