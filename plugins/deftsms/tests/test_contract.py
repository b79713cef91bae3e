"""The contract, as any author writes it."""

from __future__ import annotations

from qasid_contract import ProviderContract
from qasid_deftsms import DeftSMS
from qasid_deftsms.emulator import DeftSMSEmulator


class TestDeftSMS(ProviderContract):
    """Every rule is a test of this class."""

    provider = DeftSMS
    emulator = DeftSMSEmulator
