"""The goals: what is measured against what, how far it may go, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import attrs

from benchmarks.cases import DELAY, IN_FLIGHT, PEERS, SLOW_TLS
from benchmarks.figures import Figure, ratio
from benchmarks.job import Outcome

__all__ = ["Goal", "Row", "Runs", "rows"]

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
    in this run.
    """

    what: str
    unit: str
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
    """The outcomes of all rounds, by key, as numbers. Raises `KeyError` for what was not run."""

    def __init__(self, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
        self._outcomes = outcomes

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


def rows(runs: Runs, requests: Sequence[float]) -> list[Row]:
    """The whole table. `requests` is how many one call of `send_many` took, in each round."""
    return [
        *_sending(runs),
        *_concurrent(runs),
        *_lists(runs, requests),
        *_waiting(),
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
    return _figure(lambda: Figure.of([a - b for a, b in zip(of(ours), of(theirs), strict=True)]))


def _alone(of: Callable[[str], list[float]], key: str) -> Figure | None:
    return _figure(lambda: Figure.of(of(key)))


def _sending(runs: Runs) -> Iterator[Row]:
    cost, bare, aio = runs.cost, "bare `requests.Session.post`", "bare aiohttp `session.post`"
    send, awaited = "CPU per `account.send`", "CPU per `await account.send`"
    yield Row(
        what=f"{send}, keep-alive, HTTP",
        unit="ratio",
        of=bare,
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
            goal=Goal(1 / 80, 1 / 150),
            figure=_ratio(cost, "https: qasid_sync", f"https: {peer}"),
        )
    yield from _connecting(runs)
    yield Row(
        what=f"{awaited}, HTTP",
        unit="ratio",
        of=aio,
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
    yield Row(what=what, unit="ms", goal=Goal(1.6), figure=milliseconds)
    yield Row(what=what, unit="ratio", of="bare requests", figure=_ratio(runs.cost, ours, bare))


def _own(runs: Runs) -> Iterator[Row]:
    what = "Qasid's own share of a send"
    yield Row(
        what=f"{what}: sandbox, with token and limit",
        unit="µs",
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
        goal=Goal(1.8, 5, at_least=True),
        figure=_ratio(runs.rate, "threads: qasid_sync", "threads: bare_requests"),
    )
    yield Row(
        what="sends per second, 64 tasks on one account",
        unit="ratio",
        of="64 tasks of bare aiohttp",
        goal=Goal(0.8, at_least=True),
        figure=_ratio(runs.rate, "tasks: qasid_async", "tasks: bare_aiohttp"),
    )
    for driver, goal in _IN_FLIGHT.items():
        yield Row(
            what=f"a server that takes 100 ms, {IN_FLIGHT} in flight: {driver}",
            unit="%",
            of="the ideal",
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


def _lists(runs: Runs, requests: Sequence[float]) -> Iterator[Row]:
    what = "10,000 same texts through DeftSMS, HTTPS"
    counted = Figure.of(requests) if requests else None
    yield Row(what=what, unit="requests", goal=Goal(100), figure=counted)
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
            goal=goal,
            figure=_ratio(runs.messages, "list: qasid_many", peer),
        )


def _best(runs: Runs, keys: Sequence[str]) -> str:
    try:
        return runs.best(keys, runs.messages)
    except KeyError:
        return "nobody"


def _waiting() -> Iterator[Row]:
    """What `account.watch` will be measured by; there is no such thing yet."""
    what = "10,000 activations waiting"
    yield Row(what=f"{what}: memory of each, sync and async", unit="KiB", goal=Goal(1))
    yield Row(what=f"{what}: core for scheduling, 5,000 due polls/s", unit="%", goal=Goal(0.015))
    yield Row(what=f"{what}: lateness, p99", unit="ms", goal=Goal(60))


def _starting(runs: Runs) -> Iterator[Row]:
    wall, nothing = runs.wall, "start: pass"
    above = "`python -c pass`"
    yield Row(
        what="`import qasid`",
        unit="ms",
        of=f"more than {above}",
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
        goal=Goal(1.3),
        figure=_ratio(runs.wall, f"start: qasid --version{crowd}", f"start: pass{crowd}"),
    )
    yield Row(
        what=f"`qasid --help`{among}",
        unit="ms",
        goal=Goal(60),
        figure=_alone(runs.wall, f"start: qasid --help{crowd}"),
    )
    yield Row(
        what=f"`qasid providers`{among}",
        unit="ms",
        goal=Goal(90, 40),
        figure=_alone(runs.wall, f"start: qasid providers{crowd}"),
    )


def _memory(runs: Runs) -> Iterator[Row]:
    yield Row(
        what="memory of a client that is ready",
        unit="MiB",
        of="bare requests",
        goal=Goal(4),
        figure=_difference(runs.memory, "https: qasid_sync", "https: bare_requests"),
    )
    yield Row(what="memory of a bulk of a million", unit="MiB", of="bare requests", goal=Goal(10))
