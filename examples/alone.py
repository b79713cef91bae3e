"""One plugin alone with the core: `nox -s alone` runs this once for each, in a fresh environment.

Nothing is installed that the two do not declare, no other provider is found, and a call to the
provider's own emulator works, blocking and with `await`. A plugin that is no provider listens, with
no more than it declares. Ends with an error where that is not so.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import distribution, distributions, requires
from pathlib import Path
from typing import Any, Final

import qasid
from qasid import finding
from qasid.events import Performed

#: What an environment may have before anything is installed into it.
TOOLS: Final = {"pip", "setuptools", "wheel"}


def check(condition: object, words: str) -> None:
    if not condition:
        raise SystemExit(f"NOT so: {words}")


def canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def declared(name: str) -> Iterator[str]:
    """What a distribution asks for without an extra, on this platform or another."""
    for line in requires(name) or ():
        requirement, _, marker = line.partition(";")
        if "extra" not in marker:
            yield canonical(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0])


def closure(name: str, installed: set[str]) -> set[str]:
    """A distribution and all that it needs, as far as that is installed."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in installed and one not in found:
            found.add(one)
            waiting += declared(one)
    return found


def check_distributions(name: str) -> None:
    installed = {canonical(each.name) for each in distributions()} - TOOLS
    core = closure("qasid", installed)
    surplus = installed - closure(f"qasid-{name}", installed)
    check(not surplus, f"{name} came with {', '.join(surplus)}, which nothing declares")
    others = {each for each in installed if each.startswith("qasid-")} - {f"qasid-{name}"}
    check(not others, f"{name} came with {', '.join(others)}")
    own = sorted(installed - core - {f"qasid-{name}"})
    versions = [f"{each} {distribution(each).version}" for each in sorted(core)]
    print(f"{name}: {', '.join(own) or 'nothing'} beside {', '.join(versions)}")


def check_providers(*names: str) -> None:
    """The command finds these, and no other."""
    command = [str(Path(sys.executable).parent / "qasid"), "providers", "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [each["name"] for each in json.loads(said)]
    expected = " and ".join(names) or "none"
    check(found == [*names], f"the providers are {', '.join(found)}, and not {expected} alone")


def check_provider(name: str) -> None:
    check_providers(name)
    check_call(name)


def check_listener(name: str) -> None:
    """It is found, and hears of an act."""
    check_providers()
    now, took = datetime.now(UTC), timedelta(seconds=1)
    about: dict[str, Any] = {"account": "work", "provider": "acme", "operation": "send"}
    event = Performed(count=1, ids=(), at=now, elapsed=took, **about)
    finding.listener(name).on_performed(event)


def check_call(name: str) -> None:
    emulator = finding.emulator(name)
    settings: dict[str, Any] = {"base_url": f"emulator://{name}", **emulator.settings}
    with qasid.connect(name, **settings) as account:
        check(account.balance() == emulator().balance(), f"{name} does not tell its balance")
    asyncio.run(check_awaited_call(name, settings, emulator().balance()))


async def check_awaited_call(name: str, settings: dict[str, Any], expected: qasid.Money) -> None:
    async with qasid.connect_async(name, **settings) as account:
        check(await account.balance() == expected, f"{name} does not tell its balance with await")


def main(name: str) -> None:
    for variable in [variable for variable in os.environ if variable.startswith("QASID_")]:
        del os.environ[variable]
    with tempfile.TemporaryDirectory() as place:
        os.environ["QASID_STATE_DIR"] = os.environ["XDG_CONFIG_HOME"] = place
        os.chdir(place)
        check_distributions(name)
        check_plugin = check_provider if name in finding.installed() else check_listener
        check_plugin(name)
        os.chdir("/")


if __name__ == "__main__":
    main(sys.argv[1])
