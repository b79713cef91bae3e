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

import functools
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

import attrs
import pluggy

from qasid import finding
from qasid.effects import Call, Flow, Now, Tick
from qasid.errors import InsufficientCredit, Outcome, PluginError, ProviderError, QasidError
from qasid.policies.passage import whereabouts
from qasid.values import Acquired, Activation, Money, OtpTicket, Receipt

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

T = TypeVar("T")
Result: TypeAlias = Receipt | OtpTicket | Activation

_PROJECT: Final = "qasid-events"
_log = logging.getLogger("qasid")

hookspec = pluggy.HookspecMarker(_PROJECT)
listens = pluggy.HookimplMarker(_PROJECT)


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


# Telling.


class Listeners:
    """Those that were given, and those that are installed. Each is called by itself.

    Raises `PluginError` for a given one that listens to nothing, or to what there is not. An
    installed one that is broken is logged and left out.
    """

    def __init__(self, given: Iterable[object] = ()) -> None:
        self._relays = [_relay(listener) for listener in given]
        self._relays += [
            relay for name in finding.installed(finding.LISTENERS) for relay in _own(name)
        ]

    def __bool__(self) -> bool:
        return bool(self._relays)

    def tell(self, name: str, event: object) -> Flow[None]:
        """Call every listener of that event."""
        yield Call(functools.partial(self._deliver, name, event))

    def _deliver(self, name: str, event: object) -> None:
        for relay in self._relays:
            try:
                getattr(relay, name)(event=event)
            except Exception as error:
                _log.warning("a listener failed in %s: %s", name, whereabouts(error))


def _relay(listener: object) -> Any:
    """A plugin manager of this listener alone, which is called whatever another one raises."""
    manager = pluggy.PluginManager(_PROJECT)
    manager.add_hookspecs(_specifications())
    kind = type(listener).__name__
    try:
        manager.register(listener)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"the listener {kind} is broken: {error}") from None
    if not manager.get_hookcallers(listener):
        raise PluginError(f"the listener {kind} has no method that is marked with @listens")
    return manager.hook


def _specifications() -> Any:
    import sys

    return sys.modules[__name__]


def _own(name: str) -> list[Any]:
    try:
        found = finding.listener(name)
        return [_relay(found() if isinstance(found, type) else found)]
    except Exception as error:  # somebody else's installation must not stop an account
        _log.warning("the installed listener %r is left out: %s", name, whereabouts(error))
        return []


@attrs.frozen
class Reporter:
    """Tells the listeners what becomes of one account's acts. Without any it costs nothing."""

    account: str
    provider: str
    listeners: Listeners

    def around(self, operation: str, flow: Flow[T], count: int = 1) -> Flow[T]:
        """Run an act that is asked for `count` things, and tell how it ended."""
        return self._around(operation, flow, count) if self.listeners else flow

    def _around(self, operation: str, flow: Flow[T], count: int) -> Flow[T]:
        began = yield Tick()
        try:
            found = yield from flow
        except QasidError as error:
            yield from self._tell(operation, began, [], [error] * count)
            raise
        yield from self._tell(operation, began, *_parted(found))
        return found

    def balance(self, money: Money, low: Money | None) -> Flow[None]:
        """Tell if `money` is less than what is low."""
        if low is None or not self.listeners:
            return
        if low.currency != money.currency:
            _log.warning(
                "%s: low_balance is in %s, the balance in %s: they do not compare",
                self.account,
                low.currency,
                money.currency,
            )
        elif money < low:
            yield from self._low(money, (yield Now()))

    def _tell(
        self,
        operation: str,
        began: float,
        done: Sequence[Result],
        errors: Sequence[QasidError],
    ) -> Flow[None]:
        elapsed, at = timedelta(seconds=(yield Tick()) - began), (yield Now())
        about: dict[str, Any] = {"account": self.account, "provider": self.provider}
        about |= {"operation": operation, "at": at, "elapsed": elapsed}
        if done:
            event = Performed(count=len(done), ids=_ids(done), **about)
            yield from self.listeners.tell("on_performed", event)
        failures = Counter((event_name(error), _failed(error, about)) for error in errors)
        for (name, failed), count in failures.items():
            yield from self.listeners.tell(name, attrs.evolve(failed, count=count))
        if any(isinstance(error, InsufficientCredit) for error in errors):
            yield from self._low(None, at)

    def _low(self, money: Money | None, at: datetime) -> Flow[None]:
        event = LowBalance(account=self.account, provider=self.provider, balance=money, at=at)
        yield from self.listeners.tell("on_low_balance", event)


def _parted(found: Any) -> tuple[list[Result], list[QasidError]]:
    """What was done, and the errors of what was not, of a bulk or of one."""
    items: list[Any] = found if isinstance(found, list) else [found]
    failures = [*found.failures.values()] if isinstance(found, Acquired) else []
    errors = [item.error for item in items if isinstance(item, Receipt) and item.error is not None]
    return [i for i in items if not (isinstance(i, Receipt) and i.error)], [*failures, *errors]


def _ids(done: Sequence[Result]) -> tuple[str, ...]:
    return tuple(item.id for item in done if item.id is not None)


def _failed(error: QasidError, about: dict[str, Any]) -> Failed:
    told = error if isinstance(error, ProviderError) else None
    return Failed(
        count=1,
        error=type(error).__name__,
        provider_code=None if told is None else told.code,
        retry_after=None if told is None else told.retry_after,
        **about,
    )
