"""The rules: an id that is never used again, a promise, what it needs, and where it runs.

A rule is a function of one `Case`. Its docstring begins with the promise, one sentence, from which
the docs page is made; the paragraph that begins *Troubleshooting:* is for the stranger who sees it
red. It fails by raising `AssertionError`, and may raise anything.
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from qasid_contract.case import Case

__all__ = ["FAMILIES", "Level", "Path", "Rule", "all_rules", "rule"]

Check: TypeAlias = "Callable[[Case], None]"

#: In the order of the documents. A rule's id begins with one of the keys.
FAMILIES: Final = {
    "DEC": "Declaration",
    "AUTH": "Authentication",
    "NUM": "Numbers",
    "SEND": "Sending",
    "OTP": "One-time passwords",
    "MONEY": "Money",
    "FAIL": "Failures",
    "TWICE": "Never twice",
    "SEC": "Secrets",
    "WIRE": "Wire",
    "PURE": "Purity",
    "LIFE": "Lifecycle",
}

#: A known deviation is never allowed for these.
STRICT_FAMILIES: Final = frozenset({"DEC", "TWICE", "SEC", "LIFE"})


class Level(enum.Enum):
    """A red core rule makes a provider nonconformant; a new one is advisory for a minor version."""

    CORE = "core"
    ADVISORY = "advisory"


class Path(enum.Enum):
    """Where a rule runs: plugged into the emulator in virtual time, or over a loopback socket."""

    PLUGGED = "plugged"
    SOCKET = "socket"


@attrs.frozen(kw_only=True)
class Rule:
    """One rule. `needs` are hooks; where one of them is not implemented, it does not apply.

    `examples`: Hypothesis runs it many times. `gate`: where it is red no other rule is tried, as no
    account could be opened.
    """

    id: str
    check: Check
    needs: frozenset[str]
    any_of: frozenset[str]
    level: Level
    since: str
    paths: tuple[Path, ...]
    examples: bool = False
    gate: bool = False

    @property
    def family(self) -> str:
        """The key of its family."""
        return self.id.rpartition("-")[0]

    @property
    def promise(self) -> str:
        """What is proven, in one sentence."""
        return " ".join(_paragraphs(self.check)[0].split())

    @property
    def troubleshooting(self) -> str:
        """What to do about a red one."""
        found = [p for p in _paragraphs(self.check) if p.startswith("Troubleshooting:")]
        return " ".join(found[0].removeprefix("Troubleshooting:").split()) if found else ""

    def missing(self, implemented: Iterable[str]) -> str:
        """Why the rule does not apply to a provider with these hooks, or the empty text."""
        have = set(implemented)
        lacking = sorted(self.needs - have)
        if lacking:
            return f"needs {', '.join(lacking)}"
        if self.any_of and not self.any_of & have:
            return f"needs one of {', '.join(sorted(self.any_of))}"
        return ""


def _paragraphs(check: Check) -> list[str]:
    return (inspect.getdoc(check) or "").split("\n\n")


_rules: dict[str, Rule] = {}


def rule(
    id: str,  # noqa: A002, it is what it is called
    *,
    needs: Iterable[str] = (),
    any_of: Iterable[str] = (),
    level: Level = Level.CORE,
    since: str = "1.0",
    paths: Sequence[Path] = (Path.PLUGGED,),
    examples: bool = False,
    gate: bool = False,
) -> Callable[[Check], Check]:
    """Enter a function in the book; see `Rule`."""

    def enter(check: Check) -> Check:
        entry = Rule(
            id=id,
            check=check,
            needs=frozenset(needs),
            any_of=frozenset(any_of),
            level=level,
            since=since,
            paths=tuple(paths),
            examples=examples,
            gate=gate,
        )
        _vet(entry)
        _rules[id] = entry
        return check

    return enter


def _vet(entry: Rule) -> None:
    known = _rules.get(entry.id, entry)  # a module that is imported again enters the same
    if known.check.__qualname__ != entry.check.__qualname__ or (
        known.check.__module__ != entry.check.__module__
    ):
        raise ValueError(f"the rule {entry.id} is in the book already")
    if entry.family not in FAMILIES or not entry.id.rpartition("-")[2].isdecimal():
        raise ValueError(f"{entry.id} is no family and a number: {', '.join(FAMILIES)}")
    if not (entry.promise and entry.troubleshooting):
        raise ValueError(f"{entry.id} needs a promise and a paragraph 'Troubleshooting: …'")


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, family by family."""
    from qasid_contract import rules

    for module in pkgutil.iter_modules(rules.__path__):
        importlib.import_module(f"{rules.__name__}.{module.name}")
    order = list(FAMILIES)
    return tuple(sorted(_rules.values(), key=lambda r: (order.index(r.family), _number(r))))


def _number(entry: Rule) -> int:
    return int(entry.id.rpartition("-")[2])
