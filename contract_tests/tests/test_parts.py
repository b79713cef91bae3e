"""The parts that rules are made with: what they see, and what they let happen."""

from __future__ import annotations

import time
import urllib.request
from datetime import timedelta
from pathlib import Path as FilePath

import mutation  # whole: a contract by name would be collected here too
import pytest

from qasid.effects import Request, Response
from qasid.values import OtpOrder, TemplateMessage, TextMessage
from qasid_contract import importing
from qasid_contract.case import Case
from qasid_contract.exchanges import Example, Replay
from qasid_contract.faults import REDIRECT
from qasid_contract.reference_emulator import ReferenceEmulator
from qasid_contract.rulebook import Path
from qasid_contract.rules import failures, purity

# What listens. The interpreter traces neither audit hooks nor profilers, so they are called here.


def test_forbidden_events_are_heard() -> None:
    """A connection, a thread and a sleep are heard while somebody listens; all else is not."""
    listener = purity._Listener()
    listener.audit("socket.connect", ())
    listener.profile(None, "c_call", time.sleep)
    assert listener.heard is None
    listener.heard = []
    listener.audit("socket.connect", ())
    listener.audit("import", ())
    listener.profile(None, "c_call", time.sleep)
    listener.profile(None, "c_call", time.time)
    listener.profile(None, "call", time.sleep)
    assert ["socket.connect", "time.sleep"] == listener.heard


def test_an_import_is_watched(tmp_path: FilePath) -> None:
    """Sockets, processes and the home directory are told; other files are nobody's business."""
    heard: list[str] = []
    for event, arguments in (
        ("socket.connect", ()),
        ("subprocess.Popen", ()),
        ("open", (str(tmp_path / "notes.txt"), "r", 0)),
        ("open", ("/elsewhere/notes.txt", "r", 0)),
        ("open", (3, "r", 0)),
        ("os.scandir", (bytes(tmp_path),)),
        ("import", ("json",)),
    ):
        importing._audit(heard, str(tmp_path), event, arguments)
    opened = ["open in the home directory", "os.scandir in the home directory"]
    assert ["socket.connect", "subprocess.Popen", *opened] == heard


def test_the_other_server_of_a_redirect_notes_who_comes() -> None:
    """A request that follows a redirect is seen where it arrives."""
    strayed: list[Request] = []
    with Case(mutation.Sound, Path.SOCKET) as case:
        reply = failures._redirect(case, strayed).response
        assert reply is not None
        urllib.request.urlopen(str(reply.header("Location"))).close()
    assert ["GET"] == [request.method for request in strayed]


def test_plugged_a_redirect_leads_nowhere() -> None:
    """Without a socket there is no other server."""
    assert REDIRECT is failures._redirect(Case(mutation.Sound), [])


# The reference's emulator.


def answered(emulator: ReferenceEmulator, method: str, path: str) -> int:
    """The status of the answer to somebody who is let in."""
    emulator.handle(Request(method="POST", url="/v1/token", form={"api_key": KEY}).encode())
    headers = {"Authorization": "Bearer token-000000-x"}
    return emulator.handle(Request(method=method, url=f"/v1{path}", headers=headers)).status


KEY = ReferenceEmulator.settings["api_key"]


@pytest.mark.parametrize("path", ["/nothing", "/nothing/at/all"])
def test_the_emulator_has_no_other_paths(path: str) -> None:
    """What its document does not have is not found."""
    assert 404 == answered(ReferenceEmulator(), "GET", path)


@pytest.mark.parametrize(("performed", "left"), [(True, 1), (False, 0)])
def test_the_emulator_fails_when_it_is_told_to(performed: bool, left: int) -> None:
    """The next answer is another one, once, after what was asked is done or instead of it."""
    emulator = ReferenceEmulator()
    emulator.fail_next(Response(status=500), performed=performed)
    asked = Request(method="POST", url="/v1/token", form={"api_key": KEY}).encode()
    assert [500, 200] == [emulator.handle(asked).status for _ in range(2)]
    assert left + 1 == len(emulator._tokens)


# Arguments of examples.


def example(hook: str, **call: object) -> Example:
    """An example with a call."""
    return Example(
        name="it",
        hook=hook,
        documented=True,
        source="a test",
        request={},
        response=None,
        outcome="ok",
        call=call,
    )


def test_arguments_of_an_example_have_their_types() -> None:
    """Moments and durations are written as JSON can say them."""
    replay = Replay(Case(mutation.Sound), {})
    message = {"to": "+966500000000", "text": "x", "send_at": "2024-08-01T12:00:00+00:00"}
    told = replay.arguments(example("send", messages=[message, {"to": "+1", "template": "t"}]))
    assert [TextMessage, TemplateMessage] == [type(one) for one in told["messages"]]
    assert "2024-08-01T12:00:00+00:00" == told["messages"][0].send_at.isoformat()
    order = replay.arguments(example("otp", to="+966500000000", lifetime=90))["order"]
    assert isinstance(order, OtpOrder)
    assert timedelta(seconds=90) == order.lifetime
