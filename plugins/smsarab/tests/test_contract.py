"""The contract, as any author writes it."""

from __future__ import annotations

from qasid_contract import ProviderContract
from qasid_smsarab import SMSArab
from qasid_smsarab.emulator import SMSArabEmulator


class TestSMSArab(ProviderContract):
    """Every rule is a test of this class."""

    provider = SMSArab
    emulator = SMSArabEmulator
