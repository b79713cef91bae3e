"""The contract, as any author writes it."""

from __future__ import annotations

from qasid_contract import ProviderContract
from qasid_smsafzar import SMSAfzar
from qasid_smsafzar.emulator import SMSAfzarEmulator


class TestSMSAfzar(ProviderContract):
    """Every rule is a test of this class."""

    provider = SMSAfzar
    emulator = SMSAfzarEmulator
