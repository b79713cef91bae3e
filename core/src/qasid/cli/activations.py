"""``qasid activations``."""

from __future__ import annotations

import click

from qasid.cli.books import open_books
from qasid.cli.output import say, show, table
from qasid.cli.session import account_option, json_option
from qasid.rentals import Rental


@click.command("activations")
@account_option
@json_option
def command(account: str | None, as_json: bool) -> None:
    """List the numbers that are rented, or may be, of all accounts; asks no provider.

    "pending" was asked for and never answered: it may or may not be rented. "kept" is a number
    that the provider did not take back.
    """
    with open_books(account) as books:
        found = books.current()
    if not found and not books.problems:
        say("No number is rented.")
    header = ["ACTIVATION", "NUMBER", "SERVICE", "COUNTRY", "ACCOUNT", "STATE", "ENDS (UTC)"]
    show(found, as_json=as_json, text=table([header, *map(_row, found)]) if found else "")
    books.check()


def _row(rental: Rental) -> list[str]:
    known = rental.activation
    what = [known.id, known.number, known.service, known.country] if known else ["?"] * 4
    return [*what, rental.account, rental.state, f"{rental.ends_at:%Y-%m-%d %H:%M:%S}"]
