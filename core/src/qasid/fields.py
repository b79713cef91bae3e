"""The fields of a provider, which are its settings."""

from __future__ import annotations

from typing import Any, Final, TypeGuard
from urllib.parse import urlsplit

import attrs

__all__ = ["base_url", "is_secret", "is_unverified", "secret", "secure_address", "unverified"]

_SECRET: Final = "qasid.secret"
_UNVERIFIED: Final = "qasid.unverified"


def _clean_secret(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError("is empty")
    if not value.isprintable():
        raise ValueError("holds a control character, such as a line end")


def secret(*, default: Any = attrs.NOTHING) -> Any:
    """A setting that must not be seen: no `repr`, no empty value, no control characters.

    With `default=None` it may be left out, as where it usually comes from somewhere else.
    """
    check = attrs.validators.optional(_clean_secret) if default is None else _clean_secret
    return attrs.field(default=default, repr=False, validator=check, metadata={_SECRET: True})


def unverified(default: Any, *, validator: Any = None) -> Any:
    """A setting whose default no document confirms. ``qasid doctor`` says so while it is in use."""
    return attrs.field(default=default, validator=validator, metadata={_UNVERIFIED: True})


def base_url(default: str) -> Any:
    """The provider's whole address: `https`, or `http` to this machine alone."""
    return attrs.field(default=default, converter=_without_slash, validator=_secure)


def _without_slash(text: Any) -> Any:
    return text.rstrip("/") if isinstance(text, str) else text


def _secure(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    secure_address(value, "https", "emulator")


def secure_address(value: object, *schemes: str) -> None:
    """Raise ValueError for an address without TLS, unless it is one of this machine.

    `schemes` are taken in place of ``https``. No user, no query and no fragment may be in it.
    """
    parts = urlsplit(value) if _is_address(value) else urlsplit("")
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be an address such as https://api.example.com/v1")
    if parts.scheme not in (schemes or ("https",)) and not (parts.scheme == "http" and local):
        raise ValueError("must begin with https:// (http:// only to this machine)")


def _is_address(value: object) -> TypeGuard[str]:
    # `urlsplit` drops line ends and leaves it to others to find that a port is none.
    if not isinstance(value, str) or not value.isprintable() or {*value} & {*" ?#\\"}:
        return False
    try:
        return urlsplit(value).port != 0
    except ValueError:
        return False


def is_secret(field: attrs.Attribute[Any]) -> bool:
    """Whether a provider's field must not be seen."""
    return bool(field.metadata.get(_SECRET))


def is_unverified(field: attrs.Attribute[Any]) -> bool:
    """Whether no document confirms a provider's field's default."""
    return bool(field.metadata.get(_UNVERIFIED))
