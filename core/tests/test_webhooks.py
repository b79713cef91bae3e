"""What providers post is kept before they hear so, by a path that nobody can guess."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import pytest

from qasid import database
from qasid.account import Account
from qasid.drivers.virtual import VirtualClock
from qasid.effects import Request
from qasid.errors import PluginError, QasidError, SettingsError
from qasid.values import Activation, DeliveryReport, DeliveryState, InboundMessage
from qasid.webhooks import BODY_CAP, DAY, Application, Hook, Inbox, Item, Received

from .acme import Server, blocking

Event: TypeAlias = dict[str, Any]

START: Final = VirtualClock().now()
JSON: Final = (b"Content-Type", b"application/json")
RENTED: Final = Activation(
    id="n1", number="+999000000001", service="acme", country="SA", acquired_at=START
)
MESSAGE: Final = InboundMessage(
    text="رمز: ۴۷۱۱ \ud83d", sender="Acme", to="+999000000002", received_at=START, id="m1"
)
REPORT: Final = DeliveryReport(receipt_id="r1", state=DeliveryState.DELIVERED, at=START)


@attrs.frozen
class Answer:
    """What an application answered: None where it said nothing."""

    status: int | None
    headers: dict[str, str]


@attrs.define
class Post:
    """One request to an ASGI application, and how much of its body was taken."""

    path: str
    pieces: Sequence[bytes] = (b"",)
    method: str = "POST"
    query: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = (JSON,)
    on_read: Callable[[], object] = lambda: None
    leaves: bool = False
    taken: int = 0

    def to(self, application: Any) -> Answer:
        """Send it and wait for the answer."""
        sent: list[Event] = []

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {
            "type": "http",
            "method": self.method,
            "path": self.path,
            "query_string": self.query,
            "headers": list(self.headers),
        }
        asyncio.run(application(scope, self._receive, send))
        if not sent:
            return Answer(None, {})
        assert ["http.response.start", "http.response.body"] == [event["type"] for event in sent]
        assert b"" == sent[1]["body"]
        return Answer(sent[0]["status"], {n.decode(): v.decode() for n, v in sent[0]["headers"]})

    async def _receive(self) -> Event:
        self.on_read()
        if self.leaves:
            return {"type": "http.disconnect"}
        piece = self.pieces[self.taken]
        self.taken += 1
        more = self.taken < len(self.pieces)
        return {"type": "http.request", "body": piece, "more_body": more}


def said(text: str) -> Sequence[bytes]:
    """A body as Acme posts it, in one piece."""
    return (json.dumps({"text": text}).encode(),)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    made = Inbox(tmp_path / "state" / "webhooks.db")
    yield made
    made.close()


@pytest.fixture
def account() -> Iterator[Account]:
    """Acme, which is never asked anything."""
    server = Server()
    with blocking(server) as opened:
        yield opened
    assert [] == server.asked


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def application(inbox: Inbox, account: Account, clock: VirtualClock) -> Application:
    return Application(inbox, {"work": account}, clock=clock.now)


def texts(inbox: Inbox) -> list[str]:
    """What is in the inbox."""
    return [one.item.text for one in inbox.items() if isinstance(one.item, InboundMessage)]


def test_what_came_since_a_moment_is_read_alone(inbox: Inbox) -> None:
    """What came at that very moment is there, too."""
    path = inbox.register("work", now=START)
    hook = inbox.find(path, now=START)
    assert hook is not None
    for second in (1, 2, 3):
        now, message = START + timedelta(seconds=second), attrs.evolve(MESSAGE, text=f"{second}")
        inbox.store(hook, f"{second}".encode(), [message], now=now)
    found = inbox.items(since=START + timedelta(seconds=2))
    assert [START + timedelta(seconds=2), START + timedelta(seconds=3)] == [
        one.received_at for one in found
    ]


# Answering.


def test_a_post_is_kept_and_answered_with_200(inbox: Inbox, application: Application) -> None:
    """With when it came, and by which path."""
    path = inbox.register("work", now=START, label="mine")
    answer = Post(path, said("code 4711")).to(application)
    hook = Hook(id=1, account="work", label="mine", created_at=START, ends_at=START + DAY)
    message = InboundMessage(text="code 4711")
    assert (200, {"cache-control": "no-store", "content-length": "0"}) == (
        answer.status,
        answer.headers,
    )
    assert [Received(hook=hook, received_at=START, item=message)] == inbox.items()


def test_the_post_is_handed_on_without_its_secret_path(inbox: Inbox) -> None:
    """Its query, headers and body are those that came."""
    seen: list[Request] = []
    path = inbox.register("work", now=START)
    application = Application(inbox, {"work": Reads(seen)}, clock=lambda: START)
    headers = [JSON, (b"X-Name", "é".encode("latin-1"))]
    Post(path, [b"a", b"b"], query=b"a=%20", headers=headers).to(application)
    Post(path, [b"c"]).to(application)
    assert ["/hook?a=%20", "/hook"] == [request.url for request in seen]
    assert [b"ab", b"c"] == [request.content for request in seen]
    assert "é" == seen[0].header("x-name")
    assert "POST" == seen[0].method


@attrs.frozen
class Reads:
    """An account that reads the same out of every post."""

    seen: list[Request]
    items: Sequence[Item] = ()
    fault: Exception | None = None

    def parse_webhook(self, request: Request) -> Sequence[Item]:
        self.seen.append(request)
        if self.fault is not None:
            raise self.fault
        return self.items

    def receive_webhook(self, request: Request, activation: Activation) -> Sequence[Item]:
        raise AssertionError("no number is known")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_any_other_method_gets_405(inbox: Inbox, application: Application, method: str) -> None:
    """By a path of ours as by any other: it tells neither."""
    path = inbox.register("work", now=START)
    answers = [Post(place, method=method).to(application) for place in (path, "/", f"{path}x")]
    assert [405] * 3 == [answer.status for answer in answers]
    assert {"POST"} == {answer.headers["allow"] for answer in answers}


OTHERS: Final[dict[str, Callable[[str], str]]] = {
    "another letter": lambda path: path[:-1] + ("A" if path[-1] != "A" else "B"),
    "too short": lambda path: path[:-1],
    "too long": lambda path: f"{path}x",
    "a slash behind": lambda path: f"{path}/",
    "a folder before": lambda path: f"/x{path}",
    "another word": lambda path: path.replace("/hook/", "/hooks/"),
    "other letters": lambda path: "/hook/" + "é" * 43,
    "no token": lambda path: "/hook/",
    "the root": lambda path: "/",
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_an_unknown_path_gets_404_and_its_body_is_not_read(
    inbox: Inbox, application: Application, change: Callable[[str], str]
) -> None:
    """Nothing in the answer tells how near it was."""
    path = inbox.register("work", now=START)
    post = Post(change(path), said("code 4711"))
    answer = post.to(application)
    assert (404, {"cache-control": "no-store", "content-length": "0"}, 0) == (
        answer.status,
        answer.headers,
        post.taken,
    )
    assert [] == inbox.items()


def test_a_path_whose_time_is_over_gets_404(
    inbox: Inbox, application: Application, clock: VirtualClock
) -> None:
    """To the second."""
    path = inbox.register("work", now=START, lifetime=timedelta(minutes=15))
    clock.sleep(899)
    assert 200 == Post(path, said("in time")).to(application).status
    clock.sleep(1)
    assert 404 == Post(path, said("too late")).to(application).status
    assert ["in time"] == texts(inbox)


def test_the_same_content_is_kept_once_and_answered_alike(
    inbox: Inbox, application: Application
) -> None:
    """Providers post again when an answer was lost. By another path it is another message."""
    path, other = (inbox.register("work", now=START) for _ in range(2))
    answers = [Post(place, said("code 4711")).to(application) for place in (path, path, other)]
    assert [200] * 3 == [answer.status for answer in answers]
    assert [1, 2] == [one.hook.id for one in inbox.items()]


def test_a_post_of_the_same_content_in_other_pieces_is_the_same(
    inbox: Inbox, application: Application
) -> None:
    """What counts is the body."""
    path = inbox.register("work", now=START)
    (body,) = said("code 4711")
    Post(path, [body]).to(application)
    Post(path, [body[:5], b"", body[5:]], headers=[JSON, (b"X-Try", b"2")]).to(application)
    assert ["code 4711"] == texts(inbox)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"text": 4711}', b"not JSON", b"\xff"])
def test_what_the_provider_does_not_post_gets_400_and_is_not_kept(
    inbox: Inbox, application: Application, body: bytes
) -> None:
    """The answer has none of it."""
    path = inbox.register("work", now=START)
    assert 400 == Post(path, [body]).to(application).status
    assert [] == inbox.items()


def test_a_body_at_the_cap_is_read_and_one_over_it_gets_413(
    inbox: Inbox, application: Application
) -> None:
    """The connection ends, so that no rest of it is taken for another request."""
    path = inbox.register("work", now=START)
    (body,) = said("x" * (BODY_CAP - len(said("")[0])))
    assert BODY_CAP == len(body)
    assert 200 == Post(path, [body]).to(application).status
    answer = Post(path, [body[:9], body[9:], b" "]).to(application)
    assert (413, "close") == (answer.status, answer.headers["connection"])
    assert 1 == len(inbox.items())


def test_a_body_that_says_that_it_is_huge_is_not_read_at_all(
    inbox: Inbox, application: Application
) -> None:
    """Whatever it is."""
    path = inbox.register("work", now=START)
    headers = [JSON, (b"content-length", b"1048577")]
    post = Post(path, [b"x"] * 9, headers=headers)
    assert (413, 0) == (post.to(application).status, post.taken)


def test_a_body_that_does_not_end_is_not_read_to_its_end(
    inbox: Inbox, application: Application
) -> None:
    """A megabyte is enough: until then the client may still come to read its answer."""
    path = inbox.register("work", now=START)
    post = Post(path, [b"x" * BODY_CAP] * 99)
    assert (413, 17) == (post.to(application).status, post.taken)


def test_a_senseless_length_changes_nothing(inbox: Inbox, application: Application) -> None:
    """The server beneath has looked at it; what comes is counted."""
    path = inbox.register("work", now=START)
    headers = [JSON, (b"content-length", b"-5")]
    assert 200 == Post(path, said("hello"), headers=headers).to(application).status


def test_a_client_that_leaves_is_not_answered(inbox: Inbox, application: Application) -> None:
    """Half a post is none."""
    path = inbox.register("work", now=START)
    assert None is Post(path, said("hello"), leaves=True).to(application).status
    assert [] == inbox.items()


def test_what_cannot_be_stored_gets_503_and_is_stored_when_it_comes_again(
    inbox: Inbox, application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 would be a lie. Nor is an answer about its path to be had then."""
    monkeypatch.setattr(database, "_PATIENCE", 0.0)
    busy = Inbox(tmp_path / "state" / "webhooks.db")
    blocked = attrs.evolve(application, inbox=busy)
    path = inbox.register("work", now=START)
    other = sqlite3.connect(tmp_path / "state" / "webhooks.db", isolation_level=None)
    lock = lambda: other.execute("BEGIN EXCLUSIVE")  # noqa: E731, said once
    assert 503 == Post(path, said("code 4711"), on_read=lock).to(blocked).status
    assert 503 == Post(path, said("code 4711")).to(blocked).status
    other.execute("ROLLBACK")
    other.close()
    assert [] == inbox.items()
    assert 200 == Post(path, said("code 4711")).to(blocked).status
    assert ["code 4711"] == texts(inbox)
    busy.close()


