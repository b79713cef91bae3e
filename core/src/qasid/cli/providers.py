"""``qasid providers``."""

from __future__ import annotations

from typing import Any

import click

from qasid import finding
from qasid.cli.output import say, show, table
from qasid.cli.session import json_option
from qasid.errors import PluginError
from qasid.hookspecs import HOOKS
from qasid.values import SupportLevel

_MARKS = {
    SupportLevel.FULL: "yes",
    SupportLevel.PARTIAL: "partly",
    SupportLevel.NOT_IMPLEMENTED: "not yet",
    SupportLevel.UNSUPPORTED: "-",
}


@click.command("providers")
@json_option
def command(as_json: bool) -> None:
    """Show which providers are installed and what each can do; broken ones with the reason."""
    found = [_described(name) for name in finding.installed()]
    sound = [entry for entry in found if "broken" not in entry]
    show(found, as_json=as_json, text=_matrix(sound) if sound else "")
    for entry in found:
        if "broken" in entry and not as_json:
            say(f"{entry['name']}: {entry['broken']}")
    if not found:
        say("No provider is installed; try: pip install qasid-sandbox")


def _described(name: str) -> dict[str, Any]:
    claims = [claim.owner for claim in finding.installed()[name]]
    try:
        info = finding.info(name)
    except PluginError as error:
        return {"name": name, "distributions": claims, "broken": str(error)}
    support = {hook: info.supports(hook) for hook in HOOKS}
    return {"name": name, "distributions": claims, "title": info.title, "support": support}


def _matrix(entries: list[dict[str, Any]]) -> str:
    """Hooks down, providers across: a terminal is narrower than eleven hooks."""
    header = ["", *(entry["name"] for entry in entries)]
    rows = [[hook, *(_MARKS[e["support"][hook].level] for e in entries)] for hook in HOOKS]
    notes = [
        f"{entry['name']} {hook}: {support.note}"
        for entry in entries
        for hook, support in entry["support"].items()
        if support.note
    ]
    return "\n".join([table([header, *rows]), *([""] if notes else []), *notes])
