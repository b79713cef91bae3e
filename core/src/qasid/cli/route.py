"""``qasid route list`` and ``qasid route explain``."""

from __future__ import annotations

import click

import qasid
from qasid import settings
from qasid.cli.exits import NO
from qasid.cli.output import say, show, table
from qasid.cli.session import json_option
from qasid.routing.tables import table_of


def _route_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in settings.routes() if name.startswith(incomplete)]


@click.group("route")
def command() -> None:
    """Show the routes of qasid.toml, and what they would do."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the routes, with the policy and the accounts of each."""
    found = {name: table_of(name) for name in settings.routes()}
    if not found:
        say("No route is configured; write a table [routes.NAME] in qasid.toml.")
    data = [
        {"name": name, "policy": route.kind, "accounts": route.accounts}
        for name, route in found.items()
    ]
    rows = [[name, route.kind, ", ".join(route.accounts)] for name, route in found.items()]
    text = table([["NAME", "POLICY", "ACCOUNTS"], *rows]) if rows else ""
    show(data, as_json=as_json, text=text)


@command.command("explain")
@click.argument("name", shell_complete=_route_names)
@click.option("--to", required=True, metavar="NUMBER", help="The recipient.")
@json_option
def explain(name: str, to: str, as_json: bool) -> None:
    """Tell which accounts a message would go by, in order, and why. Sends nothing.

    Breakers are closed: what a route has learnt stays in the process that uses it. The exit code is
    1 where no account takes it.
    """
    with qasid.connect_route(name) as route:
        explanation = route.explain(qasid.TextMessage(to=to, text=""))
    rows = [["asked" if c.takes else "skipped", c.account, c.words] for c in explanation.choices]
    show(explanation, as_json=as_json, text=table(rows))
    if not any(choice.takes for choice in explanation.choices):
        raise click.exceptions.Exit(NO)
