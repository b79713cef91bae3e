"""``qasid emulate``."""

from __future__ import annotations

import contextlib
import shlex
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from qasid import finding
from qasid.cli.output import show
from qasid.cli.session import json_option
from qasid.cli.signals import Interrupted, Signals
from qasid.emulation import Emulator

if TYPE_CHECKING:
    from qasid.serving import EmulatorServer


def _emulators(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    names = finding.installed(finding.EMULATORS)
    return [name for name in names if name.startswith(incomplete)]


@click.command("emulate")
@click.argument("name", shell_complete=_emulators)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 picks a free one.")
@click.option(
    "--deliver-after",
    type=click.FloatRange(0, 1_000_000_000),
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
    from qasid.serving import DEFAULT_TEXT

    kind = finding.emulator(name)
    after = None if deliver_after is None else timedelta(seconds=deliver_after)
    signals = Signals()
    with (
        contextlib.suppress(Interrupted),
        signals.kept(),
        _served(kind(), port, after, text or DEFAULT_TEXT) as server,
    ):
        given = {"base_url": server.url, **kind.settings}
        data = {"url": server.url, "settings": given, "control": server.control_url}
        show(data, as_json=as_json, text=_words(name, server, given))
        with signals.let_in():
            threading.Event().wait()


def _served(emulator: Emulator, port: int, after: timedelta | None, text: str) -> EmulatorServer:
    from qasid.serving import serve

    try:
        return serve(emulator, port=port, deliver_after=after, text=text)
    except OSError as error:
        problem = f"nothing can listen on {port}: {error.strerror}"
        raise click.BadParameter(problem, param_hint="'--port'") from None


def _words(name: str, server: EmulatorServer, settings: dict[str, str]) -> str:
    prefix = f"QASID_{name.upper().replace('-', '_')}"
    exports = [f"export {prefix}_{k.upper()}={shlex.quote(v)}" for k, v in settings.items()]
    places = [f"{name} listens at {server.url}", f"control address: {server.control_url}"]
    return "\n".join([*places, *exports])
