"""Virtual time for coroutines: an event loop in which waiting takes none."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from qasid.drivers.virtual import VirtualClock

__all__ = ["VirtualLoop"]


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that lets a virtual clock leap to the next alarm, instead of waiting for it.

    ``asyncio.Runner(loop_factory=lambda: VirtualLoop(clock))`` runs coroutines in it. What goes to
    a thread is called in the loop's own: time would not stand still for another one. Dates are
    those of the machine, unless the `AsyncDriver` is given another clock.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Leaping(clock))
        self._virtual = clock

    def time(self) -> float:
        """Seconds since the virtual clock began."""
        return self._virtual.tick()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        """Call it here and now."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class _Leaping(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:  # nothing but another thread can go on
            return super().select()
        ready = super().select(0)
        if not ready:
            self._clock.sleep(timeout)
        return ready
