"""The contract of installed providers.

::

    pytest --pyargs qasid_contract.suite --qasid-provider acme
"""

from __future__ import annotations

from qasid import finding
from qasid_contract import pytest_plugin
from qasid_contract.contract import ProviderContract

__all__ = ["contract_of"]


def contract_of(name: str) -> type[ProviderContract]:
    """The contract of an installed provider and its emulator, found by their entry points.

    Raises `ProviderNotFound`, `PluginError`.
    """
    members = {"provider": finding.provider(name), "emulator": finding.emulator(name)}
    return type(f"Test_{name}", (ProviderContract,), members)


globals().update({f"Test_{name}": contract_of(name) for name in pytest_plugin.asked_for})
