"""A journal that is out of reach is waited for once, and then not for a while."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual import VirtualClock
from qasid.effects import Flow
from qasid.errors import JournalUnavailable
from qasid.policies.outage import RESPITE, Outage
from qasid.values import TextMessage

from .acme import TO, Server, blocking

PATIENCE: Final = 10.0  # seconds that a connection takes to fail

BEGINS: Final = "work: the journal is out of reach, and tried every 30 s: gone"
ENDS: Final = "work: the journal is used again"


@attrs.define
class Far:
    """A journal at a server that is `gone`, or not; each try to reach it takes its time."""

    book: Any
    clock: VirtualClock
    gone: bool = False
    takes: float = PATIENCE

    @property
    def shelf(self) -> Any:
        """As of the journal."""
        return self.book.shelf

    def close(self) -> None:
        """As of the journal."""
        self.book.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def reached(*args: Any) -> Any:
            if self.gone:
                self.clock.sleep(self.takes)
                raise JournalUnavailable("gone")
            return getattr(self.book, name)(*args)

        return reached


@attrs.frozen
class Stage:
    """An account, its provider, its journal, and their clock."""

    account: Any
    server: Server
    journal: Far

    def send(self, reference: str | None = None) -> float:
        """Send one text; how many seconds that took."""
        began = self.server.clock.seconds
        with contextlib.suppress(JournalUnavailable):
            self.account.send(TextMessage(to=TO, text="x", reference=reference))
        return self.server.clock.seconds - began


@contextlib.contextmanager
def staged(tmp_path: Path, mode: str) -> Iterator[Stage]:
    """The journal is out of reach."""
    server = Server()
    url = f"sqlite:///{tmp_path}/journal.sqlite3"
    with blocking(server, journal=mode, journal_url=url) as account:
        journaling = account._operations.journal
        far = Far(journaling.book, server.clock, gone=True)
        journaling.book = far
        yield Stage(account, server, far)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """An account of mode `on`."""
    with staged(tmp_path, "on") as made:
        yield made


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings so far."""
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_one_act_waits_and_those_of_the_next_half_minute_do_not(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Then one tries again. One warning tells of the beginning, and one of the end."""
    caplog.set_level(logging.INFO, "qasid")
    assert [PATIENCE, 0.0, 0.0] == [stage.send() for _ in range(3)]
    stage.server.clock.sleep(RESPITE - 0.5)
    assert 0.0 == stage.send()
    stage.server.clock.sleep(0.5)
    assert [PATIENCE, 0.0] == [stage.send() for _ in range(2)]
    assert [BEGINS] == warned(caplog)
    assert 6 == len(stage.server.acts)
    assert "work: send is tried 1 times unrecorded: gone" in caplog.messages
    stage.server.clock.sleep(RESPITE)
    stage.journal.gone = False
    assert [0.0, 0.0] == [stage.send() for _ in range(2)]
    assert [BEGINS, ENDS] == warned(caplog)


def test_a_reference_is_refused_at_once_meanwhile(stage: Stage) -> None:
    """It could not be kept."""
    stage.send()
    assert 0.0 == stage.send("order-42")
    assert 1 == len(stage.server.acts)


def test_strict_refuses_at_once_meanwhile(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is sent, and the error says why; it is the same in either warning."""
    with staged(tmp_path, "strict") as stage:
        assert [PATIENCE, 0.0, 0.0] == [stage.send() for _ in range(3)]
        with pytest.raises(JournalUnavailable, match="gone"):
            stage.account.send(TextMessage(to=TO, text="x"))
        assert [] == stage.server.acts
        stage.journal.gone = False
        assert 0.0 == stage.send()
        assert [] == stage.server.acts
        stage.server.clock.sleep(RESPITE)
        stage.send()
        assert [TO] == stage.server.acts
    assert [BEGINS, ENDS] == warned(caplog)


def test_what_fails_without_a_wait_is_tried_by_each(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a file that cannot be written: as soon as it can, it is."""
    stage.journal.takes = 0.5
    stage.send()
    stage.journal.gone = False
    stage.send("order-42")
    assert 2 == len(stage.server.acts)
    assert ["work: send is tried 1 times unrecorded: gone"] == warned(caplog)


def test_an_outcome_is_written_all_the_same(stage: Stage) -> None:
    """It cannot be tried again later; that it could be written ends the outage."""
    stage.journal.gone = False

    def lost(request: Any) -> Any:
        stage.account._operations.journal.outage._failed(JournalUnavailable("gone"), 0.0, 99.0)
        return stage.server.answer(request)

    stage.server.faults.append(lost)
    stage.send("order-42")
    assert not stage.account._operations.journal.outage.lasts
    assert 0.0 == stage.send("order-43")
    assert 2 == len(stage.server.acts)


def test_the_book_of_rentals_is_not_waited_for_either(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be noted there is said."""
    stage.journal.gone = False
    rented = stage.account.acquire_number("acme", "SA")
    stage.journal.gone = True
    began = stage.server.clock.seconds
    stage.account.release(rented)
    assert PATIENCE == stage.server.clock.seconds - began
    assert "work: n1 is closed, but not noted: gone" in caplog.messages


def test_a_balance_is_told_where_it_cannot_be_noted(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said."""
    assert "1.00" == str(stage.account.balance().amount)
    assert [BEGINS] == warned(caplog)
    stage.journal.takes = 0.0
    stage.server.clock.sleep(RESPITE)
    stage.journal.gone = False
    stage.account.balance()
    stage.journal.gone = True
    stage.account.balance()
    assert "work: the balance is not written down: gone" == warned(caplog)[-1]


def test_many_that_wait_at_once_warn_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each had begun before the first was over."""
    outage, clock = Outage("work"), VirtualClock()

    def fail() -> None:
        clock.sleep(PATIENCE)
        raise JournalUnavailable("gone")

    flows: list[Flow[None]] = [outage.reach(fail) for _ in range(3)]
    for flow in flows:
        next(flow)
        flow.send(0.0)
    for flow in flows:
        with contextlib.suppress(JournalUnavailable):
            flow.throw(JournalUnavailable("gone"))
            flow.send(PATIENCE)
    assert [BEGINS] == caplog.messages
    with pytest.raises(JournalUnavailable):
        SyncDriver(lambda request: None, clock).run(outage.reach(fail))  # type: ignore[arg-type]
    outage.over()
    outage.over()
    assert [BEGINS, ENDS] == caplog.messages
