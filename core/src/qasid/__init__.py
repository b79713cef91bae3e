"""Qasid: one API over SMS, one-time-password and virtual-number providers.

::

    import qasid

    with qasid.connect("sandbox") as account:
        with account.rent("acme", "SA") as activation:
            message = account.wait_for_sms(activation, timeout=60)
            print(message.code)

The public names are those of `qasid.account`, `qasid.errors`, `qasid.rentals`, `qasid.routing`,
`qasid.streams`, `qasid.values` and `qasid.watching`.
They are imported when they are first used, so that ``import qasid`` costs next to nothing.
"""

from __future__ import annotations

from qasid._version import CONTRACT_VERSION as CONTRACT_VERSION
from qasid._version import VERSION

TYPE_CHECKING = False  # as `typing` has it, whose import would cost more than all the rest
if TYPE_CHECKING:
    from typing import Any

    from qasid.account import *  # noqa: F403
    from qasid.errors import *  # noqa: F403
    from qasid.rentals import *  # noqa: F403
    from qasid.routing import *  # noqa: F403
    from qasid.streams import *  # noqa: F403
    from qasid.values import *  # noqa: F403
    from qasid.watching import *  # noqa: F403

__version__ = VERSION

_HOMES = (
    "qasid.errors",
    "qasid.values",
    "qasid.account",
    "qasid.rentals",
    "qasid.routing",
    "qasid.streams",
    "qasid.watching",
)


def _public(name: str) -> Any:
    from importlib import import_module, util

    if name == "__all__":
        names = [public for home in _HOMES for public in import_module(home).__all__]
        return sorted([*names, "CONTRACT_VERSION", "__version__"])
    # A submodule is none of them: the import system asks here first, and then finds it by itself.
    if not name.startswith("_") and util.find_spec(f"{__name__}.{name}") is None:
        for home in map(import_module, _HOMES):
            if name in home.__all__:
                return globals().setdefault(name, getattr(home, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# A type checker sees the imports above, and so knows what is not there.
if not TYPE_CHECKING:  # pragma: no branch
    __getattr__ = _public


def __dir__() -> list[str]:
    return sorted({*globals(), *_public("__all__")})
