"""Both drivers perform every effect, and let the flow know what went wrong."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import attrs
import pytest

from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.sync import SyncDriver, SystemClock
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Call, Effect, Flow, Now, Request, Response, Sleep, Tick, Wait, Whole
from qasid.errors import NoAnswer

from .acme import HOME, Server

ASK = Request(method="GET", url=f"{HOME}/balance")
Runner: TypeAlias = Callable[[Flow[Any], Server], Any]


def in_the_thread(flow: Flow[Any], server: Server) -> Any:
    return virtual_driver(server.handle, server.clock).run(flow)


def in_a_loop(flow: Flow[Any], server: Server) -> Any:
    driver = AsyncDriver(AsyncPlug(Plug(server.handle)))
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(server.clock)) as runner:
        return runner.run(driver.run(flow))


both_drivers = pytest.mark.parametrize("run", [in_the_thread, in_a_loop])


def yielding(*effects: Effect) -> Flow[list[Any]]:
    """What these effects give, one after the other."""
    given = []
    for effect in effects:
        given.append((yield effect))  # noqa: PERF401, a comprehension cannot yield
    return given


def told(value: object) -> Future[Any]:
    """A future that has been told."""
    future: Future[Any] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


@both_drivers
def test_a_request_gives_its_response(run: Runner) -> None:
    """As the provider's server answers it."""
    (response,) = run(yielding(ASK), Server())
    assert (200, "1.00 USD") == (response.status, response.json())


@both_drivers
def test_a_request_crosses_the_wire_as_bytes(run: Runner) -> None:
    """The server sees what a network would carry."""
    server = Server()
    run(yielding(ASK), server)
    assert [b""] == [request.content for request in server.requests]
    assert ["api.acme.test"] == [request.header("Host") for request in server.requests]


@both_drivers
def test_sleep_passes_time_and_tick_tells_it(run: Runner) -> None:
    """In seconds, and nothing else passes it."""
    assert [0.0, None, 7.5, 7.5] == run(yielding(Tick(), Sleep(7.5), Tick(), Tick()), Server())


@both_drivers
def test_now_is_an_aware_moment_in_utc(run: Runner) -> None:
    """The wall clock."""
    (now,) = run(yielding(Now()), Server())
    assert timedelta(0) == now.utcoffset()


@both_drivers
def test_call_gives_what_the_function_returns(run: Runner) -> None:
    """It may block."""
    assert [42] == run(yielding(Call(lambda: 42)), Server())


@both_drivers
def test_wait_gives_what_the_future_is_told(run: Runner) -> None:
    """Whoever tells it."""
    assert [42] == run(yielding(Wait(told(42))), Server())


@both_drivers
def test_whole_gives_what_the_other_flow_returns(run: Runner) -> None:
    """With all its effects."""
    ((response, waited),) = run(yielding(Whole(yielding(ASK, Sleep(7.5)))), Server())
    assert (200, None) == (response.status, waited)


@both_drivers
def test_whole_raises_what_the_other_flow_raises(run: Runner) -> None:
    """As it is."""
    with pytest.raises(KeyError):
        run(yielding(Whole(yielding(Call(failing)))), Server())


def failing() -> None:
    raise KeyError("a")


TRACE: Final[ContextVar[str]] = ContextVar("TRACE", default="none")


@both_drivers
def test_what_runs_in_another_thread_has_the_callers_context(run: Runner) -> None:
    """So the span of whoever called is the parent of what is done there."""
    token = TRACE.set("the caller's")
    called, whole = run(yielding(Call(TRACE.get), Whole(yielding(Call(TRACE.get)))), Server())
    TRACE.reset(token)
    assert ("the caller's", ["the caller's"]) == (called, whole)


@both_drivers
@pytest.mark.parametrize(
    "effect",
    [ASK, Call(failing), Wait(told(KeyError("a")))],
    ids=["Request", "Call", "Wait"],
)
def test_what_an_effect_raises_is_raised_in_the_flow(run: Runner, effect: Effect) -> None:
    """It may handle it, and go on with another effect."""

    def flow() -> Flow[object]:
        try:
            return (yield effect)
        except KeyError:
            return (yield Tick())

    assert 0.0 == run(flow(), Server(faults=[KeyError("a")]))


@both_drivers
def test_what_a_flow_raises_comes_out(run: Runner) -> None:
    """Also where it does not handle what an effect raised."""
    server = Server(faults=[NoAnswer("cut")])
    with pytest.raises(NoAnswer):
        run(yielding(ASK), server)


@both_drivers
def test_a_flow_without_effects_has_a_result_too(run: Runner) -> None:
    """Nothing need be asked."""
    assert [] == run(yielding(), Server())


@both_drivers
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_lets_the_flow_tidy_up_and_comes_out(
    run: Runner, interrupt: type[BaseException]
) -> None:
    """Tidying up may need effects; afterwards the flow is over."""
    tidied = []

    def flow() -> Flow[None]:
        try:
            yield ASK
        finally:
            tidied.append((yield Call(lambda: "tidied")))

    running = flow()
    with pytest.raises(interrupt):
        run(running, Server(faults=[interrupt()]))
    assert ["tidied"] == tidied
    assert inspect.GEN_CLOSED == inspect.getgeneratorstate(running)


# The sync driver.


def test_a_future_may_be_told_by_another_thread() -> None:
    """Until then the driver's thread waits."""
    future: Future[int] = Future()
    driver = SyncDriver(Plug(Server().handle))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(driver.run, yielding(Wait(future)))
        future.set_result(42)
        assert [42] == waiting.result(timeout=30)


