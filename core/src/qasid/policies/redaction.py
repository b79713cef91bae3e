"""An account's secrets, taken out of all that an error shows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

import attrs

from qasid.effects import Response
from qasid.errors import ProviderError, QasidError
from qasid.fields import is_secret
from qasid.values import Credential

__all__ = ["redact", "secrets_of"]

_MARK: Final = "[secret]"
_PRIVATE_HEADERS: Final = frozenset({"set-cookie", "authorization"})


def secrets_of(provider: Any, credential: Credential | None) -> frozenset[str]:
    """The secret settings of a provider, but for public defaults, and a credential's tokens."""
    settings = (
        getattr(provider, field.name)
        for field in attrs.fields(type(provider))
        if is_secret(field) and getattr(provider, field.name) != field.default
    )
    tokens = (credential.token, credential.refresh_token) if credential else ()
    return frozenset(text for text in (*settings, *tokens) if isinstance(text, str) and text)


def redact(error: QasidError, secrets: Iterable[str], *, brings_token: bool = False) -> None:
    """Take the secrets out of the error's text, code, notes and reply; forget those behind it.

    `brings_token` says that a good reply held a secret which nobody knows yet.
    """
    spellings = sorted({form for text in secrets for form in _spellings(text)}, key=len)[::-1]
    error.args = tuple(_hidden(arg, spellings) for arg in error.args)
    if hasattr(error, "__notes__"):
        error.__notes__ = [_hidden(note, spellings) for note in error.__notes__]
    error.__cause__ = error.__context__ = None
    if isinstance(error, ProviderError):
        error.code = _hidden(error.code, spellings)
        error.response = error.response and _cleaned(error.response, spellings, brings_token)


def _spellings(text: str) -> set[str]:
    """As it is, as it stands in an address or a form, and as it stands in JSON."""
    quoted = {quote(text, safe="", errors="replace"), quote_plus(text, errors="replace")}
    return {text, *quoted, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _hidden(text: Any, spellings: Iterable[str]) -> Any:
    if isinstance(text, str):
        for spelling in spellings:
            text = text.replace(spelling, _MARK)
    return text


def _cleaned(response: Response, spellings: Iterable[str], brings_token: bool) -> Response:
    headers = [
        (name, _hidden(value, spellings))
        for name, value in response.headers
        if name.lower() not in _PRIVATE_HEADERS
    ]
    body = _MARK.encode() if brings_token and response.ok else response.body
    for spelling in spellings:
        body = body.replace(spelling.encode(errors="replace"), _MARK.encode())
    return attrs.evolve(response, body=body, headers=headers)
