"""A run: every case and every program in turn, several rounds of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from benchmarks import ROOT
from benchmarks.cases import CASES, Case
from benchmarks.job import Outcome
from benchmarks.programs import PROGRAMS, Program, started
from benchmarks.stage import Stage, staged
from benchmarks.turn import WARM

__all__ = ["Measured", "Plan", "measured"]

PATIENCE: Final = 600  # seconds for one turn


@attrs.frozen(kw_only=True)
class Plan:
    """So many rounds, in each of which every driver sends for so many seconds.

    `environments` is the folder that holds them, each by its name. Of a peer whose environment is
    not there nothing is measured, and the report says so.
    """

    rounds: int
    seconds: float
    environments: Path

    def binaries(self, environment: str) -> Path:
        """The folder of an environment's programs."""
        return self.environments.resolve() / environment / "bin"


@attrs.frozen(kw_only=True)
class Measured:
    """All outcomes by their key, round by round; and what the server did meanwhile.

    `busy` is the largest part of one core that the server used, by key; NaN where the system does
    not tell. `requests` is how many the server counted for one call of `send_many`. `load` is the
    system's of the last minute before.
    """

    server: str
    load: float
    outcomes: dict[str, list[Outcome]] = attrs.field(factory=lambda: defaultdict(list))
    busy: dict[str, float] = attrs.field(factory=lambda: defaultdict(float))
    requests: list[float] = attrs.field(factory=list)


def measured(plan: Plan) -> Measured:
    """Run it all. Raises `RuntimeError` where a driver fails."""
    with staged() as stage:
        found = Measured(server=stage.quick.name, load=os.getloadavg()[0])
        for program in PROGRAMS:  # once for the bytecode, which is not written yet
            tuple(_start(stage, plan, program))
        for place in range(plan.rounds):
            print(f"round {place + 1} of {plan.rounds}", file=sys.stderr, flush=True)
            _round(stage, plan, found, forwards=place % 2 == 0)
    return found


def _round(stage: Stage, plan: Plan, found: Measured, *, forwards: bool) -> None:
    for case in CASES[:: 1 if forwards else -1]:  # nobody is always the first
        python = plan.binaries(case.environment) / "python"
        if python.exists():
            _note(case, _turn(stage, plan, case, python), found)
    for program in PROGRAMS[:: 1 if forwards else -1]:
        found.outcomes[program.key] += _start(stage, plan, program)


@attrs.frozen
class _Turn:
    outcome: Outcome
    requests: int
    server_cpu: float


def _turn(stage: Stage, plan: Plan, case: Case, python: Path) -> _Turn:
    job, server = stage.job(case, plan.seconds), stage.server(case)
    requests, used = server.requests(), server.cpu()
    told = subprocess.run(
        (python, "-m", "benchmarks.turn", job.written()),
        cwd=ROOT,
        env=stage.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if told.returncode:
        raise RuntimeError(f"{case.key} failed:\n{told.stderr[-2000:]}")
    outcome = Outcome.read(told.stdout.splitlines()[-1])
    return _Turn(outcome, server.requests() - requests - 1, server.cpu() - used)


def _note(case: Case, turn: _Turn, found: Measured) -> None:
    outcome = turn.outcome
    measured_part = outcome.sends / (outcome.sends + WARM * case.workers)
    found.outcomes[case.key].append(outcome)
    busy = turn.server_cpu * measured_part / outcome.wall
    found.busy[case.key] = max(found.busy[case.key], busy)
    if case.driver == "qasid_many":
        found.requests.append(turn.requests / (outcome.sends + WARM))


def _start(stage: Stage, plan: Plan, program: Program) -> Iterator[Outcome]:
    folder = plan.binaries(program.environment)
    if folder.exists():
        name, *arguments = program.command
        crowd = {"PYTHONPATH": str(stage.strangers)} if program.crowded else {}
        yield started([str(folder / name), *arguments], {**stage.environment, **crowd})
