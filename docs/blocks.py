"""The code blocks of the Markdown pages, run by pytest.

| block | what becomes of it |
|---|---|
| `python` | is run; the blocks of a page share one namespace |
| `console` | each line that begins with ``$ `` is run, and what it prints is compared |
| `toml`, `json` | is parsed |
| `bash` | is not run, and so may only install things and call nox |
| `text` | is left alone; a block of any other language is refused |

Each page has an empty folder to work in and an empty home.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

__all__ = ["pages"]

KNOWN: Final = frozenset({"python", "console", "toml", "json", "bash", "text"})
NOT_RUN: Final = ("pip install ", "python -m pip ", "nox ", "git clone ", "cd ")
#: A command, which a backslash continues on the next line, and what it is to print.
COMMAND: Final = re.compile(r"^\$ ((?:.*\\\n)*.*)\n?((?:(?!\$ ).*\n?)*)", re.MULTILINE)
OPTIONS: Final = doctest.ELLIPSIS
SECONDS: Final = 60.0


# What is done with each kind.


def run_console(example: Example) -> str | None:
    """Run the commands in turn. Gives the first difference, or None."""
    text = str(example.parsed)
    if not text.startswith("$ "):
        return "a console block begins with a command: $ "
    return next(filter(None, (_difference(*found) for found in COMMAND.findall(text))), None)


def _difference(command: str, want: str) -> str | None:
    done = subprocess.run(
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    got = _trimmed(done.stdout) or (f"[exit code {done.returncode}]\n" if done.returncode else "")
    if doctest.OutputChecker().check_output(_trimmed(want), got, OPTIONS):
        return None
    expected = doctest.Example("", _trimmed(want))
    return f"$ {command}\n{doctest.OutputChecker().output_difference(expected, got, OPTIONS)}"


def _trimmed(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "".join(f"{line}\n" for line in lines)


def parse_with(parse: Callable[[str], Any]) -> Callable[[Example], str | None]:
    """An evaluator for data: what cannot be parsed is an error."""

    def evaluate(example: Example) -> str | None:
        try:
            parse(str(example.parsed))
        except ValueError as error:
            return f"{type(error).__name__}: {error}"
        return None

    return evaluate


def check_bash(example: Example) -> str | None:
    """Refuse every command that should have been a tested one."""
    lines = str(example.parsed).splitlines()
    untested = [line for line in lines if line.strip() and not line.startswith(NOT_RUN)]
    return f"not run, so not allowed here; use console: {untested}" if untested else None


def refuse(example: Example) -> str:
    """Say that a language is not known."""
    return f"{example.parsed!r} is none of {', '.join(sorted(KNOWN))}"


def unknown(document: Document) -> Iterable[Region]:
    """The blocks whose language is not known. MyST's own directives (`{...}`) are not code."""
    every = RawFencedCodeBlockLexer(re.compile(r"(?P<language>[^\n]*)\n"))
    for region in every(document):
        language = region.lexemes["language"].strip()
        if language not in KNOWN and not language.startswith("{"):
            yield Region(region.start, region.end, language, refuse)


# Where it is done.


def enter(namespace: dict[str, Any]) -> None:
    """Go into an empty folder with an empty home; the commands of this environment come first."""
    patch = namespace["__patch"] = pytest.MonkeyPatch()
    folder = namespace["__folder"] = tempfile.TemporaryDirectory(prefix="page-")
    for name in [name for name in os.environ if name.startswith(("QASID_", "XDG_"))]:
        patch.delenv(name)
    for name, value in _environment(Path(folder.name)):
        patch.setenv(name, value)
    (Path(folder.name) / "work").mkdir()
    patch.chdir(Path(folder.name) / "work")


def _environment(folder: Path) -> Iterator[tuple[str, str]]:
    yield "HOME", str(folder)
    for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
        yield f"XDG_{kind}_HOME", str(folder / kind.lower())
    yield "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    yield "PYTHONWARNINGS", "error"
    yield "COLUMNS", "100"
    yield "NO_COLOR", "1"
    yield "TERM", "dumb"


def leave(namespace: dict[str, Any]) -> None:
    """Undo what `enter` did."""
    namespace["__patch"].undo()
    namespace["__folder"].cleanup()


def pages(*patterns: str) -> Sybil:
    """The Markdown pages whose paths fit one of the patterns."""
    return Sybil(
        parsers=[
            PythonCodeBlockParser(doctest_optionflags=OPTIONS),
            CodeBlockParser("console", run_console),
            CodeBlockParser("toml", parse_with(tomllib.loads)),
            CodeBlockParser("json", parse_with(json.loads)),
            CodeBlockParser("bash", check_bash),
            unknown,
        ],
        path=str(Path(__file__).parents[1]),
        patterns=patterns,
        setup=enter,
        teardown=leave,
    )
