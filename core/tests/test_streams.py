"""Messages that are sent while they are taken from their source, in threads and in tasks."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import pytest

from qasid.account import AsyncAccount
from qasid.drivers.aio import AsyncDriver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Flow, Request
from qasid.errors import Outcome, SettingsError, StreamClosed, UnsupportedOperation
from qasid.hookspecs import hookimpl
from qasid.operations import Operations
from qasid.policies.course import Course, heeding
from qasid.policies.rates import useful
from qasid.routing import AsyncRoute
from qasid.settings import Options, Resolved
from qasid.streams import Progress
from qasid.values import Limit, Receipt, TextMessage

from . import routes
from .acme import HOME, Acme, Server, asked, info, reply
from .acme import operations as account_operations
from .streaming import FACES, AsyncWire, Streaming, Turned, Wire, numbered, phones, threaded

both_faces = pytest.mark.parametrize("opened", FACES)

MINUTE: Final = timedelta(minutes=1)


def to_first(request: Request) -> bool:
    """Whether the request has the first of the numbered messages."""
    return numbered(1)[0].to in json.loads(request.content or b"[]")


# What comes.


@both_faces
def test_each_message_has_a_receipt_and_batches_are_of_the_providers_size(opened: Any) -> None:
    """Seven messages in batches of two."""
    server = Server()
    with opened(server) as account:
        receipts = [*account.send_stream(iter(numbered(7)))]
    assert sorted(phones(numbered(7))) == sorted(phones(receipts)) == sorted(server.acts)
    assert all(receipt.accepted and receipt.account == "work" for receipt in receipts)
    assert ["POST /messages"] * 4 == server.asked


@both_faces
def test_an_empty_source_needs_no_request(opened: Any) -> None:
    """And gives no receipts."""
    server = Server()
    with opened(server) as account:
        assert [] == [*account.send_stream([])]
    assert [] == server.asked


@both_faces
def test_receipts_come_as_they_are_there(opened: Any) -> None:
    """A batch that is answered after half a minute keeps no other."""
    let, server = threading.Event(), Server()
    seen = []
    with opened(server, slow=to_first, let=let) as account:
        for receipt in account.send_stream(numbered(40), concurrency=2):
            seen.append(receipt.to)
            if len(seen) == 38:
                let.set()
    assert phones(numbered(2)) == seen[38:]
    assert sorted(phones(numbered(40))) == sorted(seen)


@both_faces
def test_receipts_come_in_order_on_request(opened: Any) -> None:
    """They wait for the slow one, and no further batch is taken meanwhile."""
    let, taken = threading.Event(), []

    def source() -> Iterator[TextMessage]:
        for message in numbered(40):
            taken.append(message)
            if len(taken) == 8:  # the fourth and last batch that has a place
                let.set()
            yield message

    with opened(Server(), slow=to_first, let=let) as account:
        stream = account.send_stream(source(), concurrency=4, ordered=True)
        receipts = iter(stream)
        first = next(receipts)
        assert 8 == len(taken)
        assert phones(numbered(40)) == [first.to, *phones(receipts)]


@both_faces
def test_the_source_is_never_far_ahead(opened: Any) -> None:
    """Of ten thousand messages at most six have been taken and their receipts not given.

    Hardly more are alive: a thread lets go of its batch a moment after the receipts are there. Nor
    are there more receipts.
    """
    alive: weakref.WeakSet[TextMessage] = weakref.WeakSet()
    receipts: weakref.WeakSet[Receipt] = weakref.WeakSet()
    most = taken = given = ahead = 0

    def source() -> Iterator[TextMessage]:
        nonlocal taken, most
        for n in range(10_000):
            message = attrs.evolve(numbered(1, n)[0], text=f"text {n}")
            alive.add(message)
            taken, most = taken + 1, max(most, len(alive))
            yield message
            del message

    with opened(Server()) as account:
        for receipt in account.send_stream(source(), concurrency=3):
            receipts.add(receipt)
            given += 1
            ahead = max(ahead, taken - given)
        assert 3 * 2 + 1 >= len(receipts)
        gc.collect()
    assert 10_000 == given == taken
    assert 3 * 2 >= ahead
    assert 2 * 3 * 2 + 1 >= most
    assert not alive


@both_faces
def test_a_slow_consumer_slows_the_source(opened: Any) -> None:
    """However long it takes, no more is taken than there are places for."""
    taken: list[str] = []

    def source() -> Iterator[TextMessage]:
        for message in numbered(40):
            taken.append(message.to)
            yield message

    with opened(Server()) as account:
        receipts = iter(account.send_stream(source(), concurrency=2))
        next(receipts)
        if isinstance(account, Streaming):
            account.runner.run(asyncio.sleep(3600))
        assert 4 == len(taken)
        assert 39 == len([*receipts])


@both_faces
def test_a_recipient_that_is_no_number_has_its_refusal(opened: Any) -> None:
    """The others go."""
    bad = TextMessage(to="my friend", text="hello")
    server = Server()
    with opened(server) as account:
        found = [*account.send_stream([*numbered(1), bad, *numbered(1, 5)], ordered=True)]
    assert [True, False, True] == [receipt.accepted for receipt in found]
    assert 2 == len(server.acts)


@both_faces
def test_what_nobody_knows_is_not_repeated(opened: Any) -> None:
    """It has its place among the receipts."""
    server = Server(faults=[None, reply(500), reply(500), None])
    with opened(server) as account:
        found = [*account.send_stream(numbered(8))]
    assert 4 == sum(receipt.outcome is Outcome.UNKNOWN for receipt in found)
    assert 4 == len(server.requests)


@both_faces
@pytest.mark.parametrize("status", [401, 402, 403])
def test_what_would_refuse_every_batch_ends_the_rest(opened: Any, status: int) -> None:
    """No request is spent on it; each message has its receipt."""
    server = Server(faults=[None, reply(status)])
    with opened(server) as account:
        found = [*account.send_stream(numbered(40), concurrency=1)]
    assert [True] * 2 + [False] * 38 == [receipt.accepted for receipt in found]
    assert {Outcome.NOT_PERFORMED} == {receipt.outcome for receipt in found[2:]}
    assert 2 == len(server.requests)


@both_faces
def test_progress_is_told_after_each_batch(opened: Any) -> None:
    """In messages: accepted, refused, unknown; what is left of those taken is under way."""
    heard: list[Progress] = []
    server = Server(faults=[None, reply(422), reply(500)])
    with opened(server) as account:
        stream = account.send_stream(numbered(8), concurrency=1, progress=heard.append)
        assert 8 == len([*stream])
    counts = [attrs.astuple(one) for one in heard]
    assert [(2, 2, 0, 0), (4, 2, 2, 0), (6, 2, 2, 2), (8, 4, 2, 2)] == counts
    assert heard[-1] == stream.progress


# What ends it.


@both_faces
@pytest.mark.parametrize("count", [4, 5])
def test_a_source_that_fails_is_known_how_far_it_came(opened: Any, count: int) -> None:
    """All that it gave is sent and has its receipt; then its own error is raised."""

    def source() -> Iterator[TextMessage]:
        yield from numbered(count)
        raise ZeroDivisionError("line 6")

    server, receipts = Server(), []
    with opened(server) as account, pytest.raises(ZeroDivisionError, match="line 6"):  # noqa: PT012
        for receipt in account.send_stream(source()):
            receipts.append(receipt)  # noqa: PERF402
    assert sorted(phones(numbered(count))) == sorted(phones(receipts)) == sorted(server.acts)


@both_faces
def test_a_source_of_anything_else_is_refused_by_its_kind(opened: Any) -> None:
    """Such as of bare numbers; what came before it goes."""
    server = Server()
    sources: list[Any] = [*numbered(1), "+989121112233"]
    with opened(server) as account, pytest.raises(TypeError, match="gave a str where a Text"):
        [*account.send_stream(sources)]
    assert phones(numbered(1)) == server.acts
    with opened(server) as account, pytest.raises(TypeError, match="not iterable"):
        account.send_stream(7)


@both_faces
def test_what_is_left_when_the_loop_is_left_is_told(opened: Any) -> None:
    """No more is taken or sent; what was under way is had from `tell`, or by going on."""
    told: list[Receipt] = []
    source, server = iter(numbered(100)), Server()
    with opened(server) as account:
        stream = account.send_stream(source, concurrency=3, tell=told.extend)
        receipts = iter(stream)
        first = next(receipts)
        del receipts  # as at the end of a loop that is left
        assert isinstance(stream, Turned) or 6 == len(told)
        assert sorted(server.acts) == sorted(phones(r for r in told if r.accepted))
        assert sorted(phones(told)) == sorted([first.to, *phones(stream)])
        assert [] == [*stream]
    assert {StreamClosed, type(None)} >= {type(receipt.error) for receipt in told}
    assert 100 == len(told) + len([*source])


@both_faces
def test_closing_it_is_leaving_it(opened: Any) -> None:
    """Before it begins nothing is taken at all; twice is as good as once."""
    source, server = iter(numbered(3)), Server()
    with opened(server) as account:
        with account.send_stream(source) as stream:
            pass
        stream.close()
        assert [] == [*stream]
    assert ([], 3) == (server.asked, len([*source]))


class Hourly(Acme):
    """One request an hour."""

    info = info(limits=(Limit(requests=1, period=timedelta(hours=1)),))


@both_faces
def test_a_batch_that_waits_for_its_turn_does_not_go_when_it_is_closed(opened: Any) -> None:
    """Its messages say so, and surely were not sent."""
    server = Server()
    with opened(server, Hourly(), max_wait=1e6) as account:
        with account.send_stream(numbered(6), concurrency=2) as stream:
            for _ in stream:
                break
        left = [*stream]
    assert [None, Outcome.NOT_PERFORMED, Outcome.NOT_PERFORMED] == [r.outcome for r in left]
    assert isinstance(left[1].error, StreamClosed)
    assert "the stream was closed before its turn" in str(left[1].error)
    assert 1 == len(server.requests)


def test_a_batch_that_comes_after_the_end_does_not_go() -> None:
    """Not its first step is done."""
    flow = heeding(Course(stopped=True), (pytest.fail("it began") for _ in "x"), [])
    with pytest.raises(StreamClosed) as caught:
        next(flow)
    assert Outcome.NOT_PERFORMED is caught.value.outcome


def test_a_batch_that_has_begun_goes_to_its_end_when_it_is_closed() -> None:
    """Though its second request has to wait an hour."""

    class Twofold(Hourly):
        @hookimpl
        def send(self, messages: Sequence[Any]) -> Flow[Sequence[Receipt]]:
            yield from asked(self, "POST", "/otp", json={"to": "", "code": "1"})
            return (yield from Acme.send(self, messages))

    async def run() -> list[Receipt]:
        async with account.send_stream(numbered(2)) as stream:
            receipts = stream.__aiter__()
            first = asyncio.ensure_future(anext(receipts))
            await asyncio.sleep(1)
            await stream.close()
            return [await first, await anext(receipts)]

    server = Server()
    account = AsyncAccount(
        account_operations(Twofold(), max_wait=1e6), AsyncDriver(AsyncWire(Wire(server, never)))
    )
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        found = runner.run(run())
    assert [True, True] == [receipt.accepted for receipt in found]
    assert ["POST /otp", "POST /messages"] == server.asked


def never(request: Request) -> bool:
    """No request is slow."""
    return False


@both_faces
def test_what_is_told_and_raises_ends_it(opened: Any) -> None:
    """What is under way is waited for, and had by going on."""

    def tell(receipts: list[Receipt]) -> None:
        raise ZeroDivisionError

    server = Server()
    with opened(server) as account:
        stream = account.send_stream(numbered(40), concurrency=1, tell=tell)
        with pytest.raises(ZeroDivisionError):
            list(stream)
        assert phones(numbered(2)) == phones(stream) == server.acts


@both_faces
def test_a_reference_that_no_journal_keeps_is_raised(opened: Any) -> None:
    """Before anything is sent, as by `send`."""
    named = [attrs.evolve(message, reference=message.to) for message in numbered(4)]
    server = Server()
    with opened(server) as account, pytest.raises(SettingsError, match="'reference'"):
        [*account.send_stream(named)]
    assert [] == server.asked


@both_faces
def test_a_batch_that_breaks_down_leaves_the_others_their_receipts(opened: Any) -> None:
    """What is under way ends, and then that is raised."""
    named = attrs.evolve(numbered(1, 7)[0], reference="order-1")
    server, receipts = Server(), []
    with opened(server) as account, pytest.raises(SettingsError):  # noqa: PT012
        for receipt in account.send_stream([*numbered(2), named, *numbered(40, 50)], concurrency=1):
            receipts.append(receipt)  # noqa: PERF402
    assert phones(numbered(2)) == phones(receipts) == server.acts


@attrs.frozen(eq=False, kw_only=True)
class Deaf:
    """It has no hook at all."""

    info: ClassVar = info([])
    base_url: str = HOME


@both_faces
def test_a_stream_needs_a_provider_that_sends(opened: Any) -> None:
    """It is refused before anything is taken."""
    with opened(Server(), Deaf()) as account, pytest.raises(UnsupportedOperation):
        account.send_stream(numbered(1))


# Interrupts.


def test_an_interrupt_while_it_waits_loses_no_receipt() -> None:
    """Ctrl-C comes when a batch is under way: it is waited for, and told."""
    told: list[Receipt] = []
    let = threading.Event()
    main = threading.main_thread().ident
    assert main is not None
    # Whoever started these tests may ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def slow(request: Request) -> bool:
        if to_first(request):
            signal.pthread_kill(main, signal.SIGINT)
            let.wait(0.3)  # time enough to be given up
        return False

    server = Server()
    with threaded(server, slow=slow, let=let) as account:
        stream = account.send_stream(numbered(4), concurrency=1, tell=told.extend)
        with pytest.raises(KeyboardInterrupt):
            list(stream)
    signal.signal(signal.SIGINT, before)
    assert phones(numbered(2)) == phones(told) == server.acts


def test_an_interrupt_in_the_source_loses_no_message() -> None:
    """What was taken for a batch that was not full is told not to have been sent."""

    def source() -> Iterator[TextMessage]:
        yield from numbered(3)
        raise KeyboardInterrupt

    told: list[Receipt] = []
    server = Server()
    with threaded(server) as account, pytest.raises(KeyboardInterrupt):
        [*account.send_stream(source(), tell=told.extend)]
    assert phones(numbered(3)) == phones(told)
    assert [True, True, False] == [receipt.accepted for receipt in told]
    assert phones(numbered(2)) == server.acts


@pytest.mark.parametrize("count", [3, 4])
def test_a_cancelled_task_loses_no_receipt(count: int) -> None:
    """It is waited for what is under way, as with any request that costs money.

    What an async source gave for a batch that was not full is told not to have been sent.
    """
    told: list[Receipt] = []

    async def source() -> AsyncIterator[TextMessage]:
        for message in numbered(count):
            yield message
        await asyncio.sleep(3600)

    async def run() -> None:
        async for _ in account.send_stream(source(), concurrency=3, tell=told.extend):
            pass

    async def cancelled() -> None:
        task = asyncio.ensure_future(run())
        await asyncio.sleep(10)  # the first batch takes 30
        task.cancel()
        await task

    server = Server()
    wire = AsyncWire(Wire(server, to_first))
    account = AsyncAccount(account_operations(), AsyncDriver(wire))
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        with pytest.raises(asyncio.CancelledError):
            runner.run(cancelled())
        assert 30 == server.clock.seconds
    sent = phones(receipt for receipt in told if receipt.accepted)
    assert sorted(phones(numbered(count))) == sorted(phones(told))
    assert sorted(server.acts) == sorted(sent)
    assert count // 2 * 2 == len(sent)


def test_receipts_come_while_an_async_source_lets_it_wait() -> None:
    """A message a minute: the receipt of each is there before the next one."""
    moments: list[float] = []

    async def source() -> AsyncIterator[TextMessage]:
        for message in numbered(3):
            yield message
            await asyncio.sleep(60)

    async def run() -> None:
        async with account.send_stream(source()) as stream:
            moments.extend([server.clock.seconds async for _ in stream])

    class Single(Acme):
        info = info(max_batch=1)

    server = Server()
    wire = AsyncWire(Wire(server, never))
    account = AsyncAccount(account_operations(Single()), AsyncDriver(wire))
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        runner.run(run())
    assert [0, 60, 120] == moments


# How much at once.


@pytest.mark.parametrize(
    ("limits", "most", "max_wait", "expected"),
    [
        ([], 10, 120, 8),
        ([], 3, 120, 3),
        ([Limit(requests=5, period=timedelta(seconds=1))], 10, 120, 6),
        ([Limit(requests=600, period=MINUTE)], 10, 120, 8),
        ([Limit(requests=60, period=MINUTE)], 10, 120, 2),
        ([Limit(requests=1, period=MINUTE)], 10, 120, 1),
        ([Limit(requests=60, period=MINUTE)], 10, 0, 1),
        ([Limit(requests=1, period=MINUTE, hooks=["otp"])], 10, 120, 8),
        ([Limit(requests=900, period=MINUTE), Limit(requests=60, period=MINUTE)], 10, 120, 2),
    ],
)
def test_as_much_is_under_way_as_the_limits_can_use(
    limits: list[Limit], most: int, max_wait: float, expected: int
) -> None:
    """With answers of a second, and one that hangs; no queue is longer than `max_wait`."""
    assert expected == useful(limits, "send", most=most, max_wait=max_wait)


@both_faces
def test_a_narrow_limit_refuses_nothing(opened: Any) -> None:
    """Of one request a minute, with a stream of ten batches, none has to wait too long."""

    class Slow(Acme):
        info = info(limits=(Limit(requests=1, period=MINUTE),))

    server = Server()
    with opened(server, Slow()) as account:
        receipts = [*account.send_stream(numbered(20))]
    assert all(receipt.accepted for receipt in receipts)
    assert 9 * 60 < server.clock.seconds


@both_faces
def test_how_much_is_under_way_can_be_set_up_to_the_connections(opened: Any) -> None:
    """More would only wait for them; the error names the setting."""
    with opened(Server(), pool_size=20) as account:
        assert (8, 20) == (
            account.send_stream([]).concurrency,
            account.send_stream([], concurrency=20).concurrency,
        )
        for wrong in (0, 21):
            with pytest.raises(SettingsError, match=r"'concurrency': is .* has 20 conn.*pool_size"):
                account.send_stream([], concurrency=wrong)


# With a journal.


@both_faces
def test_the_same_stream_again_sends_what_is_left(opened: Any, tmp_path: Path) -> None:
    """By the references: after an end in the middle, each message has one receipt, sent once."""
    kept = {"journal": "strict", "journal_url": f"sqlite:///{tmp_path}/journal.sqlite3"}
    named = [attrs.evolve(message, reference=f"order-{message.to}") for message in numbered(20)]
    server = Server()
    with opened(server, **kept) as account:
        for _ in account.send_stream(named, concurrency=2):
            break
        before = len(server.acts)
    with opened(server, **kept) as account:
        receipts = [*account.send_stream(named, ordered=True)]
        requests = len(server.requests)
        assert receipts == [*account.send_stream(named, ordered=True)]
    assert before < 20 == len(server.acts) == len({*server.acts})
    assert phones(named) == phones(receipts)
    assert requests == len(server.requests)


@both_faces
def test_a_reference_that_comes_twice_is_sent_once(opened: Any, tmp_path: Path) -> None:
    """Also where both are under way at once."""
    kept = {"journal": "strict", "journal_url": f"sqlite:///{tmp_path}/journal.sqlite3"}
    named = [attrs.evolve(message, reference=f"order-{message.to}") for message in numbered(2)]
    server = Server()
    with opened(server, **kept) as account:
        receipts = [*account.send_stream(named * 4, concurrency=4)]
    assert 8 == sum(receipt.accepted for receipt in receipts)
    assert 2 == len(server.acts)


# By a route.


@pytest.mark.parametrize("opened", routes.FACES)
def test_a_stream_goes_by_the_first_account_that_does_it(opened: Any) -> None:
    """What refuses every batch at one account is asked of it once, and not again."""
    found = routes.servers("a", "b")
    found["a"].faults.append(reply(402))
    with opened(found) as route:
        stream = route.send_stream(numbered(9), concurrency=1)
        turned = Turned(stream, route.runner) if hasattr(route, "runner") else stream
        receipts = [*turned]
    assert {"b"} == {receipt.account for receipt in receipts}
    assert phones(numbered(9)) == phones(receipts) == found["b"].acts
    assert 1 == len(found["a"].requests)


@pytest.mark.parametrize("opened", routes.FACES)
@pytest.mark.parametrize(("repeat", "account"), [(False, "a"), (True, "b")])
def test_of_a_stream_the_unknown_goes_on_where_the_call_says_so(
    opened: Any, repeat: bool, account: str
) -> None:
    """As of one message."""
    found = routes.servers("a", "b")
    found["a"].faults.append(reply(500))
    with opened(found) as route:
        stream = route.send_stream(numbered(1), repeat_unknown=repeat)
        turned = Turned(stream, route.runner) if hasattr(route, "runner") else stream
        assert [account] == [receipt.account for receipt in turned]


@pytest.mark.parametrize("opened", routes.FACES)
def test_a_stream_needs_an_account_that_sends(opened: Any) -> None:
    """It is refused before anything is taken."""
    with (
        opened(routes.servers("a"), providers={"a": Deaf()}) as route,
        pytest.raises(UnsupportedOperation),
    ):
        route.send_stream(numbered(1))


def test_a_route_does_not_ask_the_next_account_for_what_was_stopped() -> None:
    """What waits at the first account's limit goes to no other."""

    async def run() -> list[Receipt]:
        async with route.send_stream(numbered(4), concurrency=2) as stream:
            async for _ in stream:
                break
        return [receipt async for receipt in stream]

    servers = routes.servers("a", "b")
    providers = {"a": Hourly(), "b": Acme()}
    accounts = [
        AsyncAccount(named(name, providers[name]), AsyncDriver(AsyncWire(Wire(server, never))))
        for name, server in servers.items()
    ]
    route = AsyncRoute("alerts", accounts)
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(servers["a"].clock)) as runner:
        left = runner.run(run())
    assert [None, StreamClosed, StreamClosed] == [r.error and type(r.error) for r in left]
    assert [] == servers["b"].requests


def named(name: str, provider: Any) -> Operations:
    """An account that waits for its turn as long as it takes."""
    options = Options(max_wait=1e6)
    resolved = Resolved(account=name, provider_name="acme", provider=provider, options=options)
    return Operations(resolved)
