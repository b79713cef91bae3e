"""Where a driver's CPU goes: the functions that take most of it themselves, by cProfile.

What is called often looks dearer than it is, as the profiler takes its share of each call.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import time

from benchmarks.cases import CASES, OURS, Case
from benchmarks.stage import staged
from benchmarks.turn import taken

__all__ = ["known", "profiled"]


def known() -> dict[str, Case]:
    """What can be profiled, by its key: one worker, in this environment."""
    return {case.key: case for case in CASES if case.workers == 1 and case.environment == OURS}


def profiled(case: Case, seconds: float = 2.0, lines: int = 10) -> None:
    """Run the case in this process; print what itself took most, then the most costly of ours."""
    with staged() as stage:
        os.environ.update(stage.environment)
        taken(stage.job(case, 0))  # imports everything
        profile = cProfile.Profile(time.process_time)
        outcome = profile.runcall(taken, stage.job(case, seconds))
    print(f"{case.key}: {outcome.sends} sends, {outcome.cost:.0f} µs each under the profiler")
    stats = pstats.Stats(profile)
    stats.sort_stats("tottime").print_stats(lines)
    stats.sort_stats("cumtime").print_stats("qasid[^/]*/", lines)
