"""Which names the installed distributions claim. Nothing of theirs is imported.

Of each folder of the path the names are listed, of each distribution in it `entry_points.txt` is
read, and `METADATA` where that claims something of ours. All that is unusual (zip files, eggs,
finders of others, metadata as no tool of today writes it) is left to `importlib.metadata`, which
takes longer to import than all of this takes. The result is the same: what
`importlib.metadata.entry_points` gives, where a distribution that comes twice counts once.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["COMMANDS", "EMULATORS", "LISTENERS", "PROVIDERS", "Claim", "forget", "installed"]

PROVIDERS: Final = "qasid.providers"
EMULATORS: Final = "qasid.emulators"
COMMANDS: Final = "qasid.commands"
LISTENERS: Final = "qasid.listeners"

_PREFIX: Final = "qasid."
_OURS: Final = _PREFIX.encode()
_ENDINGS: Final = (".dist-info", ".egg-info")

_PARTING: Final = re.compile(r"[-_.]+")

#: How every tool of today begins `METADATA`.
_USUAL: Final = re.compile(
    r"Metadata-Version: [\d.]+\r?\nName: ([\w.-]+)\r?\nVersion: ([\w.+!-]+)\r?\n(?![ \t])", re.ASCII
)


class Claim(NamedTuple):
    """One distribution's claim to a name. `target` is ``module:attribute``."""

    group: str
    name: str
    target: str
    distribution: str
    version: str

    @property
    def owner(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"


@functools.cache
def installed(group: str = PROVIDERS) -> Mapping[str, tuple[Claim, ...]]:
    """Every name of the group and who claims it. Remembered until `forget`."""
    names: dict[str, dict[str, Claim]] = {}
    for claim in _claims():
        if claim.group == group:
            owner = _canonical(claim.distribution)
            names.setdefault(claim.name, {}).setdefault(owner, claim)
    return {name: tuple(names[name].values()) for name in sorted(names)}


def forget() -> None:
    """Look again at the next call."""
    importlib.invalidate_caches()
    installed.cache_clear()
    _claims.cache_clear()


@functools.cache
def _claims() -> tuple[Claim, ...]:
    seen: set[str] = set()
    found: list[Claim] = []
    for place in _places():
        try:
            name, claims = _read(place)
        except Exception as error:  # half a stranger's installation must not hide all others
            _warn(error)
        else:
            found += [] if name in seen else claims
            seen.add(name)
    return tuple(found)


def _warn(error: Exception) -> None:
    import logging  # late, as this is rare

    message = "a distribution was passed over, its metadata is damaged: %r"
    logging.getLogger("qasid").warning(message, error)


def _canonical(distribution: str) -> str:
    return _PARTING.sub("-", distribution).lower()


# Where distributions are, in the order of the path: folders of metadata that have usual names, and
# whatever else there is, as `importlib.metadata` finds it.


def _places() -> Iterator[str | Distribution]:
    if [PathFinder] != [each for each in sys.meta_path if hasattr(each, "find_distributions")]:
        return _others()
    return (place for entry in sys.path for place in _places_in(entry))


def _places_in(entry: str) -> Iterator[str | Distribution]:
    try:
        names = os.listdir(entry or ".")  # noqa: PTH208 (pathlib takes longer to import)
    except FileNotFoundError:
        return iter(())
    except (OSError, ValueError):  # a zip file, or what no path can be
        return _others(path=[entry])
    infos = [name for name in names if name.lower().endswith(_ENDINGS)]
    if entry.lower().endswith(".egg"):  # it is a distribution itself
        infos += [name for name in names if name.lower() == "egg-info"]
    return (_place(entry, name) for name in infos)


def _place(entry: str, name: str) -> str | Distribution:
    path = f"{entry or '.'}/{name}"
    return path if _called(path) and name.endswith(_ENDINGS) else _at(path)


def _others(**context: Any) -> Iterator[Distribution]:
    from importlib import metadata

    return iter(metadata.distributions(**context))


def _at(path: str) -> Distribution:
    from importlib.metadata import Distribution

    return Distribution.at(path)


# What they claim. All that follows raises anything where the metadata is damaged.


def _read(place: str | Distribution) -> tuple[str, Sequence[Claim]]:
    """The name by which Python knows it, and its claims."""
    if not isinstance(place, str):
        metadata = place.metadata
        return _canonical(metadata["Name"]) if "Name" in metadata else "", _thoroughly(place)
    listed = _content(place, "entry_points.txt")
    return _canonical(_called(place)), _of_folder(place, listed) if _OURS in listed else ()


def _called(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0].partition("-")[0]


def _content(path: str, file: str) -> bytes:
    try:
        with open(f"{path}/{file}", "rb", buffering=0) as opened:  # noqa: PTH123
            return opened.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return b""  # as for `importlib.metadata`


def _of_folder(path: str, listed: bytes) -> Sequence[Claim]:
    try:
        head = _USUAL.match(_content(path, "METADATA").decode())
        if head is not None:
            return [Claim(*entry, head[1], head[2]) for entry in _entries(listed.decode())]
    except ValueError:
        pass
    return _thoroughly(_at(path))


def _entries(listed: str) -> Iterator[tuple[str, str, str]]:
    """Group, name and target of each entry point that is ours."""
    group = ""
    for line in map(str.strip, listed.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line.strip("[]")
        elif line and not line.startswith("#"):
            name, target = line.split("=", 1)
            if group.startswith(_PREFIX):
                yield group, name.strip(), target.strip()


def _thoroughly(distribution: Distribution) -> Sequence[Claim]:
    ours = [each for each in distribution.entry_points if each.group.startswith(_PREFIX)]
    metadata = distribution.metadata
    if ours and not ("Name" in metadata and "Version" in metadata):
        raise LookupError("it has no name or no version")
    return [
        Claim(each.group, each.name, each.value, metadata["Name"], metadata["Version"])
        for each in ours
    ]
