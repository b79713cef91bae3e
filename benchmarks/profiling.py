"""Where the CPU goes: the ten functions that take most of it themselves, by cProfile.

What is called often looks dearer than it is, as the profiler takes its share of each call.

    python -m benchmarks.profiling cold|warm -m MODULE … | -c CODE | SCRIPT …

Runs what stands behind it as Python would, warm once before, so that no import is in the profile;
prints the ten as the last lines of stderr.
"""

from __future__ import annotations

import contextlib
import cProfile
import re
import runpy
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks import ROOT

__all__ = ["placeless", "top_ten"]

_LINES: Final = 10
_MARK: Final = "   ncalls "  # with which the head of pstats' table begins

_INSTALLED: Final = re.compile(r"/\S*/(?:site-packages|lib/python[\d.]+)/")


def top_ten(command: Sequence[str], environment: Mapping[str, str], *, warm: bool) -> str:
    """The table of a command, which begins with the interpreter; all threads together."""
    python, *rest = command
    profiled = (python, "-m", "benchmarks.profiling", "warm" if warm else "cold", *rest)
    told = subprocess.run(
        profiled, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    _, mark, table = told.stderr.rpartition(_MARK)
    if told.returncode or not mark:
        raise RuntimeError(f"{command} failed:\n{told.stderr[-2000:]}")
    return placeless(mark + table).strip("\n")


def placeless(table: str) -> str:
    """The table with files named from what they are installed in: where that is tells nothing."""
    return _INSTALLED.sub("", table).replace(f"{ROOT}/", "")


def profiled(arguments: Sequence[str]) -> list[cProfile.Profile]:
    """Run it here. Each thread has a profile of its own, and its own CPU for a clock."""
    found: list[cProfile.Profile] = []

    def follow(*_: object) -> None:
        profile = cProfile.Profile(_clock)
        try:
            profile.enable()
            found.append(profile)
        except ValueError:  # from 3.12 on the first one sees all threads
            sys.setprofile(None)

    threading.setprofile(follow)
    follow()
    run(arguments)
    found[0].disable()
    threading.setprofile(None)
    return found


#: Time of the thread where each has its profile, else of the process.
_clock: Final = time.thread_time if sys.version_info < (3, 12) else time.process_time


def run(arguments: Sequence[str]) -> None:
    """As Python would; that it ends itself is no failure."""
    with contextlib.suppress(SystemExit):
        execute(arguments)


def execute(arguments: Sequence[str]) -> None:
    match arguments:
        case ["-c", code]:
            exec(code, {"__name__": "__main__"})
        case ["-m", module, *rest]:
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case [script, *rest]:
            sys.argv = [script, *rest]
            runpy.run_path(script, run_name="__main__")


def main(temperature: str, *arguments: str) -> None:
    if temperature == "warm":
        run(arguments)
    found = profiled(arguments)
    import pstats  # late: what it imports is not to be missing from the profile of a start

    stats = pstats.Stats(found[0], stream=sys.stderr)
    for profile in found[1:]:
        stats.add(profile)
    stats.sort_stats("tottime").print_stats(_LINES)


if __name__ == "__main__":
    main(*sys.argv[1:])
