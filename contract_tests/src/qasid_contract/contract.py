"""What an author writes: one class with two names in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

if TYPE_CHECKING:
    from qasid.values import TemplateMessage, TextMessage

__all__ = ["SETTABLE", "Deviation", "ProviderContract"]


@attrs.frozen
class Deviation:
    """A known defect: why it is there, and where its repair is followed."""

    reason: str
    issue: str


class ProviderContract:
    """Proves a provider.

    ::

        class TestAcme(ProviderContract):
            provider = Acme
            emulator = AcmeEmulator

    Each rule becomes a test of this class. Nothing else may be defined in it but the names below.

    `recipient` is a number that the provider can send to (E.164). `offer` is a service and a
    country in the provider's codes, for one that rents and has no `offers`, or whose `offers` are
    PARTIAL as they must be told a service. `sample_message` is a message to `recipient` for a
    provider that cannot send plain texts: a template with at least one value. `examples` is a
    package of JSON files with the provider's documented exchanges; by default ``<provider's
    package>.examples``. `known_deviations` names rules that are red, with the reason of each.

    What is not given here is taken from the emulator's class, if it is there: `qasid contract` has
    nothing else to look at.
    """

    provider: ClassVar[Any] = None
    emulator: ClassVar[Any] = None
    recipient: ClassVar[str] = "+989121112233"
    offer: ClassVar[tuple[str, str]] = ("acme", "SA")
    sample_message: ClassVar[TextMessage | TemplateMessage | None] = None
    examples: ClassVar[str | None] = None
    known_deviations: ClassVar[Mapping[str, Deviation]] = {}

    def __init_subclass__(cls) -> None:
        for name in SETTABLE & {*dir(cls.emulator)}:
            theirs = getattr(cls.emulator, name)
            given = getattr(cls, name) is not getattr(ProviderContract, name)
            if not (given or hasattr(theirs, "__get__")):  # neither a method nor a field of theirs
                setattr(cls, name, theirs)


#: What a contract may say.
SETTABLE: Final = frozenset(name for name in vars(ProviderContract) if not name.startswith("_"))
