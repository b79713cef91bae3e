"""Ctrl-C and SIGTERM: they end a command while it waits, and never between paying and releasing."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime
from types import FrameType

import attrs

from qasid.cli.exits import Interrupted
from qasid.drivers.sync import Clock, SyncDriver, Transport
from qasid.effects import Request, Response
from qasid.errors import ConnectFailed

__all__ = ["Interrupted", "Signals"]


class Signals:
    """Keeps the first signal until it is let in, when it becomes `Interrupted`.

    Later ones change nothing: the command is ending, and nothing breaks into its tidying up.
    """

    def __init__(self) -> None:
        self._open = False
        self._first: int | None = None
        #: Whether something that may have been paid for is still to be told.
        self.untold = False

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what comes within this block, at the longest until its end."""
        before = {number: signal.signal(number, self._heed) for number in _ending()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._raise()

    @contextlib.contextmanager
    def let_in(self) -> Iterator[None]:
        """Let a signal end this block at once, or not begin if one was kept."""
        self._open = True
        try:
            self._raise()
            yield
        finally:
            self._open = False

    def settle(self) -> None:
        """Let in what was kept: all that was paid for has been told."""
        self.untold = False
        with self.let_in():
            pass

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if self._first is None:
            self._first = number
            if self._open:
                self._raise()

    def _raise(self) -> None:
        if self._first is not None:
            raise Interrupted(self._first)

    def attentive(self, driver: SyncDriver, *, paying: bool = False) -> SyncDriver:
        """The same driver, which lets signals in while it waits and nowhere else.

        With `paying`, its requests may cost something: after one that is not safe nothing is let
        in, until it is known to have been refused.
        """
        both = _Attentive(driver.transport, driver.clock, self, paying)
        return attrs.evolve(driver, transport=both, clock=both)


def _ending() -> set[signal.Signals]:
    """What asks a command to end; also the end of its terminal, unless `nohup` has that ignored."""
    hangup: signal.Signals = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none
    ignored = signal.getsignal(hangup) is signal.SIG_IGN
    return {signal.SIGINT, signal.SIGTERM} | (set() if ignored else {hangup})


@attrs.define
class _Attentive:
    """Transport and clock of a driver."""

    transport: Transport
    clock: Clock
    signals: Signals
    paying: bool

    def send(self, request: Request) -> Response:
        if self.paying and not request.safe:
            return self._pay(request)
        reply = _asked(self.transport, request)
        with self._window():
            return reply.result()

    def _pay(self, request: Request) -> Response:
        before, self.signals.untold = self.signals.untold, True
        try:
            response = self.transport.send(request)
        except ConnectFailed:
            self.signals.untold = before
            raise
        if response.status == 429:  # not performed: there may be a long wait, and another try
            self.signals.untold = before
        return response

    def sleep(self, seconds: float) -> None:
        with self._window():
            self.clock.sleep(seconds)

    def _window(self) -> contextlib.AbstractContextManager[None]:
        busy = self.paying and self.signals.untold
        return contextlib.nullcontext() if busy else self.signals.let_in()

    def now(self) -> datetime:
        return self.clock.now()

    def tick(self) -> float:
        return self.clock.tick()

    def close(self) -> None:
        self.transport.close()


def _asked(transport: Transport, request: Request) -> Future[Response]:
    """The reply to come. Another thread waits for it, as no signal breaks into that.

    Were it this thread, a signal might leave a lock of the HTTP library taken for ever, and the
    number could not be released.
    """
    reply: Future[Response] = Future()
    threading.Thread(target=_carry, args=(transport, request, reply), daemon=True).start()
    return reply


def _carry(transport: Transport, request: Request, reply: Future[Response]) -> None:
    try:
        reply.set_result(transport.send(request))
    except Exception as error:
        reply.set_exception(error)
