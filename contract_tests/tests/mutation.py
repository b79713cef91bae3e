"""How a mutant is made: the reference, with one thing broken."""

from __future__ import annotations

from typing import Any, Final

from qasid_contract.contract import ProviderContract
from qasid_contract.reference import Minimal, Reference
from qasid_contract.reference_emulator import ReferenceEmulator

__all__ = ["EXAMPLES", "Sound", "contract", "mutant"]

EXAMPLES: Final = "qasid_contract.reference_examples"


class Sound(ProviderContract):
    """The reference itself."""

    provider = Reference
    emulator = ReferenceEmulator
    examples = EXAMPLES


def mutant(base: type, **members: Any) -> type:
    """A subclass that stands in its parent's module, as if it were written there."""
    import attrs

    made = type(
        f"Mutant{base.__name__}",
        (base,),
        {"__module__": base.__module__, "__slots__": (), **members},
    )
    return attrs.frozen(eq=False, kw_only=True)(made) if issubclass(base, Reference) else made


def contract(
    provider: type = Reference, emulator: type = ReferenceEmulator, **more: Any
) -> type[ProviderContract]:
    """The contract of a mutant."""
    examples = f"{EXAMPLES}.minimal" if issubclass(provider, Minimal) else EXAMPLES
    members = {"provider": provider, "emulator": emulator, "examples": examples, **more}
    return type("Broken", (ProviderContract,), members)
