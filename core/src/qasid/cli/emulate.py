"""``qasid emulate``."""

from __future__ import annotations

import contextlib
import functools
import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from qasid import finding
from qasid.cli import switches
from qasid.cli.listening import cannot_listen
from qasid.cli.output import say, show
from qasid.cli.session import json_option
from qasid.cli.signals import Interrupted, Signals
from qasid.emulation import Emulator
from qasid.errors import PluginError, ProviderNotFound

if TYPE_CHECKING:
    from qasid.serving import EmulatorServer

_Pairs: TypeAlias = Sequence[tuple[str, str]]

_LAST_PORT: Final = 65535


def _emulators(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    names = finding.installed(finding.EMULATORS)
    return [name for name in names if name.startswith(incomplete)]


def _pairs(ctx: click.Context, param: click.Parameter, given: Sequence[str]) -> _Pairs:
    found = [text.partition("=") for text in given]
    if not all(mark for _, mark, _ in found):
        raise click.BadParameter("write it like raw_samples=true")
    return [(name.strip(), value) for name, _, value in found]


@click.command("emulate")
@click.argument("name", required=False, shell_complete=_emulators)
@click.option("--all", "everyone", is_flag=True, help="Serve every installed emulator.")
@click.option(
    "--port",
    type=click.IntRange(0, _LAST_PORT),
    default=0,
    help="0 picks a free one. With --all, the first emulator's; the next ones follow.",
)
@click.option(
    "--set",
    "given",
    multiple=True,
    callback=_pairs,
    metavar="SWITCH=VALUE",
    help="Change what the document leaves open, such as raw_samples=true. May be repeated.",
)
@click.option(
    "--deliver-after",
    type=click.FloatRange(0, 1_000_000_000),
    metavar="SECONDS",
    help="Send each rented number a message that long after it was rented.",
)
@click.option("--text", help="The text of that message.")
@json_option
def command(
    name: str | None,
    everyone: bool,
    port: int,
    given: _Pairs,
    deliver_after: float | None,
    text: str | None,
    as_json: bool,
) -> None:
    """Serve a provider's emulator, or with --all each one, on this machine until Ctrl-C.

    Prints its address and the settings to use; with --json as one line, once all listen. The
    control address opens the back doors: POST deliver, advance, fund, stock and fail_next, GET
    balance, activations and outbox. An unknown SWITCH is refused with the names of those that are.
    """
    from qasid.serving import DEFAULT_TEXT

    _check(name, everyone, given)
    after = None if deliver_after is None else timedelta(seconds=deliver_after)
    serving = functools.partial(_served, after=after, text=text or DEFAULT_TEXT)
    signals = Signals()
    with contextlib.suppress(Interrupted), signals.kept(), contextlib.ExitStack() as stack:
        emulators = {name: (port, _made(name, given))} if name else dict(_sound(port))
        served = {
            each: _shown(emulator, stack.enter_context(serving(emulator, place)))
            for each, (place, emulator) in emulators.items()
        }
        data = served[name] if name else served
        blocks = [_words(each, told) for each, told in served.items()]
        show(data, as_json=as_json, text="\n\n".join(blocks))
        with signals.let_in():
            threading.Event().wait()


def _check(name: str | None, everyone: bool, given: _Pairs) -> None:
    if everyone == (name is not None):
        raise click.UsageError("name one emulator, or say --all")
    if everyone and given:
        raise click.UsageError("--set is for one emulator: name it")


def _sound(port: int) -> Iterator[tuple[str, tuple[int, Emulator]]]:
    """Every installed emulator and its port; a broken one is told of, and its port left out."""
    names = [*finding.installed(finding.EMULATORS)]
    if not names:
        raise ProviderNotFound("no emulator is installed; try: pip install qasid-sandbox")
    if port + len(names) - 1 > _LAST_PORT:
        problem = f"{len(names)} emulators do not fit above {port}"
        raise click.BadParameter(problem, param_hint="'--port'")
    for place, name in enumerate(names):
        try:
            yield name, (port and port + place, _made(name, ()))
        except PluginError as error:
            say(f"{name} is not served: {error}")


def _made(name: str, given: _Pairs) -> Emulator:
    kind = finding.emulator(name)
    try:
        emulator = switches.made(name, kind, given)
        _settings(emulator)
    except click.ClickException:
        raise
    except Exception as error:
        problem = f"the emulator {name!r} is broken: {type(error).__name__}: {error}"
        raise PluginError(problem) from error
    return emulator


def _settings(emulator: Emulator) -> Mapping[str, str]:
    if not isinstance(emulator.settings, Mapping):
        raise TypeError("its settings are no mapping")
    return emulator.settings


def _served(emulator: Emulator, port: int, after: timedelta | None, text: str) -> EmulatorServer:
    from qasid.serving import serve

    try:
        return serve(emulator, port=port, deliver_after=after, text=text)
    except OSError as error:
        raise cannot_listen(port, error) from None


def _shown(emulator: Emulator, server: EmulatorServer) -> dict[str, Any]:
    given = {"base_url": server.url, **_settings(emulator)}
    return {"url": server.url, "settings": given, "control": server.control_url}


def _words(name: str, told: Mapping[str, Any]) -> str:
    prefix = f"QASID_{name.upper().replace('-', '_')}"
    exports = [f"export {prefix}_{k.upper()}={shlex.quote(v)}" for k, v in told["settings"].items()]
    places = [f"{name} listens at {told['url']}", f"control address: {told['control']}"]
    return "\n".join([*places, *exports])
