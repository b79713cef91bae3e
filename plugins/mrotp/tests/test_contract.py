"""The contract, as any author writes it."""

from __future__ import annotations

from qasid_contract import ProviderContract
from qasid_mrotp import MrOTP
from qasid_mrotp.emulator import MrOTPEmulator


class TestMrOTP(ProviderContract):
    """Every rule is a test of this class."""

    provider = MrOTP
    emulator = MrOTPEmulator
