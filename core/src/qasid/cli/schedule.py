"""``qasid schedule cancel``."""

from __future__ import annotations

import click

from qasid.cli.output import say, show
from qasid.cli.session import account_option, json_option, open_account, timeout_option


@click.group("schedule")
def command() -> None:
    """Take back what was sent with --at."""


@command.command("cancel")
@click.argument("batch_id")
@account_option
@timeout_option
@json_option
def cancel(batch_id: str, account: str | None, timeout: float | None, as_json: bool) -> None:
    """Take back what is scheduled under BATCH_ID, which the receipt has, before its moment."""
    with open_account(account, timeout=timeout) as opened:
        cancelled = opened.cancel_scheduled(batch_id)
    say("It will not be sent.")
    show(cancelled, as_json=as_json, text="")
