"""The pages that are written from the code: errors, command line, hooks, rules of the contract."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click

__all__ = [
    "command_page",
    "error_page",
    "event_table",
    "exit_table",
    "hook_page",
    "marked",
    "matrix",
    "option_table",
    "route_table",
    "rule_page",
    "rule_table",
    "write",
]

GRAVES: Final = re.compile(r"``([^`]+)``")
#: A paragraph whose lines click leaves as they are.
AS_IT_IS: Final = re.compile(r"\x08\n(.+?)(?=\n\n|\Z)", re.DOTALL)


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


def speed_page(folder: Path) -> str:
    """The report of the benchmark, where one is there; it stands in that folder with its plots."""
    report = folder / "report.md"
    if not report.exists():
        return "No report is stored yet. `nox -s bench` writes one here.\n"
    plots = (f"![CPU per send]({folder.name}/{name}.svg)\n" for name in ("http", "https"))
    return "\n".join([*plots, report.read_text("utf-8")])


def error_page(root: type[Exception], exit_codes: Mapping[Any, int]) -> str:
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


def _error_row(kind: type[Exception], exit_codes: Mapping[Any, int]) -> list[str]:
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
    settings = {**program.context_settings, "terminal_width": 100}  # wherever it is built
    context = click.Context(program, info_name=name, **settings)
    return "# Commands\n\n" + "\n".join(_sections(program, context))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    depth = "#" * min(6, 2 + context.command_path.count(" "))
    yield f"{depth} `{context.command_path}`\n\n{_usage(command, context)}\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                settings = child.context_settings
                yield from _sections(child, click.Context(child, context, name, **settings))


def _usage(command: click.Command, context: click.Context) -> str:
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    rows = [[f"`{record[0]}`", record[1]] for record in records if record]
    help_text = AS_IT_IS.sub(r"```text\n\1\n```", markdown(command.help).partition("\f")[0])
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


# Tables within pages that people write, between marks.

MARKS: Final = {"full": "yes", "partial": "partly", "not implemented": "not yet"}

#: What each option of an account is counted in, and what it is for.
OPTIONS: Final = {
    "connect_timeout": ("seconds", "how long one attempt to connect may take"),
    "timeout": ("seconds", "how long the whole answer may take"),
    "max_body": ("bytes", "how much of an answer is read; more is a `ProtocolError`"),
    "pool_size": ("requests", "how many may be under way at once"),
    "idle_timeout": ("seconds", "how long a connection may be unused and still be used again"),
    "max_wait": ("seconds", "how long a call may wait for the provider's limits"),
    "max_open": ("numbers", "how many may be rented at once"),
    "max_per_day": ("numbers", "how many may be rented in any 24 hours"),
    "max_spend": ("money", "what renting may cost in any 24 hours, such as `5.00 USD`"),
    "low_balance": ("money", "what balance is told to [listeners](events.md) as low"),
    "tokens": ("a word", "where a [login](login.md) is kept: `auto`, `file`, `keyring`, `none`"),
    "journal": ("a word", "`off`, `on` or `strict`: see [the journal](journal.md)"),
    "journal_url": ("an address", "where it is; may hold a password, and so is a secret"),
    "journal_recipients": ("a word", "`clear`, or `digest` where numbers must not be stored"),
    "journal_retention": ("days", "how long `qasid journal prune` keeps what has come to an end"),
}


def marked(text: str, name: str, content: str) -> str:
    """The text, with `content` between `<!-- name -->` and `<!-- /name -->`."""
    before, start, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not (start and end):
        raise ValueError(f"the marks of {name!r} are missing")
    return f"{before}{start}\n{content}\n\n{end}{after}"


def matrix(reports: Mapping[str, Any], hooks: Sequence[str]) -> str:
    """What each provider can do, from the contract's report on it: a table, and notes below it."""
    support = {name: report["provider"]["support"] for name, report in reports.items()}
    proven = [f"contract {report['contract']}: {report['verdict']}" for report in reports.values()]
    rows = [[f"`{h}`", *(MARKS.get(s[h]["level"], "-") for s in support.values())] for h in hooks]
    notes = [
        f"- `{name}`, `{hook}`: {said['note']}"
        for name, hooks_of in support.items()
        for hook, said in hooks_of.items()
        if said["note"]
    ]
    rows.append(["proven", *proven])
    return "\n".join([table(("", *support), rows), *([""] if notes else []), *notes])


