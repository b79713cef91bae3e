"""The tutorial's parts are put where its reader would put them."""

from __future__ import annotations

from pathlib import Path

import pytest

import walkthrough
from walkthrough import Walk, merged

SOURCE = '''"""A module."""

import json

from acme.values import Offer

LIMIT = 1


class Refused(Exception):
    """No."""


class Shop:
    """Sells."""

    name = "shop"

    # Tells.
    def tell(self) -> str:
        return json.dumps(self._price())

    def _price(self) -> int:
        return LIMIT


def price(offer: Offer) -> int:
    return 1
'''


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("LIMIT = 2\n", "LIMIT = 1\n", "LIMIT = 2\n"),
        ("from acme.values import A, Offer\n", "import Offer\n", "import A, Offer\n"),
        ("def price(offer: Offer) -> int:\n    return 2\n", "return 1\n", "return 2\n"),
    ],
    ids=["a table", "an import", "a function"],
)
def test_what_is_there_is_replaced(part: str, old: str, new: str) -> None:
    """The same name, or the same module to import from, has one place."""
    assert SOURCE.replace(old, new) == merged(SOURCE, part)


MEMBERS = """
class Shop:
    name = "kiosk"

    # Says.
    def tell(self) -> str:
        return "nothing"
"""


def test_members_that_are_there_are_replaced() -> None:
    """With the comment above them; the rest of the class stays."""
    expected = SOURCE.replace('"shop"', '"kiosk"').replace("Tells.", "Says.")
    expected = expected.replace("json.dumps(self._price())", '"nothing"')
    assert expected == merged(SOURCE, MEMBERS)


@pytest.mark.parametrize(
    ("part", "after"),
    [
        ("import re\n", "import json\n"),
        ("from acme.reading import take\n", "import Offer\n"),
        ("LIFE = 15\n", "LIMIT = 1\n"),
        ("\n\n@decorated\nclass Number:\n    id: str\n", "return LIMIT\n"),
        ("\n\ndef cost() -> int:\n    return 2\n", "return 1\n"),
        ("\n\ndef _cost() -> int:\n    return 2\n", "return 1\n"),
    ],
    ids=["import", "from", "assignment", "class", "function", "private function"],
)
def test_what_is_new_follows_its_like(part: str, after: str) -> None:
    """Imports stand with imports, tables with tables, functions with functions."""
    assert SOURCE.replace(after, after + part) == merged(SOURCE, part)


def test_new_members_follow_their_like() -> None:
    """Public methods with public ones, private with private; no class is written twice."""
    said = "    @hook\n    def sell(self) -> None: ...\n"
    own = "    def _cost(self) -> int:\n        return 2\n"
    expected = SOURCE.replace("_price())\n", f"_price())\n\n{said}")
    expected = expected.replace("return LIMIT\n", f"return LIMIT\n\n{own}")
    assert expected == merged(SOURCE, f"class Shop:\n{said}\n{own}")


PAGE = """
# A page

## One

```{code-block} py
:caption: src/a.py

A = 2
```

## Two

```python
B = 3
```

## Three

```{code-block} json
:caption: src/b.json

[]
```
"""


@pytest.fixture
def walk(tmp_path: Path) -> Walk:
    page = tmp_path / "page.md"
    page.write_text(PAGE, "utf-8")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("A = 1\n", "utf-8")
    return Walk(tmp_path, page)


def test_a_walk_writes_what_the_sections_say(walk: Walk, tmp_path: Path) -> None:
    """Python is merged, any other file is written whole; then the walk is over."""
    walk.through("One")
    assert "A = 2\n" == (tmp_path / "src" / "a.py").read_text("utf-8")
    assert not walk.is_over
    walk.to_the_end()
    assert "[]\n" == (tmp_path / "src" / "b.json").read_text("utf-8")
    assert walk.is_over


@pytest.mark.parametrize("section", ["Two", "Four"])
def test_only_a_section_that_has_parts_can_be_walked(walk: Walk, section: str) -> None:
    """A page that misspells its own heading is found out."""
    with pytest.raises(KeyError):
        walk.through(section)


def test_registration_is_what_an_installation_tells(tmp_path: Path) -> None:
    """The name, the version and the entry points of the project stand in its metadata."""
    about = '[project]\nname = "qasid-a"\nversion = "1.0"\n[project.entry-points."g"]\na = "m:A"\n'
    (tmp_path / "pyproject.toml").write_text(about, "utf-8")
    (tmp_path / "src").mkdir()
    metadata = walkthrough.register(tmp_path) / "qasid_a-1.0.dist-info"
    assert "[g]\na = m:A\n" == (metadata / "entry_points.txt").read_text("utf-8")
    assert "\nName: qasid-a\nVersion: 1.0\n" in (metadata / "METADATA").read_text("utf-8")
