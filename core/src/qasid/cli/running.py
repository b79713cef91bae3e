"""The group of commands, and how one of them is run to an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click
from click.shell_completion import shell_complete

from qasid import finding
from qasid._version import VERSION
from qasid.cli.exits import CLOSED_OUTPUT, exit_code
from qasid.cli.output import say, tell_error
from qasid.cli.signals import Interrupted
from qasid.errors import PluginError, QasidError

__all__ = ["group", "run", "unwritable"]

_COMPLETE: Final = "_QASID_COMPLETE"

_COMMANDS: Final = (
    "activations",
    "balance",
    "completion",
    "doctor",
    "emulate",
    "inbox",
    "journal",
    "login",
    "logout",
    "offers",
    "otp",
    "providers",
    "release",
    "rent",
    "route",
    "schedule",
    "send",
    "status",
    "webhook",
)


#: Commands that other distributions of this project add.
_ELSEWHERE: Final = {"contract": "qasid-contract", "new-provider": "qasid-contract"}


class _Commands(click.Group):
    """A module for each command, imported when it is asked for; and what other packages add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_COMMANDS, *finding.installed(finding.COMMANDS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found: click.Command | None = None
        if cmd_name in _COMMANDS:
            found = import_module(f"qasid.cli.{cmd_name}").command
        elif cmd_name in finding.installed(finding.COMMANDS):
            found = _added(cmd_name)
        elif cmd_name in _ELSEWHERE:
            ctx.fail(f"{cmd_name} is not installed; try: pip install {_ELSEWHERE[cmd_name]}")
        return found


def _added(name: str) -> click.Command:
    """A command of another distribution. A broken one says so when it is run, and not before."""
    try:
        added: click.Command = finding.command(name)
    except PluginError as error:
        problem = error

        def fail() -> None:
            raise problem

        loose = {"ignore_unknown_options": True, "allow_extra_args": True}
        added = click.Command(name, callback=fail, context_settings=loose, help="(is broken)")
    return added


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="qasid", message="%(prog)s %(version)s")
def group() -> None:
    """Rent numbers, read their messages, send texts and one-time passwords, by any provider."""


def run(arguments: Sequence[str]) -> int:
    """Run a command; say what went wrong on stderr, and give the exit code."""
    try:
        return _performed(list(arguments))
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except QasidError as error:
        tell_error(error)
        return exit_code(error)
    except KeyboardInterrupt as stop:
        return _interrupted(stop)
    except ValueError as error:
        say(f"error: {error}")
        return click.UsageError.exit_code
    except OSError as error:
        return unwritable(error)


def _performed(arguments: list[str]) -> int:
    """Not by click's own `main`, which takes a closed stdout for an error of another kind."""
    if instruction := os.environ.get(_COMPLETE):
        return shell_complete(group, {}, "qasid", _COMPLETE, instruction)
    with group.make_context("qasid", arguments) as context:
        group.invoke(context)
    return 0


def _interrupted(stop: KeyboardInterrupt) -> int:
    say("interrupted")
    if isinstance(stop.__context__, QasidError):  # the signal was kept, and meanwhile this came
        tell_error(stop.__context__)
    return 128 + (stop.signal_number if isinstance(stop, Interrupted) else signal.SIGINT)


def unwritable(error: OSError) -> int:
    """Stdout cannot be written: why, if not because nobody reads it, and the exit code."""
    # Python writes what is left when it ends, and would complain then.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        say(f"error: stdout: {error.strerror}")
    return CLOSED_OUTPUT
