"""`qasid contract`: the same verdict as anybody's pytest, from any folder, of what is installed."""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import Final

import pytest
from click.testing import CliRunner, Result
from project import GENEROUS, HEAD, Ended, Project

from qasid import finding
from qasid.errors import ProviderNotFound
from qasid_contract import commands, suite
from qasid_contract.contract import ProviderContract

#: The emulator's class says what an author's class would: there is no class here.
EMULATOR: Final = """
from qasid_contract import Deviation
from qasid_contract.reference_emulator import MinimalEmulator

class Sound(MinimalEmulator):
    examples = "qasid_contract.reference_examples.minimal"

class Declared(Sound):
    known_deviations = {"MONEY-1": Deviation("a float", "https://issues.example/7")}
"""

METADATA: Final = "installed/strangers-1.0.dist-info/METADATA"
ENTRY_POINTS: Final = "installed/strangers-1.0.dist-info/entry_points.txt"
POINTS: Final = """\
[qasid.providers]
tidy = tidy:Minimal
generous = generous:Generous
declared = generous:Generous
alone = generous:Generous

[qasid.emulators]
tidy = emulators:Sound
generous = emulators:Sound
declared = emulators:Declared
"""

#: A project's settings and conftest that would talk everything green.
CONFTEST: Final = """
import pytest

def pytest_collection_modifyitems(items):
    items[:] = items[:1]
"""


@pytest.fixture
def project(tmp_path: FilePath) -> Project:
    """A project, and some providers that are installed as a distribution."""
    made = Project(tmp_path)
    (tmp_path / "installed" / "strangers-1.0.dist-info").mkdir(parents=True)
    made.write(METADATA, "Name: strangers\nVersion: 1.0\n")
    made.write(ENTRY_POINTS, POINTS)
    made.write("installed/tidy.py", "from qasid_contract.reference import Minimal")
    made.write("installed/generous.py", GENEROUS)
    made.write("installed/emulators.py", EMULATOR)
    return made


# Verdicts.


@pytest.mark.parametrize(
    ("name", "provider", "more", "code", "verdict"),
    [
        ("tidy", "Minimal", "", 0, "conformant"),
        ("declared", "Generous", "known_deviations = Declared.known_deviations", 10, "partial"),
    ],
)
def test_the_verdict_is_that_of_pytest(
    project: Project, name: str, provider: str, more: str, code: int, verdict: str
) -> None:
    """The same report, byte for byte, the same exit code, whichever way it is run."""
    alone: Ended = project.qasid(name)
    assert (code, [verdict]) == (alone.code, alone.verdicts)
    assert f"verdict: {verdict}" in alone.out
    project.write(
        "test_it.py",
        f"""
        from emulators import Declared

        class TestIt(ProviderContract):
            provider = {provider}
            emulator = MinimalEmulator
            examples = EXAMPLES
            {more}
        """,
        HEAD,
    )
    ended = project.pytest()
    assert (alone.code, alone.documents) == (ended.code, ended.documents)


def test_what_is_red_is_nonconformant(project: Project) -> None:
    """Exit code 1, with the rule, its words and what to do; and assertions are taken apart."""
    ended = project.qasid("generous", "-k", "MONEY-1")
    assert (1, ["nonconformant"]) == (ended.code, ended.verdicts)
    assert "MONEY-1 [plugged] failed: The balance is the account's credit" in ended.out
    assert "Differing attributes:" in ended.out
    assert "what to do: read amounts with `take(body, key, Decimal)`" in ended.out


def test_a_subset_is_incomplete(project: Project) -> None:
    """Pytest's own options work, and do not make the verdict better; nor does a relative path."""
    ended = project.qasid("tidy", "-ra", "-k", "MONEY-1", "--junit-xml", "report.xml")
    assert (11, ["incomplete"]) == (ended.code, ended.verdicts)
    assert "passed" == ended.cases["MONEY-1[plugged]"]["outcome"]


