"""Threads have their turns in the order in which they came, and none is lost."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from qasid.journal.turns import Turns


def waiting(turns: Turns, count: int) -> None:
    """Return when so many wait."""
    while len(turns._waiting) != count:
        time.sleep(0.001)


def test_who_came_first_is_let_in_first() -> None:
    """And not whoever gave the turn back."""
    turns, order = Turns(1, 60), []

    def come(name: int) -> None:
        with turns.turn():
            order.append(name)

    with turns.turn():
        threads = [threading.Thread(target=come, args=(name,)) for name in range(5)]
        for count, thread in enumerate(threads, 1):
            thread.start()
            waiting(turns, count)
    come(5)
    for thread in threads:
        thread.join()
    assert [0, 1, 2, 3, 4, 5] == order


def test_so_many_are_in_at_a_time() -> None:
    """And no more, however many come."""
    turns, inside, most = Turns(3, 60), threading.Semaphore(3), []

    def come() -> None:
        for _ in range(200):
            with turns.turn():
                most.append(inside.acquire(blocking=False))
                inside.release()

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [True] * 1_600 == most


def test_a_turn_that_does_not_come_in_time_is_given_up() -> None:
    """And holds nobody up who comes later."""
    turns = Turns(1, 0.01)
    with (
        turns.turn(),
        pytest.raises(TimeoutError, match=r"no turn came in 0\.01 s"),
        turns.turn(),
    ):
        pass
    with turns.turn():
        assert not turns._waiting


class Late:
    """A lock that says that it could not be had, when it is its turn."""

    def __init__(self, raised: BaseException | None) -> None:
        self.raised = raised

    def acquire(self, timeout: float) -> bool:
        """Too late, or interrupted."""
        if self.raised is not None:
            raise self.raised
        return False


@pytest.mark.parametrize("raised", [None, KeyboardInterrupt()])
def test_a_turn_that_comes_at_the_last_moment_is_passed_on(raised: BaseException | None) -> None:
    """To whoever comes next."""

    class Unlucky(Turns):
        def _placed(self) -> threading.Lock:
            super()._placed()
            return Late(raised)  # type: ignore[return-value]

    turns = Unlucky(1, 60)
    for _ in range(2):
        with contextlib.suppress(TimeoutError, KeyboardInterrupt), turns.turn():
            raise AssertionError("it had its turn")
    assert 1 == turns._free
