"""A circuit breaker: an account that keeps failing is left alone for a while.

- *Closed*: everything passes. `failures` in a row open it.
- *Open*: nothing passes for `open_for`.
- *Half-open*, after that: one call at a time passes, the probe. If it succeeds the breaker closes,
  if it fails it opens again.

Damping: where it opens anew before it has been closed for as long as it was open, it stays open for
twice as long as the last time, up to `open_at_most`.

It knows no clock: whoever uses it says what time it is, in seconds of a clock that never goes back.
Any number of threads may share one. A call that ends after the state it was let through in tells
nothing, so that a thousand calls that were under way when it opened open it once.
"""

from __future__ import annotations

import enum
import threading
from datetime import timedelta

import attrs

__all__ = ["Breaker", "Permit", "State", "Tolerance"]


class State(enum.Enum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


def _duration(given: timedelta | float) -> timedelta:
    return given if isinstance(given, timedelta) else timedelta(seconds=given)


@attrs.frozen(kw_only=True)
class Tolerance:
    """How many `failures` in a row open a breaker, for how long at first, and at most.

    Times may be given in seconds. Raises ValueError.
    """

    failures: int = attrs.field(default=5, validator=attrs.validators.ge(1))
    open_for: timedelta = attrs.field(
        default=timedelta(seconds=30),
        converter=_duration,
        validator=attrs.validators.gt(timedelta(0)),
    )
    open_at_most: timedelta = attrs.field(default=timedelta(minutes=10), converter=_duration)

    @open_at_most.validator
    def _fits(self, attribute: attrs.Attribute[timedelta], value: timedelta) -> None:
        if value < self.open_for:
            raise ValueError("open_at_most must not be less than open_for")


@attrs.frozen
class Permit:
    """Leave for one call, given in the `generation` of a state. A `probe` decides what comes."""

    generation: int
    probe: bool


class Breaker:
    """The breaker of one account."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._generation = 0
        self._failures = 0
        self._probing = False
        self._open_for = 0.0
        self._until = 0.0  # open until then; once closed, calm from then on

    @property
    def open_for(self) -> timedelta:
        """How long it was open, or is to be, the last time."""
        return timedelta(seconds=self._open_for)

    def state(self, now: float) -> State:
        """The state at that moment."""
        with self._lock:
            return State.HALF_OPEN if self._is_over(now) else self._state

    def wait(self, now: float) -> float:
        """Seconds until a call may pass; 0 where one may, or may once the probe is back."""
        with self._lock:
            return max(0.0, self._until - now) if self._state is State.OPEN else 0.0

    def admit(self, now: float) -> Permit | None:
        """Leave for a call that is made now, or None."""
        with self._lock:
            if self._is_over(now):
                self._enter(State.HALF_OPEN)
            if self._state is State.OPEN or self._probing:
                return None
            self._probing = self._state is State.HALF_OPEN
            return Permit(self._generation, self._probing)

    def succeed(self, permit: Permit, now: float) -> State | None:
        """The call succeeded. Gives the state if that changed it."""
        with self._lock:
            if permit.generation != self._generation:
                return None
            self._failures = 0
            if not permit.probe:
                return None
            self._until = now + self._open_for
            return self._enter(State.CLOSED)

    def fail(self, permit: Permit, now: float) -> State | None:
        """The provider failed in the call. Gives the state if that changed it."""
        with self._lock:
            if permit.generation != self._generation:
                return None
            self._failures += 1
            if not permit.probe and self._failures < self._tolerance.failures:
                return None
            self._open_for = self._next(again=permit.probe or now < self._until)
            self._until = now + self._open_for
            return self._enter(State.OPEN)

    def forgo(self, permit: Permit) -> None:
        """The call ended, and told nothing of the provider."""
        with self._lock:
            if permit.generation == self._generation and permit.probe:
                self._probing = False

    def _is_over(self, now: float) -> bool:
        return self._state is State.OPEN and now >= self._until

    def _next(self, *, again: bool) -> float:
        first = self._tolerance.open_for.total_seconds()
        most = self._tolerance.open_at_most.total_seconds()
        return min(most, 2 * self._open_for) if again else first

    def _enter(self, state: State) -> State:
        self._state = state
        self._generation += 1
        self._failures = 0
        self._probing = False
        return state
