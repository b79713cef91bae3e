"""The pages that are written from the code: the errors, the command line, the hooks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

__all__ = ["command_page", "error_page", "hook_page", "write"]

GRAVES: Final = re.compile(r"``([^`]+)``")


def write(page: Path, text: str) -> None:
    """Write a page where it has changed, so that Sphinx reads no page twice."""
    page.parent.mkdir(exist_ok=True)
    if not page.exists() or page.read_text("utf-8") != text:
        page.write_text(text, "utf-8")


def markdown(docstring: str | None) -> str:
    """A docstring as Markdown: two backquotes, which reST wants, become one."""
    return GRAVES.sub(r"`\1`", inspect.cleandoc(docstring or ""))


def first_line(thing: object) -> str:
    """The first line of a docstring."""
    return markdown(thing.__doc__).partition("\n")[0]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# Errors.


def error_page(root: type[Exception], exit_codes: Mapping[type[Exception], int]) -> str:
    """The tree of errors below `root`, and what each means."""
    drawn = "\n".join(tree(root))
    rows = [_error_row(kind, exit_codes) for kind in family(root)]
    head = ("Error", "Is a", "Meaning", "Performed?", "Exit code")
    return f"# Errors\n\n```text\n{drawn}\n```\n\n{table(head, rows)}\n"


def family(root: type[Exception]) -> Iterator[type[Exception]]:
    """An error and all that are made from it, parents first."""
    yield root
    for child in root.__subclasses__():
        yield from family(child)


def tree(root: type[Exception], stem: str = "") -> Iterator[str]:
    """The lines of the tree as text."""
    yield root.__name__ if not stem else f"{stem}{root.__name__}"
    children = root.__subclasses__()
    indent = stem.replace("├── ", "│   ").replace("└── ", "    ")
    for child in children:
        yield from tree(child, indent + ("└── " if child is children[-1] else "├── "))


def _error_row(kind: type[Exception], exit_codes: Mapping[type[Exception], int]) -> list[str]:
    parents = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
    code = next((exit_codes[base] for base in kind.__mro__ if base in exit_codes), "")
    return [f"`{kind.__name__}`", parents, first_line(kind), _performed(kind), str(code)]


def _performed(kind: type[Exception]) -> str:
    if not hasattr(kind, "default_outcome"):
        return ""
    outcome = kind.default_outcome
    return "depends on what had been sent" if outcome is None else str(outcome.value)


# The command line.


def command_page(program: click.Group, name: str) -> str:
    """Every command of a program, with its usage and options."""
    return "# Commands\n\n" + "\n".join(_sections(program, click.Context(program, info_name=name)))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    depth = "#" * min(6, 2 + context.command_path.count(" "))
    yield f"{depth} `{context.command_path}`\n\n{_usage(command, context)}\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _sections(child, click.Context(child, context, info_name=name))


def _usage(command: click.Command, context: click.Context) -> str:
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    rows = [[f"`{record[0]}`", record[1]] for record in records if record]
    help_text = markdown(command.help).partition("\f")[0].replace("\b\n", "")
    return f"```text\n{usage}\n```\n\n{help_text}\n\n{table(('Option', 'Meaning'), rows)}\n"


# Hooks.


def hook_page(hooks: Sequence[str], specifications: Mapping[str, Any]) -> str:
    """What each hook takes, gives and owes."""
    intro = markdown(specifications["__doc__"])
    parts = [_hook_section(name, specifications[name]) for name in hooks]
    return f"# Hooks\n\n{intro}\n\n" + "\n".join(parts)


def _hook_section(name: str, specification: Callable[..., Any]) -> str:
    signature = f"{name}{inspect.signature(specification)}".replace("'", "")
    return f"## `{name}`\n\n```text\n{signature}\n```\n\n{markdown(specification.__doc__)}\n"
