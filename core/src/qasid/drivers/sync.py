"""Run a flow in the calling thread."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, assert_never, runtime_checkable

import attrs

from qasid.effects import Call, Effect, Flow, Now, Request, Response, Sleep, Tick, Wait, Whole

__all__ = ["Clock", "SyncDriver", "SystemClock", "Transport", "Warming"]

T = TypeVar("T")


class Transport(Protocol):
    """Carries one request at a time for each calling thread."""

    def send(self, request: Request) -> Response:
        """Give the reply. Raises `ConnectFailed`, `NoAnswer`, `ProtocolError`."""

    def close(self) -> None:
        """Give the connections back."""


@runtime_checkable
class Warming(Protocol):
    """A transport with connections, of which one can be opened beforehand."""

    def warm(self) -> None:
        """Have one. Raises `ConnectFailed`."""


class Clock(Protocol):
    """What a driver knows of time."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""

    def tick(self) -> float:
        """Seconds from an unnamed start; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Return when they have passed."""


class SystemClock:
    """The clock of this machine."""

    tick = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    @staticmethod
    def now() -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)


@attrs.frozen(eq=False)
class SyncDriver:
    """Performs effects with blocking calls. Any number of threads may share one."""

    transport: Transport
    clock: Clock = attrs.field(factory=SystemClock)

    def run(self, flow: Flow[T]) -> T:
        """Run `flow` to its end and give its result."""
        try:
            effect = next(flow)
            while True:
                try:
                    given = self._perform(effect)
                except BaseException as error:  # also an interrupt: the flow may want to tidy up
                    effect = flow.throw(error)
                else:
                    effect = flow.send(given)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Request():
                return self.transport.send(effect)
            case Now():
                return self.clock.now()
            case Tick():
                return self.clock.tick()
            case Sleep():
                return self.clock.sleep(effect.seconds)
            case Call():
                return effect.function()
            case Wait():
                return effect.future.result()
            case Whole():
                return _to_its_end(lambda: self.run(effect.flow))
        assert_never(effect)

    def warm(self) -> None:
        """Open a connection, if the transport has any. Raises `ConnectFailed`."""
        if isinstance(self.transport, Warming):
            self.transport.warm()

    def close(self) -> None:
        """Give the connections back."""
        self.transport.close()


def _to_its_end(work: Callable[[], T]) -> T:
    """Do it in a thread, as signals break into the main one alone; wait for it in any case.

    The thread has the caller's context, as that of an async account has: a trace goes on in it.
    """
    result: Future[T] = Future()
    tell = contextvars.copy_context().run
    try:
        threading.Thread(target=tell, args=(_tell, work, result), daemon=True).start()
        return result.result()
    except BaseException:
        if not result.cancel():  # it has begun
            futures.wait([result])
        raise


def _tell(work: Callable[[], T], result: Future[T]) -> None:
    if not result.set_running_or_notify_cancel():
        return
    try:
        result.set_result(work())
    except BaseException as error:
        result.set_exception(error)
