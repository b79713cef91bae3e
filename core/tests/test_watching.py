"""Many numbers wait for messages at once: each message comes once, and no limit is passed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar, Final

import attrs
import pytest

from qasid.account import Account, AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Flow, Request, Response
from qasid.errors import (
    AuthenticationFailed,
    NoAnswer,
    NumberExpired,
    NumberNotFound,
    ProviderError,
    RateLimited,
    SettingsError,
    UnsupportedOperation,
)
from qasid.hookspecs import hookimpl
from qasid.operations import Operations
from qasid.routing import AsyncRoute, Route
from qasid.settings import Options, Resolved
from qasid.values import (
    Activation,
    Credential,
    DeliveryReport,
    DeliveryState,
    InboundMessage,
    InboxQuery,
    Limit,
)
from qasid.watching import Arrival
from qasid.watching.lanes import Lane
from qasid.watching.schedule import Entry
from qasid.webhooks import Hook, Inbox, Received

from .acme import Acme, Guarded, Server, asked, info, operations, reply

START: Final = VirtualClock().now()
MINUTE: Final = timedelta(minutes=1)


def rented(name: str, minutes: float = 1.0, account: str | None = None) -> Activation:
    """A number that lives for so long."""
    return Activation(
        id=name,
        number="+999000000001",
        service="acme",
        country="SA",
        acquired_at=START,
        expires_at=START + minutes * MINUTE,
        account=account,
    )


def many(count: int, minutes: float = 1.0) -> list[Activation]:
    return [rented(f"n{at}", minutes) for at in range(count)]


@attrs.define
class Post(Server):
    """A server where each number has messages of its own, from the second on that they came in."""

    letters: list[tuple[float, str, str]] = attrs.field(factory=list)  # second, number, text
    looked: list[tuple[str, float]] = attrs.field(factory=list)
    events: list[tuple[float, Callable[[], object]]] = attrs.field(factory=list)  # in order

    def _told(self, request: Request) -> Any:
        if request.path.endswith("balance"):
            return super()._told(request)
        while self.events and self.events[0][0] <= self.clock.seconds:
            self.events.pop(0)[1]()
        name = request.path.rpartition("/")[2]
        self.looked.append((name, self.clock.seconds))
        told = [text for at, to, text in self.letters if to == name and at <= self.clock.seconds]
        return {"messages": [{"text": text, "sender": None, "at": None} for text in told]}

    def upon(self, second: float, event: Callable[[Any], object]) -> Callable[[Any], None]:
        """Of a `Reader`, what begins: from that second on, with the next look, it happens."""
        return lambda watch: self.events.append((second, lambda: event(watch)))

    def looks(self, name: str) -> list[float]:
        """When a number was looked at."""
        return [at for looked, at in self.looked if looked == name]


# Two faces that are used as one. One worker alone makes virtual time exact.


@attrs.frozen
class Dated:
    """The virtual loop's time, and its dates too."""

    clock: VirtualClock
    sleep = staticmethod(asyncio.sleep)

    def now(self) -> datetime:
        return self.clock.now()

    def tick(self) -> float:
        return self.clock.tick()


@attrs.frozen
class Reader:
    """Reads a watch: `begin` is called with it, and `step` with each arrival, until it is True."""

    begin: Callable[[Any], object] = lambda watch: None
    step: Callable[[Any, Arrival], object] = lambda watch, arrival: None

    def blocking(
        self, server: Any, numbers: Iterable[Activation], made: Operations, **settings: Any
    ) -> list[Arrival]:
        """What a `Watch` yields."""
        account = Account(made, virtual_driver(server.handle, server.clock))
        found: list[Arrival] = []
        with account, account.watch(numbers, **settings) as watch:
            self.begin(watch)
            for arrival in watch:
                found.append(arrival)
                if self.step(watch, arrival):
                    break
        return found

    def awaited(
        self, server: Any, numbers: Iterable[Activation], made: Operations, **settings: Any
    ) -> list[Arrival]:
        """What an `AsyncWatch` yields."""

        async def read() -> list[Arrival]:
            found: list[Arrival] = []
            driver = AsyncDriver(AsyncPlug(Plug(server.handle)), Dated(server.clock))
            account = AsyncAccount(made, driver)
            async with account, account.watch(numbers, **settings) as watch:
                self.begin(watch)
                async for arrival in watch:
                    found.append(arrival)
                    if self.step(watch, arrival):
                        break
            return found

        with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
            return runner.run(read())


