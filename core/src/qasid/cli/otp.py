"""``qasid otp send`` and ``qasid otp verify``."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import click

import qasid
from qasid.cli.exits import NO
from qasid.cli.output import require_stdout, say, show
from qasid.cli.session import (
    account_option,
    json_option,
    open_account,
    reference_option,
    timeout_option,
)

if TYPE_CHECKING:
    from qasid.otp import CodeTemplate, CodeText, Verifier

_purpose: Final = click.option(
    "--purpose",
    default="login",
    show_default=True,
    metavar="NAME",
    help="What the code is good for; it is verified for that alone.",
)
_direct: Final = click.option(
    "--direct",
    is_flag=True,
    help="Only what the provider does: no limits are kept, and a code that it tells is printed.",
)


@click.group("otp")
def command() -> None:
    """Send one-time passwords, and verify them."""


@command.command("send")
@click.argument("to")
@_purpose
@click.option("--text", help="Your text, with {code} in it: the code is then made here.")
@click.option("--domain", help="The site that a code in a text is bound to, such as example.com.")
@click.option("--template", help="The provider's template for a code that is made here.")
@click.option("--caller", help="Whoever asks, such as an address; they are limited too.")
@click.option("--length", type=int, default=6, show_default=True, help="Digits of the code.")
@click.option(
    "--lifetime",
    type=click.FloatRange(0, 1_000_000_000, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
)
@click.option("--channel", help="sms, voice or ussd, where the provider lets you choose.")
@_direct
@click.option("--code", help="With --direct: a code of your own.")
@reference_option
@account_option
@timeout_option
@json_option
def send(
    to: str, direct: bool, account: str | None, timeout: float | None, as_json: bool, **given: Any
) -> None:
    """Send a one-time password to the number TO.

    Within limits for each recipient, caller and country, which are kept over all commands of this
    user; `verify` counts guesses. With --reference (only with --direct) it is sent once.
    """
    _refuse(given, _BY_VERIFIER if direct else _BY_PROVIDER, direct)
    require_stdout()
    with open_account(account, timeout=timeout) as opened:
        if direct:
            _order(opened, to, as_json, given)
        else:
            _issue(opened, to, as_json, given)


_BY_PROVIDER: Final = ("code", "reference")
_BY_VERIFIER: Final = ("text", "domain", "template", "caller")


def _refuse(given: dict[str, Any], names: tuple[str, ...], direct: bool) -> None:
    wrong = [name for name in names if given[name] is not None]
    if wrong:
        raise click.UsageError(f"--{wrong[0]} {'does not go' if direct else 'goes'} with --direct")


def _order(account: qasid.Account, to: str, as_json: bool, given: dict[str, Any]) -> None:
    ticket = account.otp(
        to,
        code=given["code"],
        length=given["length"],
        lifetime=timedelta(seconds=given["lifetime"]),
        channel=given["channel"],
        reference=given["reference"],
    )
    _say(ticket.to, ticket.expires_at, ticket.dial)
    show(ticket, as_json=as_json, text=ticket.code or "")


def _issue(account: qasid.Account, to: str, as_json: bool, given: dict[str, Any]) -> None:
    rules = {"length": given["length"], "lifetime": given["lifetime"]}
    with _verifier(
        account, rules, text=_text(account, given), channel=given["channel"]
    ) as verifier:
        issued = verifier.issue(to, purpose=given["purpose"], caller=given["caller"])
    _say(issued.to, issued.expires_at, issued.dial)
    if issued.segments is not None:
        say(f"The text takes {issued.segments.count} SMS ({issued.segments.encoding}).")
    show(issued, as_json=as_json, text="")


def _say(to: str, ends: datetime | None, dial: str | None) -> None:
    end = "" if ends is None else f", good until {ends:%H:%M:%S} UTC"
    say(f"A code is on its way to {to}{end}.")
    if dial:
        say(f"To see it, dial {dial}")


def _verifier(account: qasid.Account, rules: dict[str, Any], **given: Any) -> Verifier:
    otp = _service(account)
    with _usage():
        made = otp.Rules(**rules)
    verifier: Verifier = otp.Verifier(account, key=otp.own_key(), rules=made, **given)
    return verifier


def _service(account: qasid.Account) -> ModuleType:
    try:
        return importlib.import_module("qasid.otp")  # late: SQLAlchemy takes long to import
    except ImportError as error:
        raise qasid.SettingsError(
            str(error), account=account.name, field="otp", remedy="or use --direct"
        ) from None


def _text(account: qasid.Account, given: dict[str, Any]) -> CodeText | CodeTemplate | None:
    otp = _service(account)
    made: CodeText | CodeTemplate | None = None
    if given["domain"] is not None and given["text"] is None:
        raise click.UsageError("--domain goes with --text")
    with _usage():
        if given["template"] is not None:
            made = otp.CodeTemplate(given["template"])
        elif given["text"] is not None:
            made = otp.CodeText(given["text"], given["domain"])
    return made


@contextlib.contextmanager
def _usage() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@command.command("verify")
@click.argument("to")
@click.argument("code")
@_purpose
@_direct
@account_option
@timeout_option
@json_option
def verify(
    to: str,
    code: str,
    purpose: str,
    direct: bool,
    account: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Tell whether CODE is the one that TO was sent. Exit code 0 when it is, 1 when it is not."""
    with open_account(account, timeout=timeout) as opened:
        verdict = opened.verify_otp(to, code) if direct else _verified(opened, to, code, purpose)
    show(verdict, as_json=as_json, text="accepted" if verdict else "rejected")
    if not verdict:
        raise click.exceptions.Exit(NO)


def _verified(account: qasid.Account, to: str, code: str, purpose: str) -> qasid.OtpVerdict:
    given = {"template": None, "text": None if account.can("verify_otp") else "{code}"}
    text = _text(account, {**given, "domain": None})
    with _verifier(account, {}, text=text) as verifier:
        return verifier.verify(to, code, purpose=purpose)
