"""A stranger's project: its own folder and its own pytest, which knows nothing of this one's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import attrs

__all__ = ["GENEROUS", "HEAD", "Ended", "Project"]

#: What a test module of the project begins with.
HEAD: Final = """
import pytest
from generous import Generous
from qasid_contract import Deviation, ProviderContract
from qasid_contract.reference import Minimal
from qasid_contract.reference_emulator import MinimalEmulator

EXAMPLES = "qasid_contract.reference_examples.minimal"
"""

#: A provider with one mistake: its balance is a float, which MONEY-1 finds.
GENEROUS: Final = """
import attrs
from qasid.hookspecs import hookimpl
from qasid.values import Money
from qasid_contract.reference import Minimal

@attrs.frozen(eq=False, kw_only=True)
class Generous(Minimal):
    @hookimpl
    def balance(self):
        told = yield from Minimal.balance(self)
        return Money(str(float(told.amount)), told.currency)
"""


@attrs.frozen(kw_only=True)
class Ended:
    """A run that has ended."""

    code: int
    out: str
    documents: list[dict[str, Any]]
    cases: Mapping[str, dict[str, str]]

    @property
    def verdicts(self) -> list[str]:
        """The verdict of each report."""
        return [document["verdict"] for document in self.documents]

    def statuses(self, *rules: str) -> set[str]:
        """What came of these rules, or of every one, in the first report."""
        results = self.documents[0]["results"]
        return {one["status"] for one in results if not rules or one["rule"] in rules}

    def words(self, rule: str) -> str:
        """The words of a rule in the first report."""
        results = self.documents[0]["results"]
        (words,) = {str(one["words"]) for one in results if one["rule"] == rule}
        return words


@attrs.frozen
class Project:
    """The folder, and how things are run in it."""

    folder: Path

    def __attrs_post_init__(self) -> None:
        self.write("generous.py", GENEROUS)
        self.write("pytest.ini", "[pytest]\n")  # or it would be part of a project around it

    def write(self, name: str, text: str, head: str = "") -> None:
        """Write a file."""
        self.folder.joinpath(name).write_text(head + textwrap.dedent(text), "utf-8")

    def pytest(self, *words: str) -> Ended:
        """Run its tests, and read both reports."""
        told = "--qasid-report", "report.json", "--junit-xml", "report.xml"
        plain = "-W", "error", "-p", "no:cacheprovider", "-rA", "--color=no"
        return self.ended([sys.executable, "-m", "pytest", *plain, *told, *words])

    def qasid(self, *words: str, **variables: str) -> Ended:
        """Run `qasid contract`; what is in the folder `installed` counts as installed."""
        command = [sys.executable, "-P", "-m", "qasid.cli", "contract", "--report", "report.json"]
        return self.ended([*command, *words], **variables)

    def ended(self, command: list[str], **variables: str) -> Ended:
        """Run a command to its end."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "QASID_"))}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(self.folder / "installed"), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(
            code=done.returncode,
            out=done.stdout + done.stderr,
            documents=_documents(self.folder / "report.json"),
            cases=_cases(self.folder / "report.xml"),
        )


def _documents(report: Path) -> list[dict[str, Any]]:
    if not report.exists():
        return []
    found: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["reports"]
    return found


def _cases(report: Path) -> dict[str, dict[str, str]]:
    """For each test its properties, and as `outcome` the tag that is in it."""
    if not report.exists():
        return {}
    cases = ElementTree.parse(report).iter("testcase")
    return {case.attrib["name"]: {**_properties(case), "outcome": _outcome(case)} for case in cases}


def _properties(case: ElementTree.Element) -> dict[str, str]:
    return {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}


def _outcome(case: ElementTree.Element) -> str:
    tags = [part.tag for part in case if part.tag in {"failure", "error", "skipped"}]
    return tags[0] if tags else "passed"