both_faces = pytest.mark.parametrize("face", ["blocking", "awaited"])


def read(
    face: str,
    server: Any,
    numbers: Iterable[Activation],
    reader: Reader | None = None,
    *,
    provider: Any = None,
    pool_size: int = 1,
    **settings: Any,
) -> list[str]:
    """The number and text of each arrival."""
    made = operations(provider, pool_size=pool_size)
    try:
        found = getattr(reader or Reader(), face)(server, numbers, made, **settings)
    finally:
        made.rentals.close()
    return [f"{arrival.activation.id} {arrival.message.text}" for arrival in found]


class Ear:
    """Notes what it is told of."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, type[ProviderError]]] = []

    def __call__(self, activation: Activation, error: ProviderError) -> None:
        self.heard.append((activation.id, type(error)))


def posted(activation: Activation | None, text: str, account: str = "work") -> Received:
    """What a webhook brought."""
    hook = Hook(id=1, account=account, activation=activation, created_at=START, ends_at=START)
    return Received(hook=hook, received_at=START, item=InboundMessage(text=text))


# Messages.


@both_faces
def test_each_message_of_each_number_comes_once_as_it_arrives(face: str) -> None:
    """Those that were there first; the iteration ends with the last number."""
    server = Post(letters=[(0, "n1", "one"), (12, "n0", "two"), (31, "n1", "three")])
    gone = Ear()
    assert ["n1 one", "n0 two", "n1 three"] == read(face, server, many(2), gone=gone)
    assert [("n0", NumberExpired), ("n1", NumberExpired)] == sorted(gone.heard)


@both_faces
def test_a_number_is_looked_at_every_interval_and_once_more_at_its_end(face: str) -> None:
    """So what comes in its last seconds is not lost; the next look is at most a moment late."""
    server = Post(letters=[(61, "n0", "last")])
    assert ["n0 last"] == read(face, server, [rented("n0", minutes=61.5 / 60)])
    looks = server.looks("n0")
    assert [5.0 * n for n in range(13)] == pytest.approx(looks[:-1], abs=13 * 0.1)
    assert pytest.approx(61.5, abs=0.1) == looks[-1]
    assert all(4.999 < b - a < 5.1 for a, b in pairwise(looks[:-1]))


@both_faces
def test_nothing_to_watch_ends_at_once(face: str) -> None:
    """There is nothing to come."""
    server = Post()
    assert [] == read(face, server, [])
    assert [] == server.looked


@both_faces
def test_an_endless_watch_waits_for_more_numbers(face: str) -> None:
    """Though none waits for a while."""
    server = Post(letters=[(0, "late", "hello")])
    watches: list[Any] = []

    def ended(activation: Activation, error: ProviderError) -> None:
        assert 0 == len(watches[0])
        watches[0].add(rented("late", minutes=30))

    reader = Reader(watches.append, lambda watch, arrival: True)
    found = read(face, server, [rented("n0")], reader, endless=True, gone=ended)
    assert ["late hello"] == found


@both_faces
def test_numbers_are_added_and_removed_while_it_runs(face: str) -> None:
    """One that is added is looked at soon, one that is removed never again, nor told as gone."""
    server = Post(letters=[(10, "n0", "one"), (0, "more", "two"), (21, "n1", "lost")])
    gone = Ear()

    def change(watch: Any) -> None:
        watch.remove(rented("n1"))
        watch.remove(rented("unheard-of"))
        watch.add(rented("more"), rented("n0"))

    reader = Reader(server.upon(20.0, change))
    assert ["n0 one", "more two"] == read(face, server, many(2), reader, gone=gone)
    assert {"n0", "more"} == {name for name, _ in gone.heard}
    assert max(server.looks("n1")) < 21.0
    assert min(server.looks("more")) < 21.0
    assert len(server.looks("n0")) <= 14  # it was added twice, and is looked at once each time


@both_faces
def test_what_is_found_of_a_number_that_was_removed_meanwhile_is_left_out(face: str) -> None:
    """It was taken away while it was looked at."""
    server = Post(letters=[(0, "n0", "too late")])
    watches: list[Any] = []

    def remove(request: Request) -> Response:
        watches[0].remove(rented("n0"))
        return server.answer(request)

    server.faults.append(remove)
    assert [] == read(face, server, many(1), Reader(watches.append))


@both_faces
def test_a_number_that_has_expired_already_is_not_asked_for(face: str) -> None:
    """Unless it was just now, when its last messages may still be told."""
    server = Post(letters=[(0, "just", "hello"), (0, "long", "hello")])
    gone = Ear()
    numbers = [rented("just", minutes=-0.05), rented("long", minutes=-1)]
    assert ["just hello"] == read(face, server, numbers, gone=gone)
    assert [("long", NumberExpired), ("just", NumberExpired)] == gone.heard


@both_faces
def test_a_number_without_an_end_waits_until_it_is_removed(face: str) -> None:
    """Its provider will say when it is over."""
    server = Post(letters=[(7200, "n0", "hello")])
    server.clock = VirtualClock(6900.0)
    number = attrs.evolve(rented("n0"), expires_at=None)
    reader = Reader(step=lambda watch, arrival: watch.remove(arrival.activation))
    assert ["n0 hello"] == read(face, server, [number], reader)


# Trouble.


@both_faces
@pytest.mark.parametrize("fault", [500, 429, 200, None])
def test_a_failure_that_may_pass_is_told_and_the_number_looked_at_again(
    face: str, fault: int | None
) -> None:
    """A garbled reply too: of ten thousand numbers one such must not end the others."""
    server = Post(letters=[(0, "n0", "hello")])
    answers = [reply(fault, b"<html>") if fault else NoAnswer("cut") for _ in range(3)]
    server.faults.extend(answers[:1] if fault == 200 else answers)
    trouble = Ear()
    assert ["n0 hello"] == read(face, server, many(1), trouble=trouble)
    assert ["n0"] == [name for name, _ in trouble.heard]


@both_faces
def test_each_trouble_that_is_read_is_followed_by_the_next(face: str) -> None:
    """However often it comes."""
    server, trouble = Post(faults=[reply(200, b"<html>")] * 3), Ear()
    read(face, server, many(1), trouble=trouble)
    assert 1 <= len(trouble.heard) <= 3
    if face == "awaited":  # where whoever reads is not slower than time
        assert 3 == len(trouble.heard)


@both_faces
def test_nobody_needs_to_hear_of_trouble(face: str) -> None:
    """It is logged all the same."""
    server = Post(letters=[(0, "n0", "hello")], faults=[NoAnswer("cut")] * 3)
    assert ["n0 hello"] == read(face, server, many(1))


def test_of_each_number_one_trouble_waits_to_be_read() -> None:
    """A reader that is slow, or an outage that is long, does not fill the memory."""
    server = Post(faults=[reply(200, b"<html>")] * 20)
    told, heard = operations(pool_size=1), Ear()
    account = Account(told, virtual_driver(server.handle, server.clock))
    with account, account.watch([rented("n0", 3)], trouble=heard, gone=heard) as watch:
        watch._begin()
        while len(watch):
            time.sleep(0.001)
        assert [] == [*watch]
    told.rentals.close()
    assert [("n0", type(heard)), ("n0", NumberExpired)][1:] == heard.heard[1:]
    assert 2 == len(heard.heard)


@both_faces
def test_a_number_that_the_provider_does_not_know_leaves(face: str) -> None:
    """So does one that it will not be asked for; the others go on."""
    server = Post(letters=[(30, "n2", "hello")])
    server.faults.extend([None, reply(404), reply(422)])
    gone = Ear()
    assert ["n2 hello"] == read(face, server, many(3), gone=gone)
    assert ["n0", "n1", "n2"] == [name for name, _ in gone.heard]
    assert NumberNotFound is gone.heard[0][1]


@both_faces
@pytest.mark.parametrize("status", [401, 403])
def test_an_account_that_is_locked_out_ends_the_watch(face: str, status: int) -> None:
    """After what was found before."""
    server = Post(letters=[(0, "n1", "hello")], faults=[None, reply(status)])
    found: list[str] = []

    def step(watch: Any, arrival: Arrival) -> None:
        found.append(arrival.message.text)

    with pytest.raises(ProviderError) as caught:
        read(face, server, many(2), Reader(step=step))
    assert type(caught.value).__name__ in {"AuthenticationFailed", "PermissionDenied"}
    assert ["hello"] == found


def test_a_watch_that_has_failed_has_ended() -> None:
    """The error is raised once."""
    server, made = Post(faults=[reply(401)]), operations(pool_size=3)
    account = Account(made, virtual_driver(server.handle, server.clock))
    with account, account.watch(many(1)) as watch:
        with pytest.raises(AuthenticationFailed):
            next(watch)
        assert [] == [*watch]
    made.rentals.close()


@both_faces
def test_what_a_callback_raises_is_raised_where_messages_are_read(face: str) -> None:
    """And the watch is closed by the end of its block."""

    def fail(activation: Activation, error: ProviderError) -> None:
        raise KeyError(activation.id)

    with pytest.raises(KeyError, match="n0"):
        read(face, Post(), many(1), gone=fail)


@both_faces
def test_a_provider_without_messages_is_refused(face: str) -> None:
    """Before anything is sent."""
    server = Post()
    with pytest.raises(UnsupportedOperation):
        read(face, server, many(1), provider=Guarded())
    assert [] == server.asked


@both_faces
@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_senseless_interval_is_refused(face: str, seconds: float) -> None:
    """It names the field."""
    with pytest.raises(SettingsError, match="'webhook_interval'"):
        read(face, Post(), [], webhook_interval=seconds)


# Limits.


@attrs.frozen(eq=False, kw_only=True)
class Limited(Acme):
    """Acme with 60 requests a minute, ten of them at once."""

    info: ClassVar = info(limits=(Limit(requests=60, period=MINUTE, burst=10),))


@attrs.frozen(eq=False, kw_only=True)
class Narrow(Acme):
    """Acme with a single look a minute."""

    info: ClassVar = info(limits=(Limit(requests=1, period=MINUTE, hooks={"fetch_sms"}),))


def most_within(moments: list[float], period: float) -> int:
    return max(sum(at <= other < at + period for other in moments) for at in moments)


@both_faces
def test_the_limit_is_never_passed_and_everybody_has_as_many_looks(face: str) -> None:
    """Two hundred numbers wait where one look goes in a second."""
    server = Post()
    read(face, server, many(200, minutes=20), provider=Limited(), pool_size=1)
    counts = Counter(name for name, _ in server.looked)
    assert most_within(server.times, 60.0) <= 60
    assert len(server.times) > 0.8 * 20 * 60
    assert 200 == len(counts)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_many_tasks_pass_no_limit_either() -> None:
    """They look one after the other, as there is one limit for them all."""
    server = Post()
    read("awaited", server, many(200, minutes=10), provider=Limited(), pool_size=20)
    assert most_within(server.times, 60.0) <= 60
    assert len(server.times) > 0.8 * 10 * 60


@both_faces
def test_the_youngest_comes_soon_however_many_wait(face: str) -> None:
    """A number is added to a hundred that are all late: it is looked at next or after the next."""
    server = Post()
    reader = Reader(server.upon(300.0, lambda watch: watch.add(rented("new", minutes=20))))
    read(face, server, many(100, minutes=10), reader, provider=Limited())
    assert 300.0 <= min(server.looks("new")) < 305.0


@attrs.frozen(eq=False, kw_only=True)
class Locked(Guarded):
    """A single look a minute, and it wants a token."""

    info: ClassVar = info({"authenticate", "fetch_sms"}, limits=Narrow.info.limits)

    @hookimpl
    def fetch_sms(
        self, inbox: Activation | InboxQuery, credential: Credential
    ) -> Flow[Sequence[InboundMessage]]:
        assert isinstance(inbox, Activation)
        yield from asked(self, "GET", f"/numbers/{inbox.id}", credential.token)
        return []


@attrs.frozen(eq=False)
class Distant(AsyncPlug):
    """A server that is a second away."""

    async def send(self, request: Request) -> Response:
        await asyncio.sleep(1.0)
        return await super().send(request)


def test_looks_that_have_begun_and_wait_for_a_token_count() -> None:
    """Else all workers would begin, and be refused by the limit of one look a minute."""
    server, made, trouble = Post(), operations(Locked(), pool_size=10), Ear()

    async def watched() -> list[Arrival]:
        account = AsyncAccount(made, AsyncDriver(Distant(Plug(server.handle)), Dated(server.clock)))
        async with account, account.watch(many(30, minutes=5), trouble=trouble) as watch:
            return [arrival async for arrival in watch]

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        assert [] == runner.run(watched())
    made.rentals.close()
    assert [] == trouble.heard
    assert 5 == len(server.looked)


def test_other_calls_of_the_account_do_not_stand_behind_those_that_wait() -> None:
    """A thousand numbers are late, and the balance comes within two turns."""
    server, made = Post(), operations(Limited(), pool_size=10)

    async def ask() -> float:
        driver = AsyncDriver(AsyncPlug(Plug(server.handle)), Dated(server.clock))
        account = AsyncAccount(made, driver)
        async with account, account.watch(many(1000, minutes=60)) as watch:
            reader = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(120)
            began = server.clock.seconds
            await account.balance()
            took = server.clock.seconds - began
            reader.cancel()
        return took

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        assert runner.run(ask()) < 3.0
    made.rentals.close()


@both_faces
def test_a_provider_that_asks_for_patience_is_left_alone(face: str) -> None:
    """No number is looked at before the time that it named."""
    server = Post(faults=[None, reply(429, Retry_After="1000")])
    trouble = Ear()
    read(face, server, many(3, minutes=20), trouble=trouble)
    assert [] == [at for at in server.times if 1.0 < at < 1000.0]
    assert [RateLimited] == [kind for _, kind in trouble.heard]


@both_faces
def test_a_look_a_minute_for_ten_thousand_is_foretold(
    face: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says how often each is looked at and when first, and warns once that most end unseen."""
    forecasts: list[Any] = []

    def begin(watch: Any) -> None:
        forecasts.append(watch.forecast())
        for number in many(10_000, minutes=20)[-10:]:
            watch.remove(number)
        assert 9990 == len(watch)
        watch.add(*many(10_010, minutes=20)[-20:])
        raise KeyError

    with caplog.at_level(logging.WARNING, "qasid"), pytest.raises(KeyError):
        read(face, Post(), many(10_000, minutes=20), Reader(begin), provider=Narrow())
    (forecast,) = forecasts
    assert timedelta(days=7) < forecast.every < timedelta(days=7.5)  # 10,000 * 63 s
    assert 10_000 == forecast.numbers == len(forecast.first_looks) + forecast.unseen
    assert 20 == len(forecast.first_looks)  # 1200 s / 63 s = 19.05, and one at once
    assert timedelta(0) == forecast.first_looks["work", "n9999"]
    assert timedelta(seconds=63) == forecast.first_looks["work", "n0"]
    (record,) = caplog.records
    assert "9980 expire before their first look" in record.getMessage()


