"""A clock that only sleeping moves: fifteen minutes pass in a microsecond."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from qasid.drivers.plug import Plug
from qasid.drivers.sync import SyncDriver
from qasid.effects import Request, Response

__all__ = ["VirtualClock", "virtual_driver"]

_START: Final = datetime(2024, 8, 1, 12, 0, tzinfo=UTC)


@attrs.define
class VirtualClock:
    """A clock for a driver and an emulator together."""

    seconds: float = 0.0

    def now(self) -> datetime:
        """The time of this clock, aware, in UTC."""
        return _START + timedelta(seconds=self.seconds)

    def tick(self) -> float:
        """Seconds since this clock began."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.seconds += seconds


def virtual_driver(handle: Callable[[Request], Response], clock: VirtualClock) -> SyncDriver:
    """A driver that plugs flows into `handle`, usually an emulator's, in virtual time."""
    return SyncDriver(Plug(handle, clock.now), clock)
