"""The group of commands, and how one of them is run to an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final

import click

from qasid._version import VERSION
from qasid.cli.exits import CLOSED_OUTPUT, Interrupted, exit_code
from qasid.cli.output import say, tell_error
from qasid.distributions import COMMANDS, installed
from qasid.errors import PluginError, QasidError

__all__ = ["group", "run", "unwritable"]

_COMPLETE: Final = "_QASID_COMPLETE"

#: What each does, as its own help begins: so the list of them imports none.
_COMMANDS: Final[Mapping[str, str]] = {
    "activations": "List the numbers that are rented, or may be, of all accounts.",
    "balance": "Tell the account's credit.",
    "completion": "Print the completion script of a shell, to be sourced in its start-up file.",
    "doctor": "Check settings, connection and authentication of each account.",
    "emulate": "Serve a provider's emulator, or with --all each one, on this machine until Ctrl-C.",
    "inbox": "Read the messages of a rented number, or of the account's own inbox; oldest first.",
    "journal": "See what was sent, rented and given back, and settle what is not known.",
    "login": "Let the owner of ACCOUNT say yes in a browser, and keep the tokens that this gives.",
    "logout": "Throw away the tokens that the owner of ACCOUNT granted.",
    "offers": "List what can be rented, with prices and, where the provider tells, stock.",
    "otp": "Send one-time passwords, and verify them.",
    "providers": "Show which providers are installed and what each can do.",
    "release": "Give a rented number back.",
    "rent": "Rent a number, wait for a message to it, print the code, and release the number.",
    "route": "Show the routes of qasid.toml, and what they would do.",
    "schedule": "Take back what was sent with --at.",
    "send": "Send a text to one number, or messages to up to 100,000.",
    "status": "Tell where messages are, by the IDs of their receipts.",
    "webhook": "Receive what providers post, each number at an address of its own.",
}


#: Commands that other distributions of this project add.
_ELSEWHERE: Final = {"contract": "qasid-contract", "new-provider": "qasid-contract"}
_SENTENCES: Final[Mapping[str, str]] = {
    **_COMMANDS,
    "contract": "Prove installed providers against their emulators.",
    "new-provider": "Write a new provider.",
}


class _Commands(click.Group):
    """A module for each command, imported when it is asked for; and what other packages add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_COMMANDS, *installed(COMMANDS)})

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        click.Group(commands={name: _told(name) for name in names}).format_commands(ctx, formatter)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found: click.Command | None = None
        if cmd_name in _COMMANDS:
            found = import_module(f"qasid.cli.{cmd_name}").command
        elif cmd_name in installed(COMMANDS):
            found = _added(cmd_name)
        elif cmd_name in _ELSEWHERE:
            ctx.fail(f"{cmd_name} is not installed; try: pip install {_ELSEWHERE[cmd_name]}")
        return found


def _told(name: str) -> click.Command:
    """A command as the list has it."""
    sentence = _SENTENCES.get(name)
    return _added(name) if sentence is None else click.Command(name, help=sentence)


def _added(name: str) -> click.Command:
    """A command of another distribution. A broken one says so when it is run, and not before."""
    from qasid import finding  # late, with all that providers need

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
        from click.shell_completion import shell_complete

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
