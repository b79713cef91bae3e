"""The tables ``[routes.NAME]`` of ``qasid.toml``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs

from qasid import settings
from qasid.errors import ProviderNotFound, SettingsError
from qasid.routing.breaker import Tolerance
from qasid.routing.policies import (
    ByPrefix,
    Cheapest,
    Failover,
    Healthiest,
    Pinned,
    Policy,
    Weighted,
)

__all__ = ["FIELDS", "POLICIES", "Table", "refusal", "table_of"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Table:
    """A route as it is written: accounts by name, a policy, and what its breakers tolerate."""

    accounts: tuple[str, ...]
    kind: str
    policy: Policy
    tolerance: Tolerance


#: Each policy, the fields that it has to itself, and how it is made of them.
POLICIES: Final[Mapping[str, tuple[Callable[..., Policy], tuple[str, ...]]]] = {
    "failover": (Failover, ()),
    "weighted": (Weighted, ("weights",)),
    "prefix": (ByPrefix, ("prefixes", "otherwise")),
    "cheapest": (Cheapest, ()),
    "healthiest": (Healthiest, ()),
    "pinned": (Pinned, ("account",)),
}

#: Each field: what it may be, and what it is for.
FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "accounts": ("names", "the accounts, or providers, in order"),
    "policy": (", ".join(POLICIES), "how they are put in order; `failover` unless told"),
    "weights": ("numbers by name", "`weighted`: the share of each account, zero or more"),
    "prefixes": ("names by prefix", "`prefix`: whom numbers go to, the longest prefix wins"),
    "otherwise": ("names", "`prefix`: whom all other numbers go to; all accounts unless told"),
    "account": ("a name", "`pinned`: the account"),
    "failures": ("a number", "how many failures in a row open the breaker of an account"),
    "open_for": ("seconds", "how long it is open at first"),
    "open_at_most": ("seconds", "how long it is open at most"),
}

_TOLERANCE: Final = ("failures", "open_for", "open_at_most")
_OPTIONAL: Final = frozenset({"otherwise"})


def table_of(name: str) -> Table:
    """The route of that name, checked. Raises `ProviderNotFound`, `SettingsError`."""
    routes = settings.routes()
    if name not in routes:
        known = ", ".join(routes) or "none"
        raise ProviderNotFound(f"no route {name!r} is in {settings.FILE_NAME} (there are: {known})")
    given, _ = routes[name]
    for key in given:
        _known(name, key)
    return Table(
        accounts=_accounts(name, given.get("accounts", [])),
        kind=given.get("policy", "failover"),
        policy=_policy(name, given),
        tolerance=_tolerance(name, given),
    )


def refusal(name: str, field: str, problem: str, remedy: str) -> SettingsError:
    """What is wrong with a route, where, and what to do."""
    return SettingsError(problem, account=f"routes.{name}", field=field, remedy=remedy)


def _known(name: str, key: str) -> None:
    if key not in FIELDS:
        close = difflib.get_close_matches(key, FIELDS, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(FIELDS))}"
        raise refusal(name, key, "is unknown (in the file)", remedy)


def _accounts(name: str, given: object) -> tuple[str, ...]:
    names = _names(name, "accounts", given)
    for account in names:
        if account in settings.routes() and account not in settings.accounts():
            what = "itself" if account == name else f"the route {account!r}"
            problem = f"leads to {what}, and a route leads to accounts alone"
            raise refusal(name, "accounts", problem, "name accounts or providers")
    return names


def _names(name: str, field: str, given: object) -> tuple[str, ...]:
    if isinstance(given, list) and all(isinstance(item, str) for item in given):
        return tuple(given)
    raise refusal(name, field, "is not a list of names", 'write it like ["work", "spare"]')


def _policy(name: str, given: Mapping[str, Any]) -> Policy:
    kind = given.get("policy", "failover")
    if not (isinstance(kind, str) and kind in POLICIES):
        raise refusal(
            name, "policy", "is none of its choices", f"choose one of: {', '.join(POLICIES)}"
        )
    make, fields = POLICIES[kind]
    for other in {field for _, own in POLICIES.values() for field in own} - {*fields}:
        if other in given:
            raise refusal(name, other, f"is not for the policy {kind!r}", "take it out")
    own = {field: _own(name, field, given) for field in fields}
    return _made(name, next(iter(fields), "policy"), lambda: make(**own))


def _own(name: str, field: str, given: Mapping[str, Any]) -> Any:
    if field not in given and field not in _OPTIONAL:
        raise refusal(name, field, "is missing", f"write {field} = {_SAMPLES[field]}")
    value = given.get(field)
    if not (value is None or _FITS[field](value)):
        raise refusal(name, field, "is of the wrong kind", f"write it like {_SAMPLES[field]}")
    return value


def _is_names(value: object) -> bool:
    several = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return several or isinstance(value, str)


_FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "weights": lambda value: isinstance(value, dict),
    "prefixes": lambda value: isinstance(value, dict) and all(map(_is_names, value.values())),
    "otherwise": _is_names,
    "account": lambda value: isinstance(value, str),
}
_SAMPLES: Final = {
    "weights": "{ work = 3, spare = 1 }",
    "prefixes": '{ "+98912" = "work", "+98" = ["spare", "work"] }',
    "otherwise": '["work"]',
    "account": '"work"',
}


def _tolerance(name: str, given: Mapping[str, Any]) -> Tolerance:
    told = {key: given[key] for key in _TOLERANCE if key in given}
    for key, value in told.items():
        kinds = {int} if key == "failures" else {int, float}
        if type(value) not in kinds or not value > 0:
            raise refusal(name, key, "is not a number over zero", "write it like 5")
    return _made(name, "open_at_most", lambda: Tolerance(**told))


def _made(name: str, field: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except (ValueError, OverflowError) as error:
        raise refusal(name, field, str(error), "give a value that fits") from None
