"""The token store: what an account's owner granted outlives the process that was granted it.

An entry is an account at one address for one client, so that a real token never goes to an
emulator of the same name. It is in the system's keyring, or in a file of its own that nobody else
may read; whoever renews it holds the entry's lock, which all processes of the machine respect.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import quote

import attrs

from qasid.errors import SettingsError
from qasid.grants import Grant
from qasid.settings import state_folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Entry", "FileStore", "Grant", "KeyringStore", "Lock", "TokenStore", "chosen", "refusal"]

T = TypeVar("T")

_log = logging.getLogger("qasid")
_SERVICE: Final = "qasid"  # the keyring's word for whose entries they are
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@attrs.frozen(kw_only=True)
class Entry:
    """Whose tokens: an account, at this address, for this client of its provider."""

    account: str
    provider: str
    base_url: str
    client_id: str

    def __str__(self) -> str:
        return f"{self.account} {self.provider} {self.base_url} {self.client_id}"

    @property
    def file_name(self) -> str:
        """Readable at its beginning, and another one for each entry on any file system."""
        digest = hashlib.sha256(json.dumps(attrs.astuple(self)).encode()).hexdigest()
        return f"{quote(self.account, safe='', errors='replace')[:64]}-{digest[:24]}.json"


# Stores.


class Lock(Protocol):
    """Excludes every other process and thread of this machine, until it is released or they end."""

    def acquire(self) -> bool:
        """Take it if nobody has it. Raises `SettingsError` where that cannot be told."""

    def release(self) -> None:
        """Give it back; does nothing where it was not taken."""


class TokenStore(Protocol):
    """Keeps grants by entry. All of it blocks, and raises `SettingsError`."""

    def load(self, entry: Entry) -> Grant | None:
        """What was saved last, or None."""

    def save(self, entry: Entry, grant: Grant) -> None:
        """Keep it in the place of what was there: wholly, or not at all."""

    def forget(self, entry: Entry) -> bool:
        """Throw it away; whether there was any."""

    def lock(self, entry: Entry) -> Lock:
        """The lock of an entry, not taken yet."""


@attrs.frozen
class FileStore:
    """A file for each entry, in a folder that is made when something is saved."""

    folder: Path

    def load(self, entry: Entry) -> Grant | None:
        """Raises `SettingsError` for a file that is damaged, or that others may read."""
        path = self._path(entry)
        try:
            with path.open("rb") as file:
                _private(entry, path, os.fstat(file.fileno()).st_mode)
                text = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(entry, path, error) from None
        return _grant(entry, text.decode(errors="replace"), f"the file {path}")

    def save(self, entry: Entry, grant: Grant) -> None:
        """By another file that takes the place of the old one once it is on the disk."""
        path = self._path(entry)
        fresh = path.with_suffix(".new")
        try:
            _make_room(self.folder)
            fresh.unlink(missing_ok=True)  # of somebody who was killed
            _write(fresh, grant.dump())
            fresh.replace(path)
            _settle(self.folder)
        except OSError as error:
            raise _unusable(entry, path, error) from None

    def forget(self, entry: Entry) -> bool:
        """Delete the file, and one that was never finished."""
        path = self._path(entry)
        try:
            path.with_suffix(".new").unlink(missing_ok=True)
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unusable(entry, path, error) from None
        return True

    def lock(self, entry: Entry) -> Lock:
        """A file beside the other."""
        return _FileLock(entry, self._path(entry).with_suffix(".lock"))

    def _path(self, entry: Entry) -> Path:
        return self.folder / entry.file_name


@attrs.frozen
class KeyringStore:
    """The system's keyring, of which `keyring` is the library. Its locks are files in `folder`."""

    keyring: Any = attrs.field(repr=False)
    folder: Path

    def load(self, entry: Entry) -> Grant | None:
        """Raises `SettingsError` where the keyring is locked, or the entry damaged."""
        text = self._ask(entry, self.keyring.get_password)
        return None if text is None else _grant(entry, text, "its entry in the keyring")

    def save(self, entry: Entry, grant: Grant) -> None:
        """Raises `SettingsError` where the keyring does not take it."""
        self._ask(entry, self.keyring.set_password, grant.dump())

    def forget(self, entry: Entry) -> bool:
        """Delete the entry."""
        if self._ask(entry, self.keyring.get_password) is None:
            return False
        self._ask(entry, self.keyring.delete_password)
        return True

    def lock(self, entry: Entry) -> Lock:
        """A file, as keyrings have no locks."""
        return _FileLock(entry, (self.folder / entry.file_name).with_suffix(".lock"))

    def _ask(self, entry: Entry, function: Callable[..., T], *values: str) -> T:
        try:
            return function(_SERVICE, str(entry), *values)
        except Exception as error:  # each system's keyring fails in ways of its own
            problem = f"the keyring failed ({type(error).__name__})"
            remedy = 'unlock it, or set tokens = "file"'
        raise refusal(entry, problem, remedy)  # out here: what failed may hold the tokens


def chosen(choice: str, account: str) -> TokenStore:
    """The store of that option: ``auto``, ``file`` or ``keyring``. Raises `SettingsError`."""
    folder = state_folder() / "tokens"
    library = None if choice == "file" else _keyring()
    if library is None and choice == "keyring":
        remedy = 'run: pip install "qasid[keyring]", or set tokens = "file"'
        raise SettingsError(
            "no keyring can be used here", account=account, field="tokens", remedy=remedy
        )
    return FileStore(folder) if library is None else KeyringStore(library, folder)


def _keyring() -> Any:
    """The library, if it is installed and has a backend that it recommends itself."""
    try:
        import keyring  # late: it looks at every backend there is
    except ImportError:
        return None
    try:
        usable = keyring.get_keyring().priority >= 1
    except Exception as error:  # a backend that cannot even say so
        _log.info("the keyring cannot be used (%s)", type(error).__name__)
        return None
    return keyring if usable else None


def _grant(entry: Entry, text: str, where: str) -> Grant:
    try:
        return Grant.load(text)
    except ValueError:
        remedy = f"run again: qasid login {entry.account}"
        raise refusal(entry, f"{where} is damaged", remedy) from None


def _private(entry: Entry, path: Path, mode: int) -> None:
    if os.name == "posix" and mode & _OTHERS:
        raise refusal(entry, f"{path} is open to other users", f"run: chmod 600 {path}")


def _make_room(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Let a new name outlive a power cut too, where a folder can be opened."""
    with contextlib.suppress(PermissionError):  # as on Windows
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unusable(entry: Entry, path: Path, error: OSError) -> SettingsError:
    remedy = "make its folder writable for you alone, name another with QASID_STATE_DIR, or set"
    return refusal(entry, f"{path} cannot be used ({error.strerror})", f'{remedy} tokens = "none"')


def refusal(entry: Entry, problem: str, remedy: str) -> SettingsError:
    """An error that names the account and the remedy."""
    return SettingsError(problem, account=entry.account, field="tokens", remedy=remedy)


class _FileLock:
    """The system's own lock on a file: it ends with its process, however that ends."""

    def __init__(self, entry: Entry, path: Path) -> None:
        self._entry, self._path = entry, path

    @functools.cached_property
    def _lock(self) -> BaseFileLock:
        from filelock import FileLock  # late: few accounts have tokens

        # Taken in one thread of a pool, given back in another.
        return FileLock(self._path, mode=0o600, thread_local=False)

    def acquire(self) -> bool:
        from filelock import Timeout

        try:
            _make_room(self._path.parent)
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except OSError as error:
            raise _unusable(self._entry, self._path, error) from None
        return True

    def release(self) -> None:
        self._lock.release()
