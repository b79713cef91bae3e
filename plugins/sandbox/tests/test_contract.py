"""The contract, as any author writes it."""

from __future__ import annotations

from qasid_contract import ProviderContract
from qasid_sandbox import Sandbox
from qasid_sandbox.emulator import SandboxEmulator


class TestSandbox(ProviderContract):
    """Every rule is a test of this class."""

    provider = Sandbox
    emulator = SandboxEmulator
