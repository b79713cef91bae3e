"""An account of a route: its breaker stands before it, and it is known how it has been doing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import attrs

from qasid.effects import Flow, Now, Tick
from qasid.errors import Outcome, ProviderError, QasidError, RouteExhausted
from qasid.events import BreakerMoved, FellBack, Listeners, PassedOver
from qasid.operations import Operations
from qasid.routing.breaker import Breaker, Permit, State
from qasid.routing.health import Record, Watch
from qasid.routing.rules import is_unknown, rule_of
from qasid.routing.switch import addressed
from qasid.values import Receipt

__all__ = ["Member", "Passed", "exhausted", "path"]

T = TypeVar("T")


@attrs.frozen
class Passed:
    """An account that did not do it: with its error, or none where its breaker was open."""

    account: str
    error: QasidError | None = None
    wait: float = 0.0

    @property
    def because(self) -> str:
        """Why, in a word or two."""
        return "breaker open" if self.error is None else type(self.error).__name__

    @property
    def retry_after(self) -> timedelta | None:
        """When it may be asked again."""
        if self.error is None:
            return timedelta(seconds=self.wait)
        return self.error.retry_after if isinstance(self.error, ProviderError) else None


def path(passed: Sequence[Passed]) -> tuple[PassedOver, ...]:
    """What listeners are told of them."""
    return tuple(PassedOver(item.account, item.because) for item in passed)


def exhausted(route: str, passed: Sequence[Passed]) -> RouteExhausted:
    """What to raise when none is left."""
    told = "; ".join(f"{item.account}: {item.because}" for item in passed)
    failures = {item.account: item.error for item in passed if item.error is not None}
    unknown = any(is_unknown(error) for error in failures.values())
    return RouteExhausted(
        f"no account of the route {route!r} did it ({told})",
        failures=failures,
        outcome=Outcome.UNKNOWN if unknown else Outcome.NOT_PERFORMED,
        retry_after=min((item.retry_after for item in passed if item.retry_after), default=None),
    )


@attrs.frozen(eq=False, kw_only=True)
class Member:
    """An account of a route, with its breaker and its record there."""

    route: str
    name: str
    operations: Operations
    breaker: Breaker
    listeners: Listeners
    record: Record = attrs.field(factory=Record)

    def can(self, hook: str) -> bool:
        """Whether the account's provider implements the hook."""
        return self.operations.line.can(hook)

    def run(self, flow: Flow[T]) -> Flow[T]:
        """Run a flow of the account's own."""
        return addressed(self.name, flow)

    def tried(
        self,
        make: Callable[[Operations], Flow[T]],
        lesson: Callable[[T], QasidError | None] = lambda found: None,
    ) -> Flow[T | Passed]:
        """What the account did, if its breaker lets it; `lesson` is what that tells of it."""
        permit = self.breaker.admit((yield Tick()))
        if permit is None:
            return Passed(self.name, wait=self.breaker.wait((yield Tick())))
        watch = Watch()
        try:
            if permit.probe:
                yield from self._moved(State.HALF_OPEN)
            found = yield from addressed(self.name, make(self.operations), watch)
        except QasidError as error:
            yield from self._learn(permit, watch, error)
            raise
        except BaseException:  # interrupted, or left: it tells nothing
            self.breaker.forgo(permit)
            raise
        yield from self._learn(permit, watch, lesson(found))
        yield from self._accepted(watch, found)
        return found

    def _learn(self, permit: Permit, watch: Watch, error: QasidError | None) -> Flow[None]:
        """Note how an act ended, if the provider was asked; else it is no news of it."""
        if watch.asked and (error is None or rule_of(error).next_account):
            done = error is None
            seconds = watch.seconds if done else None
            self.record.act((yield Tick()), performed=done, seconds=seconds)
        yield from self._tell_breaker(permit, watch, error)

    def _accepted(self, watch: Watch, found: object) -> Flow[None]:
        items = found if isinstance(found, list) else [found]
        taken = [item.id for item in items if isinstance(item, Receipt) and item.accepted]
        if watch.asked and any(taken):
            self.record.accepted(filter(None, taken), (yield Now()))

    def _tell_breaker(self, permit: Permit, watch: Watch, error: QasidError | None) -> Flow[None]:
        """Tell it that it was done, that the provider failed, or neither of both."""
        if not watch.asked or (error is not None and not rule_of(error).counts):
            self.breaker.forgo(permit)
            return
        report = self.breaker.succeed if error is None else self.breaker.fail
        moved = report(permit, (yield Tick()))
        if moved is not None:
            yield from self._moved(moved)

    # Telling.

    def _moved(self, state: State) -> Flow[None]:
        if self.listeners:
            event = BreakerMoved(
                route=self.route,
                account=self.name,
                state=state.value,
                open_for=self.breaker.open_for if state is State.OPEN else None,
                at=(yield Now()),
            )
            yield from self.listeners.tell("on_breaker", event)

    def fell_back(self, operation: str, over: tuple[PassedOver, ...], count: int = 1) -> Flow[None]:
        """Tell that this account did what those before it had not, if there were any."""
        if over and self.listeners:
            event = FellBack(
                route=self.route,
                operation=operation,
                account=self.name,
                count=count,
                passed_over=over,
                at=(yield Now()),
            )
            yield from self.listeners.tell("on_fallback", event)
