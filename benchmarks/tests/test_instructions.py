"""When the count of instructions turns red, and when it says that it cannot tell."""

from __future__ import annotations

import attrs
import pytest

from benchmarks.instructions import Counted, judged, per_round

BASELINE = Counted(send=500_000, reference=80_000, build="3.11.7, GCC 12", architecture="x86_64")


def test_what_comes_before_the_first_send_does_not_count() -> None:
    """The start is in both totals, and goes."""
    assert 500 == per_round(1_000_000 + 300 * 500, 1_000_000 + 600 * 500, 300)


@pytest.mark.parametrize(("slower", "passed"), [(1.0, True), (1.04, True), (1.1, False)])
def test_ten_percent_more_instructions_are_red(slower: float, passed: bool) -> None:
    """And five are the limit."""
    found = attrs.evolve(BASELINE, send=BASELINE.send * slower)
    assert passed is judged(found, BASELINE).passed


def test_fewer_instructions_are_green() -> None:
    """It is a limit to one side."""
    assert judged(attrs.evolve(BASELINE, send=1), BASELINE).passed


def test_another_build_is_compared_by_the_ratio() -> None:
    """A compiler that makes twice the instructions of everything changes nothing."""
    found = attrs.evolve(BASELINE, build="3.11.9, Clang", send=1_000_000, reference=160_000)
    verdict = judged(found, BASELINE)
    assert verdict.passed
    assert "another build" in verdict.said
    assert not judged(attrs.evolve(found, send=1_100_000), BASELINE).passed


def test_another_architecture_is_not_compared_and_says_so() -> None:
    """It is not to be taken for a pass."""
    assert "NOT COMPARED" in judged(attrs.evolve(BASELINE, architecture="arm64"), BASELINE).said


def test_without_a_baseline_it_is_red() -> None:
    """A new Python gets one."""
    verdict = judged(BASELINE, None)
    assert not verdict.passed
    assert "--write" in verdict.said
