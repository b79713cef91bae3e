"""A journal that is out of reach is waited for once, and then not for a while.

A server that is not there costs whoever asks for it as long as a connection may take. One act pays
that; the others, for `RESPITE` seconds, are told at once.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from qasid.effects import Call, Flow, Tick
from qasid.errors import JournalUnavailable

__all__ = ["RESPITE", "Outage"]

T = TypeVar("T")

_log = logging.getLogger("qasid")

#: Seconds in which nobody tries again, after a failure that had to be waited for.
RESPITE: Final = 30.0
#: From how many seconds on it was waited for. What fails sooner may be tried by each.
_LONG: Final = 1.0


@attrs.define
class Outage:
    """Whether the journal of one account is out of reach. Its beginning and its end are logged."""

    account: str
    _until: float = -math.inf
    _problem: JournalUnavailable | None = None
    _lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False, eq=False)

    @property
    def lasts(self) -> bool:
        """Whether it was out of reach when it was last tried."""
        return self._problem is not None

    def reach(self, act: Callable[[], T]) -> Flow[T]:
        """Give what `act` gives. Raises `JournalUnavailable`, at once within the respite."""
        began = yield Tick()
        if self._problem is not None and began < self._until:
            raise JournalUnavailable(str(self._problem))
        try:
            given: T = yield Call(act)
        except JournalUnavailable as error:
            self._failed(error, began, (yield Tick()))
            raise
        self.over()
        return given

    def over(self) -> None:
        """It was reached."""
        with self._lock:
            lasted, self._problem = self.lasts, None
        if lasted:
            _log.warning("%s: the journal is used again", self.account)

    def _failed(self, error: JournalUnavailable, began: float, ended: float) -> None:
        if ended - began < _LONG:
            return
        with self._lock:
            first = not self.lasts
            self._problem, self._until = error, ended + RESPITE
        if first:
            words = "%s: the journal is out of reach, and tried every %.0f s: %s"
            _log.warning(words, self.account, RESPITE, error)
