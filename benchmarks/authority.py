"""A certificate for this machine, whose authority stands among all those of certifi.

So whoever reads the bundle reads as much as in real life.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import trustme
from certifi import where

__all__ = ["Authority", "issued"]


@attrs.frozen
class Authority:
    """Files: what clients trust, and the server's certificate with its key."""

    bundle: Path
    certificate: Path


def issued(folder: Path) -> Authority:
    """A new one in `folder`."""
    found = Authority(folder / "authorities.pem", folder / "server.pem")
    authority = trustme.CA()
    found.bundle.write_bytes(Path(where()).read_bytes() + authority.cert_pem.bytes())
    pem = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    pem.write_to_path(str(found.certificate))
    return found
