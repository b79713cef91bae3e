"""Ctrl-C and SIGTERM: they end a command at once, but never between paying and writing down."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from datetime import datetime
from types import FrameType

import attrs

from qasid.drivers.sync import Clock, SyncDriver, Transport
from qasid.effects import Request, Response
from qasid.errors import ConnectFailed

__all__ = ["Interrupted", "Signals"]


class Interrupted(KeyboardInterrupt):
    """The person or the system asked to stop."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


class Signals:
    """Turns the first signal into `Interrupted`: at once or, while it holds, at `resume`.

    Later ones change nothing: the command is ending, and nothing breaks into its tidying up.
    """

    def __init__(self) -> None:
        self._holding = False
        self._first: int | None = None

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Heed the signals that end a command within this block."""
        before = {number: signal.signal(number, self._heed) for number in _ending()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if self._first is not None:
            return
        self._first = number
        if not self._holding:
            raise Interrupted(number)

    def hold(self) -> None:
        """From now on, keep a signal for later."""
        self._holding = True

    def resume(self) -> None:
        """Heed signals again, first of all one that was kept."""
        self._holding = False
        if self._first is not None:
            raise Interrupted(self._first)

    @contextlib.contextmanager
    def settled(self) -> Iterator[None]:
        """Whatever was held within this block, its end heeds."""
        try:
            yield
        finally:
            self.resume()

    @contextlib.contextmanager
    def let_in(self) -> Iterator[None]:
        """Heed signals within this block, and hold them from its end on, however it ends."""
        self.resume()
        try:
            yield
        finally:
            self.hold()

    def paying(self, driver: SyncDriver) -> SyncDriver:
        """The same driver, which holds signals from its first request that may cost something."""
        both = _Paying(driver.transport, driver.clock, self)
        return attrs.evolve(driver, transport=both, clock=both)


def _ending() -> set[signal.Signals]:
    """What asks a command to end; also the end of its terminal, unless `nohup` has that ignored."""
    hangup: signal.Signals = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none
    ignored = signal.getsignal(hangup) is signal.SIG_IGN
    return {signal.SIGINT, signal.SIGTERM} | (set() if ignored else {hangup})


@attrs.define
class _Paying:
    """Transport and clock of a driver whose requests may cost something."""

    transport: Transport
    clock: Clock
    signals: Signals
    _refused: bool = False

    def send(self, request: Request) -> Response:
        if not request.safe:
            self.signals.hold()
        try:
            response = self.transport.send(request)
        except ConnectFailed:
            self._refused = True
            raise
        self._refused = response.status == 429
        return response

    def sleep(self, seconds: float) -> None:
        if self._refused:  # nothing was performed, and the wait before the next try may be long
            self.signals.resume()
        self.clock.sleep(seconds)

    def now(self) -> datetime:
        return self.clock.now()

    def tick(self) -> float:
        return self.clock.tick()

    def close(self) -> None:
        self.transport.close()
