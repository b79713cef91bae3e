from __future__ import annotations

import pytest

import qasid
from qasid.drivers.virtual import VirtualClock
from qasid_deftsms.emulator import DeftSMSEmulator

from .recording import Wire, connected


@pytest.fixture
def clock() -> VirtualClock:
    """It shows 2024-08-01 12:00 UTC, which is 15:30 in Tehran."""
    return VirtualClock()


@pytest.fixture
def wire(clock: VirtualClock) -> Wire:
    return Wire(DeftSMSEmulator(clock=clock.now))


@pytest.fixture
def account(wire: Wire, clock: VirtualClock) -> qasid.Account:
    return connected(wire, clock)
