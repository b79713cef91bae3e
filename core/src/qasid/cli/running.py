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

from qasid._version import VERSION
from qasid.cli.exits import CLOSED_OUTPUT, exit_code
from qasid.cli.output import say, tell_error
from qasid.cli.signals import Interrupted
from qasid.errors import QasidError

__all__ = ["group", "run", "unwritable"]

_COMPLETE: Final = "_QASID_COMPLETE"

_COMMANDS: Final = (
    "activations",
    "balance",
    "completion",
    "doctor",
    "emulate",
    "inbox",
    "offers",
    "otp",
    "providers",
    "release",
    "rent",
    "send",
)


class _Commands(click.Group):
    """A module for each command, imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = import_module(f"qasid.cli.{cmd_name}").command
        return found


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
