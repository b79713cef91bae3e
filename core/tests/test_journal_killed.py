"""Processes that are killed at any step: nothing is sent twice, and all is accounted for.

With SQLite, and with PostgreSQL (`nox -s services`).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from qasid.account import Account
from qasid.drivers.http_sync import RequestsTransport
from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual import VirtualClock
from qasid.effects import Request, Response
from qasid.errors import ProviderError
from qasid.journal import opened
from qasid.journal.records import Operation, State
from qasid.serving import serve
from qasid_sandbox.emulator import SandboxEmulator

from . import sender
from .databases import KINDS, database

_log = logging.getLogger(__name__)

COUNT: Final = 200
PROCESSES: Final = 4
LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)  # all leases are over
SENDER: Final = [sys.executable, sender.__file__]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the journal is."""
    with database(request.param, tmp_path) as address:
        yield address


def recorded(url: str) -> list[Operation]:
    """All that stands in the journal, as it is to be read when all leases are over."""
    with contextlib.closing(opened("sandbox", url)) as journal:
        return list(journal.operations(LATER))


def gone(emulator: SandboxEmulator) -> Counter[str]:
    """How many messages went to each phone, by the emulator's back door."""
    return Counter(item.to for item in emulator.outbox())


class Treacherous(SandboxEmulator):
    """It fails before and after it has sent, and while it answers, `workers` are killed."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: dict[int, subprocess.Popen[bytes]] = {}
        self.chance = random.Random(5)
        self.kills = 0

    def handle(self, request: Request) -> Response:
        if not request.path.endswith("/messages"):
            return super().handle(request)
        fate = self.chance.random()
        self._kill(fate < 0.06)
        if fate > 0.97:
            return Response(status=429)
        if fate > 0.90:
            return Response(status=503)
        response = super().handle(request)
        self._kill(0.06 < fate < 0.12)
        return Response(status=502) if fate > 0.83 else response

    def _kill(self, doomed: bool) -> None:
        if doomed:
            self.workers[self.chance.randrange(PROCESSES)].kill()
            self.kills += 1


def keep_alive(emulator: Treacherous, place: int, arguments: list[str]) -> None:
    """Start a process as often as it is killed, until it comes to its end."""
    code: int | None = None
    for start in range(1000):
        seed = f"{place}-{start}"
        command = [*SENDER, "all", *arguments, seed, str(COUNT)]
        emulator.workers[place] = subprocess.Popen(command)
        code = emulator.workers[place].wait()
        if code != -signal.SIGKILL:
            break
    assert code == 0


def run_all(emulator: Treacherous, arguments: list[str]) -> None:
    """All processes at once, to their ends."""
    failed: list[BaseException] = []

    def keep(place: int) -> None:
        try:
            keep_alive(emulator, place, arguments)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=keep, args=(place,)) for place in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failed


def test_four_processes_that_are_killed_at_random_send_nothing_twice(url: str) -> None:
    """200 references: no phone has two messages, and the journal tells the end of each, or unknown.

    What it calls performed has gone; asked for again, everything is answered without a request.
    """
    emulator = Treacherous()
    with serve(emulator) as server:
        run_all(emulator, [server.url, url])
        before, rows = gone(emulator), recorded(url)
        with sender.account(server.url, url, driver=late(server.url)) as account:
            again = account.send_many(sender.message(2000 + n) for n in range(COUNT))
    states = Counter(row.state for row in rows)
    _log.info("%d kills, %d sent; %s", emulator.kills, before.total(), states)
    assert {f"order-{2000 + n}" for n in range(COUNT)} == {row.reference for row in rows}
    assert COUNT == len(rows) == states[State.PERFORMED] + states[State.UNKNOWN]
    assert {1} == {*before.values()}
    assert {row.recipient for row in rows if row.state is State.PERFORMED} <= before.keys()
    assert before == gone(emulator)
    assert states[State.PERFORMED] == sum(receipt.accepted for receipt in again)
    assert emulator.kills > 10
    assert states[State.PERFORMED] > COUNT / 2


def late(base_url: str) -> SyncDriver:
    """A driver in whose time no lease is waited for."""
    return SyncDriver(RequestsTransport(base_url), VirtualClock())


def test_a_process_killed_at_any_step_leaves_what_is_known_or_unknown(url: str) -> None:
    """From before its first effect to after its last; then it is asked for again.

    It is sent then if it is sure that it was not before; and otherwise its receipt is given, or
    that nobody knows is said. Nothing is ever sent twice.
    """
    emulator = SandboxEmulator()
    with serve(emulator) as server:
        walked = subprocess.run(
            [*SENDER, "walk", server.url, url], capture_output=True, check=True, timeout=120
        )
        codes = [int(line) for line in walked.stdout.splitlines()]
        killed = gone(emulator)
        numbers = [2000 + step for step in range(len(codes))]
        ends = [_again(server.url, url, number) for number in numbers]
    after = gone(emulator)
    assert [-signal.SIGKILL] * (len(codes) - 1) + [0] == codes
    assert len(codes) > 8
    assert {1} == {*after.values()}
    phones = [sender.message(number).to for number in numbers]
    known = [(killed[to], after[to], end) for to, end in zip(phones, ends, strict=True)]
    # In the order of the steps: nothing written, intent written, sent, outcome written.
    stages = list(dict.fromkeys(known))
    assert [(0, 1, "sent"), (0, 0, "unknown"), (1, 1, "unknown"), (1, 1, "sent")] == stages
    assert {State.PERFORMED, State.UNKNOWN} == {row.state for row in recorded(url)}
    assert len(codes) == len(recorded(url))


def test_a_process_killed_between_two_accounts_leaves_it_to_either_of_them(url: str) -> None:
    """The first account of the route refuses, the second sends, and between all that it is killed.

    Asked for again, by a route whose first account is let in again, no phone has two messages.
    """
    emulator = SandboxEmulator()
    with serve(emulator) as server:
        walked = subprocess.run(
            [*SENDER, "path", server.url, url], capture_output=True, check=True, timeout=120
        )
        codes = [int(line) for line in walked.stdout.splitlines()]
        killed = gone(emulator)
        numbers = [2000 + step for step in range(len(codes))]
        ends = [_again_by_both(server.url, url, number) for number in numbers]
    after = gone(emulator)
    assert [-signal.SIGKILL] * (len(codes) - 1) + [0] == codes
    assert {1} == {*after.values()}
    phones = [sender.message(number).to for number in numbers]
    known = [(killed[to], after[to], end) for to, end in zip(phones, ends, strict=True)]
    # Before the first account, while it is asked, between the two, while the second is, and after.
    stages = [stage for stage, _ in itertools.groupby(known)]
    tried = [(0, 1, "sent"), (0, 0, "unknown")]
    assert [*tried, *tried, (1, 1, "unknown"), (1, 1, "sent")] == stages
    assert len(codes) == len(recorded(url))


def _again_by_both(base_url: str, url: str, number: int) -> str:
    """By the second account first, and by a first account that is let in."""
    clock = VirtualClock()
    with sender.route(base_url, url, order="ba", clock=clock, a=sender.SANDBOX) as route:
        return _end(route, number)


def _again(base_url: str, url: str, number: int) -> str:
    with sender.account(base_url, url, driver=late(base_url)) as account:
        return _end(account, number)


def _end(account: Account, number: int) -> str:
    try:
        account.send(sender.message(number))
    except ProviderError as error:
        return error.outcome.value if error.outcome else "?"
    return "sent"
