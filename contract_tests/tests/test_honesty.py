"""Nobody can talk a verdict away: not the author's class, nor a conftest, nor the provider."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import mutation  # whole: a contract by name would be collected here too
import pytest
from project import GENEROUS, HEAD, Ended, Project

from qasid.errors import QasidError
from qasid.values import TextMessage
from qasid_contract.case import Case
from qasid_contract.contract import Deviation, ProviderContract
from qasid_contract.reference import Minimal
from qasid_contract.reference_emulator import MinimalEmulator
from qasid_contract.rulebook import Path, all_rules
from qasid_contract.running import Status, refusal, run

SOUND: Final = """
class TestSound(ProviderContract):
    provider = Minimal
    emulator = MinimalEmulator
    examples = EXAMPLES
"""

#: Its balance is not exact: MONEY-1 is red.
BROKEN: Final = """
class TestBroken(ProviderContract):
    provider = Generous
    emulator = MinimalEmulator
    examples = EXAMPLES
"""


@pytest.fixture
def project(tmp_path: FilePath) -> Project:
    """A project with nothing in it."""
    return Project(tmp_path)


# What a class may not say.


def subclass(base: type = ProviderContract, **members: Any) -> type[ProviderContract]:
    """A contract of the minimal provider with something more in it."""
    given = {"provider": Minimal, "emulator": MinimalEmulator}
    return type("TestIt", (base,), {**given, **members})


def deviating(rule_id: str, told: Any = None) -> type[ProviderContract]:
    """A contract that declares a deviation."""
    known = Deviation("why", "https://issues.example/7") if told is None else told
    return subclass(known_deviations={rule_id: known})


def marked(mark: pytest.MarkDecorator) -> type[ProviderContract]:
    """A contract with a mark on it."""
    made: type[ProviderContract] = mark(subclass())
    return made


REFUSED: Final[dict[str, tuple[Callable[[], Any], str]]] = {
    "a method more": (lambda: subclass(test_more=lambda self: None), "it defines test_more: "),
    "a rule by its name": (
        lambda: subclass(the_balance_is_exact=lambda self: None),
        "it defines the_balance_is_exact: a rule cannot be overridden, skipped or marked",
    ),
    "an attribute more": (lambda: subclass(rules=()), "it defines rules: "),
    "a fixture": (lambda: subclass(setup_method=lambda self: None), "it defines setup_method: "),
    "skip": (lambda: marked(pytest.mark.skip), "it defines pytestmark: "),
    "xfail": (lambda: marked(pytest.mark.xfail), "it defines pytestmark: "),
    "usefixtures": (lambda: marked(pytest.mark.usefixtures("x")), "it defines pytestmark: "),
    "a base in between": (
        lambda: subclass(type("Between", (ProviderContract,), {"collect": None})),
        "it defines collect: ",
    ),
    "a mixin": (
        lambda: type("TestIt", (type("Mixin", (), {"run": 1}), ProviderContract), {}),
        "it defines run: ",
    ),
    "no provider": (lambda: subclass(provider=None), "`provider` must be the provider's class"),
    "an instance": (
        lambda: subclass(provider=Minimal(api_key="x")),
        "`provider` must be the provider's class",
    ),
    "no info": (lambda: subclass(provider=object), "the provider's class has no `info: ClassVar"),
    "no emulator": (
        lambda: subclass(emulator=None),
        "`emulator` must be the class of an emulator: write one, and register it",
    ),
    "an unknown rule": (lambda: deviating("NUM-999"), "names NUM-999, and there is no such rule"),
    "declaration": (lambda: deviating("DEC-6"), "no deviation from that one is allowed"),
    "never twice": (lambda: deviating("TWICE-1"), "no deviation from that one is allowed"),
    "secrets": (lambda: deviating("SEC-1"), "no deviation from that one is allowed"),
    "lifecycle": (lambda: deviating("LIFE-1"), "no deviation from that one is allowed"),
    "property": (lambda: deviating("SEND-3"), "no deviation from that one is allowed"),
    "no reason": (lambda: deviating("NUM-1", Deviation("", "x")), "must be Deviation(reason, iss"),
    "no issue": (lambda: deviating("NUM-1", Deviation("x", "")), "must be Deviation(reason, iss"),
    "a text": (lambda: deviating("NUM-1", "because"), "must be Deviation(reason, issue)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_class_that_is_more_than_two_names_is_refused(name: str) -> None:
    """The class is not run at all, and its author reads why."""
    made, words = REFUSED[name]
    assert words in refusal(made())


def test_a_class_may_say_what_is_not_the_same_for_all() -> None:
    """The settings of a contract, also in a base class in between, and known deviations."""
    base = type("Between", (ProviderContract,), {"recipient": "+966500000000"})
    known = {"NUM-1": Deviation("why", "where")}
    assert "" == refusal(subclass(base, offer=("acme", "IR"), known_deviations=known))


def test_a_refused_class_is_an_error_of_collection(project: Project) -> None:
    """An error of pytest's names each such class, and runs nothing."""
    project.write(
        "test_it.py",
        """
        class TestMore(ProviderContract):
            provider = Minimal
            emulator = MinimalEmulator

            def test_more(self):
                pass

        @pytest.mark.skip
        class TestSkipped(ProviderContract):
            provider = Minimal
            emulator = MinimalEmulator
        """,
        HEAD,
    )
    ended = project.pytest()
    assert (2, []) == (ended.code, ended.verdicts)
    assert "TestMore: it defines test_more: a rule cannot be overridden" in ended.out
    assert "TestSkipped: it defines pytestmark" in ended.out


