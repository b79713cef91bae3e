"""The switches of an emulator, which are the fields of its class, from texts."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import click

from qasid import settings
from qasid.emulation import Emulator
from qasid.errors import SettingsError

__all__ = ["known", "made"]

_HINT: Final = "'--set'"


def made(name: str, kind: type[Emulator], switches: Sequence[tuple[str, str]]) -> Emulator:
    """An emulator with these switches. Raises click's BadParameter, which names those known."""
    fields = known(name, kind)
    values = {key: _value(name, fields, key, text) for key, text in switches}
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        if not values:
            raise
        problem = f"{name} takes no such value: {error}"
        raise click.BadParameter(problem, param_hint=_HINT) from None


def known(name: str, kind: type[Emulator]) -> dict[str, attrs.Attribute[Any]]:
    """The fields that can be set from a text, by their names."""
    fields = settings.typed_fields(name, kind) if attrs.has(kind) else {}
    return {key: field for key, field in fields.items() if _is_readable(field.type)}


def _is_readable(kind: Any) -> bool:
    return settings.is_readable(kind) or typing.get_origin(kind) in _CONTAINERS


def _value(name: str, fields: Mapping[str, attrs.Attribute[Any]], key: str, text: str) -> Any:
    if key not in fields:
        words = ", ".join(sorted(fields)) or "none"
        raise click.BadParameter(f"{name} has no {key!r}; known: {words}", param_hint=_HINT)
    try:
        return _typed(name, fields[key], text)
    except SettingsError as error:
        problem = f"{key} {error.problem}; {error.remedy}"
        raise click.BadParameter(problem, param_hint=_HINT) from None


def _typed(name: str, field: attrs.Attribute[Any], text: str) -> Any:
    if typing.get_origin(field.type) not in _CONTAINERS:
        return settings.typed(name, field, text)
    words, sample = _CONTAINERS[typing.get_origin(field.type)]
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not _fits(field.type, value):
        remedy = f"write it like {sample}"
        raise SettingsError(f"is not {words}", account=name, field=field.name, remedy=remedy)
    return tuple(value) if isinstance(value, list) else value


def _fits(kind: Any, value: Any) -> bool:
    """Whether JSON is of that type; of a mapping every key is a text anyway."""
    container, arms = typing.get_origin(kind), typing.get_args(kind)
    if container is tuple:
        return isinstance(value, list) and [type(item) for item in value] == [*arms]
    return isinstance(value, dict) and all(type(item) is arms[1] for item in value.values())


#: Types that are written as JSON: in words, and a sample.
_CONTAINERS: Final[Mapping[Any, tuple[str, str]]] = {
    Mapping: ("an object of such values", '{"name": "value"}'),
    tuple: ("a list of as many such values", "[0, 1, 2]"),
}
