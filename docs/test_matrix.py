"""The tables that stand in pages written by people are those that the code gives."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import generation
from qasid import events, finding
from qasid.cli.exits import EXIT_CODES
from qasid.errors import Outcome, QasidError
from qasid.events import EVENTS
from qasid.hookspecs import HOOKS
from qasid.routing.rules import RULES, goes_on
from qasid.routing.tables import FIELDS
from qasid.settings import Options

ROOT = Path(__file__).parents[1]
PROJECTS = "plugins/*/pyproject.toml"


def matrix() -> str:
    """The matrix of the providers that have a page here, from the contract's reports on them."""
    names = sorted(page.stem for page in (ROOT / "docs" / "providers").glob("*.md"))
    return generation.matrix({name: report(name) for name in names}, HOOKS)


def report(name: str) -> Any:
    """What the contract found, as `nox -s contract` keeps it."""
    text = (ROOT / "docs" / "reports" / f"{name}.json").read_text("utf-8")
    return json.loads(text)["reports"][0]


def rules() -> str:
    """What a route does after each error of the tree."""

    def told(error: QasidError) -> tuple[bool, str]:
        return goes_on(error, repeat_unknown=False), events.event_name(error)

    return generation.rule_table(RULES, QasidError, [*Outcome], told)


@pytest.mark.parametrize(
    ("page", "name", "made"),
    [
        ("README.md", "matrix", matrix),
        ("docs/cli.md", "exit codes", lambda: generation.exit_table(EXIT_CODES)),
        ("docs/settings.md", "options", lambda: generation.option_table(Options)),
        ("docs/settings.md", "routes", lambda: generation.route_table(FIELDS)),
        ("docs/routing.md", "rules", rules),
        ("docs/events.md", "events", lambda: generation.event_table(EVENTS, vars(events))),
    ],
)
def test_a_table_in_a_page_is_what_the_code_gives(
    page: str, name: str, made: Callable[[], str]
) -> None:
    """A table that is stale fails; what should stand there is in the message."""
    text = (ROOT / page).read_text("utf-8")
    content = made()
    fresh = generation.marked(text, name, content)
    assert fresh == text, f"{page}: between the marks of {name!r} put\n\n{content}\n"


@pytest.mark.parametrize("name", sorted(finding.installed()))
def test_a_report_is_on_the_provider_as_it_is_now(name: str) -> None:
    """A provider that can more or less than its report says was not proven as it is."""
    if (ROOT / "plugins" / name).exists():
        support = finding.provider(name).info.supports
        real = {h: {"level": support(h).level.value, "note": support(h).note} for h in HOOKS}
        assert real == report(name)["provider"]["support"]


def test_a_page_without_the_marks_is_refused() -> None:
    """A table cannot be lost by taking its marks away."""
    with pytest.raises(ValueError, match="marks of 'matrix'"):
        generation.marked("no marks", "matrix", "table")


def test_only_what_is_between_the_marks_is_replaced() -> None:
    """All else of the page stays, and a fresh table is the same again."""
    fresh = generation.marked("a\n<!-- t -->\nold\n<!-- /t -->\nb", "t", "new")
    assert fresh == "a\n<!-- t -->\n\nnew\n\n<!-- /t -->\nb"
    assert generation.marked(fresh, "t", "new") == fresh


def test_each_provider_has_a_page() -> None:
    """A provider of this repository without a page would be missing from the matrix."""
    projects = {path.parent.name: path.read_text("utf-8") for path in ROOT.glob(PROJECTS)}
    providers = {name for name, text in projects.items() if is_provider(tomllib.loads(text))}
    pages = {page.stem for page in (ROOT / "docs" / "providers").glob("*.md")}
    assert providers == pages


def is_provider(project: dict[str, Any]) -> bool:
    """Whether a plugin says so; another one may listen to all of them."""
    return "qasid.providers" in project["project"].get("entry-points", {})
