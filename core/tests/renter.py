"""A process that rents by a journal's book, or moves a user's book there, and may be killed.

python renter.py race JOURNAL_URL CAP TRIES        told to, rent as CAP lets; prints how often
python renter.py walk JOURNAL_URL                  killed at its first step, its second, …
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Final

import attrs

from qasid.errors import BudgetExceeded
from qasid.journal.store import Journal  # before the forks: it takes long
from qasid.rentals import Inheriting, Rentals
from qasid.settings import Options

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)


def begun(rentals: Rentals, cap: int) -> bool:
    """Whether the cap on open numbers let one be rented."""
    options = Options(max_open=cap, max_per_day=10_000)
    try:
        rentals.begin("work", "fine", 1, now=NOW, lifetime=HOUR, price=None, options=options)
    except BudgetExceeded:
        return False
    return True


def race(url: str, cap: str, tries: str) -> None:
    """Say that it is there; at a word, rent. Others do so at the same time."""
    with contextlib.closing(Journal("work", url, durable=False)) as kept:
        rentals = Rentals(kept.shelf)
        rentals.current(now=NOW)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        sys.stdout.write(f"{sum(begun(rentals, int(cap)) for _ in range(int(tries)))}\n")


def inherited(url: str, step: int) -> None:
    """Use the journal's book of the account, into which that in the user's file comes."""
    with contextlib.closing(Journal("work", url, durable=False)) as kept:
        kept.find("")  # the schema is there, and what is imported late
        sys.setprofile(Killing(step))
        Rentals(Inheriting(kept.shelf, "work", lambda: NOW)).current(now=NOW)


@attrs.define
class Killing:
    """A profiler that kills its process at the n-th return in the books, or to them."""

    left: int

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        ours = frame.f_globals.get("__name__") in {"qasid.rentals", "qasid.journal.shelf"}
        if ours and event.endswith("return"):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def walk(url: str) -> None:
    """One process for each step at which it can be killed; prints a line for each."""
    Journal("work", url, durable=False)  # what is imported late is now there
    for step in itertools.count(1):
        child = os.fork()
        if not child:
            inherited(url, step)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{code}\n")
        if code == 0:
            return


if __name__ == "__main__":
    race(*sys.argv[2:]) if sys.argv[1] == "race" else walk(*sys.argv[2:])
