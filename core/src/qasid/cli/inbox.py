"""``qasid inbox``."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any

import click

import qasid
from qasid.cli.books import open_books
from qasid.cli.output import plain, say, show, show_lines, table
from qasid.cli.session import (
    account_option,
    json_option,
    not_negative,
    open_account,
    timeout_option,
)
from qasid.cli.signals import Interrupted, Signals


@click.command("inbox")
@click.argument("activation", required=False)
@click.option(
    "--limit", type=int, default=10, show_default=True, help="How many, without ACTIVATION."
)
@click.option("--follow", is_flag=True, help="Go on: print each message that comes, once.")
@click.option(
    "--for",
    "seconds",
    type=float,
    callback=not_negative,
    metavar="SECONDS",
    help="How long to follow. By default until Ctrl-C.",
)
@account_option
@timeout_option
@json_option
def command(
    activation: str | None,
    limit: int,
    follow: bool,
    seconds: float | None,
    account: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Read the messages of a rented number, or of the account's own inbox; oldest first.

    With --follow it looks again and again, as often as the provider allows, through failures that
    may pass; with --json it then prints a line for each message. Of the account's own inbox it
    looks at as many messages as --limit says: let that be more than can come between two looks.
    """
    if seconds is not None and not follow:
        raise click.UsageError("--for goes with --follow")
    page = qasid.InboxQuery(limit=limit)
    with _opened(activation, page, account, timeout) as (opened, inbox):
        if follow:
            _follow(opened, inbox, math.inf if seconds is None else seconds, as_json)
        else:
            _show(opened.fetch_sms(inbox), as_json)


@contextlib.contextmanager
def _opened(
    activation: str | None, page: qasid.InboxQuery, account: str | None, timeout: float | None
) -> Iterator[tuple[qasid.Account, Any]]:
    """The account, and which of its inboxes."""
    if activation is None:
        with open_account(account, timeout=timeout) as opened:
            yield opened, page
        return
    with open_books(account) as books:
        account, rental = books.rented(activation)
        with open_account(account, timeout=timeout, rentals=books.file) as opened:
            yield opened, rental.activation


def _show(found: list[qasid.InboundMessage], as_json: bool) -> None:
    if not found:
        say("No message yet.")
    text = table([_row(message) for message in found]) if found else ""
    show([_data(message) for message in found], as_json=as_json, text=text)


def _follow(account: qasid.Account, inbox: Any, seconds: float, as_json: bool) -> None:
    """Ctrl-C is its ordinary end."""

    def tell(message: qasid.InboundMessage) -> None:
        show_lines([json.dumps(_data(message)) if as_json else table([_row(message)])])

    def trouble(error: qasid.ProviderError) -> None:
        say(f"{type(error).__name__}: {error}; looking again")

    signals = Signals()
    with contextlib.suppress(Interrupted), signals.kept():
        waiting = account.with_driver(signals.attentive(account.driver))
        waiting.follow_sms(inbox, tell, trouble=trouble, timeout=seconds)


def _data(message: qasid.InboundMessage) -> dict[str, Any]:
    return {**plain(message), "code": message.code}


def _row(message: qasid.InboundMessage) -> list[str]:
    at = "" if message.received_at is None else f"{message.received_at:%Y-%m-%d %H:%M:%S}"
    return [at, message.sender or "", message.code or "", " ".join(message.text.split())]
