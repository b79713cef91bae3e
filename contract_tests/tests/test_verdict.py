"""The verdict on a provider, and how it is told."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Sequence
from typing import Any, Final

import attrs
import jsonschema
import mutants_numbers
import mutation  # whole: a contract by name would be collected here too
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid_contract.case import Case
from qasid_contract.contract import Deviation, ProviderContract
from qasid_contract.reference import Minimal
from qasid_contract.reference_emulator import MinimalEmulator
from qasid_contract.rulebook import Level, Path, Rule, all_rules
from qasid_contract.running import Result, Status, run
from qasid_contract.verdict import EXIT_CODES, Report, Verdict, worst

CORE: Final = all_rules()[0]
ADVISORY: Final = attrs.evolve(CORE, level=Level.ADVISORY)


@functools.cache
def deviating(*rules: str) -> type[ProviderContract]:
    """The contract of a sound provider that declares deviations from these rules."""
    known = {rule: Deviation("it is old", "https://issues.example/7") for rule in rules}
    return mutation.contract(Minimal, MinimalEmulator, known_deviations=known)


def result(status: Status, rule: Rule = CORE) -> Result:
    """A result with words where they are due."""
    words = "" if status is Status.PASSED else "the reason"
    return Result(rule=rule, path=Path.PLUGGED, status=status, words=words)


def report(*results: Result) -> Report:
    """A report on these results."""
    return Report(contract=deviating(CORE.id), results=results)


def valid(document: Any) -> Any:
    """The document, which must be as the schema that is published has it."""
    text = importlib.resources.files("qasid_contract").joinpath("report.schema.json").read_text()
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


P, F, D, A, N = (
    Status.PASSED,
    Status.FAILED,
    Status.DEVIATION,
    Status.NOT_APPLICABLE,
    Status.NOT_RUN,
)


@pytest.mark.parametrize(
    ("statuses", "verdict", "code"),
    [
        ([P], Verdict.CONFORMANT, 0),
        ([P, A], Verdict.CONFORMANT, 0),
        ([P, A, D], Verdict.PARTIAL, 10),
        ([P, A, D, N], Verdict.INCOMPLETE, 11),
        ([N], Verdict.INCOMPLETE, 11),
        ([P, A, D, N, F], Verdict.NONCONFORMANT, 1),
    ],
)
def test_the_worst_result_decides(statuses: list[Status], verdict: Verdict, code: int) -> None:
    """Red before unfinished, unfinished before deviating; the exit code says the same."""
    told = report(*map(result, statuses)).verdict
    assert (verdict, code) == (told, EXIT_CODES[told])


statuses = st.lists(st.sampled_from(Status))


@given(statuses, st.sampled_from(Status))
def test_nothing_makes_a_verdict_better(found: list[Status], more: Status) -> None:
    """One more result can only make it worse."""
    before = report(*map(result, found)).verdict
    after = report(*map(result, [*found, more])).verdict
    assert after is worst([before, after])


@given(statuses, statuses)
def test_advisory_rules_have_no_part_in_it(found: list[Status], advice: list[Status]) -> None:
    """Whatever comes of advisory rules, the verdict is that of the others."""
    core = [result(status) for status in found]
    advised = [result(status, ADVISORY) for status in advice]
    assert report(*core).verdict is report(*core, *advised).verdict


@given(st.lists(st.sampled_from(Verdict), min_size=1))
def test_several_providers_are_as_good_as_the_worst(verdicts: list[Verdict]) -> None:
    """One that is nonconformant is not hidden by a higher exit code."""
    order = [Verdict.NONCONFORMANT, Verdict.INCOMPLETE, Verdict.PARTIAL, Verdict.CONFORMANT]
    assert min(verdicts, key=order.index) is worst(verdicts)


def test_what_does_not_apply_is_not_counted_as_passed() -> None:
    """Each status has a count of its own."""
    counts = report(*map(result, [P, A, A, N])).counts
    assert {"passed": 1, "failed": 0, "deviation": 0, "not applicable": 2, "not run": 1} == counts


# In the terminal.


def test_the_verdict_stands_last_and_what_is_red_first() -> None:
    """A report names the provider, what is red and why, the counts, and then the verdict."""
    failed = attrs.evolve(result(F), error=AssertionError("the reason"))
    first, *lines = report(failed, result(P)).lines()
    assert "Minimal (qasid_contract.reference.Minimal)" == first
    assert [
        f"DEC-1 [plugged] failed: {CORE.promise}",
        "    the reason",
        f"    what to do: {CORE.troubleshooting}",
        "1 passed, 1 failed",
        "verdict: nonconformant",
    ] == lines


def test_a_deviation_is_told_with_its_declaration() -> None:
    """Who reads it sees the reason, and where the repair is followed."""
    assert "    declared: it is old (https://issues.example/7)" in report(result(D)).lines()


def test_an_advisory_rule_that_is_red_says_that_it_is_advisory() -> None:
    """Nobody wonders why something red is conformant."""
    lines = report(result(F, ADVISORY)).lines()
    assert f"DEC-1 [plugged] failed (advisory): {CORE.promise}" in lines
    assert "verdict: conformant" == lines[-1]


def test_the_rate_is_that_of_the_rules_with_examples() -> None:
    """Examples a second, where there were any."""
    many = attrs.evolve(result(P), examples=3000, seconds=1.5)
    told = report(many, attrs.evolve(result(P), seconds=100.0))
    assert 2000 == told.rate
    assert "2,000 examples a second" in told.lines()
    assert 0 == report(result(P)).rate


# As JSON.


@pytest.mark.parametrize("status", Status)
def test_a_report_fits_the_schema(status: Status) -> None:
    """What is written is what the published schema describes, whatever came of a rule."""
    document = valid({"reports": [report(result(status)).as_json()]})
    assert status.value == document["reports"][0]["results"][0]["status"]


def test_a_report_of_a_real_run_fits_the_schema() -> None:
    """Real results have their reasons, and no words where they passed."""
    results = [run(deviating(), entry, Path.PLUGGED) for entry in all_rules()[10:20]]
    valid({"reports": [report(*results).as_json()]})


def test_the_schema_knows_no_other_member() -> None:
    """A misspelt member of a report would be found by it."""
    document = {"reports": [report(result(P)).as_json()]}
    document["reports"][0]["verdikt"] = "conformant"
    with pytest.raises(jsonschema.ValidationError):
        valid(document)


def test_a_deviation_is_declared_in_the_report_too() -> None:
    """A program that reads the report knows why a defect is accepted."""
    (plain,) = report(result(D)).as_json()["results"]
    assert {"reason": "it is old", "issue": "https://issues.example/7"} == plain["declared"]


# One result.


def ruled(check: Any, paths: Sequence[Path] = (Path.PLUGGED,)) -> Rule:
    """A rule that is not in the book."""
    return attrs.evolve(CORE, id="NUM-999", check=check, paths=tuple(paths))


def raising(error: BaseException) -> Rule:
    """A rule that raises it."""

    def check(case: Case) -> None:
        raise error

    return ruled(check)


def test_whatever_is_raised_is_a_failure() -> None:
    """An assertion, an error of the plugin's, and even an attempt to end the program."""
    for error in (AssertionError("so"), KeyError("x"), SystemExit(0), pytest.exit.Exception("0")):
        told = run(deviating(), raising(error), Path.PLUGGED)
        assert (F, f"{type(error).__name__}: {error}") == (told.status, told.words)


