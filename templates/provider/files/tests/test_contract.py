"""The contract: each of its rules is a test of this class."""

from __future__ import annotations

from qasid_contract import ProviderContract

from qasid_$name import $Name
from qasid_$name.emulator import ${Name}Emulator


class Test$Name(ProviderContract):
    """Nothing else is needed, and no rule can be overridden."""

    provider = $Name
    emulator = ${Name}Emulator
