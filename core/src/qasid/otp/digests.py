"""The key, and what is kept instead of codes, recipients and callers."""

from __future__ import annotations

import ipaddress
import os
import secrets
from pathlib import Path
from typing import Final

import attrs

from qasid.errors import SettingsError
from qasid.journal.records import digest
from qasid.settings import state_folder

__all__ = ["Digests", "new_code", "own_key"]

_SHORTEST: Final = 16  # bytes: 128 bits
_HOW: Final = 'make one with: python -c "import secrets; print(secrets.token_hex(32))"'


def _bytes(given: str | bytes) -> bytes:
    return given.encode() if isinstance(given, str) else given


@attrs.frozen(eq=False)
class Digests:
    """Keyed digests (HMAC-SHA256). The key is never in the database that keeps them.

    Without it nobody can try all codes, or all numbers, against what is kept. Raises
    `SettingsError` for a key of less than 16 bytes.
    """

    key: bytes = attrs.field(converter=_bytes, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.key) < _SHORTEST:
            problem = f"is shorter than {_SHORTEST} bytes"
            raise SettingsError(problem, account="verifier", field="key", remedy=_HOW)

    def recipient(self, to: str) -> str:
        """Of a number in E.164."""
        return digest(self.key, "otp recipient", to)

    def caller(self, name: str) -> str:
        """Of whoever asks for codes; of an IPv6 address, of its network."""
        return digest(self.key, "otp caller", _network(name))

    def code(self, identity: str, recipient: str, purpose: str, code: str) -> str:
        """Of a code, which is good for that one issue, recipient (its digest) and purpose alone."""
        return digest(self.key, "otp code", f"{identity}\n{recipient}\n{purpose}\n{code}")


def _network(name: str) -> str:
    """An IPv6 address as its /64, which one line has all of. Anything else is left as it is."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:  # as a socket for both shows it
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))


def new_code(length: int) -> str:
    """A code that nobody can foresee, of so many digits; the first may be 0."""
    return f"{secrets.randbelow(10**length):0{length}}"


def own_key() -> str:
    """This user's key, in the state folder; made when first asked for. For one machine."""
    path = state_folder() / "otp.key"
    try:
        _make(path)
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} cannot be used ({type(error).__name__})",
            account="verifier",
            field="key",
            remedy="let it be written, or name another folder with QASID_STATE_DIR",
        ) from None


def _make(path: Path) -> None:
    """Whole or not at all: it appears under its name when it is written."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    try:
        os.link(fresh, path)  # fails where another process was faster, whose key is then ours
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
