"""The pages' code is really run, and a wrong page is really refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from sybil.example import SybilFailure

import blocks


def run(folder: Path, text: str) -> int:
    """Write a page, run it as pytest would, and give the number of its blocks."""
    page = folder / "page.md"
    page.write_text(text, "utf-8")
    sybil = blocks.pages("*.md")
    document = sybil.parse(page)
    blocks.enter(document.namespace)
    try:
        examples = list(document.examples())
        for example in examples:
            example.evaluate()
    finally:
        blocks.leave(document.namespace)
    return len(examples)


def fenced(language: str, *lines: str) -> str:
    """A code block."""
    return "\n".join([f"```{language}", *lines, "```", ""])


@pytest.mark.parametrize(
    "block",
    [
        fenced("python", "a = 1"),
        fenced("console", "$ echo one two", "one two"),
        fenced("console", "$ echo one two", "one ..."),
        fenced("console", "$ echo one \\", "  two", "one two"),
        fenced("console", "$ echo one", "one", "$ echo two >&2", "two"),
        fenced("console", "$ pwd; ls -A", ".../work"),
        fenced("toml", "a = 1"),
        fenced("json", '{"a": 1}'),
        fenced("bash", "pip install qasid"),
        fenced("text", "anything"),
    ],
)
def test_a_right_block_passes(tmp_path: Path, block: str) -> None:
    """A block that is as it should be is no error, whatever its kind."""
    assert (0 if "text" in block else 1) == run(tmp_path, block)


@pytest.mark.parametrize(
    "block",
    [
        fenced("console", "$ echo one", "two"),
        fenced("console", "$ echo one", "one", "$ echo two", "one"),
        fenced("console", "$ echo one"),
        fenced("console", "$ false"),
        fenced("console", "echo one"),
        fenced("toml", "a ="),
        fenced("json", "{'a': 1}"),
        fenced("bash", "qasid providers"),
        fenced("", "no language"),
        fenced("yaml", "a: 1"),
    ],
)
def test_a_wrong_block_fails(tmp_path: Path, block: str) -> None:
    """Output that differs, data that cannot be read, and what would not be run are errors."""
    with pytest.raises(SybilFailure):
        run(tmp_path, block)


def test_an_exception_in_python_fails(tmp_path: Path) -> None:
    """An assertion of a page is one of the test run."""
    with pytest.raises(AssertionError):
        run(tmp_path, fenced("python", "assert 1 == 2"))


def test_the_blocks_of_a_page_share_their_names(tmp_path: Path) -> None:
    """What one block binds, hidden ones included, the next one sees."""
    hidden = "% invisible-code-block: python\n% a = 1\n\n"
    assert 2 == run(tmp_path, hidden + fenced("python", "assert a == 1"))


def test_a_page_has_no_settings_of_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the home nor the environment of whoever runs the tests is seen by a page."""
    monkeypatch.setenv("QASID_SMSARAB_API_KEY", "mine")
    shown = fenced("console", '$ echo "[$QASID_SMSARAB_API_KEY]"; ls -A "$HOME"', "[]", "work")
    assert 1 == run(tmp_path, shown)
