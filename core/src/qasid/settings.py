"""Settings: from arguments, then the environment, then ``qasid.toml``; a mistake is one error.

For the account `work` the field `api_key` is looked for in the arguments of `connect`, in the
variable ``QASID_WORK_API_KEY``, and in the table ``[accounts.work]`` of ``qasid.toml``, first in
the current directory and then in the user's config directory. A text may be a reference:
``{ env = "NAME" }``, ``{ file = "PATH" }`` or ``{ keyring = "SERVICE/USER" }``.
"""

from __future__ import annotations

import math
import os
import stat
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from qasid import finding
from qasid.errors import PluginError, ProviderNotFound, SettingsError
from qasid.fields import is_secret, secret
from qasid.values import Money

__all__ = [
    "Options",
    "Resolved",
    "accounts",
    "configured",
    "is_readable",
    "options",
    "resolve",
    "routes",
    "state_folder",
    "typed",
    "typed_fields",
]

FILE_NAME: Final = "qasid.toml"

#: The variable of a folder, or else the folder in HOME (XDG Base Directory Specification 0.8).
_XDG: Final = {
    "config": ("XDG_CONFIG_HOME", ".config"),
    "state": ("XDG_STATE_HOME", ".local/state"),
}

Fields: TypeAlias = "Mapping[str, attrs.Attribute[Any]]"

_finite: Any = attrs.validators.lt(math.inf)
_positive: Any = attrs.validators.and_(attrs.validators.gt(0), _finite)
_not_negative: Any = attrs.validators.and_(attrs.validators.ge(0), _finite)


@attrs.frozen(kw_only=True)
class Options:
    """The options that every account has, beside its provider's own settings.

    `connect_timeout` and `timeout` (until the whole answer is there) are seconds, `max_body` bytes.
    At most `pool_size` requests are under way at once, each on a connection of its own; one that
    was not used for `idle_timeout` seconds is not used again.
    `max_wait` is how many seconds a call may wait for the provider's limits before it fails.
    The next three are the budget for renting: `max_open` activations at once, `max_per_day` in any
    24 hours, and `max_spend` in any 24 hours, where set (such as ``"5.00 USD"``).
    A balance that is less than `low_balance` is told to listeners when it is asked for. `tokens`
    is where to keep what the account's owner grants it: in the system's keyring if there is one and
    else in a file (``auto``), in one of them, or nowhere (``none``).
    `journal` says whether what costs money is recorded before it is tried: with `on` wherever that
    can be done, with `strict` or else it is not tried. `journal_url` is SQLAlchemy's, and may hold
    a password; without one the journal is a file of this user's. `journal_recipients` are stored
    as they are or as a keyed digest, and `journal_retention` is counted in days.
    """

    connect_timeout: float = attrs.field(default=10.0, validator=_positive)
    timeout: float = attrs.field(default=30.0, validator=_positive)
    max_body: int = attrs.field(default=1_048_576, validator=_positive)
    pool_size: int = attrs.field(default=10, validator=_positive)
    idle_timeout: float = attrs.field(default=15.0, validator=_positive)
    max_wait: float = attrs.field(default=120.0, validator=_not_negative)
    max_open: int = attrs.field(default=2, validator=_not_negative)
    max_per_day: int = attrs.field(default=20, validator=_not_negative)
    max_spend: Money | None = None
    low_balance: Money | None = None
    tokens: Literal["auto", "file", "keyring", "none"] = "auto"
    journal: Literal["off", "on", "strict"] = attrs.field(
        default="off", validator=attrs.validators.in_(("off", "on", "strict"))
    )
    journal_url: str | None = secret(default=None)
    journal_recipients: Literal["clear", "digest"] = attrs.field(
        default="clear", validator=attrs.validators.in_(("clear", "digest"))
    )
    journal_retention: float = attrs.field(default=90.0, validator=_positive)


@attrs.frozen(kw_only=True)
class Resolved:
    """An account, ready: its name, its provider's name, the provider itself, and the options."""

    account: str
    provider_name: str
    provider: Any
    options: Options


@attrs.frozen(kw_only=True)
class _Given:
    """One raw value and where it came from."""

    value: Any = attrs.field(repr=False)
    place: str
    path: Path | None = None