@both_faces
def test_a_forecast_without_trouble_is_the_interval(
    face: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is warned."""
    told: list[Any] = []
    with caplog.at_level(logging.WARNING, "qasid"):
        read(face, Post(), many(20), Reader(lambda w: told.append(w.forecast())))
        read(face, Post(), many(20), provider=Limited())
        read(face, Post(), [], Reader(lambda w: told.append(w.forecast())))
    assert timedelta(seconds=5) == told[0].every
    assert "20 numbers wait, and each is looked at every 5 s" == str(told[0])
    assert (0, timedelta(0), 0) == (told[1].numbers, told[1].every, told[1].unseen)
    assert [] == caplog.records


# Webhooks.


@both_faces
def test_what_was_posted_is_yielded_once_and_its_number_looked_at_less(face: str) -> None:
    """The same message comes by a look, too; only every minute from then on."""
    server = Post(letters=[(100, "n0", "posted")])
    number = rented("n0", minutes=10)
    message = InboundMessage(text="posted", to=number.number)

    def notice(watch: Any) -> None:
        watch.notice(number, [message, message])
        watch.notice(rented("unheard-of"), [message])

    reader = Reader(server.upon(50.0, notice))
    assert ["n0 posted"] == read(face, server, [number], reader)
    looks = [at for at in server.looks("n0") if at > 50.0]
    assert 9 <= len(looks) <= 11
    assert all(b - a > 59.0 for a, b in pairwise(looks[:-1]))


@both_faces
def test_what_a_webhook_application_tells_is_taken(face: str) -> None:
    """Reports are left out, and what is to nobody who waits here."""
    number = rented("n0")
    report = attrs.evolve(
        posted(number, ""), item=DeliveryReport(receipt_id="r1", state=DeliveryState.DELIVERED)
    )
    received = [
        posted(None, "whose?"),
        posted(number, "other account", account="home"),
        posted(rented("other"), "other number"),
        report,
        posted(number, "mine"),
    ]
    reader = Reader(lambda watch: watch.arrived(received))
    assert ["n0 mine"] == read(face, Post(), [number], reader)


@both_faces
def test_an_inbox_is_read_every_second_and_looks_are_few(face: str) -> None:
    """Its numbers are posted, so each is looked at once, then every so many seconds."""
    server, inbox = Post(), Inbox()
    numbers = [rented("n0", minutes=5), rented("n1", minutes=5)]
    path = inbox.register("work", now=START, activation=numbers[0])
    hook = inbox.find(path, now=START)
    assert hook is not None

    def store(second: int) -> None:
        now = START + timedelta(seconds=second)
        inbox.store(hook, str(second).encode(), [InboundMessage(text=f"{second}")], now=now)

    store(0)
    store(9)
    server.events.append((120.0, lambda: store(2)))  # stamped long before it is on the disk
    found = read(face, server, numbers, inbox=inbox, webhook_interval=120.0)
    inbox.close()
    assert ["n0 0", "n0 9", "n0 2"] == found
    assert [0.0, 120.0, 240.0, 300.0] == pytest.approx(server.looks("n0"), abs=0.5)


@both_faces
def test_a_number_of_a_watch_with_an_inbox_need_not_be_posted(face: str) -> None:
    """One that is, in a watch without any, is looked at less too."""
    server, inbox = Post(), Inbox()

    def begin(watch: Any) -> None:
        watch.add(rented("plain"), webhook=False)
        watch.add(rented("posted"), webhook=True)

    read(face, server, [rented("n0")], Reader(begin), inbox=inbox, webhook_interval=30.0)
    inbox.close()
    assert (3, 3) == (len(server.looks("n0")), len(server.looks("posted")))
    assert len(server.looks("plain")) > 10


# Threads and tasks.


class Meeting:
    """A transport that answers when so many requests are under way at once."""

    def __init__(self, count: int) -> None:
        self.barrier = threading.Barrier(count)

    def send(self, request: Request) -> Response:
        self.barrier.wait(60)
        return Response(status=200, body=b'{"messages": [{"text":"hi","sender":null,"at":null}]}')

    def close(self) -> None:
        """Nothing to give back."""


def test_as_many_looks_are_under_way_as_the_pool_has_connections() -> None:
    """Each of four numbers is answered only when all four are asked for."""
    made = operations(pool_size=4)
    account = Account(made, SyncDriver(Meeting(4)))
    numbers = [attrs.evolve(number, expires_at=None) for number in many(4)]
    with account, account.watch(numbers) as watch:
        assert {number.id for number in numbers} == {next(watch).activation.id for _ in numbers}
    made.rentals.close()


def waits_for(true: Callable[[], bool]) -> bool:
    """Whether it becomes true within a minute of real time, as threads do not end in virtual."""
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.001)
    return true()


def test_closing_ends_the_threads_and_whoever_reads() -> None:
    """Another thread closes it in the middle."""
    before = threading.active_count()
    server, made = Post(), operations(pool_size=4)
    account = Account(made, virtual_driver(server.handle, server.clock))
    watch = account.watch(endless=True)
    reader = threading.Thread(target=lambda: [*watch])
    reader.start()
    assert waits_for(lambda: threading.active_count() == before + 5)
    watch.close()
    reader.join(60)
    assert before == threading.active_count()
    watch.close()
    assert [] == [*watch]
    made.rentals.close()


def test_a_watch_that_nobody_holds_ends() -> None:
    """Whoever leaves a loop need not know of threads."""
    before = threading.active_count()
    server, made = Post(letters=[(0, "n0", "hello")]), operations(pool_size=4)
    account = Account(made, virtual_driver(server.handle, server.clock))
    for arrival in account.watch([attrs.evolve(rented("n0"), expires_at=None)]):
        assert "hello" == arrival.message.text
        break
    gc.collect()
    assert waits_for(lambda: threading.active_count() == before)
    made.rentals.close()


def test_it_may_be_closed_by_what_one_of_its_threads_calls() -> None:
    """Such as a listener; it does not wait for itself."""
    server, made = Post(), operations(pool_size=1)
    account = Account(made, virtual_driver(server.handle, server.clock))
    watch = account.watch(many(1))
    ended: list[bool] = []

    def close(request: Request) -> Response:
        watch.close()
        ended.append(True)
        return server.answer(request)

    server.faults.append(close)
    assert [] == [*watch]
    assert waits_for(lambda: ended == [True])
    made.rentals.close()


def test_threads_share_a_watch() -> None:
    """Each message goes to one of them, and all of them end."""
    numbers = many(200, minutes=0.2)
    server = Post(letters=[(at, f"n{at}", "hello") for at in range(200)])
    server.letters = [(at % 10, name, text) for at, name, text in server.letters]
    made = operations(pool_size=4)
    account = Account(made, virtual_driver(server.handle, server.clock))
    found: list[str] = []
    with account, account.watch([attrs.evolve(n, expires_at=None) for n in numbers]) as watch:

        def work() -> None:
            for arrival in watch:
                found.append(arrival.activation.id)
                watch.remove(arrival.activation)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    made.rentals.close()
    assert sorted(number.id for number in numbers) == sorted(found)


def test_a_reader_that_gives_up_waiting_loses_nothing_and_leaves_nothing() -> None:
    """Time-outs around each step, as one does with other queues."""
    server, made = Post(letters=[(600, "n0", "hello")]), operations()
    kept: list[int] = []

    async def patient() -> Arrival:
        driver = AsyncDriver(AsyncPlug(Plug(server.handle)), Dated(server.clock))
        account = AsyncAccount(made, driver)
        async with account, account.watch([rented("n0", minutes=30)]) as watch:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        return await anext(watch)
                bell = watch._lookout._bell
                kept.append(0 if bell is None else len(vars(bell)["_done_callbacks"]))

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        assert "hello" == runner.run(patient()).message.text
    made.rentals.close()
    assert 500 < len(kept)
    assert {0} == set(kept)


def test_a_transport_that_never_waits_does_not_keep_the_loop() -> None:
    """Looks take longer than they are due, and whoever reads comes to its turn all the same."""
    server, made = Post(letters=[(0, "n7", "hello")]), operations(pool_size=2)

    def slow(request: Request) -> Response:
        server.clock.sleep(0.1)
        return server.handle(request)

    async def reader() -> Arrival:
        driver = AsyncDriver(AsyncPlug(Plug(slow)), Dated(server.clock))
        async with AsyncAccount(made, driver).watch(many(500, minutes=60)) as watch:
            return await anext(watch)

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        assert "hello" == runner.run(reader()).message.text
    made.rentals.close()
    assert server.clock.seconds < 100.0


def test_a_task_that_is_cancelled_leaves_no_task() -> None:
    """The end of the block waits for its own."""
    server, made = Post(), operations()

    async def cancelled() -> set[Any]:
        driver = AsyncDriver(AsyncPlug(Plug(server.handle)), Dated(server.clock))
        account = AsyncAccount(made, driver)

        async def watch() -> None:
            async with account.watch(many(3, minutes=60)) as watched:
                async for _ in watched:
                    pass

        task = asyncio.ensure_future(watch())
        await asyncio.sleep(30)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return asyncio.all_tasks() - {asyncio.current_task()}

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        assert set() == runner.run(cancelled())
    made.rentals.close()


def test_a_thousand_numbers_are_looked_at_in_time() -> None:
    """Each within 60 ms of the moment that it is due."""
    server, made = Post(), operations()

    async def watched() -> None:
        driver = AsyncDriver(AsyncPlug(Plug(server.handle)), Dated(server.clock))
        async with AsyncAccount(made, driver).watch(endless=True) as watch:
            reader = asyncio.ensure_future(anext(watch))
            for number in many(1000, minutes=60):
                watch.add(number)
                await asyncio.sleep(0.005)
            await asyncio.sleep(30)
            reader.cancel()

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        runner.run(watched())
    made.rentals.close()
    by_number: dict[str, list[float]] = {}
    for name, at in server.looked:
        by_number.setdefault(name, []).append(at)
    late = [b - a - 5.0 for looks in by_number.values() for a, b in pairwise(looks)]
    assert len(late) > 5000
    assert min(late) > -0.001
    assert max(late) <= 0.06


# Routes.


def named(name: str, provider: Any) -> Operations:
    """The operations of an account with that name, one request at a time."""
    options = Options(pool_size=1)
    resolved = Resolved(account=name, provider_name="acme", provider=provider, options=options)
    return Operations(resolved)


def test_each_number_of_a_route_is_looked_at_by_its_account() -> None:
    """One account whose limit is narrow does not hold up the other one."""
    clock = VirtualClock()
    servers = {name: Post(clock=clock) for name in ("one", "two")}
    servers["one"].letters = [(0, "a29", "hello")]
    servers["two"].letters = [(30, "b0", "hello")]
    numbers = [rented(f"a{at}", account="one") for at in range(30)]
    numbers.append(rented("b0", account="two"))

    async def read_all() -> set[str]:
        accounts = [
            AsyncAccount(
                named(name, provider),
                AsyncDriver(AsyncPlug(Plug(servers[name].handle)), Dated(clock)),
            )
            for name, provider in (("one", Narrow()), ("two", Acme()))
        ]
        route = AsyncRoute("both", accounts, close_accounts=True)
        async with route, route.watch(numbers) as watch:
            return {arrival.activation.id async for arrival in watch}

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        assert {"a29", "b0"} == runner.run(read_all())
    assert 1 <= len(servers["one"].times) <= 2
    assert 13 == len(servers["two"].times)


def test_a_number_of_no_account_of_a_route_is_refused() -> None:
    """It could be looked at by none of them; those of its accounts are watched."""
    clock = VirtualClock()
    server = Post(clock=clock, letters=[(0, "a0", "hello")])
    account = Account(named("one", Acme()), virtual_driver(server.handle, clock))
    with Route("single", [account], close_accounts=True) as route:
        with route.watch([rented("a0", account="one")]) as watch:
            assert ["hello"] == [arrival.message.text for arrival in watch]
            assert 0 == watch.forecast().numbers
        with pytest.raises(SettingsError, match="none of this route's"):
            route.watch([rented("c0", account="three")])


def test_an_account_with_no_connection_left_has_nothing_to_wake_up_for() -> None:
    """Whoever brings its look to an end takes the next one."""
    made = operations(pool_size=1)
    lane = Lane(made)
    for number in many(2):
        lane.add(Entry(number, 5.0), 0.0)
    assert 0.0 == lane.next(0.0)
    first = lane.take(0.0)
    assert first is not None
    assert (None, math.inf) == (lane.take(0.0), lane.next(0.0))
    lane.done()
    assert lane.take(0.0) not in {None, first}
    made.rentals.close()


# What it shows.


def test_a_watch_shows_how_many_wait_and_no_text() -> None:
    """It is true, though nobody waits; an arrival shows no message."""
    server, made = Post(), operations()
    account = Account(made, virtual_driver(server.handle, server.clock))
    watch = account.watch(many(3))
    assert "<Watch, 3 numbers>" == repr(watch)
    assert 3 == len(watch)
    assert account.watch()
    arrival = Arrival(rented("n0"), InboundMessage(text="4711"))
    assert "4711" not in repr(arrival)
    made.rentals.close()
