"""What the batches of one bulk have in common: whether it goes on, and with what it may end.

A bulk that is stopped sends nothing more: a batch that only waits for its turn, as the provider's
limits want it, does not go. What may have been performed is never broken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import attrs

from qasid.effects import Effect, Flow, Sleep, Tick
from qasid.errors import ProviderError, StreamClosed
from qasid.policies.passage import Attempt, relayed

__all__ = ["Course", "heeding", "not_sent"]

T = TypeVar("T")

#: Seconds between two looks at whether the bulk is stopped, while a batch waits for its turn.
_NAP: Final = 0.25


@attrs.define(eq=False)
class Course:
    """The course of one bulk. `ends` has by account the error that all the rest would have, too."""

    stopped: bool = False
    ends: dict[str, ProviderError] = attrs.field(factory=dict)


class _Stopped(BaseException):
    """No failure: whoever tidies up after an interruption does so, and nobody else minds it."""


def heeding(course: Course, flow: Flow[T], attempts: Sequence[Attempt]) -> Flow[T]:
    """Run `flow`, unless the bulk is stopped, or will be while it waits and nothing is performed.

    `attempts` are those of this flow. Raises `StreamClosed` then.
    """

    def relay(effect: Effect) -> Flow[object]:
        if not isinstance(effect, Sleep):
            return (yield effect)
        yield from _nap(course, effect.seconds, attempts)
        return None

    if course.stopped:
        raise not_sent()
    try:
        return (yield from relayed(flow, relay))
    except _Stopped:
        failure = not_sent()
    raise failure


def not_sent() -> StreamClosed:
    """The error of a message whose turn had not come when the bulk was stopped."""
    return StreamClosed("it was not sent: the stream was closed before its turn came")


def _nap(course: Course, seconds: float, attempts: Sequence[Attempt]) -> Flow[None]:
    end = (yield Tick()) + seconds
    while (left := end - (yield Tick())) > 0:
        if course.stopped and not any(attempt.unsafe for attempt in attempts):
            raise _Stopped
        yield Sleep(min(left, _NAP))