def resolve(name: str, arguments: Mapping[str, Any] | None = None) -> Resolved:
    """Everything that the account or provider `name` needs.

    Raises `SettingsError`, `ProviderNotFound`, `PluginError`.
    """
    provider_name, found, fields, given = _given(name, arguments or {})
    values = {key: _value(name, fields[key], given[key]) for key in given}
    return Resolved(
        account=name,
        provider_name=provider_name,
        provider=_build(name, found, values),
        options=_build(name, Options, values),
    )


def options(name: str) -> Options:
    """The options of an account alone: the provider's own settings may be missing.

    Raises `SettingsError`, `ProviderNotFound`, `PluginError`.
    """
    _, _, fields, given = _given(name, {})
    mine = given.keys() & {field.name for field in attrs.fields(Options)}
    values = {key: _value(name, fields[key], given[key]) for key in mine}
    found: Options = _build(name, Options, values)
    return found


def _given(
    name: str, arguments: Mapping[str, Any]
) -> tuple[str, type[Any], Fields, dict[str, _Given]]:
    """An account's provider, the fields that it has, and the raw values of those that are set."""
    table, path = accounts().get(name, ({}, None))
    provider_name = _provider_name(name, table)
    found = _provider(provider_name)
    fields = _fields(provider_name, found)
    return provider_name, found, fields, _gather(name, fields, arguments, table, path)


def _provider_name(name: str, table: Mapping[str, Any]) -> str:
    provider_name = table.get("provider", name)
    if not isinstance(provider_name, str):
        raise _error("is not a text", name, "provider", 'write provider = "NAME"')
    return provider_name


def _provider(provider_name: str) -> type[Any]:
    try:
        return finding.provider(provider_name)
    except ProviderNotFound as error:
        known = ", ".join(accounts()) or "none"
        raise ProviderNotFound(f"{error} (accounts in {FILE_NAME}: {known})") from None


def _fields(provider_name: str, found: type[Any]) -> Fields:
    own, options = typed_fields(provider_name, found), typed_fields(provider_name, Options)
    if own.keys() & {"provider", *options}:
        raise PluginError(f"{provider_name!r} is broken: a field has the name of an option")
    return {**own, **options}


def typed_fields(provider_name: str, kind: type[Any]) -> Fields:
    """The fields of an attrs class that may be given, with types for their annotations.

    Raises `PluginError` where an annotation cannot be understood.
    """
    try:
        resolved = attrs.fields(attrs.resolve_types(kind))
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        problem = f"{provider_name!r} is broken: the type of a field cannot be told: {error}"
        raise PluginError(problem) from error
    return {field.alias or field.name: field for field in resolved if field.init}


# Where values come from.


def config_paths() -> tuple[Path, Path]:
    """The two places of ``qasid.toml``, the nearer first."""
    return Path(FILE_NAME), _user_folder("config") / FILE_NAME


def state_folder() -> Path:
    """Where Qasid keeps what has to outlive it: QASID_STATE_DIR, or the user's state folder."""
    named = os.environ.get("QASID_STATE_DIR")
    return Path(named) if named else _user_folder("state")


def _user_folder(kind: Literal["config", "state"]) -> Path:
    """This user's folder of that kind for Qasid: the one that platformdirs tells."""
    variable, usual = _XDG[kind]
    base = Path(os.environ.get(variable) or Path(os.environ.get("HOME", ""), usual))
    if sys.platform == "linux" and "ANDROID_ROOT" not in os.environ and base.is_absolute():
        return base / "qasid"
    import platformdirs  # late: it is large, and would tell the same where nothing is unusual

    return Path(getattr(platformdirs, f"user_{kind}_dir")("qasid"))


def accounts() -> dict[str, tuple[dict[str, Any], Path | None]]:
    """The accounts of ``qasid.toml``: table and file of each. Raises `SettingsError`."""
    return _named("accounts")


def routes() -> dict[str, tuple[dict[str, Any], Path | None]]:
    """The routes of ``qasid.toml``: table and file of each. Raises `SettingsError`."""
    return _named("routes")


def _named(kind: str) -> dict[str, tuple[dict[str, Any], Path | None]]:
    found: dict[str, tuple[dict[str, Any], Path | None]] = {}
    for path in config_paths():
        for name, table in _tables(path, kind).items():
            found.setdefault(name, (table, path))
    return found