def test_the_emulator_may_say_it_instead() -> None:
    """`qasid contract` has no class of the author's: what it would say stands in the emulator's."""
    message = TextMessage(to="+966500000000", text="x")

    class Telling(MinimalEmulator):
        recipient = "+966500000000"
        sample_message = message
        provider = "not this"

        def offer(self) -> None: ...

    taken = subclass(emulator=Telling)
    assert ("+966500000000", message, Minimal) == (
        taken.recipient,
        taken.sample_message,
        taken.provider,
    )
    assert ProviderContract.offer == taken.offer
    assert "+98912" == subclass(emulator=Telling, recipient="+98912").recipient


def raising(statement: str) -> str:
    """The provider with a statement more in its hook."""
    return "import pytest\n" + GENEROUS.replace("told =", f"{statement}\n        told =")


# What a conftest may not do. A single rule is run, so that no verdict could be better
# than incomplete; that of a rule that is red must still be nonconformant.

ONLY: Final = ("-k", "MONEY-1")

SWALLOW: Final = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except Exception:
        return None
"""
INNER: Final = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome, report.longrepr = "passed", None
    return report
"""
SOFTENED: Final = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.wasxfail = "not so bad"
    return report
"""
INSTEAD: Final = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item, call):
    call.excinfo = None
    return pytest.TestReport.from_item_and_call(item, call)
"""


def marking(mark: str) -> str:
    """A conftest that puts a mark on every test."""
    return f"""
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.{mark})
"""


RED: Final = {
    "swallowing": SWALLOW,
    "patching": INNER,
    "outermost": INNER.replace("wrapper=True", "wrapper=True, tryfirst=True"),
    "softening": SOFTENED,
    "replacing": INSTEAD,
    "xfail": marking("xfail"),
    "xfail strict": marking("xfail(strict=True)"),
    "xfail without a run": marking("xfail(run=False)"),
    "skip": marking("skip"),
    "skipif": marking("skipif(True, reason='no time')"),
}


@pytest.mark.parametrize("name", RED)
def test_a_conftest_cannot_turn_red_into_green(project: Project, name: str) -> None:
    """Marks, patched reports and swallowed errors: what the rule came to is kept by the rule."""
    project.write("conftest.py", RED[name])
    project.write("test_it.py", BROKEN, HEAD)
    ended = project.pytest(*ONLY)
    assert (1, ["nonconformant"]) == (ended.code, ended.verdicts)
    assert {"failed"} == ended.statuses("MONEY-1")


@pytest.mark.parametrize("name", ["swallowing", "patching", "softening", "xfail", "skip"])
def test_pytest_counts_it_as_failed_too(project: Project, name: str) -> None:
    """In the terminal and in JUnit's XML it is a failure, with words, and not a skip."""
    project.write("conftest.py", RED[name])
    project.write("test_it.py", BROKEN, HEAD)
    ended = project.pytest(*ONLY)
    assert ended.cases["MONEY-1[plugged]"]["outcome"] in {"failure", "error"}
    assert re.search(r"(FAILED|ERROR) test_it\.py::TestBroken::MONEY-1\[plugged\]", ended.out)
    assert re.search(r"1 (failed|error)", ended.out)


