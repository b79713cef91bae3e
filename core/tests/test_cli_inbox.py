"""`qasid inbox --follow`: each message once, as soon as it is there, until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import attrs
import pytest

from qasid import errors, finding
from qasid.cli.exits import EXIT_CODES
from qasid.effects import Request, Response
from qasid.serving import serve
from qasid_sandbox.emulator import SandboxEmulator

from .commandline import Command, install, lines, settle, signalling

#: One number a day, until one of that day has had a message.
WARY: Final = """
import attrs
from qasid.values import UnusedCap
from qasid_sandbox import Sandbox

class Wary(Sandbox):
    info = attrs.evolve(Sandbox.info, unused_cap=UnusedCap(numbers=1, zone="UTC"))
"""
SIGNALS: Final = [signal.SIGINT, signal.SIGTERM]


@attrs.define(kw_only=True, eq=False)
class Looked(SandboxEmulator):
    """Lets the answer to the n-th look for messages, from 1, pass its cue."""

    looks: int = 0
    cues: dict[int, Callable[[Response], Response]] = attrs.field(factory=dict)

    def handle(self, request: Request) -> Response:
        response = SandboxEmulator.handle(self, request)
        if not request.path.endswith(("/inbox", "/messages")):
            return response
        self.looks += 1
        cue = self.cues.get(self.looks)
        return cue(response) if cue else response


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Looked]:
    """No number gets a message by itself, and no failed look is repeated."""
    emulator = Looked()
    monkeypatch.setenv("QASID_SANDBOX_DELAY", "80000")
    monkeypatch.setenv("QASID_SANDBOX_MAX_WAIT", "0")
    with serve(emulator) as server:
        monkeypatch.setenv("QASID_SANDBOX_BASE_URL", server.url)
        yield emulator


def keep_one(qasid: Command, sandbox: Looked) -> str:
    """Rent a number and keep it; gives its activation."""
    qasid("rent", "acme", "SA", "--keep", "--timeout", "0")
    sandbox.looks = 0
    return str(qasid("activations", "--json").data[-1]["activation"]["id"])


def test_the_own_inbox_is_followed(qasid: Command, sandbox: Looked) -> None:
    """What is there comes first, oldest first; no message comes again at a later look."""
    ended = qasid("inbox", "--follow", "--for", "0.3")
    assert (0, "") == (ended.code, ended.err)
    assert lines(qasid("inbox").out) == lines(ended.out)
    assert 6 == len({*ended.out.splitlines()}) == ended.out.count("\n")
    assert sandbox.looks > 2


def test_a_message_to_a_number_is_printed_when_it_comes(qasid: Command, sandbox: Looked) -> None:
    """With its code, and once."""
    activation = keep_one(qasid, sandbox)
    sandbox.deliver(activation, "Code 1111", "Acme")

    def deliver(response: Response) -> Response:
        sandbox.deliver(activation, "Code 2222", "Globex")
        return response

    sandbox.cues = {2: deliver, 4: signalling(signal.SIGINT)}
    ended = qasid("inbox", activation, "--follow")
    rows = [line.split()[2:] for line in ended.out.splitlines()]
    assert [["Acme", "1111", "Code", "1111"], ["Globex", "2222", "Code", "2222"]] == rows


def test_json_has_a_line_for_each_message(qasid: Command, sandbox: Looked) -> None:
    """The same as in the list of `qasid inbox`."""
    ended = qasid("inbox", "--limit", "2", "--follow", "--for", "0", "--json")
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert qasid("inbox", "--limit", "2", "--json").data == found
    assert 2 == len(found)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_the_ordinary_end(
    qasid: Command, sandbox: Looked, number: signal.Signals
) -> None:
    """What has come is printed by then."""
    sandbox.cues[2] = signalling(number)
    ended = qasid("inbox", "--follow")
    assert (0, "", 6) == (ended.code, ended.err, ended.out.count("\n"))


def test_a_failure_that_may_pass_is_said_and_followed_through(
    qasid: Command, sandbox: Looked
) -> None:
    """On stderr; the messages after it are printed."""
    sandbox.cues[1] = lambda response: Response(status=503)
    ended = qasid("inbox", "--follow", "--for", "0.25")
    assert (0, 6) == (ended.code, ended.out.count("\n"))
    (said,) = ended.err.splitlines()
    assert ["ProviderUnavailable", "looking again"] == [said.split(":")[0], said.split("; ")[-1]]


def test_the_end_of_a_number_is_an_error(qasid: Command, sandbox: Looked) -> None:
    """As it is for `qasid rent`."""
    activation = keep_one(qasid, sandbox)
    sandbox.advance(timedelta(minutes=25))
    ended = qasid("inbox", activation, "--follow")
    assert (EXIT_CODES[errors.NumberExpired], "") == (ended.code, ended.out)


def test_a_time_without_following_is_a_wrong_use(qasid: Command, sandbox: Looked) -> None:
    """It would say nothing."""
    ended = qasid("inbox", "--for", "5")
    assert (2, 0, True) == (ended.code, sandbox.looks, "--for goes with --follow" in ended.err)


@pytest.mark.parametrize("seconds", ["-1", "nan", "soon"])
def test_a_senseless_time_is_a_wrong_use(qasid: Command, sandbox: Looked, seconds: str) -> None:
    """Before anything is asked."""
    assert (2, 0) == (qasid("inbox", "--follow", "--for", seconds).code, sandbox.looks)


def test_a_message_that_was_read_opens_the_way_for_the_next_number(
    qasid: Command, sandbox: Looked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where a provider wants numbers to be used: it is written down for the next command."""
    install(monkeypatch, tmp_path / "site", "qasid-wary", "wary = wary:Wary", WARY)
    monkeypatch.setenv("QASID_WARY_BASE_URL", os.environ["QASID_SANDBOX_BASE_URL"])
    monkeypatch.setenv("QASID_ACCOUNT", "wary")
    activation = keep_one(qasid, sandbox)
    rent = ("rent", "acme", "SA", "--timeout", "0")
    assert EXIT_CODES[errors.BudgetExceeded] == qasid(*rent).code
    sandbox.deliver(activation, "Code 1111")
    assert 0 == qasid("inbox", activation).code
    assert EXIT_CODES[errors.WaitTimeout] == qasid(*rent).code
    finding.forget()
