"""Tokens of DeftSMS: a call's parameters, signed with the account's key (JWT, HS256).

The document shows two forms. Its PHP sample writes the three parts in standard base64 with its
padding; its text sends the reader to jwt.io, which writes them in base64url without. The signature
is over the two first parts as they are written, so the forms have different ones.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

__all__ = ["TokenEncoding", "signed"]

TokenEncoding: TypeAlias = Literal["base64url", "php"]

_HEADER: Final = b'{"typ":"JWT","alg":"HS256"}'  # in the order of the PHP sample


def signed(payload: Mapping[str, Any], key: str, encoding: TokenEncoding) -> str:
    """The token whose payload is `payload`. It never expires, and whoever has it can use it again.

    Characters beyond ASCII are escaped, as PHP does.
    """
    write = _WRITERS[encoding]
    text = b"%b.%b" % (_HEADERS[encoding], write(_json(payload)))
    return f"{text.decode()}.{write(_seal(text, key)).decode()}"


def _seal(text: bytes, key: str) -> bytes:
    import hmac  # late: it loads OpenSSL, which who only lists providers does not need

    return hmac.digest(key.encode(), text, "sha256")


_encoded: Final = json.JSONEncoder(separators=(",", ":")).encode


def _json(value: Mapping[str, Any]) -> bytes:
    return _encoded(value).encode("ascii")


def _bare(data: bytes) -> bytes:
    return b64encode(data).translate(_URL_SAFE).rstrip(b"=")


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_WRITERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"base64url": _bare, "php": b64encode}
_HEADERS: Final = {encoding: write(_HEADER) for encoding, write in _WRITERS.items()}
