"""A stranger's provider: made from the template, finished by the tutorial, then broken on purpose.

`nox -s third_party` runs this where nothing of ours is installed but the core and the contract. It
ends with an error where the contract does not say what it should.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from walkthrough import Walk  # of docs/, which the session puts on the path

PROVIDER: Final = Path("acme/src/qasid_acme/__init__.py")
TESTS: Final = Path("acme/tests/test_contract.py")
REPORT: Final = Path("report.json")
COMMANDS: Final = Path(sys.executable).parent


@attrs.frozen
class Sabotage:
    """A line that takes the place of another, or follows it; and the rule that is to find it."""

    name: str
    rule: str
    line: str
    replaced: str = ""
    followed: str = ""

    def done_to(self, text: str) -> str:
        """The text with the line changed, which must be there once."""
        told(text.count(self.line) == 1, f"{self.name}: the line is there once")
        return text.replace(self.line, self.replaced or f"{self.line}\n{self.followed}")


SABOTAGES: Final = (
    Sabotage(
        "a status is taken for another",
        "NUM-6",
        "402: errors.InsufficientCredit",
        replaced="402: errors.InvalidRequest",
    ),
    Sabotage(
        "an error repeats the reply, secrets and all",
        "SEC-3",
        'f"Acme answered {response.status}"',
        replaced='f"Acme answered {response.body!r}"',
    ),
    Sabotage(
        "a paid request is repeated after a fault",
        "TWICE-2",
        "        response = yield request",
        followed='        if "code" in path and response.status >= 500: response = yield request',
    ),
    Sabotage(
        "an amount was a float",
        "MONEY-1",
        'take(data, "amount", Decimal)',
        replaced='str(float(take(data, "amount", Decimal)))',
    ),
    Sabotage(
        "a code loses its leading zeros",
        "OTP-1",
        'code=take(response.json(), "code", str)',
        replaced='code=take(response.json(), "code", str).lstrip("0")',
    ),
    Sabotage(
        "every call makes another one first",
        "AUTH-3",
        '        url = f"{self.base_url}{path}"',
        followed='        yield Request(method="GET", url=self.base_url + "/v1/balance")',
    ),
)
OVERRIDE: Final = "    def test_num_1(self) -> None: ...\n"


def told(condition: object, words: str) -> None:
    """End with an error where something is not so."""
    if not condition:
        raise SystemExit(f"NOT so: {words}")


def ran(*command: object, code: int = 0) -> str:
    """What a command writes. Its exit code must be that one."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    words = f"{command[0]} ends with {code}, and not with {done.returncode}\n{done.stdout}"
    told(done.returncode == code, words)
    return done.stdout


def install() -> None:
    """Build acme's wheel and install it as anybody would."""
    build = ["-m", "build", "--no-isolation", "--wheel", "--outdir", "wheels", "acme"]
    ran(sys.executable, *build)
    offline = ["--no-deps", "--no-index", "--force-reinstall", *Path("wheels").glob("*.whl")]
    ran(sys.executable, "-m", "pip", "install", *offline)


def proven(verdict: str, code: int) -> Mapping[str, str]:
    """Run the contract on what is installed; gives the red rules and their words."""
    ran(COMMANDS / "qasid", "contract", "acme", "--report", REPORT, code=code)
    (report,) = json.loads(REPORT.read_text("utf-8"))["reports"]
    told(report["verdict"] == verdict, f"the verdict is {verdict}, and not {report['verdict']}")
    return {r["rule"]: r["words"] for r in report["results"] if r["status"] == "failed"}


def begin() -> None:
    """A new plugin is red, where and in what words it was said."""
    # An environment that is used again has the one of the last time.
    ran(sys.executable, "-m", "pip", "uninstall", "--yes", "qasid-acme")
    made: Any = json.loads(ran(COMMANDS / "qasid", "new-provider", "acme", "--json"))
    install()
    red = proven("nonconformant", 1)
    told([step["rule"] for step in made["red"]] == [*red], f"red are {', '.join(red)}")
    for step in made["red"]:
        told(step["words"] in red[step["rule"]], f"{step['rule']} says: {step['words']}")
    show("new from the template", "DEC-1 WIRE-1", red)


def finish() -> None:
    """What the tutorial says makes it conformant, by the command and in its own tests."""
    Walk(Path("acme")).to_the_end()
    install()
    show("finished by the tutorial", "", proven("conformant", 0))
    ran(sys.executable, "-m", "pytest", "acme")


def break_it() -> Iterator[bool]:
    """Each sabotage by itself; whether its rule is red, and no other."""
    sound = PROVIDER.read_text("utf-8")
    for sabotage in SABOTAGES:
        PROVIDER.write_text(sabotage.done_to(sound), "utf-8")
        install()
        red = proven("nonconformant", 1)
        show(sabotage.name, sabotage.rule, red)
        yield [sabotage.rule] == [*red]
    PROVIDER.write_text(sound, "utf-8")


def override() -> None:
    """A rule that is overridden is refused before anything is run."""
    with TESTS.open("a", encoding="utf-8") as file:
        file.write(OVERRIDE)
    said = ran(sys.executable, "-m", "pytest", "acme", code=2)
    told("it defines test_num_1" in said, "an overridden rule is refused at collection")
    show("a rule is overridden", "refused", ["refused"])


def show(name: str, expected: str, red: Mapping[str, str] | list[str]) -> None:
    """A line of the table."""
    print(f"{name:45}{expected or 'conformant':15}{' '.join(red) or 'conformant'}", flush=True)


def main() -> None:
    """All of it, in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        show("acme", "expected", ["red"])
        begin()
        finish()
        found = [*break_it()]
        override()
        told(all(found), "each sabotage is found by its rule alone")
        os.chdir("/")


if __name__ == "__main__":
    main()
