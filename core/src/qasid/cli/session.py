"""What commands share: their options, the account they work with, and the state they keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

import qasid
from qasid.cli.output import say

if TYPE_CHECKING:
    from qasid.rentals import Fallback, Rentals
    from qasid.webhooks import Inbox

# What an account needs is imported when one is opened: some commands want the options alone.

__all__ = [
    "account_argument",
    "account_option",
    "chosen_account",
    "json_option",
    "money",
    "not_negative",
    "open_account",
    "open_inbox",
    "open_rentals",
    "reference_option",
    "timeout_option",
]

F = TypeVar("F", bound=Callable[..., Any])

SANDBOX: Final = "sandbox"


def _account_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from qasid import finding, settings

    names = dict.fromkeys([*settings.accounts(), *settings.routes(), *finding.installed()])
    return [name for name in names if name.startswith(incomplete)]


def account_option(command: F) -> F:
    """``--account NAME``, or the variable QASID_ACCOUNT."""
    option = click.option(
        "-a",
        "--account",
        envvar="QASID_ACCOUNT",
        metavar="NAME",
        shell_complete=_account_names,
        help="An account or route of qasid.toml, or a provider. By default the account that is"
        " configured.",
    )
    return option(command)


def account_argument(command: F) -> F:
    """ACCOUNT, for what must not be done to another one by mistake."""
    return click.argument("account", shell_complete=_account_names)(command)


def json_option(command: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")(command)


def reference_option(command: F) -> F:
    """``--reference NAME``."""
    return click.option(
        "--reference",
        metavar="NAME",
        help="Your name for it: with a journal it is done once, however often you ask.",
    )(command)


def timeout_option(command: F) -> F:
    """``--timeout SECONDS`` for one answer of the provider."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="How long to wait for one answer (30).",
    )(command)


def money(ctx: click.Context, param: click.Parameter, value: str | None) -> qasid.Money | None:
    """The amount that an option names."""
    try:
        return None if value is None else qasid.Money.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def not_negative(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """The seconds that an option gives, if it does."""
    if value is not None and not value >= 0:
        raise click.BadParameter("give seconds, zero or more")
    return value


def chosen_account(account: str | None) -> str:
    """The account asked for, else the one that is configured, else the sandbox, and it is said."""
    if account is not None:
        return account
    from qasid import settings

    known = settings.configured()
    if len(known) > 1:
        names = ", ".join(known)
        raise click.UsageError(f"several accounts are configured ({names}); choose with --account")
    if not known:
        say("No account is configured: this is the sandbox, and nothing in it is real.")
    return known[0] if known else SANDBOX


def open_account(
    account: str | None, *, timeout: float | None = None, rentals: Rentals | None = None
) -> qasid.Account:
    """Connect to the chosen account."""
    given: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    return qasid.connect(chosen_account(account), rentals=rentals, **given)


def open_rentals() -> Fallback:
    """The rentals of those accounts of this user that keep no journal."""
    from qasid.rentals import user_fallback

    return user_fallback()


def open_inbox() -> Inbox:
    """What was posted to this user, and where it may be posted to."""
    from qasid import settings
    from qasid.webhooks import Inbox

    return Inbox(settings.state_folder() / "webhooks.sqlite3")
