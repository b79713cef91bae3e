"""Many numbers wait for messages, and one schedule looks at them all."""

from __future__ import annotations

from qasid.watching.faces import AsyncWatch, Watch
from qasid.watching.lanes import Forecast
from qasid.watching.lookout import Arrival

__all__ = ["Arrival", "AsyncWatch", "Forecast", "Watch"]
