"""The token store: a file or the keyring, whole or not at all, and open to nobody else."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backends import fail, null

from qasid.errors import SettingsError
from qasid.tokens import Entry, FileStore, Grant, KeyringStore, TokenStore, chosen
from qasid.values import Credential

from .granting import ENTRY
from .test_settings import MemoryKeyring

NOON: Final = datetime(2024, 8, 1, 12, tzinfo=UTC)
GRANT: Final = Grant(
    credential=Credential(token="ACCESS", refresh_token="REFRESH", expires_at=NOON),
    renew_at=NOON,
    began_with="DIGEST",
)
OTHER: Final = Grant(credential=Credential(token="OTHER", refresh_token="R"))


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "state" / "tokens")


@pytest.fixture
def backend() -> Iterator[MemoryKeyring]:
    """It takes the place of the machine's own."""
    before = keyring.get_keyring()
    made = MemoryKeyring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture(params=["file", "keyring"])
def store(request: pytest.FixtureRequest, files: FileStore, backend: MemoryKeyring) -> TokenStore:
    """Either kind."""
    return files if request.param == "file" else KeyringStore(keyring, files.folder)


def path_of(files: FileStore) -> Path:
    return files.folder / ENTRY.file_name


def refused(act: Callable[[], object], *words: str) -> str:
    """The text of the error, which has all these words, the account, and no token."""
    with pytest.raises(SettingsError) as caught:
        act()
    told = str(caught.value)
    assert [] == [word for word in ("'work'", "'tokens'", *words) if word not in told]
    assert not {"ACCESS", "REFRESH", "OTHER"} & {*told.split()}
    assert caught.value.__cause__ is None
    return told


# What every store does.


def test_what_is_saved_is_found_until_it_is_forgotten(store: TokenStore) -> None:
    """The newest of it, whole."""
    assert store.load(ENTRY) is None
    for grant in (OTHER, GRANT):
        store.save(ENTRY, grant)
    assert GRANT == store.load(ENTRY)
    assert [True, False] == [store.forget(ENTRY), store.forget(ENTRY)]
    assert store.load(ENTRY) is None


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Entry)])
def test_an_entry_is_of_one_account_at_one_address(store: TokenStore, field: str) -> None:
    """A token for the provider never goes to an emulator, nor to another client."""
    store.save(ENTRY, GRANT)
    assert store.load(attrs.evolve(ENTRY, **{field: "Another"})) is None


def test_a_lock_is_of_one_entry_and_one_holder(store: TokenStore) -> None:
    """Until it is given back; to give it back twice is no harm."""
    first, second = store.lock(ENTRY), store.lock(ENTRY)
    assert [True, False] == [first.acquire(), second.acquire()]
    assert store.lock(attrs.evolve(ENTRY, account="other")).acquire()
    first.release()
    first.release()
    assert second.acquire()
    second.release()