@pytest.mark.parametrize("mark", ["skip", "xfail(run=False)"])
def test_a_rule_that_applies_cannot_be_skipped(project: Project, mark: str) -> None:
    """A mark makes a sound provider red, too: the rule was not run."""
    project.write("conftest.py", marking(mark))
    project.write("test_it.py", SOUND, HEAD)
    ended = project.pytest(*ONLY)
    assert (1, ["nonconformant"]) == (ended.code, ended.verdicts)
    assert "illegal_skip: it was skipped or marked" == ended.words("MONEY-1")


def test_marks_of_a_module_are_no_way_either(project: Project) -> None:
    """`pytestmark` in the module does not reach a rule."""
    project.write("test_it.py", "pytestmark = pytest.mark.skip\n" + SOUND, HEAD)
    assert ["nonconformant"] == project.pytest(*ONLY).verdicts


NOT_RUN: Final = {
    "deselected": """
        def pytest_collection_modifyitems(config, items):
            gone = [item for item in items if "MONEY" in item.name]
            config.hook.pytest_deselected(items=gone)
            items[:] = [item for item in items if item not in gone]
        """,
    "removed": """
        def pytest_collection_modifyitems(items):
            items.clear()
        """,
    "passed over": """
        def pytest_runtest_protocol(item):
            return True
        """,
    "not called": """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.runtest = lambda: None
        """,
}


@pytest.mark.parametrize("name", NOT_RUN)
def test_what_was_not_run_is_missed(project: Project, name: str) -> None:
    """A rule that a conftest leaves out is not run, and then the run is incomplete."""
    project.write("conftest.py", NOT_RUN[name])
    project.write("test_it.py", BROKEN, HEAD)
    ended = project.pytest("-k", "MONEY")
    assert (11, ["incomplete"]) == (ended.code, ended.verdicts)
    assert {"not run"} == ended.statuses("MONEY-1")


def test_a_hook_that_fails_before_a_rule_makes_it_red(project: Project) -> None:
    """A rule that could not be run has not passed, and what was in its way is told."""
    project.write("conftest.py", "def pytest_runtest_setup(item): raise OSError('disk is full')")
    project.write("test_it.py", SOUND, HEAD)
    ended = project.pytest(*ONLY)
    assert (1, ["nonconformant"]) == (ended.code, ended.verdicts)
    assert "disk is full" in ended.words("MONEY-1")


def test_a_selection_is_incomplete(project: Project) -> None:
    """With `-k` the verdict says that a subset was run, also when nothing at all was."""
    project.write("test_it.py", SOUND, HEAD)
    for chosen in ("MONEY-1", "nothing"):
        ended = project.pytest("-k", chosen)
        assert (11, ["incomplete"]) == (ended.code, ended.verdicts)


def test_a_run_that_stops_early_is_incomplete(project: Project) -> None:
    """With `-x` the rules after a failure are not run; the failure need not be the contract's."""
    project.write("test_before.py", "def test_before(): assert False")
    project.write("test_it.py", SOUND, HEAD)
    ended = project.pytest("-x")
    assert (1, ["incomplete"]) == (ended.code, ended.verdicts)


def test_a_stop_by_the_plugin_is_no_end(project: Project) -> None:
    """`pytest.exit` in a provider does not end the run with a code of its own choice."""
    project.write("generous.py", raising("pytest.exit('', 0)"))
    project.write("test_it.py", BROKEN, HEAD)
    ended = project.pytest(*ONLY)
    assert (1, ["nonconformant"]) == (ended.code, ended.verdicts)


def test_the_exit_code_needs_no_report(project: Project) -> None:
    """Plain `pytest` gives the verdict too."""
    project.write("test_it.py", SOUND, HEAD)
    ended = project.ended([sys.executable, "-m", "pytest", "-q", *ONLY])
    assert 11 == ended.code
    assert "verdict: incomplete" in ended.out


def test_looking_at_the_rules_is_no_run(project: Project) -> None:
    """`--collect-only`, as editors use it, gives no verdict."""
    project.write("test_it.py", SOUND, HEAD)
    ended = project.pytest("--collect-only", "-q")
    assert (0, []) == (ended.code, ended.verdicts)
    assert "test_it.py::TestSound::MONEY-1[plugged]" in ended.out
    assert "verdict" not in ended.out


def test_a_contract_is_not_scattered_over_processes(project: Project) -> None:
    """A worker of pytest-xdist sees some rules only; it says so instead of a wrong verdict."""
    project.write("conftest.py", "def pytest_configure(config): config.workerinput = {}")
    project.write("test_it.py", SOUND, HEAD)
    ended = project.pytest()
    assert 2 == ended.code
    assert "a verdict is made in one process: run it with `-n 0`" in ended.out


