"""A run: every case, program and trial in turn, several rounds of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from benchmarks import ROOT
from benchmarks.cases import CASES, OURS, Case
from benchmarks.goals import Runs, missed
from benchmarks.job import Outcome
from benchmarks.profiling import top_ten
from benchmarks.programs import PROGRAMS, Program, started
from benchmarks.quiet import settled
from benchmarks.stage import Stage, staged
from benchmarks.trials import TRIALS, Trial
from benchmarks.turn import WARM

__all__ = ["KNOWN", "Measured", "Plan", "command", "measured", "profiled"]

PATIENCE: Final = 600  # seconds for one process
SETTLING: Final = 180  # seconds, at most, until a full run begins

_Any: TypeAlias = Case | Program | Trial

#: All that is run, by its key.
KNOWN: Final[Mapping[str, _Any]] = {
    **{case.key: case for case in CASES},
    **{program.key: program for program in PROGRAMS},
    **{trial.key: trial for trial in TRIALS},
}


@attrs.frozen(kw_only=True)
class Plan:
    """So many rounds, in each of which every driver sends for so many seconds.

    So many `numbers` wait for `waiting` seconds, and so many `messages` are a bulk. `environments`
    is the folder that holds them, each by its name. Of a peer whose environment is not there
    nothing is measured, and the report says so.
    """

    rounds: int
    seconds: float
    numbers: int
    waiting: float
    messages: int
    environments: Path

    def binaries(self, environment: str) -> Path:
        """The folder of an environment's programs."""
        return self.environments.resolve() / environment / "bin"


@attrs.frozen(kw_only=True)
class Measured:
    """All outcomes by their key, round by round; and what the server did meanwhile.

    `busy` is the largest part of one core that the server used, by key; NaN where the system does
    not tell. `figures` are those of the trials, by key and name, and how many requests the server
    counted for one call of `send_many`. `profiles` has the top ten of whatever missed its goal.
    `load` is the system's of the last minute before.
    """

    server: str
    load: float
    outcomes: dict[str, list[Outcome]] = attrs.field(factory=lambda: defaultdict(list))
    busy: dict[str, float] = attrs.field(factory=lambda: defaultdict(float))
    figures: dict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))
    profiles: dict[str, str] = attrs.field(factory=dict)


def measured(plan: Plan, *, profiles: bool) -> Measured:
    """Run it all, and profile what missed its goal. Raises `RuntimeError` where a driver fails."""
    with staged() as stage:
        found = Measured(server=stage.quick.name, load=settled(SETTLING if profiles else 0))
        for program in PROGRAMS:  # once for the bytecode, which is not written yet
            tuple(_start(stage, plan, program))
        for place in range(plan.rounds):
            print(f"round {place + 1} of {plan.rounds}", file=sys.stderr, flush=True)
            _round(stage, plan, found, forwards=place % 2 == 0)
        for key in missed(Runs(found.outcomes, found.figures)) if profiles else ():
            print(f"a profile of {key}", file=sys.stderr, flush=True)
            found.profiles[key] = _profile(stage, plan, KNOWN[key])
    return found


def profiled(plan: Plan, key: str) -> str:
    """The ten functions that take most of it."""
    with staged() as stage:
        return _profile(stage, plan, KNOWN[key])


def _profile(stage: Stage, plan: Plan, what: _Any) -> str:
    starts = isinstance(what, Program)
    plan = attrs.evolve(plan, messages=plan.messages // 20)  # under a profiler it takes its time
    return top_ten(command(stage, plan, what), environment(stage, what), warm=not starts)


def command(stage: Stage, plan: Plan, what: _Any) -> tuple[str, ...]:
    """What is run, beginning with the interpreter of its environment."""
    place = OURS if isinstance(what, Trial) else what.environment
    return str(plan.binaries(place) / "python"), *_words(stage, plan, what)


def _words(stage: Stage, plan: Plan, what: _Any) -> tuple[str, ...]:
    if isinstance(what, Case):
        return "-m", "benchmarks.turn", stage.job(what, plan.seconds).written()
    if isinstance(what, Trial):
        sizes = (str(getattr(plan, name)) for name in what.sizes)
        return "-m", f"benchmarks.{what.module}", what.kind, *sizes
    name, *words = what.command
    script = () if name == "python" else (str(plan.binaries(what.environment) / name),)
    return *script, *words


def environment(stage: Stage, what: _Any) -> dict[str, str]:
    """The variables that it sees."""
    crowded = isinstance(what, Program) and what.crowded
    return {**stage.environment, **({"PYTHONPATH": str(stage.strangers)} if crowded else {})}


def _round(stage: Stage, plan: Plan, found: Measured, *, forwards: bool) -> None:
    step = 1 if forwards else -1
    for case in CASES[::step]:  # nobody is always the first
        if plan.binaries(case.environment).exists():
            _note(case, _turn(stage, plan, case), found)
    for program in PROGRAMS[::step]:
        found.outcomes[program.key] += _start(stage, plan, program)
    for trial in TRIALS[::step]:
        figures = json.loads(_said(stage, plan, trial))
        for name in figures:
            found.figures[f"{trial.key}: {name}"].append(figures[name])


@attrs.frozen
class _Turn:
    outcome: Outcome
    requests: int
    server_cpu: float


def _turn(stage: Stage, plan: Plan, case: Case) -> _Turn:
    server = stage.server(case)
    requests, used = server.requests(), server.cpu()
    outcome = Outcome.read(_said(stage, plan, case))
    return _Turn(outcome, server.requests() - requests - 1, server.cpu() - used)


def _said(stage: Stage, plan: Plan, what: Case | Trial) -> str:
    """The last line that it prints."""
    told = subprocess.run(
        command(stage, plan, what),
        cwd=ROOT,
        env=environment(stage, what),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if told.returncode:
        raise RuntimeError(f"{what.key} failed:\n{told.stderr[-2000:]}")
    return told.stdout.splitlines()[-1]


def _note(case: Case, turn: _Turn, found: Measured) -> None:
    outcome = turn.outcome
    measured_part = outcome.sends / (outcome.sends + WARM * case.workers)
    found.outcomes[case.key].append(outcome)
    busy = turn.server_cpu * measured_part / outcome.wall
    found.busy[case.key] = max(found.busy[case.key], busy)
    if case.driver == "qasid_many":
        found.figures[f"{case.key}: requests"].append(turn.requests / (outcome.sends + WARM))


def _start(stage: Stage, plan: Plan, program: Program) -> Iterator[Outcome]:
    folder = plan.binaries(program.environment)
    if folder.exists():
        name, *arguments = program.command
        yield started([str(folder / name), *arguments], environment(stage, program))
