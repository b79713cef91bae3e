"""A bar on stderr, where a person watches; nothing elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Bar", "bar"]


@attrs.frozen
class Bar:
    """How far a command has come."""

    _drawn: Progress | None = None

    @contextlib.contextmanager
    def aside(self, steps: int) -> Iterator[None]:
        """Take the bar away while something is written; then it is so many steps further."""
        if self._drawn is None:
            yield
            return
        self._drawn.stop()
        yield
        self._drawn.advance(self._drawn.task_ids[0], steps)
        self._drawn.start()


@contextlib.contextmanager
def bar(total: int | None = None) -> Iterator[Bar]:
    """A bar for so many steps, or without a number one of the time that has passed."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    counted = () if total is None else (MofNCompleteColumn(),)
    columns = (BarColumn(), *counted, TimeElapsedColumn())
    # What is written to stdout goes there, though the console would take it to stderr.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False
    ) as drawn:
        drawn.add_task("", total=total)
        yield Bar(drawn)