def test_a_whole_that_was_interrupted_before_it_began_never_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for it, and its thread, if it comes yet, finds nothing to do."""
    threads: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        threads.append(thread)
        raise KeyboardInterrupt

    server = Server()
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        in_the_thread(yielding(Whole(yielding(ASK))), server)
    monkeypatch.undo()
    threads[0].start()
    threads[0].join()
    assert [] == server.requests


def test_the_system_clock_is_the_machines() -> None:
    """In UTC, in seconds, and never going back."""
    clock = SystemClock()
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert time.monotonic() <= clock.tick() <= clock.tick()
    clock.sleep(0)


@attrs.define(eq=False)
class Carrier:
    """A transport that knows whether it was closed."""

    closed: bool = False

    def send(self, request: Request) -> Response:
        return Response(status=200)

    def close(self) -> None:
        self.closed = True


def test_closing_the_driver_closes_its_transport() -> None:
    """The connections go back."""
    carrier = Carrier()
    SyncDriver(carrier).close()
    assert carrier.closed


# The async driver.


def test_closing_the_async_driver_closes_its_transport() -> None:
    """The connections go back."""

    @attrs.define(eq=False)
    class AsyncCarrier:
        closed: bool = False

        async def send(self, request: Request) -> Response:
            return Response(status=200)

        async def close(self) -> None:
            self.closed = True

    carrier = AsyncCarrier()
    asyncio.run(AsyncDriver(carrier).close())
    assert carrier.closed


def test_blocking_calls_run_in_another_thread() -> None:
    """The loop goes on meanwhile."""
    driver = AsyncDriver(AsyncPlug(Plug(Server().handle)))
    (ran_in,) = asyncio.run(driver.run(yielding(Call(threading.get_ident))))
    assert threading.get_ident() != ran_in


def test_a_cancellation_lets_the_flow_tidy_up() -> None:
    """It is raised at the effect that is under way."""
    seen: list[str] = []

    def flow() -> Flow[None]:
        try:
            yield Sleep(60)
        except asyncio.CancelledError:
            seen.append((yield Call(lambda: "tidied")))
            raise

    async def cancelled() -> None:
        task = asyncio.create_task(AsyncDriver(AsyncPlug(Plug(Server().handle))).run(flow()))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert ["tidied"] == seen


@pytest.mark.parametrize("error", [None, KeyError("a")])
def test_a_cancelled_call_is_waited_for(error: Exception | None) -> None:
    """A thread cannot be stopped, so the flow goes on when it has come to its end."""
    begun, may_end = threading.Event(), threading.Event()
    order: list[str] = []

    def work() -> None:
        begun.set()
        assert may_end.wait(30)
        order.append("worked")
        if error is not None:
            raise error

    def flow() -> Flow[None]:
        try:
            yield Call(work)
        finally:
            order.append("tidied")

    async def cancelled() -> None:
        task = asyncio.create_task(AsyncDriver(AsyncPlug(Plug(Server().handle))).run(flow()))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        may_end.set()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert ["worked", "tidied"] == order


def test_a_cancelled_wait_leaves_the_future_to_the_others() -> None:
    """Who waits for the same goes on waiting."""
    future: Future[int] = Future()

    async def waiting() -> list[Any]:
        driver = AsyncDriver(AsyncPlug(Plug(Server().handle)))
        one, two = (asyncio.create_task(driver.run(yielding(Wait(future)))) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.sleep(0)
        future.set_result(42)
        return await asyncio.gather(one, two, return_exceptions=True)

    first, second = asyncio.run(waiting())
    assert isinstance(first, asyncio.CancelledError)
    assert [42] == second


# Plugs and virtual time.


def test_a_plug_stamps_replies_with_the_time_of_its_clock() -> None:
    """An emulator's reply arrives when the driver's clock says so."""
    clock = VirtualClock()
    clock.sleep(90)
    (response,) = virtual_driver(Server().handle, clock).run(yielding(ASK))
    assert clock.now() == response.received_at


def test_a_plug_hands_requests_on_one_at_a_time() -> None:
    """An emulator need not be safe for threads."""
    inside: list[int] = []
    most: list[int] = []

    def handle(request: Request) -> Response:
        inside.append(1)
        time.sleep(0)  # let another thread in, if it may
        most.append(len(inside))
        inside.pop()
        return Response(status=200)

    plug = Plug(handle)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(plug.send, [ASK] * 200))
    assert {1} == set(most)


def test_plugs_have_nothing_to_give_back() -> None:
    """They can be closed, and used on."""
    plug = Plug(Server().handle)
    plug.close()
    asyncio.run(AsyncPlug(plug).close())
    assert 200 == plug.send(ASK).status


def test_virtual_time_passes_by_sleeping_alone() -> None:
    """Fifteen minutes are over at once."""
    clock = VirtualClock()
    start = clock.now()
    clock.sleep(900)
    assert (900.0, start + timedelta(minutes=15)) == (clock.tick(), clock.now())


def test_a_virtual_loop_waits_for_what_is_no_clocks_matter() -> None:
    """Such as a socket; meanwhile its time stands still."""
    clock = VirtualClock()
    here, there = socket.socketpair()

    async def receive() -> bytes:
        loop = asyncio.get_running_loop()
        came: asyncio.Future[bytes] = loop.create_future()
        loop.add_reader(here, lambda: came.set_result(here.recv(5)))
        return await came

    there.send(b"hello")
    with here, there, asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        assert (b"hello", 0.0) == (runner.run(receive()), clock.seconds)
