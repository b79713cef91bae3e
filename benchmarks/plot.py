"""What a send costs, as a picture: bars on a logarithmic axis, as they differ so much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

import attrs

from benchmarks.cases import CASES, PEERS
from benchmarks.figures import Figure
from benchmarks.goals import Runs

__all__ = ["Bar", "drawn", "of_sends"]

_LEFT, _WIDTH, _STEP, _TOP = 150, 560, 22, 50  # pixels
_COLOURS: Final = {"qasid": "#0b7285", "peer": "#e8590c", "bare": "#868e96"}


@attrs.frozen
class Bar:
    """A name, microseconds, and what it is of: ``qasid``, ``peer`` or ``bare``."""

    name: str
    value: float
    kind: str


def of_sends(runs: Runs, keys: Mapping[str, object], group: str) -> list[Bar]:
    """CPU per send of one group, least first, of the keys that are there."""
    cases = [case for case in CASES if case.group == group and case.key in keys]
    bars = [Bar(c.driver, Figure.of(runs.cost(c.key)).median, _kind(c.driver)) for c in cases]
    return sorted(bars, key=lambda bar: bar.value)


def _kind(driver: str) -> str:
    if driver in PEERS:
        return "peer"
    return "qasid" if driver.startswith("qasid") else "bare"


def drawn(title: str, bars: list[Bar]) -> str:
    """The picture, an SVG."""
    low = math.floor(math.log10(min(bar.value for bar in bars)))
    high = math.ceil(math.log10(max(bar.value for bar in bars)))
    height = _TOP + len(bars) * _STEP + 30
    size = f'width="800" height="{height}" font-family="sans-serif" font-size="13"'
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="25" font-size="16">{escape(title)}</text>',
        *_axis(low, high, height),
        *(_bar(place, bar, low, high) for place, bar in enumerate(bars)),
        "</svg>",
    )
    return "\n".join(parts) + "\n"


def _axis(low: int, high: int, height: int) -> Iterator[str]:
    for power in range(low, high + 1):
        x = _LEFT + _WIDTH * (power - low) / (high - low)
        yield f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{_TOP}" y2="{height - 25}" stroke="#dee2e6"/>'
        yield f'<text x="{x:.0f}" y="{height - 8}" text-anchor="middle">{10**power:,} µs</text>'


def _bar(place: int, bar: Bar, low: int, high: int) -> str:
    y = _TOP + place * _STEP
    width = _WIDTH * (math.log10(bar.value) - low) / (high - low)
    return (
        f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(bar.name)}</text>'
        f'<rect x="{_LEFT}" y="{y + 3}" width="{width:.0f}" height="{_STEP - 6}"'
        f' fill="{_COLOURS[bar.kind]}"/>'
        f'<text x="{_LEFT + width + 6:.0f}" y="{y + 15}">{bar.value:,.0f}</text>'
    )
