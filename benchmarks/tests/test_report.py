"""What is made of the figures: medians, ratios, verdicts, and which reports may be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from benchmarks.figures import Figure, ratio
from benchmarks.goals import Goal, Row, Runs, missed
from benchmarks.job import Outcome
from benchmarks.report import Report, Unlike, compared
from benchmarks.run import KNOWN

MACHINE = {"processor": "one", "cores": "2", "python": "CPython 3.11.7"}


def outcomes(*costs: float) -> list[Outcome]:
    """Rounds of ten sends, each at so many microseconds of CPU."""
    return [Outcome(sends=10, cpu=cost * 10e-6, wall=1.0, memory=30) for cost in costs]


def report(ours: float = 200.0, **changes: Any) -> Report:
    """Of three rounds of bare requests and of Qasid, alone."""
    made = Report(
        quick=False,
        rounds=3,
        seconds=1.0,
        machine=MACHINE,
        versions={"qasid": "0.1.0"},
        server="nginx",
        load=0.0,
        outcomes={
            "http: raw_socket": outcomes(30),
            "http: bare_requests": outcomes(400, 500, 900),
            "http: qasid_sync": outcomes(ours, ours, ours),
        },
        busy={"http: raw_socket": 0.4},
        figures={"list: qasid_many: requests": [100.0]},
        profiles={},
    )
    return attrs.evolve(made, **changes)


def row(made: Report, what: str) -> Row:
    """The first line of its table that begins so."""
    return next(row for row in made.rows if row.what.startswith(what))


def test_a_figure_is_the_median_with_its_spread() -> None:
    """One round that was disturbed moves the spread and not the figure."""
    assert Figure(2.0, 1.0, 90.0) == Figure.of([90.0, 1.0, 2.0])


def test_nothing_measured_is_no_figure() -> None:
    """There is no median of nothing."""
    with pytest.raises(ValueError, match="nothing was measured"):
        Figure.of([])


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that gets slower from round to round does not change them."""
    assert Figure(0.5, 0.5, 0.5) == ratio([1.0, 10.0, 100.0], [2.0, 20.0, 200.0])


def test_a_ratio_needs_both_in_every_round() -> None:
    """Rounds that do not belong together are not divided."""
    with pytest.raises(ValueError, match="longer"):
        ratio([1.0], [2.0, 3.0])


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.51, "missed"), (0.5, "met"), (0.25, "met, stretch too")]
)
def test_a_goal_may_be_reached_and_not_passed(value: float, verdict: str) -> None:
    """At the limit it is met."""
    assert verdict == Goal(0.5, 0.25).verdict(value)


def test_a_goal_can_be_a_minimum() -> None:
    """More is better there."""
    assert ["missed", "met"] == [Goal(1.8, at_least=True).verdict(v) for v in (1.7, 1.9)]


def test_the_cost_of_a_send_is_set_against_bare_requests() -> None:
    """200 µs against 400, 500 and 900: the median of the ratios is 0.4."""
    found = row(report(), "CPU per `account.send`, keep-alive, HTTP")
    assert found.figure is not None
    assert pytest.approx((0.4, 200 / 900, 0.5)) == attrs.astuple(found.figure)
    assert found.verdict == "met"


def test_what_was_not_run_has_no_figure() -> None:
    """A peer without an environment and a feature that is not there are said, not made up."""
    assert "not measured" == row(report(), "CPU per `await account.send`").verdict
    assert "not measured" == row(report(), "10,000 activations waiting").verdict


def test_a_row_says_how_many_were_measured() -> None:
    """A quick run has fewer than the goal speaks of."""
    quick = {"waiting: async: size": [1_000.0], "waiting: async: scheduling": [0.02, 0.01, 0.03]}
    found = row(report(figures=quick), "1,000 activations waiting, async: core")
    assert "2.0% (1.0% to 3.0%)" == found.cells()[3]
    assert "missed" == found.verdict


def test_the_memory_of_a_bulk_is_set_against_bare_requests() -> None:
    """The peaks of one round, each of its own process."""
    rounds = {"https: bare_requests": outcomes(500, 500, 500)}
    peaks = {"bulk: sync: size": [10_000.0], "bulk: sync: memory": [31.0, 39.0, 36.0]}
    found = row(report(outcomes=rounds, figures=peaks), "memory of a bulk of 10,000, sync")
    assert Figure(6.0, 1.0, 9.0) == found.figure


def test_whatever_has_a_goal_can_be_profiled() -> None:
    """If it is missed, the report has to say where the time goes."""
    assert {row.ours for row in report().rows if row.goal} <= KNOWN.keys()


def test_what_misses_its_goal_is_profiled_once() -> None:
    """Also where it misses two; what keeps to its goal is not."""
    slow = {"https: qasid_sync": outcomes(500), "https: apprise": outcomes(500)}
    slow |= {"https: twilio": outcomes(500), "https: notifiers": outcomes(500)}
    assert ["https: qasid_sync"] == missed(Runs(slow))
    assert not missed(report().runs)


def test_profiles_stand_in_the_report() -> None:
    """As text, under the key of what was run."""
    made = report(profiles={"http: qasid_sync": "   ncalls  tottime"})
    assert "http: qasid_sync:\n\n```text\n   ncalls  tottime\n```" in made.markdown()
    assert "missed its goal" not in report().markdown()


def test_the_best_peer_is_the_one_that_does_most() -> None:
    """Of those that were run."""
    runs = Runs({"one": outcomes(50), "two": outcomes(20), "three": outcomes(80)})
    assert "two" == runs.best(["none", "one", "two", "three"], runs.messages)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    """All of it, so that it can be compared later."""
    path = tmp_path / "report.json"
    path.write_text(report().json(), "utf-8")
    assert report().json() == Report.read(path).json()


def test_another_form_of_report_is_refused(tmp_path: Path) -> None:
    """Rather than read wrongly."""
    path = tmp_path / "report.json"
    path.write_text('{"format": 0}')
    with pytest.raises(Unlike, match="no report of format"):
        Report.read(path)


def test_two_reports_of_one_machine_are_compared() -> None:
    """Each goal with its change."""
    assert "| 0.40 (0.22 to 0.50) | 0.20 (0.11 to 0.25) | -50% |" in compared(
        report(200.0), report(100.0)
    )


def test_reports_of_different_machines_are_not_compared() -> None:
    """The refusal names what differs."""
    other = report(machine=MACHINE | {"cores": "64"})
    with pytest.raises(Unlike, match=r"different machines \(cores: 2 / 64\)"):
        compared(report(), other)


def test_a_quick_run_is_not_compared_with_a_full_one() -> None:
    """It says too little."""
    with pytest.raises(Unlike, match="quick"):
        compared(report(), report(quick=True))


def test_a_busy_machine_is_said() -> None:
    """Whoever reads the report must not trust it."""
    assert "do not trust" in report(load=3.0).markdown()
    assert "do not trust" not in report().markdown()


def test_a_busy_server_is_said() -> None:
    """It may have been what was measured."""
    assert "In the way: no" in report().markdown()
    assert "In the way: **perhaps**" in report(busy={"tasks: bare_aiohttp": 0.97}).markdown()
