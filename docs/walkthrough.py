"""The walk through `tutorial.md`: what the page lets its reader write is written here.

A code block with a caption is a part of the file that the caption names. Its language is `py` and
not `python`: it is put into that file, and not run where it stands. It is put there as a reader
would do it. What has a name that is there already takes its place; a class that is there is gone
into; anything new stands after what is like it. A file of another kind is written whole.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

__all__ = ["Walk", "merged", "register"]

PAGE: Final = Path(__file__).with_name("tutorial.md")

_HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)
_PART: Final = re.compile(
    r"^```\{code-block\} \w+\n:caption: (?P<path>\S+)\n\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

_Node: TypeAlias = ast.stmt
_Named: TypeAlias = ast.ClassDef | ast.FunctionDef


class Walk:
    """One walk through the page, section by section, into the plugin's folder."""

    def __init__(self, project: Path, page: Path = PAGE) -> None:
        self._project = project
        self._left = dict(_sections(page.read_text("utf-8")))

    def through(self, section: str) -> None:
        """Write what one section says. Raises KeyError where it says nothing to be written."""
        for path, text in self._left.pop(section):
            target = self._project / path
            known = path.endswith(".py") and target.exists()
            whole = merged(target.read_text("utf-8"), text) if known else text
            target.write_text(whole, "utf-8")

    def to_the_end(self) -> None:
        """Write what all sections say that are left."""
        for section in list(self._left):
            self.through(section)

    @property
    def is_over(self) -> bool:
        """Whether all has been written."""
        return not self._left


def _sections(page: str) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """The sections that have parts, and these: the path of a file, and its text."""
    _, *pieces = _HEADING.split(page)
    for title, text in zip(pieces[::2], pieces[1::2], strict=True):
        parts = [(found["path"], found["text"]) for found in _PART.finditer(text)]
        if parts:
            yield title, parts


def register(project: Path) -> Path:
    """Write the metadata that `pip install --editable` would; gives the folder to import from."""
    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    source = (project / "src").resolve()
    metadata = source / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    metadata.mkdir()
    head = f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    (metadata / "METADATA").write_text(head, "utf-8")
    lines = [
        line
        for group, entries in about["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return source


# How a part is put into a Python file.


def merged(source: str, part: str) -> str:
    """The source with each statement of the part in its place."""
    for statement in ast.parse(part).body:
        owner = _same(ast.parse(source).body, statement)
        if isinstance(statement, ast.ClassDef) and isinstance(owner, ast.ClassDef):
            for member in statement.body:
                source = _placed(source, _text(part, member), member, owner.name)
        else:
            source = _placed(source, _text(part, statement), statement)
    return source


def _placed(source: str, text: str, statement: _Node, owner: str | None = None) -> str:
    body = _body(source, owner)
    lines = source.splitlines(keepends=True)
    there = _same(body, statement)
    if there is not None:
        first, last = _extent(source, there)
        return "".join([*lines[:first], text, *lines[last:]])
    last = _extent(source, _like(body, statement))[1]
    return "".join([*lines[:last], _gap(statement, owner), text, *lines[last:]])


def _body(source: str, owner: str | None) -> Sequence[_Node]:
    body = ast.parse(source).body
    classes = [node for node in body if isinstance(node, ast.ClassDef) and node.name == owner]
    return classes[0].body if classes else body


def _same(body: Sequence[_Node], statement: _Node) -> _Node | None:
    return next((node for node in body if _name(node) == _name(statement)), None)


def _like(body: Sequence[_Node], statement: _Node) -> _Node:
    """The last statement of the same kind: an import, a private function and so on."""
    alike = [node for node in body if _kind(node) == _kind(statement)]
    return (alike or body)[-1]


def _name(node: _Node) -> str:
    """What a statement binds, as text; of an import, where from."""
    match node:
        case ast.ClassDef() | ast.FunctionDef():
            return node.name
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            return ast.unparse(target)
        case ast.ImportFrom():
            return f"from {node.module}"
    return ast.unparse(node)


def _kind(node: _Node) -> tuple[str, bool]:
    private = isinstance(node, _Named) and node.name.startswith("_")
    kind = "assignment" if isinstance(node, ast.Assign | ast.AnnAssign) else type(node).__name__
    return kind, private


def _gap(statement: _Node, owner: str | None) -> str:
    if not isinstance(statement, _Named):
        return ""
    return "\n" if owner else "\n\n"


def _extent(source: str, node: _Node) -> tuple[int, int]:
    """The lines of a statement, with its decorators and the comment right above it."""
    decorators = node.decorator_list if isinstance(node, _Named) else []
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    lines = source.splitlines()
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return first, node.end_lineno or node.lineno


def _text(part: str, node: _Node) -> str:
    first, last = _extent(part, node)
    return "".join(part.splitlines(keepends=True)[first:last])