def test_an_account_that_cannot_be_had_gets_503(inbox: Inbox, application: Application) -> None:
    """Its owner may mend that before the provider tries again."""
    path = inbox.register("other", now=START)
    assert 503 == Post(path, said("hello")).to(application).status


@pytest.mark.parametrize(
    "fault",
    [
        PluginError("a hook gave nonsense"),
        SettingsError("is missing", account="work", field="api_key", remedy="set it"),
    ],
)
def test_a_fault_of_ours_gets_503(inbox: Inbox, fault: Exception) -> None:
    """The post was none of it."""
    path = inbox.register("work", now=START)
    application = Application(inbox, {"work": Reads([], fault=fault)}, clock=lambda: START)
    assert 503 == Post(path, said("hello")).to(application).status


def test_only_http_is_spoken(application: Application) -> None:
    """As ASGI asks, by an error."""
    with pytest.raises(QasidError, match="not by 'websocket'"):
        asyncio.run(application({"type": "websocket"}, Post("/")._receive, print))  # type: ignore[arg-type]


def test_logs_tell_no_path_and_no_text(
    inbox: Inbox, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """Of posts that are kept, refused and failed."""
    caplog.set_level(logging.DEBUG)
    path, lost = inbox.register("work", now=START), inbox.register("other", now=START)
    Post(path, said("code 4711")).to(application)
    Post(path, [b'{"text": 4711}']).to(application)
    Post(lost, said("code 4711")).to(application)
    assert "webhook 1: its provider posts no such thing" in caplog.text
    assert "a webhook could not be taken in: KeyError" in caplog.text
    secrets = ["4711", path.removeprefix("/hook/"), lost.removeprefix("/hook/")]
    assert [] == [secret for secret in secrets if secret in caplog.text]


def test_what_is_new_is_told_once_and_after_it_is_stored(
    inbox: Inbox, account: Account, clock: VirtualClock
) -> None:
    """To whoever waits for it."""
    told: list[tuple[list[str], list[str]]] = []

    def arrived(received: Sequence[Received]) -> None:
        told.append(([one.item.text for one in received], texts(inbox)))  # type: ignore[union-attr]

    application = Application(inbox, {"work": account}, clock=clock.now, arrived=arrived)
    path = inbox.register("work", now=START)
    for text in ("one", "one", "two"):
        Post(path, said(text)).to(application)
    assert [(["one"], ["one"]), (["two"], ["one", "two"])] == told


# The number whose path it is.


def test_a_message_by_the_path_of_a_number_is_to_that_number(
    inbox: Inbox, application: Application
) -> None:
    """Where the post does not name one."""
    path = inbox.register("work", now=START, activation=RENTED)
    Post(path, said("code 4711")).to(application)
    (received,) = inbox.items()
    assert (RENTED, RENTED.number) == (received.hook.activation, received.item.to)


def test_a_number_may_be_told_after_its_messages_came(
    inbox: Inbox, application: Application
) -> None:
    """As its address was given away before there was a number; what was addressed stays so."""
    path = inbox.register("work", now=START)
    Post(path, said("early")).to(application)
    (hook,) = inbox.hooks(now=START)
    inbox.store(hook, b"both", [MESSAGE, REPORT], now=START)
    assert inbox.bind(f"https://my.example/in{path}", RENTED)
    Post(path, said("late")).to(application)
    found = [one.item.to for one in inbox.items()]
    assert [RENTED.number, MESSAGE.to, None, RENTED.number] == found


@pytest.mark.parametrize("url", ["https://other.example/", f"https://my.example/hook/{'A' * 43}"])
def test_an_address_that_is_not_ours_belongs_to_no_number(inbox: Inbox, url: str) -> None:
    """It may be anybody's: an application of yours receives there."""
    inbox.register("work", now=START)
    assert not inbox.bind(url, RENTED)
    assert [None] == [hook.activation for hook in inbox.hooks(now=START)]


# The inbox.


def test_everything_survives_the_file(inbox: Inbox, tmp_path: Path) -> None:
    """Texts of any script, halves of characters, moments and states."""
    inbox.register("work", now=START)
    (hook,) = inbox.hooks(now=START)
    inbox.store(hook, b"1", [MESSAGE, REPORT, attrs.evolve(MESSAGE, received_at=None)], now=START)
    inbox.close()
    again = Inbox(tmp_path / "state" / "webhooks.db")
    assert [MESSAGE, REPORT, attrs.evolve(MESSAGE, received_at=None)] == [
        one.item for one in again.items()
    ]
    again.close()


def test_the_file_is_for_its_user_alone_and_has_no_path(inbox: Inbox, tmp_path: Path) -> None:
    """Whoever copies it can read messages, and post none."""
    path = inbox.register("work", now=START)
    file = tmp_path / "state" / "webhooks.db"
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert path.removeprefix("/hook/").encode() not in file.read_bytes()


def test_no_two_paths_are_alike(inbox: Inbox) -> None:
    """Each has 256 random bits."""
    made = {inbox.register("work", now=START) for _ in range(50)}
    assert 50 == len(made)
    assert {len("/hook/") + 43} == {len(path) for path in made}


def test_what_is_old_is_purged_at_the_start_and_with_each_post(
    inbox: Inbox, account: Account, clock: VirtualClock, tmp_path: Path
) -> None:
    """Its text is gone from the file too."""
    day = Application(inbox, {"work": account}, clock=clock.now)
    path = inbox.register("work", now=START, lifetime=9 * DAY)
    Post(path, said("remember 4711")).to(day)
    clock.sleep(DAY.total_seconds())
    Post(path, said("second")).to(day)
    assert ["remember 4711", "second"] == texts(inbox)
    clock.sleep(1)
    Post(path, said("third")).to(day)
    assert ["second", "third"] == texts(inbox)
    clock.sleep(3600)
    Application(inbox, {}, keep=timedelta(hours=1), clock=clock.now)
    assert ["third"] == texts(inbox)
    assert b"4711" not in (tmp_path / "state" / "webhooks.db").read_bytes()


def test_a_path_that_is_over_goes_with_its_last_message(inbox: Inbox) -> None:
    """Until then it says by what way that came."""
    for lifetime in (timedelta(hours=1), 9 * DAY):
        inbox.register("work", now=START, lifetime=lifetime)
    inbox.store(inbox.hooks(now=START)[0], b"1", [REPORT], now=START)
    seen = []
    for days in (1, 2):
        inbox.purge(now=START + days * DAY, keep=DAY)
        seen.append(([one.hook.id for one in inbox.items()], _ids(inbox)))
    assert [([1], [1, 2]), ([], [2])] == seen


def _ids(inbox: Inbox) -> list[int]:
    return [hook.id for hook in inbox.hooks(now=datetime(2000, 1, 1, tzinfo=UTC))]


def test_a_damaged_inbox_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a book of rentals is."""
    (tmp_path / "webhooks.db").write_bytes(b"\xffnot a database")
    inbox = Inbox(tmp_path / "webhooks.db")
    assert [] == inbox.items()
    inbox.close()
    assert "was set aside" in caplog.text


def test_the_servers_address_is_remembered(inbox: Inbox) -> None:
    """The last one that was told."""
    seen = [inbox.url]
    for url in ("http://127.0.0.1:8700", "https://my.example"):
        inbox.url = url
        seen.append(inbox.url)
    assert [None, "http://127.0.0.1:8700", "https://my.example"] == seen
