"""``qasid balance``."""

from __future__ import annotations

import click

from qasid.cli.output import show
from qasid.cli.session import account_option, json_option, open_account, timeout_option


@click.command("balance")
@account_option
@timeout_option
@json_option
def command(account: str | None, timeout: float | None, as_json: bool) -> None:
    """Tell the account's credit."""
    with open_account(account, timeout=timeout) as opened:
        money = opened.balance()
    show(money, as_json=as_json, text=str(money))
