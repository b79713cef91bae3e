"""``qasid doctor``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import attrs
import click

import qasid
from qasid import finding, journal, settings
from qasid.cli.exits import NO
from qasid.cli.output import show, table
from qasid.cli.session import (
    account_option,
    chosen_account,
    json_option,
    open_account,
    open_rentals,
    timeout_option,
)
from qasid.fields import is_unverified

_UNKNOWN = "[not verified]"


@attrs.frozen
class Finding:
    """One thing that was looked at: `ok` is None where it could not be known."""

    account: str
    subject: str
    ok: bool | None
    words: str


@click.command("doctor")
@account_option
@timeout_option
@json_option
def command(account: str | None, timeout: float | None, as_json: bool) -> None:
    """Check settings, connection and authentication of each account, without spending anything."""
    names = [account] if account else settings.configured() or [chosen_account(None)]
    found = [*_state(), *(item for name in names for item in _account(name, timeout))]
    rows = [[_mark(f.ok), f.account, f.subject, f.words] for f in found]
    show(found, as_json=as_json, text=table(rows))
    if any(f.ok is False for f in found):
        raise click.exceptions.Exit(NO)


def _mark(ok: bool | None) -> str:
    return {True: "ok", False: "FAILED", None: _UNKNOWN}[ok]


def _state() -> Iterator[Finding]:
    try:
        with contextlib.closing(open_rentals()):
            yield Finding("*", "state directory", True, "can be written")
    except qasid.SettingsError as error:
        yield Finding("*", "state directory", False, str(error))


def _account(name: str, timeout: float | None) -> Iterator[Finding]:
    try:
        opened = open_account(name, timeout=timeout)
    except qasid.QasidError as error:
        yield Finding(name, "settings", False, f"{type(error).__name__}: {error}")
        return
    with opened:
        yield Finding(name, "settings", True, f"provider {opened.provider_name}")
        yield from _journal(name)
        yield from _guessed(opened)
        login = _login(opened)
        if login is not None:
            yield login
        if login is None or login.ok:
            yield from _contact(opened)


def _journal(name: str) -> Iterator[Finding]:
    """Whether it can be used, where the account keeps one."""
    options = settings.options(name)
    if options.journal == "off":
        return
    try:
        with contextlib.closing(journal.opened(name, options.journal_url)) as kept:
            kept.find("")
    except qasid.JournalUnavailable as error:
        yield Finding(name, "journal", False, str(error))
    else:
        yield Finding(name, "journal", True, options.journal)


def _guessed(account: qasid.Account) -> Iterator[Finding]:
    """Settings left at a default that no document confirms."""
    provider = account.provider
    for field in attrs.fields(type(provider)):
        if is_unverified(field) and getattr(provider, field.name) == field.default:
            words = f"{field.name}: no document confirms its default; ask the provider and set it"
            yield Finding(account.name, "settings", None, words)


def _login(account: qasid.Account) -> Finding | None:
    """Whether the owner's tokens are there, which are only looked at."""
    if account.vault is None:
        return None
    try:
        grant = account.vault.load()
    except qasid.SettingsError as error:
        return Finding(account.name, "login", False, str(error))
    if grant is None:
        return _beginning(account)
    end = grant.credential.expires_at
    words = "" if end is None else f"; the token ends {end:%Y-%m-%d %H:%M} UTC"
    return Finding(account.name, "login", True, f"logged in{words}")


def _beginning(account: qasid.Account) -> Finding:
    if account.provider.refresh_token:
        return Finding(account.name, "login", True, "begins with the refresh token of the settings")
    words = f"not logged in; run: qasid login {account.name}"
    return Finding(account.name, "login", False, words)


def _contact(account: qasid.Account) -> Iterator[Finding]:
    """The cheapest question that needs both a connection and the right key."""
    asked = _question(account)
    if asked is None:
        yield Finding(
            account.name, "connection", None, "there is nothing that costs nothing to ask"
        )
        yield Finding(account.name, "authentication", None, "no call of this provider proves it")
        return
    yield from _answered(account, asked)


def _question(account: qasid.Account) -> Callable[[], object] | None:
    able = finding.implemented(type(account.provider))
    questions = {"authenticate": account.authenticate, "balance": account.balance}
    return next((ask for hook, ask in reversed(questions.items()) if hook in able), None)


def _answered(account: qasid.Account, ask: Callable[[], object]) -> Iterator[Finding]:
    try:
        ask()
    except (qasid.AuthenticationFailed, qasid.PermissionDenied) as error:
        yield Finding(account.name, "connection", True, _how(account))
        yield Finding(account.name, "authentication", False, f"{type(error).__name__}: {error}")
    except qasid.QasidError as error:
        yield Finding(account.name, "connection", False, f"{type(error).__name__}: {error}")
        yield Finding(account.name, "authentication", None, "the provider could not be asked")
    else:
        yield Finding(account.name, "connection", True, _how(account))
        yield Finding(account.name, "authentication", True, "the provider let this account in")


def _how(account: qasid.Account) -> str:
    scheme = urlsplit(account.provider.base_url).scheme
    return {"https": "TLS, certificate verified"}.get(scheme, f"{scheme}, this machine only")
