"""``qasid release``."""

from __future__ import annotations

import click

import qasid
from qasid.cli.books import open_books
from qasid.cli.output import say, show
from qasid.cli.session import (
    account_option,
    json_option,
    open_account,
    timeout_option,
)


@click.command("release")
@click.argument("activation")
@click.option("--unusable", is_flag=True, help="Report the number as bad, where the provider can.")
@account_option
@timeout_option
@json_option
def command(
    activation: str, unusable: bool, account: str | None, timeout: float | None, as_json: bool
) -> None:
    """Give a rented number back."""
    reason = qasid.ReleaseReason.UNUSABLE if unusable else qasid.ReleaseReason.UNUSED
    with open_books(account) as books:
        account, rental = books.rented(activation)
        with open_account(account, timeout=timeout, rentals=books.file) as opened:
            released = opened.release(_known(rental.activation), reason)
    say("The number was released.")
    show(released, as_json=as_json, text="")


def _known(activation: qasid.Activation | None) -> qasid.Activation:
    assert activation is not None  # noqa: S101, `rented` looks for its id
    return activation
