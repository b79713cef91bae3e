"""``qasid logout``."""

from __future__ import annotations

import click

from qasid.cli.output import say, show
from qasid.cli.session import account_argument, json_option, open_account


@click.command("logout")
@account_argument
@json_option
def command(account: str, as_json: bool) -> None:
    """Throw away the tokens that the owner of ACCOUNT granted.

    The provider is not told: to make them void, take the client's permission away there.
    """
    with open_account(account) as opened:
        found = opened.logout()
    show({"account": account, "forgotten": found}, as_json=as_json, text=_words(account, found))
    if found:
        say("The provider still takes them, until you take its permission away there.")


def _words(account: str, found: bool) -> str:
    return f"{account} is logged out." if found else f"{account} was not logged in."
