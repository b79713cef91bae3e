"""``qasid send``."""

from __future__ import annotations

import sys

import click

import qasid
from qasid.cli.output import require_stdout, say, show
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
    require_stdout()
    message = qasid.TextMessage(to=to, text=_given(text), sender=sender)
    with open_account(account, timeout=timeout) as opened:
        receipt = opened.send(message)
    say(f"Accepted for {receipt.to}.")
    show(receipt, as_json=as_json, text=receipt.id or "")


def _given(text: str) -> str:
    if text != "-":
        return text
    if sys.stdin is None:
        raise click.UsageError("stdin is closed: the text cannot be read from it")
    return sys.stdin.read()
