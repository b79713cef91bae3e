"""The pages that are written from the code say what the code says."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import click

import generation


class RootError(Exception):
    """Everything. And a second sentence."""


class FirstError(RootError):
    """The ``first`` of | them.

    More of it.
    """

    default_outcome: ClassVar[None] = None


class ChildError(FirstError):
    """A child."""


class LastError(RootError):
    """The last."""


def test_the_tree_is_drawn_with_parents_first() -> None:
    """Each error stands below what it is made from."""
    drawn = ["RootError", "├── FirstError", "│   └── ChildError", "└── LastError"]
    assert drawn == list(generation.tree(RootError))


def test_an_error_has_the_exit_code_of_its_nearest_parent() -> None:
    """A table of a few errors gives every error its code."""
    page = generation.error_page(RootError, {RootError: 1, FirstError: 3})
    assert "| `ChildError` | `FirstError` | A child. | depends on what had been sent | 3 |" in page


def test_a_cell_cannot_break_its_table() -> None:
    """A bar in a docstring stays in its cell, and reST's quotes become Markdown's."""
    assert "| The `first` of \\| them. |" in generation.error_page(RootError, {})


@click.group()
def program() -> None:
    """Do things."""


@program.command(hidden=True)
def secret() -> None:
    """Not shown."""


@program.command()
@click.option("--loud", is_flag=True, help="Say it loudly.")
@click.argument("word")
def say(word: str, loud: bool) -> None:
    """Say a word."""


def test_every_visible_command_is_shown_with_its_options() -> None:
    """The page has a section for each command, and none for a hidden one."""
    page = generation.command_page(program, "tool")
    assert "## `tool`" in page
    assert "### `tool say`\n\n```text\ntool say [OPTIONS] WORD\n```\n\nSay a word." in page
    assert "| `--loud` | Say it loudly. |" in page
    assert "secret" not in page


def test_lines_of_help_that_stay_as_they_are_become_a_block() -> None:
    """Markdown would join them; the paragraphs around them are text."""
    program = click.Group("tool", help="Two ways.\n\n\b\ntool one\ntool two\n\nThat is all.")
    page = generation.command_page(program, "tool")
    assert "Two ways.\n\n```text\ntool one\ntool two\n```\n\nThat is all.\n" in page


def balance(credential: str) -> int:
    """Tell it.

    In ``money``.
    """
    raise AssertionError(credential)


def test_every_hook_is_shown_with_its_signature() -> None:
    """The page has what each hook takes and gives, and its whole docstring."""
    page = generation.hook_page(["balance"], {"__doc__": "All hooks.", "balance": balance})
    assert "## `balance`\n\n```text\nbalance(credential: str) -> int\n```\n\n" in page
    assert page.endswith("\n\nTell it.\n\nIn `money`.\n")


def test_an_unchanged_page_is_not_written_again(tmp_path: Path) -> None:
    """Sphinx reads a page again when it is newer, so it only is when it differs."""
    page = tmp_path / "made" / "page.md"
    generation.write(page, "one")
    page.chmod(0o400)
    before = page.stat().st_mtime_ns
    generation.write(page, "one")
    assert before == page.stat().st_mtime_ns
