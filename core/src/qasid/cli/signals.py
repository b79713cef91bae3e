"""Ctrl-C and SIGTERM: they end a command at once, but never between paying and writing down."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

import attrs

from qasid.drivers.sync import Transport
from qasid.effects import Request, Response

__all__ = ["Interrupted", "Signals"]

_HEEDED: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The person or the system asked to stop."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


class Signals:
    """Turns signals into `Interrupted`, or keeps them until `resume` while it holds."""

    def __init__(self) -> None:
        self._holding = False
        self._kept: int | None = None

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Heed both signals within this block."""
        before = {number: signal.signal(number, self._heed) for number in _HEEDED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if not self._holding:
            raise Interrupted(number)
        self._kept = number

    def hold(self) -> None:
        """From now on, keep a signal for later."""
        self._holding = True

    def resume(self) -> None:
        """Heed signals again, first of all one that was kept."""
        self._holding = False
        kept, self._kept = self._kept, None
        if kept is not None:
            raise Interrupted(kept)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep signals for the time of a block."""
        self.hold()
        yield
        self.resume()

    def holding(self, transport: Transport) -> Transport:
        """The same transport, which holds from its first request that may cost something."""
        return _Holding(transport, self)


@attrs.frozen
class _Holding:
    inner: Transport
    signals: Signals

    def send(self, request: Request) -> Response:
        if not request.safe:
            self.signals.hold()
        return self.inner.send(request)

    def close(self) -> None:
        self.inner.close()
