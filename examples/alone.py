"""One provider alone with the core: `nox -s alone` runs this once for each, in a fresh environment.

Nothing is installed that the two do not declare, no other provider is found, and a call to the
provider's own emulator works, blocking and with `await`. Ends with an error where that is not so.
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
from importlib.metadata import distribution, distributions, requires
from pathlib import Path
from typing import Any, Final

import qasid
from qasid import finding

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


def check_providers(name: str) -> None:
    """The command finds this one, and no other."""
    command = [str(Path(sys.executable).parent / "qasid"), "providers", "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [each["name"] for each in json.loads(said)]
    check(found == [name], f"the providers are {', '.join(found)}, and not {name} alone")


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
        check_providers(name)
        check_call(name)
        os.chdir("/")


if __name__ == "__main__":
    main(sys.argv[1])
