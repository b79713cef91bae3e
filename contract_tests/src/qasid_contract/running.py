"""One rule, run once: what came of it, in words."""

from __future__ import annotations

import enum
import functools
import time
import unittest
from typing import Final

import attrs
import pytest

from qasid.finding import implemented
from qasid.values import ProviderInfo
from qasid_contract.case import Case
from qasid_contract.contract import SETTABLE, Deviation, ProviderContract
from qasid_contract.examples import Effort
from qasid_contract.rulebook import STRICT_FAMILIES, Path, Rule, all_rules

__all__ = ["Result", "Status", "planned", "refusal", "run", "untried"]


class Status(enum.Enum):
    """What came of one rule on one path."""

    PASSED = "passed"
    FAILED = "failed"
    DEVIATION = "deviation"
    NOT_APPLICABLE = "not applicable"
    NOT_RUN = "not run"


@attrs.frozen(kw_only=True)
class Result:
    """What came of one rule on one path, why, how long it took (seconds), and what it raised."""

    rule: Rule
    path: Path
    status: Status
    words: str = ""
    seconds: float = 0.0
    examples: int = 0
    error: BaseException | None = attrs.field(default=None, repr=False)


def planned(contract: type[ProviderContract]) -> list[tuple[Rule, Path]]:
    """Everything that a full run holds, whether it applies or not."""
    return [(rule, path) for rule in all_rules() for path in rule.paths]


def untried(contract: type[ProviderContract], rule: Rule) -> tuple[Status, str] | None:
    """Why a rule is not tried: it does not apply, or a gate is shut. None where it is."""
    reason = rule.missing(implemented(contract.provider))
    if reason:
        return Status.NOT_APPLICABLE, reason
    shut = () if rule.gate else _shut_gates(contract)  # type: ignore[arg-type] # it has a hash
    return (Status.NOT_RUN, f"not tried: {', '.join(shut)} is red") if shut else None


@functools.cache
def _shut_gates(contract: type[ProviderContract]) -> tuple[str, ...]:
    gates = [rule for rule in all_rules() if rule.gate]
    return tuple(g.id for g in gates if run(contract, g, Path.PLUGGED).status is Status.FAILED)


def run(
    contract: type[ProviderContract], rule: Rule, path: Path, effort: Effort | None = None
) -> Result:
    """Run one rule without pytest. Any exception is a failure; a deviation must fail."""
    reason = untried(contract, rule)
    if reason:
        return Result(rule=rule, path=path, status=reason[0], words=reason[1])
    spent = effort or Effort()
    began = time.perf_counter()
    error = _raised(contract, rule, path, spent)
    taken = time.perf_counter() - began
    status, words = _judged(contract, rule, path, error)
    return Result(
        rule=rule,
        path=path,
        status=status,
        words=words,
        seconds=taken,
        examples=spent.tried,
        error=error,
    )


def _raised(
    contract: type[ProviderContract], rule: Rule, path: Path, effort: Effort
) -> BaseException | None:
    try:
        with Case(contract, path, effort) as case:
            rule.check(case)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an author's `sys.exit`, `pytest.skip` or `pytest.exit` too
        return error
    return None


#: What pytest takes for a skip or an expected failure, whoever raises it.
_SKIPS: Final = (pytest.skip.Exception, pytest.xfail.Exception, unittest.SkipTest)

_REPAIRED: Final = "declared as a deviation, but it passes now: take the declaration out"


def _judged(
    contract: type[ProviderContract], rule: Rule, path: Path, error: BaseException | None
) -> tuple[Status, str]:
    """A declared deviation must be red, be it on one path alone."""
    if isinstance(error, _SKIPS):
        return Status.FAILED, f"illegal_skip: the plugin's own code raised it ({error})"
    deviates = rule.id in contract.known_deviations
    if error is not None:
        return Status.DEVIATION if deviates else Status.FAILED, _words(error)
    if deviates and not _red_elsewhere(contract, rule, path):
        return Status.FAILED, _REPAIRED
    return Status.PASSED, ""


def _red_elsewhere(contract: type[ProviderContract], rule: Rule, path: Path) -> bool:
    others = [other for other in rule.paths if other is not path]
    return any(_raised(contract, rule, other, Effort()) is not None for other in others)


def _words(error: BaseException) -> str:
    """The error with its notes, which is where Hypothesis tells the example."""
    return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])


# What an author may not do.

_LENIENT: Final = (
    "a rule cannot be overridden, skipped or marked; declare known_deviations, and only that"
)


def refusal(contract: type[ProviderContract]) -> str:
    """Why the class is not run at all, in words for its author, or the empty text."""
    return _of_names(contract) or _of_kinds(contract) or _of_deviations(contract)


def _of_names(contract: type[ProviderContract]) -> str:
    bases = contract.__mro__[: contract.__mro__.index(ProviderContract)]
    extra = sorted(
        name
        for base in bases
        for name in vars(base)
        if name not in SETTABLE and not (name.startswith("__") and name.endswith("__"))
    )
    return f"it defines {', '.join(extra)}: {_LENIENT}" if extra else ""


def _of_kinds(contract: type[ProviderContract]) -> str:
    if not isinstance(contract.provider, type):
        return "`provider` must be the provider's class"
    if not isinstance(getattr(contract.provider, "info", None), ProviderInfo):
        return "the provider's class has no `info: ClassVar = ProviderInfo(...)`"
    if not isinstance(contract.emulator, type):
        return "`emulator` must be the class of an emulator: write one, and register it"
    return ""


def _of_deviations(contract: type[ProviderContract]) -> str:
    known = {rule.id: rule for rule in all_rules()}
    for name, told in contract.known_deviations.items():
        if name not in known:
            return f"known_deviations names {name}, and there is no such rule"
        if known[name].family in STRICT_FAMILIES or known[name].examples:
            return f"known_deviations names {name}, and no deviation from that one is allowed"
        if not (isinstance(told, Deviation) and told.reason and told.issue):
            return f"known_deviations[{name!r}] must be Deviation(reason, issue), neither empty"
    return ""
