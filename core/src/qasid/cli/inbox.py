"""``qasid inbox``."""

from __future__ import annotations

import contextlib

import click

import qasid
from qasid.cli.output import plain, say, show, table
from qasid.cli.session import (
    account_option,
    json_option,
    open_account,
    open_rentals,
    rented,
    timeout_option,
)


@click.command("inbox")
@click.argument("activation", required=False)
@click.option(
    "--limit", type=int, default=10, show_default=True, help="How many, without ACTIVATION."
)
@account_option
@timeout_option
@json_option
def command(
    activation: str | None, limit: int, account: str | None, timeout: float | None, as_json: bool
) -> None:
    """Read the messages of a rented number, or of the account's own inbox; oldest first."""
    if activation is None:
        found = _read(account, timeout, qasid.InboxQuery(limit=limit))
    else:
        with contextlib.closing(open_rentals()) as rentals:
            account, rental = rented(rentals, activation, account)
        found = _read(account, timeout, rental.activation)
    if not found:
        say("No message yet.")
    data = [{**plain(message), "code": message.code} for message in found]
    show(data, as_json=as_json, text=table([_row(m) for m in found]) if found else "")


def _read(
    account: str | None, timeout: float | None, inbox: qasid.Activation | qasid.InboxQuery | None
) -> list[qasid.InboundMessage]:
    with open_account(account, timeout=timeout) as opened:
        return opened.fetch_sms(inbox) if inbox is not None else []


def _row(message: qasid.InboundMessage) -> list[str]:
    at = "" if message.received_at is None else f"{message.received_at:%Y-%m-%d %H:%M:%S}"
    return [at, message.sender or "", message.code or "", " ".join(message.text.split())]
