"""``qasid login``."""

from __future__ import annotations

import sys
import webbrowser
from getpass import getpass
from typing import Final

import click

import qasid
from qasid.cli.output import say, show
from qasid.cli.session import account_argument, json_option, open_account
from qasid.login import PORT, Visit, callback
from qasid.serving import HttpServer
from qasid.vault import Vault

_MOST: Final = 20_000  # characters that are read of a line


@click.command("login")
@account_argument
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=PORT,
    show_default=True,
    help="Where to listen for the browser, on 127.0.0.1 alone.",
)
@click.option("--no-browser", is_flag=True, help="Open none: you open the address yourself.")
@click.option("--paste", is_flag=True, help="Listen nowhere: you paste where the browser ended.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, 86_400, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the browser.",
)
@json_option
def command(
    account: str, port: int, no_browser: bool, paste: bool, timeout: float, as_json: bool
) -> None:
    """Let the owner of ACCOUNT say yes in a browser, and keep the tokens that this gives.

    The provider sends the browser to the address that is registered with your client there, which
    must be http://127.0.0.1:8765/callback, or that of another --port. On a machine without a
    browser use --paste, which asks for the address where a browser elsewhere ended; without a
    terminal it is read from stdin.
    """
    with open_account(account) as opened:
        visit = Visit(port)
        address = opened.authorize_url(visit.state)
        opened.driver.run(_vault(opened).ready())  # better known before the owner is asked
        code = _pasted(visit, address) if paste else _brought(visit, address, no_browser, timeout)
        credential = opened.exchange_code(code)
    end = credential.expires_at
    words = "" if end is None else f"; its token ends {end:%Y-%m-%d %H:%M} UTC, and is renewed"
    data = {"account": account, "expires_at": end}
    show(data, as_json=as_json, text=f"{account} is logged in{words}.")


def _vault(account: qasid.Account) -> Vault:
    if account.vault is None:
        raise qasid.SettingsError(
            "there is nowhere to keep a login",
            account=account.name,
            field="tokens",
            remedy='set tokens to "auto", and base_url to a server',
        )
    return account.vault


# The code, by a server of ours or by hand.


def _brought(visit: Visit, address: str, no_browser: bool, timeout: float) -> str:
    server = _listening(visit)
    try:
        say(f"Your client at the provider must have the callback address {callback(visit.port)}")
        say("Open this address in a browser on this machine:")
        say(address)
        if not (no_browser or webbrowser.open(address)):
            say("No browser could be opened from here.")
        return _awaited(visit, timeout)
    finally:
        server.close()


def _listening(visit: Visit) -> HttpServer:
    try:
        return HttpServer(visit.port, visit.answer)
    except OSError as error:
        problem = f"nothing can listen on {visit.port} ({error.strerror}); take another one"
        raise click.BadParameter(problem, param_hint="'--port'") from None


def _awaited(visit: Visit, timeout: float) -> str:
    try:
        return visit.code.result(timeout)
    except TimeoutError:
        strays = f"; what came was refused: {visit.strays[-1]}" if visit.strays else ""
    raise qasid.WaitTimeout(f"the browser did not come back in {timeout:g} s{strays}")


def _pasted(visit: Visit, address: str) -> str:
    say("Open this address in any browser:")
    say(address)
    say("In the end it shows a page, or none, at the callback address: copy that whole address.")
    return visit.read(_line())


def _line() -> str:
    """It holds a code, so a terminal does not show it."""
    if sys.stdin is None:
        raise click.UsageError("stdin is closed; --paste reads the address there")
    if not sys.stdin.isatty():
        return sys.stdin.readline(_MOST)
    try:
        return getpass("Paste it here (it is not shown): ", stream=sys.stderr)
    except EOFError:
        return ""
