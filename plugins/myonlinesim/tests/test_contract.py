"""The contract, as any author writes it."""

from __future__ import annotations

from qasid_contract import ProviderContract
from qasid_myonlinesim import MyOnlineSim
from qasid_myonlinesim.emulator import MyOnlineSimEmulator


class TestMyOnlineSim(ProviderContract):
    """Every rule is a test of this class."""

    provider = MyOnlineSim
    emulator = MyOnlineSimEmulator
