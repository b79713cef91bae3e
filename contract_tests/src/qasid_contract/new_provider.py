"""``qasid new-provider``: a whole plugin from a template, and what is still to be done to it.

The template is the folder ``templates/provider``: in ``files`` the plugin, with blanks such as
``$name``, and in ``auth`` a TOML file for each kind of authentication, which fills the others.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Final

import click

from qasid import emulation, finding, hookspecs, values
from qasid._version import CONTRACT_VERSION, VERSION
from qasid.cli.output import show
from qasid.cli.session import json_option

__all__ = ["AUTHS", "RED_AT_FIRST", "command", "files"]

AUTHS: Final = ("api-key", "bearer", "oauth2", "signed")

#: What the contract says of a new plugin: the rule, its words, and what to do.
RED_AT_FIRST: Final = (
    (
        "DEC-1",
        "declared, and not implemented: acquire_number, fetch_sms, offers, release",
        "write them in __init__.py and emulator.py, or take them out of `_SUPPORT`",
    ),
    (
        "WIRE-1",
        "there are no examples",
        "put the samples of the provider's document into examples/documented.json",
    ),
)

_HERE: Final = Path(__file__).parent
#: In an installation beside this module, in a checkout at the top.
_PLACES: Final = (_HERE / "templates/provider", _HERE.parents[2] / "templates/provider")

_NAME: Final = re.compile(r"(?=.{1,40}\Z)[a-z][a-z0-9]*(_[a-z0-9]+)*")


def _usable(ctx: click.Context, param: click.Parameter, name: str) -> str:
    """The name, if a plugin may have it. Raises `click.BadParameter`, which names the argument."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise click.BadParameter(f"{name!r} is no Python identifier in lower case, such as 'acme'")
    if name in finding.installed():
        raise click.BadParameter(f"a provider {name!r} is installed already")
    if importlib.util.find_spec(f"qasid_{name}") is not None:
        raise click.BadParameter(f"there is a package qasid_{name} already")
    if _is_taken(_class(name)):
        raise click.BadParameter(f"its class would be called {_class(name)}, as something else is")
    return name


def _is_taken(name: str) -> bool:
    """Whether a class of that name would hide what its own module needs."""
    known = (hookspecs, emulation, values)
    return keyword.iskeyword(name) or any(hasattr(module, name) for module in known)


@click.command("new-provider")
@click.argument("name", callback=_usable)
@click.option(
    "--auth",
    type=click.Choice(AUTHS),
    default=AUTHS[0],
    show_default=True,
    help="How the provider knows who asks.",
)
@click.option(
    "--into",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="Where the plugin's folder is made; by default here.",
)
@json_option
def command(name: str, auth: str, into: Path, as_json: bool) -> None:
    """Write a new provider: a plugin with its emulator, its tests and its pages.

    It can tell its balance, and declares the hooks that are still to be written: until they are,
    the contract is red. The steps are printed.
    """
    folder = into / name
    if folder.exists():
        raise click.BadParameter(f"the folder {folder} exists already", param_hint="'NAME'")
    written = files(name, auth)
    try:
        _write(folder, written)
    except OSError as error:
        problem = f"nothing can be written there: {error.strerror}"
        raise click.BadParameter(problem, param_hint="'--into'") from None
    red = [dict(zip(("rule", "words", "remedy"), step, strict=True)) for step in RED_AT_FIRST]
    data = {"folder": str(folder), "files": list(written), "red": red}
    show(data, as_json=as_json, text="\n".join(_steps(name, folder)))


def _write(folder: Path, written: Mapping[str, str]) -> None:
    """All of it, or nothing."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as place:
        whole = Path(place, folder.name)
        for path, text in written.items():
            target = whole / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
        whole.rename(folder)


def _steps(name: str, folder: Path) -> Iterator[str]:
    yield f"{folder} is a provider that can tell its balance. Next:\n"
    yield f"  cd {folder}"
    yield '  pip install --editable ".[tests]"'
    yield f"  qasid contract {name}\n"
    yield "The contract is red until this is done:\n"
    for rule, words, remedy in RED_AT_FIRST:
        yield f"  {rule:7} {words}"
        yield f"  {'':7} {remedy}"


# The template.


def files(name: str, auth: str) -> dict[str, str]:
    """The plugin's files: their paths below its folder, and their texts."""
    template = next(place for place in _PLACES if place.is_dir())
    plain = _blanks(name)
    special = tomllib.loads((template / f"auth/{auth}.toml").read_text("utf-8"))
    blanks = plain | {key: Template(text).substitute(plain) for key, text in special.items()}
    return {
        path.relative_to(template / "files").as_posix().replace("NAME", name): _filled(path, blanks)
        for path in sorted((template / "files").rglob("*"))
        if path.is_file()
    }


def _filled(path: Path, blanks: Mapping[str, str]) -> str:
    return Template(path.read_text("utf-8")).substitute(blanks)


def _blanks(name: str) -> dict[str, str]:
    host, today = name.replace("_", "-"), datetime.now(UTC).date()
    return {
        "name": name,
        "Name": _class(name),
        "NAME": name.upper(),
        "host": host,
        "dist": f"qasid-{host}",
        "today": today.isoformat(),
        "year": str(today.year),
        "version": ".".join(VERSION.split(".")[:2]),
        "contract": ".".join(map(str, CONTRACT_VERSION)),
    }


def _class(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
