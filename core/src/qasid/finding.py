"""From a name to a provider: stevedore finds it, pluggy tells what it can.

The entry points are scanned once and nothing is imported by that. A provider is imported when it is
asked for; one that is broken, or whose name two distributions claim, harms no other.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from qasid import hookspecs
from qasid._version import CONTRACT_VERSION
from qasid.emulation import Emulator
from qasid.errors import PluginError, ProviderNotFound
from qasid.hookspecs import HOOKS
from qasid.values import ProviderInfo

__all__ = [
    "Claim",
    "command",
    "emulator",
    "forget",
    "implemented",
    "installed",
    "listener",
    "provider",
    "providers_with",
]

PROVIDERS: Final = "qasid.providers"
EMULATORS: Final = "qasid.emulators"
COMMANDS: Final = "qasid.commands"
LISTENERS: Final = "qasid.listeners"

_KINDS: Final = {
    PROVIDERS: "provider",
    EMULATORS: "emulator",
    COMMANDS: "command",
    LISTENERS: "listener",
}

_log = logging.getLogger("qasid")


@attrs.frozen(kw_only=True)
class Claim:
    """One distribution's claim to a name. `target` is ``module:attribute``."""

    name: str
    target: str
    distribution: str
    version: str
    entry_point: importlib.metadata.EntryPoint = attrs.field(repr=False, eq=False)

    @property
    def owner(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"


@functools.cache
def installed(group: str = PROVIDERS) -> Mapping[str, tuple[Claim, ...]]:
    """Every name and who claims it; imports nothing. Remembered until `forget`."""
    names: dict[str, dict[str, Claim]] = {}
    for distribution in importlib.metadata.distributions():
        for claim in _claims(distribution, group):
            # One distribution may be seen twice on the path: the first is what is imported.
            names.setdefault(claim.name, {}).setdefault(_canonical(claim.distribution), claim)
    return {name: tuple(names[name].values()) for name in sorted(names)}


def _claims(distribution: importlib.metadata.Distribution, group: str) -> list[Claim]:
    try:
        found = distribution.entry_points.select(group=group)
        return [_claim(distribution, entry_point) for entry_point in found]
    except Exception as error:  # half a stranger's installation must not hide all others
        _log.warning("a distribution was passed over, its metadata is damaged: %r", error)
        return []


def _claim(
    distribution: importlib.metadata.Distribution, entry_point: importlib.metadata.EntryPoint
) -> Claim:
    metadata = distribution.metadata
    if not {"Name", "Version"} <= {*metadata}:
        raise LookupError("it has no name or no version")
    return Claim(
        name=entry_point.name,
        target=entry_point.value,
        distribution=metadata["Name"],
        version=metadata["Version"],
        entry_point=entry_point,
    )


def _canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def forget() -> None:
    """Scan again and load again at the next call, as after an installation while running.

    A module that was imported before stays as it was: that is Python's rule.
    """
    importlib.invalidate_caches()
    installed.cache_clear()
    _load.cache_clear()


def provider(name: str) -> type[Any]:
    """The provider class of that name, checked.

    Raises `ProviderNotFound`, or `PluginError` where the name is claimed twice, the import fails,
    or the class is no provider for this version of the contract.
    """
    found: type[Any] = _load(PROVIDERS, name)
    _check(PROVIDERS, name, _problem(found))
    return found


def emulator(name: str) -> type[Emulator]:
    """The emulator class of that name. Raises `ProviderNotFound`, `PluginError`."""
    found: type[Emulator] = _load(EMULATORS, name)
    fits = isinstance(found, type) and hasattr(found, "handle")
    _check(EMULATORS, name, None if fits else "the entry point must name an emulator's class")
    return found


def command(name: str) -> Any:
    """The click command that a distribution adds to `qasid`. Raises as `emulator` does."""
    found = _load(COMMANDS, name)
    fits = callable(getattr(found, "main", None))
    _check(COMMANDS, name, None if fits else "the entry point must name a click command")
    return found


def listener(name: str) -> Any:
    """The object or class that listens to events. Raises as `emulator` does."""
    return _load(LISTENERS, name)


def _sole_claim(group: str, name: str) -> Claim:
    claims = installed(group).get(name, ())
    if not claims:
        raise ProviderNotFound(_missing(group, name))
    if len(claims) > 1:
        owners = " and ".join(claim.owner for claim in claims)
        raise PluginError(f"{name!r} is claimed by {owners}; uninstall all but one of them")
    return claims[0]


def _missing(group: str, name: str) -> str:
    known = ", ".join(installed(group)) or "none"
    what = f"no {_KINDS[group]} {name!r} is installed (there are: {known})"
    return f"{what}; try: pip install qasid-{name}"


@functools.cache
def _load(group: str, name: str) -> Any:
    """Import one class through stevedore, which must import neither less nor more than that."""
    claim = _sole_claim(group, name)
    try:
        return _import(group, claim)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # SystemExit and AssertionError of a plugin's import too
        raise PluginError(_broken(claim, f"{type(error).__name__}: {error}")) from error


def _import(group: str, claim: Claim) -> Any:
    from stevedore import named  # late: it takes longer to import than most commands take to run

    class OneClass(named.NamedExtensionManager[Any]):
        # The scan above stands in for stevedore's own, whose cache outlives a reinstallation.
        def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
            return [claim.entry_point]

    def reraise(manager: object, entry_point: object, error: BaseException) -> None:
        raise error

    manager = OneClass(group, [claim.name], on_load_failure_callback=reraise)
    return manager.extensions[0].plugin


def _broken(claim: Claim, problem: str) -> str:
    return f"{claim.name!r} of {claim.owner} ({claim.target}) is broken: {problem}"


def _check(group: str, name: str, problem: str | None) -> None:
    if problem:
        raise PluginError(_broken(_sole_claim(group, name), problem))


def _problem(found: Any) -> str | None:
    if not (isinstance(found, type) and attrs.has(found)):
        return "the entry point must name an attrs class"
    info = getattr(found, "info", None)
    if not isinstance(info, ProviderInfo):
        return "the class has no `info: ClassVar = ProviderInfo(...)`"
    if "base_url" not in attrs.fields_dict(found):
        return "the class has no field `base_url`"
    return _contract_problem(info.contract)


def _contract_problem(contract: object) -> str | None:
    ours = ".".join(map(str, CONTRACT_VERSION))
    written = re.fullmatch(r"([0-9]+)\.([0-9]+)", contract) if isinstance(contract, str) else None
    if not written:
        return f"its contract {contract!r} is not of the form '1.0'"
    if int(written[1]) == CONTRACT_VERSION[0] and int(written[2]) <= CONTRACT_VERSION[1]:
        return None
    return f"it is made for contract {contract}, this Qasid has {ours}; install versions that agree"


def implemented(found: type[Any]) -> frozenset[str]:
    """The hooks that a provider class implements, told without an instance."""
    import pluggy

    reader = pluggy.PluginManager(hookspecs.PROJECT)
    return frozenset(name for name in HOOKS if reader.parse_hookimpl_opts(found, name) is not None)


def providers_with(hook: str) -> tuple[str, ...]:
    """The names of the installed providers that can do it; broken ones are passed over."""
    return tuple(name for name in installed() if _can(name, hook))


def _can(name: str, hook: str) -> bool:
    try:
        return hook in implemented(provider(name))
    except PluginError:
        return False