def _tables(path: Path, kind: str) -> dict[str, dict[str, Any]]:
    document = _document(path)
    for key in document:
        _known(str(path), ["accounts", "routes"], key, "the file")
    tables = document.get(kind, {})
    if not (isinstance(tables, dict) and all(isinstance(t, dict) for t in tables.values())):
        raise _error("is not a table of tables", str(path), kind, f"write [{kind}.NAME]")
    return tables


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _error(
            f"cannot be read ({type(error).__name__})", str(path), "*", "mend it"
        ) from None
    return _parsed(path, text)


def _parsed(path: Path, text: str) -> dict[str, Any]:
    import tomllib  # late: most often there is no file, or one of two

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = str(error).rpartition("(at ")[2].rstrip(")")
        raise _error(f"is not TOML (at {where})", str(path), "*", "mend that line") from None


def configured() -> list[str]:
    """Every account that has settings: those of ``qasid.toml``, and providers with variables."""
    tables = accounts()
    others = [*finding.installed(), *tables]
    by_environment = [name for name in finding.installed() if any(_variables(name, others))]
    return list(dict.fromkeys([*tables, *by_environment]))


def _prefix(name: str) -> str:
    return f"QASID_{name.upper().replace('-', '_').replace('.', '_')}_"


def _variables(name: str, others: Iterable[str]) -> Iterable[str]:
    """The variables of that account, but for those of an account with a longer name."""
    mine = _prefix(name)
    longer = tuple(p for p in map(_prefix, others) if p.startswith(mine) and p != mine)
    return [v for v in os.environ if v.startswith(mine) and not v.startswith(longer)]


def _gather(
    name: str,
    fields: Fields,
    arguments: Mapping[str, Any],
    table: Mapping[str, Any],
    path: Path | None,
) -> dict[str, _Given]:
    given = {
        key: _Given(value=value, place=f"{path}", path=path)
        for key, value in table.items()
        if key != "provider"
    }
    for variable in _variables(name, [*finding.installed(), *accounts()]):
        key = variable.removeprefix(_prefix(name)).lower()
        given[key] = _Given(value=os.environ[variable], place=f"the variable {variable}")
    given |= {k: _Given(value=v, place="the arguments") for k, v in arguments.items()}
    for key, value in given.items():
        _known(name, fields, key, value.place)
    return given


def _known(name: str, fields: Iterable[str], key: str, place: str) -> None:
    if key not in fields:
        import difflib

        close = difflib.get_close_matches(key, fields, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(fields))}"
        raise _error(f"is unknown (in {place})", name, key, remedy)


# From a raw value to a typed one.


def _value(name: str, field: attrs.Attribute[Any], given: _Given) -> Any:
    if isinstance(given.value, dict):
        return _referred(name, field, given.value)
    if given.path is not None and is_secret(field):
        _private(name, field.name, given.path)
    return typed(name, field, given.value)


def _referred(name: str, field: attrs.Attribute[Any], reference: dict[str, Any]) -> Any:
    match reference:
        case {"env": str(variable), **rest} if not rest:
            text = os.environ.get(variable)
            problem, remedy = f"the variable {variable} is not set", f"set {variable}"
        case {"file": str(path), **rest} if not rest:
            text = _file_text(name, field.name, Path(os.path.expanduser(path)))  # noqa: PTH111
            problem, remedy = "", ""
        case {"keyring": str(entry), **rest} if not rest and "/" in entry:
            text = _keyring_text(name, field.name, entry)
            problem, remedy = f"the keyring has no {entry!r}", "store it there"
        case _:
            text, problem = None, "is not a reference"
            remedy = 'write { env = "…" }, { file = "…" } or { keyring = "SERVICE/USER" }'
    if text is None:
        raise _error(problem, name, field.name, remedy)
    return typed(name, field, text)


