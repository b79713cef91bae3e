"""The verdict on a provider, the same in the terminal, in JSON and in the exit code."""

from __future__ import annotations

import enum
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from qasid._version import CONTRACT_VERSION, VERSION
from qasid.hookspecs import HOOKS
from qasid_contract.contract import ProviderContract
from qasid_contract.rulebook import Level
from qasid_contract.running import Result, Status

__all__ = ["EXIT_CODES", "Report", "Verdict", "worst"]


class Verdict(enum.Enum):
    """What a run proves, the best first."""

    CONFORMANT = "conformant"
    PARTIAL = "partial"
    INCOMPLETE = "incomplete"
    NONCONFORMANT = "nonconformant"


EXIT_CODES: Final[Mapping[Verdict, int]] = {
    Verdict.CONFORMANT: 0,
    Verdict.NONCONFORMANT: 1,
    Verdict.PARTIAL: 10,
    Verdict.INCOMPLETE: 11,
}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on several providers together."""
    return max(verdicts, key=[*Verdict].index, default=Verdict.CONFORMANT)


@attrs.frozen(kw_only=True)
class Report:
    """All results on one provider."""

    contract: type[ProviderContract]
    results: Sequence[Result]

    @property
    def verdict(self) -> Verdict:
        """Red before unfinished, unfinished before deviating: nobody can talk it away."""
        core = [result.status for result in self.results if result.rule.level is Level.CORE]
        return worst(_PROVES.get(status, Verdict.CONFORMANT) for status in core)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many results there are of each status."""
        counted = Counter(result.status.value for result in self.results)
        return {status.value: counted[status.value] for status in Status}

    @property
    def rate(self) -> float:
        """Examples a second, over the rules that have examples."""
        seconds = sum(r.seconds for r in self.results if r.examples)
        return sum(r.examples for r in self.results) / seconds if seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """The report as `report.schema.json` describes it."""
        provider = self.contract.provider
        support = {hook: provider.info.supports(hook) for hook in HOOKS}
        return {
            "qasid": VERSION,
            "contract": ".".join(map(str, CONTRACT_VERSION)),
            "provider": {
                "class": f"{provider.__module__}:{provider.__qualname__}",
                "title": provider.info.title,
                "support": {
                    hook: {"level": s.level.value, "note": s.note} for hook, s in support.items()
                },
            },
            "verdict": self.verdict.value,
            "counts": dict(self.counts),
            "results": [_plain(self.contract, result) for result in self.results],
        }

    def lines(self) -> list[str]:
        """The report for a terminal: what is red first, the verdict last."""
        provider = self.contract.provider
        told = [f"{provider.info.title} ({provider.__module__}.{provider.__qualname__})"]
        for result in self.results:
            if result.status in {Status.FAILED, Status.DEVIATION}:
                told += _words(self.contract, result)
        told.append(", ".join(f"{n} {status}" for status, n in self.counts.items() if n))
        if self.rate:
            told.append(f"{self.rate:,.0f} examples a second")
        told.append(f"verdict: {self.verdict.value}")
        return told


_PROVES: Final = {
    Status.FAILED: Verdict.NONCONFORMANT,
    Status.NOT_RUN: Verdict.INCOMPLETE,
    Status.DEVIATION: Verdict.PARTIAL,
}


def _plain(contract: type[ProviderContract], result: Result) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "rule": result.rule.id,
        "path": result.path.value,
        "level": result.rule.level.value,
        "promise": result.rule.promise,
        "status": result.status.value,
        "words": result.words,
    }
    if result.status is Status.DEVIATION:
        plain["declared"] = attrs.asdict(contract.known_deviations[result.rule.id])
    return plain


def _words(contract: type[ProviderContract], result: Result) -> list[str]:
    rule = result.rule
    level = "" if rule.level is Level.CORE else f" ({rule.level.value})"
    told = [result.words]
    if result.status is Status.DEVIATION:
        known = contract.known_deviations[rule.id]
        told.append(f"declared: {known.reason} ({known.issue})")
    elif result.error is not None:
        told.append(f"what to do: {rule.troubleshooting}")
    head = f"{rule.id} [{result.path.value}] {result.status.value}{level}: {rule.promise}"
    return [head, *textwrap.indent("\n".join(told), "    ").splitlines()]
