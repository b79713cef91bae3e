"""What an application may listen to: what became of each act that costs money, and why.

A listener is an object with methods that are marked `@listens` and named as one of the
specifications below. It is given by ``connect(…, listeners=[…])``, or found by its entry point in
the group ``qasid.listeners``, which names an object, or a class that is made without arguments for
each account. One that raises harms nothing: that is logged, without the text of its error.

No event holds a secret, a one-time password, a text or a recipient. Who a message went to is known
to whoever has its receipt, by the id; some providers make their ids of the recipient. Listeners are
called after the act, one after the other and before its caller gets the result; those of an async
account in another thread.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import attrs
import pluggy

from qasid.errors import Outcome, PluginError, ProviderError, QasidError
from qasid.reporting import Listeners, Reporter
from qasid.values import Money

__all__ = [
    "BreakerMoved",
    "Failed",
    "FellBack",
    "Listeners",
    "LowBalance",
    "PassedOver",
    "Performed",
    "PrefixPaused",
    "Reporter",
    "event_name",
    "listens",
]

PROJECT: Final = "qasid-events"

hookspec = pluggy.HookspecMarker(PROJECT)
listens = pluggy.HookimplMarker(PROJECT)


# The events. Moments are UTC; `operation` is the name of the hook: send, otp or acquire_number.


@attrs.frozen(kw_only=True)
class Performed:
    """`count` messages, codes or numbers were accepted by the provider within `elapsed`.

    `ids` are those of the receipts, tickets or activations, where the provider gave any.
    """

    account: str
    provider: str
    operation: str
    count: int
    ids: tuple[str, ...]
    at: datetime
    elapsed: timedelta


@attrs.frozen(kw_only=True)
class Failed:
    """`count` messages, codes or numbers were refused, or it is unknown what became of them.

    `error` is the name of the error's class, `provider_code` what the provider calls it.
    """

    account: str
    provider: str
    operation: str
    count: int
    error: str
    provider_code: str | None
    retry_after: timedelta | None
    at: datetime
    elapsed: timedelta


@attrs.frozen
class PassedOver:
    """An account that did not do it, and why: the name of its error's class, or its breaker."""

    account: str
    because: str


@attrs.frozen(kw_only=True)
class FellBack:
    """`account` performed what the accounts before it in the route's order had not."""

    route: str
    operation: str
    account: str
    count: int
    passed_over: tuple[PassedOver, ...]
    at: datetime


@attrs.frozen(kw_only=True)
class BreakerMoved:
    """The breaker of an account in a route is now `open`, `half-open` or `closed`.

    An open one lets nothing through for `open_for`.
    """

    route: str
    account: str
    state: str
    open_for: timedelta | None
    at: datetime


@attrs.frozen(kw_only=True)
class LowBalance:
    """The balance is under the account's `low_balance`, or the provider said that it is too low.

    `balance` is None where only the latter is known.
    """

    account: str
    provider: str
    balance: Money | None
    at: datetime


@attrs.frozen(kw_only=True)
class PrefixPaused:
    """A verifier sends no codes to a country prefix (such as ``+98``) for `paused_for`.

    Of `recipients` that had the time to verify, only `verified` did.
    """

    prefix: str
    recipients: int
    verified: int
    paused_for: timedelta
    at: datetime


# The specifications.


@hookspec
def on_performed(event: Performed) -> None:
    """Something that costs money was accepted by the provider."""


@hookspec
def on_refused(event: Failed) -> None:
    """It was not performed."""


@hookspec
def on_unknown(event: Failed) -> None:
    """It may have been performed: look before you try again."""


@hookspec
def on_fallback(event: FellBack) -> None:
    """A route's first choice did not do it, and another account did."""


@hookspec
def on_breaker(event: BreakerMoved) -> None:
    """A route stops using an account, tries it again, or uses it as before."""


@hookspec
def on_low_balance(event: LowBalance) -> None:
    """An account is running out of credit. Told whenever it is noticed."""


@hookspec
def on_prefix_paused(event: PrefixPaused) -> None:
    """Hardly anybody enters the codes that are sent to a country prefix: look who asks for them."""


#: Every event, in the order of the page.
EVENTS: Final = (
    "on_performed",
    "on_refused",
    "on_unknown",
    "on_fallback",
    "on_breaker",
    "on_low_balance",
    "on_prefix_paused",
)


def event_name(error: QasidError) -> str:
    """What a failed act is told as. A plugin that broke may have sent the request before."""
    unknown = isinstance(error, ProviderError) and error.outcome is Outcome.UNKNOWN
    return "on_unknown" if unknown or isinstance(error, PluginError) else "on_refused"
