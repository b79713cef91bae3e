"""What is found without `importlib.metadata` is what that finds."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import re
import sys
import sysconfig
import tempfile
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qasid.distributions import EMULATORS, PROVIDERS, forget, installed

Found: TypeAlias = Mapping[str, tuple[tuple[str, str, str], ...]]
Files: TypeAlias = dict[str, bytes]


LIBRARY: Final = [sysconfig.get_path("stdlib"), sysconfig.get_config_var("DESTSHARED")]


@contextlib.contextmanager
def on_path(*entries: str) -> Iterator[None]:
    """With these on the path, and Python's own library, in which no distribution is.

    Python's own finder looks, also where a backport of `importlib.metadata` took its place.
    """
    with pytest.MonkeyPatch.context() as patch:
        own = staticmethod(importlib.metadata.MetadataPathFinder.find_distributions)
        others = [each for each in sys.meta_path if not hasattr(each, "find_distributions")]
        patch.setattr(PathFinder, "find_distributions", own, raising=False)
        patch.setattr(sys, "meta_path", [*(e for e in others if e is not PathFinder), PathFinder])
        patch.setattr(sys, "path", [*entries, *LIBRARY])
        forget()
        yield
    forget()


@contextlib.contextmanager
def zips_left_open(*entries: str) -> Iterator[None]:
    """The library leaves zip files to be closed by whoever tidies up: that is done in here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        if any(entry.endswith(".zip") for entry in entries):
            importlib.invalidate_caches()
            gc.collect()


def found(group: str) -> Found:
    """Names of the group, and of each claim the target, the distribution and its version."""
    return {
        name: tuple((claim.target, claim.distribution, claim.version) for claim in claims)
        for name, claims in installed(group).items()
    }


def told_by_the_library(group: str) -> Found:
    """The same, as `importlib.metadata` has it; of one distribution the first claim counts."""
    names: dict[str, dict[str, tuple[str, str, str]]] = {}
    for entry in importlib.metadata.entry_points(group=group):
        assert entry.dist is not None
        name, version = entry.dist.metadata["Name"], entry.dist.metadata["Version"]
        owner = re.sub(r"[-_.]+", "-", name).lower()
        names.setdefault(entry.name, {}).setdefault(owner, (entry.value, name, version))
    return {name: tuple(names[name].values()) for name in sorted(names)}


# Distributions that no tool would install, beside usual ones.

NAMES: Final = st.sampled_from(["acme", "Acme", "ac_me", "Ac.Me", "ac__me", "zoo"])
ENDS: Final = st.sampled_from(["\n", "\r\n", "\u2028", "\n\n"])
SECTIONS: Final = st.sampled_from(
    [
        f"[{PROVIDERS}]",
        f"  [{PROVIDERS}]  ",
        f"[[{PROVIDERS}]]",
        f"[ {PROVIDERS} ]",
        f"[{EMULATORS}]",
        f"[{PROVIDERS}.more]",
        "[]",
        "[console_scripts]",
        f"# [{PROVIDERS}]",
        "; = qasid.providers",
    ]
)
LINES: Final = st.sampled_from(
    [
        "one = m:A",
        "one=n:B",
        "  two  =\tm.n : A.B  ",
        "two = m:A [extra]",
        "three = = x",
        "=",
        "# four = m:A",
        "",
        "سه = m:A",
    ]
)
#: The name is not quite that of the folder.
LOOSE: Final = (
    "Metadata-Version: 2.1\nName: {}\n\tx\nVersion: {}\n",
    "Metadata-Version: 2.1\nname:  {} \nVERSION:{}\n",
)
METADATA: Final = (
    "Metadata-Version: 2.4\nName: {}\nVersion: {}\n\nName: other\n",
    "Metadata-Version: 2.1\r\nName: {}\r\nVersion: {}\r\nSummary: x\r\n",
    "Metadata-Version: 2.1\nName: {}\nVersion: {}",
    "Metadata-Version: 2.1\nName: {}\nVersion: {}\n -post\n",
    "Version: {1}\nSummary: ü\nName: {0}\nName: other\n",
    "Metadata-Version: 2.1\nName: {}\nVersion: {}\n\n\u00fc\u2028",
    "Metadata-Version: 2.1\rName: {}\rVersion: {}\r",
)


@attrs.frozen
class Installed:
    """A distribution: the folder of its metadata, and what is in that."""

    folder: str
    files: Files


@st.composite
def listings(draw: st.DrawFn) -> bytes:
    """An `entry_points.txt`."""
    sections = draw(st.lists(st.tuples(SECTIONS, st.lists(LINES, max_size=3)), max_size=3))
    loose = draw(st.sampled_from([[], ["no sense"], ["one = m:Loose"]]))
    lines = [*loose, *(line for head, rest in sections for line in [head, *rest])]
    return draw(ENDS).join(lines).encode()


