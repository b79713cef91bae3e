"""Telling those that listen what becomes of an account's acts, and nothing where nobody does."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from qasid import finding
from qasid.effects import Call, Flow, Now, Tick
from qasid.errors import InsufficientCredit, PluginError, ProviderError, QasidError
from qasid.policies.passage import whereabouts
from qasid.values import Acquired, Activation, Money, OtpTicket, Receipt

if TYPE_CHECKING:
    from qasid.events import Failed

__all__ = ["Listeners", "Reporter"]

T = TypeVar("T")
Result: TypeAlias = Receipt | OtpTicket | Activation

_log = logging.getLogger("qasid")

# `qasid.events` and its classes are imported where there is somebody to tell.


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
    import pluggy

    from qasid import events

    manager = pluggy.PluginManager(events.PROJECT)
    manager.add_hookspecs(events)
    kind = type(listener).__name__
    try:
        manager.register(listener)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"the listener {kind} is broken: {error}") from None
    if not manager.get_hookcallers(listener):
        raise PluginError(f"the listener {kind} has no method that is marked with @listens")
    return manager.hook


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
        from qasid.events import Performed, event_name

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
        from qasid.events import LowBalance

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
    from qasid.events import Failed

    told = error if isinstance(error, ProviderError) else None
    return Failed(
        count=1,
        error=type(error).__name__,
        provider_code=None if told is None else told.code,
        retry_after=None if told is None else told.retry_after,
        **about,
    )