DAMAGES: Final = {
    "empty": "",
    "truncated": GRANT.dump()[:-9],
    "no object": "[]",
    "no token": '{"refresh_token": "REFRESH"}',
    "no text": '{"token": 5, "refresh_token": "REFRESH"}',
    "no moment": json.dumps({**json.loads(GRANT.dump()), "renew_at": "ACCESS"}),
    "no zone": json.dumps({**json.loads(GRANT.dump()), "renew_at": "2024-08-01T12:00:00"}),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("text", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_tells_the_remedy(
    store: TokenStore, files: FileStore, backend: MemoryKeyring, text: str
) -> None:
    """It is not guessed at; a new login takes its place."""
    store.save(ENTRY, GRANT)
    if isinstance(store, FileStore):
        path_of(files).write_text(text)
    else:
        backend.set_password("qasid", str(ENTRY), text)
    refused(lambda: store.load(ENTRY), "is damaged", "run again: qasid login work")
    store.save(ENTRY, OTHER)
    assert OTHER == store.load(ENTRY)


@given(st.text(), st.text(min_size=1), st.none() | st.datetimes(timezones=st.just(UTC)))
def test_every_grant_survives(began_with: str, token: str, end: datetime | None) -> None:
    """Whatever a provider's tokens are made of."""
    credential = Credential(token=token, refresh_token=token, expires_at=end)
    grant = Grant(credential=credential, renew_at=end, began_with=began_with)
    assert grant == Grant.load(grant.dump())


def test_a_grant_shows_no_secret() -> None:
    """Nor does a store."""
    shown = f"{GRANT!r} {KeyringStore('ACCESS', Path())!r}"
    assert not {"ACCESS", "REFRESH"} & {*shown.replace("'", " ").split()}


@given(st.text(max_size=300))
def test_any_name_of_an_account_makes_a_file_name(name: str) -> None:
    """Short enough, in one folder, and another one where only the case differs."""
    made = attrs.evolve(ENTRY, account=name).file_name
    assert "/" not in made
    assert len(made.encode()) < 128
    upper = attrs.evolve(ENTRY, account=name + "A").file_name
    assert upper.lower() != attrs.evolve(ENTRY, account=name + "a").file_name.lower()


# Files.


def test_files_are_for_their_owner_alone(files: FileStore) -> None:
    """Whatever the umask says; the folder as well."""
    before = os.umask(0)
    try:
        files.save(ENTRY, GRANT)
        lock = files.lock(ENTRY)
        lock.acquire()
        lock.release()
    finally:
        os.umask(before)
    assert 0o700 == stat.S_IMODE(files.folder.stat().st_mode)
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in files.folder.iterdir()}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_open_is_refused(files: FileStore, mode: int) -> None:
    """With the remedy; it is not just made private, as it may have been read."""
    files.save(ENTRY, GRANT)
    path_of(files).chmod(mode)
    told = refused(lambda: files.load(ENTRY), "is open to other users", "run: chmod 600 ")
    assert str(path_of(files)) in told
    path_of(files).chmod(0o600)
    assert GRANT == files.load(ENTRY)


def test_a_file_changes_at_once(files: FileStore) -> None:
    """Whoever has it open reads on in the old one: no reader ever sees a half."""
    files.save(ENTRY, GRANT)
    with path_of(files).open() as old:
        files.save(ENTRY, OTHER)
        assert GRANT.dump() == old.read()
    assert [ENTRY.file_name] == [path.name for path in files.folder.iterdir()]


def test_what_a_killed_process_left_half_written_is_no_harm(files: FileStore) -> None:
    """It is written anew, or thrown away with the rest."""
    files.save(ENTRY, GRANT)
    half = path_of(files).with_suffix(".new")
    half.write_text(GRANT.dump()[:9])
    assert GRANT == files.load(ENTRY)
    files.save(ENTRY, OTHER)
    assert OTHER == files.load(ENTRY)
    half.write_text("{")
    assert files.forget(ENTRY)
    assert [] == [*files.folder.iterdir()]


@pytest.mark.parametrize("act", ["load", "save", "forget", "lock"])
def test_a_folder_that_is_none_tells_the_remedy(files: FileStore, act: str) -> None:
    """The path, and what to do."""
    files.folder.parent.mkdir()
    files.folder.write_text("a file")
    acts: dict[str, Callable[[], object]] = {
        "load": lambda: files.load(ENTRY),
        "save": lambda: files.save(ENTRY, GRANT),
        "forget": lambda: files.forget(ENTRY),
        "lock": lambda: files.lock(ENTRY).acquire(),
    }
    refused(acts[act], str(files.folder), "QASID_STATE_DIR", 'tokens = "none"')


def test_a_folder_that_cannot_be_opened_is_no_error(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where the new name needs no such care."""
    opened = os.open

    def guarded(path: Any, flags: int, *mode: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "a folder")
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", guarded)
    files.save(ENTRY, GRANT)
    assert GRANT == files.load(ENTRY)


def test_modes_are_those_of_posix_alone(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere they tell nothing."""
    files.save(ENTRY, GRANT)
    path_of(files).chmod(0o666)
    monkeypatch.setattr("qasid.tokens.os.name", "nt")
    found = files.load(ENTRY)
    monkeypatch.undo()
    assert GRANT == found


# The keyring.


class Broken:
    """A library that fails in a way of its own, with the secret in the error."""

    def get_keyring(self) -> object:
        raise RuntimeError("ACCESS")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(password)


def test_a_keyring_that_fails_is_a_settings_error(files: FileStore, backend: MemoryKeyring) -> None:
    """Locked or broken; what it said is not repeated."""
    store = KeyringStore(keyring, files.folder)
    backend.locked = True
    refused(lambda: store.load(ENTRY), "the keyring failed (KeyringLocked)", 'tokens = "file"')
    broken = KeyringStore(Broken(), files.folder)
    refused(lambda: broken.save(ENTRY, GRANT), "the keyring failed (RuntimeError)")


# Which of them.


Choice = Literal["auto", "file", "keyring"]


@pytest.fixture
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path))


@pytest.mark.usefixtures("_state", "backend")
def test_a_keyring_is_taken_where_there_is_one(tmp_path: Path) -> None:
    """Unless files are asked for."""
    folder = tmp_path / "tokens"
    keyrings = KeyringStore(keyring, folder)
    choices = ("auto", "keyring", "file")
    assert [keyrings, keyrings, FileStore(folder)] == [chosen(c, "work") for c in choices]
    assert [] == [*tmp_path.iterdir()]


@pytest.mark.usefixtures("_state", "backend")
@pytest.mark.parametrize(
    "unusable",
    [fail.Keyring, null.Keyring, Broken, None],
    ids=["fail", "null", "broken", "not installed"],
)
def test_without_a_usable_keyring_there_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unusable: Any
) -> None:
    """Unless the keyring is asked for, which is an error then."""
    if unusable in {None, Broken}:
        monkeypatch.setitem(sys.modules, "keyring", unusable and unusable())
    else:
        keyring.set_keyring(unusable())
    assert FileStore(tmp_path / "tokens") == chosen("auto", "work")
    refused(lambda: chosen("keyring", "work"), "no keyring can be used", "qasid[keyring]")
