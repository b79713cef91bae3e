"""A run as a report: JSON for programs, Markdown for people, and two of them side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import attrs

from benchmarks import machine
from benchmarks.cases import CASES, PEERS
from benchmarks.figures import Figure
from benchmarks.goals import Row, Runs, rows
from benchmarks.job import Outcome
from benchmarks.programs import PROGRAMS
from benchmarks.quiet import QUIET

__all__ = ["Report", "Unlike", "compared"]

_FORMAT: Final = 2  # of the JSON file
_HEAD: Final = ("what", "goal (stretch)", "of", "median (least to most)", "")
_BUSY: Final = 0.8  # of a core; beyond it the server may have been what was measured


class Unlike(ValueError):
    """Two reports that must not be compared."""


@attrs.frozen(kw_only=True)
class Report:
    """All that a run found; see `run.Measured`. `versions` are of Qasid's environment."""

    quick: bool
    rounds: int
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]
    server: str
    load: float
    outcomes: Mapping[str, Sequence[Outcome]]
    busy: Mapping[str, float]
    figures: Mapping[str, Sequence[float]]
    profiles: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises `Unlike` for a file of another form."""
        fields = json.loads(path.read_text("utf-8"))
        if fields.pop("format", None) != _FORMAT:
            raise Unlike(f"{path} is no report of format {_FORMAT}")
        series = fields.pop("outcomes")
        outcomes = {key: [Outcome(**each) for each in series[key]] for key in series}
        return cls(**fields, outcomes=outcomes)

    def json(self) -> str:
        """What `read` reads."""
        fields = {
            "format": _FORMAT,
            **{f.name: getattr(self, f.name) for f in attrs.fields(Report)},
        }
        outcomes = {key: [vars(each) for each in self.outcomes[key]] for key in self.outcomes}
        return json.dumps({**fields, "outcomes": outcomes}, ensure_ascii=False) + "\n"

    @property
    def runs(self) -> Runs:
        """The outcomes as numbers."""
        return Runs(self.outcomes, self.figures)

    @property
    def rows(self) -> list[Row]:
        """The goals and their figures."""
        return rows(self.runs)

    def markdown(self) -> str:
        """The page."""
        parts = (
            self._about(),
            "### Goals\n\n" + table(_HEAD, (row.cells() for row in self.rows)),
            "### What a send costs\n\n" + table(_COSTS, self._costs()),
            "### What a start costs\n\n" + table(_STARTS, self._starts()),
            "### Was the server in the way?\n\n" + self._server(),
            *self._profiles(),
        )
        return "\n\n".join(parts) + "\n"

    def _about(self) -> str:
        lines = [*self.machine.items(), *self.versions.items(), ("load before", f"{self.load:.2f}")]
        told = ", ".join(f"{name} {value}" for name, value in lines)
        noise = "" if self.load <= QUIET else " **Others used the machine: do not trust it.**"
        kind = "A quick run, which says little" if self.quick else "A full run"
        return (
            f"{kind}: {self.rounds} rounds, {self.seconds:g} s of each driver in each.{noise}\n\n"
            f"{told}."
        )

    def _costs(self) -> Iterator[tuple[str, ...]]:
        """Each driver: CPU and wall per send, sends per second, memory."""
        for case in CASES:
            if case.key not in self.outcomes:
                yield case.group, case.driver, "not measured: no environment", "", "", ""
                continue
            cost, rate = Figure.of(self.runs.cost(case.key)), Figure.of(self.runs.rate(case.key))
            memory = Figure.of(self.runs.memory(case.key))
            yield (
                case.group,
                f"**{case.driver}**" if case.driver in PEERS else case.driver,
                cost.told(lambda value: f"{value:.0f}"),
                f"{Figure.of(self.runs.wall(case.key)).median * 1e3:.0f}",
                f"{rate.median:.0f}",
                f"{memory.median:.0f}",
            )

    def _starts(self) -> Iterator[tuple[str, ...]]:
        """Each program that was run. On a busy machine the CPU says more than the wall."""
        for program in PROGRAMS:
            if program.key in self.outcomes:
                cpu = [cost / 1e3 for cost in self.runs.cost(program.key)]
                told = [
                    Figure.of(s).told("{:.0f}".format) for s in (cpu, self.runs.wall(program.key))
                ]
                yield program.key.removeprefix("start: "), *told

    def _profiles(self) -> Iterator[str]:
        """Of each that missed its goal, where its CPU goes."""
        if self.profiles:
            yield "### Where the CPU goes of what missed its goal\n\n" + _PROFILED
        for key, top in self.profiles.items():
            yield f"{key}:\n\n```text\n{top}\n```"

    def _server(self) -> str:
        """What it was, how busy it was at most, and how fast a plain socket drove it."""
        known = {key: part for key, part in self.busy.items() if not math.isnan(part)}
        raw = Figure.of(self.runs.rate("http: raw_socket")).median
        told = (
            f"The server was {self.server}. A plain socket got {raw:.0f} answers a second from it"
        )
        if not known:
            return f"{told}; how busy it was, this system does not tell."
        busiest = max(known, key=known.__getitem__)
        verdict = "no" if known[busiest] <= _BUSY else "**perhaps**"
        return (
            f"{told}; at most it used {known[busiest]:.0%} of one core ({busiest}). In the way: "
            f"{verdict}. The server that waits 100 ms is our own in any case; what `bare_stream` "
            "gets from it is all that can be got here."
        )


_PROFILED: Final = (
    "The ten functions that take most themselves, of the whole process, by cProfile, which makes "
    "dearer what is called often."
)
_COSTS: Final = (
    "", "driver", "µs of CPU per send (least to most)", "µs of wall", "sends per second", "MiB",
)  # fmt: skip
_STARTS: Final = ("program", "ms of CPU (least to most)", "ms of wall (least to most)")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    rule = "|".join("---" for _ in head)
    body = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([f"| {' | '.join(head)} |", f"|{rule}|", *body])


def compared(old: Report, new: Report) -> str:
    """The goals of two reports of one machine. Raises `Unlike` where they are not of one."""
    unlike = machine.differences(old.machine, new.machine)
    if unlike:
        raise Unlike(f"these reports are of different machines ({'; '.join(unlike)})")
    if old.quick != new.quick:
        raise Unlike("one of these reports is of a quick run, the other of a full one")
    before = {(row.what, row.of, row.unit): row for row in old.rows}
    pairs = ((before.get((row.what, row.of, row.unit)), row) for row in new.rows)
    return table(("what", "of", "old", "new", "change"), (_pair(*pair) for pair in pairs))


def _pair(old: Row | None, new: Row) -> tuple[str, ...]:
    first, second = old and old.figure, new.figure
    told = [figure.told(new.form) if figure else "" for figure in (first, second)]
    change = first and second and first.median and f"{second.median / first.median - 1:+.0%}"
    return new.what, new.of, *told, change or ""