def rule_page(rules: Sequence[Any], families: Mapping[str, str]) -> str:
    """Every rule of the contract, family by family."""
    sections = [_family(key, name, rules) for key, name in families.items()]
    return "\n\n".join(["# The rules", *sections]) + "\n"


def _family(key: str, name: str, rules: Sequence[Any]) -> str:
    return "\n\n".join([f"## {name}", *(_rule(rule) for rule in rules if rule.family == key)])


def _rule(rule: Any) -> str:
    needs = ", ".join(f"`{hook}`" for hook in sorted(rule.needs))
    either = " or ".join(f"`{hook}`" for hook in sorted(rule.any_of))
    facts = [
        f"since {rule.since}",
        f"runs {' and '.join(path.value for path in rule.paths)}",
        *([f"needs {needs}"] if needs else []),
        *([f"needs {either}"] if either else []),
        *(["many examples"] if rule.examples else []),
        *([rule.level.value] if rule.level.value != "core" else []),
    ]
    promise, trouble = markdown(rule.promise), markdown(rule.troubleshooting)
    return f"### {rule.id}\n\n{promise}\n\n*{'; '.join(facts)}.*\n\nWhen it is red: {trouble}"


def option_table(options: type[Any]) -> str:
    """The options of an account. Raises KeyError for one that has no words in `OPTIONS`."""
    rows = [[f"`{f.name}`", _default(f.default), *OPTIONS[f.name]] for f in attrs.fields(options)]
    return table(("Option", "Default", "Counted in", "Meaning"), rows)


def _default(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"


# Routes and events.


def rule_table(
    rules: Mapping[Any, Any],
    root: type[Exception],
    outcomes: Sequence[Any],
    told: Callable[[Any], tuple[bool, str]],
) -> str:
    """What a route does after each error of the tree. Raises KeyError for one without a row.

    `told` gives whether it goes on after an error by itself, and the name of the event.
    """
    rows = [_rule_row(kind, rules[kind], outcomes, told) for kind in family(root)]
    head = ("Error", *(outcome.value.capitalize() for outcome in outcomes), "Breaker", "Because")
    return table(head, rows)


def _rule_row(
    kind: Any, rule: Any, outcomes: Sequence[Any], told: Callable[[Any], Any]
) -> list[str]:
    cells = [_told(kind, outcome, told) for outcome in outcomes]
    if not hasattr(kind, "default_outcome"):  # it has no outcome: the first column says it all
        cells[1:] = ["-"] * (len(outcomes) - 1)
    return [f"`{kind.__name__}`", *cells, "counts" if rule.counts else "-", rule.because]


def _told(kind: Any, outcome: Any, told: Callable[[Any], tuple[bool, str]]) -> str:
    error = kind.__new__(kind)
    error.outcome = outcome
    goes_on, event = told(error)
    return f"{'next account' if goes_on else 'ends'}, `{event}`"


def route_table(fields: Mapping[str, tuple[str, str]]) -> str:
    """The fields of a route in ``qasid.toml``."""
    return table(("Field", "Is", "Meaning"), [[f"`{key}`", *fields[key]] for key in fields])


def event_table(names: Sequence[str], specifications: Mapping[str, Any]) -> str:
    """The events, what each holds, and when it is told."""
    return table(("Event", "Holds", "When"), [_event_row(n, specifications) for n in names])


def _event_row(name: str, specifications: Mapping[str, Any]) -> list[str]:
    specification = specifications[name]
    held = specifications[specification.__annotations__["event"]]
    fields = ", ".join(f"`{field.name}`" for field in attrs.fields(held))
    return [f"`{name}`", f"`{held.__name__}`: {fields}", markdown(specification.__doc__)]


def exit_table(exit_codes: Mapping[Any, int]) -> str:
    """The exit codes of the command that stand for errors."""
    found = sorted((code, kind) for kind, code in exit_codes.items())
    rows = [[str(code), f"`{kind.__name__}`", first_line(kind)] for code, kind in found]
    return table(("Code", "Error", "Meaning"), rows)
