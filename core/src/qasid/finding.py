"""From a name to a provider: stevedore finds it, pluggy tells what it can.

The entry points are scanned once and nothing is imported by that. A provider is imported when it is
asked for; one that is broken, or whose name two distributions claim, harms no other.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import attrs

from qasid import distributions, hookspecs
from qasid._version import CONTRACT_VERSION
from qasid.distributions import COMMANDS, EMULATORS, LISTENERS, PROVIDERS, Claim, installed
from qasid.errors import PluginError, ProviderNotFound
from qasid.hookspecs import HOOKS
from qasid.values import ProviderInfo

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from qasid.emulation import Emulator

__all__ = [
    "COMMANDS",
    "EMULATORS",
    "LISTENERS",
    "PROVIDERS",
    "Claim",
    "command",
    "emulator",
    "forget",
    "implemented",
    "info",
    "installed",
    "listener",
    "provider",
    "providers_with",
]

_PLAIN: Final = re.compile(r"[\w.]+:[\w.]+")

_KINDS: Final = {
    PROVIDERS: "provider",
    EMULATORS: "emulator",
    COMMANDS: "command",
    LISTENERS: "listener",
}


def forget() -> None:
    """Scan again and load again at the next call, as after an installation while running.

    A module that was imported before stays as it was: that is Python's rule.
    """
    distributions.forget()
    _load.cache_clear()


def provider(name: str) -> type[Any]:
    """The provider class of that name, checked.

    Raises `ProviderNotFound`, or `PluginError` where the name is claimed twice, the import fails,
    or the class is no provider for this version of the contract.
    """
    found: type[Any] = _load(PROVIDERS, name)
    _check(PROVIDERS, name, _problem(found))
    return found


def info(name: str) -> ProviderInfo:
    """What the provider of that name says of itself, as a list needs it. Raises as `provider` does.

    Nothing is done with the provider, so stevedore is not asked: it takes as long to import as the
    whole list.
    """
    found = _load(PROVIDERS, name, _glance)
    _check(PROVIDERS, name, _problem(found))
    said: ProviderInfo = found.info
    return said


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
def _load(group: str, name: str, load: Callable[[Claim], Any] | None = None) -> Any:
    """Import what one claim is to, by stevedore or else by `load`: neither less nor more."""
    claim = _sole_claim(group, name)
    try:
        return (load or _by_stevedore)(claim)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # SystemExit and AssertionError of a plugin's import too
        raise PluginError(_broken(claim, f"{type(error).__name__}: {error}")) from error


def _glance(claim: Claim) -> Any:
    """What stevedore would give."""
    module, _, path = claim.target.partition(":")
    if not _PLAIN.fullmatch(claim.target):  # it has extras, or is no target at all
        return _by_stevedore(claim)
    return functools.reduce(getattr, path.split("."), import_module(module))


def _by_stevedore(claim: Claim) -> Any:
    from importlib import metadata

    from stevedore import named  # late: it takes longer to import than most commands take to run

    class OneClass(named.NamedExtensionManager[Any]):
        # What was found stands in for stevedore's own scan, whose cache outlives a reinstallation.
        def list_entry_points(self) -> list[EntryPoint]:
            return [metadata.EntryPoint(claim.name, claim.target, claim.group)]

    def reraise(manager: object, entry_point: object, error: BaseException) -> None:
        raise error

    manager = OneClass(claim.group, [claim.name], on_load_failure_callback=reraise)
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
