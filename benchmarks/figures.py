"""Medians with their spread, and ratios that are taken within a round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Self

import attrs

__all__ = ["Figure", "ratio"]


@attrs.frozen
class Figure:
    """The median of what the rounds gave, and the least and the most of it."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Raises `ValueError` where there is none."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(statistics.median(values), min(values), max(values))

    def told(self, form: Callable[[float], str]) -> str:
        """``median (least to most)``."""
        return f"{form(self.median)} ({form(self.least)} to {form(self.most)})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Round by round: what slows the machine for a while slows both.

    Raises `ValueError` where the rounds are not as many, or there is none.
    """
    return Figure.of([one / other for one, other in zip(ours, theirs, strict=True)])