# What a provider or an emulator may not do.

SKIPS: Final = {"skip": "pytest.skip('later')", "xfail": "pytest.xfail('later')"}


@pytest.mark.parametrize("name", SKIPS)
def test_a_skip_in_a_provider_is_illegal(project: Project, name: str) -> None:
    """The provider's own code cannot skip the rule that is about it."""
    project.write("generous.py", raising(SKIPS[name]))
    project.write("test_it.py", BROKEN, HEAD)
    ended = project.pytest(*ONLY)
    assert (1, ["nonconformant"]) == (ended.code, ended.verdicts)
    assert "illegal_skip: the plugin's own code raised it (later)" == ended.words("MONEY-1")
    assert "failure" == ended.cases["MONEY-1[plugged]"]["outcome"]


@pytest.mark.parametrize("place", ["__attrs_post_init__", "answer", "fund"])
def test_a_skip_in_an_emulator_is_illegal(place: str) -> None:
    """Nor can the emulator's, wherever it is called."""

    def skipping(self: Any, *arguments: Any) -> Any:
        pytest.skip("later")

    broken = type("Skipping", (MinimalEmulator,), {place: skipping})
    if place == "__attrs_post_init__":
        broken = attrs.define(eq=False, kw_only=True)(broken)
    (rule,) = [rule for rule in all_rules() if rule.id == "MONEY-1"]
    told = run(mutation.contract(Minimal, broken), rule, Path.PLUGGED)
    if place == "__attrs_post_init__":  # then no account can be opened
        assert (Status.NOT_RUN, "not tried: DEC-2, DEC-3, DEC-4 is red") == (
            told.status,
            told.words,
        )
    else:
        assert told.words.startswith("illegal_skip")


# Known deviations.

DEVIATING: Final = """
class TestIt(ProviderContract):
    provider = {provider}
    emulator = MinimalEmulator
    examples = EXAMPLES
    known_deviations = {{"MONEY-1": Deviation("a float", "https://issues.example/7")}}
"""


def test_a_declared_deviation_makes_it_partial(project: Project) -> None:
    """Everything else is green, and what is red was declared: an expected failure, exit code 10."""
    project.write("test_it.py", DEVIATING.format(provider="Generous"), HEAD)
    ended = project.pytest()
    assert (10, ["partial"]) == (ended.code, ended.verdicts)
    assert {"deviation"} == ended.statuses("MONEY-1")
    assert {"passed", "not applicable", "deviation"} == ended.statuses()
    assert "declared: a float (https://issues.example/7)" in ended.out
    assert ("skipped", "deviation") == (
        ended.cases["MONEY-1[plugged]"]["outcome"],
        ended.cases["MONEY-1[plugged]"]["qasid_status"],
    )


def test_a_repaired_deviation_makes_it_red(project: Project) -> None:
    """A declaration that is not needed any more has to go."""
    project.write("test_it.py", DEVIATING.format(provider="Minimal"), HEAD)
    ended = project.pytest(*ONLY)
    assert (1, ["nonconformant"]) == (ended.code, ended.verdicts)
    words = "declared as a deviation, but it passes now: take the declaration out"
    assert words == ended.words("MONEY-1")
    assert words in ended.out


# Advisory rules.

ADVICE: Final = """
from qasid_contract.rulebook import Level, rule

@rule("MONEY-99", level=Level.ADVISORY)
def advice(case):
    \"\"\"A new rule is obeyed.

    Troubleshooting: obey it.
    \"\"\"
    assert case.clock.tick() == 1.5
"""


def test_an_advisory_rule_that_is_red_changes_nothing(project: Project) -> None:
    """A sound provider stays conformant: in the report, in the terminal and in the exit code.

    What does not apply is skipped with its reason, and what passed has no words.
    """
    project.write("conftest.py", ADVICE)
    project.write("test_it.py", SOUND, HEAD)
    ended = project.pytest()
    assert (0, ["conformant"]) == (ended.code, ended.verdicts)
    assert {"failed"} == ended.statuses("MONEY-99")
    assert "MONEY-99 [plugged] failed (advisory): A new rule is obeyed." in ended.out
    assert "verdict: conformant" in ended.out
    assert ("not applicable", "needs send") == (
        ended.statuses("SEND-1").pop(),
        ended.words("SEND-1"),
    )
    assert "skipped" == ended.cases["SEND-1[plugged]"]["outcome"]
    assert "" == ended.words("MONEY-1")


# Reports.


