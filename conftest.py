"""The pages whose code is run: see `docs/blocks.py`. And patience: the machine may be busy."""

from __future__ import annotations

import hypothesis
import pytest

from blocks import pages

hypothesis.settings.register_profile("patient", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("patient")

pytest_collect_file = pages("README.md", "docs/*.md", "docs/*/*.md").pytest()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what a run leaves out: it is not to be taken for done."""
    if config.getoption("markexpr").strip() == "not services":
        terminalreporter.write_line("not run: the tests that need a server; nox -s services")
