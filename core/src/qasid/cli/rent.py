"""``qasid rent``."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator

import click

import qasid
from qasid.cli.output import require_stdout, say, show
from qasid.cli.progress import bar
from qasid.cli.session import (
    account_option,
    json_option,
    money,
    not_negative,
    open_account,
    open_inbox,
    open_rentals,
    reference_option,
)
from qasid.cli.signals import Signals
from qasid.operations import GONE


def _compilable(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        re.compile(value or "")
    except (re.error, OverflowError) as error:
        raise click.BadParameter(f"no regular expression: {error}") from None
    return value


@click.command("rent")
@click.argument("service")
@click.argument("country")
@click.option(
    "--timeout",
    type=float,
    callback=not_negative,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a message.",
)
@click.option("--sender", help="Only a message from exactly this sender.")
@click.option(
    "--pattern", callback=_compilable, help="Only a message whose text has this regular expression."
)
@click.option(
    "--max-price",
    metavar="MONEY",
    callback=money,
    help="Refuse a dearer number than that, such as '0.50 USD'.",
)
@click.option(
    "--callback",
    metavar="URL",
    help="Have its messages posted there too, as to an address of qasid webhook new.",
)
@reference_option
@click.option("--keep", is_flag=True, help="Do not release the number at the end.")
@account_option
@json_option
def command(
    service: str,
    country: str,
    timeout: float,
    sender: str | None,
    pattern: str | None,
    max_price: qasid.Money | None,
    callback: str | None,
    reference: str | None,
    keep: bool,
    account: str | None,
    as_json: bool,
) -> None:
    """Rent a number, wait for a message to it, print the code, and release the number.

    SERVICE and COUNTRY are the provider's own codes: see qasid offers. However the command ends, by
    a time-out, Ctrl-C or SIGTERM, the number is released, unless --keep is given. What was rented
    under a --reference is not rented again: its messages are looked for.
    """
    require_stdout()
    signals = Signals()
    with (
        signals.kept(),
        contextlib.closing(open_rentals()) as rentals,
        open_account(account, rentals=rentals) as opened,
        _binding(callback) as bind,
    ):
        paying = opened.with_driver(signals.attentive(opened.driver, paying=True))
        activation = paying.acquire_number(
            service, country, max_price=max_price, callback_url=callback, reference=reference
        )
        try:
            bind(activation)
            with signals.let_in():
                _announce(activation, timeout)
            waiting = opened.with_driver(signals.attentive(opened.driver))
            message = _awaited(waiting, activation, sender, pattern, timeout)
            _report(activation, message, as_json)
        finally:  # no signal comes between the two: it is let in by what waits alone
            _end(opened, activation, keep)


@contextlib.contextmanager
def _binding(callback: str | None) -> Iterator[Callable[[qasid.Activation], object]]:
    """What tells the inbox whose address the callback is: the file is opened before it is paid."""
    if callback is None:
        yield lambda _: None
        return
    with contextlib.closing(open_inbox()) as inbox:
        yield functools.partial(inbox.bind, callback)


def _awaited(
    account: qasid.Account,
    activation: qasid.Activation,
    sender: str | None,
    pattern: str | None,
    timeout: float,
) -> qasid.InboundMessage:
    with bar():
        return account.wait_for_sms(activation, sender=sender, pattern=pattern, timeout=timeout)


def _end(account: qasid.Account, activation: qasid.Activation, keep: bool) -> None:
    if keep:
        say(f"The number is kept; release it with: qasid release {activation.id}")
    else:
        _release(account, activation)


def _release(account: qasid.Account, activation: qasid.Activation) -> None:
    try:
        account.release(activation)
    except GONE as error:
        say(f"The number needs no release: {type(error).__name__}: {error}")
    except qasid.QasidError as error:
        say(f"The number could NOT be released: {type(error).__name__}: {error}")
        say(f"Try: qasid release {activation.id}")
    else:
        say("The number was released.")


def _announce(activation: qasid.Activation, timeout: float) -> None:
    cost = "" if activation.cost is None else f" for {activation.cost}"
    end = "" if activation.expires_at is None else f" until {activation.expires_at:%H:%M:%S} UTC"
    say(f"Rented {activation.number}{cost}{end} (activation {activation.id}).")
    say(f"Waiting up to {timeout:g} s for a message.")


def _report(activation: qasid.Activation, message: qasid.InboundMessage, as_json: bool) -> None:
    data = {"activation": activation, "message": message, "code": message.code}
    if message.code is None and not as_json:
        say("A message came, with no code in it; here is its text.")
    show(data, as_json=as_json, text=message.code or message.text)
