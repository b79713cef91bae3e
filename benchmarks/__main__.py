"""The command: run the benchmark, compare two of its reports, or profile what it runs.

python -m benchmarks run --environments FOLDER [--quick] [--output FOLDER]
python -m benchmarks compare OLD.json NEW.json
python -m benchmarks profile "https: qasid_sync" --environments FOLDER
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks import ROOT
from benchmarks.plot import drawn, of_sends
from benchmarks.report import Report, Unlike, compared
from benchmarks.run import KNOWN, Plan, measured, profiled

_SIZES: Final[Mapping[bool, Mapping[str, Any]]] = {
    False: {"rounds": 7, "seconds": 0.6, "numbers": 10_000, "waiting": 3.0, "messages": 1_000_000},
    True: {"rounds": 2, "seconds": 0.05, "numbers": 1_000, "waiting": 0.4, "messages": 10_000},
}


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks", description="What Qasid costs.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and write a report")
    run.add_argument("--environments", type=Path, required=True, help="one for each peer, and ours")
    run.add_argument("--output", type=Path, required=True, help="the report's folder")
    run.add_argument("--quick", action="store_true", help="in under two minutes; says little")
    compare = commands.add_parser("compare", help="two reports of one machine, side by side")
    compare.add_argument("old", type=Path)
    compare.add_argument("new", type=Path)
    profile = commands.add_parser("profile", help="where the CPU goes of one of those that are run")
    profile.add_argument("key", choices=KNOWN)
    profile.add_argument("--environments", type=Path, required=True)
    return parser.parse_args(given)


def about(plan: Plan) -> dict[str, Any]:
    """The machine and the versions, as our environment sees them."""
    command = (plan.binaries("qasid") / "python", "-m", "benchmarks.machine")
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def run(environments: Path, output: Path, *, quick: bool) -> None:
    plan = Plan(environments=environments, **_SIZES[quick])
    found = attrs.asdict(measured(plan, profiles=not quick), recurse=False)
    report = Report(quick=quick, rounds=plan.rounds, seconds=plan.seconds, **about(plan), **found)
    write(report, output)
    print(report.markdown())


def write(report: Report, folder: Path) -> None:
    """The three files."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("report.json").write_text(report.json(), "utf-8")
    folder.joinpath("report.md").write_text(report.markdown(), "utf-8")
    for group in ("http", "https"):
        bars = of_sends(report.runs, report.outcomes, group)
        picture = drawn(f"CPU per send, keep-alive, {group.upper()}", bars)
        folder.joinpath(f"{group}.svg").write_text(picture, "utf-8")


def compare(old: Path, new: Path) -> None:
    try:
        print(compared(Report.read(old), Report.read(new)))
    except Unlike as refusal:
        sys.exit(f"error: {refusal}")


def main() -> None:
    given = arguments(sys.argv[1:])
    match given.command:
        case "run":
            run(given.environments, given.output, quick=given.quick)
        case "compare":
            compare(given.old, given.new)
        case "profile":
            print(profiled(Plan(environments=given.environments, **_SIZES[False]), given.key))


if __name__ == "__main__":
    main()
