"""The contract: an installable suite that proves any Qasid provider.

::

    from qasid_contract import ProviderContract

    class TestAcme(ProviderContract):
        provider = Acme
        emulator = AcmeEmulator
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qasid_contract.contract import Deviation, ProviderContract

__all__ = ["Deviation", "ProviderContract"]


def __getattr__(name: str) -> Any:
    # Late: pytest loads the plugin, and so this package, in every run of every project.
    if name in __all__:
        from qasid_contract import contract

        return getattr(contract, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