def _file_text(name: str, field: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # also a path that holds a NUL
        problem = f"the file {path} cannot be read ({type(error).__name__})"
        raise _error(problem, name, field, "name a readable text file") from None
    _private(name, field, path)
    return text.removesuffix("\n").removesuffix("\r")


def _private(name: str, field: str, path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise _error(f"{path} is open to all users", name, field, f"run: chmod 600 {path}")


def _keyring_text(name: str, field: str, entry: str) -> str | None:
    try:
        import keyring
    except ImportError:
        remedy = 'run: pip install "qasid[keyring]"'
        raise _error("the keyring library is not installed", name, field, remedy) from None
    service, _, user = entry.rpartition("/")
    try:
        return keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        problem = f"the keyring failed ({type(error).__name__})"
        raise _error(problem, name, field, "unlock or install one, or use { file = … }") from None


def _truth(text: str) -> bool:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
        text.strip().lower()
    ]


def _exact(given: str | int) -> Decimal:
    try:
        value = Decimal(given)
    except InvalidOperation:
        raise ValueError from None
    if not value.is_finite():
        raise ValueError
    return value


def _seconds(given: str | float) -> timedelta:
    return timedelta(seconds=float(given))


#: For each type: how another value becomes one, from which types besides `str`, its name, a sample.
_READERS: Final[Mapping[type, tuple[Callable[[Any], Any], tuple[type, ...], str, str]]] = {
    str: (str, (), "a text", '"so"'),
    int: (int, (), "a whole number", "5"),
    float: (float, (int,), "a number", "2.5"),
    Decimal: (_exact, (int,), "an exact number", "2.5"),
    bool: (_truth, (), "true or false", "true"),
    timedelta: (_seconds, (int, float), "a number of seconds", "90"),
    Money: (Money.parse, (), "an amount and a currency", "'5.00 USD'"),
}


def typed(name: str, field: attrs.Attribute[Any], value: Any) -> Any:
    """A raw value as the field's type has it. Raises `SettingsError`, which never holds it."""
    arms = _arms(field.type)
    if value is None and type(None) in arms:
        return None
    choices = typing.get_args(arms[0]) if typing.get_origin(arms[0]) is typing.Literal else ()
    if choices:
        return _chosen(name, field, value, choices)
    return _read(name, field, value, arms[0]) if arms[0] in _READERS else value


def is_readable(kind: Any) -> bool:
    """Whether `typed` can make that type from a text."""
    arm = _arms(kind)[0]
    return arm in _READERS or typing.get_origin(arm) is typing.Literal


def _chosen(name: str, field: attrs.Attribute[Any], value: Any, choices: Iterable[Any]) -> Any:
    if value in choices:
        return value
    known = ", ".join(map(str, choices))
    raise _error("is none of its choices", name, field.name, f"choose one of: {known}")


def _read(name: str, field: attrs.Attribute[Any], value: Any, kind: type) -> Any:
    reader, others, words, sample = _READERS[kind]
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    try:
        if isinstance(value, str) or type(value) in others:
            return reader(value)
    except (ValueError, KeyError, OverflowError):
        pass
    raise _error(f"is not {words}", name, field.name, f"write it like {sample}")


def _arms(kind: Any) -> tuple[Any, ...]:
    """The types of a union, `None` last; of any other type that type alone."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return tuple(sorted(typing.get_args(kind), key=lambda arm: arm is type(None)))
    return (kind,)


def _build(name: str, kind: type[Any], values: Mapping[str, Any]) -> Any:
    fields = {field.alias or field.name: field for field in attrs.fields(kind) if field.init}
    missing = [k for k, f in fields.items() if f.default is attrs.NOTHING and k not in values]
    if missing:
        remedy = f"set the variable {_prefix(name)}{missing[0].upper()} or pass {missing[0]}="
        raise _error("is missing", name, missing[0], remedy)
    mine = {key: value for key, value in values.items() if key in fields}
    try:
        return kind(**mine)
    except (ValueError, TypeError) as error:
        raise _blame(name, fields, mine, error) from None


def _blame(name: str, fields: Fields, values: Mapping[str, Any], error: Exception) -> SettingsError:
    """Which field did not fit, and why where that can be said without showing a value."""
    culprit = next((key for key, value in values.items() if _fails(fields[key], value)), "?")
    hidden = [value for key, value in values.items() if key == culprit or is_secret(fields[key])]
    problem = "is out of range" if _shows(str(error), hidden) else str(error)
    return _error(problem, name, culprit, "give a value that fits")


def _shows(text: str, values: Iterable[Any]) -> bool:
    forms = {form for value in values for form in (str(value), repr(value).strip("'\""))}
    return any(form in text for form in forms - {""})


def _fails(field: attrs.Attribute[Any], value: Any) -> bool:
    try:
        converted = field.converter(value) if callable(field.converter) else value
        if field.validator is not None:
            field.validator(None, field, converted)
    except (ValueError, TypeError):
        return True
    except AttributeError:  # it looks at the other fields, which are not there
        return False
    return False


def _error(problem: str, account: str, field: str, remedy: str) -> SettingsError:
    return SettingsError(problem, account=account, field=field, remedy=remedy)
