"""``qasid contract``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any, Final

import click

from qasid import finding

__all__ = ["contract"]

#: No conftest, no settings of a project, no other plugin than what is asked for: nobody can talk
#: the verdict away. `-P` keeps the working directory off Python's path.
_ALONE: Final = (
    *("-P", "-m", "pytest", "-q"),
    *("--noconftest", "--import-mode=importlib"),
    *("-p", "qasid_contract.pytest_plugin", "-p", "no:cacheprovider"),
)


@click.command("contract", context_settings={"ignore_unknown_options": True})
@click.argument("names", nargs=-1, required=True, type=click.UNPROCESSED, metavar="NAME...")
@click.option("--report", type=click.Path(dir_okay=False), metavar="FILE", help="Write JSON too.")
@click.option("--nightly", is_flag=True, help="Many more examples, new ones each time.")
@click.option("--live", is_flag=True, help="Look at a real account instead; never a verdict.")
@click.option("--account", metavar="NAME", help="The real account, with --live.")
@click.option(
    "--spend-cap",
    metavar="MONEY",
    help="With --live, the most that a number may cost. Without it nothing is paid for.",
)
@click.option("--recipient", metavar="NUMBER", help="With --live, a number of your own.")
@click.pass_context
def contract(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    report: str | None,
    nightly: bool,
    live: bool,
    **real: str | None,
) -> None:
    """Prove installed providers against their emulators; the exit code tells the verdict.

    0 conformant, 10 partial (declared deviations only), 1 nonconformant, 11 incomplete. What
    follows the names and begins with a dash goes to pytest, such as -k NUM or --junit-xml FILE.

    With --live nothing is proven: what costs nothing is asked of a real account, and then, one by
    one and only when you say yes, what costs something.
    """
    providers = [*takewhile(_is_name, names)]
    options = [*dropwhile(_is_name, names)]
    if not providers:
        raise click.UsageError("the names of providers come first, and pytest's options after them")
    if live:
        ctx.exit(_seen(providers, options, report, **real))
    if any(real.values()):
        raise click.UsageError("--account, --spend-cap and --recipient go with --live")
    for name in providers:
        finding.provider(name)
        finding.emulator(name)
    ctx.exit(_proven(providers, options, report, nightly=nightly))


def _is_name(word: str) -> bool:
    return not word.startswith("-")


def _seen(providers: list[str], options: list[str], report: str | None, **real: Any) -> int:
    from qasid_contract.live import look

    if options:
        raise click.NoSuchOption(options[0])
    if len(providers) > 1:
        raise click.UsageError("with --live give one provider at a time")
    account = real.pop("account") or providers[0]
    return look(account, report=report, **real)


def _proven(
    providers: Sequence[str], options: Sequence[str], report: str | None, *, nightly: bool
) -> int:
    """Run pytest as a program of its own, as anybody could."""
    chosen = [f"--qasid-provider={name}" for name in providers]
    target = [f"--qasid-report={Path(report).absolute()}"] if report else []
    more = ["--qasid-nightly"] if nightly else []
    with tempfile.TemporaryDirectory() as empty:
        settings = Path(empty, "pytest.ini")
        settings.touch()
        words = [*_ALONE, "-c", str(settings), *chosen, *target, *more]
        command = [sys.executable, *words, "--pyargs", "qasid_contract.suite", *options]
        return subprocess.call(command, env=_environment(empty))  # noqa: S603


def _environment(folder: str) -> dict[str, str]:
    """Nothing of pytest's is inherited, and Hypothesis leaves its folder there, not here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HYPOTHESIS_STORAGE_DIRECTORY": folder}
    return {**kept, **alone}
