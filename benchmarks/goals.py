"""The goals: what is measured against what, how far it may go, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import attrs

from benchmarks.cases import DELAY, IN_FLIGHT, PEERS, SLOW_TLS
from benchmarks.figures import Figure, ratio
from benchmarks.job import Outcome

__all__ = ["Goal", "Row", "Runs", "missed", "rows"]

_FORMS: Final[Mapping[str, Callable[[float], str]]] = {
    "ratio": "{:.2f}".format,
    "1/n": lambda value: f"1/{1 / value:.0f}",
    "%": lambda value: f"{value:.1%}",
    "µs": lambda value: f"{value:.0f} µs",
    "ms": lambda value: f"{value:.1f} ms",
    "KiB": lambda value: f"{value:.1f} KiB",
    "MiB": lambda value: f"{value:+.1f} MiB",
    "requests": lambda value: f"{value:.0f} requests",
}


@attrs.frozen
class Goal:
    """How much it may be at most, or has to be `at_least`; `stretch` is what we would like."""

    limit: float
    stretch: float | None = None
    at_least: bool = False

    def verdict(self, value: float) -> str:
        """``met``, ``met, stretch too`` or ``missed``."""
        if not self._kept(self.limit, value):
            return "missed"
        beyond = self.stretch is not None and self._kept(self.stretch, value)
        return "met, stretch too" if beyond else "met"

    def told(self, form: Callable[[float], str]) -> str:
        """``≤ limit (stretch)``."""
        stretch = "" if self.stretch is None else f" ({form(self.stretch)})"
        return f"{'≥' if self.at_least else '≤'} {form(self.limit)}{stretch}"

    def _kept(self, limit: float, value: float) -> bool:
        return value >= limit if self.at_least else value <= limit


@attrs.frozen(kw_only=True)
class Row:
    """One line of the table. Without a goal it is there to be seen; without a figure, to be done.

    `of` is what it is compared with, where it is a ratio or a difference, and `whom` who that was
    in this run. `ours` is the key of what is profiled when the goal is missed.
    """

    what: str
    unit: str
    ours: str = ""
    of: str = ""
    whom: str = ""
    goal: Goal | None = None
    figure: Figure | None = None

    @property
    def form(self) -> Callable[[float], str]:
        """How its numbers are written."""
        return _FORMS[self.unit]

    @property
    def verdict(self) -> str:
        """Whether the median keeps to the goal."""
        if self.figure is None:
            return "not measured"
        return self.goal.verdict(self.figure.median) if self.goal else ""

    def cells(self) -> tuple[str, str, str, str, str]:
        """What, goal, of what, figure, verdict."""
        goal = self.goal.told(self.form) if self.goal else ""
        figure = self.figure.told(self.form) if self.figure else ""
        whom = f" ({self.whom})" if self.whom else ""
        return self.what, goal, f"{self.of}{whom}", figure, self.verdict


class Runs:
    """All rounds as numbers: outcomes by key, and figures of trials by key and name.

    Raises `KeyError` for what was not run.
    """

    def __init__(
        self,
        outcomes: Mapping[str, Sequence[Outcome]],
        figures: Mapping[str, Sequence[float]] = MappingProxyType({}),
    ) -> None:
        self._outcomes = outcomes
        self._figures = figures

    def figures(self, key: str) -> list[float]:
        """What a trial told, such as ``waiting: sync: lateness``."""
        return [*self._figures[key]]

    def cost(self, key: str) -> list[float]:
        """Microseconds of CPU for each send."""
        return [outcome.cost for outcome in self._outcomes[key]]

    def rate(self, key: str) -> list[float]:
        """Sends in a second."""
        return [outcome.rate for outcome in self._outcomes[key]]

    def wall(self, key: str) -> list[float]:
        """Milliseconds for each send, or from start to end of a program."""
        return [outcome.wall / outcome.sends * 1e3 for outcome in self._outcomes[key]]

    def memory(self, key: str) -> list[float]:
        """MiB at most."""
        return [outcome.memory for outcome in self._outcomes[key]]

    def messages(self, key: str) -> list[float]:
        """Messages for each second of CPU."""
        return [o.sends * o.messages / o.cpu for o in self._outcomes[key]]

    def best(self, keys: Sequence[str], measure: Callable[[str], list[float]]) -> str:
        """The key whose median is the largest, of those that were run."""
        run = [key for key in keys if key in self._outcomes]
        if not run:
            raise KeyError(*keys)
        return max(run, key=lambda key: Figure.of(measure(key)).median)


def missed(runs: Runs) -> list[str]:
    """The keys of what is to be profiled, each once."""
    return [*dict.fromkeys(row.ours for row in rows(runs) if row.verdict == "missed")]


def rows(runs: Runs) -> list[Row]:
    """The whole table."""
    return [
        *_sending(runs),
        *_concurrent(runs),
        *_lists(runs),
        *_waiting(runs),
        *_starting(runs),
        *_memory(runs),
    ]


def _figure(measure: Callable[[], Figure]) -> Figure | None:
    try:
        return measure()
    except KeyError:  # its environment was not made
        return None


def _ratio(of: Callable[[str], list[float]], ours: str, theirs: str) -> Figure | None:
    return _figure(lambda: ratio(of(ours), of(theirs)))


def _difference(of: Callable[[str], list[float]], ours: str, theirs: str) -> Figure | None:
    return _figure(lambda: _above(of(ours), of(theirs)))


def _alone(of: Callable[[str], list[float]], key: str) -> Figure | None:
    return _figure(lambda: Figure.of(of(key)))


def _sending(runs: Runs) -> Iterator[Row]:
    cost, bare, aio = runs.cost, "bare `requests.Session.post`", "bare aiohttp `session.post`"
    send, awaited = "CPU per `account.send`", "CPU per `await account.send`"
    yield Row(
        what=f"{send}, keep-alive, HTTP",
        unit="ratio",
        of=bare,
        ours="http: qasid_sync",
        goal=Goal(0.5, 0.25),
        figure=_ratio(cost, "http: qasid_sync", "http: bare_requests"),
    )
    yield Row(
        what=f"{send}, keep-alive, HTTPS",
        unit="ratio",
        of=bare,
        figure=_ratio(cost, "https: qasid_sync", "https: bare_requests"),
    )
    for peer in SLOW_TLS:
        yield Row(
            what=f"{send}, keep-alive, HTTPS",
            unit="1/n",
            of=peer,
            ours="https: qasid_sync",
            goal=Goal(1 / 80, 1 / 150),
            figure=_ratio(cost, "https: qasid_sync", f"https: {peer}"),
        )
    yield from _connecting(runs)
    yield Row(
        what=f"{awaited}, HTTP",
        unit="ratio",
        of=aio,
        ours="http: qasid_async",
        goal=Goal(1.3),
        figure=_ratio(cost, "http: qasid_async", "http: bare_aiohttp"),
    )
    yield Row(
        what=f"{awaited}, HTTPS",
        unit="ratio",
        of=aio,
        figure=_ratio(cost, "https: qasid_async", "https: bare_aiohttp"),
    )
    yield from _own(runs)


def _connecting(runs: Runs) -> Iterator[Row]:
    ours, bare = "connection: qasid_sync", "connection: bare_requests"
    what = "CPU per send on a new HTTPS connection"
    milliseconds = _figure(lambda: Figure.of([each / 1e3 for each in runs.cost(ours)]))
    yield Row(what=what, unit="ms", ours=ours, goal=Goal(1.6), figure=milliseconds)
    yield Row(what=what, unit="ratio", of="bare requests", figure=_ratio(runs.cost, ours, bare))


def _own(runs: Runs) -> Iterator[Row]:
    what = "Qasid's own share of a send"
    yield Row(
        what=f"{what}: sandbox, with token and limit",
        unit="µs",
        ours="own: plugged_sandbox",
        goal=Goal(30, 15),
        figure=_alone(runs.cost, "own: plugged_sandbox"),
    )
    yield Row(
        what=f"{what}: DeftSMS, which signs each call",
        unit="µs",
        figure=_alone(runs.cost, "own: plugged_deftsms"),
    )


def _concurrent(runs: Runs) -> Iterator[Row]:
    yield Row(
        what="sends per second, 32 threads on one account",
        unit="ratio",
        of="32 threads of bare requests",
        ours="threads: qasid_sync",
        goal=Goal(1.8, 5, at_least=True),
        figure=_ratio(runs.rate, "threads: qasid_sync", "threads: bare_requests"),
    )
    yield Row(
        what="sends per second, 64 tasks on one account",
        unit="ratio",
        of="64 tasks of bare aiohttp",
        ours="tasks: qasid_async",
        goal=Goal(0.8, at_least=True),
        figure=_ratio(runs.rate, "tasks: qasid_async", "tasks: bare_aiohttp"),
    )
    for driver, goal in _IN_FLIGHT.items():
        yield Row(
            what=f"a server that takes 100 ms, {IN_FLIGHT} in flight: {driver}",
            unit="%",
            of="the ideal",
            ours=f"delayed: {driver}",
            goal=goal,
            figure=_alone(lambda key: _share(runs, key), f"delayed: {driver}"),
        )


_IN_FLIGHT: Final = {
    "qasid_sync": Goal(0.94, at_least=True),
    "qasid_async": Goal(0.94, at_least=True),
    "bare_requests": None,
    "bare_aiohttp": None,
    "bare_stream": None,
}


def _share(runs: Runs, key: str) -> list[float]:
    # Each of the workers could send 1 / 0.1 s = 10 times a second.
    return [rate * DELAY / IN_FLIGHT for rate in runs.rate(key)]


def _lists(runs: Runs) -> Iterator[Row]:
    what = "10,000 same texts through DeftSMS, HTTPS"
    ours = "list: qasid_many"
    yield Row(
        what=what,
        unit="requests",
        ours=ours,
        goal=Goal(100),
        figure=_alone(runs.figures, f"{ours}: requests"),
    )
    single = [f"https: {peer}" for peer in PEERS]
    lists = [f"list: {peer}" for peer in PEERS]
    for keys, manner, goal in (
        (single, "one by one", Goal(50, at_least=True)),
        (lists, "a hundred in a list", None),
    ):
        peer = _best(runs, keys)
        yield Row(
            what=f"{what}: messages per CPU second",
            unit="ratio",
            of=f"the best peer, {manner}",
            whom=peer.partition(": ")[2],
            ours=ours,
            goal=goal,
            figure=_ratio(runs.messages, ours, peer),
        )


def _best(runs: Runs, keys: Sequence[str]) -> str:
    try:
        return runs.best(keys, runs.messages)
    except KeyError:
        return "nobody"


def _waiting(runs: Runs) -> Iterator[Row]:
    for kind in ("sync", "async"):
        for group, name, told, unit, goal in _WAITING:
            ours = f"{group}: {kind}"
            yield Row(
                what=f"{_size(runs, ours, 10_000)} activations waiting, {kind}: {told}",
                unit=unit,
                ours=ours,
                goal=goal,
                figure=_alone(runs.figures, f"{ours}: {name}"),
            )


_WAITING: Final = (
    ("numbers", "memory", "memory of each", "KiB", Goal(1)),
    ("waiting", "scheduling", "core for scheduling, 5,000 due polls/s", "%", Goal(0.015)),
    ("waiting", "lateness", "lateness, p99", "ms", Goal(60)),
)


def _size(runs: Runs, key: str, wanted: int) -> str:
    """How many there were; a quick run has fewer than the goal speaks of."""
    measured = _alone(runs.figures, f"{key}: size")
    return f"{measured.median if measured else wanted:,.0f}"


def _starting(runs: Runs) -> Iterator[Row]:
    wall, nothing = runs.wall, "start: pass"
    above = "`python -c pass`"
    yield Row(
        what="`import qasid`",
        unit="ms",
        of=f"more than {above}",
        ours="start: import qasid",
        goal=Goal(45, 10),
        figure=_difference(wall, "start: import qasid", nothing),
    )
    for name, ours, theirs in _IMPORTS:
        yield Row(
            what=f"`{name}`",
            unit="ms",
            of=f"more than {above}",
            figure=_difference(wall, ours, theirs),
        )
    for crowd in ("", ", crowded"):
        yield from _commands(runs, crowd)
    yield Row(
        what="`apprise --version`",
        unit="ratio",
        of=above,
        figure=_ratio(wall, "start: apprise --version", "start: pass, apprise"),
    )
    yield Row(
        what="one HTTPS send by `qasid send`",
        unit="ratio",
        of="a script of bare requests",
        ours="start: qasid send",
        goal=Goal(1.15),
        figure=_ratio(wall, "start: qasid send", "start: requests script"),
    )


_IMPORTS: Final = (
    ("import qasid; qasid.connect", "start: qasid.connect", "start: pass"),
    ("import apprise", "start: import apprise", "start: pass, apprise"),
    ("import notifiers", "start: import notifiers", "start: pass, notifiers"),
    ("import twilio.rest", "start: import twilio.rest", "start: pass, twilio"),
)


def _commands(runs: Runs, crowd: str) -> Iterator[Row]:
    among = ", 500 distributions installed" if crowd else ""
    yield Row(
        what=f"`qasid --version`{among}",
        unit="ratio",
        of="`python -c pass`",
        ours=f"start: qasid --version{crowd}",
        goal=Goal(1.3),
        figure=_ratio(runs.wall, f"start: qasid --version{crowd}", f"start: pass{crowd}"),
    )
    yield Row(
        what=f"`qasid --help`{among}",
        unit="ms",
        ours=f"start: qasid --help{crowd}",
        goal=Goal(60),
        figure=_alone(runs.wall, f"start: qasid --help{crowd}"),
    )
    yield Row(
        what=f"`qasid providers`{among}",
        unit="ms",
        ours=f"start: qasid providers{crowd}",
        goal=Goal(90, 40),
        figure=_alone(runs.wall, f"start: qasid providers{crowd}"),
    )


def _memory(runs: Runs) -> Iterator[Row]:
    yield Row(
        what="memory of a client that is ready",
        unit="MiB",
        of="bare requests",
        ours="https: qasid_sync",
        goal=Goal(4),
        figure=_difference(runs.memory, "https: qasid_sync", "https: bare_requests"),
    )
    for kind in ("sync", "async"):
        yield from _bulk(runs, f"bulk: {kind}", kind)


def _bulk(runs: Runs, ours: str, kind: str) -> Iterator[Row]:
    what = f"memory of a bulk of {_size(runs, ours, 1_000_000)}, {kind}, HTTPS"

    def peak() -> list[float]:
        return runs.figures(f"{ours}: memory")

    yield Row(
        what=what,
        unit="MiB",
        of="bare requests",
        ours=ours,
        goal=Goal(10),
        figure=_figure(lambda: _above(peak(), runs.memory("https: bare_requests"))),
    )
    yield Row(
        what=what,
        unit="MiB",
        of="the same client, after a thousand",
        figure=_alone(runs.figures, f"{ours}: growth"),
    )
    if kind == "async":
        yield Row(
            what=what,
            unit="MiB",
            of="bare aiohttp",
            figure=_figure(lambda: _above(peak(), runs.memory("https: bare_aiohttp"))),
        )


def _above(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    return Figure.of([a - b for a, b in zip(ours, theirs, strict=True)])
