"""``qasid send``."""

from __future__ import annotations

import sys

import click

import qasid
from qasid.cli.output import say, show
from qasid.cli.session import account_option, json_option, open_account, timeout_option


@click.command("send")
@click.argument("to")
@click.argument("text")
@click.option("--sender", metavar="NUMBER", help="The sender, where the provider lets you choose.")
@account_option
@timeout_option
@json_option
def command(
    to: str,
    text: str,
    sender: str | None,
    account: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Send TEXT to the number TO and print the receipt's id. "-" reads the text from stdin."""
    given = sys.stdin.read() if text == "-" else text
    message = qasid.TextMessage(to=to, text=given, sender=sender)
    with open_account(account, timeout=timeout) as opened:
        receipt = opened.send(message)
    say(f"Accepted for {receipt.to}.")
    show(receipt, as_json=as_json, text=receipt.id or "")