def test_several_providers_are_as_good_as_the_worst(project: Project) -> None:
    """Each has a report of its own, and the exit code is that of the worst."""
    ended = project.qasid("tidy", "generous", "-k", "MONEY-1")
    assert (1, ["incomplete", "nonconformant"]) == (ended.code, ended.verdicts)


def test_a_project_cannot_talk_it_away(project: Project) -> None:
    """No conftest, settings, variables or plugins of the folder where it is run are heard."""
    project.write("conftest.py", CONFTEST)
    project.write("pytest.ini", "[pytest]\naddopts = -k nothing --no-such-option\n")
    project.write("pytest.py", "raise SystemExit(0)")
    project.write("installed/meddling.py", CONFTEST)
    project.write(ENTRY_POINTS, f"{POINTS}\n[pytest11]\nmeddling = meddling\n")
    variables = {"PYTEST_ADDOPTS": "-k nothing", "PYTEST_PLUGINS": "meddling"}
    ended = project.qasid("tidy", "-k", "MONEY-1 or DEC", **variables)
    assert 11 == ended.code
    assert {"passed"} == ended.statuses("MONEY-1")
    assert {"passed"} == ended.statuses("DEC-1")


def test_a_night_is_asked_for(project: Project) -> None:
    """`--nightly` is handed on."""
    ended = project.qasid("tidy", "--nightly", "-k", "MONEY-1")
    assert {"passed"} == ended.statuses("MONEY-1")


def test_a_name_that_is_not_installed_is_refused(project: Project) -> None:
    """Nothing is run; the exit codes are those of `qasid`: 4, nothing of that name."""
    for name, words in (
        ("nobody", "no provider 'nobody' is installed"),
        ("alone", "no emulator 'alone' is installed"),
    ):
        ended = project.qasid(name)
        assert (4, []) == (ended.code, ended.documents)
        assert words in ended.out


def test_nothing_is_left_behind(project: Project) -> None:
    """The folder where it is run holds the report, and nothing else that is new."""
    before = {*project.folder.iterdir()}
    project.qasid("sandbox", "-k", "OTP-5")  # a rule with examples
    assert {project.folder / "report.json"} == {*project.folder.iterdir()} - before


# How it is called.


def called(*words: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(commands.contract, words)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "Missing argument 'NAME...'"),
        ("-k NUM sandbox", "the names of providers come first, and pytest's options after them"),
        ("sandbox --account work", "--account, --spend-cap and --recipient go with --live"),
        ("sandbox --live --spent-cap 1", "No such option '--spent-cap'"),
        ("sandbox smsarab --live", "with --live give one provider at a time"),
    ],
)
def test_a_wrong_use_is_refused(words: str, problem: str) -> None:
    """Before anything is run it is said what is wrong."""
    ended = called(*words.split())
    assert 2 == ended.exit_code
    assert problem in ended.output


def test_the_suite_holds_the_classes_that_are_asked_for() -> None:
    """For each name a contract is made of what is installed under it."""
    made = suite.contract_of("sandbox")
    assert issubclass(made, ProviderContract)
    assert ("Test_sandbox", finding.provider("sandbox"), finding.emulator("sandbox")) == (
        made.__name__,
        made.provider,
        made.emulator,
    )
    with pytest.raises(ProviderNotFound):
        suite.contract_of("nobody")


def test_the_public_names_are_found_late() -> None:
    """The package has two names; they are imported when they are asked for."""
    import qasid_contract
    from qasid_contract.contract import Deviation

    assert (ProviderContract, Deviation) == (
        qasid_contract.ProviderContract,
        qasid_contract.Deviation,
    )
    with pytest.raises(AttributeError, match="has no attribute 'Provider'"):
        qasid_contract.Provider  # noqa: B018


def test_a_report_is_json_that_people_can_read(project: Project) -> None:
    """Letters are written as they are, and the file ends with a line's end."""
    project.qasid("tidy", "-k", "MONEY-1")
    text = (project.folder / "report.json").read_text("utf-8")
    assert json.dumps(json.loads(text), ensure_ascii=False, indent=2) + "\n" == text