@st.composite
def distributions(
    draw: st.DrawFn, endings: Iterable[str], metadata: Iterable[str] = METADATA
) -> Installed:
    """The folder has the name of the distribution, in a spelling of its own."""
    name, version = draw(NAMES), draw(st.sampled_from(["1.0", "2.0rc1+local.1", "1!2"]))
    spelt = re.sub("[-_.]+", "-", name) if draw(st.booleans()) else name.upper()
    tail = draw(st.sampled_from([f"-{version}", "", f"-{version}-py3.11"]))
    ending = draw(st.sampled_from([*endings]))
    named = draw(st.sampled_from([*metadata])).format(spelt, version).encode()
    file = "PKG-INFO" if ending == ".egg-info" else "METADATA"
    listing = draw(st.none() | listings())
    return Installed(
        f"{name}{tail}{ending}",
        {file: named} | ({} if listing is None else {"entry_points.txt": listing}),
    )


STRAYS: Final[tuple[Files, ...]] = (
    {},
    {"acme.egg-link": b"/x\n."},
    {"acme-9.egg-info": b"Name: acme\n"},
    {"a.py": b""},
)


@st.composite
def sites(draw: st.DrawFn) -> tuple[str, Files]:
    """The name of an entry of the path, and the files in it."""
    kind = draw(st.sampled_from(["folder", "folder", "folder", "zip", "x.egg", "gone"]))
    endings = [".dist-info", ".egg-info"] + [".DIST-INFO"] * (kind == "folder")
    # In a zip file it is the metadata that says the name, not the folder: these must agree.
    by_folder = kind != "zip"
    metadata = (*METADATA, *LOOSE) if by_folder else METADATA
    there = draw(st.lists(distributions(endings, metadata), max_size=4))
    files = {f"{each.folder}/{file}": raw for each in there for file, raw in each.files.items()}
    if kind == "x.egg":
        egg = draw(distributions([".egg-info"], METADATA))
        files |= {f"EGG-INFO/{file}": raw for file, raw in egg.files.items()}
    strays = draw(st.sampled_from(STRAYS)) if by_folder else {}
    return kind, {**strays, **files}


def _write(place: Path, kind: str, files: Files) -> str:
    if kind == "zip":
        place = place.with_suffix(".zip")
        with zipfile.ZipFile(place, "w") as archive:
            for name, raw in files.items():
                archive.writestr(name, raw)
    elif kind != "gone":
        place = place.with_suffix(".egg") if kind == "x.egg" else place
        for name, raw in {".keep": b"", **files}.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(raw)
    return str(place)


def site(listed: bytes) -> list[tuple[str, Files]]:
    """A folder with one distribution, whose entry points are these."""
    metadata = b"Metadata-Version: 2.1\nName: acme\nVersion: 1\n\n"
    files = {"METADATA": metadata, "entry_points.txt": listed}
    return [("folder", {f"acme-1.dist-info/{name}": raw for name, raw in files.items()})]


@given(st.lists(sites(), max_size=3), st.booleans())
@example(site(b"# x\n\n[console_scripts]\na = b:c\n[qasid.providers]\none = m:A\n"), False)
@example(site(b"no sense\n[qasid.providers]\none = m:A\n"), False)
def test_all_that_is_installed_is_found_as_the_library_finds_it(
    given_sites: list[tuple[str, Files]], again: bool
) -> None:
    """Names, targets, owners and versions, in order; of two of one name the first counts."""
    with tempfile.TemporaryDirectory() as folder:
        written = [_write(Path(folder, f"{i}"), *site) for i, site in enumerate(given_sites)]
        path = [*written, *(reversed(written) if again else ())]
        with zips_left_open(*path), on_path(*path):
            for group in (PROVIDERS, EMULATORS):
                assert told_by_the_library(group) == found(group)


class Elsewhere(Distribution):
    """A distribution that is in no folder."""

    def read_text(self, filename: str) -> str | None:
        texts = {
            "METADATA": "Name: afar\nVersion: 3\n",
            "entry_points.txt": f"[{PROVIDERS}]\none = afar:A\n",
        }
        return texts.get(filename)

    def locate_file(self, path: object) -> Any:
        raise NotImplementedError


class Finder(DistributionFinder):
    """Finds that distribution, and no module."""

    def find_spec(self, *_: object) -> None:
        """None, always."""

    def find_distributions(self, context: object = None) -> list[Distribution]:
        """The one, wherever it is looked for."""
        return [Elsewhere()]


def test_the_distributions_of_a_finder_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python may be taught to import from anywhere."""
    with on_path():
        monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
        forget()
        assert (
            {"one": (("afar:A", "afar", "3"),)}
            == found(PROVIDERS)
            == told_by_the_library(PROVIDERS)
        )
        monkeypatch.undo()
