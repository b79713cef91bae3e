"""Try again what may be tried again: safe requests, and those that were not performed."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

import attrs

from qasid.effects import Flow, Sleep
from qasid.errors import Outcome, ProviderError, ProviderUnavailable, RateLimited

__all__ = ["Retry"]

T = TypeVar("T")

_log = logging.getLogger("qasid")
_FIRST: Final = 0.5
_LONGEST: Final = 20.0
_TRANSIENT: Final = (ProviderUnavailable, RateLimited)


@attrs.frozen
class Retry:
    """At most `tries` runs. Before the n-th repetition it waits as long as the provider asks.

    Where the provider does not ask, it waits 0.5 s, 1 s, 2 s … up to 20 s, of which `jitter` (0 to
    1) decides the second half. Longer than `max_wait` seconds it never waits: the error is raised.
    """

    max_wait: float
    tries: int = 3
    jitter: Callable[[], float] = random.random

    def run(self, make: Callable[[], Flow[T]]) -> Flow[T]:
        """Run what `make` gives, again and again where that may help and cannot do it twice."""
        tried = 1
        while True:
            try:
                return (yield from make())
            except ProviderError as error:
                wait = self._wait(error, tried)
                if tried == self.tries or wait > self.max_wait or not _may_repeat(error):
                    raise
                _log.info("%s; trying again in %.1f s", type(error).__name__, round(wait, 1))
            yield Sleep(wait)
            tried += 1

    def _wait(self, error: ProviderError, tried: int) -> float:
        own: float = min(_FIRST * 2 ** (tried - 1), _LONGEST) * (0.5 + self.jitter() / 2)
        return max(own, (error.retry_after or timedelta(0)).total_seconds())


def _may_repeat(error: ProviderError) -> bool:
    return error.outcome is Outcome.NOT_PERFORMED and isinstance(error, _TRANSIENT)
