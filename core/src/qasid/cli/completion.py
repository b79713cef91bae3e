"""``qasid completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell, to be sourced in its start-up file."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101, the three shells are click's own
    click.echo(kind(ctx.find_root().command, {}, "qasid", "_QASID_COMPLETE").source())
