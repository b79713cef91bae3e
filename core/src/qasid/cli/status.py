"""``qasid status``."""

from __future__ import annotations

import attrs
import click

import qasid
from qasid.cli.output import show, table
from qasid.cli.session import account_option, json_option, open_account, timeout_option


@click.command("status")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@account_option
@timeout_option
@json_option
def command(
    ids: tuple[str, ...], account: str | None, timeout: float | None, as_json: bool
) -> None:
    """Tell where messages are, by the IDs of their receipts.

    Pending, delivered, failed or unknown, and the provider's own word for it where there is one.
    """
    receipts = [qasid.Receipt(to="", id=each) for each in ids]
    with open_account(account, timeout=timeout) as opened:
        told = opened.delivery_status(receipts)
    # Some providers do not tell the recipient, and their plugins take that of the receipt.
    found = [attrs.evolve(report, to=report.to or None) for report in told]
    show(found, as_json=as_json, text=table([_HEADER, *map(_row, found)]))


_HEADER = ["ID", "STATE", "AT (UTC)", "TO", "CODE"]


def _row(report: qasid.DeliveryReport) -> list[str]:
    at = "" if report.at is None else f"{report.at:%Y-%m-%d %H:%M:%S}"
    return [report.receipt_id, report.state.value, at, report.to or "", report.code or ""]
