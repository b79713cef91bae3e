"""``qasid emulate``."""

from __future__ import annotations

import threading
from datetime import timedelta

import click

from qasid import finding
from qasid.cli.output import show
from qasid.cli.session import json_option
from qasid.cli.signals import Interrupted, Signals


def _emulators(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    names = finding.installed(finding.EMULATORS)
    return [name for name in names if name.startswith(incomplete)]


@click.command("emulate")
@click.argument("name", shell_complete=_emulators)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 picks a free one.")
@click.option(
    "--deliver-after",
    type=float,
    metavar="SECONDS",
    help="Send each rented number a message that long after it was rented.",
)
@click.option("--text", help="The text of that message.")
@json_option
def command(
    name: str, port: int, deliver_after: float | None, text: str | None, as_json: bool
) -> None:
    """Serve a provider's emulator on this machine until Ctrl-C.

    Prints its address and the settings to use; with --json as one line, once it listens. The
    control address opens the back doors: POST deliver, advance, fund, stock and fail_next, GET
    balance, activations and outbox.
    """
    from qasid.serving import DEFAULT_TEXT, serve

    kind = finding.emulator(name)
    after = None if deliver_after is None else timedelta(seconds=deliver_after)
    with serve(kind(), port=port, deliver_after=after, text=text or DEFAULT_TEXT) as server:
        given = {"base_url": server.url, **kind.settings}
        data = {"url": server.url, "settings": given, "control": server.control_url}
        show(data, as_json=as_json, text=_words(name, server.url, server.control_url, given))
        _until_stopped()


def _words(name: str, url: str, control: str, settings: dict[str, str]) -> str:
    prefix = f"QASID_{name.upper().replace('-', '_')}"
    exports = [f"export {prefix}_{key.upper()}={value}" for key, value in settings.items()]
    return "\n".join([f"{name} listens at {url}", f"control address: {control}", *exports])


def _until_stopped() -> None:
    signals = Signals()
    with signals.heeded():
        try:
            threading.Event().wait()
        except Interrupted:
            return
