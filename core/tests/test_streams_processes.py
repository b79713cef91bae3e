"""Streams of processes that are killed, or have no file left for a socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from qasid.drivers.http_sync import RequestsTransport
from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual import VirtualClock
from qasid.effects import Request, Response
from qasid.errors import Outcome
from qasid.serving import serve
from qasid.values import Money
from qasid_sandbox.emulator import SandboxEmulator

from . import sender, starved

COUNT: Final = 1000


def gone(emulator: SandboxEmulator) -> Counter[str]:
    """How many messages went to each phone, by the emulator's back door."""
    return Counter(item.to for item in emulator.outbox())


class Treacherous(SandboxEmulator):
    """With the fifth request it kills `worker`: before it has sent that, or after."""

    def __init__(self, after: bool) -> None:
        super().__init__()
        self.fund(Money("10000", "USD"))
        self.after = after
        self.worker: subprocess.Popen[bytes] | None = None
        self.requests = 0

    def handle(self, request: Request) -> Response:
        self.requests += 1
        fatal = self.requests == 5 and self.worker is not None
        if fatal and not self.after:
            self._kill()
        response = super().handle(request)
        if fatal and self.after:
            self._kill()
        return response

    def _kill(self) -> None:
        assert self.worker is not None
        self.worker.kill()
        self.worker.wait()


@pytest.mark.parametrize("after", [False, True])
def test_a_stream_that_is_killed_goes_on_where_it_was(after: bool, tmp_path: Path) -> None:
    """Ten batches, four at once, killed with the fifth request; then the same stream again.

    No phone has two messages, each has a receipt, and what is not known was under way.
    """
    emulator = Treacherous(after)
    url = f"sqlite:///{tmp_path}/journal.sqlite3"
    with serve(emulator) as server:
        command = [sys.executable, sender.__file__, "stream", server.url, url, str(COUNT)]
        emulator.worker = subprocess.Popen(command, stdout=subprocess.PIPE)
        given, _ = emulator.worker.communicate()
        assert -signal.SIGKILL == emulator.worker.returncode
        before, emulator.worker = gone(emulator), None
        late = SyncDriver(RequestsTransport(server.url), VirtualClock())  # no lease is waited for
        messages = [sender.message(2000 + n) for n in range(COUNT)]
        with sender.account(server.url, url, driver=late) as account:
            receipts = [*account.send_stream(messages, ordered=True)]
    phones = [message.to for message in messages]
    assert phones == [receipt.to for receipt in receipts]
    assert {1} == {*gone(emulator).values()}
    assert 0 < before.total() < COUNT
    accepted = {receipt.to for receipt in receipts if receipt.accepted}
    assert {*given.decode().split()} <= accepted <= gone(emulator).keys()
    lost = [receipt for receipt in receipts if not receipt.accepted]
    assert {Outcome.UNKNOWN} == {receipt.outcome for receipt in lost}
    assert 100 <= len(lost) <= 400


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_without_files_nothing_hangs_and_nothing_is_lost_or_doubled(kind: str) -> None:
    """Where no socket can be had the messages are not performed, and the receipt says why.

    With two, what has no connection of its own waits for one that is free, or says so.
    """
    emulator = SandboxEmulator()
    emulator.fund(Money("10000", "USD"))
    with serve(emulator) as server:
        ran = subprocess.run(
            [sys.executable, starved.__file__, kind, server.url],
            capture_output=True,
            check=True,
            timeout=120,
        )
    none, two = map(json.loads, ran.stdout.splitlines())
    sent = gone(emulator)
    assert [1000, 1000] == [none["receipts"], two["receipts"]]
    ((error, outcome, text, count),) = none["errors"]
    assert ("ConnectFailed", "Outcome.NOT_PERFORMED", 1000) == (error, outcome, count)
    assert "as this process has too many files open" in text
    assert {1} == {*sent.values()}
    assert all(each[:3] == [error, outcome, text] for each in two["errors"])
    assert 1001 == sent.total() + sum(each[3] for each in two["errors"])
    assert sent.total() >= 200