def test_two_classes_of_a_module_have_two_reports(project: Project) -> None:
    """Each provider has a section and a report of its own; the exit code is that of the worst."""
    project.write("test_it.py", SOUND + BROKEN, HEAD)
    ended = project.pytest(*ONLY)
    assert (1, ["incomplete", "nonconformant"]) == (ended.code, ended.verdicts)
    sections = re.findall(r"=+ qasid contract: (\S+) =+", ended.out)
    assert ["test_it.py::TestSound", "test_it.py::TestBroken"] == sections


def test_junit_xml_tells_rule_path_level_promise_and_status(project: Project) -> None:
    """A program that reads JUnit's XML need not parse the names of tests."""
    project.write("test_it.py", SOUND, HEAD)
    ended = project.pytest("-k", "FAIL-4 or SEND-1")
    (promise,) = [rule.promise for rule in all_rules() if rule.id == "FAIL-4"]
    told = {
        "qasid_rule": "FAIL-4",
        "qasid_path": "socket",
        "qasid_level": "core",
        "qasid_promise": promise,
        "qasid_status": "passed",
        "outcome": "passed",
    }
    assert told == ended.cases["FAIL-4[socket]"]
    assert "not applicable" == ended.cases["SEND-1[plugged]"]["qasid_status"]


def test_a_failure_shows_the_rule_and_nothing_of_pytest(project: Project) -> None:
    """The stranger sees the assertion with both its sides, where it stands, and what to do."""
    project.write("conftest.py", ADVICE)
    project.write("test_it.py", BROKEN, HEAD)
    out = project.pytest(*ONLY).out
    assert "assert told == due" in out
    assert "Differing attributes:" in out
    assert "read amounts with `take(body, key, Decimal)`" in out
    assert "rules/money.py:" in out
    assert "_pytest" not in out


def test_a_report_goes_into_a_folder_that_is_not_there_yet(project: Project) -> None:
    """A long run is not lost for want of a folder."""
    project.write("test_it.py", SOUND, HEAD)
    assert 11 == project.pytest(*ONLY, "--qasid-report", "not/yet/there.json").code
    assert (project.folder / "not" / "yet" / "there.json").exists()


def test_a_night_has_many_more_examples(project: Project) -> None:
    """`--qasid-nightly` lets a rule have new examples, and many more of them."""
    effort = "case.effort == __import__('qasid_contract.examples').examples.Effort({})"
    project.write("test_it.py", SOUND, HEAD)
    for words, expected in (([], "500"), (["--qasid-nightly"], "20_000, random=True")):
        check = effort.format(expected)
        project.write("conftest.py", ADVICE.replace("case.clock.tick() == 1.5", check))
        assert {"passed"} == project.pytest("-k", "MONEY-99", *words).statuses("MONEY-99")


# Clean-up.


def test_accounts_and_servers_are_closed_when_a_rule_fails() -> None:
    """Nothing that a rule opened outlives it."""
    opened: list[Any] = []

    def check(case: Case) -> None:
        account = case.account()
        account.balance()
        opened.append((account, account.provider.base_url))
        raise AssertionError("so")

    rule = attrs.evolve(all_rules()[0], id="NUM-999", check=check)
    assert Status.FAILED is run(mutation.Sound, rule, Path.SOCKET).status
    account, url = opened[0]
    with pytest.raises(QasidError, match="the account is closed"):
        account.balance()
    with pytest.raises(QasidError):
        account.acquire_number("acme", "SA")  # its book is closed
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)).close()


# Lightness.


TELLING: Final = """
import sys

def pytest_unconfigure():
    print("MODULES", *sorted(sys.modules))
"""


def imported_by(project: Project, *words: str) -> set[str]:
    """The modules that a run of pytest has imported at its end.

    Hypothesis has a plugin too, which imports the whole of it.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", *words]
    ended: Ended = project.ended(command)
    assert 0 == ended.code
    (line,) = [line for line in ended.out.splitlines() if line.startswith("MODULES ")]
    return {*line.split()[1:]}


def test_an_unrelated_run_of_pytest_is_not_burdened(project: Project) -> None:
    """Where no contract is tested, the plugin is one small module, and nothing comes with it."""
    project.write("conftest.py", TELLING)
    project.write("test_it.py", "def test_it(): pass")
    there = imported_by(project)
    assert not {name for name in there if name.partition(".")[0] in {"qasid", "hypothesis"}}
    without = imported_by(project, "-p", "no:qasid_contract")
    assert {"qasid_contract", "qasid_contract.pytest_plugin"} == there - without
