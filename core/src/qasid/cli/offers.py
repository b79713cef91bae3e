"""``qasid offers``."""

from __future__ import annotations

import click

from qasid.cli.output import say, show, table
from qasid.cli.session import account_option, json_option, open_account, timeout_option
from qasid.values import Offer


@click.command("offers")
@click.option("--service", metavar="CODE", help="Only this service.")
@click.option("--country", metavar="CODE", help="Only this country.")
@account_option
@timeout_option
@json_option
def command(
    service: str | None,
    country: str | None,
    account: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """List what can be rented, with prices and, where the provider tells, stock."""
    with open_account(account, timeout=timeout) as opened:
        found = opened.offers(service, country)
    if not found:
        say("Nothing is on offer for that service and country.")
    header = [["SERVICE", "COUNTRY", "PRICE", "STOCK", "NAME"]] if found else []
    text = table([*header, *map(_row, found)]) if found else ""
    show(found, as_json=as_json, text=text)


def _row(offer: Offer) -> list[str]:
    price = "" if offer.price is None else str(offer.price)
    stock = "?" if offer.stock is None else str(offer.stock)
    name = ", ".join(filter(None, (offer.service_name, offer.country_name)))
    return [offer.service, offer.country, price, stock, name]
