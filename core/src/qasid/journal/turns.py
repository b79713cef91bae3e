"""Turns: so many threads at a time, in the order in which they came."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator

__all__ = ["Turns"]


class Turns:
    """Lets `count` threads in at a time; the others wait, each up to `patience` seconds.

    A pool of connections lets in whoever asks first when one comes back, and that is most often
    the thread that brought it: with many threads that do nothing else, some never had a turn.
    """

    def __init__(self, count: int, patience: float) -> None:
        self._free = count
        self._patience = patience
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Have a turn. Raises `TimeoutError` where none comes in time."""
        place = self._placed()
        try:
            came = place.acquire(timeout=self._patience)
        except BaseException:
            self._leave(place)
            raise
        if not came:
            self._leave(place)
            raise TimeoutError(f"so many are at it that no turn came in {self._patience:g} s")
        try:
            yield
        finally:
            self._give()

    def _placed(self) -> threading.Lock:
        """A place in the queue: its lock is to be had when it is its turn."""
        place = threading.Lock()
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                place.acquire()
                self._waiting.append(place)
        return place

    def _leave(self, place: threading.Lock) -> None:
        with self._lock:
            waits = place in self._waiting
            if waits:
                self._waiting.remove(place)
        if not waits:  # its turn came at the last moment
            self._give()

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
