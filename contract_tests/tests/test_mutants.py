"""Each rule is red for its mutant, and for that alone: a rule that cannot fail proves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import mutants_failures
import mutants_numbers
import mutants_purity
import mutation  # whole: a contract by name would be collected here too
import pytest

from qasid_contract.contract import ProviderContract
from qasid_contract.examples import Effort
from qasid_contract.reference import Minimal
from qasid_contract.reference_emulator import MinimalEmulator
from qasid_contract.rulebook import Path, Rule, all_rules
from qasid_contract.running import Result, Status, planned, run
from qasid_contract.verdict import Report, Verdict

FILES: Final = (mutants_failures, mutants_numbers, mutants_purity)
MUTANTS: Final = [(rule_id, broken) for file in FILES for rule_id, broken in file.MUTANTS.items()]

#: These are run over the socket as well, where every other mutant is by its own rule alone.
SAMPLE: Final = frozenset({"AUTH-2", "NUM-2", "SEND-1"})

#: Examples for a rule that is not to fail. Its own rule has as many as in a real run.
FEW: Final = 20


def ways(rule: Rule, own: str) -> Iterable[Path]:
    """The paths of a rule that are run for the mutant of the rule `own`."""
    return rule.paths if own in {rule.id, *SAMPLE} else [Path.PLUGGED]


def red(rule_id: str, broken: type[ProviderContract]) -> dict[str, str]:
    """The rules of the whole book that are red, each with what it says."""
    found: dict[str, str] = {}
    for rule in all_rules():
        for path in ways(rule, rule_id):
            effort = Effort() if rule.id == rule_id else Effort(FEW)
            result = run(broken, rule, path, effort)
            if result.status is Status.FAILED:
                found[rule.id] = result.words
    return found


def report(contract: type[ProviderContract]) -> Report:
    """Everything, on each path."""
    return Report(contract=contract, results=[run(contract, r, p) for r, p in planned(contract)])


@pytest.mark.parametrize(("rule_id", "broken"), MUTANTS, ids=[rule_id for rule_id, _ in MUTANTS])
def test_a_mutant_is_red_for_its_own_rule_alone(
    rule_id: str, broken: type[ProviderContract]
) -> None:
    """What is broken is found by the rule that is about it, and no other rule takes offence."""
    found = red(rule_id, broken)
    assert {rule_id} == {*found}, found


def test_every_rule_has_a_mutant() -> None:
    """A rule without a mutant might be green for everybody; a mutant without a rule is a slip."""
    assert sorted(rule.id for rule in all_rules()) == sorted(dict(MUTANTS))


def test_the_sample_is_of_mutants() -> None:
    """What is run over the socket too is there."""
    assert SAMPLE <= {rule_id for rule_id, _ in MUTANTS}


def test_the_reference_passes_everything() -> None:
    """A complete provider without a mistake is conformant on both paths; nothing is left out."""
    told = report(mutation.Sound)
    assert {Status.PASSED} == {result.status for result in told.results}, told.lines()
    assert Verdict.CONFORMANT is told.verdict


def test_the_minimal_provider_passes_with_reasons() -> None:
    """One hook is enough; what does not apply says which hook it needs, and is not passed."""
    told = report(mutation.contract(Minimal, MinimalEmulator))
    assert Verdict.CONFORMANT is told.verdict, told.lines()
    left = [result for result in told.results if result.status is not Status.PASSED]
    assert {Status.NOT_APPLICABLE} == {result.status for result in left}
    assert all(_is_reason(result) for result in left)


def _is_reason(result: Result) -> bool:
    return result.words.startswith("needs ") and "balance" not in result.words


SOUND: Final[dict[str, Any]] = mutants_failures.SOUND


@pytest.mark.parametrize("name", SOUND)
def test_an_odd_provider_is_no_bad_one(name: str) -> None:
    """What documents do not offer is not demanded: those that lack it honestly stay green.

    The examples are the reference's, which sends plain texts: of them nothing is asked here.
    """
    assert [] == [rule_id for rule_id in red("", SOUND[name]) if not rule_id.startswith("WIRE")]
