"""How many instructions a send takes: the check that no noise of the machine can upset.

    python -m benchmarks.instructions [--write | --alarm]

Valgrind counts those of `hotpath` with COUNT sends and with twice as many; the difference has no
start-up in it. The same is done with `reference`, a fixed piece of plain Python. The baselines, one
for each minor version of Python, hold both and say which build of Python they are of.

On that very build the counts are compared. On another build of the same version, whose compiler
made other instructions of the same code, the *ratio* to the reference is. On another architecture
nothing is. Each of it is said. A baseline is passed when it is exceeded by more than 5 %.

With --alarm eleven sends are made for each ten that are counted, which is a slow-down of 10 %, and
the result is turned round: it is an error if that is let pass.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks import ROOT

__all__ = ["Counted", "Verdict", "judged", "per_round"]

BASELINES: Final = Path(__file__).with_suffix(".json")
THRESHOLD: Final = 0.05
_COUNTS: Final = {"hotpath": 300, "reference": 2_000}


@attrs.frozen(kw_only=True)
class Counted:
    """Instructions for one send and for one round of the reference, and of which Python."""

    send: float
    reference: float
    build: str
    architecture: str

    @property
    def ratio(self) -> float:
        """What a send is in rounds of the reference."""
        return self.send / self.reference


@attrs.frozen
class Verdict:
    """Whether it may pass, and what is to be said of it in any case."""

    passed: bool
    said: str


def per_round(once: int, twice: int, count: int) -> float:
    """Instructions for one of `count` rounds, from the totals of `count` and of twice as many."""
    return (twice - once) / count


def judged(found: Counted, baseline: Counted | None) -> Verdict:
    """Compare what can be compared."""
    if baseline is None:
        return Verdict(False, "there is no baseline for this Python; renew them with --write")
    if baseline.architecture != found.architecture:
        of = f"{baseline.architecture}, this is {found.architecture}"
        return Verdict(True, f"NOT COMPARED: the baseline is of {of}")
    if baseline.build == found.build:
        return _change("instructions for a send", baseline.send, found.send)
    said = f"the baseline is of another build of this Python ({baseline.build})"
    change = _change("the ratio to the reference", baseline.ratio, found.ratio)
    return attrs.evolve(change, said=f"{said}; so the ratio is compared: {change.said}")


def _change(what: str, old: float, new: float) -> Verdict:
    change = new / old - 1
    told = f"{what}: {new:,.2f}, {change:+.2%} of the baseline's {old:,.2f}"
    if change > THRESHOLD:
        return Verdict(False, f"{told}; at most {THRESHOLD:+.0%} is let pass")
    return Verdict(True, told)


def version() -> str:
    """The minor version of this Python, such as ``3.12``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def build() -> str:
    """What decides the instructions of this interpreter: version, compiler, kind of build."""
    made = platform.python_version(), platform.python_compiler(), *platform.python_build()
    return ", ".join(made)


def counted(made: float = 1) -> Counted:
    """Count, two at a time: who else uses the machine does not matter.

    For each send that is counted so many are `made`.
    """
    for name in _COUNTS:  # once without valgrind: it writes the bytecode of what is imported
        finished(sys.executable, "-m", f"benchmarks.{name}", "1")
    times = {"hotpath": made, "reference": 1}
    runs = [(name, _COUNTS[name] * factor) for name in _COUNTS for factor in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda run: total(run[0], round(run[1] * times[run[0]])), runs)
        totals = dict(zip(runs, found, strict=True))
    each = {
        name: per_round(totals[name, count], totals[name, 2 * count], count)
        for name, count in _COUNTS.items()
    }
    return Counted(
        send=round(each["hotpath"], 1),
        reference=round(each["reference"], 1),
        build=build(),
        architecture=platform.machine(),
    )


def total(module: str, count: int) -> int:
    """All instructions of a process. Raises `RuntimeError` where it fails."""
    valgrind = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}")
    said = finished(*valgrind, sys.executable, "-m", f"benchmarks.{module}", str(count))
    found = re.search(r"Collected : (\d+)", said)
    if found is None:
        raise RuntimeError(f"valgrind did not count:\n{said[-2000:]}")
    return int(found[1])


def finished(*command: str) -> str:
    """What a command says on stderr. Raises `RuntimeError` where it fails."""
    # A fixed hash seed, and nothing of this user: both would change what is executed.
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONHASHSEED": "0"}
    told = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if told.returncode:
        raise RuntimeError(f"{command} failed:\n{told.stderr[-2000:]}")
    return told.stderr


def baselines() -> dict[str, Counted]:
    """Those that are stored, by version."""
    stored: Mapping[str, Any] = json.loads(BASELINES.read_text()) if BASELINES.exists() else {}
    return {name: Counted(**fields) for name, fields in stored.items()}


def renew(found: Counted) -> None:
    """Store it as the baseline of this version."""
    stored = dict(sorted({**baselines(), version(): found}.items()))
    fields = {name: attrs.asdict(each) for name, each in stored.items()}
    BASELINES.write_text(json.dumps(fields, indent=2) + "\n")


def main(arguments: Sequence[str]) -> None:
    if {"--alarm", "--write"} <= {*arguments}:
        sys.exit("error: a baseline of what was made slower would be none")
    if shutil.which("valgrind") is None:
        sys.exit("error: valgrind is not installed; the instructions cannot be counted")
    alarm = "--alarm" in arguments
    found = counted(1.1 if alarm else 1)
    if "--write" in arguments:
        renew(found)
    verdict = judged(found, baselines().get(version()))
    print(f"Python {version()}{', made 10 % slower' if alarm else ''}: {verdict.said}")
    if alarm and verdict.passed:
        sys.exit("error: the alarm is silent; renew the baseline with --write")
    if not alarm and not verdict.passed:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