def test_only_a_stop_from_outside_is_let_through() -> None:
    """Ctrl-C ends the run, and is no result."""
    with pytest.raises(KeyboardInterrupt):
        run(deviating(), raising(KeyboardInterrupt()), Path.PLUGGED)


@pytest.mark.parametrize("declared", [(), ("NUM-999",)])
@pytest.mark.parametrize("skip", [pytest.skip, pytest.xfail, pytest.importorskip])
def test_a_skip_out_of_a_plugin_is_illegal(declared: tuple[str, ...], skip: Any) -> None:
    """A skip comes from what a rule needs and from nothing else; a declaration does not help."""
    told = run(deviating(*declared), ruled(lambda case: skip("no_such_module")), Path.PLUGGED)
    assert F is told.status
    assert told.words.startswith("illegal_skip: the plugin's own code raised it")


def test_a_declared_deviation_is_an_expected_failure() -> None:
    """What is red and declared is a deviation, with the words of the failure."""
    told = run(deviating("NUM-999"), raising(AssertionError("so")), Path.PLUGGED)
    assert (D, "AssertionError: so") == (told.status, told.words)


def test_a_repaired_deviation_is_a_failure() -> None:
    """The expectation is strict: a declaration that is not needed has to go."""
    told = run(deviating("NUM-999"), ruled(lambda case: None), Path.PLUGGED)
    assert F is told.status
    assert "it passes now: take the declaration out" in told.words


def test_a_deviation_may_show_on_one_path_alone() -> None:
    """A defect that a socket does not show is still there: it is not taken for repaired."""

    def check(case: Case) -> None:
        assert case.path is Path.SOCKET

    rule = ruled(check, [*Path])
    assert [D, P] == [run(deviating("NUM-999"), rule, path).status for path in rule.paths]


def test_a_red_gate_keeps_all_other_rules_from_being_tried() -> None:
    """No account of a broken class can be opened; each other rule says which one is to blame."""
    broken = mutants_numbers.MUTANTS["DEC-2"]
    told = Report(contract=broken, results=[run(broken, r, Path.PLUGGED) for r in all_rules()])
    assert Verdict.NONCONFORMANT is told.verdict
    assert {"DEC-2"} == {one.rule.id for one in told.results if one.status is F}
    left = {one.words for one in told.results if one.status is N}
    assert {"not tried: DEC-2 is red"} == left
    assert len(told.results) - 3 == told.counts["not run"]  # there are three gates
