"""Sphinx's settings. Some pages are written from the code first: see `generation.py`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generation  # noqa: E402 - it lies beside this file, which Sphinx does not put on the path
from qasid import errors, hookspecs  # noqa: E402
from qasid._version import VERSION  # noqa: E402
from qasid.cli.exits import EXIT_CODES  # noqa: E402
from qasid.cli.running import group  # noqa: E402
from qasid_contract.rulebook import FAMILIES, all_rules  # noqa: E402

project = "Qasid"
author = "The Qasid authors"
copyright = f"2026, {author}"
version = release = VERSION

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated", "benchmarks", "tests"]

html_theme = "furo"
html_title = f"Qasid {VERSION}"

autodoc_member_order = "bysource"
autodoc_typehints = "description"

nitpicky = True
nitpick_ignore_regex = [
    # Other projects' names, which are known only where their index can be fetched.
    ("py:.*", r"(attrs?|click|collections|datetime|decimal|enum|pluggy|pytest|typing)\..*"),
    ("py:.*", r"(Any|Callable|Decimal|Generator|Iterable|Iterator|Mapping|Sequence|T|timedelta)"),
]

PAGES = HERE / "_generated"
generation.write(PAGES / "errors.md", generation.error_page(errors.QasidError, EXIT_CODES))
generation.write(PAGES / "cli.md", generation.command_page(group, "qasid"))
generation.write(PAGES / "rules.md", generation.rule_page(all_rules(), FAMILIES))
generation.write(PAGES / "speed.md", generation.speed_page(HERE / "benchmarks"))
generation.write(PAGES / "hooks.md", generation.hook_page(hookspecs.HOOKS, vars(hookspecs)))
