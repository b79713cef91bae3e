"""``qasid webhook``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import click

import qasid
from qasid.cli.books import open_books
from qasid.cli.listening import address, is_loopback, listener, serving
from qasid.cli.output import plain, say, show, table
from qasid.cli.session import (
    account_option,
    chosen_account,
    json_option,
    open_account,
    open_inbox,
    open_rentals,
)
from qasid.cli.signals import Interrupted, Signals
from qasid.fields import secure_address
from qasid.rentals import Rentals
from qasid.webhooks import DAY, Application, Hook, Inbox, Received

_SECONDS = click.FloatRange(0, 1_000_000_000, min_open=True)


def _public(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        if value is not None:
            secure_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value and value.rstrip("/")


_public_url = click.option(
    "--public-url",
    metavar="URL",
    callback=_public,
    help="Where providers reach the server, such as https://my.example.",
)


@click.group("webhook")
def command() -> None:
    """Receive what providers post, each number at an address of its own."""


# Serving.


@command.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8700,
    show_default=True,
    help="0 picks a free one.",
)
@_public_url
@click.option(
    "--behind-proxy", is_flag=True, help="Listen beyond this machine: a proxy there has TLS."
)
@click.option(
    "--keep",
    type=_SECONDS,
    default=DAY.total_seconds(),
    show_default=True,
    metavar="SECONDS",
    help="How long messages are kept.",
)
@click.option("--print", "prints", is_flag=True, help="Print messages as they come.")
@json_option
def serve(
    host: str,
    port: int,
    public_url: str | None,
    behind_proxy: bool,
    keep: float,
    prints: bool,
    as_json: bool,
) -> None:
    """Receive posts until Ctrl-C, at the addresses that qasid webhook new gives.

    Messages are stored with their texts in the state folder, before a post is answered. What was
    kept for its time is deleted at the start and whenever a message comes.
    """
    _check_host(host, behind_proxy)
    signals, ended = Signals(), threading.Event()
    printer = _Printer(as_json, ended)
    more: dict[str, Any] = {"arrived": printer} if prints else {}
    with (
        contextlib.closing(open_inbox()) as inbox,
        contextlib.closing(open_rentals()) as rentals,
        _Accounts(rentals) as accounts,
        contextlib.closing(listener(host, port)) as listening,
        contextlib.suppress(Interrupted),
        signals.kept(),
    ):
        app = Application(inbox, accounts, keep=timedelta(seconds=keep), **more)
        with serving(app, listening, ended):
            _announce(inbox, address(listening), public_url, host)
            with signals.let_in():
                ended.wait()
    printer.check()


def _check_host(host: str, behind_proxy: bool) -> None:
    if not (behind_proxy or is_loopback(host)):
        raise click.BadParameter(
            f"others can reach {host}, and messages would come in the clear; put a proxy with TLS"
            " before it and say --behind-proxy",
            param_hint="'--host'",
        )


def _announce(inbox: Inbox, local: str, public_url: str | None, host: str) -> None:
    known = public_url or (local if is_loopback(host) else None)
    if known is not None:
        inbox.url = known
    say(f"Listening at {local}; providers reach it at {known or 'an address that was not told'}.")


class _Accounts(dict[str, qasid.Account]):
    """Accounts by name, each opened when the first post for it comes."""

    def __init__(self, rentals: Rentals) -> None:
        super().__init__()
        self._rentals = rentals

    def __missing__(self, name: str) -> qasid.Account:
        return self.setdefault(name, open_account(name, rentals=self._rentals))

    def __enter__(self) -> _Accounts:
        return self

    def __exit__(self, *exc: object) -> None:
        for account in self.values():
            account.close()


@attrs.define
class _Printer:
    """Prints what came. When nobody reads it any more, the command ends as any other does."""

    as_json: bool
    ended: threading.Event
    failure: OSError | None = None

    def __call__(self, received: Sequence[Received]) -> None:
        try:
            for one in received:
                show(_data(one), as_json=self.as_json, text="  ".join(_row(one)))
        except OSError as error:  # it is stored all the same, and the provider hears so
            self.failure = error
            self.ended.set()

    def check(self) -> None:
        """Raise what ended the printing."""
        if self.failure is not None:
            raise self.failure


# Addresses.


@command.command("new")
@click.option("--activation", metavar="ID", help="The rented number that it is for.")
@click.option(
    "--for",
    "lifetime",
    type=_SECONDS,
    default=DAY.total_seconds(),
    show_default=True,
    metavar="SECONDS",
    help="How long posts to it are taken.",
)
@click.option("--label", default="", help="Words of your own, shown in lists.")
@_public_url
@account_option
@json_option
def new(
    activation: str | None,
    lifetime: float,
    label: str,
    public_url: str | None,
    account: str | None,
    as_json: bool,
) -> None:
    """Make an address for a provider to post to, and print it: this once, as only a hash is kept.

    Give it as the callback address of one number: qasid rent --callback ADDRESS, or callback_url in
    Python.
    """
    name, number = _whose(activation, account)
    with open_account(name) as opened:
        opened.require("parse_webhook")
    with contextlib.closing(open_inbox()) as inbox:
        base = public_url or _known_url(inbox)
        now, time = datetime.now(UTC), timedelta(seconds=lifetime)
        path = inbox.register(name, now=now, lifetime=time, activation=number, label=label)
    say(f"Posts to it are taken until {now + time:%Y-%m-%d %H:%M:%S} UTC. Keep it secret.")
    data = {"url": base + path, "account": name, "activation": activation, "ends_at": now + time}
    show(data, as_json=as_json, text=base + path)


def _whose(activation: str | None, account: str | None) -> tuple[str, qasid.Activation | None]:
    if activation is None:
        return chosen_account(account), None
    with open_books(account) as books:
        name, rental = books.rented(activation)
    return name, rental.activation


def _known_url(inbox: Inbox) -> str:
    known = inbox.url
    if known is None:
        raise click.UsageError(
            "where providers reach the server is not known; say --public-url, or run"
            " qasid webhook serve first"
        )
    return known


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the addresses that posts are taken at, without their secret paths."""
    with contextlib.closing(open_inbox()) as inbox:
        found = inbox.hooks(now=datetime.now(UTC))
    if not found:
        say("There is no address; make one with: qasid webhook new")
    header = ["HOOK", "ACCOUNT", "ACTIVATION", "LABEL", "ENDS (UTC)"]
    show(found, as_json=as_json, text=table([header, *map(_line, found)]) if found else "")


def _line(hook: Hook) -> list[str]:
    number = hook.activation.id if hook.activation else ""
    return [f"{hook.id}", hook.account, number, hook.label, f"{hook.ends_at:%Y-%m-%d %H:%M:%S}"]


# Messages.


@command.command("messages")
@json_option
def messages(as_json: bool) -> None:
    """Read what came and is still kept, oldest first."""
    with contextlib.closing(open_inbox()) as inbox:
        found = inbox.items()
    if not found:
        say("Nothing has come.")
    data = [_data(one) for one in found]
    show(data, as_json=as_json, text=table([_row(one) for one in found]) if found else "")


def _data(received: Received) -> dict[str, Any]:
    item, members = received.item, plain(received)
    message = isinstance(item, qasid.InboundMessage)
    return {
        "kind": "message" if message else "report",
        **members,
        "code": item.code,  # of a message the code in it, of a report the provider's own word
    }


def _row(received: Received) -> list[str]:
    item = received.item
    if isinstance(item, qasid.InboundMessage):
        words = [item.to or "", item.code or "", " ".join(item.text.split())]
    else:
        words = [item.to or "", item.state.value, item.receipt_id]
    return [f"{received.received_at:%Y-%m-%d %H:%M:%S}", *words]
