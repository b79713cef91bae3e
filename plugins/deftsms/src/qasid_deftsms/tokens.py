"""Tokens of DeftSMS: a call's parameters, signed with the account's key (JWT, HS256).

The document shows two forms. Its PHP sample writes the three parts in standard base64 with its
padding; its text sends the reader to jwt.io, which writes them in base64url without. The signature
is over the two first parts as they are written, so the forms have different ones.
"""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

__all__ = ["TokenEncoding", "signed"]

TokenEncoding: TypeAlias = Literal["base64url", "php"]

_HEADER: Final = {"typ": "JWT", "alg": "HS256"}  # in the order of the PHP sample


def signed(payload: Mapping[str, Any], key: str, encoding: TokenEncoding) -> str:
    """The token whose payload is `payload`. It never expires, and whoever has it can use it again.

    Characters beyond ASCII are escaped, as PHP does.
    """
    # Late: it brings a whole cryptography library along, where that is installed. Its `encode`
    # knows base64url alone, and warns of keys under 32 bytes, which the operator hands out.
    import jwt

    algorithm = jwt.get_algorithm_by_name("HS256")
    write = _WRITERS[encoding]
    text = b".".join(write(_json(part)) for part in (_HEADER, payload))
    signature = write(algorithm.sign(text, algorithm.prepare_key(key)))
    return b".".join([text, signature]).decode("ascii")


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _bare(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


_WRITERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"base64url": _bare, "php": b64encode}
