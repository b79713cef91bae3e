"""Whether others use the machine: then no time that is measured on it says much."""

from __future__ import annotations

import os
import time
from typing import Final

__all__ = ["QUIET", "settled"]

QUIET: Final = 0.5  # processes that wanted to run, on average; beyond it others disturbed


def settled(patience: float) -> float:
    """The load once it has fallen, or after so many seconds: what was done before counts too."""
    end = time.monotonic() + patience
    while (load := os.getloadavg()[0]) > QUIET and time.monotonic() < end:
        time.sleep(5)
    return load
