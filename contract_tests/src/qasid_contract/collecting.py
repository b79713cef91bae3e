"""How pytest sees a contract: a class whose tests are the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, Final

import attrs
import pytest

from qasid_contract import running
from qasid_contract.contract import ProviderContract
from qasid_contract.examples import Effort
from qasid_contract.rulebook import Level, Path, Rule
from qasid_contract.running import Result, Status
from qasid_contract.verdict import EXIT_CODES, Report, worst

__all__ = ["ContractClass", "RuleItem", "finish", "note", "reports"]

_NIGHTLY_EXAMPLES: Final = 20_000

_seen: Final = pytest.StashKey[dict[str, "Gathered"]]()


@attrs.define
class Gathered:
    """What is known of one class so far."""

    contract: type[ProviderContract]
    results: dict[tuple[str, Path], Result] = attrs.field(factory=dict)

    def report(self) -> Report:
        """The results of a full run; what was not run is there too."""
        plan = running.planned(self.contract)
        return Report(
            contract=self.contract,
            results=[self.results.get((r.id, p)) or _not_run(r, p) for r, p in plan],
        )


def _not_run(rule: Rule, path: Path) -> Result:
    return Result(rule=rule, path=path, status=Status.NOT_RUN)


class ContractClass(pytest.Collector):
    """A subclass of `ProviderContract`."""

    def __init__(self, *, contract: type[ProviderContract], **more: Any) -> None:
        super().__init__(**more)
        self.contract = contract

    def collect(self) -> Iterator[RuleItem]:
        """A test for each rule and path, unless the class may not be run."""
        problem = running.refusal(self.contract) or self._scattered()
        if problem:
            raise self.CollectError(f"{self.name}: {problem}")
        gathered = self.config.stash.setdefault(_seen, {})
        gathered[self.nodeid] = Gathered(self.contract)
        for rule, path in running.planned(self.contract):
            name = f"{rule.id}[{path.value}]"
            yield RuleItem.from_parent(self, name=name, rule=rule, path=path)

    def _scattered(self) -> str:
        # A process that has seen some of the rules would find them incomplete.
        distributed = hasattr(self.config, "workerinput")
        return "a verdict is made in one process: run it with `-n 0`" if distributed else ""


class RuleItem(pytest.Item):
    """One rule on one path. `result` is what came of it, whatever others make of the report."""

    parent: ContractClass

    def __init__(self, *, rule: Rule, path: Path, **more: Any) -> None:
        super().__init__(**more)
        self.rule = rule
        self.way = path
        self.result: Result | None = None
        self.user_properties += [
            ("qasid_rule", rule.id),
            ("qasid_path", path.value),
            ("qasid_level", rule.level.value),
            ("qasid_promise", rule.promise),
        ]

    def runtest(self) -> None:
        """Run the rule, or skip it with the reason."""
        nightly = self.config.getoption("--qasid-nightly")
        effort = Effort(_NIGHTLY_EXAMPLES, random=True) if nightly else Effort()
        result = running.run(self.parent.contract, self.rule, self.way, effort)
        self.result = result
        if result.status in {Status.NOT_APPLICABLE, Status.NOT_RUN}:
            pytest.skip(result.words)
        if isinstance(result.error, Exception):
            raise result.error
        if result.status is Status.FAILED:
            pytest.fail(result.words, pytrace=False)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The failure from the rule on: how pytest came there helps nobody."""
        code = self.rule.check.__code__
        inner = excinfo.traceback.cut(path=running.__file__)
        excinfo.traceback = inner.cut(path=code.co_filename)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[FilePath, int, str]:
        """Where the rule is written; lines are counted from 0."""
        code = self.rule.check.__code__
        return FilePath(code.co_filename), code.co_firstlineno - 1, self.name


_RED: Final = frozenset({Status.FAILED, Status.DEVIATION})


def note(item: RuleItem, report: pytest.TestReport) -> None:
    """Enter what came of a rule; `report` is put right where somebody meddled with it."""
    result = item.result if report.when == "call" else None
    if result is None and report.passed:
        return  # set-up and tear-down
    if result is None or (report.failed and result.status not in _RED):
        result = _hindered(item, report)
    _correct(report, result, item.parent.contract)
    item.user_properties.append(("qasid_status", result.status.value))
    gathered = item.config.stash[_seen][item.parent.nodeid]
    gathered.results[item.rule.id, item.way] = result


def _hindered(item: RuleItem, report: pytest.TestReport) -> Result:
    """Somebody else's doing: a mark, a hook of a conftest, a warning that is an error."""
    words = "illegal_skip: it was skipped or marked" if report.skipped else _crash(report)
    return Result(rule=item.rule, path=item.way, status=Status.FAILED, words=words)


def _crash(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else report.longreprtext


def _correct(report: pytest.TestReport, result: Result, contract: type[ProviderContract]) -> None:
    if result.status is Status.DEVIATION:
        known = contract.known_deviations[result.rule.id]
        _expect(report, f"known deviation: {known.reason} ({known.issue})")
    elif result.status is Status.FAILED and result.rule.level is Level.ADVISORY:
        _expect(report, f"advisory: {result.words}")
    elif result.status is Status.FAILED:
        _fail(report, result)


def _expect(report: pytest.TestReport, reason: str) -> None:
    report.outcome = "skipped"
    report.wasxfail = reason


def _fail(report: pytest.TestReport, result: Result) -> None:
    if not report.failed:
        report.longrepr = result.words
    report.outcome = "failed"
    vars(report).pop("wasxfail", None)  # pytest would not count it as failed
    report.sections.append(("what to do", result.rule.troubleshooting))


def reports(config: pytest.Config) -> dict[str, Report]:
    """The report on each contract class of this run, if anything was to be run."""
    if config.getoption("collectonly"):
        return {}
    return {node: found.report() for node, found in config.stash.get(_seen, {}).items()}


def finish(session: pytest.Session) -> None:
    """Write the JSON report; where nothing failed, the exit code tells the worst verdict."""
    found = reports(session.config)
    if not found:
        return
    target = session.config.getoption("--qasid-report")
    if target:
        _write(FilePath(target), [*found.values()])
    if session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        session.exitstatus = EXIT_CODES[worst(report.verdict for report in found.values())]


def _write(target: FilePath, found: list[Report]) -> None:
    documents = [report.as_json() for report in found]
    text = json.dumps({"reports": documents}, ensure_ascii=False, indent=2)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text + "\n", encoding="utf-8")
