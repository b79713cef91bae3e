"""The pytest plugin. It stays light: qasid and hypothesis are imported when they are needed."""

from __future__ import annotations

import sys
from typing import Any

import pytest

pytest.register_assert_rewrite("qasid_contract.rules")

CONTRACT = "qasid_contract.contract"

#: The names that `qasid_contract.suite` makes its classes of.
asked_for: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a contract run."""
    options = parser.getgroup("qasid contract")
    options.addoption("--qasid-report", metavar="FILE", help="write the verdicts as JSON")
    options.addoption(
        "--qasid-provider",
        metavar="NAME",
        action="append",
        default=[],
        help="an installed provider, for `pytest --pyargs qasid_contract.suite`",
    )
    options.addoption(
        "--qasid-nightly", action="store_true", help="many more examples, new ones each time"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell the suite which providers are asked for."""
    asked_for[:] = config.getoption("--qasid-provider")


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> Any:
    """Turn a subclass of `ProviderContract` into the tests of its rules."""
    module = sys.modules.get(CONTRACT)
    if module is None or not isinstance(obj, type):
        return None
    base = module.ProviderContract
    if not issubclass(obj, base) or obj is base:
        return None
    from qasid_contract.collecting import ContractClass

    return ContractClass.from_parent(collector, name=name, contract=obj)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep what came of a rule; a skip or an expected failure that is not ours is a failure."""
    report = yield
    collecting = sys.modules.get("qasid_contract.collecting")
    if collecting is not None and isinstance(item, collecting.RuleItem):
        collecting.note(item, report)
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """A section for each provider, the verdict last."""
    collecting = sys.modules.get("qasid_contract.collecting")
    if collecting is None:
        return
    for node, report in collecting.reports(config).items():
        terminalreporter.section(f"qasid contract: {node.removeprefix('::')}")
        for line in report.lines():
            terminalreporter.line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the JSON report, and let the exit code tell the verdict."""
    collecting = sys.modules.get("qasid_contract.collecting")
    if collecting is not None:
        collecting.finish(session)
