"""``qasid otp send`` and ``qasid otp verify``."""

from __future__ import annotations

from datetime import timedelta

import click

from qasid.cli.exits import NO
from qasid.cli.output import require_stdout, say, show
from qasid.cli.session import (
    account_option,
    json_option,
    open_account,
    reference_option,
    timeout_option,
)


@click.group("otp")
def command() -> None:
    """Send one-time passwords, and verify them."""


@command.command("send")
@click.argument("to")
@click.option("--code", help="A code of your own, instead of one that the provider makes.")
@click.option("--length", type=int, default=6, show_default=True, help="Digits of the code.")
@click.option(
    "--lifetime",
    type=click.FloatRange(0, 1_000_000_000, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
)
@click.option("--channel", help="sms, voice or ussd, where the provider lets you choose.")
@reference_option
@account_option
@timeout_option
@json_option
def send(
    to: str,
    code: str | None,
    length: int,
    lifetime: float,
    channel: str | None,
    reference: str | None,
    account: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Send a one-time password to the number TO; prints the code where the provider tells it."""
    require_stdout()
    with open_account(account, timeout=timeout) as opened:
        ticket = opened.otp(
            to,
            code=code,
            length=length,
            lifetime=timedelta(seconds=lifetime),
            channel=channel,
            reference=reference,
        )
    end = "" if ticket.expires_at is None else f", good until {ticket.expires_at:%H:%M:%S} UTC"
    say(f"A code is on its way to {ticket.to}{end}.")
    if ticket.dial:
        say(f"To see it, dial {ticket.dial}")
    show(ticket, as_json=as_json, text=ticket.code or "")


@command.command("verify")
@click.argument("to")
@click.argument("code")
@account_option
@timeout_option
@json_option
def verify(to: str, code: str, account: str | None, timeout: float | None, as_json: bool) -> None:
    """Ask whether CODE is the one that TO was sent. Exit code 0 when it is, 1 when it is not."""
    with open_account(account, timeout=timeout) as opened:
        verdict = opened.verify_otp(to, code)
    show(verdict, as_json=as_json, text="accepted" if verdict else "rejected")
    if not verdict:
        raise click.exceptions.Exit(NO)
