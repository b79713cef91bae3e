"""A provider is found, imported and checked; one that is broken harms no other.

The distributions in the folder `distributions` are built and installed by pip, as a user's are.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from qasid import finding
from qasid.errors import PluginError, ProviderNotFound

from .conftest import install

#: Each broken provider, and what is said of it.
BROKEN: Final = {
    "raises": r"RuntimeError: no luck today$",
    "exits": r"SystemExit: 3$",
    "asserts": r"AssertionError: this cannot be$",
    "misspelt": r"SyntaxError: ",
    "absent": r"ModuleNotFoundError: No module named 'fixture_broken.absent'$",
    "nothing": r"AttributeError: .* has no attribute 'Provider'$",
    "newer": r"made for contract 1\.99, this Qasid has 1\.0; install versions that agree$",
    "other": r"made for contract 2\.0, this Qasid has 1\.0; install versions that agree$",
    "malformed": r"its contract '1\.0\.0' is not of the form '1\.0'$",
    "negative": r"its contract '1\.-1' is not of the form '1\.0'$",
    "number": r"its contract 1\.0 is not of the form '1\.0'$",
    "module": r"the entry point must name an attrs class$",
    "plain": r"the entry point must name an attrs class$",
    "uninformed": r"the class has no `info: ClassVar = ProviderInfo\(\.\.\.\)`$",
    "placeless": r"the class has no field `base_url`$",
}
METADATA: Final = "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\n"
ENTRY: Final = "[qasid.providers]\n{0} = {0}:Provider\n"


@pytest.fixture
def more(tmp_path: Path, distributions: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second folder on the path, before the first."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _put(place: Path, folder: str, **files: str | bytes) -> None:
    """An installation by hand, whole or not."""
    (place / folder).mkdir()
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (place / folder / name.replace("_txt", ".txt")).write_bytes(raw)


@pytest.mark.usefixtures("distributions")
def test_every_claim_is_told_with_its_owner_and_target() -> None:
    """By distribution and version."""
    (claim,) = finding.installed()["fine"]
    told = (claim.name, claim.target, claim.distribution, claim.version, claim.owner)
    owner = ("fixture-fine", "1.0", "fixture-fine 1.0")
    assert ("fine", "fixture_fine:Fine", *owner) == told


@pytest.mark.usefixtures("distributions")
def test_looking_for_names_imports_nothing() -> None:
    """In a new interpreter: neither a provider nor stevedore."""
    code = "import sys; from qasid import finding; print(len(finding.installed()), *sys.modules)"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    count, *names = ran.stdout.split()
    assert len(finding.installed()) == int(count)
    assert [] == [name for name in names if name.startswith(("fixture_", "stevedore", "qasid_"))]


@pytest.mark.usefixtures("distributions")
def test_a_provider_is_the_class_that_was_named() -> None:
    """The same one each time."""
    found = finding.provider("fine")
    assert ("fixture_fine", "Fine") == (found.__module__, found.__qualname__)
    assert found is finding.provider("fine")


@pytest.mark.usefixtures("distributions")
def test_an_emulator_is_the_class_that_was_named() -> None:
    """In the second group."""
    assert "FineEmulator" == finding.emulator("fine").__qualname__


@pytest.mark.usefixtures("distributions")
@pytest.mark.parametrize("name", ["half", "unnamed"])
def test_what_is_no_emulators_class_is_a_plugin_error(name: str) -> None:
    """Another class, or a module."""
    with pytest.raises(PluginError, match=r"must name an emulator's class$"):
        finding.emulator(name)


@pytest.mark.usefixtures("distributions")
@pytest.mark.parametrize(
    ("find", "what"), [(finding.provider, "provider"), (finding.emulator, "emulator")]
)
def test_a_name_that_nobody_claims_is_not_found(find: object, what: str) -> None:
    """The error lists those that are there and says what to install."""
    assert callable(find)
    with pytest.raises(ProviderNotFound) as caught:
        find("unheard-of")
    said = str(caught.value)
    assert said.startswith(f"no {what} 'unheard-of' is installed (there are: ")
    assert (True, True) == ("fine" in said, said.endswith("try: pip install qasid-unheard-of"))


@pytest.mark.usefixtures("distributions")
def test_a_name_that_two_claim_is_refused_and_both_are_named() -> None:
    """Neither is imported: both would have failed in another way."""
    with pytest.raises(PluginError) as caught:
        finding.provider("twice")
    owners = ["fixture-twice-one 1.0", "fixture-twice-two 1.0"]
    assert 2 == len(finding.installed()["twice"])
    assert all(owner in str(caught.value) for owner in owners)
    assert str(caught.value).endswith("; uninstall all but one of them")


@pytest.mark.usefixtures("distributions")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_provider_is_a_plugin_error_that_names_its_owner(name: str) -> None:
    """And says what is wrong with it."""
    (claim,) = finding.installed()[name]
    with pytest.raises(PluginError, match=BROKEN[name]) as caught:
        finding.provider(name)
    assert str(caught.value).startswith(f"{name!r} of {claim.owner} ({claim.target}) is broken: ")


def _told(find: Callable[[str], Any], name: str) -> object:
    try:
        return find(name)
    except (PluginError, ProviderNotFound) as error:
        return type(error), str(error)


@pytest.mark.usefixtures("distributions")
@pytest.mark.parametrize("name", [*BROKEN, "fine", "twice", "unheard-of"])
def test_a_list_is_told_of_a_provider_what_the_provider_says(name: str) -> None:
    """Also where that is an error; though stevedore has no part in it."""
    assert _told(lambda name: finding.provider(name).info, name) == _told(finding.info, name)


def test_extras_behind_a_target_change_nothing(more: Path) -> None:
    """They are an old way to name dependencies."""
    entry = "[qasid.providers]\nextra = fixture_fine:Fine [one, two]\n"
    _put(more, "x-1.0.dist-info", METADATA=METADATA.format("x"), entry_points_txt=entry)
    assert finding.provider("fine") is finding.provider("extra")
    assert finding.info("fine") is finding.info("extra")


@pytest.mark.usefixtures("distributions")
@pytest.mark.parametrize("name", ["raises", "exits", "asserts"])
def test_the_cause_is_kept(name: str) -> None:
    """For whoever has to mend it."""
    with pytest.raises(PluginError) as caught:
        finding.provider(name)
    assert type(caught.value.__cause__).__name__ in BROKEN[name]


@pytest.mark.usefixtures("distributions")
@pytest.mark.parametrize("name", [*BROKEN, "twice"])
def test_a_broken_provider_harms_no_other(name: str) -> None:
    """Before and after: names are found and others are imported."""
    before = finding.installed()
    with pytest.raises(PluginError):
        finding.provider(name)
    finding.forget()
    assert before == finding.installed()
    assert "Fine" == finding.provider("fine").__qualname__


@pytest.mark.usefixtures("distributions")
def test_providers_with_a_hook_are_those_that_implement_it() -> None:
    """Broken ones are passed over."""
    with_balance = finding.providers_with("balance")
    assert (True, set()) == ("fine" in with_balance, {*BROKEN, "twice"} & {*with_balance})
    assert "fine" not in finding.providers_with("otp")


@pytest.mark.usefixtures("distributions")
def test_hooks_are_told_from_the_class_alone() -> None:
    """Without a setting."""
    assert frozenset({"balance"}) == finding.implemented(finding.provider("fine"))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_an_interruption_while_importing_is_not_the_plugins_fault(
    more: Path, interruption: type[BaseException]
) -> None:
    """It goes its way."""
    name = f"stops_{interruption.__name__.lower()}"
    (more / f"{name}.py").write_text(f"raise {interruption.__name__}")
    _put(
        more,
        f"{name}-1.0.dist-info",
        METADATA=METADATA.format(name),
        entry_points_txt=ENTRY.format(name),
    )
    with pytest.raises(interruption):
        finding.provider(name)


@pytest.mark.parametrize("spelling", ["fixture_fine", "Fixture.Fine"])
def test_a_distribution_that_is_seen_twice_on_the_path_counts_once(
    more: Path, spelling: str
) -> None:
    """The first is the one that Python imports, however its name is spelt."""
    entry = "[qasid.providers]\nfine = elsewhere:Fine\n"
    _put(
        more,
        "fixture_fine-1.0.dist-info",
        METADATA=METADATA.format(spelling),
        entry_points_txt=entry,
    )
    assert ["elsewhere:Fine"] == [claim.target for claim in finding.installed()["fine"]]


@pytest.mark.parametrize(
    "files",
    [
        {"entry_points_txt": ENTRY.format("half")},
        {"entry_points_txt": ENTRY.format("half"), "METADATA": ""},
        {"entry_points_txt": ENTRY.format("half"), "METADATA": "Version: 1.0\n"},
        {"entry_points_txt": ENTRY.format("half"), "METADATA": "Name: half\n"},
        {"entry_points_txt": ENTRY.format("half"), "METADATA": b"\xff"},
        {
            "entry_points_txt": b"[qasid.providers]\n\xff = x:Y\n",
            "METADATA": METADATA.format("half"),
        },
        {"entry_points_txt": "[qasid.providers]\nno sense\n", "METADATA": METADATA.format("half")},
    ],
)
def test_half_an_installation_hides_no_other(
    more: Path, caplog: pytest.LogCaptureFixture, files: dict[str, str | bytes]
) -> None:
    """It is passed over, with a warning in the log."""
    _put(more, "half-1.0.dist-info", **files)
    with caplog.at_level(logging.WARNING, "qasid"):
        found = finding.installed()
    assert (False, True) == ("half" in found, "fine" in found)
    assert 1 == sum("metadata is damaged" in record.message for record in caplog.records)


@pytest.mark.parametrize("damaged", ["METADATA", "entry_points.txt"])
def test_half_an_installation_hides_no_whole_one_of_the_same_name(more: Path, damaged: str) -> None:
    """As an upgrade that was broken off leaves it, before the one that is there."""
    _put(more, "fixture_fine-0.9.dist-info", entry_points_txt=ENTRY.format("fine"))
    (more / "fixture_fine-0.9.dist-info" / damaged).write_bytes(b"qasid.\xff")
    assert ["1.0"] == [claim.version for claim in finding.installed()["fine"]]


def test_a_reinstallation_within_a_second_is_seen_after_forget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same version, built again, with another class behind the name; no cache outlives it."""
    caches = tmp_path / "caches"
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))
    monkeypatch.syspath_prepend(tmp_path / "place")
    install(tmp_path / "place", "returning_before")
    finding.forget()
    before = finding.provider("returning").info.title
    install(tmp_path / "place", "returning_after")
    remembered = finding.provider("returning").info.title
    finding.forget()
    assert ("before", "before") == (before, remembered)
    assert "after" == finding.provider("returning").info.title
    assert not caches.exists()
    monkeypatch.undo()
    finding.forget()


def test_with_nothing_installed_that_is_said() -> None:
    """In a group that nobody knows there is nothing."""
    assert {} == finding.installed("qasid.unheard-of")
